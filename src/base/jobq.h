/* jobq.h: a bounded queue that carries jobs from many producers to many workers.
 *
 *     push --> [ oldest | ... | newest ] --> pop          first in, first out
 *
 * The capacity is fixed at creation. When workers fall behind, push refuses
 * instead of waiting or growing: the HTTP thread must never block, and a client
 * told "try later" is better off than a server out of memory.
 *
 * Ownership: the queue owns a job from a push that succeeds to the pop that
 *            returns it. A push that fails leaves the job with the caller.
 * Threads:   any function from any thread, but create and destroy from one, with
 *            no other call in progress.
 */
#ifndef HONE_BASE_JOBQ_H
#define HONE_BASE_JOBQ_H

#include "base/err.h"

#include <stddef.h>

typedef struct hone_jobq hone_jobq;

typedef struct hone_job {
    void (*run)(void *arg);
    void *arg; /* owned by the job: run() releases it */
} hone_job;

/* A queue for at most cap jobs, cap >= 1. INVALID if cap is 0, NOMEM. */
HONE_NODISCARD hone_err hone_jobq_create(size_t cap, hone_jobq **out);

/* Release the queue, which must be empty: close it and pop until CLOSED first.
 * NULL is allowed. */
void hone_jobq_destroy(hone_jobq *q);

/* Append job. Never waits. FULL at capacity, CLOSED after hone_jobq_close(). */
HONE_NODISCARD hone_err hone_jobq_push(hone_jobq *q, hone_job job);

/* Wait for the oldest job and take it. CLOSED once closed and drained. */
HONE_NODISCARD hone_err hone_jobq_pop(hone_jobq *q, hone_job *out);

/* Refuse further pushes and wake every waiting worker. Idempotent. */
void hone_jobq_close(hone_jobq *q);

#endif
