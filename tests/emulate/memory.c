/* memory.c: see memory.h.
 *
 *     free_from | heap -> | HEAP_END  mappings ->        MEMORY_END
 *
 * A mapping is taken from the top, or has the place of one of the same size that was given back:
 * oneDNN's machine code comes and goes in pieces of one size. The programs' allocator keeps to its
 * heap (run.py). */
#include "memory.h"

#include "layout.h"
#include "machine.h"

enum { HEAP_END = 0x20000000, FREED_MAX = 1024 };

static uint64_t heap_start, heap_end, heap_used, map_end, map_used;
static struct { uint64_t at, size; } freed[FREED_MAX];
static size_t freed_count;

/* [from, to) as if fresh: what lies above *used was never written to. */
static void clear(uint64_t from, uint64_t to, uint64_t *used) {
    uint64_t dirty = to < *used ? to : *used;
    if (from < dirty) memset((void *)from, 0, dirty - from);
    if (*used < to) *used = to;
}

void memory_init(void *free_from) {
    heap_start = heap_end = heap_used = page_up((uint64_t)free_from);
    map_end = map_used = HEAP_END;
}

uint64_t memory_brk(uint64_t end) {
    if (end < heap_start || end > HEAP_END) return heap_end;
    if (end > heap_end) clear(heap_end, end, &heap_used);
    return heap_end = end;
}

/* The place of a mapping of this size that was given back; 0 when there is none. */
static uint64_t take_freed(uint64_t size) {
    for (size_t i = 0; i < freed_count; i++) {
        if (freed[i].size != size) continue;
        uint64_t at = freed[i].at;
        freed[i] = freed[--freed_count];
        memset((void *)at, 0, size);
        return at;
    }
    return 0;
}

uint64_t memory_map(uint64_t size) {
    size = page_up(size);
    if (size == 0) return 0;
    uint64_t again = take_freed(size);
    if (again) return again;
    if (size > MEMORY_END - map_end) return 0;
    uint64_t at = map_end;
    map_end += size;
    clear(at, map_end, &map_used);
    return at;
}

void memory_unmap(uint64_t at, uint64_t size) {
    size = page_up(size);
    if (!memory_is_mapped(at, size)) return;
    if (at + size == map_end) {
        map_end = at;
    } else if (freed_count < FREED_MAX) { /* else it is lost */
        freed[freed_count].at = at;
        freed[freed_count++].size = size;
    }
}

bool memory_is_mapped(uint64_t at, uint64_t size) {
    return at >= HEAP_END && at <= map_end && size <= map_end - at;
}
