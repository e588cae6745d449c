/* tokens.h: text as a model sees it, made by a tokenizer.
 *
 *     "Hello there" -> ids [101 7592 2045 102], offsets [0,0) [0,5) [6,11) [0,0)
 */
#ifndef HONE_TEXT_TOKENS_H
#define HONE_TEXT_TOKENS_H

#include <stddef.h>
#include <stdint.h>

/* Which code points of the text a token stands for: [begin, end). Special tokens: [0, 0). */
typedef struct hone_span {
    uint32_t begin;
    uint32_t end;
} hone_span;

typedef struct hone_tokens {
    size_t count;
    const int32_t *ids;       /* [count] */
    const int32_t *types;     /* [count]: 0, and 1 for the second text of a pair */
    const hone_span *offsets; /* [count]; NULL when not asked for */
} hone_tokens;

#endif
