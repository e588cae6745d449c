/* executions.c: executions as rows: start, find, stop, retry, list. What moves them on is
 * engine.c. */
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "pipeline/pipelines_impl.h"
#include "store/journal.h"

#include <stdio.h>

enum { SUBJECT_SIZE = 64, PARSE_BYTES_MAX = 32 << 20 };

#define COLUMNS                                                                                   \
    "SELECT e.id, e.arn, e.pipeline, e.pipeline_arn, e.display, e.description, e.status,"         \
    " e.failure, e.definition, e.given, e.parameters, e.created_by, e.modified_by, e.created_ms," \
    " e.modified_ms, e.parallelism FROM execution e "

static hone_err read_row(const hone_rows *rows, hone_arena *arena, hone_execution *out) {
    const char **texts[] = {
        &out->id,          &out->arn,        &out->pipeline,   &out->pipeline_arn, &out->display,
        &out->description, &out->status,     &out->failure,    &out->definition,   &out->given,
        &out->parameters,  &out->created_by, &out->modified_by};
    for (int i = 0; i < (int)(sizeof texts / sizeof texts[0]); i++) {
        *texts[i] = hone_pipeline_text(rows, i, arena);
        if (!*texts[i]) return hone_pipeline_no_memory();
    }
    out->created_ms = hone_rows_int(rows, 13);
    out->modified_ms = hone_rows_int(rows, 14);
    out->parallelism = hone_rows_int(rows, 15);
    return HONE_OK;
}

/* The last part of an execution's ARN, or the text itself. */
static hone_str bare_id(hone_str text) {
    static const char marker[] = "/execution/";
    const char *found = text.len ? memmem(text.ptr, text.len, marker, sizeof marker - 1) : NULL;
    if (!found) return text;
    const char *id = found + sizeof marker - 1;
    return (hone_str){id, text.len - (size_t)(id - text.ptr)};
}

hone_err hone_execution_find(hone_pipelines *pipelines, hone_tx *tx, hone_arena *arena,
                             hone_str name, hone_execution *out) {
    hone_rows rows;
    bool more = false;
    hone_execution execution = {0};
    (void)pipelines;
    hone_err err = hone_rows_open(tx, &rows, COLUMNS "WHERE e.id = ?", "s", bare_id(name));
    if (!hone_failed(err)) err = hone_rows_next(&rows, &more);
    if (!hone_failed(err))
        err = more ? read_row(&rows, arena, &execution)
                   : hone_err_new(HONE_E_NOT_FOUND, "Pipeline execution '%.*s' does not exist.",
                                  HONE_ARG(name));
    hone_rows_close(&rows);
    if (!hone_failed(err)) *out = execution;
    return err;
}

static hone_err note(hone_tx *tx, const char *actor, const char *kind,
                     const hone_execution *execution) {
    char subject[SUBJECT_SIZE];
    (void)snprintf(subject, sizeof subject, "execution/%s", execution->id);
    return hone_journal_append(tx, actor, kind, subject,
                               json_pack("{s:s}", "pipeline", execution->pipeline));
}

/* --- start -------------------------------------------------------------------------- */

/* Every parameter's value, as JSON text in the arena. */
static hone_err resolve_parameters(hone_arena *arena, const char *definition, const json_t *given,
                                   const char **out) {
    hone_arena *parsing = NULL;
    hone_definition parsed;
    json_t *values = NULL;
    HONE_TRY(hone_arena_create(PARSE_BYTES_MAX, &parsing));
    hone_err err = hone_definition_parse(parsing, hone_str_of(definition), &parsed);
    if (!hone_failed(err)) err = hone_parameters_resolve(&parsed, given, &values);
    if (!hone_failed(err)) err = hone_pipeline_dump(arena, values, out);
    if (hone_failed(err)) err = hone_err_new(err.code, "%s", err.msg); /* outlives the arena */
    json_decref(values);
    hone_arena_destroy(parsing);
    return err;
}

static hone_err find_token(hone_pipelines *p, hone_tx *tx, hone_arena *arena, const char *pipeline,
                           hone_str token, hone_execution *out) {
    hone_str id;
    HONE_TRY(hone_tx_str(tx, arena, &id,
                         "SELECT id FROM execution WHERE pipeline = ? AND token = ?", "zs",
                         pipeline, token));
    return hone_execution_find(p, tx, arena, id, out);
}

hone_err hone_execution_start(hone_pipelines *pipelines, hone_tx *tx, hone_arena *arena,
                              const char *actor, const hone_execution_request *start,
                              hone_execution *out) {
    hone_pipeline of;
    const char *parameters = NULL, *given = "[]";
    char random[HONE_ID_SIZE];
    HONE_TRY(hone_pipelines_find(pipelines, tx, arena, start->pipeline, &of));
    if (start->token.len > 0) {
        hone_err err = find_token(pipelines, tx, arena, of.name, start->token, out);
        if (err.code != HONE_E_NOT_FOUND) return err;
    }
    HONE_TRY(resolve_parameters(arena, of.definition, start->parameters, &parameters));
    if (start->parameters) HONE_TRY(hone_pipeline_dump(arena, start->parameters, &given));
    hone_id_make(random);
    random[HONE_EXECUTION_ID_SIZE - 1] = '\0';
    char *arn = hone_arena_alloc(arena, strlen(of.arn) + 64, 1);
    if (!arn) return hone_pipeline_no_memory();
    (void)snprintf(arn, strlen(of.arn) + 64, "%s/execution/%s", of.arn, random);
    int64_t now = hone_now_ms();
    char display[64];
    (void)snprintf(display, sizeof display, "execution-%lld", (long long)now);
    HONE_TRY(hone_tx_exec(
        tx,
        "INSERT INTO execution (id, arn, pipeline, pipeline_arn, display, description, status,"
        " failure, definition, given, parameters, parallelism, token, created_ms, created_by,"
        " modified_ms, modified_by)"
        " VALUES (?, ?, ?, ?, ?, ?, 'Executing', '', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "zzzzsszzzisiziz", random, arn, of.name, of.arn,
        start->display.len ? start->display : hone_str_of(display),
        start->description.ptr ? start->description : HONE_S(""), of.definition, given, parameters,
        start->parallelism < 0 ? of.parallelism : start->parallelism,
        start->token.len ? start->token : (hone_str){NULL, 0}, now, actor, now, actor));
    HONE_TRY(
        hone_tx_exec(tx, "UPDATE pipeline SET last_ms = ? WHERE name = ?", "iz", now, of.name));
    HONE_TRY(hone_execution_find(pipelines, tx, arena, hone_str_of(random), out));
    return note(tx, actor, "execution.started", out);
}

