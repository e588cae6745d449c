#!/usr/bin/env python3
"""Makes tests/golden/text/: small tokenizers, and what Hugging Face `tokenizers` makes of texts.

usage: tools/make_text_goldens.py       (needs: pip install tokenizers; seed 1; writes VERSIONS)

Each folder is a tokenizer as people have them on disk (tokenizer.json in its newer and older
forms, or vocab.txt with tokenizer_config.json), and cases.jsonl: text, second (of a pair),
max_length, and the ids, types and offsets they must give.
"""
import json
import pathlib
import random
import unicodedata

import tokenizers
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

OUT = pathlib.Path(__file__).resolve().parent.parent / 'tests/golden/text'
SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
WORDS = '''the a an of to and in is it was good bad film play read write table chair light dark
river bridge window garden engine paper number letter because without between morning evening
Berlin London Anna Peter cafe naive facade resume uber strasse istanbul cooperate'''.split()
SUFFIXES = 's ed ing er est ly ness ment able ful less tion al un re in on at en'.split()
LETTERS = ('abcdefghijklmnopqrstuvwxyz0123456789' 'αβγδεζηθικλμνξοπρστυφχψως' 'абвгдежзийклмнопрстуфхцчшщъыьэюя'
           'אבגדה' 'ابتث' 'कखगघ' 'กขคง' 'あいうかき' 'アイウカキ' '\u1100\u1102\u1161\u1165\u11a8\u11ab')
SIGNS = '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~¿«»—…、。€™'
IDEOGRAPHS = '一二三水火山語豈更'
BLOCKS = [(0x20, 0x7E)] * 8 + [
    (0, 0x1F), (0x7F, 0xFF), (0x100, 0x24F), (0x300, 0x36F), (0x370, 0x3FF), (0x400, 0x4FF), (0x5D0, 0x5EA),
    (0x8D0, 0x8FF), (0x900, 0x97F), (0xE00, 0xE7F), (0x1100, 0x11FF), (0x1E00, 0x1EFF), (0x1F00, 0x1FFF),
    (0x2000, 0x206F), (0x20A0, 0x20FF), (0x2100, 0x214F), (0x3000, 0x30FF), (0x4E00, 0x4E2F), (0xAC00, 0xAC7F),
    (0xF900, 0xF91F), (0xFE00, 0xFE4F), (0xFF00, 0xFFEF), (0x10400, 0x1044F), (0x110B0, 0x11140),
    (0x1D160, 0x1D1B0), (0x1F300, 0x1F9FF), (0x2F800, 0x2F81F), (0xE0000, 0xE007F)]
GLUE = [' ', '  ', '\t', '\n', '\u00a0', '\u3000', '\u200b', '\u00ad', "'", '-', '...', '[MASK]', '[SEP]', '##a',
        '<name>', ' <gap> ', '\u0301', '\u0323', '\u302e', '\U0001d165', 'naïve', 'Straße', 'İstanbul', 'café']
PLAIN = [
    '', ' ', '\n\n', 'The film was good.', 'Anna read a letter, because it was dark!', "don't", 'unreadable tables',
    'a' * 99, 'a' * 100, 'a' * 101, 'é' * 100, 'é' * 101, 'x' + '\u00ad' * 200 + 'y', '\u0130\u0131\u00df\u1e9e\ufb01',
    'I\u0307', 'E\u0301TE\u0301', 'a\u0323\u0301 a\u0301\u0323', 'q\u302e\u0301\u0323r', '\u0344\u0323x', '\uac01\uac02',
    '[CLS] the [SEP]', '[cls]', '[UNK][PAD]', '[MASK]ed', 'x[MASK', '水火a山', '\ufa0e\uf900語', 'a\u0000b\ufffdc',
    'a\u0301\u0001\u0323b', '\U0001F468\u200D\U0001F469\u200D\U0001F467', 'NO-NAME <name> , <name>', 'un<gap>read',
    'a <gap>  <gap> b', 'the <NAME>', '\u1fef\u037e;', '\u212a\u212b', '\u0e33\u0e34', 'tab\there\x0bvt\x0cff\x1cfs']


