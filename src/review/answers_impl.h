/* answers_impl.h: output.json from rows.
 */
#ifndef HONE_REVIEW_ANSWERS_IMPL_H
#define HONE_REVIEW_ANSWERS_IMPL_H

#include "base/buf.h"
#include "review/loops_impl.h"

/* An answer on its way into the database. */
typedef struct answer_row {
    const char *worker, *issuer;
    const char *content; /* JSON */
    int64_t accepted_ms, submitted_ms;
    double seconds;
} answer_row;

/* Append A2I's output of a loop to out: the answers that are kept, and one more (may be NULL). */
HONE_NODISCARD hone_err hone_output_format(hone_tx *tx, hone_arena *arena, const hone_loop *loop,
                                           const answer_row *more, hone_buf *out);

/* Where it goes; bucket, key and uri in the arena. */
typedef struct output_place {
    hone_str bucket, key;
    const char *uri;
} output_place;
HONE_NODISCARD hone_err hone_output_place(hone_tx *tx, hone_arena *arena, const hone_loop *loop,
                                          output_place *out);

/* Link a staged output. A bucket that has gone meanwhile is made again: an answer has no other
 * place to go. */
HONE_NODISCARD hone_err hone_output_link(hone_objects *objects, hone_tx *tx,
                                         const output_place *place, const hone_staged *staged);

enum { HONE_OUTPUT_BYTES_MAX = 40 << 20 };

#endif
