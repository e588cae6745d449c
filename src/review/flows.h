/* flows.h: flow definitions: whom to ask, by which page, how many of them, for how long, and
 * where the answers go.
 *
 *     Active --remove--> Deleting (while loops that somebody began are open) --> gone
 */
#ifndef HONE_REVIEW_FLOWS_H
#define HONE_REVIEW_FLOWS_H

#include "review/review.h"

#include <jansson.h>

enum {
    HONE_TASKS_MAX = 3, /* of one loop: TaskCount */
    HONE_LIFETIME_DEFAULT_S = 864000,
    HONE_TIME_LIMIT_DEFAULT_S = 3600,
    HONE_TIME_LIMIT_MIN_S = 30,
};

typedef struct hone_flow {
    int64_t id;
    const char *name, *arn;
    const char *status; /* "Active", "Deleting" */
    const char *team;   /* name */
    int64_t ui;
    const char *title, *description;
    int64_t task_count;
    int64_t lifetime_s;          /* how long a task may be accepted after its loop began */
    int64_t time_limit_s;        /* from accepting a task to its answer */
    const char *bucket, *prefix; /* of the output; prefix without slashes at its ends */
    const char *fields;          /* JSON: all that CreateFlowDefinition was given, as it came */
    int64_t created_ms;
} hone_flow;

typedef struct hone_flow_spec {
    hone_str name, team, ui; /* team, ui: name or ARN */
    hone_str title, description;
    int64_t task_count, lifetime_s, time_limit_s;
    hone_str output_uri; /* s3://bucket/prefix */
    const json_t *fields;
} hone_flow_spec;

/* CONFLICT when it exists; INVALID when team, task UI or bucket are not there, naming which. */
HONE_NODISCARD hone_err hone_flow_add(hone_tx *tx, hone_arena *arena, hone_realm realm,
                                      const char *actor, const hone_flow_spec *spec,
                                      hone_flow *out);
/* By name or ARN. NOT_FOUND. */
HONE_NODISCARD hone_err hone_flow_find(hone_tx *tx, hone_arena *arena, hone_str name,
                                       hone_flow *out);
HONE_NODISCARD hone_err hone_flow_list(hone_tx *tx, hone_arena *arena,
                                       const hone_review_listing *listing, hone_flow **out,
                                       size_t *count, bool *more);
/* Loops that nobody began go with it; those that somebody did go on. CONFLICT when it is being
 * deleted already. */
HONE_NODISCARD hone_err hone_flow_remove(hone_tx *tx, hone_arena *arena, const char *actor,
                                         hone_str name);

#endif
