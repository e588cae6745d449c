/* rows_impl.h: what the files of review/ do alike with rows.
 */
#ifndef HONE_REVIEW_ROWS_IMPL_H
#define HONE_REVIEW_ROWS_IMPL_H

#include "review/review.h"

#include <jansson.h>

enum { HONE_REVIEW_NAME_MAX = 63, HONE_REVIEW_FIELDS_MAX = 1 << 20 };

hone_err hone_review_no_memory(void);

/* Text of a column in the arena, "" for NULL; NULL at the arena's limit. */
const char *hone_review_text(const hone_rows *rows, int column, hone_arena *arena);

/* Read the row that rows stands on into *out. */
typedef hone_err hone_review_read_fn(const hone_rows *rows, hone_arena *arena, void *out);

/* A list: queries[by_name][descending] with the values key, pattern of the name, after, before,
 * limit, offset. */
typedef struct hone_review_query {
    const char *queries[2][2];
    hone_review_read_fn *read;
    size_t size; /* of an entry */
} hone_review_query;

HONE_NODISCARD hone_err hone_review_list(hone_tx *tx, hone_arena *arena,
                                         const hone_review_query *query, int64_t key,
                                         const hone_review_listing *listing, void *out,
                                         size_t *count, bool *more);

/* The rows of sql, which ran open(rows) already or failed with err; at most limit, in the arena. */
HONE_NODISCARD hone_err hone_review_collect(hone_err err, hone_rows *rows, hone_arena *arena,
                                            hone_review_read_fn *read, size_t size, size_t limit,
                                            void *out, size_t *count, bool *more);

/* The only row of rows, which were opened with err; NOT_FOUND, with the words of missing. */
HONE_NODISCARD hone_err hone_review_one(hone_err err, hone_rows *rows, hone_arena *arena,
                                        hone_review_read_fn *read, hone_err missing, void *out);

/* value as compact JSON in the arena. INVALID above HONE_REVIEW_FIELDS_MAX. */
HONE_NODISCARD hone_err hone_review_dump(hone_arena *arena, const json_t *value, const char **out);

/* Append kind about "WHAT/NAME". detail is taken over; NULL means that there was no memory for it. */
HONE_NODISCARD hone_err hone_review_note(hone_tx *tx, const char *actor, const char *kind,
                                         const char *what, const char *name, json_t *detail);

HONE_NODISCARD hone_err hone_review_check_name(hone_str name, bool lower, const char *what);

#endif
