/* listing.h: which rows of a table a List operation wants, in what order.
 */
#ifndef HONE_REGISTRY_LISTING_H
#define HONE_REGISTRY_LISTING_H

#include "base/arena.h"
#include "store/db.h"

#include <stdbool.h>
#include <stdint.h>

enum { HONE_LISTING_MAX = 100 };

/* Which rows a list wants. Zeroed: the first 100, oldest first. */
typedef struct hone_listing {
    int64_t limit, offset;       /* limit 1..100; 0 = 100 */
    bool by_name, descending;    /* else by the time of creation */
    int64_t after_ms, before_ms; /* created; before_ms 0 = any */
    hone_str name_contains;      /* empty = any */
    hone_str group, status;      /* of versions; empty = any */
} hone_listing;

/* listing with its defaults filled in and its limits checked; its strings have a ptr. INVALID. */
HONE_NODISCARD hone_err hone_listing_check(const hone_listing *listing, hone_listing *out);

/* name_contains as a pattern for LIKE ... ESCAPE '\\', in the arena; NULL at its limit. */
const char *hone_listing_pattern(const hone_listing *listing, hone_arena *arena);

/* Read one row into the item it is for, with its strings in the arena. */
typedef hone_err hone_listing_read(const hone_rows *rows, hone_arena *arena, void *item);

/* The rows of a list by name and time: sql[by_name][descending] takes a pattern for the name, the
 * two times, LIMIT and OFFSET. *items is an array of item_size each, in the arena; *more says
 * whether rows are left behind it. INVALID for a bad listing, NOMEM. */
HONE_NODISCARD hone_err hone_listing_rows(hone_tx *tx, hone_arena *arena,
                                          const hone_listing *listing, const char *const sql[2][2],
                                          size_t item_size, hone_listing_read *read, void **items,
                                          size_t *count, bool *more);

#endif
