/* arena.c: a list of blocks, the newest first; every block comes from aligned_alloc. */
#include "base/arena.h"

#include "base/heap.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

enum { ALIGNMENT = 64, BLOCK_BYTES = 64 * 1024 };

typedef struct block {
    struct block *older;
    size_t size_bytes; /* of data */
    size_t used_bytes;
    _Alignas(ALIGNMENT) char data[];
} block;

typedef struct deferred {
    struct deferred *older;
    void (*fn)(void *arg);
    void *arg;
} deferred;

struct hone_arena {
    block *newest;
    deferred *last;
    size_t limit_bytes;
    size_t held_bytes; /* sum of size_bytes, <= limit_bytes */
};

hone_err hone_arena_create(size_t limit_bytes, hone_arena **out) {
    hone_arena *arena = calloc(1, sizeof *arena);
    if (!arena) return hone_err_new(HONE_E_NOMEM, "arena of %zu bytes", limit_bytes);
    arena->limit_bytes = limit_bytes;
    *out = arena;
    return HONE_OK;
}

static void run_deferred(hone_arena *arena) {
    for (deferred *d = arena->last; d; d = d->older) d->fn(d->arg);
    arena->last = NULL;
}

/* Free all blocks but keep; keep may be NULL. */
static void free_blocks(hone_arena *arena, const block *keep) {
    block *b = arena->newest;
    while (b) {
        block *older = b->older;
        if (b != keep) {
            arena->held_bytes -= b->size_bytes;
            free(b);
        }
        b = older;
    }
}

void hone_arena_destroy(hone_arena *arena) {
    if (!arena) return;
    run_deferred(arena);
    free_blocks(arena, NULL);
    free(arena);
}

void hone_arena_reset(hone_arena *arena) {
    run_deferred(arena);
    block *keep = arena->newest;
    free_blocks(arena, keep);
    arena->newest = keep;
    if (!keep) return;
    keep->older = NULL;
    keep->used_bytes = 0;
}

size_t hone_arena_held(const hone_arena *arena) { return arena->held_bytes; }

hone_arena_mark hone_arena_mark_get(const hone_arena *arena) {
    block *b = arena->newest;
    return (hone_arena_mark){b, b ? b->used_bytes : 0};
}

void hone_arena_rewind(hone_arena *arena, hone_arena_mark mark) {
    while (arena->newest != mark.block) {
        block *b = arena->newest;
        arena->newest = b->older;
        arena->held_bytes -= b->size_bytes;
        free(b);
    }
    if (arena->newest) arena->newest->used_bytes = mark.used_bytes;
}

static block *add_block(hone_arena *arena, size_t need_bytes) {
    size_t size_bytes = need_bytes > BLOCK_BYTES ? need_bytes : BLOCK_BYTES;
    size_t left_bytes = arena->limit_bytes - arena->held_bytes;
    if (size_bytes > left_bytes) size_bytes = need_bytes; /* the last block may be small */
    if (size_bytes > left_bytes) return NULL;

    size_t total_bytes = (sizeof(block) + size_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    block *b = hone_heap_alloc(total_bytes);
    if (!b) return NULL;
    b->older = arena->newest;
    b->size_bytes = size_bytes;
    b->used_bytes = 0;
    arena->newest = b;
    arena->held_bytes += size_bytes;
    return b;
}

void *hone_arena_alloc(hone_arena *arena, size_t count, size_t size) {
    size_t bytes = 0;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2) return NULL;
    bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;

    block *b = arena->newest;
    if (!b || b->size_bytes - b->used_bytes < bytes) b = add_block(arena, bytes);
    if (!b) return NULL;
    void *ptr = b->data + b->used_bytes;
    b->used_bytes += bytes;
    return memset(ptr, 0, bytes);
}

char *hone_arena_strdup(hone_arena *arena, hone_str s) {
    char *copy = hone_arena_alloc(arena, s.len + 1, 1);
    if (copy && s.len > 0) memcpy(copy, s.ptr, s.len);
    return copy;
}

hone_err hone_arena_defer(hone_arena *arena, void (*fn)(void *arg), void *arg) {
    assert(fn != NULL);
    deferred *d = hone_arena_alloc(arena, 1, sizeof *d);
    if (!d) {
        fn(arg);
        return hone_err_new(HONE_E_NOMEM, "arena of %zu bytes is full", arena->limit_bytes);
    }
    *d = (deferred){arena->last, fn, arg};
    arena->last = d;
    return HONE_OK;
}
