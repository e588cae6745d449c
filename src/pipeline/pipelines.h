/* pipelines.h: pipelines, their executions, and the steps that children work on.
 *
 *     document --add--> pipeline --start--> execution: Executing --> Succeeded
 *                                              |  `----------------> Failed   --retry--> Executing
 *                                              `stop--> Stopping --> Stopped  --retry--> Executing
 *
 *     step: (waits) --> Executing --> Succeeded | Failed | Stopped
 *
 * A Processing or Training step is a job (jobs/jobs.h): a child process in a folder of its own.
 * RegisterModel is done in place. What a step made becomes objects in the transaction that ends
 * it, so that whoever sees the step Succeeded sees its outputs too. Everything is in the database:
 * a server that was killed goes on where it was.
 *
 * Threads: any; functions with a tx work in the caller's transaction. A thread of the room's own
 * moves executions on, woken by the journal. Start reading at advance() in engine.c.
 */
#ifndef HONE_PIPELINE_PIPELINES_H
#define HONE_PIPELINE_PIPELINES_H

#include "base/arena.h"
#include "base/realm.h"
#include "registry/registry.h"
#include "store/objects.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct hone_pipelines hone_pipelines;

typedef struct hone_pipelines_options {
    const char *dir; /* --data */
    hone_db *db;
    hone_objects *objects;
    hone_realm realm;
    const char *program;   /* of the children; NULL = this one */
    size_t jobs_max;       /* children at once; 0 = 1 */
    size_t executions_max; /* executions that start steps at once; 0 = 4 */
} hone_pipelines_options;

/* Migrates its tables and opens the jobs; the first time, makes the bucket hone-data and the
 * pipeline `sentiment`. Nothing runs before start. */
HONE_NODISCARD hone_err hone_pipelines_open(const hone_pipelines_options *options,
                                            hone_pipelines **out);
/* Takes up what was running when the last server ended. */
HONE_NODISCARD hone_err hone_pipelines_start(hone_pipelines *pipelines);
/* Kills children, whose work goes on at the next start. NULL is allowed. */
void hone_pipelines_close(hone_pipelines *pipelines);

/* --- pipelines ---------------------------------------------------------------------- */

/* Strings live in the arena it was asked with. */
typedef struct hone_pipeline {
    const char *name, *arn, *display, *description, *role, *definition;
    const char *created_by, *modified_by;
    int64_t created_ms, modified_ms, last_ms; /* last: an execution's start; 0 = never */
    int64_t parallelism;                      /* steps at once; 0 = any */
} hone_pipeline;

/* What to set; ptr NULL, and parallelism < 0, leave what is there. */
typedef struct hone_pipeline_change {
    hone_str display, description, role, definition;
    int64_t parallelism;
} hone_pipeline_change;

/* The definition is checked. With a token that made it before, gives the same one; CONFLICT
 * (`... already exists`) when the name is taken; INVALID. */
HONE_NODISCARD hone_err hone_pipelines_add(hone_pipelines *pipelines, hone_tx *tx,
                                           hone_arena *arena, const char *actor, hone_str name,
                                           hone_str token, const hone_pipeline_change *fields,
                                           hone_pipeline *out);
/* By name or ARN. NOT_FOUND. */
HONE_NODISCARD hone_err hone_pipelines_find(hone_pipelines *pipelines, hone_tx *tx,
                                            hone_arena *arena, hone_str name, hone_pipeline *out);
HONE_NODISCARD hone_err hone_pipelines_update(hone_pipelines *pipelines, hone_tx *tx,
                                              hone_arena *arena, const char *actor, hone_str name,
                                              const hone_pipeline_change *change,
                                              hone_pipeline *out);
/* CONFLICT while an execution of it runs. Its executions stay on record. */
HONE_NODISCARD hone_err hone_pipelines_remove(hone_pipelines *pipelines, hone_tx *tx,
                                              hone_arena *arena, const char *actor, hone_str name,
                                              hone_pipeline *out);
/* listing->name_contains is a prefix of the name here. */
HONE_NODISCARD hone_err hone_pipelines_list(hone_pipelines *pipelines, hone_tx *tx,
                                            hone_arena *arena, const hone_listing *listing,
                                            hone_pipeline **out, size_t *count, bool *more);

/* --- executions --------------------------------------------------------------------- */

/* Strings live in the arena it was asked with. */
typedef struct hone_execution {
    const char *id, *arn, *pipeline, *pipeline_arn, *display, *description;
    const char *status;     /* "Executing", "Stopping", "Stopped", "Failed", "Succeeded" */
    const char *failure;    /* why it failed; "" */
    const char *definition; /* as it was at the start */
    const char *given;      /* JSON: the parameters that were given, as they came */
    const char *parameters; /* JSON: every parameter's value */
    const char *created_by, *modified_by;
    int64_t created_ms, modified_ms;
    int64_t parallelism;
} hone_execution;

