/* jobq.c: a ring of jobs under one mutex.
 *
 *     slots:  . . [first] x x x . .        count = 4, the x and first are queued
 *
 * One lock and one condition are enough: a job runs for milliseconds at least,
 * so the lock is not contended (bench/bench_jobq.c measures it). */
#include "base/jobq.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

struct hone_jobq {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a job arrived, or the queue closed */
    /* Guarded by lock: */
    bool closed;
    size_t first; /* slot of the oldest job, < cap */
    size_t count; /* jobs queued, <= cap */
    size_t cap;   /* constant after create */
    hone_job slots[];
};

hone_err hone_jobq_create(size_t cap, hone_jobq **out) {
    if (cap == 0) return hone_err_new(HONE_E_INVALID, "job queue needs room for one job");
    if (cap > (SIZE_MAX - sizeof(hone_jobq)) / sizeof(hone_job))
        return hone_err_new(HONE_E_NOMEM, "job queue of %zu jobs is too large", cap);

    hone_jobq *q = calloc(1, sizeof *q + cap * sizeof q->slots[0]);
    if (!q) return hone_err_new(HONE_E_NOMEM, "job queue of %zu jobs", cap);

    q->cap = cap;
    /* Default attributes: neither can fail on the platforms we support. */
    (void)pthread_mutex_init(&q->lock, NULL);
    (void)pthread_cond_init(&q->changed, NULL);
    *out = q;
    return HONE_OK;
}

void hone_jobq_destroy(hone_jobq *q) {
    if (!q) return;
    assert(q->count == 0);
    pthread_cond_destroy(&q->changed);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

hone_err hone_jobq_push(hone_jobq *q, hone_job job) {
    hone_err err = HONE_OK;

    pthread_mutex_lock(&q->lock);
    if (q->closed) {
        err = hone_err_new(HONE_E_CLOSED, "job queue is closed");
    } else if (q->count == q->cap) {
        err = hone_err_new(HONE_E_FULL, "job queue holds its %zu jobs", q->cap);
    } else {
        q->slots[(q->first + q->count) % q->cap] = job;
        q->count++;
        pthread_cond_signal(&q->changed);
    }
    pthread_mutex_unlock(&q->lock);
    return err;
}

hone_err hone_jobq_pop(hone_jobq *q, hone_job *out) {
    hone_err err = HONE_OK;

    pthread_mutex_lock(&q->lock);
    while (q->count == 0 && !q->closed) pthread_cond_wait(&q->changed, &q->lock);

    if (q->count > 0) { /* closed or not: queued jobs are never lost */
        *out = q->slots[q->first];
        q->first = (q->first + 1) % q->cap;
        q->count--;
    } else {
        err = hone_err_new(HONE_E_CLOSED, "job queue is closed and drained");
    }
    pthread_mutex_unlock(&q->lock);
    return err;
}

void hone_jobq_close(hone_jobq *q) {
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
}
