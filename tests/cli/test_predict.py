"""hone predict and hone embed: what they answer, and what they refuse to answer from."""
import gzip
import json
import math
import os
import random
import struct
import subprocess
import time
import unittest

from support import GOLDEN, HONE, hone
from tiny import (ModelCase, POSITIONS, floats, integers, layout, lines, make_model, read_weights,
                  sentences, with_header)

CHECKPOINTS = ('bert', 'bert-f16', 'bert-bf16', 'distilbert')
WEIGHT = 'bert.encoder.layer.0.output.dense.weight'


def golden_cases(name):
    """[({'ids': ..., 'types': ...}, row of the case, length)] of a golden checkpoint, and its tensors."""
    cases = read_weights(GOLDEN / 'model' / name / 'cases.safetensors')
    ids, mask, types = (integers(cases[key]) for key in ('ids', 'mask', 'types'))
    inputs = []
    for row, kept in enumerate(mask):
        length = sum(kept)
        inputs.append({'ids': ids[row][:length], 'types': types[row][:length]})
    return inputs, cases


class Kept(ModelCase):
    """Packed weights in the cache: made by the first answer, used by the next start, never needed."""

    def setUp(self):
        super().setUp()
        self.kept = self.tmp / 'packed'
        # What has changed within the last tick of the file system's clock could change once more in it.
        while time.time() - (self.bert / 'model.safetensors').stat().st_ctime < 0.05:
            pass

    def ask(self, command='predict', **env):
        env = {**os.environ, 'HONE_PACK_CACHE': str(self.kept), **env}
        done = hone(command, '--model', self.bert, stdin='the film was good\n', env=env)
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        return done.stdout

    def files(self):
        return sorted(self.kept.iterdir()) if self.kept.exists() else []

    def test_second_start_maps_what_the_first_left(self):
        first = self.ask()
        files = self.files()
        self.assertEqual([file.suffix for file in files], ['.packed'])
        self.assertEqual(files[0].stat().st_mode & 0o777, 0o600)
        made = files[0].stat().st_ino
        self.assertEqual(self.ask(), first)
        self.ask('embed')
        self.assertEqual([file.stat().st_ino for file in self.files()], [made])

    def test_what_is_there_is_not_trusted(self):
        first = self.ask()
        file, = self.files()
        whole = file.read_bytes()
        for broken in (b'', whole[:5000], whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1]), bytes(len(whole))):
            file.write_bytes(broken)
            self.assertEqual(self.ask(), first)
            self.assertEqual(file.read_bytes(), whole)

    def test_nothing_is_written_when_it_is_off(self):
        first = self.ask()
        file, = self.files()
        file.unlink()
        self.assertEqual(self.ask(HONE_PACK_CACHE='off', HONE_CACHE=str(self.kept)), first)
        self.assertEqual(self.files(), [])

    def test_it_lies_in_the_cache_unless_told_otherwise(self):
        self.ask(HONE_PACK_CACHE='', HONE_CACHE=str(self.tmp / 'cache'))
        self.assertEqual(len(list((self.tmp / 'cache/packed').iterdir())), 1)
        self.assertEqual(self.files(), [])

    def test_a_folder_that_cannot_be_is_no_failure(self):
        (self.tmp / 'file').write_text('')
        self.ask(HONE_PACK_CACHE=str(self.tmp / 'file/packed'))
        self.ask(HONE_PACK_CACHE='/dev/null')

    def test_several_at_once_leave_one(self):
        env = {**os.environ, 'HONE_PACK_CACHE': str(self.kept)}
        started = [subprocess.Popen([HONE, 'predict', '--model', str(self.bert)], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, text=True, env=env) for _ in range(4)]
        said = {process.communicate('the film was good\n')[0] for process in started}
        self.assertEqual(len(said), 1)
        self.assertEqual(said, {self.ask()})
        self.assertEqual(len(self.files()), 1)


