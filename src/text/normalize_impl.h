/* normalize_impl.h: BertNormalizer: code points of a text in, those of its normal form out,
 * each with the code points of the text that it stands for.
 *
 *     "É\u00ad!"  ->  'e' [0,1)  '!' [2,3)
 *
 * In this order: clean_text drops controls and makes blanks a space, handle_chinese_chars
 * puts spaces around each ideograph, strip_accents decomposes (NFD) and drops the marks,
 * lowercase. One code point at a time; only combining marks wait, as NFD sorts each run of
 * them by class.
 *
 * Ownership: the normalizer lives in its caller's memory, what it queues in the arena.
 */
#ifndef HONE_TEXT_NORMALIZE_IMPL_H
#define HONE_TEXT_NORMALIZE_IMPL_H

#include "base/arena.h"
#include "text/tokens.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The fields of BertNormalizer, strip_accents: null resolved. */
typedef struct hone_normalizer_options {
    bool clean_text;
    bool handle_chinese_chars;
    bool strip_accents;
    bool lowercase;
} hone_normalizer_options;

typedef void hone_normalizer_emit(void *ctx, int32_t c, hone_span span);

/* A combining mark that waits for the rest of its run. */
typedef struct hone_mark {
    int32_t c;
    uint32_t kind;
    hone_span span;
    bool first; /* of what its code point decomposed to */
} hone_mark;

typedef struct hone_normalizer {
    hone_normalizer_options options;
    hone_arena *arena;
    hone_normalizer_emit *emit;
    void *ctx;
    hone_mark *marks;
    size_t marks_count;
    size_t marks_cap;
    bool marks_sorted;
    hone_span last; /* what the last code point stood for */
    bool failed;    /* the arena is full; nothing is emitted any more */
} hone_normalizer;

/* index: of c in the text. */
void hone_normalizer_push(hone_normalizer *normalizer, int32_t c, uint32_t index);

/* The text, or a piece of it that is normalized on its own, ends. */
void hone_normalizer_flush(hone_normalizer *normalizer);

#endif
