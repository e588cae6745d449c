"""hone train --mode lora: adapters in PEFT's format, merged by --merge and by hone merge."""
import json
import struct
import shutil
import unittest

from support import hone
from test_train import TrainCase
from tiny import csv, floats, layout, make_model, read_weights, sentences, with_header

FAMILIES = {'bert': ('bert.encoder.layer.{}.attention.self.query', 'attention.self.value', []),
            'distilbert': ('distilbert.transformer.layer.{}.attention.q_lin', 'attention.v_lin',
                           ['pre_classifier'])}
DROPOUT = ('--dropout', '0.2', '--epochs', '2', '--micro-tokens', '64')


class LoraCase(TrainCase):
    def flags(self, *more, **kwargs):
        return super().flags('--mode', 'lora', *more, **kwargs)

    def adapter(self, name='out'):
        return read_weights(self.tmp / name / 'adapter_model.safetensors')

    def bytes_of(self, name='out'):
        return (self.tmp / name / 'adapter_model.safetensors').read_bytes()

    def merge(self, base, adapter='out', out='merged'):
        return self.run_ok('merge', '--base', base, '--adapter', self.tmp / adapter, '--out', self.tmp / out)


class Lora(LoraCase):
    def test_the_folder(self):
        for family, (query, value, heads) in FAMILIES.items():
            base = make_model(self.tmp / family, f'model/{family}')
            self.train('--lora-rank', '3', '--lora-alpha', '6', base=base, out=self.tmp / 'out')
            self.assertEqual({p.name for p in (self.tmp / 'out').iterdir()},
                             {'config.json', 'adapter_config.json', 'adapter_model.safetensors', 'vocab.txt'})
            said = json.loads((self.tmp / 'out/adapter_config.json').read_text())
            self.assertEqual((said['peft_type'], said['task_type'], said['bias']), ('LORA', 'SEQ_CLS', 'none'))
            self.assertEqual((said['r'], said['lora_alpha'], said['lora_dropout']), (3, 6, 0))
            self.assertEqual(said['base_model_name_or_path'], str(base))
            self.assertEqual(said['modules_to_save'], [*heads, 'classifier'])
            found = self.adapter()
            hidden, layers = 32, len({n for n in found if 'lora_A' in n}) // 2
            self.assertGreater(layers, 1)
            shapes = {f'base_model.model.{head}.{part}': shape for head in heads
                      for part, shape in (('weight', [hidden, hidden]), ('bias', [hidden]))}
            shapes |= {'base_model.model.classifier.weight': [2, hidden], 'base_model.model.classifier.bias': [2]}
            for layer in range(layers):
                for module in (query.format(layer), query.format(layer).rsplit('.attention.', 1)[0] + '.' + value):
                    shapes[f'base_model.model.{module}.lora_A.weight'] = [3, hidden]
                    shapes[f'base_model.model.{module}.lora_B.weight'] = [hidden, 3]
            self.assertEqual({name: shape for name, (_, shape, _) in found.items()}, shapes)
            for name, tensor in found.items():
                self.assertTrue(any(floats(tensor)), name)  # B began at 0: it was trained

    def test_merged_is_what_was_trained(self):
        for family in FAMILIES:
            base = make_model(self.tmp / family, f'model/{family}')
            for targets in ((), ('--lora-targets', 'all-linear'), ('--freeze-layers', '1'),
                            ('--lora-dropout', '0.1', '--freeze-layers', '1', '--lora-targets', 'all-linear')):
                with self.subTest(family, targets=targets):
                    said = self.train('--epochs', '4', '--eval', self.eval_csv, *targets, base=base)
                    self.assertGreater(said['accuracy'], 0.7)
                    self.merge(base)
                    self.train('--epochs', '4', '--merge', *targets, base=base, out=self.tmp / 'whole')
                    self.assertEqual({p.name for p in (self.tmp / 'whole').iterdir()},
                                     {'config.json', 'model.safetensors', 'vocab.txt'})
                    self.assert_same_weights(self.weights('merged'), self.weights('whole'))
                    self.assertEqual(self.config('merged'), self.config('whole'))
                    again = json.loads(self.run_ok('eval', '--model', self.tmp / 'merged', '--data',
                                                   self.eval_csv).stdout)
                    self.assertEqual(again['accuracy'], said['accuracy'])
                    self.assertAlmostEqual(again['loss'], said['loss'], places=4)

    def test_only_what_is_adapted_differs_from_the_base(self):
        self.train('--merge', '--lora-targets', 'key,attention.output.dense', '--freeze-layers', '1')
        before, after = read_weights(self.bert / 'model.safetensors'), read_weights(self.tmp / 'out/model.safetensors')
        for name, tensor in before.items():
            moved = name.startswith('classifier') or ('.layer.0.' not in name and name.endswith(
                ('self.key.weight', 'attention.output.dense.weight')))
            self.assertEqual(after[name] != tensor, moved, name)

    def test_targets_are_named_as_peft_matches_them(self):
        for targets, slots in (('query', 1), ('output.dense', 2), ('dense', 3), ('all-linear', 6),
                               ('encoder.layer.0.attention.self.key', 1)):
            self.train('--lora-targets', targets, out=self.tmp / targets)
            adapted = [n for n in self.adapter(targets) if 'lora_A' in n and '.layer.1.' in n]
            self.assertEqual(len(adapted), slots, targets)
            modules = json.loads((self.tmp / targets / 'adapter_config.json').read_text())['target_modules']
            names = [n.removeprefix('base_model.model.').removesuffix('.lora_A.weight')
                     for n in self.adapter(targets) if 'lora_A' in n]
            base = {n.removesuffix('.weight') for n, t in read_weights(self.bert / 'model.safetensors').items()
                    if len(t[1]) == 2 and 'embeddings' not in n}
            matched = {m for m in base for t in modules if m == t or m.endswith('.' + t)}
            self.assertEqual(matched, set(names), targets)

    def test_an_adapter_says_what_to_do_with_it(self):
        self.train()
        (self.tmp / 'bare').mkdir()
        for name in ('adapter_config.json', 'adapter_model.safetensors'):
            shutil.copy(self.tmp / 'out' / name, self.tmp / 'bare')
        for folder in (self.tmp / 'out', self.tmp / 'bare'):
            for command in (['predict', '--model', folder],
                            ['train', '--base', folder, '--train', self.train_csv, '--out', self.tmp / 'new']):
                self.refuses(*command, words=['is an adapter', 'hone merge'], stdin='')
        self.refuses('eval', '--model', self.tmp / 'out', '--data', self.eval_csv, words=['hone merge'])

    def test_a_new_pooler_comes_along(self):
        base = make_model(self.tmp / 'base', 'model/encoder-only')
        tensors = read_weights(base / 'model.safetensors')
        for name in [name for name in tensors if 'pooler' in name]:
            del tensors[name]
        (base / 'model.safetensors').write_bytes(with_header(*layout(tensors)))
        self.train(base=base)
        self.assertEqual(json.loads((self.tmp / 'out/adapter_config.json').read_text())['modules_to_save'],
                         ['pooler', 'classifier'])
        self.assertIn('base_model.model.bert.pooler.dense.weight', self.adapter())
        self.merge(base)

    def test_what_it_refuses(self):
        for flags, words in ((['--lora-rank', '0'], ['--lora-rank 0']), (['--lora-rank', '33'], ['rank is 33', '32']),
                             (['--lora-alpha', '0'], ['alpha']), (['--lora-dropout', '1'], ['adapter dropout']),
                             (['--lora-targets', 'classifier'], ["'classifier'", 'attention.self.query']),
                             (['--lora-targets', 'query,'], ["''"]), (['--lora-targets', 'uery'], ["'uery'"]),
                             (['--freeze-layers', '2'], ['not frozen'])):
            with self.subTest(flags):
                self.refuses(*self.flags(*flags), words=words)
        for flags in (['--merge'], ['--lora-targets', 'query'], ['--lora-rank', '4']):
            self.refuses('train', '--base', self.bert, '--train', self.train_csv, '--out', self.tmp / 'out', *flags,
                         words=['--mode lora'])


