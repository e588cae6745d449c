/* rows.c: the tables of the room, and the changes that end something.
 *
 * `step` has a row for each step that has begun, in an execution; a retried one keeps its row.
 * `step_job` is what the wire calls a training or processing job: one for each time a step begins,
 * so that the record of a failed attempt stays. */
#include "base/clock.h"
#include "pipeline/pipelines_impl.h"
#include "store/journal.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const steps[] = {
    "CREATE TABLE pipeline ("
    "  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE, arn TEXT NOT NULL,"
    "  display TEXT NOT NULL, description TEXT NOT NULL, role TEXT NOT NULL,"
    "  definition TEXT NOT NULL, parallelism INTEGER NOT NULL, token TEXT,"
    "  created_ms INTEGER NOT NULL, created_by TEXT NOT NULL,"
    "  modified_ms INTEGER NOT NULL, modified_by TEXT NOT NULL, last_ms INTEGER NOT NULL);"
    "CREATE TABLE execution ("
    "  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, arn TEXT NOT NULL,"
    "  pipeline TEXT NOT NULL COLLATE NOCASE, pipeline_arn TEXT NOT NULL, display TEXT NOT NULL,"
    "  description TEXT NOT NULL, status TEXT NOT NULL, failure TEXT NOT NULL,"
    "  definition TEXT NOT NULL, given TEXT NOT NULL, parameters TEXT NOT NULL,"
    "  parallelism INTEGER NOT NULL, token TEXT, created_ms INTEGER NOT NULL,"
    "  created_by TEXT NOT NULL, modified_ms INTEGER NOT NULL, modified_by TEXT NOT NULL,"
    "  UNIQUE (pipeline, token));"
    "CREATE INDEX execution_of_pipeline ON execution (pipeline, created_ms);"
    "CREATE TABLE step ("
    "  execution TEXT NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL, display TEXT NOT NULL,"
    "  description TEXT NOT NULL, status TEXT NOT NULL, job TEXT NOT NULL, work TEXT NOT NULL,"
    "  attempts INTEGER NOT NULL, failure TEXT NOT NULL, properties TEXT NOT NULL,"
    "  started_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL, PRIMARY KEY (execution, name));"
    "CREATE INDEX step_of_work ON step (work);"
    "CREATE TABLE step_job ("
    "  number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, arn TEXT NOT NULL,"
    "  type TEXT NOT NULL, execution TEXT NOT NULL, execution_arn TEXT NOT NULL,"
    "  step TEXT NOT NULL, work TEXT NOT NULL, status TEXT NOT NULL, arguments TEXT NOT NULL,"
    "  outcome TEXT NOT NULL, failure TEXT NOT NULL, created_ms INTEGER NOT NULL,"
    "  ended_ms INTEGER NOT NULL, modified_ms INTEGER NOT NULL);"
    "CREATE INDEX step_job_of_execution ON step_job (execution);"
    "CREATE TABLE pipeline_shipped (name TEXT PRIMARY KEY);",
};

enum { SUBJECT_SIZE = 320, ACTIVE_MAX = 10000 };

hone_err hone_pipeline_rows_migrate(hone_db *db) {
    return hone_db_migrate(db, "pipeline", steps, sizeof steps / sizeof steps[0]);
}

hone_err hone_pipeline_no_memory(void) {
    return hone_err_new(HONE_E_NOMEM, "no memory for pipelines");
}

const char *hone_pipeline_text(const hone_rows *rows, int column, hone_arena *arena) {
    hone_str text = hone_rows_str(rows, column);
    return text.ptr ? hone_arena_strdup(arena, text) : "";
}

static void release_text(void *text) { free(text); }

hone_err hone_pipeline_dump(hone_arena *arena, const json_t *value, const char **out) {
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!text) return hone_pipeline_no_memory();
    HONE_TRY(hone_arena_defer(arena, release_text, text));
    *out = text;
    return HONE_OK;
}

/* --- steps -------------------------------------------------------------------------- */

#define STEP_COLUMNS                                                                       \
    "SELECT s.name, s.type, s.display, s.description, s.status, s.job, s.work, s.failure," \
    " s.properties, s.started_ms, s.ended_ms, s.attempts, s.execution FROM step s "

static hone_err read_step(const hone_rows *rows, hone_arena *arena, hone_step *out) {
    const char **texts[] = {&out->name, &out->type, &out->display, &out->description, &out->status,
                            &out->job,  &out->work, &out->failure, &out->properties};
    for (int i = 0; i < (int)(sizeof texts / sizeof texts[0]); i++) {
        *texts[i] = hone_pipeline_text(rows, i, arena);
        if (!*texts[i]) return hone_pipeline_no_memory();
    }
    out->started_ms = hone_rows_int(rows, 9);
    out->ended_ms = hone_rows_int(rows, 10);
    out->attempts = hone_rows_int(rows, 11);
    return HONE_OK;
}

