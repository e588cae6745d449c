/* heap.h: how malloc takes memory from the system and gives it back, for programs that work on
 * large pieces. */
#ifndef HONE_BASE_HEAP_H
#define HONE_BASE_HEAP_H

#include <stddef.h>

/* Keep freed memory instead of returning it to the system, in one heap for all threads. For a
 * training run. Call it before threads are made. */
void hone_heap_keep(void);

/* aligned_alloc(64, size_bytes), in huge pages where the system has them for who asks: rows of a
 * matrix are pages apart, and looking up ordinary ones takes time. NULL when there is no memory;
 * the caller frees with free. */
void *hone_heap_alloc(size_t size_bytes);

/* size_bytes up to the next multiple of 64: pieces of one allocation begin there. */
static inline size_t hone_heap_rounded(size_t size_bytes) { return (size_bytes + 63) / 64 * 64; }

#endif
