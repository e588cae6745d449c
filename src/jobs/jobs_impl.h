/* jobs_impl.h: what jobs.c (the thread) and rows.c (the table) share. */
#ifndef HONE_JOBS_JOBS_IMPL_H
#define HONE_JOBS_JOBS_IMPL_H

#include "jobs/child.h"
#include "jobs/jobs.h"

#include <pthread.h>
#include <stdatomic.h>

enum { JOB_ID_SIZE = 25, REASON_SIZE = 512 };

/* A place for one child. A child that has ended stays here until its end is committed. */
typedef struct hone_job_slot {
    char id[JOB_ID_SIZE]; /* "" = free */
    hone_child child;     /* pidfd -1 = it has ended */
    bool was_told;        /* SIGTERM was sent */
    int64_t kill_ns;      /* when SIGKILL follows */
    bool is_crash;        /* these two once it has ended */
    int status;
    char words[REASON_SIZE]; /* how it ended */
    int64_t again_ns;        /* the end could not be committed: try again then */
} hone_job_slot;

struct hone_jobs {
    hone_jobs_options options;
    char *dir; /* DIR/jobs */
    char *program;
    hone_arena *arena; /* the thread's, emptied between jobs */
    int wake_fd;       /* eventfd: something was committed, or the end has come */
    atomic_bool stopping;
    bool is_started;
    pthread_t thread;
    hone_job_slot *slots; /* [options.running_max] */
};

/* --- rows.c: each works in the caller's transaction ---------------------------------- */

HONE_NODISCARD hone_err hone_job_rows_migrate(hone_db *db);
HONE_NODISCARD hone_err hone_job_rows_recover(hone_tx *tx); /* running -> queued */
HONE_NODISCARD hone_err hone_job_rows_add(hone_tx *tx, const hone_job_row *job);
HONE_NODISCARD hone_err hone_job_rows_find(const hone_jobs *jobs, hone_tx *tx, hone_arena *arena,
                                           hone_str id, hone_job_row *out);
/* The oldest queued job that may start now, or with stopped set one that is to be stopped.
 * NOT_FOUND. */
HONE_NODISCARD hone_err hone_job_rows_next(const hone_jobs *jobs, hone_tx *tx, hone_arena *arena,
                                           bool stopped, hone_job_row *out);
/* When the next queued job may start; INT64_MAX = none waits for a time. */
HONE_NODISCARD hone_err hone_job_rows_next_ms(hone_tx *tx, int64_t *out);
HONE_NODISCARD hone_err hone_job_rows_is_prepared(hone_tx *tx, const char *id, bool *out);
HONE_NODISCARD hone_err hone_job_rows_set_prepared(hone_tx *tx, const char *id);
HONE_NODISCARD hone_err hone_job_rows_is_stopped(hone_tx *tx, const char *id, bool *out);
HONE_NODISCARD hone_err hone_job_rows_set_running(hone_tx *tx, const hone_job_row *job);
HONE_NODISCARD hone_err hone_job_rows_crashes(hone_tx *tx, const char *id, int64_t *out);
HONE_NODISCARD hone_err hone_job_rows_queue_again(hone_tx *tx, const hone_job_row *job,
                                                  int64_t delay_ms, bool is_crash);
HONE_NODISCARD hone_err hone_job_rows_end(hone_tx *tx, const hone_job_row *job);

#endif
