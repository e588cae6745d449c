/* Any bytes as a tokenizer.json, or after a NUL as vocab.txt and tokenizer_config.json; what
 * loads must also encode. */
#include "text/tokenizer_impl.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(hone_tokenizer *t) {
    hone_arena *arena = NULL;
    hone_tokens tokens;
    hone_str text = HONE_S("A [MASK] \xC3\xA9\xCC\xA3t\xC3\xA9, unaffable \xE6\xB0\xB4<x> ##a");
    if (hone_failed(hone_arena_create(1 << 24, &arena))) abort();
    for (size_t max = 0; max < 12; max += 4) {
        hone_err err = hone_tokenizer_encode(t, arena, text, max == 4 ? text : (hone_str){0},
                                             (hone_encode_options){max, true}, &tokens);
        if (hone_failed(err)) continue;
        for (size_t i = 0; i < tokens.count; i++)
            if (tokens.ids[i] < 0 || (size_t)tokens.ids[i] >= hone_tokenizer_vocab(t)) abort();
    }
    hone_arena_destroy(arena);
    hone_tokenizer_destroy(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    hone_str bytes = {(const char *)data, size}, config = {0};
    hone_tokenizer *t = NULL;
    if (size == 0 || data[0] != 0) {
        if (!hone_failed(hone_tokenizer_parse(bytes, "fuzz", &t))) encode(t);
        return 0;
    }
    bytes = (hone_str){bytes.ptr + 1, size - 1};
    const char *nul = memchr(bytes.ptr, 0, bytes.len);
    if (nul) {
        size_t vocab_bytes = (size_t)(nul - bytes.ptr);
        config = (hone_str){nul + 1, bytes.len - vocab_bytes - 1};
        bytes.len = vocab_bytes;
    }
    if (!hone_failed(hone_tokenizer_parse_vocab(bytes, config, "fuzz", &t))) encode(t);
    return 0;
}