class Bf16(LoraCase):
    def test_learns_as_in_f32(self):
        for family in FAMILIES:
            base = make_model(self.tmp / family, f'model/{family}')
            for more in ((), ('--lora-dropout', '0.1', '--lora-targets', 'all-linear')):
                with self.subTest(family, more=more):
                    found = [self.train('--epochs', '4', '--dropout', '0', '--eval', self.eval_csv, '--dtype', dtype,
                                        *more, base=base, out=self.tmp / dtype) for dtype in ('f32', 'bf16')]
                    self.assertGreater(found[1]['accuracy'], 0.7)
                    self.assertAlmostEqual(found[0]['loss'], found[1]['loss'], delta=0.02)
                    first, *_, last = (epoch['train_loss'] for epoch in found[1]['epochs'])
                    self.assertLess(last, first)
                    self.assertNotEqual(self.bytes_of('f32'), self.bytes_of('bf16'))
                    self.assertEqual({dtype for dtype, _, _ in self.adapter('bf16').values()}, {'F32'})


class SameBytes(LoraCase):
    def test_for_any_number_of_threads_and_recomputed(self):
        for family in FAMILIES:
            base = make_model(self.tmp / family, f'model/{family}')
            for how in (('--lora-dropout', '0.1'), ('--dtype', 'bf16'), ('--dtype', 'bf16', '--lora-dropout', '0.1')):
                flags = (*DROPOUT, '--lora-targets', 'all-linear', *how)
                self.train(*flags, '--threads', '1', base=base, out=self.tmp / 'one')
                for more in (('--threads', '2'), ('--threads', '3'), ('--recompute', '--threads', '5')):
                    self.train(*flags, *more, base=base, out=self.tmp / 'more')
                    self.assert_same_weights(self.bytes_of('one'), self.bytes_of('more'))

    def test_after_a_kill(self):
        for i, how in enumerate((('--lora-dropout', '0.2'), ('--dtype', 'bf16', '--dropout', '0.2'))):
            out = self.tmp / f'killed{i}'
            flags = self.flags(*how, '--eval', self.eval_csv, '--patience', '1000', out=out)
            checkpoint = ('--checkpoint-steps', '5')
            epochs = self.kill_under_way(*flags, *checkpoint, out=out)
            other = hone(*flags, '--epochs', epochs, '--lora-alpha', '8')
            self.assertIn('a run with other options', other.stderr)
            done = self.run_ok(*flags, *checkpoint, '--epochs', epochs, '--threads', '3')
            self.assertIn('resumed after step', done.stderr)
            self.train(*how, '--eval', self.eval_csv, '--patience', '1000', '--epochs', epochs,
                       out=self.tmp / 'whole')
            self.assert_same_weights(self.bytes_of(out.name), self.bytes_of('whole'))


