/* pool.c: one generation counter starts a run, one index counter shares it out.
 *
 *     caller:  write job, generation += 1, wake sleepers, work, wait for pending == 0
 *     worker:  spin or sleep until generation changes, work, pending -= 1
 *
 * A worker reads the job only between the change of generation and its own
 * decrement of pending, and the caller writes the next job only after pending is
 * 0: so the plain fields of the job need no lock. */
#include "base/pool.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

enum {
    THREADS_MAX = 1024,
    SPINS = 20000, /* about 50 us: longer than the gap between two runs of one forward pass */
};

struct hone_pool {
    size_t threads;
    hone_pool_fn *fn;
    void *ctx;
    size_t count;
    _Atomic size_t next;         /* the index to hand out */
    _Atomic size_t pending;      /* workers that still have to leave this run */
    _Atomic unsigned generation; /* of the run */
    atomic_bool stopping;
    pthread_mutex_t lock;
    pthread_cond_t wake; /* generation changed, or stopping */
    /* Guarded by lock: */
    size_t sleepers;
    struct worker {
        hone_pool *pool;
        pthread_t thread;
        size_t index;
    } workers[];
};

static void cpu_relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void work(hone_pool *pool, size_t worker) {
    for (;;) {
        size_t index = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (index >= pool->count) return;
        pool->fn(pool->ctx, index, worker);
    }
}

static void await_generation(hone_pool *pool, unsigned seen) {
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&pool->generation, memory_order_acquire) != seen) return;
        cpu_relax();
    }
    pthread_mutex_lock(&pool->lock);
    pool->sleepers++;
    while (atomic_load(&pool->generation) == seen) pthread_cond_wait(&pool->wake, &pool->lock);
    pool->sleepers--;
    pthread_mutex_unlock(&pool->lock);
}

static void *worker_main(void *arg) {
    const struct worker *self = arg;
    hone_pool *pool = self->pool;
    unsigned seen = 0;
    for (;;) {
        await_generation(pool, seen);
        seen++;
        if (atomic_load(&pool->stopping)) return NULL;
        work(pool, self->index);
        atomic_fetch_sub_explicit(&pool->pending, 1, memory_order_release);
    }
}

/* A new generation, seen by spinners at once and by sleepers through the condition. */
static void announce(hone_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->generation, 1);
    if (pool->sleepers > 0) pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
}

void hone_pool_run(hone_pool *pool, size_t count, hone_pool_fn *fn, void *ctx) {
    if (count == 0) return;
    pool->fn = fn;
    pool->ctx = ctx;
    pool->count = count;
    atomic_store(&pool->next, 0);
    bool alone = pool->threads == 1 || count == 1;
    if (!alone) {
        atomic_store(&pool->pending, pool->threads - 1);
        announce(pool);
    }
    work(pool, 0);
    if (alone) return;

    /* The last piece of another worker may be long: give the core away then, there
     * may be more threads than cores. */
    for (int i = 0; atomic_load_explicit(&pool->pending, memory_order_acquire) > 0; i++) {
        if (i < SPINS)
            cpu_relax();
        else
            (void)sched_yield();
    }
}

size_t hone_pool_threads(const hone_pool *pool) { return pool->threads; }

static size_t usable_cpus(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? (size_t)count : 1;
}

hone_err hone_pool_create(size_t threads, hone_pool **out) {
    if (threads == 0) threads = usable_cpus();
    if (threads > THREADS_MAX)
        return hone_err_new(HONE_E_INVALID, "%zu threads: at most %d", threads, THREADS_MAX);

    hone_pool *pool = calloc(1, sizeof *pool + threads * sizeof pool->workers[0]);
    if (!pool) return hone_err_new(HONE_E_NOMEM, "pool of %zu threads", threads);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->threads = 1;
    for (size_t i = 1; i < threads; i++) {
        struct worker *w = &pool->workers[i];
        w->pool = pool;
        w->index = i;
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0) {
            hone_pool_destroy(pool);
            return hone_err_new(HONE_E_NOMEM, "the system refuses thread %zu of %zu", i, threads);
        }
        pool->threads = i + 1;
    }
    *out = pool;
    return HONE_OK;
}

void hone_pool_destroy(hone_pool *pool) {
    if (!pool) return;
    atomic_store(&pool->stopping, true);
    announce(pool);
    for (size_t i = 1; i < pool->threads; i++) (void)pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
