"""hone train: what it writes, that the same run gives the same bytes, and what it refuses."""
import contextlib
import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import unittest

from support import HONE, hone
from tiny import ModelCase, VOCAB, csv, floats, jsonl, make_model, read_weights, sentences

FIGURES = {'train_loss', 'steps', 'seconds', 'examples_per_second', 'tokens_per_second', 'epoch', 'epochs'}
ROWS = sentences(96)


class TrainCase(ModelCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.train_csv = cls.home / 'train.csv'
        cls.train_csv.write_text(csv(ROWS))
        cls.eval_csv = cls.home / 'eval.csv'
        cls.eval_csv.write_text(csv(sentences(40, seed=2)))

    def flags(self, *more, base=None, data=None, out=None):
        return ['train', '--base', base or self.bert, '--train', data or self.train_csv,
                '--out', out or self.tmp / 'out', '--epochs', '1', '--batch-size', '8', '--lr', '3e-3', *more]

    def train(self, *more, **kwargs):
        """The figures of a training that must succeed."""
        return json.loads(self.run_ok(*self.flags(*more, **kwargs)).stdout)

    def weights(self, name='out'):
        return (self.tmp / name / 'model.safetensors').read_bytes()

    def config(self, name='out'):
        return json.loads((self.tmp / name / 'config.json').read_text())

    def killed(self, *flags):
        """Start, kill once it has written of the second epoch; False when it was over before."""
        with subprocess.Popen([HONE, *map(str, flags)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True) as process:
            for line in process.stderr:
                if line.startswith('epoch 2:'):
                    break
            process.kill()
        return process.returncode == -signal.SIGKILL

    def kill_under_way(self, *flags, out):
        """Kill a training to out before its end; of how many epochs it was."""
        epochs = 12
        while not self.killed(*flags, '--epochs', epochs):
            epochs *= 5
            self.assertLess(epochs, 10_000)
            shutil.rmtree(out)
        return epochs

    def assert_same_weights(self, a, b):
        """Not assertEqual, which would print them."""
        self.assertTrue(a == b, 'the weights differ')


class Figures(TrainCase):
    def test_the_figures_and_the_folder(self):
        found = self.train('--eval', self.eval_csv, '--epochs', '4')
        self.assertEqual(set(found), FIGURES | {'accuracy', 'macro_f1', 'loss', 'per_class'})
        self.assertEqual((found['steps'], found['epoch'], len(found['epochs'])), (48, 4, 4))
        self.assertEqual(set(found['per_class']), {'neg', 'pos'})
        for figures in found['per_class'].values():
            self.assertEqual(set(figures), {'precision', 'recall', 'f1', 'support'})
            self.assertEqual(figures['support'], 20)
        for epoch in found['epochs']:
            self.assertEqual(set(epoch),
                             {'epoch', 'train_loss', 'seconds', 'loss', 'accuracy', 'macro_f1'})
        self.assertEqual(found['accuracy'], found['epochs'][-1]['accuracy'])
        self.assertGreater(found['examples_per_second'], 0)
        self.assertGreater(found['tokens_per_second'], found['examples_per_second'])
        self.assertGreaterEqual(found['accuracy'], 0.95)  # one word says all
        self.assertEqual({p.name for p in (self.tmp / 'out').iterdir()},
                         {'config.json', 'model.safetensors', 'vocab.txt'})
        self.assertEqual(sorted(self.listing()), ['out', 'out/config.json', 'out/model.safetensors',
                                                  'out/vocab.txt'])
        self.assertEqual((self.tmp / 'out/vocab.txt').read_bytes(), (self.bert / 'vocab.txt').read_bytes())
        config = self.config()
        self.assertEqual(config['id2label'], {'0': 'neg', '1': 'pos'})
        self.assertEqual(config['label2id'], {'neg': 0, 'pos': 1})
        self.assertEqual(config['problem_type'], 'single_label_classification')
        self.assertEqual((config['hidden_size'], config['vocab_size']), (32, VOCAB))
        self.assertEqual(self.answers('predict', '--model', self.tmp / 'out',
                                      stdin='the film was good\na bad letter\n')[0]['label'], 'pos')

    def test_eval_says_the_same_of_the_folder(self):
        found = self.train('--eval', self.eval_csv, '--epochs', '2')
        again = json.loads(self.run_ok('eval', '--model', self.tmp / 'out', '--data', self.eval_csv).stdout)
        for key in ('accuracy', 'macro_f1', 'per_class'):
            self.assertEqual(again[key], found[key])
        self.assertAlmostEqual(again['loss'], found['loss'], places=4)

    def test_without_eval_there_are_the_figures_of_training(self):
        found = self.train()
        self.assertEqual(set(found), FIGURES)
        self.assertEqual(set(found['epochs'][0]), {'epoch', 'train_loss', 'seconds'})

    def test_every_file_of_the_tokenizer_comes_along(self):
        base = self.copy('base')
        for name in ('tokenizer_config.json', 'special_tokens_map.json'):
            (base / name).write_text('{}')
        (base / 'README.md').write_text('of the base')
        self.train(base=base)
        self.assertEqual({p.name for p in (self.tmp / 'out').iterdir()},
                         {'config.json', 'model.safetensors', 'vocab.txt', 'tokenizer_config.json',
                          'special_tokens_map.json'})

    def test_every_checkpoint_can_be_trained(self):
        for name in ('distilbert', 'bert-f16', 'encoder-only'):
            with self.subTest(name):
                base = make_model(self.tmp / name, f'model/{name}')
                found = self.train('--epochs', '4', '--eval', self.eval_csv, base=base)
                self.assertGreater(found['accuracy'], 0.8)
                dtypes = {dtype for dtype, _, _ in read_weights(self.tmp / 'out/model.safetensors').values()}
                self.assertEqual(dtypes, {'F32'})

    def test_regression(self):
        rows = sentences(96, labels=('-1.5', '2'))
        base = self.copy('base', 'model/distilbert')
        found = self.train('--problem-type', 'regression', '--epochs', '8', '--eval',
                           self.file('eval.csv', csv(rows)), base=base,
                           data=self.file('train.csv', csv(rows)))
        self.assertEqual(set(found), FIGURES | {'mse', 'pearson', 'loss'})
        self.assertGreater(found['pearson'], 0.9)
        self.assertEqual(self.config()['problem_type'], 'regression')
        self.assertEqual(list(self.config()['id2label'].values()), ['LABEL_0'])
        scores = [a['score'] for a in self.answers('predict', '--model', self.tmp / 'out',
                                                   stdin='the film was bad\nthe film was good\n')]
        self.assertLess(scores[0], scores[1])

    def test_early_stop_keeps_the_best_epoch(self):
        # a rate that is far too high soon makes it worse
        found = self.train('--eval', self.eval_csv, '--patience', '2', '--epochs', '50', '--lr', '3e-2')
        self.assertLess(len(found['epochs']), 50)
        self.assertEqual(len(found['epochs']), found['epoch'] + 2)
        best = max(epoch['accuracy'] for epoch in found['epochs'])
        self.assertEqual(found['accuracy'], best)
        again = json.loads(self.run_ok('eval', '--model', self.tmp / 'out', '--data', self.eval_csv).stdout)
        self.assertEqual(again['accuracy'], best)

    def test_many_labels_sorted(self):
        labels = ['ten', 'a b', '7', 'Zebra', 'ä', 'null']
        words = ['good', 'bad', 'berlin', 'garden', 'london', 'peter']
        found = self.train('--epochs', '10', data=self.file(
            'train.csv', csv(sentences(120, labels=labels, words=words))))
        self.assertEqual(list(self.config()['id2label'].values()), sorted(labels))
        self.assertLess(found['epochs'][-1]['train_loss'], found['epochs'][0]['train_loss'])


class SameBytes(TrainCase):
    """dropout and shuffling are on; what decides the bytes is the run, not how it was run."""
    FLAGS = ('--dropout', '0.2', '--epochs', '2', '--micro-tokens', '64', '--batch-size', '16')

    def test_for_any_number_of_threads(self):
        for name in ('bert', 'distilbert'):
            base = make_model(self.tmp / name, f'model/{name}')
            for threads in (1, 2, 3, 7):
                self.train(*self.FLAGS, '--threads', threads, base=base, out=self.tmp / f'out{threads}')
            for threads in (2, 3, 7):
                self.assert_same_weights(self.weights('out1'), self.weights(f'out{threads}'))

    def test_another_seed_gives_other_bytes(self):
        for seed in (1, 2, 1):
            self.train(*self.FLAGS, '--seed', seed, out=self.tmp / f'out{seed}')
        first = self.weights('out1')
        self.assertNotEqual(self.weights('out2'), first)
        self.train(*self.FLAGS, '--seed', '18446744073709551615', out=self.tmp / 'out3')
        self.assertNotEqual(self.weights('out3'), first)

    def test_the_format_of_the_data_does_not_matter(self):
        self.train()
        self.train(data=self.file('train.jsonl', jsonl(ROWS)), out=self.tmp / 'out2')
        self.assert_same_weights(self.weights(), self.weights('out2'))

    def test_after_a_kill(self):
        # shortly before an epoch's end, and in its middle
        for steps in ('5', '6'):
            with self.subTest(steps):
                out, whole = self.tmp / f'killed{steps}', self.tmp / f'whole{steps}'
                flags = self.flags('--dropout', '0.2', '--eval', self.eval_csv, '--patience', '1000', out=out)
                checkpoint = ('--checkpoint-steps', steps)
                epochs = self.kill_under_way(*flags, *checkpoint, out=out)
                self.assertFalse(out.exists())
                self.assertTrue((self.tmp / f'{out.name}.checkpoint').exists())
                done = self.run_ok(*flags, '--epochs', epochs, *checkpoint, '--threads', '3')
                self.assertRegex(done.stderr, r'resumed after step \d+ of \d+')
                expected = self.run_ok(*self.flags('--dropout', '0.2', '--eval', self.eval_csv, '--patience',
                                                   '1000', '--epochs', epochs, out=whole))
                self.assert_same_weights(self.weights(out.name), self.weights(whole.name))
                a, b = json.loads(done.stdout), json.loads(expected.stdout)
                for figures in (a, b, *a['epochs'], *b['epochs']):  # but for the clock
                    for key in ('seconds', 'examples_per_second', 'tokens_per_second'):
                        figures.pop(key, None)
                self.assertEqual(a, b)
                self.assertEqual(set(os.listdir(out)), {'config.json', 'model.safetensors', 'vocab.txt'})
                self.assertFalse((self.tmp / f'{out.name}.checkpoint').exists())

    def test_accumulation_is_the_large_batch(self):
        flags = ('--batch-size', '32', '--dropout', '0', '--epochs', '2')
        whole = self.train(*flags, '--micro-tokens', '100000')
        parts = self.train(*flags, '--micro-tokens', '20', out=self.tmp / 'parts')
        self.assertAlmostEqual(whole['train_loss'], parts['train_loss'], places=4)
        a, b = (read_weights(self.tmp / name / 'model.safetensors') for name in ('out', 'parts'))
        self.assertEqual(set(a), set(b))
        for name in a:
            if name.endswith('key.bias'):  # their true gradient is 0: AdamW makes noise of noise
                continue
            x, y = floats(a[name]), floats(b[name])
            apart = sum((p - q) ** 2 for p, q in zip(x, y)) ** 0.5
            self.assertLessEqual(apart, 1e-3 * sum(p * p for p in x) ** 0.5, name)


class Formats(TrainCase):
    """Each file says the same as ROWS in train.csv, so the same bytes come out."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        done = hone('train', '--base', cls.bert, '--train', cls.train_csv, '--out', cls.home / 'expected',
                    '--epochs', '1', '--batch-size', '8', '--lr', '3e-3')
        cls.expected = (cls.home / 'expected' / 'model.safetensors').read_bytes() if not done.returncode else b''

    def same(self, name, content, *flags, says=''):
        done = self.run_ok(*self.flags(*flags, data=self.file(name, content)))
        self.assert_same_weights(self.weights(), self.expected)
        self.assertIn(says, done.stderr)
        return done

    def quoted(self, end='\n'):
        """csv whose texts have line ends in them, which a tokenizer takes for blanks."""
        return f'id,"label","text"{end}' + ''.join(
            f'{i},"{label}","{text.replace(" ", end)}"{end}' for i, (text, label) in enumerate(ROWS))

    def test_jsonl(self):
        self.same('train.jsonl', jsonl(ROWS))
        self.same('train.jsonl.gz', gzip.compress(jsonl(ROWS).encode()))
        self.same('crlf.jsonl', jsonl(ROWS).replace('\n', '\r\n') + '\r\n')
        renamed = jsonl(ROWS).replace('"text"', '"body"').replace('"label"', '"mood"')
        self.same('named.json', renamed, '--text-column', 'body', '--label-column', 'mood')

    def test_csv(self):
        self.same('crlf.csv', csv(ROWS).replace('\n', '\r\n'))
        self.same('bom.csv', b'\xef\xbb\xbf' + csv(ROWS).encode())
        self.same('end.csv', csv(ROWS).rstrip('\n'))
        self.same('train.csv.gz', gzip.compress(csv(ROWS).encode()))
        self.same('semicolon.csv', csv(ROWS).replace(',', ';'), '--delimiter', ';')
        self.same('train.txt', csv(ROWS).replace(',', '|'), '--delimiter=|')

    def test_quoted_line_ends(self):
        self.same('quoted.csv', self.quoted())
        self.same('quoted-crlf.csv', self.quoted('\r\n'))

    def test_tsv_has_no_quotes(self):
        tsv = csv(ROWS).replace(',', '\t')
        self.same('train.tsv', tsv)
        rows = [('"' + text if i % 2 else text, label) for i, (text, label) in enumerate(ROWS)]
        done = self.train(data=self.file('quote.tsv', csv(rows).replace(',', '\t')))
        self.assertEqual(done['steps'], 12)  # no row was swallowed

    def test_no_header(self):
        body = csv(ROWS).split('\n', 1)[1]
        self.same('bare.csv', body, '--text-column', '0', '--label-column', '1')
        swapped = ''.join(f'x\t{label}\t{text}\n' for text, label in ROWS)
        self.same('bare.tsv', swapped, '--text-column', '2', '--label-column', '1')

    def test_cp1252(self):
        # the vocabulary has no such letters: what counts is that the labels are read right
        for name, flags, says in (('guess.csv', [], 'read as cp1252'), ('told.csv', ['--encoding', 'cp1252'], ''),
                                  ('latin.csv', ['--encoding', 'latin-1'], '')):
            with self.subTest(name):
                content = csv(ROWS).replace('pos', 'größer').encode('cp1252')
                done = self.run_ok(*self.flags(*flags, data=self.file(name, content)))
                self.assertIn(says, done.stderr)
                self.assertEqual('UTF-8' in done.stderr, bool(says))
                self.assertEqual(self.config()['id2label'], {'0': 'größer', '1': 'neg'})


class Labels(TrainCase):
    def test_a_model_that_has_the_labels_keeps_their_ids(self):
        base = self.copy('base', 'model/distilbert')
        config = json.loads((base / 'config.json').read_text())
        config['id2label'] = {'0': 'pos', '1': 'neg'}
        (base / 'config.json').write_text(json.dumps(config))
        done = self.run_ok(*self.flags('--lr', '0', base=base))
        self.assertNotIn('new one', done.stderr)
        self.assertEqual(self.config()['id2label'], {'0': 'pos', '1': 'neg'})
        self.assertEqual(self.config()['label2id'], {'pos': 0, 'neg': 1})
        a, b = (read_weights(folder / 'model.safetensors') for folder in (base, self.tmp / 'out'))
        self.assertEqual(a['classifier.weight'], b['classifier.weight'])

    def test_a_trained_model_is_trained_on(self):
        first = self.train('--epochs', '4')
        second = self.train('--epochs', '1', base=self.tmp / 'out', out=self.tmp / 'out2')
        self.assertLess(second['train_loss'], first['epochs'][0]['train_loss'])
        self.assertEqual(self.config('out2')['id2label'], self.config('out')['id2label'])

    def test_other_labels_get_a_new_head(self):
        done = self.run_ok(*self.flags())
        self.assertIn('a new one', done.stderr)
        self.assertEqual(read_weights(self.tmp / 'out/model.safetensors')['classifier.weight'][1], [2, 32])


class Out(TrainCase):
    """Where the model goes, and that it goes there whole or not at all."""

    def test_a_model_is_replaced(self):
        self.train('--seed', '1')
        first = self.weights()
        (self.tmp / 'out' / 'left-over.txt').write_text('x')
        self.train('--seed', '2')
        self.assertNotEqual(self.weights(), first)
        self.assertEqual(set(os.listdir(self.tmp / 'out')), {'config.json', 'model.safetensors', 'vocab.txt'})
        self.assertEqual(os.listdir(self.tmp), ['out'])

    def test_the_base_itself_is_replaced(self):
        base = self.copy('base')
        self.train(base=base, out=f'{base}/')
        self.assertEqual(self.config('base')['id2label'], {'0': 'neg', '1': 'pos'})
        self.assertEqual(os.listdir(self.tmp), ['base'])

    def test_an_empty_folder_is_filled(self):
        (self.tmp / 'out').mkdir()
        self.train()
        self.assertEqual(os.listdir(self.tmp), ['out'])

    def test_a_link_stays_a_link(self):
        (self.tmp / 'real').mkdir()
        (self.tmp / 'out').symlink_to('real')
        self.train()
        self.assertTrue((self.tmp / 'out').is_symlink())
        self.assertTrue((self.tmp / 'real' / 'model.safetensors').exists())

    def test_what_is_no_model_is_not_replaced(self):
        (self.tmp / 'out').mkdir()
        (self.tmp / 'out' / 'thesis.txt').write_text('years of work')
        self.refuses(*self.flags(), words=['out', 'is no model folder'])
        nested = self.copy('nested')
        (nested / 'more').mkdir()
        self.refuses(*self.flags(out=nested), words=['nested', 'folders of its own'])
        self.refuses(*self.flags(out=self.file('a-file', 'x')), words=['a-file'])
        self.refuses(*self.flags(out=self.tmp), words=[self.tmp.name])
        for path in ('/', '.', '', '/proc/self'):
            with self.subTest(path):
                self.refuses('train', '--base', self.bert, '--train', self.train_csv, f'--out={path}',
                             words=["'"], cwd=self.tmp)

    def test_a_place_that_cannot_be_written(self):
        self.refuses(*self.flags(out=self.tmp / 'gone' / 'out'), words=['gone'])
        self.refuses(*self.flags(out=self.file('a-file', 'x') / 'out'), words=['a-file'])
        self.refuses(*self.flags(out='/proc/out'), words=['/proc/out'])
        self.refuses(*self.flags(out=self.tmp / ('x' * 300)), words=['xxx'])

    def test_a_folder_that_may_not_be_written(self):
        if os.geteuid() != 0:
            (self.tmp / 'closed').mkdir(mode=0o500)
            self.refuses(*self.flags(out=self.tmp / 'closed' / 'out'), words=['closed/out', 'denied'])
            return
        with self.disk('ro') as disk:  # root may write everywhere else
            self.refuses(*self.flags(out=disk / 'out'), words=['disk/out', 'Read-only'])

    @contextlib.contextmanager
    def disk(self, options):
        """A disk of its own at self.tmp/disk; a skip where none may be mounted."""
        disk = self.tmp / 'disk'
        disk.mkdir()
        done = subprocess.run(['mount', '-t', 'tmpfs', '-o', options, 'hone-test', disk],
                              capture_output=True, text=True)
        if done.returncode:
            self.skipTest(f'no tmpfs can be mounted, which takes root: {done.stderr}')
        try:
            yield disk
        finally:
            subprocess.run(['umount', disk], check=True)

    def test_a_full_disk(self):
        need_kb = (len((self.bert / 'model.safetensors').read_bytes()) + 1023) // 1024
        # not even the tokenizer's files, the weights not, all but the last page
        for size_kb in (4, need_kb // 2, need_kb):
            with self.subTest(size_kb), self.disk(f'size={size_kb}k') as disk:
                done = hone(*self.flags(out=disk / 'out'))
                self.assertEqual((done.returncode, done.stdout), (1, ''), done.stderr)
                last = done.stderr.splitlines()[-1]
                self.assertRegex(last, r"\Ahone train: .*/disk/out.*no space left on the disk\Z")
                self.assertEqual(os.listdir(disk), [])
            (self.tmp / 'disk').rmdir()

    def test_a_full_disk_leaves_the_model_that_is_there(self):
        with self.disk('size=180k') as disk:
            old = make_model(disk / 'out')
            before = self.listing()
            done = hone(*self.flags(out=old))
            self.assertEqual(done.returncode, 1)
            self.assertIn('no space left on the disk', done.stderr.splitlines()[-1])
            self.assertEqual(self.listing(), before)

    def test_a_disk_without_room_for_a_checkpoint(self):
        with self.disk('size=180k') as disk:
            done = hone(*self.flags('--checkpoint-steps', '3', out=disk / 'out'))
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr.splitlines()[-1],
                             r"\Ahone train: .*/disk/out\.checkpoint.*no space left on the disk\Z")
            self.assertEqual(os.listdir(disk), [])

    def test_standard_output_that_is_full(self):
        with open('/dev/full', 'w') as full:
            done = hone(*self.flags(), stdout=full, stderr=-1)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.splitlines()[-1], 'hone train: write to standard output failed')
        self.assertEqual(set(os.listdir(self.tmp / 'out')), {'config.json', 'model.safetensors', 'vocab.txt'})

    def test_a_checkpoint_of_another_run(self):
        (self.tmp / 'out.checkpoint').write_bytes(b'no checkpoint')
        self.fails_late('out.checkpoint', 'delete')
        (self.tmp / 'out.checkpoint').unlink()
        command = [HONE, *map(str, self.flags('--checkpoint-steps', '1', '--epochs', '10000'))]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            for line in process.stderr:
                if line.startswith('epoch 1:'):
                    break
            process.kill()
        for flags, words in ((['--seed', '7'], ['out.checkpoint', 'other options']),
                             (['--train', self.eval_csv], ['out.checkpoint', 'other training data']),
                             (['--eval', self.eval_csv], ['out.checkpoint', 'other evaluation data'])):
            with self.subTest(words):
                self.fails_late(*words, flags=['--epochs', '10000', *flags])
        cut = (self.tmp / 'out.checkpoint').read_bytes()[:-1]
        (self.tmp / 'out.checkpoint').write_bytes(cut)
        self.fails_late('out.checkpoint', 'broken', flags=['--epochs', '10000'])

    def fails_late(self, *words, flags=()):
        """A failure after the note of a new head; nothing changes."""
        before = self.listing()
        done = hone(*self.flags(*flags))
        self.assertEqual((done.returncode, done.stdout), (1, ''), done.stderr)
        *notes, last = done.stderr.splitlines()
        self.assertLessEqual(len(notes), 1, done.stderr)
        for word in ('hone train: ', *words):
            self.assertIn(word, last)
        self.assertEqual(self.listing(), before)


class BadData(TrainCase):
    def refused(self, name, content, *words, flags=()):
        path = self.file(name, content)
        self.refuses(*self.flags(*flags, data=path), words=[name, *words])
        path.unlink()

    def test_files_that_are_not_there(self):
        self.refuses(*self.flags(data=self.tmp / 'gone.csv'), words=['gone.csv'])
        self.refuses(*self.flags('--eval', self.tmp / 'gone.csv'), words=['gone.csv'])
        self.refuses(*self.flags(base=self.tmp / 'gone'), words=['gone'])
        (self.tmp / 'folder.csv').mkdir()
        self.refuses(*self.flags(data=self.tmp / 'folder.csv'), words=['folder.csv'])

    def test_files_without_rows(self):
        for name in ('a.csv', 'a.tsv', 'a.jsonl', 'a.csv.gz'):
            for content in (b'', b'\n\n', b' \r\n'):
                self.refused(name, gzip.compress(content) if name.endswith('gz') else content, 'empty')
        self.refused('a.csv', 'text,label\n', 'no rows')
        self.refuses(*self.flags('--eval', self.file('b.csv', '')), words=['b.csv', 'empty'])

    def test_no_such_column_lists_those_there_are(self):
        self.refused('a.csv', 'sentence,mood\ngood,pos\n', "'text'", "'sentence'", "'mood'")
        self.refused('a.csv', 'text,mood\ngood,pos\n', "'label'", "'text'", "'mood'")
        self.refused('a.tsv', 'text\tmood\ngood\tpos\n', "'label'", "'text'", "'mood'")
        self.refused('a.jsonl', '{"text": "a", "mood": 1}\n', 'line 1', "'label'", "'text'", "'mood'")
        self.refused('a.csv', csv(ROWS), "'sentence'", "'text'", "'label'", flags=['--text-column', 'sentence'])
        self.refused('a.csv', csv(ROWS), 'column 2', flags=['--text-column', '2', '--label-column', '0'])
        self.refuses(*self.flags('--text-column', '0'), words=["'0'", "'label'"])
        self.refused('a.csv', 'text,label,text\na,b,c\n', "two columns 'text'")
        # a header that no terminal should show as it is
        self.refused('a.csv', '"te\nxt","\x1b[2J"\na,b\n', "'text'")
        self.refused('a.csv', ','.join(f'column{i}' * 20 for i in range(200)) + '\n', "'text'", 'column0')

    def test_csv_that_breaks_its_format(self):
        good = 'text,label\na,b\n'
        for row, words in (('c\n', ['line 3', '1 column']), ('c,d,e\n', ['line 3', '3 columns']),
                           ('"c,d\ne,f\n', ['line 3', 'quote']), ('"c"d,e\n', ['line 3', 'quote']),
                           (',b\n', ['line 3', 'text is empty']), ('c,\n', ['line 3', 'label is empty']),
                           (' \t,b\n', ['line 3', 'text is empty']), ('c,d\0e\n', ['line 3', 'NUL']),
                           ('c,' + 'd' * 2000 + '\n', ['line 3', '2000 bytes'])):
            with self.subTest(row[:20]):
                self.refused('a.csv', good + row, *words)
        self.refused('a.csv', good + '"c\r\nd",e\r\nf\r\n', 'line 5', '1 column')
        self.refused('a.csv', ','.join('x' * 300) + '\n', 'columns')

    def test_jsonl_that_breaks_its_format(self):
        good = '{"text": "a", "label": "b"}\n'
        for row in ('{', '[1]', 'a,b', '{"text": 1, "label": "b"}', '{"text": "a", "label": null}',
                    '{"text": "a", "label": ["b"]}', '{"text": "", "label": "b"}', '{"label": "b"}',
                    '{"text": "a", "label": ""}', '{"text": "\\ud83d", "label": "b"}',
                    '{"text": "a", "label": "b\\u0000"}', '[' * 100_000):
            with self.subTest(row[:40]):
                self.refused('a.jsonl', good + row + '\n', 'line 2')

    def test_bytes_that_are_no_text(self):
        self.refused('a.csv', csv(ROWS).encode('utf-16'), 'UTF-16')
        self.refused('a.csv', b'text,label\ncaf\x81,pos\n', 'line 2', '0x81')
        self.refused('a.csv', b'text,label\ncaf\xe9,pos\n', 'line 2', '0xE9', 'UTF-8',
                     flags=['--encoding', 'utf-8'])
        mostly = 'text,label\n' + 'é,pos\nü,neg\n' * 20
        self.refused('a.csv', mostly.encode() + b'\xe9,pos\n', 'line 42', '0xE9')
        self.refused('a.csv', b'\x89PNG\r\n\x1a\n' + bytes(range(256)) * 4)
        self.refused('a.csv.gz', gzip.compress(csv(ROWS).encode())[:-10], 'gzip')
        self.refuses(*self.flags('--encoding', 'utf-7'), words=["'utf-7'"])

    def test_texts_above_the_limit(self):
        megabyte = 'good ' * (1024 * 1024 // 5)
        found = self.train(data=self.file('a.csv', csv([(megabyte, 'pos'), ('bad', 'neg')])))
        self.assertEqual(found['steps'], 1)
        self.refused('b.csv', csv([(megabyte + 'xx', 'pos'), ('bad', 'neg')]), 'line 2', '1048577')

    def test_one_class_only(self):
        self.refused('a.csv', csv([('good', 'pos'), ('fine', 'pos')]), "one class only, 'pos'")

    def test_a_label_that_training_never_saw(self):
        rows = sentences(10) + [('so la la', 'neutral')]
        self.refuses(*self.flags('--eval', self.file('eval.csv', csv(rows))),
                     words=['eval.csv', 'line 12', "'neutral'"])

    def test_labels_that_are_no_numbers(self):
        for label in ('pos', 'nan', 'inf', '1e999', '1,5', '0x', '1 2'):
            with self.subTest(label):
                rows = f'text;label\ngood;1.5\nbad;{label}\n'
                self.refuses(*self.flags('--problem-type', 'regression', '--delimiter', ';',
                                         data=self.file('a.csv', rows)), words=['a.csv', 'line 3', f"'{label}'"])

    def test_a_name_that_says_nothing(self):
        self.refused('a.txt', csv(ROWS), 'ends in none of', '--delimiter')
        self.refused('a.parquet', b'PAR1', 'ends in none of')
        self.refuses(*self.flags('--delimiter', 'ab'), words=["'ab'"])


class BadBase(TrainCase):
    def test_a_base_that_is_no_whole_model(self):
        base = self.copy('base')
        whole = {name: (base / name).read_bytes() for name in os.listdir(base)}
        config = json.loads(whole['config.json'])
        for name, content, words in (
                ('config.json', None, ['config.json']), ('config.json', b'{', ['config.json']),
                ('config.json', json.dumps({**config, 'model_type': 'gpt2'}).encode(), ['gpt2']),
                ('config.json', json.dumps({**config, 'hidden_size': 64}).encode(), ['[99,32]', '[99,64]']),
                ('config.json', json.dumps({**config, 'vocab_size': 2**24, 'hidden_size': 2**14}).encode(),
                 ['[99,32]', '[16777216,16384]']),
                ('model.safetensors', None, ['model.safetensors']),
                ('model.safetensors', whole['model.safetensors'][:50_000], ['model.safetensors']),
                ('model.safetensors', whole['model.safetensors'][:-4] + b'\0\0\xc0\x7f', ['not finite']),
                ('vocab.txt', None, ['vocab.txt']),
                ('vocab.txt', whole['vocab.txt'].replace(b'[UNK]', b'[unk]'), ['[UNK]'])):
            with self.subTest(name=name, words=words):
                for restored, data in whole.items():
                    (base / restored).write_bytes(data)
                if content is None:
                    (base / name).unlink()
                else:
                    (base / name).write_bytes(content)
                self.refuses(*self.flags(base=base), words=words)

    def test_a_tokenizer_of_another_model(self):
        base = self.copy('base')
        (base / 'vocab.txt').write_text((base / 'vocab.txt').read_text() + 'zebra\n')
        rows = [('a zebra', 'pos'), ('bad', 'neg')]
        self.refuses(*self.flags(base=base, data=self.file('zoo.csv', csv(rows))), words=['zoo.csv', '99'])


class Flags(TrainCase):
    def test_flags_that_make_no_sense(self):
        for flags, words in ((['--epochs', '0'], ['epochs']), (['--epochs', '-1'], ["--epochs '-1'"]),
                             (['--batch-size', '0'], ['batch size']), (['--lr', 'fast'], ["--lr 'fast'"]),
                             (['--lr', 'nan'], ['--lr']), (['--lr', '-1'], ['learning rate']),
                             (['--lr', '1e999'], ['--lr']), (['--warmup', '-0.1'], ['warm-up']),
                             (['--dropout', '1'], ['dropout']), (['--clip', '-1'], ['norm']),
                             (['--weight-decay', '-1'], ['decay']), (['--max-length', '1'], ['1']),
                             (['--micro-tokens', '0'], ['tokens']), (['--seed', '-1'], ['--seed']),
                             (['--seed', '18446744073709551616'], ['--seed']), (['--patience', '1'], ['patience']),
                             (['--threads', '100000'], ['100000', 'threads']),
                             (['--problem-type', 'guess'], ["'guess'"]), (['--frob'], ["'--frob'"]),
                             (['more'], ["'more'"]), (['--epochs'], ['--epochs needs N'])):
            with self.subTest(flags):
                self.refuses(*self.flags(*flags), words=words)

    def test_progress_names_the_epochs(self):
        done = self.run_ok(*self.flags('--epochs', '2', '--eval', self.eval_csv))
        found = re.findall(r'^epoch (\d): training loss [\d.]+ in .*; evaluation loss', done.stderr, re.M)
        self.assertEqual(found, ['1', '2'])
        self.assertIn(f"wrote '{self.tmp}/out'", done.stderr)


if __name__ == '__main__':
    unittest.main()