hone_err hone_step_row_find(hone_tx *tx, hone_arena *arena, const char *execution, const char *name,
                            hone_step *out) {
    hone_rows rows;
    bool more = false;
    hone_step step = {0};
    hone_err err = hone_rows_open(tx, &rows, STEP_COLUMNS "WHERE s.execution = ? AND s.name = ?",
                                  "zz", execution, name);
    if (!hone_failed(err)) err = hone_rows_next(&rows, &more);
    if (!hone_failed(err))
        err = more ? read_step(&rows, arena, &step)
                   : hone_err_new(HONE_E_NOT_FOUND, "step '%s' has not begun", name);
    hone_rows_close(&rows);
    if (!hone_failed(err)) *out = step;
    return err;
}

hone_err hone_step_row_of_work(hone_tx *tx, hone_arena *arena, const char *work,
                               const char **execution, hone_step *out) {
    hone_rows rows;
    bool more = false;
    hone_step step = {0};
    hone_err err = hone_rows_open(tx, &rows, STEP_COLUMNS "WHERE s.work = ?", "z", work);
    if (!hone_failed(err)) err = hone_rows_next(&rows, &more);
    if (!hone_failed(err))
        err = more ? read_step(&rows, arena, &step)
                   : hone_err_new(HONE_E_NOT_FOUND, "no step has job '%s'", work);
    if (!hone_failed(err)) {
        *execution = hone_pipeline_text(&rows, 12, arena);
        if (!*execution) err = hone_pipeline_no_memory();
    }
    hone_rows_close(&rows);
    if (!hone_failed(err)) *out = step;
    return err;
}

hone_err hone_execution_steps(hone_pipelines *pipelines, hone_tx *tx, hone_arena *arena,
                              const char *id, hone_step **out, size_t *count) {
    hone_rows rows;
    bool more = false;
    size_t found = 0;
    hone_step *list = hone_arena_alloc(arena, HONE_STEPS_MAX, sizeof *list);
    (void)pipelines;
    if (!list) return hone_pipeline_no_memory();
    hone_err err = hone_rows_open(
        tx, &rows,
        STEP_COLUMNS "WHERE s.execution = ? AND s.status <> '' ORDER BY s.started_ms, s.rowid", "z",
        id);
    while (!hone_failed(err) && !hone_failed(err = hone_rows_next(&rows, &more)) && more &&
           found < HONE_STEPS_MAX)
        err = read_step(&rows, arena, &list[found++]);
    hone_rows_close(&rows);
    if (hone_failed(err)) return err;
    *out = list;
    *count = found;
    return HONE_OK;
}

static hone_err note_step(hone_tx *tx, const char *execution, const char *name, const char *kind,
                          const char *failure) {
    char subject[SUBJECT_SIZE];
    (void)snprintf(subject, sizeof subject, "step/%s/%s", execution, name);
    json_t *detail = json_pack("{s:s, s:s}", "execution", execution, "step", name);
    if (detail && failure && *failure) json_object_set_new(detail, "failure", json_string(failure));
    return hone_journal_append(tx, "system", kind, subject, detail);
}

hone_err hone_step_row_begin(hone_tx *tx, const char *execution, const hone_step_def *def,
                             const char *job, const char *work) {
    HONE_TRY(hone_tx_exec(
        tx,
        "INSERT INTO step (execution, name, type, display, description, status, job, work,"
        " attempts, failure, properties, started_ms, ended_ms)"
        " VALUES (?, ?, ?, ?, ?, 'Executing', ?, ?, 1, '', '', ?, 0)"
        " ON CONFLICT (execution, name) DO UPDATE SET status = 'Executing', job = excluded.job,"
        " work = excluded.work, attempts = attempts + 1, failure = '', properties = '',"
        " started_ms = excluded.started_ms, ended_ms = 0",
        "zzzzzzzi", execution, def->name, hone_step_type_name(def->type), def->display,
        def->description, job, work, hone_now_ms()));
    return note_step(tx, execution, def->name, "step.started", NULL);
}

hone_err hone_step_row_end(hone_tx *tx, const char *execution, const char *name, const char *status,
                           const char *failure, const char *properties) {
    const char *kind = strcmp(status, "Succeeded") == 0 ? "step.succeeded"
                       : strcmp(status, "Stopped") == 0 ? "step.stopped"
                                                        : "step.failed";
    HONE_TRY(hone_tx_exec(tx,
                          "UPDATE step SET status = ?, failure = ?, properties = ?, ended_ms = ?"
                          " WHERE execution = ? AND name = ?",
                          "zzzizz", status, failure, properties ? properties : "", hone_now_ms(),
                          execution, name));
    return note_step(tx, execution, name, kind, failure);
}

