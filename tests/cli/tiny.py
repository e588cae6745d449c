"""Tiny models for the command line tests: folders made of the checkpoints of tests/golden/model and
a vocabulary of tests/golden/text that is cut to their size; and the weights of a folder, read and
written, so that a test can spoil them."""
import hashlib
import json
import pathlib
import random
import shutil
import struct
import subprocess
import tempfile

from support import Case, GOLDEN, HONE, hone

VOCAB = 99  # of the checkpoints
POSITIONS = 32
# words of the vocabulary that say nothing, for sentences in which one word says all
FILLERS = 'the film was in it is of paper river letter play read a an and evening morning to'.split()


def pieces():
    """The vocabulary that fits the checkpoints: special tokens, words, letters and digits."""
    return (GOLDEN / 'text' / 'accents' / 'vocab.txt').read_text().splitlines()[:VOCAB]


def make_model(folder, checkpoint='model/bert'):
    """A complete model folder."""
    folder.mkdir()
    for name in ('config.json', 'model.safetensors'):
        shutil.copy(GOLDEN / checkpoint / name, folder / name)
    (folder / 'vocab.txt').write_text('\n'.join(pieces()) + '\n')
    return folder


def read_weights(path):
    """{name: (dtype, shape, bytes)} of a safetensors file."""
    data = path.read_bytes()
    start = 8 + struct.unpack('<Q', data[:8])[0]
    header = json.loads(data[8:start])
    header.pop('__metadata__', None)
    return {name: (t['dtype'], t['shape'], data[start + t['data_offsets'][0]:
                                                start + t['data_offsets'][1]])
            for name, t in header.items()}


def with_header(header, data):
    """The bytes of a safetensors file; header may be any object, or bytes."""
    if not isinstance(header, bytes):
        header = json.dumps(header).encode()
    return struct.pack('<Q', len(header)) + header + data


def layout(tensors):
    """(header, data) of {name: (dtype, shape, bytes)}."""
    header, data = {}, b''
    for name, (dtype, shape, part) in tensors.items():
        header[name] = {'dtype': dtype, 'shape': shape,
                        'data_offsets': [len(data), len(data) + len(part)]}
        data += part
    return header, data


def floats(tensor):
    dtype, _, data = tensor
    assert dtype == 'F32'
    return struct.unpack(f'<{len(data) // 4}f', data)


def integers(tensor):
    """The rows of an int64 matrix."""
    dtype, (rows, columns), data = tensor
    assert dtype == 'I64'
    flat = struct.unpack(f'<{rows * columns}q', data)
    return [list(flat[row * columns:(row + 1) * columns]) for row in range(rows)]


def sentences(count, seed=1, labels=('neg', 'pos'), words=('bad', 'good')):
    """[(text, label)]: fillers around one of words, which decides the label."""
    draw = random.Random(seed)
    rows = []
    for i in range(count):
        text = draw.choices(FILLERS, k=draw.randint(2, 9))
        text.insert(draw.randint(0, len(text)), words[i % len(words)])
        rows.append((' '.join(text), labels[i % len(labels)]))
    draw.shuffle(rows)
    return rows


def csv(rows):
    return 'text,label\n' + ''.join(f'{text},{label}\n' for text, label in rows)


def lines(*objects):
    return ''.join(json.dumps(o) + '\n' for o in objects)


def jsonl(rows):
    return lines(*({'text': text, 'label': label} for text, label in rows))


class ModelCase(Case):
    """A case with a folder of its own, self.tmp, and a BERT in self.bert that it may not change."""

    @classmethod
    def setUpClass(cls):
        cls.home = pathlib.Path(tempfile.mkdtemp(prefix='hone-cli-'))
        cls.addClassCleanup(shutil.rmtree, cls.home, ignore_errors=True)
        cls.bert = make_model(cls.home / 'bert')

    def setUp(self):
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix='test-', dir=self.home))

    def file(self, name, content):
        """A file in self.tmp."""
        path = self.tmp / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, newline='')
        return path

    def copy(self, name='model', checkpoint='model/bert'):
        """A model folder that the test may spoil."""
        return make_model(self.tmp / name, checkpoint)

    def listing(self):
        """What lies in self.tmp, and the bytes of it."""
        return {str(path.relative_to(self.tmp)): None if path.is_dir() else
                hashlib.sha256(path.read_bytes()).hexdigest() for path in self.tmp.rglob('*')}

    def run_ok(self, *args, **kwargs):
        done = hone(*args, **kwargs)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def answers(self, *args, **kwargs):
        """The JSON lines of a run that must succeed in silence."""
        done = self.run_ok(*args, **kwargs)
        self.assertEqual(done.stderr, '')
        return [json.loads(line) for line in done.stdout.splitlines()]

    def refuses(self, *args, words, **kwargs):
        """A clean failure that leaves self.tmp as it was."""
        before = self.listing()
        done = hone(*args, **kwargs)
        self.assert_fails(done, f'hone {args[0]}: ', *words)
        self.assertEqual(self.listing(), before)
        return done

    def refuses_after(self, answered, *args, words, stdin):
        """The same, but so many lines of stdin (bytes) are answered before the bad one."""
        done = subprocess.run([HONE, *map(str, args)], input=stdin, capture_output=True)
        said = done.stderr.decode()
        self.assertEqual(done.returncode, 1, said)
        self.assertEqual(said.count('\n'), 1, said)
        for word in (f'hone {args[0]}: ', f'line {answered + 1}', *words):
            self.assertIn(word, said)
        lines = done.stdout.decode().splitlines()
        self.assertEqual(len(lines), answered, lines)
        for line in lines:
            json.loads(line)

    def assert_near(self, found, expected, within=1e-4):
        self.assertEqual(len(found), len(expected))
        for a, b in zip(found, expected):
            self.assertLessEqual(abs(a - b), within, (found, expected))
