"""hone tokenize: the goldens of tests/golden/text through the command line, and what it refuses."""
import gzip
import json
import os
import subprocess
import unittest

from support import GOLDEN, HONE, hone
from tiny import ModelCase, lines

TEXT = GOLDEN / 'text'


class Tokenize(ModelCase):
    def tokens(self, stdin, *more, model=TEXT / 'uncased'):
        return self.answers('tokenize', '--model', model, '--jsonl', *more, stdin=stdin)

    def test_ids_and_offsets_are_those_of_the_library(self):
        for folder in sorted(path for path in TEXT.iterdir() if path.is_dir()):
            with self.subTest(folder.name):
                cases = [json.loads(line) for line in
                         (folder / 'cases.jsonl').read_text().splitlines()]
                limits = {c.get('max_length', 0) for c in cases}
                self.assertGreater(len(limits), 1)
                for limit in limits:
                    chosen = [c for c in cases if c.get('max_length', 0) == limit]
                    texts = [{'text': c['text'], 'text_pair': c.get('second')} for c in chosen]
                    found = self.tokens(lines(*texts), '--max-length', limit, model=folder)
                    self.assertEqual(len(found), len(chosen))
                    for case, tokens in zip(chosen, found):
                        for key in tokens:
                            self.assertEqual(tokens[key], case[key], case)

    def test_offsets_are_code_points(self):
        found = self.tokens(lines({'text': 'Été \U0001F600 good'}))[0]
        self.assertEqual(found['offsets'][-2:], [[6, 10], [0, 0]])
        self.assertEqual(found['ids'][-2:], [28, 3])
        self.assertEqual(len(found['ids']), len(found['offsets']))

    def test_escapes_of_json(self):
        escaped = '{"text": "\\ud83d\\ude00 go\\u0000od\\n\\u0062ad\\/"}\n'
        found = self.tokens(escaped)[0]
        self.assertEqual(found, self.tokens(lines({'text': '\U0001F600 go\0od\nbad/'}))[0])
        # a NUL is dropped, but it is a place in the text
        self.assertEqual([found['ids'][i] for i in (2, 3)], [28, 14])
        self.assertEqual([found['offsets'][i] for i in (2, 3)], [[2, 7], [8, 11]])

    def test_keys_that_are_not_asked_for_are_passed_over(self):
        found = self.tokens('{"label": [{}], "text": "good", "id": 1e5}\n')
        self.assertEqual(found, [{'ids': [2, 28, 3], 'offsets': [[0, 0], [0, 4], [0, 0]]}])

    def test_pair_has_types(self):
        found = self.tokens(lines({'text': 'good film', 'text_pair': 'bad'}))[0]
        self.assertEqual(found, {'ids': [2, 28, 26, 3, 14, 3], 'types': [0, 0, 0, 0, 1, 1],
                                 'offsets': [[0, 0], [0, 4], [5, 9], [0, 0], [0, 3], [0, 0]]})

    def test_plain_lines_are_texts(self):
        expected = self.tokens(lines({'text': 'good'}, {'text': ''}, {'text': '{"text": "bad"}'}))
        text = 'good\n\n{"text": "bad"}\n'
        for form in (text, text.rstrip('\n'), text.replace('\n', '\r\n')):
            found = self.answers('tokenize', '--model', TEXT / 'uncased', stdin=form)
            self.assertEqual(found, expected)
        path = self.file('texts', text)
        self.assertEqual(self.answers('tokenize', '--model', TEXT / 'uncased', path), expected)
        path = self.file('texts.gz', gzip.compress(text.encode()))
        self.assertEqual(self.answers('tokenize', '--model', TEXT / 'uncased', path), expected)

    def test_max_length_cuts_the_longest_first(self):
        def ids(text, pair, limit):
            text = {'text': text, 'text_pair': pair} if pair else {'text': text}
            return self.tokens(lines(text), '--max-length', limit)[0]['ids']
        self.assertEqual(ids('good film was bad', None, 4), [2, 28, 26, 3])
        self.assertEqual(ids('good film was bad', None, 2), [2, 3])
        self.assertEqual(ids('good film was bad', 'the', 6), [2, 28, 26, 3, 48, 3])
        self.assertEqual(ids('the', 'good film was bad', 6), [2, 48, 3, 28, 26, 3])

    def test_nothing_is_cut_unless_asked(self):
        found = self.tokens(lines({'text': 'good ' * 5000}))[0]
        self.assertEqual(found['ids'], [2] + [28] * 5000 + [3])

    def test_a_megabyte_of_text(self):
        found = self.tokens(lines({'text': 'good ' * 200_000}, {'text': 'x' * 1_000_000}))
        self.assertEqual(len(found[0]['ids']), 200_002)
        self.assertEqual(found[0]['offsets'][-2], [999_995, 999_999])
        self.assertEqual(found[1], {'ids': [2, 1, 3], 'offsets': [[0, 0], [0, 1_000_000], [0, 0]]})

    def test_no_line_has_no_tokens(self):
        self.assertEqual(self.tokens(''), [])
        self.assertEqual(self.tokens(None, self.file('empty', '')), [])

    def test_a_line_is_answered_before_the_next_is_written(self):
        with subprocess.Popen([HONE, 'tokenize', '--model', str(self.bert)], text=True, bufsize=1,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            for text, ids in (('good', [2, 28, 3]), ('bad', [2, 14, 3])):
                process.stdin.write(text + '\n')
                self.assertEqual(json.loads(process.stdout.readline())['ids'], ids)


class BadTokenizer(ModelCase):
    """Every folder without a tokenizer that hone has."""

    def refused(self, name, content, *words):
        model = self.tmp / 'model'
        model.mkdir(exist_ok=True)
        (model / name).write_bytes(content)
        self.refuses('tokenize', '--model', model, words=words or [name], stdin='good\n')
        (model / name).unlink()

    def spoilt(self, *words, **changes):
        """tokenizer.json with other parts; a part of the model is named model__part."""
        whole = json.loads((TEXT / 'uncased' / 'tokenizer.json').read_text())
        for key, value in changes.items():
            *path, last = key.split('__')
            part = whole
            for name in path:
                part = part[name]
            part[last] = value
        self.refused('tokenizer.json', json.dumps(whole).encode(), *words)

    def test_no_tokenizer(self):
        self.refuses('tokenize', '--model', self.tmp, stdin='good\n',
                     words=['tokenizer.json', 'vocab.txt', self.tmp.name])
        self.refuses('tokenize', '--model', self.tmp / 'gone', stdin='good\n', words=['gone'])

    def test_no_unk(self):
        vocab = json.loads((TEXT / 'uncased' / 'tokenizer.json').read_text())['model']['vocab']
        vocab['[unk]'] = vocab.pop('[UNK]')
        self.spoilt('[UNK]', model__vocab=vocab, added_tokens=[])
        self.spoilt('[nothing]', model__unk_token='[nothing]')
        pieces = (TEXT / 'accents' / 'vocab.txt').read_bytes()
        self.refused('vocab.txt', pieces.replace(b'[UNK]', b'[unk]'), '[UNK]')
        self.refused('vocab.txt', pieces.replace(b'[SEP]', b'[sep]'), '[SEP]')
        self.refused('vocab.txt', b'')

    def test_json_that_is_none(self):
        whole = (TEXT / 'uncased' / 'tokenizer.json').read_bytes()
        for content in (b'', b'{', whole[:len(whole) // 2], b'[]', b'{}', b'null', b'[' * 100_000,
                        whole.replace(b'film', b'fi\xfflm')):
            with self.subTest(content[:20]):
                self.refused('tokenizer.json', content)

    def test_other_kinds_of_tokenizer(self):
        self.spoilt('BPE', model={'type': 'BPE', 'vocab': {'a': 0}, 'merges': []})
        self.spoilt('Unigram', model={'type': 'Unigram', 'vocab': [['a', 0.0]]})
        self.spoilt('ByteLevel', pre_tokenizer={'type': 'ByteLevel'})
        self.spoilt('NFKC', normalizer={'type': 'NFKC'})

    def test_vocabularies_that_lie(self):
        vocab = {'[PAD]': 0, '[UNK]': 1, '[CLS]': 2, '[SEP]': 3}
        for more in ({'a': 3}, {'a': -1}, {'a': 2**31}, {'a': 2**62}, {'a': 1.5}, {'a': '4'}, {'a': None}):
            with self.subTest(more):
                self.spoilt("'a'", model__vocab={**vocab, **more}, added_tokens=[])
        self.spoilt('vocab', model__vocab=[])
        self.spoilt('max_input_chars_per_word', model__max_input_chars_per_word=-5)

    def test_vocab_that_is_no_utf8(self):
        self.refused('vocab.txt', b'[PAD]\n[UNK]\n[CLS]\n[SEP]\ncaf\xe9\n', 'UTF-8')


class BadInput(ModelCase):
    def refused(self, line, *words):
        self.refuses_after(2, 'tokenize', '--model', TEXT / 'uncased', '--jsonl', words=words,
                           stdin=b'{"text": "good"}\n' * 2 + line + b'\n{"text": "good"}\n')

    def test_lines_that_are_no_text(self):
        for line in (b'{', b'[1]', b'good', b'', b'{"text": "a', b'[' * 100_000):
            with self.subTest(line[:20]):
                self.refused(line, 'JSON')
        for line in (b'{}', b'{"text": 1}', b'{"text": null}', b'{"ids": [1]}'):
            with self.subTest(line):
                self.refused(line, "'text'")
        self.refused(b'{"text": "a", "text_pair": []}', "'text_pair'")

    def test_text_that_is_no_utf8(self):
        self.refused(b'{"text": "caf\xe9"}', 'byte 0xe9')
        self.refused(b'{"text": "\\ud83d"}', 'JSON')
        for part in (b'\xe9', b'\xed\xa0\x80', b'\xc0\x80', b'\xf5\x80\x80\x80', b'\xe2\x82'):
            with self.subTest(part):
                self.refuses_after(1, 'tokenize', '--model', TEXT / 'uncased', words=['UTF-8'],
                                   stdin=b'good\ncaf' + part + b'\ngood\n')

    def test_flags_and_files(self):
        for flags, words in (([self.tmp / 'gone'], ['gone']), ([self.tmp], [self.tmp.name]),
                             (['--max-length', '-1'], ["'-1'"]), (['--max-length', 'x'], ["'x'"]),
                             (['--threads', '2'], ['--threads']), (['a', 'b'], ["'b'"])):
            with self.subTest(flags):
                self.refuses('tokenize', '--model', self.bert, *flags, words=words, stdin='good\n')
        self.refuses('tokenize', '--model', self.bert, '--max-length', '1', words=['line 1', '1'],
                     stdin='good\n')

    def test_standard_output_that_is_full_or_closed(self):
        for text in ('good\n', 'good\n' * 10_000):
            with open('/dev/full', 'w') as full:
                done = hone('tokenize', '--model', self.bert, stdin=text, stdout=full, stderr=-1)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, r'\Ahone tokenize: .*write to standard output failed\n\Z')
            reader, writer = os.pipe()
            os.close(reader)
            done = hone('tokenize', '--model', self.bert, stdin=text, stdout=writer, stderr=-1)
            os.close(writer)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(done.stderr.count('\n'), 1, done.stderr)


if __name__ == '__main__':
    unittest.main()
