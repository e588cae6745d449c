/* arena.h: memory that is dropped whole, at the end of a request or a job.
 *
 *     block [ used | free ] -> block [ used | free ] -> ...     never above limit_bytes
 *
 * Resources that are no memory (descriptors, maps, statements) are tied to the
 * arena with hone_arena_defer and released in reverse order when it is dropped.
 *
 * Threads: an arena belongs to one thread at a time.
 */
#ifndef HONE_BASE_ARENA_H
#define HONE_BASE_ARENA_H

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>

typedef struct hone_arena hone_arena;

/* An empty arena that will hold at most limit_bytes. NOMEM. */
HONE_NODISCARD hone_err hone_arena_create(size_t limit_bytes, hone_arena **out);

/* Run what was deferred, newest first, and free everything. NULL is allowed. */
void hone_arena_destroy(hone_arena *arena);

/* Forget every allocation but keep one block for the next use; deferred calls run. */
void hone_arena_reset(hone_arena *arena);

/* What it has from the system now, a kept block included. */
size_t hone_arena_held(const hone_arena *arena);

/* A place in the arena to go back to: what is allocated between the two is forgotten. Nothing may
 * be deferred in between. */
typedef struct hone_arena_mark {
    void *block;
    size_t used_bytes;
} hone_arena_mark;
hone_arena_mark hone_arena_mark_get(const hone_arena *arena);
void hone_arena_rewind(hone_arena *arena, hone_arena_mark mark);

/* count * size zeroed bytes, aligned to 64; NULL at the limit or on overflow. */
void *hone_arena_alloc(hone_arena *arena, size_t count, size_t size);

/* A terminated copy of s; NULL at the limit. */
char *hone_arena_strdup(hone_arena *arena, hone_str s);

/* Call fn(arg) when the arena is dropped or reset. At the limit fn(arg) is
 * called at once and NOMEM returned, so that the resource cannot leak. */
HONE_NODISCARD hone_err hone_arena_defer(hone_arena *arena, void (*fn)(void *arg), void *arg);

#endif
