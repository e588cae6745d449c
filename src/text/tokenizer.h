/* tokenizer.h: text -> tokens, as the tokenizer files of a checkpoint say.
 *
 *     text -> clean, CJK spacing, accents, lower case -> words -> WordPiece -> [CLS] ... [SEP]
 *
 * Reads tokenizer.json (old files without model.type included; the padding and truncation
 * that a file bakes in are ignored), else vocab.txt with tokenizer_config.json. The ids and
 * offsets are those of Hugging Face `tokenizers`.
 *
 * Threads: a loaded tokenizer is read-only and may be shared.
 * Start reading at wordpiece.c.
 */
#ifndef HONE_TEXT_TOKENIZER_H
#define HONE_TEXT_TOKENIZER_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "text/tokens.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct hone_tokenizer hone_tokenizer;

/* NOT_FOUND when dir has no tokenizer files; CORRUPT names what is wrong (no [UNK], ids that
 * clash); INVALID for a kind of tokenizer that hone does not have. */
HONE_NODISCARD hone_err hone_tokenizer_load(const char *dir, hone_tokenizer **out);
void hone_tokenizer_destroy(hone_tokenizer *tokenizer);

/* Ids are in [0, vocab). */
size_t hone_tokenizer_vocab(const hone_tokenizer *tokenizer);

typedef struct hone_encode_options {
    size_t max_length; /* in tokens, special ones included; 0 = whatever comes */
    bool offsets;
} hone_encode_options;

/* Encode text, or the pair text, second (second.ptr == NULL: no pair). Truncation is
 * longest_first. Bytes that are no UTF-8 are CORRUPT, naming the byte. The result lives in
 * arena; NOMEM at its limit. INVALID when max_length has no room for the special tokens. */
HONE_NODISCARD hone_err hone_tokenizer_encode(const hone_tokenizer *tokenizer, hone_arena *arena,
                                              hone_str text, hone_str second,
                                              hone_encode_options options, hone_tokens *out);

#endif