/* --- executions --------------------------------------------------------------------- */

hone_err hone_execution_row_end(hone_tx *tx, const hone_execution *execution, const char *status,
                                const char *failure) {
    char subject[SUBJECT_SIZE];
    const char *kind = strcmp(status, "Succeeded") == 0 ? "execution.succeeded"
                       : strcmp(status, "Stopped") == 0 ? "execution.stopped"
                                                        : "execution.failed";
    HONE_TRY(hone_tx_exec(
        tx, "UPDATE execution SET status = ?, failure = ?, modified_ms = ? WHERE id = ?", "zziz",
        status, failure, hone_now_ms(), execution->id));
    (void)snprintf(subject, sizeof subject, "execution/%s", execution->id);
    json_t *detail = json_pack("{s:s}", "pipeline", execution->pipeline);
    if (detail && *failure) json_object_set_new(detail, "failure", json_string(failure));
    return hone_journal_append(tx, "system", kind, subject, detail);
}

hone_err hone_execution_rows_active(hone_tx *tx, hone_arena *arena, const char ***out,
                                    size_t *count) {
    hone_rows rows;
    bool more = false;
    size_t found = 0;
    const char **ids = hone_arena_alloc(arena, ACTIVE_MAX, sizeof *ids);
    if (!ids) return hone_pipeline_no_memory();
    hone_err err = hone_rows_open(
        tx, &rows,
        "SELECT id FROM execution WHERE status IN ('Executing', 'Stopping') ORDER BY number", "");
    while (!hone_failed(err) && !hone_failed(err = hone_rows_next(&rows, &more)) && more &&
           found < ACTIVE_MAX) {
        ids[found] = hone_pipeline_text(&rows, 0, arena);
        if (!ids[found++]) err = hone_pipeline_no_memory();
    }
    hone_rows_close(&rows);
    *out = ids;
    *count = found;
    return err;
}

/* --- jobs --------------------------------------------------------------------------- */

hone_err hone_step_job_row_add(hone_tx *tx, const hone_step_job *job) {
    int64_t now = hone_now_ms();
    return hone_tx_exec(tx,
                        "INSERT INTO step_job (name, arn, type, execution, execution_arn, step,"
                        " work, status, arguments, outcome, failure, created_ms, ended_ms,"
                        " modified_ms) VALUES (?, ?, ?, ?, ?, ?, ?, 'InProgress', ?, '', '', ?, 0,"
                        " ?)",
                        "zzzzzzzzii", job->name, job->arn, job->type, job->execution,
                        job->execution_arn, job->step, job->work, job->arguments, now, now);
}

hone_err hone_step_job_row_end(hone_tx *tx, const char *name, const char *status,
                               const char *outcome, const char *failure) {
    int64_t now = hone_now_ms();
    return hone_tx_exec(tx,
                        "UPDATE step_job SET status = ?, outcome = ?, failure = ?, ended_ms = ?,"
                        " modified_ms = ? WHERE name = ?",
                        "zzziiz", status, outcome, failure, now, now, name);
}

#define JOB_COLUMNS                                                                         \
    "SELECT j.name, j.arn, j.type, j.execution, j.execution_arn, j.step, j.work, j.status," \
    " j.arguments, j.outcome, j.failure, j.created_ms, j.ended_ms, j.modified_ms"           \
    " FROM step_job j "

static hone_err read_job(const hone_rows *rows, hone_arena *arena, hone_step_job *out) {
    const char **texts[] = {&out->name,          &out->arn,     &out->type,   &out->execution,
                            &out->execution_arn, &out->step,    &out->work,   &out->status,
                            &out->arguments,     &out->outcome, &out->failure};
    for (int i = 0; i < (int)(sizeof texts / sizeof texts[0]); i++) {
        *texts[i] = hone_pipeline_text(rows, i, arena);
        if (!*texts[i]) return hone_pipeline_no_memory();
    }
    out->created_ms = hone_rows_int(rows, 11);
    out->ended_ms = hone_rows_int(rows, 12);
    out->modified_ms = hone_rows_int(rows, 13);
    return HONE_OK;
}

/* When its child was first started, which only jobs/ knows. */
static hone_err add_start(hone_pipelines *p, hone_tx *tx, hone_arena *arena, hone_step_job *job) {
    hone_job_row row;
    hone_err err = hone_jobs_find(p->jobs, tx, arena, hone_str_of(job->work), &row);
    if (err.code == HONE_E_NOT_FOUND) return HONE_OK;
    if (!hone_failed(err)) job->started_ms = row.started_ms;
    return err;
}