class Predict(ModelCase):
    def logits(self, text, *more, model=None):
        found = self.answers('predict', '--model', model or self.bert, '--jsonl', '--logits', *more,
                             stdin=text)
        return [answer['logits'] for answer in found]

    def test_logits_of_ids_are_those_of_the_library(self):
        for name in CHECKPOINTS:
            with self.subTest(name):
                inputs, cases = golden_cases(name)
                found = self.logits(lines(*inputs), model=GOLDEN / 'model' / name)
                self.assert_near(sum(found, []), floats(cases['logits']))

    def test_int8_answers_nearly_the_same(self):
        inputs, cases = golden_cases('bert')
        exact = floats(cases['logits'])
        found = sum(self.logits(lines(*inputs), '--dtype', 'int8'), [])
        worst = max(abs(a - b) for a, b in zip(found, exact))
        self.assertTrue(1e-5 < worst < 0.02, worst)  # as near as f32 would not be int8
        self.assertEqual(self.logits(lines(*inputs), '--dtype', 'fp32'), self.logits(lines(*inputs)))

    def test_dtype_is_one_of_four(self):
        for name in ('int4', '', 'INT8', 'f32,int8'):
            done = hone('predict', '--model', self.bert, '--dtype', name, stdin='good\n')
            self.assert_fails(done, f"dtype '{name}'", 'f32, bf16, int8 or auto')

    def test_label_and_score_are_the_largest_softmax(self):
        inputs, _ = golden_cases('bert')
        for answer in self.answers('predict', '--model', self.bert, '--jsonl', '--logits',
                                   stdin=lines(*inputs)):
            powers = [math.exp(z) for z in answer['logits']]
            best = powers.index(max(powers))
            self.assertEqual(answer['label'], f'LABEL_{best}')
            self.assertAlmostEqual(answer['score'], powers[best] / sum(powers), places=6)

    def test_logits_are_written_when_asked_for(self):
        found = self.answers('predict', '--model', self.bert, stdin='the film was good\n')
        self.assertEqual([set(answer) for answer in found], [{'label', 'score'}])

    def test_regression_scores_the_output(self):
        model = self.copy(checkpoint='train/regression')
        found = self.answers('predict', '--model', model, '--logits', stdin='good\n')
        self.assertEqual(found[0]['label'], 'LABEL_0')
        self.assertEqual([found[0]['score']], found[0]['logits'])

    def test_labels_are_json_whatever_they_hold(self):
        model = self.copy()
        names = ['a "quoted" one', 'line\nend \\ \u0001', 'grün \U0001F600']
        config = json.loads((model / 'config.json').read_text())
        config['id2label'] = dict(enumerate(names))
        (model / 'config.json').write_text(json.dumps(config))
        inputs, cases = golden_cases('bert')
        logits = floats(cases['logits'])
        best = [max(range(3), key=lambda i, row=row: logits[row * 3 + i]) for row in range(len(inputs))]
        found = self.answers('predict', '--model', model, '--jsonl', stdin=lines(*inputs))
        self.assertEqual([answer['label'] for answer in found], [names[i] for i in best])

    def test_text_is_the_same_as_its_ids(self):
        text = 'The film was good, anna'
        ids = self.answers('tokenize', '--model', self.bert, stdin=text)[0]['ids']
        self.assertEqual(self.logits(lines({'text': text})), self.logits(lines({'ids': ids})))
        plain = self.answers('predict', '--model', self.bert, '--logits', stdin=text)
        self.assertEqual([plain[0]['logits']], self.logits(lines({'ids': ids})))

    def test_pair_is_the_same_as_its_ids_and_types(self):
        pair = {'text': 'the film', 'text_pair': 'was it good'}
        tokens = self.answers('tokenize', '--model', self.bert, '--jsonl', stdin=lines(pair))[0]
        self.assertEqual(tokens['types'], [0, 0, 0, 0, 1, 1, 1, 1])
        found = self.logits(lines(pair, {'ids': tokens['ids'], 'types': tokens['types']},
                                  {'ids': tokens['ids']}))
        self.assertEqual(found[0], found[1])
        self.assertNotEqual(found[0], found[2])

    def test_null_pair_is_no_pair(self):
        found = self.logits(lines({'text': 'good', 'text_pair': None}, {'text': 'good'}))
        self.assertEqual(found[0], found[1])

    def test_max_length_cuts_texts(self):
        found = self.logits(lines({'text': 'the film was good'}), '--max-length', '4')
        self.assertEqual(found, self.logits(lines({'text': 'the film'})))
        pair = {'text': 'the film was good', 'text_pair': 'it'}
        short = {'text': 'the film', 'text_pair': 'it'}
        self.assertEqual(self.logits(lines(pair), '--max-length', '6'), self.logits(lines(short)))

    def test_long_texts_are_cut_to_what_the_model_takes(self):
        found = self.logits(lines({'text': 'good ' * 1000}, {'text': 'good ' * (POSITIONS - 2)}))
        self.assertEqual(found[0], found[1])

    def test_order_is_kept_over_many_batches(self):
        texts = sorted({text for text, _ in sentences(900)})
        self.assertGreater(len(texts), 3 * 256)
        shuffled = random.Random(5).sample(texts, len(texts))
        a = dict(zip(texts, self.logits(lines(*({'text': t} for t in texts)))))
        b = dict(zip(shuffled, self.logits(lines(*({'text': t} for t in shuffled)))))
        for text in texts:
            self.assert_near(a[text], b[text], within=1e-5)
        self.assertGreater(len({tuple(logits) for logits in a.values()}), len(texts) // 2)

    def test_threads_do_not_change_the_answers(self):
        text = lines(*({'text': t} for t, _ in sentences(300)))
        one = self.logits(text, '--threads', '1')
        for threads in (2, 3, 7):
            self.assertEqual(self.logits(text, '--threads', threads), one)

    def test_a_file_is_read_as_standard_input_is(self):
        text = lines({'text': 'good'}, {'text': 'bad'})
        expected = self.logits(text)
        self.assertEqual(self.logits(None, self.file('in.jsonl', text)), expected)
        self.assertEqual(self.logits(None, self.file('in.gz', gzip.compress(text.encode()))), expected)
        self.assertEqual(self.logits(text, '-'), expected)
        self.assertEqual(self.logits(text.replace('\n', '\r\n')), expected)
        self.assertEqual(self.logits(text.rstrip('\n')), expected)

    def test_a_line_is_answered_before_the_next_is_written(self):
        with subprocess.Popen([HONE, 'predict', '--model', self.bert], text=True, bufsize=1,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            for text in ('good', 'bad', 'the film was good'):
                process.stdin.write(text + '\n')
                answer = json.loads(process.stdout.readline())
                self.assertEqual(answer, self.answers('predict', '--model', self.bert, stdin=text)[0])
            process.stdin.close()
            self.assertEqual(process.stdout.read(), '')
            self.assertEqual(process.wait(), 0)

    def test_an_encoder_without_head_gets_a_new_one(self):
        model = self.copy(checkpoint='model/encoder-only')
        first = self.answers('predict', '--model', model, '--logits', stdin='good\n')
        self.assertEqual(len(first[0]['logits']), 2)
        self.assertEqual(self.answers('predict', '--model', model, '--logits', stdin='good\n'), first)

    def test_empty_texts_are_texts(self):
        found = self.logits(lines({'text': ''}, {'text': ' \t'}, {'ids': [2, 3]}))
        self.assertEqual(found, [found[2]] * 3)
        self.assertEqual(len(self.answers('predict', '--model', self.bert, stdin='\n\n')), 2)

    def test_no_line_has_no_answer(self):
        self.assertEqual(self.answers('predict', '--model', self.bert, stdin=''), [])
        empty = self.file('empty', '')
        self.assertEqual(self.answers('embed', '--model', self.bert, '--jsonl', empty), [])

    def test_a_megabyte_of_text_is_cut(self):
        words = 'good ' * 200_000
        found = self.logits(lines({'text': words}, {'text': 'x' * 1_000_000},
                                  {'text': '\N{GREEK SMALL LETTER ALPHA}' * 500_000}))
        self.assertEqual(found[0], self.logits(lines({'text': 'good ' * 40}))[0])
        self.assertEqual(found[1], self.logits(lines({'ids': [2, 1, 3]}))[0])
        self.assertEqual(found[1], found[2])

    def test_nul_and_surrogate_pairs_are_read(self):
        text = '{"text": "go\\u0000od \\ud83d\\ude00 bad"}\n'
        self.assertEqual(self.logits(text), self.logits(lines({'text': 'good \U0001F600 bad'})))


class Embed(ModelCase):
    def embeddings(self, *args, **kwargs):
        return [answer['embedding'] for answer in
                self.answers('embed', '--model', *args, **kwargs)]

    def test_embedding_is_the_mean_of_the_librarys_hidden_states(self):
        for name, layers in (('bert', 2), ('distilbert', 2), ('encoder-only', 1)):
            with self.subTest(name):
                inputs, cases = golden_cases(name)
                hidden = floats(cases[f'hidden.{layers}'])
                dim = len(hidden) // len(inputs) // POSITIONS
                found = self.embeddings(GOLDEN / 'model' / name, '--jsonl', stdin=lines(*inputs))
                for row, (case, embedding) in enumerate(zip(inputs, found)):
                    count = len(case['ids'])
                    rows = [hidden[(row * POSITIONS + t) * dim:][:dim] for t in range(count)]
                    self.assert_near(embedding, [sum(column) / count for column in zip(*rows)])

    def test_normalize_scales_to_length_1(self):
        plain = self.embeddings(self.bert, stdin='the film was good\nbad\n')
        scaled = self.embeddings(self.bert, '--normalize', stdin='the film was good\nbad\n')
        self.assertEqual(len(scaled), 2)
        for a, b in zip(plain, scaled):
            self.assertAlmostEqual(math.hypot(*b), 1.0, places=6)
            self.assertNotAlmostEqual(math.hypot(*a), 1.0, places=2)
            self.assert_near(b, [x / math.hypot(*a) for x in a], within=1e-6)


class BadModel(ModelCase):
    """Every folder that is not a whole and honest model."""

    def refused(self, model, *words):
        for command in ('predict', 'embed'):
            self.refuses(command, '--model', model, words=words, stdin='good\n')

    def spoilt_weights(self, data, *words):
        model = self.tmp / 'model'
        if not model.exists():
            make_model(model)
        (model / 'model.safetensors').write_bytes(data)
        self.refused(model, *words)

    def setUp(self):
        super().setUp()
        self.tensors = read_weights(self.bert / 'model.safetensors')
        self.whole = (self.bert / 'model.safetensors').read_bytes()

    def test_no_such_folder(self):
        self.refused(self.tmp / 'nowhere', 'nowhere')
        self.refused(self.file('a-file', 'x'), 'a-file')

    def test_missing_files(self):
        for name in ('config.json', 'model.safetensors'):
            model = self.copy(f'without-{name}')
            (model / name).unlink()
            self.refused(model, name, model.name)
            (model / name).mkdir()
            self.refused(model, name)

    def test_config_that_is_none(self):
        model = self.copy()
        for content, word in ((b'', 'config.json'), (b'{"model_type": "bert"', 'config.json'),
                              (b'[]', 'config.json'), (b'{}', 'model_type'),
                              (b'{"model_type": "gpt2"}', 'gpt2'), (b'{"model_type": 7}', 'model_type'),
                              (b'\xff\xfe{}', 'config.json'), (b'[' * 100_000, 'config.json')):
            with self.subTest(content[:30]):
                (model / 'config.json').write_bytes(content)
                self.refused(model, word)

    def test_config_with_sizes_that_lie(self):
        model = self.copy()
        honest = json.loads((self.bert / 'config.json').read_text())
        for key, value in (('hidden_size', 0), ('hidden_size', -1), ('hidden_size', 2**62),
                           ('hidden_size', '32'), ('vocab_size', 1e300), ('num_hidden_layers', 10**9),
                           ('num_attention_heads', 0), ('intermediate_size', True),
                           ('layer_norm_eps', 'NaN'), ('hidden_act', 'sinus'),
                           ('id2label', {'0': 'a', '7': 'b'}), ('id2label', []),
                           ('problem_type', 'guessing')):
            with self.subTest(key=key, value=value):
                (model / 'config.json').write_text(json.dumps({**honest, key: value}))
                self.refused(model, 'config.json', f"'{key}'")
        (model / 'config.json').write_text(json.dumps({**honest, 'num_attention_heads': 3}))
        self.refused(model, 'config.json', 'hidden size of 32', '3 attention heads')

    def test_truncated_weights(self):
        start = 8 + struct.unpack('<Q', self.whole[:8])[0]
        for size in (0, 1, 7, 8, 9, start - 1, start, start + 1, len(self.whole) - 1):
            with self.subTest(size):
                self.spoilt_weights(self.whole[:size], 'model.safetensors')

    def test_weights_that_are_something_else(self):
        for data in (b'PK\x03\x04' + b'\0' * 100, b'\x80\x02}q\x00.' + b'x' * 100, b'\0' * 64,
                     b'\xff' * 64, gzip.compress(self.whole)):
            with self.subTest(data[:8]):
                self.spoilt_weights(data, 'model.safetensors')

    def test_header_that_claims_more_than_there_is(self):
        for claim in (len(self.whole), 2**24, 2**31, 2**62, 2**63, 2**64 - 1, 2**64 - 8):
            with self.subTest(claim):
                self.spoilt_weights(struct.pack('<Q', claim) + self.whole[8:], 'model.safetensors')

    def test_header_that_is_no_table_of_tensors(self):
        for header in (b'', b'{', b'[]', b'null', b'"x"', b'{"a": 1}', b'{"a": {}}', b'{"a": []}',
                       b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},' * 2, b'\xff' * 20,
                       b'[' * 100_000):
            with self.subTest(header[:40]):
                self.spoilt_weights(with_header(header, b'\0' * 8), 'model.safetensors')

    def test_header_whose_tensors_lie(self):
        honest, data = layout(self.tensors)
        end = len(data)
        for lie in ({'data_offsets': [0, end + 4]}, {'data_offsets': [-4, 0]}, {'data_offsets': [8, 4]},
                    {'data_offsets': [0, 2**63 - 1]}, {'data_offsets': [0]}, {'data_offsets': 'all'},
                    {'data_offsets': [0, 4]}, {'data_offsets': [0.0, 8192.0]},
                    {'shape': [2**32, 2**32]}, {'shape': [-32, -64]}, {'shape': [32] * 40},
                    {'shape': [32.5, 64]}, {'shape': None}, {'dtype': 'F16'}, {'dtype': None}):
            with self.subTest(lie):
                header = {**honest, WEIGHT: {**honest[WEIGHT], **lie}}
                self.spoilt_weights(with_header(header, data), 'model.safetensors', WEIGHT)

    def test_bytes_that_belong_to_two_tensors_or_none(self):
        header, data = layout(self.tensors)
        self.spoilt_weights(with_header(header, data + b'\0' * 4), 'model.safetensors')
        header[WEIGHT]['data_offsets'] = header['bert.encoder.layer.1.output.dense.weight']['data_offsets']
        self.spoilt_weights(with_header(header, data), 'model.safetensors')

    def test_missing_tensor(self):
        for name in (WEIGHT, 'bert.embeddings.word_embeddings.weight', 'classifier.bias'):
            with self.subTest(name):
                left = {key: value for key, value in self.tensors.items() if key != name}
                self.spoilt_weights(with_header(*layout(left)), 'model.safetensors', f"'{name}'", 'missing')

    def test_wrong_shape(self):
        _, shape, part = self.tensors[WEIGHT]
        for shape, part in ((shape[::-1], part), ([len(part) // 4], part), (shape + [1], part),
                            ([shape[0] - 1, shape[1]], part[:-4 * shape[1]]), ([0, 64], b'')):
            with self.subTest(shape):
                self.tensors[WEIGHT] = ('F32', shape, part)
                self.spoilt_weights(with_header(*layout(self.tensors)), WEIGHT,
                                    ','.join(map(str, shape)), '[32,64]')

    def test_wrong_type(self):
        _, shape, part = self.tensors[WEIGHT]
        for dtype, width in (('I32', 4), ('F64', 8), ('U8', 1), ('I64', 8)):
            with self.subTest(dtype):
                self.tensors[WEIGHT] = (dtype, shape, bytes(width * len(part) // 4))
                self.spoilt_weights(with_header(*layout(self.tensors)), WEIGHT)

    def test_values_that_are_not_finite(self):
        _, shape, part = self.tensors[WEIGHT]
        for value in (math.nan, -math.nan, math.inf, -math.inf):
            with self.subTest(value):
                spoilt = part[:-8] + struct.pack('<f', value) + part[-4:]
                self.tensors[WEIGHT] = ('F32', shape, spoilt)
                self.spoilt_weights(with_header(*layout(self.tensors)), WEIGHT, 'not finite')

    def test_halves_that_are_not_finite(self):
        for name, bits in (('bert-f16', 0x7C00), ('bert-f16', 0xFE01), ('bert-bf16', 0x7F80),
                           ('bert-bf16', 0xFFC0)):
            with self.subTest(name=name, bits=hex(bits)):
                model = self.copy(f'{name}-{bits}', f'model/{name}')
                path = model / 'model.safetensors'
                path.write_bytes(path.read_bytes()[:-2] + struct.pack('<H', bits))
                self.refused(model, 'not finite')

    def test_tokenizer_that_cannot_be_used(self):
        pieces = (self.bert / 'vocab.txt').read_bytes()
        model = self.copy()
        for content, words in ((pieces.replace(b'[UNK]', b'unk'), ["'[UNK]'"]),
                               (pieces.replace(b'[CLS]', b'cls'), ['vocab.txt', "'[CLS]'"]),
                               (pieces.replace(b'film', b'fi\xfflm'), ['vocab.txt', 'UTF-8']),
                               (b'', ["'[CLS]'"])):
            with self.subTest(words):
                (model / 'vocab.txt').write_bytes(content)
                self.refused(model, str(model), *words)

    def test_no_tokenizer_is_needed_for_ids(self):
        model = self.copy()
        (model / 'vocab.txt').unlink()
        self.refused(model, 'tokenizer.json', 'vocab.txt', 'model')
        found = self.answers('predict', '--model', model, '--jsonl', stdin=lines({'ids': [2, 28, 3]}))
        self.assertEqual(len(found), 1)

    def test_tokenizer_of_another_model(self):
        model = self.copy()
        (model / 'vocab.txt').write_bytes((GOLDEN / 'text' / 'accents' / 'vocab.txt').read_bytes())
        self.refuses_after(1, 'predict', '--model', model, stdin='good\n...\n'.encode(),
                           words=['token id', 'outside the vocabulary of 99'])


class BadInput(ModelCase):
    """A bad line is named, after the lines before it were answered; bad flags stop everything."""

    def refused(self, line, *words):
        good = b'{"text": "good"}\n'
        for command in ('predict', 'embed'):
            self.refuses_after(2, command, '--model', self.bert, '--jsonl', words=words,
                               stdin=good + good + line + b'\n' + good)

    def test_lines_that_are_no_object(self):
        for line in (b'{', b'[1]', b'"text"', b'good', b'{"text": "a"} x', b'', b'null', b'[' * 100_000,
                     b'{"text": "a\nb"}', b'\x00'):
            with self.subTest(line[:30]):
                self.refused(line, 'JSON')

    def test_objects_without_text(self):
        for line in (b'{}', b'{"text": 1}', b'{"text": null}', b'{"txt": "a"}', b'{"text": ["a"]}'):
            with self.subTest(line):
                self.refused(line, "'text'")
        self.refused(b'{"text": "a", "text_pair": 1}', "'text_pair'")

    def test_text_that_is_no_utf8(self):
        for part in (b'\xff', b'\xc3', b'\xed\xa0\x80', b'\xc0\x80', b'\xf5\x80\x80\x80'):
            with self.subTest(part):
                self.refused(b'{"text": "caf' + part + b' "}', f'decode byte 0x{part[0]:x}')
                self.refuses_after(1, 'predict', '--model', self.bert, words=['UTF-8'],
                                   stdin=b'good\ncaf' + part + b' \ngood\n')

    def test_lone_surrogates(self):
        for text in (b'\\ud83d', b'\\ude00', b'\\ud83d x', b'\\ud83d\\u0041'):
            with self.subTest(text):
                self.refused(b'{"text": "' + text + b'"}', 'JSON')

    def test_ids_that_are_none(self):
        for ids in (b'[]', b'7', b'"2 3"', b'[2, "3"]', b'[2.5]', b'[-1]', b'[2147483648]', b'[null]',
                    b'[1e3]', b'{}'):
            with self.subTest(ids):
                self.refused(b'{"ids": ' + ids + b'}', "'ids'")
        self.refused(b'{"ids": [99999999999999999999]}', 'JSON')

    def test_ids_outside_the_vocabulary(self):
        for wrong in (99, 30522, 2**31 - 1):
            self.refused(b'{"ids": [2, %d, 3]}' % wrong, f'token id {wrong}', 'vocabulary of 99')

    def test_types_that_do_not_fit(self):
        self.refused(b'{"ids": [2, 3], "types": [0]}', "1 'types' for 2 'ids'")
        self.refused(b'{"ids": [2, 3], "types": [0, 2]}', 'token type 2')
        self.refused(b'{"ids": [2, 3], "types": 0}', "'types'")
        self.refused(b'{"ids": [2, 3], "types": [0, -1]}', "'types'")

    def test_more_ids_than_positions(self):
        self.refused(b'{"ids": [' + b'2,' * POSITIONS + b'3]}', f'{POSITIONS + 1} ids', f'{POSITIONS}')

    def test_a_file_that_is_not_there(self):
        for command in ('predict', 'embed'):
            self.refuses(command, '--model', self.bert, self.tmp / 'gone.jsonl', words=['gone.jsonl'])
            self.refuses(command, '--model', self.bert, self.tmp, words=[self.tmp.name])

    def test_a_broken_gzip(self):
        whole = gzip.compress(lines({'text': 'good'}).encode() * 100)
        done = hone('predict', '--model', self.bert, '--jsonl', self.file('cut.gz', whole[:-9]))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"\Ahone predict: .*cut\.gz' is a broken gzip.*\n\Z")

    def test_flags_that_make_no_sense(self):
        for flags, words in ((['--threads', 'many'], ["--threads 'many'"]), (['--threads', '-1'], ['-1']),
                             (['--threads', '1000000'], ['threads', '1000000']),
                             (['--max-length', '33'], ['--max-length 33', '32 tokens']),
                             (['--max-length', '1.5'], ["'1.5'"]), (['--max-length'], ['--max-length']),
                             (['--logits=yes'], ['--logits']), (['--frob'], ["'--frob'"]),
                             (['a', 'b'], ["'b'"])):
            with self.subTest(flags):
                self.refuses('predict', '--model', self.bert, *flags, words=words, stdin='good\n')
        self.refuses('predict', words=['--model'], stdin='good\n')
        self.refuses('embed', '--model', self.bert, '--logits', words=["'--logits'"], stdin='good\n')

    def test_no_room_for_the_special_tokens(self):
        self.refuses('predict', '--model', self.bert, '--max-length', '1', words=['line 1', '1'],
                     stdin='good\n')

    def test_standard_output_that_is_full_or_closed(self):
        for command in ('predict', 'embed'):
            with open('/dev/full', 'w') as full:
                done = hone(command, '--model', self.bert, stdin='good\n' * 1000, stdout=full, stderr=-1)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(done.stderr, f'hone {command}: write to standard output failed\n')
            reader, writer = os.pipe()
            os.close(reader)
            done = hone(command, '--model', self.bert, stdin='good\n' * 1000, stdout=writer, stderr=-1)
            os.close(writer)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(done.stderr.count('\n'), 1)

    def test_a_line_above_the_limit(self):
        self.refuses_after(1, 'predict', '--model', self.bert, words=['bytes'],
                           stdin=b'good\n' + b'x' * (64 * 1024 * 1024 + 1))


if __name__ == '__main__':
    unittest.main()
