/* rows.c: the table of jobs. Every change of state appends to the journal, which also wakes the
 * jobs' thread. */
#include "base/clock.h"
#include "base/file.h"
#include "jobs/jobs_impl.h"
#include "store/journal.h"

#include <stdio.h>

static const char *const steps[] = {
    "CREATE TABLE job ("
    "  id TEXT PRIMARY KEY,"
    "  kind TEXT NOT NULL,"
    "  owner TEXT NOT NULL,"
    "  state INTEGER NOT NULL,"
    "  attempt INTEGER NOT NULL DEFAULT 0,"
    "  crashes INTEGER NOT NULL DEFAULT 0,"
    "  is_prepared INTEGER NOT NULL DEFAULT 0,"
    "  is_stopped INTEGER NOT NULL DEFAULT 0," /* somebody asked for it */
    "  reason TEXT NOT NULL DEFAULT '',"
    "  created_ms INTEGER NOT NULL,"
    "  started_ms INTEGER NOT NULL DEFAULT 0,"
    "  ended_ms INTEGER NOT NULL DEFAULT 0,"
    "  not_before_ms INTEGER NOT NULL DEFAULT 0"
    ") STRICT;"
    "CREATE INDEX job_state ON job (state, created_ms);",
};

#define COLUMNS \
    "id, kind, owner, state, attempt, reason, created_ms, started_ms, ended_ms, not_before_ms"

hone_err hone_job_rows_migrate(hone_db *db) {
    return hone_db_migrate(db, "jobs", steps, sizeof steps / sizeof steps[0]);
}

static hone_err note(hone_tx *tx, const char *kind, const hone_job_row *job) {
    char subject[64];
    (void)snprintf(subject, sizeof subject, "job/%s", job->id);
    json_t *detail = json_pack("{s:s, s:s, s:I, s:s%}", "kind", job->kind, "owner", job->owner,
                               "attempt", (json_int_t)job->attempt, "reason", job->reason,
                               strlen(job->reason));
    return hone_journal_append(tx, "system", kind, subject, detail);
}

hone_err hone_job_rows_recover(hone_tx *tx) {
    return hone_tx_exec(tx, "UPDATE job SET state = ? WHERE state = ?", "ii",
                        (int64_t)HONE_JOB_QUEUED, (int64_t)HONE_JOB_RUNNING);
}

hone_err hone_job_rows_add(hone_tx *tx, const hone_job_row *job) {
    HONE_TRY(hone_tx_exec(
        tx, "INSERT INTO job (id, kind, owner, state, created_ms) VALUES (?, ?, ?, ?, ?)", "zzzii",
        job->id, job->kind, job->owner, (int64_t)HONE_JOB_QUEUED, job->created_ms));
    return note(tx, "job.queued", job);
}

static const char *copy(hone_arena *arena, const hone_rows *rows, int column) {
    return hone_arena_strdup(arena, hone_rows_str(rows, column));
}

static hone_err read_row(const hone_jobs *jobs, hone_arena *arena, const hone_rows *rows,
                         hone_job_row *out) {
    *out = (hone_job_row){
        .id = copy(arena, rows, 0),
        .kind = copy(arena, rows, 1),
        .owner = copy(arena, rows, 2),
        .state = (hone_job_state)hone_rows_int(rows, 3),
        .attempt = hone_rows_int(rows, 4),
        .reason = copy(arena, rows, 5),
        .created_ms = hone_rows_int(rows, 6),
        .started_ms = hone_rows_int(rows, 7),
        .ended_ms = hone_rows_int(rows, 8),
        .not_before_ms = hone_rows_int(rows, 9),
    };
    if (out->id) out->folder = hone_path_join(arena, jobs->dir, out->id);
    if (!out->id || !out->kind || !out->owner || !out->reason || !out->folder)
        return hone_err_new(HONE_E_NOMEM, "no memory for a job");
    return HONE_OK;
}

/* The first row of an open query. NOT_FOUND says `what`. */
static hone_err take_first(const hone_jobs *jobs, hone_arena *arena, hone_rows *rows,
                           const char *what, hone_job_row *out) {
    bool more = false;
    hone_err err = hone_rows_next(rows, &more);
    if (!hone_failed(err))
        err = more ? read_row(jobs, arena, rows, out) : hone_err_new(HONE_E_NOT_FOUND, "%s", what);
    hone_rows_close(rows);
    return err;
}

