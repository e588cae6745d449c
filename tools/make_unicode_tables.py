#!/usr/bin/env python3
"""Makes src/text/unicode_tables.c: what Hugging Face `tokenizers` does with every code point.

usage: tools/make_unicode_tables.py > src/text/unicode_tables.c      (needs: pip install tokenizers)

Nothing is taken from a Unicode data file: the library mixes tables of several Unicode versions,
so each property is asked of the library itself, one code point at a time. See unicode_impl.h
for what the properties mean.
"""
import functools
import sys
import textwrap

import tokenizers
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers

POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
HANGUL = range(0xAC00, 0xD7A4)
FLAGS = ['DROP', 'BLANK', 'CJK', 'SPACE', 'PUNCT', 'MARK', 'WORD', 'DECOMPOSES', 'LOWERS']


def bert(**on):
    off = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**off, **on}).normalize_str


def word_test():
    """Is a code point a \\w? A single_word token beside one is not found."""
    tokenizer = Tokenizer(models.WordLevel({'[UNK]': 0}, unk_token='[UNK]'))
    tokenizer.add_tokens([AddedToken('@', single_word=True, normalized=False)])
    return lambda c: tokenizer.token_to_id('@') not in tokenizer.encode(c + '@').ids


def hangul(c):
    """The decomposition that unicode_impl.h computes instead of looking it up."""
    index = c - 0xAC00
    parts = [0x1100 + index // 588, 0x1161 + index % 588 // 28]
    return parts + ([0x11A7 + index % 28] if index % 28 else [])


def ask():
    clean, cjk, lower = bert(clean_text=True), bert(handle_chinese_chars=True), bert(lowercase=True)
    strip, nfd = bert(strip_accents=True), normalizers.NFD().normalize_str
    split, is_word = pre_tokenizers.BertPreTokenizer().pre_tokenize_str, word_test()
    flags, decomposed, lowered, marks = {}, {}, {}, []
    for point in POINTS:
        c, on = chr(point), set()
        cleaned = clean('a' + c + 'a')
        if cleaned == 'aa':
            on.add('DROP')
        elif cleaned == 'a a' and c != ' ':
            on.add('BLANK')
        elif cleaned != 'a' + c + 'a':
            sys.exit(f'U+{point:04X}: clean_text gives {cleaned!r}')
        if cjk(c) != c:
            assert cjk(c) == ' ' + c + ' '
            on.add('CJK')
        pieces = len(split('a' + c + 'a'))
        on.update({1: [], 2: ['SPACE'], 3: ['PUNCT']}[pieces])
        if is_word(c):
            on.add('WORD')
        if lower(c) != c:
            on.add('LOWERS')
            lowered[point] = [ord(x) for x in lower(c)]
        if nfd(c) != c:
            on.add('DECOMPOSES')
            decomposed[point] = [ord(x) for x in nfd(c)]
        elif strip('a' + c) == 'a':
            on.add('MARK')
        if nfd('\u0345' + c) == c + '\u0345' or nfd(c + '\u0334') == '\u0334' + c:
            marks.append(point)
        flags[point] = on
    for point in HANGUL:
        assert decomposed.pop(point) == hangul(point)

    def order(a, b):
        if nfd(chr(b) + chr(a)) == chr(a) + chr(b):
            return -1
        return nfd(chr(a) + chr(b)) == chr(b) + chr(a)

    marks = sorted((m for m in marks if m not in decomposed), key=functools.cmp_to_key(order))
    ranks, rank = {}, 0
    for i, mark in enumerate(marks):
        rank += i == 0 or order(marks[i - 1], mark) != 0
        ranks[mark] = rank
    return flags, ranks, decomposed, lowered


def array(kind, name, values):
    lines = textwrap.wrap(', '.join(map(str, values)), 95)
    print(f'const {kind} {name}[{len(values)}] = {{')
    print('    ' + '\n    '.join(lines) + ',\n};\n')


def two_level(kind, name, of):
    """value(c) = leaf[(top[c >> shift] << shift) + (c & mask)], equal leaves stored once; for no
    code point behind the last that is not 0. The shift is the one that needs the fewest bytes."""
    end = max(c for c in range(0x110000) if of(c)) + 1

    def build(shift):
        leaves, size = {}, 1 << shift
        top = [leaves.setdefault(tuple(of(c) for c in range(start, start + size)), len(leaves))
               for start in range(0, end, size)]
        return top, [v for leaf in leaves for v in leaf], shift

    widths = {'uint8_t': 1, 'uint16_t': 2}
    top, leaf, shift = min((build(s) for s in range(4, 9)),
                           key=lambda b: len(b[0]) + len(b[1]) * widths[kind])
    print(f'_Static_assert(HONE_UNICODE_{name.upper()}_SHIFT == {shift}, "unicode_impl.h");')
    assert max(top) < 256
    array('uint8_t', f'hone_unicode_{name}_top', top)
    array(kind, f'hone_unicode_{name}_leaf', leaf)


def main():
    flags, ranks, decomposed, lowered = ask()
    word = {c: sum(1 << i for i, f in enumerate(FLAGS) if f in flags.get(c, ())) +
            (ranks.get(c, 0) << 16) for c in range(0x110000)}
    kinds = sorted(set(word.values()))
    assert len(kinds) <= 256 and max(ranks.values()) < 256
    index = {kind: i for i, kind in enumerate(kinds)}
    pool, at = [0], {}
    for mapping in list(decomposed.values()) + list(lowered.values()):
        if tuple(mapping) not in at:
            at[tuple(mapping)] = len(pool)
            pool += [len(mapping), *mapping]
    assert len(pool) < 1 << 16 and max(map(len, at)) <= 4

    print(f'''/* unicode_tables.c: what Hugging Face `tokenizers` {tokenizers.__version__} does with every code point.
 *
 * Made by tools/make_unicode_tables.py, which asks the library; do not edit. unicode_impl.h
 * says what the tables mean and reads them. {len(decomposed)} code points decompose (Hangul syllables
 * apart), {len(lowered)} have a lower case, {len(ranks)} are reordered by their combining class.
 *
 * Long, and one file, because nobody reads or edits it: it is written anew as a whole. */
#include "text/unicode_impl.h"

/* clang-format off */''')
    two_level('uint8_t', 'kind', lambda c: index[word[c]])
    array('uint32_t', 'hone_unicode_kinds', kinds)
    two_level('uint16_t', 'nfd', lambda c: at[tuple(decomposed[c])] if c in decomposed else 0)
    two_level('uint16_t', 'lower', lambda c: at[tuple(lowered[c])] if c in lowered else 0)
    array('uint32_t', 'hone_unicode_pool', pool)
    print('/* clang-format on */')


main()