def vocab():
    pieces = SPECIAL + [f'[unused{i}]' for i in range(5)] + sorted({w.lower() for w in WORDS}) + sorted(
        {w for w in WORDS if w != w.lower()}) + list(LETTERS) + list('ABCDEILNOPRSTU') + list(SIGNS) + list(IDEOGRAPHS)
    pieces += ['##' + s for s in SUFFIXES] + ['##' + c for c in LETTERS + 'éüçñöß']
    return list(dict.fromkeys(pieces))


def fuzz(rng):
    text = ''
    while len(text) < rng.randrange(1, 40):
        lo, hi = rng.choice(BLOCKS)
        text += ''.join(chr(rng.randint(lo, hi)) for _ in range(rng.randrange(1, 6)))
        if rng.random() < .4:
            text += rng.choice(GLUE + WORDS)
    return unicodedata.normalize(rng.choice(['NFC', 'NFD', 'NFKC']), text) if rng.random() < .4 else text


def make(added=(), template=True, **normalizer):
    ids = {piece: i for i, piece in enumerate(vocab())}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token='[UNK]', max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(**normalizer)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    cls, sep = ('[CLS]', ids['[CLS]']), ('[SEP]', ids['[SEP]'])
    tokenizer.post_processor = processors.TemplateProcessing(
        '[CLS] $A [SEP]', '[CLS] $A [SEP] $B:1 [SEP]:1', [cls, sep]) if template else processors.BertProcessing(sep, cls)
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.add_tokens(list(added))
    return tokenizer


def save_json(folder, tokenizer, old=False):
    data = json.loads(tokenizer.to_str())
    if old:  # as files before 2021 are; and with what somebody's training left in the file
        del data['model']['type']
        data['truncation'] = dict(max_length=8, strategy='LongestFirst', stride=0)
        data['padding'] = dict(strategy=dict(Fixed=16), direction='Right', pad_to_multiple_of=None, pad_id=0,
                               pad_type_id=0, pad_token='[PAD]')
    (folder / 'tokenizer.json').write_text(json.dumps(data, ensure_ascii=False) + '\n')


def save_vocab(folder, _, **config):
    (folder / 'vocab.txt').write_text('\n'.join(vocab()) + '\n')
    (folder / 'tokenizer_config.json').write_text(json.dumps(config, indent=2) + '\n')


def cases(rng, tokenizer):
    texts = [(t, None, 0) for t in PLAIN + [fuzz(rng) for _ in range(60)]]
    plain = ['', 'the film', 'a river and a bridge', 'good ' * 9, '水火山語']
    texts += [(a, b, n) for a in plain for b in plain for n in (0, 3, 4, 6, 9)]
    texts += [(fuzz(rng), fuzz(rng), rng.randrange(3, 24)) for _ in range(30)]
    texts += [(fuzz(rng), None, rng.randrange(2, 12)) for _ in range(20)]
    for text, second, max_length in texts:
        tokenizer.no_truncation()
        if max_length:
            tokenizer.enable_truncation(max_length)
        e = tokenizer.encode(text, second)
        case = dict(text=text, second=second, max_length=max_length, ids=e.ids, types=e.type_ids, offsets=e.offsets)
        yield json.dumps({k: v for k, v in case.items() if v not in (None, 0)}, separators=(',', ':'))


def main():
    rng = random.Random(1)
    added = [AddedToken('<name>', normalized=True), AddedToken('<gap>', lstrip=True, rstrip=True, normalized=False),
             AddedToken('naïve', single_word=True, normalized=True), AddedToken('x7', single_word=True, normalized=False)]
    variants = {
        'uncased': (make(), save_json, {}),
        'cased': (make(lowercase=False), save_vocab, dict(do_lower_case=False, tokenizer_class='BertTokenizer')),
        'accents': (make(strip_accents=False), save_vocab, dict(strip_accents=False)),
        'old': (make(template=False), save_json, dict(old=True)),
        'added': (make(added), save_json, {}),
        'bare': (make(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False), save_json, {}),
    }
    for name, (tokenizer, save, options) in variants.items():
        folder = OUT / name
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer.no_truncation()
        save(folder, tokenizer, **options)
        (folder / 'cases.jsonl').write_text('\n'.join(cases(rng, tokenizer)) + '\n')
    (OUT / 'VERSIONS').write_text(f'made by tools/make_text_goldens.py with tokenizers {tokenizers.__version__}\n')


main()