/* --- change ------------------------------------------------------------------------- */

hone_err hone_execution_stop(hone_pipelines *pipelines, hone_tx *tx, hone_arena *arena,
                             const char *actor, hone_str name, hone_execution *out) {
    hone_execution found;
    HONE_TRY(hone_execution_find(pipelines, tx, arena, name, &found));
    if (strcmp(found.status, "Stopping") == 0) {
        *out = found;
        return HONE_OK;
    }
    if (strcmp(found.status, "Executing") != 0)
        return hone_err_new(HONE_E_INVALID,
                            "Only pipeline executions with 'Executing' status can be stopped: this "
                            "one is '%s'",
                            found.status);
    HONE_TRY(hone_tx_exec(tx,
                          "UPDATE execution SET status = 'Stopping', modified_ms = ?,"
                          " modified_by = ? WHERE id = ?",
                          "izz", hone_now_ms(), actor, found.id));
    HONE_TRY(hone_execution_find(pipelines, tx, arena, name, out));
    return note(tx, actor, "execution.stopping", out);
}

hone_err hone_execution_retry(hone_pipelines *pipelines, hone_tx *tx, hone_arena *arena,
                              const char *actor, hone_str name, int64_t parallelism,
                              hone_execution *out) {
    hone_execution found;
    HONE_TRY(hone_execution_find(pipelines, tx, arena, name, &found));
    if (strcmp(found.status, "Failed") != 0 && strcmp(found.status, "Stopped") != 0)
        return hone_err_new(HONE_E_INVALID,
                            "Only pipeline executions with 'Failed' or 'Stopped' status can be "
                            "retried: this one is '%s'",
                            found.status);
    HONE_TRY(hone_tx_exec(tx,
                          "UPDATE step SET status = '', work = '' WHERE execution = ?"
                          " AND status <> 'Succeeded'",
                          "z", found.id));
    HONE_TRY(
        hone_tx_exec(tx,
                     "UPDATE execution SET status = 'Executing', failure = '', modified_ms = ?,"
                     " modified_by = ?, parallelism = CASE WHEN ?3 < 0 THEN parallelism ELSE ?3"
                     " END WHERE id = ?",
                     "iziz", hone_now_ms(), actor, parallelism, found.id));
    HONE_TRY(hone_execution_find(pipelines, tx, arena, name, out));
    return note(tx, actor, "execution.retried", out);
}

hone_err hone_execution_update(hone_pipelines *pipelines, hone_tx *tx, hone_arena *arena,
                               const char *actor, hone_str name, hone_str display,
                               hone_str description, int64_t parallelism, hone_execution *out) {
    hone_execution found;
    HONE_TRY(hone_execution_find(pipelines, tx, arena, name, &found));
    HONE_TRY(
        hone_tx_exec(tx,
                     "UPDATE execution SET display = coalesce(?, display), description ="
                     " coalesce(?, description), parallelism = CASE WHEN ?3 < 0 THEN parallelism"
                     " ELSE ?3 END, modified_ms = ?, modified_by = ? WHERE id = ?",
                     "ssiizz", display, description, parallelism, hone_now_ms(), actor, found.id));
    HONE_TRY(hone_execution_find(pipelines, tx, arena, name, out));
    return note(tx, actor, "execution.updated", out);
}

/* --- list --------------------------------------------------------------------------- */

hone_err hone_execution_list(hone_pipelines *pipelines, hone_tx *tx, hone_arena *arena,
                             hone_str pipeline, const hone_listing *l, hone_execution **out,
                             size_t *count, bool *more) {
#define LIST(order)                                                                    \
    COLUMNS "WHERE e.pipeline = ?1 AND e.created_ms BETWEEN ?2 AND ?3 ORDER BY " order \
            " LIMIT ?4 OFFSET ?5"
    static const char *const sql[2] = {LIST("e.number"), LIST("e.number DESC")};
    hone_rows rows;
    hone_pipeline of;
    bool row = false;
    size_t limit = l->limit ? (size_t)l->limit : 100, found = 0;
    HONE_TRY(hone_pipelines_find(pipelines, tx, arena, pipeline, &of));
    hone_execution *list = hone_arena_alloc(arena, limit + 1, sizeof *list);
    if (!list) return hone_pipeline_no_memory();
    hone_err err = hone_rows_open(tx, &rows, sql[l->descending], "ziiii", of.name, l->after_ms,
                                  l->before_ms ? l->before_ms : INT64_MAX, (int64_t)limit + 1,
                                  l->offset);
    while (!hone_failed(err) && !hone_failed(err = hone_rows_next(&rows, &row)) && row &&
           found <= limit)
        err = read_row(&rows, arena, &list[found++]);
    hone_rows_close(&rows);
    *more = found > limit;
    *out = list;
    *count = *more ? limit : found;
    return err;
}