class Merge(LoraCase):
    """An adapter's folder may come from anywhere."""

    def setUp(self):
        super().setUp()
        self.train()
        self.command = ['merge', '--base', self.bert, '--adapter', self.tmp / 'out', '--out', self.tmp / 'merged']

    def says(self, change, *words):
        path = self.tmp / 'out/adapter_config.json'
        before = path.read_bytes()
        path.write_text(json.dumps(json.loads(before) | change) if isinstance(change, dict) else change)
        self.refuses(*self.command, words=['adapter_config.json', *words])
        path.write_bytes(before)

    def test_a_config_that_lies(self):
        for change, word in (({'peft_type': 'IA3'}, 'peft_type'), ({'bias': 'all'}, 'bias'), ({'r': 0}, "'r'"),
                             ({'r': 10**9}, "'r'"), ({'lora_alpha': 'x'}, 'lora_alpha'), ({'use_dora': True}, 'use_dora'),
                             ({'rank_pattern': {'query': 4}}, 'rank_pattern'), ({'fan_in_fan_out': True}, 'fan_in'),
                             ('[]', ''), ('{', '')):
            with self.subTest(change):
                self.says(change, word)

    def spoiled(self, change, *words):
        tensors = self.adapter()
        change(tensors)
        path = self.tmp / 'out/adapter_model.safetensors'
        before = path.read_bytes()
        path.write_bytes(with_header(*layout(tensors)))
        self.refuses(*self.command, words=['adapter_model.safetensors', *words])
        path.write_bytes(before)

    def test_tensors_that_lie(self):
        query = 'base_model.model.bert.encoder.layer.0.attention.self.query.lora_{}.weight'
        a, b, head = query.format('A'), query.format('B'), 'base_model.model.classifier.weight'
        word = 'base_model.model.bert.embeddings.word_embeddings.lora_{}.weight'

        def copied(old, new):
            return lambda t: t.__setitem__(new, t[old])

        def replace(name, shape, value=0.0):
            count = shape[0] * (shape[1] if len(shape) > 1 else 1)
            return lambda t: t.__setitem__(name, ('F32', shape, struct.pack('<f', value) * count))

        def embed(t):
            replace(word.format('A'), [8, 32])(t)
            replace(word.format('B'), [99, 8])(t)

        for change, words in ((copied(a, 'query.lora_A.weight'), ['belongs to nothing']),
                              (copied(a, a.replace('layer.0', 'layer.9')), ['layer.9']),
                              (copied(a, a.replace('lora_A', 'lora_C')), ['lora_C']),
                              (lambda t: t.pop(a), [a, 'missing']), (lambda t: t.pop(b), [b, 'missing']),
                              (replace(a, [4, 32]), [a, '[4,32]', '[8,32]']), (replace(b, [32, 4]), [b, '[32,4]']),
                              (replace(a, [8, 32], float('nan')), [a, 'not finite']), (embed, ['word_embeddings']),
                              (replace(head, [64]), [head]), (replace(head, [10**9, 0]), [head]), (replace(head, [3, 32]), ['classifier.bias']),
                              (lambda t: [t.pop(n) for n in list(t) if 'lora' in n], ['no tensor is one of LoRA'])):
            self.spoiled(change, *words)
        (self.tmp / 'out/adapter_model.safetensors').write_bytes(b'x' * 100)
        self.refuses(*self.command, words=['adapter_model.safetensors'])

    def test_without_its_config_json_the_labels_are_the_bases_or_numbers(self):
        (self.tmp / 'out/config.json').unlink()
        self.run_ok(*self.command)
        self.assertEqual(self.config('merged')['id2label'], {'0': 'LABEL_0', '1': 'LABEL_1'})
        rows = [(text, f'c{i % 3}') for i, (text, _) in enumerate(sentences(30))]
        self.train(data=self.file('three.csv', csv(rows)), out=self.tmp / 'three')
        (self.tmp / 'three/config.json').unlink()
        self.merge(self.bert, 'three', 'merged3')
        self.assertEqual(len(self.config('merged3')['id2label']), 3)

    def test_what_is_not_there(self):
        self.refuses('merge', '--base', self.tmp / 'none', *self.command[3:], words=['none'])
        self.refuses('merge', '--base', self.bert, '--adapter', self.bert, '--out', self.tmp / 'm',
                     words=['adapter_config.json'])
        self.file('taken', 'x')
        self.refuses(*self.command[:-1], self.tmp / 'taken', words=['taken'])


del TrainCase, LoraCase  # cases to build on, not to run


if __name__ == '__main__':
    unittest.main()
