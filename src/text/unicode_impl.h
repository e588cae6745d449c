/* unicode_impl.h: what Hugging Face `tokenizers` takes a code point for.
 *
 * The library mixes tables of several Unicode versions, so no Unicode library agrees with it
 * everywhere. unicode_tables.c is made by asking it (tools/make_unicode_tables.py); this header
 * is the only reader. Every function takes c in [0, 0x10FFFF].
 */
#ifndef HONE_TEXT_UNICODE_IMPL_H
#define HONE_TEXT_UNICODE_IMPL_H

#include <stddef.h>
#include <stdint.h>

/* The bits of a kind, in the order of FLAGS in the script. Bits 16 to 23 hold the combining
 * class, renumbered without gaps: only its order matters. 0 does not combine. */
enum {
    HONE_UNICODE_DROP = 1 << 0,  /* clean_text removes it */
    HONE_UNICODE_BLANK = 1 << 1, /* clean_text makes it a space */
    HONE_UNICODE_CJK = 1 << 2,   /* handle_chinese_chars puts spaces around it */
    HONE_UNICODE_SPACE = 1 << 3, /* BertPreTokenizer splits here and drops it; also \s */
    HONE_UNICODE_PUNCT = 1 << 4, /* BertPreTokenizer makes it a word of its own */
    HONE_UNICODE_MARK = 1 << 5,  /* strip_accents removes it, once decomposed */
    HONE_UNICODE_WORD = 1 << 6,  /* \w, for added tokens with single_word */
    HONE_UNICODE_DECOMPOSES = 1 << 7,
    HONE_UNICODE_LOWERS = 1 << 8,
    HONE_UNICODE_CLASS_SHIFT = 16,
};

enum {
    HONE_UNICODE_KIND_SHIFT = 7,
    HONE_UNICODE_NFD_SHIFT = 6,
    HONE_UNICODE_LOWER_SHIFT = 6,
    HONE_UNICODE_MAPPED_MAX = 4, /* code points that one becomes, at most */
};

/* Two-level tables: leaf[(top[c >> SHIFT] << SHIFT) + the low bits of c]. nfd and lower give
 * where in the pool a mapping is: how many, then the code points. */
extern const uint8_t hone_unicode_kind_top[], hone_unicode_kind_leaf[];
extern const uint32_t hone_unicode_kinds[];
extern const uint8_t hone_unicode_nfd_top[], hone_unicode_lower_top[];
extern const uint16_t hone_unicode_nfd_leaf[], hone_unicode_lower_leaf[];
extern const uint32_t hone_unicode_pool[];

static inline uint32_t hone_unicode_kind(int32_t c) {
    uint32_t at = (uint32_t)hone_unicode_kind_top[c >> HONE_UNICODE_KIND_SHIFT]
                  << HONE_UNICODE_KIND_SHIFT;
    return hone_unicode_kinds[hone_unicode_kind_leaf[at +
                                                     (c & ((1 << HONE_UNICODE_KIND_SHIFT) - 1))]];
}

static inline uint32_t hone_unicode_class(uint32_t kind) {
    return kind >> HONE_UNICODE_CLASS_SHIFT;
}

static inline size_t hone_unicode_mapping(uint32_t at, int32_t out[HONE_UNICODE_MAPPED_MAX]) {
    size_t count = hone_unicode_pool[at];
    for (size_t i = 0; i < count; i++) out[i] = (int32_t)hone_unicode_pool[at + 1 + i];
    return count;
}

/* The canonical decomposition of c, whose kind has DECOMPOSES. */
static inline size_t hone_unicode_decompose(int32_t c, int32_t out[HONE_UNICODE_MAPPED_MAX]) {
    enum { HANGUL = 0xAC00, HANGUL_END = 0xD7A4, VOWELS = 21, TAILS = 28 };
    if (c >= HANGUL && c < HANGUL_END) { /* The Unicode Standard, section 3.12 */
        int32_t index = c - HANGUL;
        out[0] = 0x1100 + index / (VOWELS * TAILS);
        out[1] = 0x1161 + index % (VOWELS * TAILS) / TAILS;
        out[2] = 0x11A7 + index % TAILS;
        return index % TAILS ? 3 : 2;
    }
    uint32_t leaf = (uint32_t)hone_unicode_nfd_top[c >> HONE_UNICODE_NFD_SHIFT]
                    << HONE_UNICODE_NFD_SHIFT;
    return hone_unicode_mapping(
        hone_unicode_nfd_leaf[leaf + (c & ((1 << HONE_UNICODE_NFD_SHIFT) - 1))], out);
}

/* The lower case of c, whose kind has LOWERS; U+0130 becomes two. */
static inline size_t hone_unicode_lower(int32_t c, int32_t out[HONE_UNICODE_MAPPED_MAX]) {
    uint32_t leaf = (uint32_t)hone_unicode_lower_top[c >> HONE_UNICODE_LOWER_SHIFT]
                    << HONE_UNICODE_LOWER_SHIFT;
    return hone_unicode_mapping(
        hone_unicode_lower_leaf[leaf + (c & ((1 << HONE_UNICODE_LOWER_SHIFT) - 1))], out);
}

enum { HONE_UTF8_MAX = 4 };

/* Write c, a code point, as UTF-8: at most HONE_UTF8_MAX bytes; how many. */
static inline size_t hone_utf8_put(int32_t c, char *to) {
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6) to[i] = (char)(0x80 | (c & 0x3F));
    to[0] = (char)((0xF00 >> n) | c); /* n ones and a zero, then what is left of c */
    return n;
}

#endif
