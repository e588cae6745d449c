/* pool.c: a gate that workers enter while a run is open, and one counter that shares it out.
 *
 *     gate:    [ generation | open | workers inside ]          one atomic word
 *     caller:  write job, open the gate of the next generation, wake sleepers, work,
 *              close the gate, wait until nobody is inside
 *     worker:  spin or sleep until the generation changes, enter if it is open, work, leave
 *
 * A worker reads the job only while it is inside, and the caller writes the next job only when
 * the gate is closed and nobody is: so the plain fields of the job need no lock. The caller
 * waits for workers that have a piece, never for one that has not woken up yet: where there are
 * more threads than cores, a run of small pieces would else take a turn of the scheduler. */
#include "base/pool.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

enum {
    THREADS_MAX = 1024,
    SPINS = 20000, /* about 50 us: longer than the gap between two runs of one forward pass */
};

/* The fields of the gate. */
#define INSIDE     UINT64_C(0xFFFF) /* THREADS_MAX and more */
#define OPEN       UINT64_C(0x10000)
#define GENERATION UINT64_C(0x20000) /* one generation; it wraps after 2^47 */

struct hone_pool {
    size_t threads;
    hone_pool_fn *fn;
    void *ctx;
    size_t count;
    _Atomic size_t next;   /* the index to hand out */
    _Atomic uint64_t gate; /* see above */
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

static uint64_t generation_of(uint64_t gate) { return gate / GENERATION; }

/* The first generation after seen. */
static uint64_t await_generation(hone_pool *pool, uint64_t seen) {
    uint64_t now = seen;
    for (int i = 0; i < SPINS; i++) {
        now = generation_of(atomic_load_explicit(&pool->gate, memory_order_acquire));
        if (now != seen) return now;
        cpu_relax();
    }
    pthread_mutex_lock(&pool->lock);
    pool->sleepers++;
    while ((now = generation_of(atomic_load(&pool->gate))) == seen)
        pthread_cond_wait(&pool->wake, &pool->lock);
    pool->sleepers--;
    pthread_mutex_unlock(&pool->lock);
    return now;
}

/* Be counted inside, unless the run is over already. */
static bool enter(hone_pool *pool) {
    uint64_t gate = atomic_load(&pool->gate);
    while (gate & OPEN)
        if (atomic_compare_exchange_weak(&pool->gate, &gate, gate + 1)) return true;
    return false;
}

static void *worker_main(void *arg) {
    const struct worker *self = arg;
    hone_pool *pool = self->pool;
    for (uint64_t seen = 0;;) {
        seen = await_generation(pool, seen);
        if (atomic_load(&pool->stopping)) return NULL;
        if (!enter(pool)) continue;
        work(pool, self->index);
        atomic_fetch_sub_explicit(&pool->gate, 1, memory_order_release);
    }
}

/* A new generation, open or not, seen by spinners at once and by sleepers through the
 * condition. */
static void announce(hone_pool *pool, uint64_t open) {
    pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->gate, GENERATION | open);
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
    if (!alone) announce(pool, OPEN);
    work(pool, 0);
    if (alone) return;

    /* The last piece of another worker may be long: give the core away then, there
     * may be more threads than cores. */
    atomic_fetch_and(&pool->gate, ~OPEN);
    for (int i = 0; atomic_load_explicit(&pool->gate, memory_order_acquire) & INSIDE; i++) {
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
    announce(pool, 0);
    for (size_t i = 1; i < pool->threads; i++) (void)pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
