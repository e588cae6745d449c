"""hone train --mode head: a classifier on frozen embeddings, in an ordinary model folder."""
import json
import unittest

from support import hone
from test_train import TrainCase
from tiny import csv, floats, jsonl, read_weights, sentences

FIGURES = {'train_loss', 'steps', 'seconds', 'embed_seconds', 'fit_seconds', 'examples_per_second',
           'tokens_per_second', 'accuracy', 'macro_f1', 'loss', 'per_class'}


class HeadCase(TrainCase):
    def flags(self, *more, base=None, data=None, out=None):
        return ['train', '--mode', 'head', '--base', base or self.bert, '--train',
                data or self.train_csv, '--out', out or self.tmp / 'out', *more]


class Head(HeadCase):
    def test_the_folder_predicts_what_was_fitted(self):
        for checkpoint, poolings in (('model/bert', ('mean', 'first')),
                                     ('model/distilbert', ('mean', 'first')),
                                     ('model/encoder-only', ('mean',))):
            base = self.copy(checkpoint.split('/')[1], checkpoint)
            for pooling in poolings:
                with self.subTest(checkpoint, pooling=pooling):
                    out = self.tmp / f'{base.name}-{pooling}'
                    said = self.train('--eval', self.eval_csv, '--pooling', pooling,
                                      '--penalty', '0.01', base=base, out=out)
                    self.assertEqual(set(said), FIGURES)
                    self.assertGreater(said['accuracy'], 0.7)
                    found = json.loads(self.run_ok('eval', '--model', out, '--data',
                                                   self.eval_csv).stdout)
                    self.assertEqual(found['accuracy'], said['accuracy'])
                    self.assertAlmostEqual(found['loss'], said['loss'], delta=1e-4)

    def test_the_encoder_is_the_base(self):
        self.train()
        base, out = (read_weights(folder / 'model.safetensors') for folder in (self.bert, self.tmp / 'out'))
        layers = self.config()['num_hidden_layers']
        self.assertEqual(layers, json.loads((self.bert / 'config.json').read_text())['num_hidden_layers'] + 1)
        for name, tensor in base.items():
            if 'pooler' not in name and not name.startswith('classifier'):
                self.assertEqual(floats(out[name]), floats(tensor), name)
        self.assertEqual(set(out) - set(base), {n for n in out if f'layer.{layers - 1}.' in n})

    def test_for_any_number_of_threads(self):
        for threads in (1, 2, 3, 7):
            self.train('--threads', threads, out=self.tmp / f'out{threads}')
            self.assert_same_weights(self.weights('out1'), self.weights(f'out{threads}'))

    def test_many_labels_and_the_names_of_the_base(self):
        names = ['größer', 'b', 'a "b"']
        rows = [(text, names[i % 3]) for i, (text, _) in enumerate(sentences(30))]
        self.train(data=self.file('many.jsonl', jsonl(rows)))
        self.assertEqual(self.config()['id2label'], dict(zip('012', sorted(names))))

    def test_it_can_be_trained_on(self):
        """A head first, then every weight: the other labels and the layer stay."""
        self.train('--penalty', '0.01')
        full = hone('train', '--base', self.tmp / 'out', '--train', self.train_csv, '--out',
                    self.tmp / 'full', '--epochs', '1', '--lr', '1e-5')
        self.assertEqual(full.returncode, 0, full.stderr)
        self.assertNotIn('a new one', full.stderr)

    def test_what_it_refuses(self):
        for flags, words in ((['--mode', 'half'], ['half', 'full, lora or head']),
                             (['--pooling', 'last'], ['last', 'mean or first']),
                             (['--penalty', '-1'], ['--penalty -1']), (['--penalty', '1e7'], ['penalty']),
                             (['--problem-type', 'regression'], ['regression'])):
            with self.subTest(flags):
                self.refuses(*self.flags(*flags), words=words)
        self.refuses('train', '--base', self.bert, '--train', self.train_csv, '--out', self.tmp / 'out',
                     '--penalty', '1', words=['--mode head'])
        self.refuses(*self.flags(data=self.file('one.csv', csv([('a', 'x'), ('b', 'x')]))),
                     words=['one class only'])
        self.refuses(*self.flags(base=self.tmp), words=['config.json'])
        base = self.copy()
        (base / 'model.safetensors').write_bytes(b'x' * 100)
        self.refuses(*self.flags(base=base), words=['model.safetensors'])


del TrainCase, HeadCase  # cases to build on, not to run


if __name__ == '__main__':
    unittest.main()