hone_err hone_job_rows_find(const hone_jobs *jobs, hone_tx *tx, hone_arena *arena, hone_str id,
                            hone_job_row *out) {
    hone_rows rows;
    char what[96];
    (void)snprintf(what, sizeof what, "no job '%.*s'", HONE_ARG(id));
    HONE_TRY(hone_rows_open(tx, &rows, "SELECT " COLUMNS " FROM job WHERE id = ?", "s", id));
    return take_first(jobs, arena, &rows, what, out);
}

hone_err hone_job_rows_next(const hone_jobs *jobs, hone_tx *tx, hone_arena *arena, bool stopped,
                            hone_job_row *out) {
    hone_rows rows;
    int64_t until_ms = stopped ? INT64_MAX : hone_now_ms();
    HONE_TRY(hone_rows_open(tx, &rows,
                            "SELECT " COLUMNS " FROM job"
                            " WHERE state = ? AND is_stopped = ? AND not_before_ms <= ?"
                            " ORDER BY created_ms, id LIMIT 1",
                            "iii", (int64_t)HONE_JOB_QUEUED, (int64_t)stopped, until_ms));
    return take_first(jobs, arena, &rows, "no job waits", out);
}

hone_err hone_job_rows_next_ms(hone_tx *tx, int64_t *out) {
    return hone_tx_int(tx, out,
                       "SELECT coalesce(min(not_before_ms), 9223372036854775807) FROM job"
                       " WHERE state = ? AND not_before_ms > ?",
                       "ii", (int64_t)HONE_JOB_QUEUED, hone_now_ms());
}

static hone_err get_flag(hone_tx *tx, const char *sql, const char *id, bool *out) {
    int64_t value = 0;
    HONE_TRY(hone_tx_int(tx, &value, sql, "z", id));
    *out = value != 0;
    return HONE_OK;
}

hone_err hone_job_rows_is_prepared(hone_tx *tx, const char *id, bool *out) {
    return get_flag(tx, "SELECT is_prepared FROM job WHERE id = ?", id, out);
}

hone_err hone_job_rows_set_prepared(hone_tx *tx, const char *id) {
    return hone_tx_exec(tx, "UPDATE job SET is_prepared = 1 WHERE id = ?", "z", id);
}

hone_err hone_job_rows_is_stopped(hone_tx *tx, const char *id, bool *out) {
    return get_flag(tx, "SELECT is_stopped FROM job WHERE id = ?", id, out);
}

hone_err hone_job_rows_crashes(hone_tx *tx, const char *id, int64_t *out) {
    return hone_tx_int(tx, out, "SELECT crashes FROM job WHERE id = ?", "z", id);
}

hone_err hone_job_rows_set_running(hone_tx *tx, const hone_job_row *job) {
    HONE_TRY(hone_tx_exec(tx, "UPDATE job SET state = ?, attempt = ?, started_ms = ? WHERE id = ?",
                          "iiiz", (int64_t)HONE_JOB_RUNNING, job->attempt, job->started_ms,
                          job->id));
    return note(tx, "job.started", job);
}

hone_err hone_job_rows_queue_again(hone_tx *tx, const hone_job_row *job, int64_t delay_ms,
                                   bool is_crash) {
    HONE_TRY(hone_tx_exec(tx,
                          "UPDATE job SET state = ?, reason = ?, not_before_ms = ?,"
                          " crashes = crashes + ? WHERE id = ?",
                          "iziiz", (int64_t)HONE_JOB_QUEUED, job->reason, hone_now_ms() + delay_ms,
                          (int64_t)is_crash, job->id));
    return note(tx, "job.requeued", job);
}

hone_err hone_job_rows_end(hone_tx *tx, const hone_job_row *job) {
    static const char *const kinds[] = {
        [HONE_JOB_DONE] = "job.done",
        [HONE_JOB_FAILED] = "job.failed",
        [HONE_JOB_STOPPED] = "job.stopped",
    };
    HONE_TRY(hone_tx_exec(tx, "UPDATE job SET state = ?, reason = ?, ended_ms = ? WHERE id = ?",
                          "iziz", (int64_t)job->state, job->reason, job->ended_ms, job->id));
    return note(tx, kinds[job->state], job);
}
