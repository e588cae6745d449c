/* heap.h: how malloc gives memory back, for programs that ask for the same large pieces again
 * and again. */
#ifndef HONE_BASE_HEAP_H
#define HONE_BASE_HEAP_H

/* Keep freed memory instead of returning it to the system, in one heap for all threads. For a
 * training run: oneDNN packs both sides of a weight's gradient into memory that it allocates
 * and frees at every call. Call it before threads are made. */
void hone_heap_keep(void);

#endif
