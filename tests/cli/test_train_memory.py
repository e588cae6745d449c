"""hone train's memory: DistilBERT learns from 32 x 128 tokens in less than 2.25 GB, and --patience keeps
no second copy of the weights in memory.

The peak is a straight line over the number of layers: two and three of the real widths say what
six take. Weights are zeros, a file of holes."""
import json
import os
import subprocess
import unittest

from support import HONE
from tiny import ModelCase, pieces, with_header

HIDDEN, WIDE, POSITIONS, LABELS = 768, 3072, 512, 2
LINEAR = {'attention.q_lin': (HIDDEN, HIDDEN), 'attention.k_lin': (HIDDEN, HIDDEN),
          'attention.v_lin': (HIDDEN, HIDDEN), 'attention.out_lin': (HIDDEN, HIDDEN),
          'ffn.lin1': (WIDE, HIDDEN), 'ffn.lin2': (HIDDEN, WIDE)}


def shapes(layers, vocab):
    found = {'distilbert.embeddings.word_embeddings.weight': (vocab, HIDDEN),
             'distilbert.embeddings.position_embeddings.weight': (POSITIONS, HIDDEN)}
    linear, norms = {'pre_classifier': (HIDDEN, HIDDEN), 'classifier': (LABELS, HIDDEN)}, ['distilbert.embeddings.LayerNorm']
    for layer in range(layers):
        path = f'distilbert.transformer.layer.{layer}.'
        linear |= {path + name: shape for name, shape in LINEAR.items()}
        norms += [path + 'sa_layer_norm', path + 'output_layer_norm']
    for name, shape in linear.items():
        found |= {name + '.weight': shape, name + '.bias': shape[:1]}
    for name in norms:
        found |= {name + '.weight': (HIDDEN,), name + '.bias': (HIDDEN,)}
    return found


class Memory(ModelCase):
    def model(self, layers, vocab):
        folder, tensors, at = self.tmp / f'{layers}-{vocab}', {}, 0
        for name, shape in shapes(layers, vocab).items():
            size = 4 * shape[0] * (shape[1] if len(shape) == 2 else 1)
            tensors[name] = {'dtype': 'F32', 'shape': shape, 'data_offsets': [at, at + size]}
            at += size
        folder.mkdir()
        with (folder / 'model.safetensors').open('wb') as file:
            header = with_header(tensors, b'')
            file.write(header)
            file.truncate(len(header) + at)
        (folder / 'config.json').write_text(json.dumps({
            'model_type': 'distilbert', 'architectures': ['DistilBertForSequenceClassification'], 'dim': HIDDEN,
            'hidden_dim': WIDE, 'n_heads': 12, 'n_layers': layers, 'vocab_size': vocab,
            'max_position_embeddings': POSITIONS, 'dropout': 0.1, 'attention_dropout': 0.1,
            'seq_classif_dropout': 0.2, 'activation': 'gelu'}))
        (folder / 'vocab.txt').write_text('\n'.join(pieces()) + '\n')
        return folder

    def peak_bytes(self, *args):
        """The largest resident set of a run."""
        with (self.tmp / 'said').open('w+') as said:
            process = subprocess.Popen([HONE, *map(str, args)], stdout=said, stderr=subprocess.STDOUT)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual(process.returncode, 0, (self.tmp / 'said').read_text())
        return usage.ru_maxrss * 1024

    def peak_of_six_layers(self, *flags):
        ids = self.file('ids', (' '.join(['7'] * 128) + '\n') * 32)
        two, three = (self.peak_bytes('bench', 'train', '--model', self.model(layers, 30522), '--ids', ids,
                                      '--repeat', '1', '--threads', '2', *flags) for layers in (2, 3))
        self.assertGreater(three, two)
        return three + 3 * (three - two)

    def test_distilbert_at_32_x_128_tokens(self):
        self.assertLess(self.peak_of_six_layers(), 2.25e9)

    def test_distilbert_recomputed(self):
        self.assertLess(self.peak_of_six_layers('--recompute'), 1.75e9)

    def test_patience_keeps_its_copy_in_a_file(self):
        base, data = self.model(2, 2000), self.file('data.csv', 'text,label\ngood,a\nbad,b\n')
        weights = (base / 'model.safetensors').stat().st_size
        flags = ('train', '--base', base, '--train', data, '--eval', data, '--epochs', '2', '--threads', '1')
        plain = self.peak_bytes(*flags, '--out', self.tmp / 'plain')
        patient = self.peak_bytes(*flags, '--out', self.tmp / 'patient', '--patience', '2')
        self.assertLess(patient - plain, weights / 3)


del ModelCase  # a case to build on, not to run


if __name__ == '__main__':
    unittest.main()
