/* pool.h: a fixed team of threads that shares out numbered pieces of work.
 *
 *     run(count, fn): every index in [0, count) is given to exactly one thread; run returns
 *                     when all are done
 *
 * Which thread gets which index is left to chance, so a piece must write only what
 * belongs to its index: then the results are the same for any number of threads.
 *
 * Between two runs that follow each other closely the threads spin (a forward pass
 * has dozens of runs a millisecond apart); after that they sleep.
 *
 * Threads: one run at a time; the caller of run works too, as worker 0.
 */
#ifndef HONE_BASE_POOL_H
#define HONE_BASE_POOL_H

#include "base/err.h"

#include <stddef.h>

typedef struct hone_pool hone_pool;

/* index of the piece; worker in [0, hone_pool_threads), for scratch memory */
typedef void hone_pool_fn(void *ctx, size_t index, size_t worker);

/* threads >= 1, the caller counted; 0 = as many as the process may use. NOMEM, INVALID. */
HONE_NODISCARD hone_err hone_pool_create(size_t threads, hone_pool **out);
void hone_pool_destroy(hone_pool *pool);

size_t hone_pool_threads(const hone_pool *pool);

void hone_pool_run(hone_pool *pool, size_t count, hone_pool_fn *fn, void *ctx);

#endif
