/* jobs.h: work that a child process does, remembered until it is done.
 *
 *     add, in a tx                 a child takes DIR/jobs/<id>/ and ends
 *        |                                        |
 *     queued --start--> running --exit 0, result.json--> done        each tells hone_jobs_end_fn
 *        ^                 |  `--anything else---------> failed      within the transaction
 *        `--killed, server |                                         that makes it so
 *            restarted ----'      stop --> stopped
 *
 * A job is a function from its folder to its folder: the child reads job.json and in/, writes out/,
 * log.txt, progress.jsonl and at its very end result.json, in one step. It opens no database.
 * So a job whose child or server was killed is started again in the same folder, and goes on from what it
 * finds there.
 *
 * The child is this program again: `hone job FOLDER`. It dies with the server (PR_SET_PDEATHSIG)
 * and holds a lock on FOLDER/lock, so that no job ever runs twice at once (child.h).
 *
 * Threads: any may add, stop and look. One thread of the room's own starts children, waits for
 * them and calls hone_jobs_end_fn. Start reading at work() in jobs.c.
 */
#ifndef HONE_JOBS_JOBS_H
#define HONE_JOBS_JOBS_H

#include "base/arena.h"
#include "base/err.h"
#include "store/db.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct hone_jobs hone_jobs;

typedef enum hone_job_state {
    HONE_JOB_QUEUED,
    HONE_JOB_RUNNING,
    HONE_JOB_DONE,
    HONE_JOB_FAILED,
    HONE_JOB_STOPPED,
} hone_job_state;

/* Strings live in the arena it was asked with. */
typedef struct hone_job_row {
    const char *id;     /* 24 hex digits; names the folder */
    const char *kind;   /* "processing", "training": what job.json describes */
    const char *owner;  /* whose it is: as add was told */
    const char *folder; /* DIR/jobs/<id> */
    hone_job_state state;
    int64_t attempt;    /* how often it was started, from 1; 0 while it never was */
    const char *reason; /* why it failed or stopped: one line; "" */
    int64_t created_ms, started_ms, ended_ms; /* 0 = not yet; started: the first time */
    int64_t not_before_ms;                    /* a queued one waits until then */
} hone_job_row;

/* A job has ended (done, failed or stopped), or failed and may be tried again: called on the room's thread, with the
 * write transaction in which the row gets its new state. It publishes what is in the folder, and may
 * give the job another try: *retry_ms >= 0 = queue it again after so long. An
 * error makes the job failed, with the error's message as its reason, and fn is called once more
 * for that. Until fn has succeeded and the transaction is committed, the job is as it was. */
typedef hone_err hone_jobs_end_fn(void *ctx, hone_tx *tx, const hone_job_row *job,
                                  int64_t *retry_ms);

typedef struct hone_jobs_options {
    const char *dir; /* --data; folders lie below DIR/jobs */
    hone_db *db;
    const char *program;   /* to run as `PROGRAM job FOLDER`; NULL = this one */
    size_t running_max;    /* children at once; 0 = 1 */
    int64_t stop_grace_ms; /* between SIGTERM and SIGKILL; 0 = 10 s */
    size_t crash_max;      /* times a child that a signal killed is started again; 0 = 2 */
    hone_jobs_end_fn *on_end;
    /* Before a job's first start, on the room's thread, without a transaction: bring its inputs
     * into the folder. An error fails the job. May be NULL. Called again after a restart when the child had not
     * been started: it must bear that. */
    hone_err (*prepare)(void *ctx, const hone_job_row *job);
    /* Before on_end of a job that is done, on the room's thread, without a transaction: what takes
     * long and needs none, such as copying results. An error fails the job. May be NULL. Called
     * again when the end could not be committed: it must bear that. */
    hone_err (*collect)(void *ctx, const hone_job_row *job);
    void *ctx;
} hone_jobs_options;

/* Migrates its table; jobs that were running are queued again (their children died with the
 * server). Nothing is started before hone_jobs_start. */
HONE_NODISCARD hone_err hone_jobs_open(const hone_jobs_options *options, hone_jobs **out);
HONE_NODISCARD hone_err hone_jobs_start(hone_jobs *jobs);
/* Kills what runs (it goes on at the next start) and ends. NULL is allowed. */
void hone_jobs_close(hone_jobs *jobs);

/* Queue a job within tx: makes its folder with job.json = spec (borrowed), which exists whatever
 * becomes of tx: folders of no row are swept at open. *id lives in the arena. The jobs' thread
 * takes it up after the commit. */
HONE_NODISCARD hone_err hone_jobs_add(hone_jobs *jobs, hone_tx *tx, hone_arena *arena,
                                      const char *kind, const char *owner, const json_t *spec,
                                      const char **id);

/* Ask a job to end: queued -> stopped at once (on_end is told), running -> SIGTERM, then
 * SIGKILL. Takes effect after tx is committed. Nothing for a job that has ended. */
HONE_NODISCARD hone_err hone_jobs_stop(hone_jobs *jobs, hone_tx *tx, const char *id);

HONE_NODISCARD hone_err hone_jobs_find(hone_jobs *jobs, hone_tx *tx, hone_arena *arena, hone_str id,
                                       hone_job_row *out);

/* The last whole line of progress.jsonl as an object, the caller decrefs; NULL when there is
 * none. Of a job that failed and waits to be tried again, {Message} with the reason. */
HONE_NODISCARD hone_err hone_jobs_progress(hone_arena *arena, const hone_job_row *job,
                                           json_t **out);

#endif
