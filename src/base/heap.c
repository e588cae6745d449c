/* heap.c: see heap.h. */
#include "base/heap.h"

#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { ALIGNMENT = 64 };
static const size_t huge_page = (size_t)2 << 20;

void hone_heap_keep(void) {
    (void)mallopt(M_ARENA_MAX, 1);               /* a thread's own heap is unmapped when empty */
    (void)mallopt(M_MMAP_THRESHOLD, 32 << 20);   /* the largest that glibc takes */
    (void)mallopt(M_TRIM_THRESHOLD, 1024 << 20); /* bytes free at the top before any is returned */
}

void *hone_heap_alloc(size_t size_bytes) {
    if (size_bytes > SIZE_MAX - huge_page) return NULL;
    bool is_large = size_bytes >= 2 * huge_page;
    size_t unit = is_large ? huge_page : ALIGNMENT;
    size_t whole = (size_bytes + unit - 1) / unit * unit;
    void *memory = aligned_alloc(unit, whole);
    if (memory && is_large) (void)madvise(memory, whole, MADV_HUGEPAGE); /* a hint */
    return memory;
}
