/* tokenizer_impl.h: what a loaded tokenizer is, and how it is made from bytes in memory. */
#ifndef HONE_TEXT_TOKENIZER_IMPL_H
#define HONE_TEXT_TOKENIZER_IMPL_H

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "text/added_impl.h"
#include "text/normalize_impl.h"
#include "text/tokenizer.h"
#include "text/trie_impl.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One part of what the post-processor puts together: a special token, or one of the texts. */
typedef struct hone_piece {
    int32_t id; /* >= 0, or one of: */
    int32_t type;
} hone_piece;
enum { HONE_PIECE_FIRST = -1, HONE_PIECE_SECOND = -2 };

typedef struct hone_template {
    hone_piece *pieces;
    size_t count;
    size_t specials; /* pieces that are special tokens */
} hone_template;

/* What an ASCII byte does where nothing else is going on. */
typedef enum hone_ascii {
    HONE_ASCII_OTHER, /* ask the normalizer */
    HONE_ASCII_LETTER,
    HONE_ASCII_SPACE,
    HONE_ASCII_PUNCT,
} hone_ascii;

struct hone_tokenizer {
    hone_arena *arena; /* templates, added tokens */
    size_t vocab;

    hone_trie pieces;    /* the vocabulary */
    uint32_t continuing; /* the trie's node of continuing_subword_prefix; HONE_TRIE_NONE */
    int32_t unk;
    size_t max_word_chars; /* max_input_chars_per_word */

    hone_normalizer_options normalizer;
    hone_ascii ascii[256];
    uint8_t letter[256]; /* what a LETTER becomes; 0 for every other byte */

    hone_added_set added;            /* found in the text as it is */
    hone_added_set added_normalized; /* found in the normalized text */

    hone_template single;
    hone_template pair;

    /* While it is being made. */
    uint8_t *taken; /* a bit for each id */
    size_t entries; /* of the vocabulary, and then of tokens added to it */
};

/* Ids are below this: room for any vocabulary, and a bound for what a file can claim. */
enum { HONE_VOCAB_MAX = 1 << 22 };

/* A tokenizer from the bytes of a tokenizer.json; where names it in messages. */
HONE_NODISCARD hone_err hone_tokenizer_parse(hone_str json, const char *where,
                                             hone_tokenizer **out);

/* A tokenizer from the bytes of a vocab.txt and of a tokenizer_config.json, which may be
 * empty. dir names their folder in messages. */
HONE_NODISCARD hone_err hone_tokenizer_parse_vocab(hone_str vocab, hone_str config, const char *dir,
                                                   hone_tokenizer **out);

/* What the two parsers share: create, set normalizer, add pieces, then tokens, then the
 * templates, finish. Messages do not name the file; the parsers wrap them. */

/* The fields of the WordPiece model. */
typedef struct hone_wordpiece_options {
    hone_str unk_token;
    hone_str continuing_prefix;
    size_t max_word_chars;
} hone_wordpiece_options;

/* added_max: how many added tokens there may be. */
HONE_NODISCARD hone_err hone_tokenizer_create(size_t added_max, hone_tokenizer **out);

/* CORRUPT for an id that another piece has or that is out of range, and for a piece that is
 * there twice. An empty piece, which no text matches, only takes its id. */
HONE_NODISCARD hone_err hone_tokenizer_add_piece(hone_tokenizer *tokenizer, hone_str piece,
                                                 int64_t id);

/* After all pieces. id, what the file says, must be what `tokenizers` would give the token:
 * its id in the vocabulary, else the next one free. CORRUPT when it is not. token.content is
 * copied, token.id ignored. */
HONE_NODISCARD hone_err hone_tokenizer_add_token(hone_tokenizer *tokenizer, hone_added_token token,
                                                 int64_t id, bool normalized);

/* {"content": "[MASK]", "lstrip": false, ...} without the id. The content is borrowed. */
HONE_NODISCARD hone_err hone_tokenizer_parse_added(const json_t *entry, hone_added_token *token,
                                                   bool *normalized);

/* The id of a piece of the vocabulary; -1. */
int32_t hone_tokenizer_find(const hone_tokenizer *tokenizer, hone_str piece);

/* A template of so many pieces, all special tokens with id 0 and type 0. NOMEM. */
HONE_NODISCARD hone_err hone_tokenizer_add_template(hone_tokenizer *tokenizer, size_t count,
                                                    hone_template *out);

/* [CLS] A [SEP], and [CLS] A [SEP] B [SEP] with type 1 for the last two. */
HONE_NODISCARD hone_err hone_tokenizer_use_bert_templates(hone_tokenizer *tokenizer, int64_t cls,
                                                          int64_t sep);

/* All that can be checked only in the end. CORRUPT when unk_token is no piece. */
HONE_NODISCARD hone_err hone_tokenizer_finish(hone_tokenizer *tokenizer,
                                              hone_wordpiece_options options);

#endif
