"""`hone tokenize` against the library `tokenizers`: ids and offsets of thousands of strings that
have every assigned code point of the small blocks and samples of the large ones, under every
setting of BertNormalizer, alone, in pairs and cut to a length."""
import itertools
import json
import pathlib
import random
import tempfile
import unicodedata
import unittest

import reference  # first: it sets what the libraries read when imported
from reference import SPECIAL, bert_tokenizer, hone_lines

import tokenizers

SHOWN = 5       # differences of one comparison
SAMPLED = 3000  # code points of the large blocks, and of what is not assigned
LARGE = [(0x3400, 0x9FFF), (0xAC00, 0xD7A3), (0xE000, 0xF8FF), (0x17000, 0x18CFF),
         (0x20000, 0x3FFFF), (0xF0000, 0x10FFFF)]
JOINTS = ['', '', '', ' ', 'a', 'A', '1', '.', '\u0301', '\t']
WORDS = ['the', 'The', 'naïve', 'Ångström', 'straße', 'İstanbul', "don't", '3.14', 'e-mail',
         '[MASK]', '[mask]', '[SEP][CLS]', '[UNK]x', 'x' * 99, 'x' * 100, 'x' * 101, '日本語',
         'a日b', '한국어', 'ไทย', 'हिन्दी', '👩\u200d👩\u200d👧', '🇩🇪', 'e\u0301\u0323', '\ufeff', '\u200b',
         '\x00', '\x07', '\ufffd', '\u2028', '\u3000', '\xad', '##ing', 'ǅ', 'ﬁ', 'Σας', '½']


def is_large(point):
    return any(first <= point <= last for first, last in LARGE)


def points(rng):
    """Code points to try: no surrogates."""
    every = [p for p in range(0x110000) if not 0xD800 <= p <= 0xDFFF]
    assigned = [p for p in every if unicodedata.category(chr(p)) != 'Cn']
    others = [p for p in every if unicodedata.category(chr(p)) == 'Cn' and p < 0x40000]
    small = [p for p in assigned if not is_large(p)]
    return small + rng.sample([p for p in assigned if is_large(p)], SAMPLED) + rng.sample(
        others, SAMPLED)


def texts_of(found, rng):
    """The code points in texts of a dozen, with something between them."""
    rng.shuffle(found)
    for at in range(0, len(found), 12):
        yield ''.join(chr(p) + rng.choice(JOINTS) for p in found[at:at + 12])


def mixtures(rng, count):
    """Words and what stands between them, as no person would write."""
    for _ in range(count):
        yield ''.join(rng.choice(WORDS) + rng.choice([' ', ' ', '', '  ', '\n', ',', '-'])
                      for _ in range(rng.randrange(0, 20)))


def full_vocab(found):
    """Every code point as a word and as a continuation, and what lower-casing makes of them. NUL
    stays out: hone's JSON library refuses it in a key."""
    pieces = dict.fromkeys(SPECIAL)
    for p in set(found) - {0}:
        for form in (chr(p), chr(p).lower(), unicodedata.normalize('NFD', chr(p))):
            for c in form:
                pieces |= {c: None, '##' + c: None}
    pieces |= dict.fromkeys(['the', 'na', '##iv', 'ang', '##str', '##om', 'don', 'mail', 'xx'])
    return {piece: i for i, piece in enumerate(pieces)}


class Tokenize(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        rng = random.Random(1)
        found = points(rng)
        cls.vocab = full_vocab(found)
        cls.texts = [*texts_of(found, rng), *mixtures(rng, 1000), '', ' ']
        cls.rng = rng
        cls.folder = tempfile.TemporaryDirectory()
        cls.path = pathlib.Path(cls.folder.name)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def assert_same(self, tokenizer, rows, *flags, folder=None):
        """Ids, types of pairs and offsets of every row."""
        ours = hone_lines('tokenize', '--model', folder or self.path, *flags, rows=rows)
        self.assertEqual(len(ours), len(rows))
        wrong = []
        for row, mine in zip(rows, ours):
            theirs = tokenizer.encode(*row.values())
            same = mine['ids'] == theirs.ids and mine['offsets'] == list(map(list, theirs.offsets))
            if 'text_pair' in row:
                same = same and mine['types'] == theirs.type_ids
            if not same:
                wrong.append(f'{row!a}\n  hone       {mine}\n  tokenizers {theirs.ids} '
                             f'{theirs.offsets}')
        self.assertFalse(wrong, f'{len(wrong)} of {len(rows)} differ:\n' +
                         '\n'.join(wrong[:SHOWN]))

    def rows(self):
        return [{'text': text} for text in self.texts]

    def pairs(self, count):
        return [{'text': self.rng.choice(self.texts), 'text_pair': self.rng.choice(self.texts)}
                for _ in range(count)]

    def test_every_block_under_every_setting(self):
        for lower, accents, cjk in itertools.product((True, False), (None, True, False),
                                                     (True, False)):
            with self.subTest(lowercase=lower, strip_accents=accents, chinese=cjk):
                tokenizer = bert_tokenizer(self.vocab, lowercase=lower, strip_accents=accents,
                                           handle_chinese_chars=cjk)
                tokenizer.save(str(self.path / 'tokenizer.json'))
                self.assert_same(tokenizer, self.rows())

    def test_text_that_is_not_cleaned(self):
        tokenizer = bert_tokenizer(self.vocab, clean_text=False, lowercase=True)
        tokenizer.save(str(self.path / 'tokenizer.json'))
        self.assert_same(tokenizer, self.rows())

    def test_pairs_and_truncation(self):
        tokenizer = bert_tokenizer(self.vocab)
        tokenizer.save(str(self.path / 'tokenizer.json'))
        self.assert_same(tokenizer, self.pairs(1000))
        for length in (4, 7, 16, 33):
            with self.subTest(length):
                tokenizer.enable_truncation(length, strategy='longest_first')
                self.assert_same(tokenizer, self.pairs(500), '--max-length', length)
                self.assert_same(tokenizer, self.rows()[:500], '--max-length', length)
        tokenizer.no_truncation()

    def test_what_a_file_bakes_in_is_ignored(self):
        tokenizer = bert_tokenizer(self.vocab)
        tokenizer.enable_truncation(8)
        tokenizer.enable_padding(length=32)
        tokenizer.save(str(self.path / 'tokenizer.json'))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.assert_same(tokenizer, self.rows()[:1000])

    def test_a_published_tokenizer(self):
        folder = reference.minilm()
        tokenizer = tokenizers.Tokenizer.from_file(str(folder / 'tokenizer.json'))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self.assert_same(tokenizer, self.rows(), folder=folder)
        self.assert_same(tokenizer, self.pairs(1000), folder=folder)

    def test_vocab_txt_is_enough(self):
        vocab = reference.minilm() / 'vocab.txt'
        for lower in (True, False):
            with self.subTest(lowercase=lower), tempfile.TemporaryDirectory() as name:
                folder = pathlib.Path(name)
                (folder / 'vocab.txt').write_bytes(vocab.read_bytes())
                (folder / 'tokenizer_config.json').write_text(
                    json.dumps({'do_lower_case': lower, 'tokenizer_class': 'BertTokenizer'}))
                pieces = vocab.read_text(encoding='utf-8').splitlines()
                tokenizer = bert_tokenizer({piece: i for i, piece in enumerate(pieces)},
                                           lowercase=lower)
                self.assert_same(tokenizer, self.rows(), folder=folder)


if __name__ == '__main__':
    unittest.main()
