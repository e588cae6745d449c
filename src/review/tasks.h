/* tasks.h: tasks: a reviewer's queue, the lease on what they work at, and their answer.
 *
 *     accept -> lease: 60 s, made longer by heartbeat up to the flow's time limit after accept
 *
 * A lease is proved by its token. When it runs out the task is offered to others, but as long as
 * nobody took it the token still answers. Whoever accepts again what they hold gets a new token,
 * the old one is stale and the clock goes on.
 *
 * Errors: NOT_FOUND also for a task of a team that is not the reviewer's. CLOSED when the lease
 * is over (taken by another, released) or the loop has ended. CONFLICT when the task is answered
 * already, held by somebody else or was declined.
 */
#ifndef HONE_REVIEW_TASKS_H
#define HONE_REVIEW_TASKS_H

#include "review/review.h"

#include <jansson.h>

enum {
    HONE_LEASE_MS = 60000,
    HONE_LEASES_MAX = 16, /* of one reviewer at a time */
    HONE_LEASE_SIZE = 49, /* a token with its terminator */
    HONE_ANSWER_BYTES_MAX = 1 << 20,
    HONE_QUEUE_MAX = 100,
};

/* Who works. Borrowed. */
typedef struct hone_reviewer {
    int64_t user;
    const char *worker; /* what answers carry */
    const char *actor;  /* "user/ann" */
    const char *issuer; /* who vouches for the worker's id: this server's address */
    const hone_str *teams;
    size_t team_count;
} hone_reviewer;

typedef struct hone_task {
    int64_t id;
    const char *loop, *flow, *team, *title, *description;
    const char *state; /* "available", "leased", "answered", "closed" */
    int64_t created_ms;
    int64_t accepted_ms, lease_until_ms; /* 0 unless leased */
    int64_t time_limit_s;
    int64_t expires_ms; /* until when it may be accepted */
} hone_task;

/* What this reviewer may accept, oldest first and one of each loop, up to HONE_QUEUE_MAX. */
HONE_NODISCARD hone_err hone_task_queue(hone_tx *tx, hone_arena *arena, const hone_reviewer *who,
                                        hone_task **out, size_t *count);
/* What they hold. */
HONE_NODISCARD hone_err hone_task_held(hone_tx *tx, hone_arena *arena, const hone_reviewer *who,
                                       hone_task **out, size_t *count);

HONE_NODISCARD hone_err hone_task_accept(hone_tx *tx, hone_arena *arena, const hone_reviewer *who,
                                         int64_t id, char lease[HONE_LEASE_SIZE], hone_task *out);
/* The oldest of the queue, of any flow or of one (flow empty = any). out->id 0: there is none. */
HONE_NODISCARD hone_err hone_task_next(hone_tx *tx, hone_arena *arena, const hone_reviewer *who,
                                       hone_str flow, char lease[HONE_LEASE_SIZE], hone_task *out);
HONE_NODISCARD hone_err hone_task_heartbeat(hone_tx *tx, hone_arena *arena,
                                            const hone_reviewer *who, int64_t id, hone_str lease,
                                            int64_t *until_ms);
/* decline: the loop is never offered to this reviewer again. */
HONE_NODISCARD hone_err hone_task_release(hone_tx *tx, hone_arena *arena, const hone_reviewer *who,
                                          int64_t id, hone_str lease, bool decline);

/* The page of a task that is leased: its template and its input, in the arena. */
HONE_NODISCARD hone_err hone_task_page(hone_tx *tx, hone_arena *arena, const hone_reviewer *who,
                                       int64_t id, hone_str lease, hone_str *content,
                                       hone_str *input);

/* Keep an answer, a JSON object. Begins its own transactions: not to be called within one. On
 * HONE_OK it is on the disk, and if it was the loop's last, so is output.json. seconds: the time
 * that the reviewer was at it; negative = since accept. The same answer under the same lease again
 * succeeds with the first one's time. INVALID for an answer that is no object or too large. */
HONE_NODISCARD hone_err hone_task_answer(hone_db *db, hone_objects *objects, hone_arena *arena,
                                         const hone_reviewer *who, int64_t id, hone_str lease,
                                         const json_t *answer, double seconds,
                                         int64_t *answered_ms);

#endif
