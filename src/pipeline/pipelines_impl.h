/* pipelines_impl.h: what the files of the room share: rows.c has the tables, engine.c moves
 * executions on, work.c brings a step's job and its folder together. */
#ifndef HONE_PIPELINE_PIPELINES_IMPL_H
#define HONE_PIPELINE_PIPELINES_IMPL_H

#include "jobs/jobs.h"
#include "pipeline/definition.h"
#include "pipeline/pipelines.h"

#include <pthread.h>

enum {
    HONE_EXECUTION_ID_SIZE = 13,
    HONE_JOB_NAME_SIZE = 64,
    HONE_ENGINE_ARENA_BYTES = 64 << 20,
};

struct hone_pipelines {
    hone_pipelines_options options;
    char *dir;
    hone_jobs *jobs;
    bool is_started;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    /* Guarded by lock: */
    bool woken, stopping;
};

/* --- rows.c ------------------------------------------------------------------------- */

HONE_NODISCARD hone_err hone_pipeline_rows_migrate(hone_db *db);
hone_err hone_pipeline_no_memory(void);
/* Text of a column in the arena, "" for NULL; NULL at its limit. */
const char *hone_pipeline_text(const hone_rows *rows, int column, hone_arena *arena);
/* value as JSON text in the arena. */
HONE_NODISCARD hone_err hone_pipeline_dump(hone_arena *arena, const json_t *value,
                                           const char **out);

HONE_NODISCARD hone_err hone_step_row_find(hone_tx *tx, hone_arena *arena, const char *execution,
                                           const char *name, hone_step *out);
/* The step whose job in jobs/ this is. NOT_FOUND. */
HONE_NODISCARD hone_err hone_step_row_of_work(hone_tx *tx, hone_arena *arena, const char *work,
                                              const char **execution, hone_step *out);
/* A step begins: job and work are "" for RegisterModel. */
HONE_NODISCARD hone_err hone_step_row_begin(hone_tx *tx, const char *execution,
                                            const hone_step_def *def, const char *job,
                                            const char *work);
/* It ends, with the journal entry; properties NULL = none. */
HONE_NODISCARD hone_err hone_step_row_end(hone_tx *tx, const char *execution, const char *name,
                                          const char *status, const char *failure,
                                          const char *properties);
HONE_NODISCARD hone_err hone_execution_row_end(hone_tx *tx, const hone_execution *execution,
                                               const char *status, const char *failure);
/* Executions that have not ended, oldest first: ids. */
HONE_NODISCARD hone_err hone_execution_rows_active(hone_tx *tx, hone_arena *arena,
                                                   const char ***out, size_t *count);
HONE_NODISCARD hone_err hone_step_job_row_add(hone_tx *tx, const hone_step_job *job);
HONE_NODISCARD hone_err hone_step_job_row_end(hone_tx *tx, const char *name, const char *status,
                                              const char *outcome, const char *failure);
/* All of an execution, oldest first. */
HONE_NODISCARD hone_err hone_step_job_rows_of(hone_pipelines *p, hone_tx *tx, hone_arena *arena,
                                              const char *execution, hone_step_job **out,
                                              size_t *count);

/* --- engine.c ----------------------------------------------------------------------- */

void *hone_engine_work(void *pipelines);

/* --- steps -------------------------------------------------------------------------- */

/* One step about to begin, in a write transaction. */
typedef struct hone_step_run {
    hone_pipelines *pipelines;
    hone_tx *tx;
    hone_arena *arena;
    const hone_execution *execution;
    const hone_step_def *def;
    json_t *arguments; /* resolved; borrowed */
} hone_step_run;

/* Each begins its type's step. INVALID and NOT_FOUND fail the step. */
HONE_NODISCARD hone_err hone_step_begin_processing(const hone_step_run *run);
HONE_NODISCARD hone_err hone_step_begin_training(const hone_step_run *run);
HONE_NODISCARD hone_err hone_step_begin_register(const hone_step_run *run);

/* --- work.c: what jobs/ calls ------------------------------------------------------- */

HONE_NODISCARD hone_err hone_work_prepare(void *pipelines, const hone_job_row *job);
HONE_NODISCARD hone_err hone_work_collect(void *pipelines, const hone_job_row *job);
HONE_NODISCARD hone_err hone_work_end(void *pipelines, hone_tx *tx, const hone_job_row *job,
                                      int64_t *retry_ms);

#endif