hone_err hone_step_jobs_find(hone_pipelines *pipelines, hone_tx *tx, hone_arena *arena,
                             const char *type, hone_str name, hone_step_job *out) {
    hone_rows rows;
    bool more = false;
    hone_step_job job = {0};
    hone_err err = hone_rows_open(tx, &rows, JOB_COLUMNS "WHERE j.name = ? AND j.type = ?", "sz",
                                  name, type);
    if (!hone_failed(err)) err = hone_rows_next(&rows, &more);
    if (!hone_failed(err))
        err = more
                  ? read_job(&rows, arena, &job)
                  : hone_err_new(HONE_E_NOT_FOUND, "Requested resource not found: no %s job '%.*s'",
                                 strcmp(type, "Training") == 0 ? "training" : "processing",
                                 HONE_ARG(name));
    hone_rows_close(&rows);
    if (!hone_failed(err)) err = add_start(pipelines, tx, arena, &job);
    if (!hone_failed(err)) *out = job;
    return err;
}

/* Jobs of an open query, at most limit; *more: there was another. */
static hone_err read_jobs(hone_pipelines *p, hone_tx *tx, hone_arena *arena, hone_rows *rows,
                          size_t limit, hone_step_job **out, size_t *count, bool *more) {
    hone_err err = HONE_OK;
    hone_step_job *list = hone_arena_alloc(arena, limit + 1, sizeof *list);
    size_t found = 0;
    bool row = false;
    if (!list) err = hone_pipeline_no_memory();
    while (!hone_failed(err) && !hone_failed(err = hone_rows_next(rows, &row)) && row &&
           found <= limit)
        err = read_job(rows, arena, &list[found++]);
    hone_rows_close(rows);
    *more = found > limit;
    if (*more) found = limit;
    for (size_t i = 0; i < found && !hone_failed(err); i++) err = add_start(p, tx, arena, &list[i]);
    *out = list;
    *count = found;
    return err;
}

hone_err hone_step_jobs_list(hone_pipelines *pipelines, hone_tx *tx, hone_arena *arena,
                             const char *type, const hone_listing *l, hone_step_job **out,
                             size_t *count, bool *more) {
#define JOB_LIST(order)                                                          \
    JOB_COLUMNS                                                                  \
    "WHERE j.type = ?1 AND instr(j.name, ?2) > 0 AND (?3 = '' OR j.status = ?3)" \
    " AND j.created_ms BETWEEN ?4 AND ?5 ORDER BY " order " LIMIT ?6 OFFSET ?7"
    static const char *const sql[2][2] = {{JOB_LIST("j.number"), JOB_LIST("j.number DESC")},
                                          {JOB_LIST("j.name"), JOB_LIST("j.name DESC")}};
    hone_rows rows;
    size_t limit = l->limit ? (size_t)l->limit : 100;
    HONE_TRY(hone_rows_open(tx, &rows, sql[l->by_name][l->descending], "zssiiii", type,
                            l->name_contains.ptr ? l->name_contains : HONE_S(""),
                            l->status.ptr ? l->status : HONE_S(""), l->after_ms,
                            l->before_ms ? l->before_ms : INT64_MAX, (int64_t)limit + 1,
                            l->offset));
    return read_jobs(pipelines, tx, arena, &rows, limit, out, count, more);
}

hone_err hone_step_job_rows_of(hone_pipelines *p, hone_tx *tx, hone_arena *arena,
                               const char *execution, hone_step_job **out, size_t *count) {
    hone_rows rows;
    bool more = false;
    HONE_TRY(hone_rows_open(tx, &rows, JOB_COLUMNS "WHERE j.execution = ? ORDER BY j.number", "z",
                            execution));
    return read_jobs(p, tx, arena, &rows, 1000, out, count, &more);
}

hone_err hone_step_jobs_stop(hone_pipelines *pipelines, hone_tx *tx, hone_arena *arena,
                             const char *actor, const char *type, hone_str name) {
    hone_step_job job;
    char subject[SUBJECT_SIZE];
    HONE_TRY(hone_step_jobs_find(pipelines, tx, arena, type, name, &job));
    if (strcmp(job.status, "InProgress") != 0)
        return hone_err_new(HONE_E_INVALID,
                            "the job '%s' is %s: only one InProgress can be stopped", job.name,
                            job.status);
    HONE_TRY(hone_tx_exec(tx,
                          "UPDATE step_job SET status = 'Stopping', modified_ms = ? WHERE name = ?",
                          "iz", hone_now_ms(), job.name));
    (void)snprintf(subject, sizeof subject, "step/%s/%s", job.execution, job.step);
    HONE_TRY(
        hone_journal_append(tx, actor, "step.stopping", subject,
                            json_pack("{s:s, s:s}", "execution", job.execution, "step", job.step)));
    return hone_jobs_stop(pipelines->jobs, tx, job.work);
}
