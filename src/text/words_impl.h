/* words_impl.h: code points in normal form -> words (BertPreTokenizer) -> tokens (WordPiece).
 *
 *     'u' 'n' 'h' 'u' 'g' ' ' '!'  ->  word "unhug" -> un ##hu ##g    word "!" -> !
 *
 * A word is cut, from its start, into the longest pieces of the vocabulary; when that fails
 * anywhere, or the word is too long, all of it is one [UNK].
 *
 * Ownership: lives in its caller's memory; the tokens live in the arena.
 */
#ifndef HONE_TEXT_WORDS_IMPL_H
#define HONE_TEXT_WORDS_IMPL_H

#include "text/tokenizer_impl.h"

typedef struct hone_words {
    const hone_tokenizer *tokenizer;
    hone_arena *arena;

    /* The word so far. plain: byte i stands for code point begin + i of the text; else
     * spans has it for each byte. A word that is too long keeps max_word_chars + 1 chars. */
    char *bytes;
    hone_span *spans; /* NULL until a word needs it */
    size_t cap_bytes;
    size_t len;
    size_t chars;
    bool plain;
    uint32_t begin; /* in code points of the text */
    uint32_t end;

    /* The tokens so far. */
    int32_t *ids;
    hone_span *offsets;
    size_t count;
    size_t cap;
    size_t limit; /* once there are so many, is_full */

    size_t text_bytes; /* bounds how long a word can become */
    bool is_full;
    bool failed; /* the arena is full */
} hone_words;

/* For a text of so many bytes, until there are limit tokens or more. */
void hone_words_init(hone_words *words, const hone_tokenizer *tokenizer, hone_arena *arena,
                     size_t text_bytes, size_t limit);

/* ASCII at once: the bytes of text from *at on that are letters, spaces and punctuation; *index
 * counts code points. Stops at anything else, at the end, or when is_full. */
void hone_words_put_ascii(hone_words *words, hone_str text, size_t *at, uint32_t *index);

void hone_words_put(hone_words *words, int32_t c, hone_span span);

/* The word ends here. */
void hone_words_end(hone_words *words);

void hone_words_put_token(hone_words *words, int32_t id, hone_span span);

#endif
