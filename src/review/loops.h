/* loops.h: human loops: one input, shown to as many reviewers as its flow says. review.h has the
 * states.
 */
#ifndef HONE_REVIEW_LOOPS_H
#define HONE_REVIEW_LOOPS_H

#include "review/review.h"

#define HONE_LOOP_OPEN      "InProgress"
#define HONE_LOOP_STOPPING  "Stopping"
#define HONE_LOOP_STOPPED   "Stopped"
#define HONE_LOOP_COMPLETED "Completed"
#define HONE_LOOP_FAILED    "Failed"

enum { HONE_INPUT_CHARS_MAX = 3145728 };

typedef struct hone_loop {
    int64_t id, flow;
    const char *name, *arn;
    const char *flow_name, *flow_arn, *team;
    const char *status;
    const char *failure_code, *failure_reason; /* "" unless it failed */
    const char *output_uri;                    /* "" unless it is completed */
    int64_t created_ms;
    int64_t expires_ms; /* until when its tasks may be accepted */
    int64_t ended_ms;   /* 0 = open */
} hone_loop;

typedef struct hone_loop_spec {
    hone_str name;
    hone_str flow;       /* name or ARN */
    hone_str input;      /* one JSON object; kept byte for byte */
    hone_str attributes; /* JSON of DataAttributes; empty = none */
} hone_loop_spec;

/* Start it, with its tasks. CONFLICT for a name that is taken, NOT_FOUND for the flow, INVALID. */
HONE_NODISCARD hone_err hone_loop_start(hone_tx *tx, hone_arena *arena, hone_realm realm,
                                        const char *actor, const hone_loop_spec *spec,
                                        hone_loop *out);
/* NOT_FOUND. */
HONE_NODISCARD hone_err hone_loop_find(hone_tx *tx, hone_arena *arena, hone_str name,
                                       hone_loop *out);
HONE_NODISCARD hone_err hone_loop_list(hone_tx *tx, hone_arena *arena, int64_t flow,
                                       const hone_review_listing *listing, hone_loop **out,
                                       size_t *count, bool *more);
/* Tasks that nobody has accepted are closed at once; whoever is at work may finish. INVALID when
 * it has ended already. */
HONE_NODISCARD hone_err hone_loop_stop(hone_tx *tx, hone_arena *arena, const char *actor,
                                       hone_str name);
/* With its tasks and answers; output.json stays. INVALID while it is open. */
HONE_NODISCARD hone_err hone_loop_remove(hone_tx *tx, hone_arena *arena, const char *actor,
                                         hone_str name);

#endif
