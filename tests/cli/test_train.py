"""hone train and hone eval: files of every form, the JSON, a killed run, full and forbidden disks."""
import gzip
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from support import GOLDEN, HONE, Case, hone, shared

GOOD, BAD = ['good', 'great', 'fine', 'lovely'], ['bad', 'poor', 'awful', 'dull']
OTHER = ['the', 'film', 'was', 'food', 'and', 'staff', 'room', 'very', 'so', 'a', 'it', 'here']


def rows(count):
    """Sentences whose label one word decides."""
    for i in range(count):
        words = [OTHER[(i * 7 + k * 5) % len(OTHER)] for k in range(2 + i % 6)]
        words.insert(i % 3, (GOOD if i % 2 else BAD)[i // 2 % 4])
        yield ' '.join(words), 'pos' if i % 2 else 'neg'


def make_base(folder):
    """The golden BERT with a vocabulary of its 99 pieces."""
    folder.mkdir()
    for name in ('config.json', 'model.safetensors'):
        shutil.copy(GOLDEN / 'model' / 'bert' / name, folder)
    pieces = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', *GOOD, *BAD, *OTHER]
    pieces += [f'[unused{i}]' for i in range(99 - len(pieces))]
    (folder / 'vocab.txt').write_text('\n'.join(pieces) + '\n')
    (folder / 'tokenizer_config.json').write_text('{"do_lower_case": true}')


class Train(Case):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='hone-train-'))
        self.addCleanup(shutil.rmtree, self.dir)
        self.base, self.out = self.dir / 'base', self.dir / 'out'
        make_base(self.base)
        self.csv = self.dir / 'train.csv'
        self.csv.write_text('text,label\n' + ''.join(f'{t},{y}\n' for t, y in rows(120)))

    def command(self, *more, train=None):
        return ['train', '--base', self.base, '--train', train or self.csv, '--out', self.out,
                '--lr', '2e-3', '--epochs', '6', '--batch-size', '16', *more]

    def train(self, *more, train=None):
        done = hone(*self.command(*more, train=train))
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout), done.stderr

    def names(self):
        return sorted(path.name for path in self.dir.iterdir())

    def test_metrics_are_one_json_and_the_folder_is_complete(self):
        said, progress = self.train('--eval', self.csv, '--threads', '2')
        self.assertGreaterEqual(said['accuracy'], 0.95)
        self.assertGreaterEqual(said['macro_f1'], 0.95)
        self.assertEqual(sorted(said['per_class']), ['neg', 'pos'])
        self.assertEqual(said['per_class']['pos']['support'], 60)
        self.assertEqual([e['epoch'] for e in said['epochs']], [1, 2, 3, 4, 5, 6])
        self.assertEqual(said['epochs'][-1]['accuracy'], said['accuracy'])
        self.assertEqual(said['steps'], 48)
        for key in ('loss', 'train_loss', 'seconds', 'examples_per_second', 'tokens_per_second'):
            self.assertGreater(said[key], 0, key)
        self.assertIn('epoch 6: training loss', progress)
        self.assertEqual(sorted(p.name for p in self.out.iterdir()),
                         ['config.json', 'model.safetensors', 'tokenizer_config.json', 'vocab.txt'])
        config = json.loads((self.out / 'config.json').read_text())
        self.assertEqual(config['id2label'], {'0': 'neg', '1': 'pos'})
        self.assertEqual(self.names(), ['base', 'out', 'train.csv'])

        done = hone('eval', '--model', self.out, '--data', self.csv)
        measured = json.loads(done.stdout)
        self.assertEqual(measured['accuracy'], said['accuracy'])
        self.assertAlmostEqual(measured['loss'], said['loss'], delta=1e-4)
        self.assertEqual(measured['examples'], 120)

    def test_every_form_of_the_same_texts_gives_the_same_bytes(self):
        texts = list(rows(120))
        self.train()
        want = (self.out / 'model.safetensors').read_bytes()
        jsonl = ''.join(json.dumps({'label': y, 'text': t}) + '\n' for t, y in texts)
        forms = [
            ('a.jsonl', jsonl.encode(), []),
            ('a.jsonl.gz', gzip.compress(jsonl.encode()), []),
            ('a.tsv', ''.join(f'{y}\t{t}\r\n' for t, y in [('text', 'label'), *texts]).encode(), []),
            ('a.csv.gz', gzip.compress(self.csv.read_bytes()), []),
            ('a.txt', ''.join(f'{t};{y}\n' for t, y in texts).encode(),
             ['--delimiter', ';', '--text-column', '0', '--label-column', '1']),
            ('b.csv', '\ufeff"sentence","y"\r\n'.encode() +
             ''.join(f'"{t}","{y}"\r\n' for t, y in texts).encode(),
             ['--text-column', 'sentence', '--label-column', 'y']),
        ]
        for name, data, flags in forms:
            with self.subTest(name):
                path = self.dir / name
                path.write_bytes(data)
                self.train(*flags, train=path)
                self.assertEqual((self.out / 'model.safetensors').read_bytes(), want)

    def test_cp1252_is_told(self):
        self.csv.write_bytes(b'text,label\n' + b'caf\xe9 good,pos\nth\xe9 bad,neg\n' * 8)
        _, progress = self.train()
        self.assertIn(f"'{self.csv}' is no UTF-8: read as cp1252", progress)
        _, progress = self.train('--encoding', 'latin-1')
        self.assertNotIn('cp1252', progress)

    def test_threads_and_a_kill_do_not_change_a_byte(self):
        self.train('--eval', self.csv, '--threads', '1')
        want = (self.out / 'model.safetensors').read_bytes()
        for threads in ('2', '3', '7'):
            self.train('--eval', self.csv, '--threads', threads)
            self.assertEqual((self.out / 'model.safetensors').read_bytes(), want, threads)

        shutil.rmtree(self.out)
        checkpoint = self.dir / 'out.checkpoint'
        command = self.command('--eval', self.csv, '--checkpoint-steps', '5')
        # Killed again and again at whatever instant: each part goes on where the last one was.
        kills = 0
        for _ in range(40):
            run = subprocess.Popen([HONE, *map(str, command)], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
            deadline, stamp = time.monotonic() + 60, None
            if checkpoint.exists():
                stamp = checkpoint.stat().st_mtime_ns
            while run.poll() is None and time.monotonic() < deadline:
                if checkpoint.exists() and checkpoint.stat().st_mtime_ns != stamp:
                    break
            run.send_signal(signal.SIGKILL)
            run.communicate()
            if run.returncode == 0:
                break
            kills += 1
        self.assertEqual(run.returncode, 0)
        self.assertGreater(kills, 0)
        self.assertEqual((self.out / 'model.safetensors').read_bytes(), want)
        self.assertFalse(checkpoint.exists())

    def test_bad_data_is_one_line(self):
        cases = [
            (b'', 'is empty'),
            (b'text,y\na,b\n', "no column 'label', only 'text', 'y'"),
            (b'text,label\na,b\nc,b\n', "one class only, 'b'"),
            (b'text,label\ngood,pos\n"bad,neg\n', 'line 3: a quote opens here'),
            (b'text,label\ngood,pos\nbad\n', 'line 3 has 1 column'),
            (b'text,label\ngood,pos\n  ,neg\n', 'line 3: the text is empty'),
        ]
        for data, words in cases:
            with self.subTest(words):
                self.csv.write_bytes(data)
                self.assert_fails(hone(*self.command()), words)
        self.assertEqual(self.names(), ['base', 'train.csv'])

    def test_bad_flags_are_one_line(self):
        for flags, words in [(['--epochs', '0'], 'epochs is 0'), (['--lr', '-1'], 'learning rate'),
                             (['--patience', '2'], 'patience needs'),
                             (['--encoding', 'x'], "encoding 'x'"),
                             (['--problem-type', 'x'], "problem type 'x'"),
                             (['--problem-type', 'regression'], "label 'neg' is no number"),
                             (['--eval', 'none.csv'], "open 'none.csv'")]:
            with self.subTest(words):
                self.assert_fails(hone(*self.command(*flags)), words)
        self.assertEqual(self.names(), ['base', 'train.csv'])

    def test_somebodys_folder_is_left_alone(self):
        self.out.mkdir()
        (self.out / 'thesis.txt').write_text('years of work')
        self.assert_fails(hone(*self.command()), 'is no model folder')
        self.assertEqual((self.out / 'thesis.txt').read_text(), 'years of work')

    @unittest.skipIf(os.geteuid() == 0, 'root may write everywhere')
    def test_forbidden_folder_is_told_before_the_training(self):
        self.dir.chmod(0o555)
        self.addCleanup(self.dir.chmod, 0o755)
        self.assert_fails(hone(*self.command()), 'Permission denied')

    def test_full_disk_leaves_nothing(self):
        small = self.dir / 'small'
        small.mkdir()
        mount = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k', 'none', small],
                               capture_output=True, text=True)
        if mount.returncode:
            self.skipTest(f'no tmpfs can be mounted here: {mount.stderr.strip()}')
        self.addCleanup(subprocess.run, ['umount', small])
        self.out = small / 'out'
        done = hone(*self.command())
        self.assertEqual((done.returncode, done.stdout), (1, ''))
        self.assertIn('No space left on device', done.stderr.splitlines()[-1])
        self.assertEqual(list(small.iterdir()), [])

    def test_eval_names_the_label_it_does_not_know(self):
        self.train('--epochs', '1')
        other = self.dir / 'other.csv'
        other.write_text('text,label\ngood,pos\nbad,mixed\n')
        self.assert_fails(hone('eval', '--model', self.out, '--data', other),
                          f"'{other}' line 3: label 'mixed' is none of the 2 known: 'neg', 'pos'")

    def test_eval_of_a_model_without_names_takes_numbers(self):
        other = self.dir / 'other.csv'
        other.write_text('text,label\ngood,0\nbad,2\nfine,LABEL_1\n')
        done = hone('eval', '--model', self.base, '--data', other)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(json.loads(done.stdout)['per_class']), 3)

    def test_public_files_are_read(self):
        """Every classification file of ../shared/data, as far as its first error would show."""
        files = [
            ('sst2/dev.tsv', ['--text-column', 'sentence'], ['0', '1']),
            ('sentences/yelp_labelled.txt',
             ['--delimiter', 'tab', '--text-column', '0', '--label-column', '1'], ['0', '1']),
            ('emotion/val.txt', ['--delimiter', ';', '--label-column', 'label_name'],
             ['anger', 'fear', 'joy', 'love', 'sadness', 'surprise']),
            ('sms_spam/SMSSpamCollection',
             ['--delimiter', 'tab', '--text-column', 'SMS', '--label-column', 'Label'],
             ['ham', 'spam']),
        ]
        for name, flags, labels in files:
            with self.subTest(name):
                path = shared(f'data/{name}')
                said, _ = self.train('--epochs', '1', '--eval', path, *flags, train=path)
                self.assertEqual(sorted(said['per_class']), labels)


if __name__ == '__main__':
    unittest.main()
