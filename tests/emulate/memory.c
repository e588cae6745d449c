/* memory.c: see memory.h.
 *
 *     free_from | heap -> | HEAP_END  mappings ->        MEMORY_END
 *
 * A mapping is taken from the top and given back where it is the last: the programs run with an
 * allocator that keeps to its heap (run.py). */
#include "memory.h"

#include "layout.h"
#include "machine.h"

enum { HEAP_END = 0x20000000 };

static uint64_t heap_start, heap_end, heap_used, map_end, map_used;

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

uint64_t memory_map(uint64_t size) {
    size = page_up(size);
    if (size == 0 || size > MEMORY_END - map_end) return 0;
    uint64_t at = map_end;
    map_end += size;
    clear(at, map_end, &map_used);
    return at;
}

void memory_unmap(uint64_t at, uint64_t size) {
    if (at + page_up(size) == map_end && at >= HEAP_END) map_end = at;
}

bool memory_is_mapped(uint64_t at, uint64_t size) {
    return at >= HEAP_END && at <= map_end && size <= map_end - at;
}
