/* heap.c: see heap.h. */
#include "base/heap.h"

#include <malloc.h>

void hone_heap_keep(void) {
    (void)mallopt(M_ARENA_MAX, 1);               /* a thread's own heap is unmapped when empty */
    (void)mallopt(M_MMAP_THRESHOLD, 32 << 20);   /* the largest that glibc takes */
    (void)mallopt(M_TRIM_THRESHOLD, 1024 << 20); /* bytes free at the top before any is returned */
}
