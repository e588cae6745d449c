/* listing.h: which rows of a table a List operation wants, in what order.
 */
#ifndef HONE_REGISTRY_LISTING_H
#define HONE_REGISTRY_LISTING_H

#include "base/arena.h"

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

#endif
