/* loops_impl.h: what flows, tasks and answers do to loops.
 */
#ifndef HONE_REVIEW_LOOPS_IMPL_H
#define HONE_REVIEW_LOOPS_IMPL_H

#include "review/loops.h"

#include <jansson.h>

HONE_NODISCARD hone_err hone_loop_get(hone_tx *tx, hone_arena *arena, int64_t id, hone_loop *out);

/* {"flow", "team", "loop"} of journal entries; NULL without memory. */
json_t *hone_loop_detail(const hone_loop *loop);

/* Append kind about a task of loop; detail as hone_review_note. */
HONE_NODISCARD hone_err hone_loop_note_task(hone_tx *tx, const char *actor, const char *kind,
                                            int64_t task, json_t *detail);

/* A lease of loop has ended: a loop that was waiting for it is stopped. */
HONE_NODISCARD hone_err hone_loop_settle(hone_tx *tx, const char *actor, const hone_loop *loop);

/* All tasks are answered, and output_uri is linked in tx. */
HONE_NODISCARD hone_err hone_loop_complete(hone_tx *tx, const char *actor, const hone_loop *loop,
                                           const char *output_uri, int64_t when_ms);

/* Delete the open loops of a flow that nobody began. */
HONE_NODISCARD hone_err hone_loops_drop_unstarted(hone_tx *tx, hone_arena *arena, const char *actor,
                                                  int64_t flow);

/* A flow that is being deleted goes with its last open loop. */
HONE_NODISCARD hone_err hone_flow_settle(hone_tx *tx, int64_t flow);

/* End up to limit leases or loops that are due; *ended says how many. */
HONE_NODISCARD hone_err hone_loops_end_leases(hone_tx *tx, hone_arena *arena, size_t limit,
                                              size_t *ended);
HONE_NODISCARD hone_err hone_loops_expire(hone_tx *tx, hone_arena *arena, size_t limit,
                                          size_t *ended);

#endif