typedef struct hone_execution_request {
    hone_str pipeline; /* name or ARN */
    hone_str display, description, token;
    const json_t *parameters; /* [{"Name", "Value"}], or NULL */
    int64_t parallelism;      /* < 0 = the pipeline's */
} hone_execution_request;

HONE_NODISCARD hone_err hone_execution_start(hone_pipelines *pipelines, hone_tx *tx,
                                             hone_arena *arena, const char *actor,
                                             const hone_execution_request *start,
                                             hone_execution *out);
/* By ARN, or its last part. NOT_FOUND. */
HONE_NODISCARD hone_err hone_execution_find(hone_pipelines *pipelines, hone_tx *tx,
                                            hone_arena *arena, hone_str name, hone_execution *out);
/* Of one pipeline. */
HONE_NODISCARD hone_err hone_execution_list(hone_pipelines *pipelines, hone_tx *tx,
                                            hone_arena *arena, hone_str pipeline,
                                            const hone_listing *listing, hone_execution **out,
                                            size_t *count, bool *more);
/* INVALID for one that has ended. */
HONE_NODISCARD hone_err hone_execution_stop(hone_pipelines *pipelines, hone_tx *tx,
                                            hone_arena *arena, const char *actor, hone_str name,
                                            hone_execution *out);
/* Steps that failed or were stopped, and those behind them, run again. INVALID for one that runs
 * or has succeeded. */
HONE_NODISCARD hone_err hone_execution_retry(hone_pipelines *pipelines, hone_tx *tx,
                                             hone_arena *arena, const char *actor, hone_str name,
                                             int64_t parallelism, hone_execution *out);
/* Empty strings and parallelism < 0 leave what is there. */
HONE_NODISCARD hone_err hone_execution_update(hone_pipelines *pipelines, hone_tx *tx,
                                              hone_arena *arena, const char *actor, hone_str name,
                                              hone_str display, hone_str description,
                                              int64_t parallelism, hone_execution *out);

/* --- steps -------------------------------------------------------------------------- */

/* Strings live in the arena it was asked with. */
typedef struct hone_step {
    const char *name, *type, *display, *description;
    const char *status;     /* as the wire has it; "" = not begun */
    const char *job;        /* its training or processing job's name; "" for RegisterModel */
    const char *work;       /* id of the job in jobs/; "" for RegisterModel */
    const char *failure;    /* "" */
    const char *properties; /* JSON: what other steps may Get; "" before it has succeeded */
    int64_t started_ms, ended_ms, attempts;
} hone_step;

/* Those that have begun, in the order in which they began. */
HONE_NODISCARD hone_err hone_execution_steps(hone_pipelines *pipelines, hone_tx *tx,
                                             hone_arena *arena, const char *id, hone_step **out,
                                             size_t *count);

/* How far a step's job is: {"Share", "Loss", "SecondsLeft", "Message"}, members that are not known
 * absent; the caller decrefs. NULL when nothing is known. */
HONE_NODISCARD hone_err hone_step_progress(hone_pipelines *pipelines, hone_tx *tx,
                                           hone_arena *arena, const hone_step *step, json_t **out);
/* The end of its log, at most limit bytes, whole lines. */
HONE_NODISCARD hone_err hone_step_log(hone_pipelines *pipelines, hone_tx *tx, hone_arena *arena,
                                      const char *work, size_t limit, hone_str *out);

/* A training or processing job, as the wire calls the work of a step. */
typedef struct hone_step_job {
    const char *name, *arn, *type; /* type: "Training", "Processing" */
    const char *execution, *execution_arn, *step, *work;
    const char *status;    /* "InProgress", "Completed", "Failed", "Stopping", "Stopped" */
    const char *arguments; /* JSON: of the step, resolved */
    const char *outcome;   /* JSON: what the job's result.json says; "" before */
    const char *failure;
    int64_t created_ms, started_ms, ended_ms, modified_ms;
} hone_step_job;

/* NOT_FOUND. */
HONE_NODISCARD hone_err hone_step_jobs_find(hone_pipelines *pipelines, hone_tx *tx,
                                            hone_arena *arena, const char *type, hone_str name,
                                            hone_step_job *out);
/* listing->status as job.status. */
HONE_NODISCARD hone_err hone_step_jobs_list(hone_pipelines *pipelines, hone_tx *tx,
                                            hone_arena *arena, const char *type,
                                            const hone_listing *listing, hone_step_job **out,
                                            size_t *count, bool *more);
/* Its step is then Stopped, and the execution fails. INVALID for one that has ended. */
HONE_NODISCARD hone_err hone_step_jobs_stop(hone_pipelines *pipelines, hone_tx *tx,
                                            hone_arena *arena, const char *actor, const char *type,
                                            hone_str name);

#endif
