/* Any bytes as a text, or two, for a small tokenizer; the first byte says how. Whatever
 * comes out must have ids of the vocabulary and offsets inside the text, in order. */
#include "text/tokenizer_impl.h"

#include "base/utf8.h"

#include <stdlib.h>

enum { LOWER = 1, ACCENTS = 2, PAIR = 4, SHORT = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static hone_tokenizer *make(uint8_t flags) {
    static const char vocab[] =
        "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##a\n##b\nab\nthe\n##e\n.\n,\n"
        "\xC3\xA9\n##\xC3\xA9\n\xD1\x8F\n##\xD1\x8F\n\xE6\xB0\xB4\nq r\n\xC4\xB1";
    hone_buf config;
    hone_tokenizer *t = NULL;
    hone_buf_init(&config, 4096);
    hone_buf_printf(
        &config,
        "{\"do_lower_case\": %s, \"strip_accents\": %s, \"added_tokens_decoder\": {\"4\": "
        "{\"content\": \"[MASK]\", \"special\": true, \"lstrip\": true}, \"18\": "
        "{\"content\": \"Q R\", \"normalized\": %s, \"rstrip\": true}}}",
        flags & LOWER ? "true" : "false", flags & ACCENTS ? "true" : "null",
        flags & ACCENTS ? "false" : "true");
    hone_err err = hone_tokenizer_parse_vocab((hone_str){vocab, sizeof vocab - 1},
                                              hone_buf_str(&config), "fuzz", &t);
    hone_buf_done(&config);
    if (hone_failed(err)) abort();
    return t;
}

static size_t count_code_points(hone_str s) {
    size_t count = 0;
    for (size_t at = 0, bytes = 0; at < s.len; at += bytes, count++)
        (void)hone_utf8_next(s, at, &bytes);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static hone_tokenizer *tokenizers[4]; /* kept: making one costs more than most texts */
    if (size == 0) return 0;
    uint8_t flags = data[0];
    hone_tokenizer **t = &tokenizers[flags & (LOWER | ACCENTS)];
    if (!*t) *t = make(flags);
    hone_str text = {(const char *)data + 1, size - 1}, second = {0};
    if (flags & PAIR) {
        size_t half = text.len / 2;
        second = (hone_str){text.ptr + half, text.len - half};
        text.len = half;
    }
    hone_arena *arena = NULL;
    if (hone_failed(hone_arena_create(1 << 26, &arena))) abort();
    hone_tokens tokens;
    hone_err err = hone_tokenizer_encode(
        *t, arena, text, second, (hone_encode_options){flags & SHORT ? 9 : 0, true}, &tokens);
    if (!hone_failed(err)) {
        size_t ends[2] = {count_code_points(text), count_code_points(second)};
        uint32_t last[2] = {0, 0};
        for (size_t i = 0; i < tokens.count; i++) {
            hone_span span = tokens.offsets[i];
            int32_t type = tokens.types[i];
            if (tokens.ids[i] < 0 || (size_t)tokens.ids[i] >= hone_tokenizer_vocab(*t)) abort();
            if (span.end == 0) continue; /* a special token */
            if (span.begin >= span.end || span.end > ends[type] || span.begin < last[type]) abort();
            last[type] = span.begin;
        }
    }
    hone_arena_destroy(arena);
    return 0;
}
