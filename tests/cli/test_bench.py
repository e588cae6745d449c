"""hone bench: one JSON line with the figures that a comparison needs, and what it refuses."""
import json
import unittest

from support import hone
from tiny import ModelCase, POSITIONS

IDS = '[2, 28, 3]\n2 14 26 3\n\n[2,48,26,51,28,3]\n'  # either form; 3 lists, 13 tokens


class Bench(ModelCase):
    def bench(self, *args, **kwargs):
        done = self.run_ok('bench', *args, **kwargs)
        self.assertEqual((done.stdout.count('\n'), done.stderr), (1, ''))
        found = json.loads(done.stdout)
        self.assertLessEqual(0, found['min_s'])
        self.assertLessEqual(found['min_s'], found['median_s'])
        self.assertLessEqual(found['median_s'], found['p90_s'])
        self.assertEqual(found['bench'], args[0])
        return found

    def test_infer(self):
        found = self.bench('infer', '--model', self.bert, '--ids', self.file('ids', IDS), '--batch', '2',
                           '--repeat', '3', '--threads', '2', '--dtype', 'f32')
        for key, value in (('sequences', 3), ('tokens', 13), ('batch', 2), ('repeat', 3), ('threads', 2),
                           ('dtype', 'f32')):
            self.assertEqual(found[key], value, key)
        self.assertAlmostEqual(found['tokens_per_s'] * 3 / found['sequences_per_s'], 13, delta=0.1)

    def test_train(self):
        found = self.bench('train', '--model', self.bert, '--ids', self.file('ids', IDS), '--batch', '2',
                           '--repeat', '3')
        for key, value in (('sequences', 3), ('tokens', 13), ('batch', 2), ('repeat', 3)):
            self.assertEqual(found[key], value, key)
        self.assertAlmostEqual(found['step_s'], found['median_s'] / 2, places=5)

    def test_tokenize(self):
        found = self.bench('tokenize', '--model', self.bert, '--file',
                           self.file('texts', 'good\n\nbad film\n'), '--repeat', '3')
        for key, value in (('texts', 3), ('tokens', 9), ('bytes', 12), ('repeat', 3)):
            self.assertEqual(found[key], value, key)

    def test_product(self):
        found = self.bench('product', '--rows', '16', '--inputs', '64', '--outputs', '96', '--repeat', '3',
                           '--dtype', 'f32')
        for key, value in (('rows', 16), ('inputs', 64), ('outputs', 96), ('repeat', 3), ('dtype', 'f32')):
            self.assertEqual(found[key], value, key)
        self.assertAlmostEqual(found['gflops'] * found['median_s'] * 1e9, 2 * 16 * 64 * 96,
                               delta=0.01 * 2 * 16 * 64 * 96)
        for flags, words in ((['--rows', '7'], ['--rows 7', 'multiple of 8']), (['--rows', '136'], ['--rows 136']),
                             (['--inputs', '0'], ['--inputs']), (['--outputs', '99999'], ['--outputs']),
                             (['--repeat', '0'], ['--repeat']), (['--dtype', 'f64'], ["'f64'"])):
            with self.subTest(flags):
                self.refuses('bench', 'product', *flags, words=words)

    def refused(self, what, ids, *words, flags=()):
        self.refuses('bench', what, '--model', self.bert, '--ids', self.file('ids', ids), *flags, words=words)

    def test_ids_that_are_none(self):
        for what in ('infer', 'train'):
            self.refused(what, '', 'ids', 'no token ids')
            self.refused(what, '\n[]\n', 'no token ids')
            self.refused(what, '[2, 3]\n[2, x]\n', 'line 2', "'x]'")
            self.refused(what, '[2, -1]\n', 'line 1', "'-1]'")
            self.refused(what, '[2, 99999999999]\n', 'line 1')
            self.refused(what, '[2, 99, 3]\n', '99')
            self.refused(what, '2 ' * POSITIONS + '3\n', f'{POSITIONS + 1}')
            self.refuses('bench', what, '--model', self.bert, '--ids', self.tmp / 'gone', words=['gone'])

    def test_flags_that_make_no_sense(self):
        for flags, words in ((['--batch', '0'], ['--batch']), (['--repeat', '0'], ['--repeat']),
                             (['--dtype', 'f64'], ["'f64'"]), (['--threads', 'x'], ["'x'"]),
                             (['--repeat', '99999999999999999999'], ['--repeat']), (['more'], ["'more'"])):
            with self.subTest(flags):
                self.refused('infer', IDS, *words, flags=flags)
        self.refuses('bench', 'dance', words=["'dance'"])

    def test_models_and_texts_that_are_none(self):
        texts = self.file('texts', 'good\n')
        self.refuses('bench', 'infer', '--model', self.tmp / 'gone', '--ids', texts, words=['texts'])
        ids = self.file('ids', IDS)
        for what in ('infer', 'train'):
            self.refuses('bench', what, '--model', self.tmp / 'gone', '--ids', ids, words=['gone'])
        self.refuses('bench', 'train', '--model', self.copy(checkpoint='train/regression'), '--ids', ids,
                     words=['model', 'no classifier'])
        for model, file, words in ((self.tmp / 'gone', texts, ['gone']), (self.bert, self.tmp / 'gone', ['gone']),
                                   (self.bert, self.file('empty', ''), ['empty', 'no lines']),
                                   (self.bert, self.file('bytes', b'good\ncaf\xe9\n'), ['line 2', 'UTF-8'])):
            with self.subTest(words):
                self.refuses('bench', 'tokenize', '--model', model, '--file', file, words=words)

    def test_standard_output_that_is_full(self):
        with open('/dev/full', 'w') as full:
            done = hone('bench', 'infer', '--model', self.bert, '--ids', self.file('ids', IDS), '--repeat', '1',
                        stdout=full, stderr=-1)
        self.assertEqual((done.returncode, done.stderr), (1, 'hone bench: write to standard output failed\n'))


if __name__ == '__main__':
    unittest.main()
