/* catalog.c: pipelines as rows: add, find, change, remove, list. */
#include "base/clock.h"
#include "pipeline/pipelines_impl.h"
#include "store/journal.h"
#include "store/tags.h"

#include <ctype.h>
#include <stdio.h>

enum { NAME_BYTES_MAX = 256, SUBJECT_SIZE = 320, PARSE_BYTES_MAX = 32 << 20 };

#define COLUMNS                                                                           \
    "SELECT p.name, p.arn, p.display, p.description, p.role, p.definition, p.created_by," \
    " p.modified_by, p.created_ms, p.modified_ms, p.last_ms, p.parallelism FROM pipeline p "

static hone_err read_row(const hone_rows *rows, hone_arena *arena, hone_pipeline *out) {
    const char **texts[] = {&out->name, &out->arn,        &out->display,    &out->description,
                            &out->role, &out->definition, &out->created_by, &out->modified_by};
    for (int i = 0; i < (int)(sizeof texts / sizeof texts[0]); i++) {
        *texts[i] = hone_pipeline_text(rows, i, arena);
        if (!*texts[i]) return hone_pipeline_no_memory();
    }
    out->created_ms = hone_rows_int(rows, 8);
    out->modified_ms = hone_rows_int(rows, 9);
    out->last_ms = hone_rows_int(rows, 10);
    out->parallelism = hone_rows_int(rows, 11);
    return HONE_OK;
}

/* The name in a pipeline's ARN, or the name itself. */
static hone_str bare_name(hone_str text) {
    hone_str name = text;
    return hone_arn_name(text, "pipeline", true, &name) ? name : text;
}

hone_err hone_pipelines_find(hone_pipelines *pipelines, hone_tx *tx, hone_arena *arena,
                             hone_str name, hone_pipeline *out) {
    hone_rows rows;
    bool more = false;
    hone_pipeline pipeline = {0};
    (void)pipelines;
    name = bare_name(name);
    hone_err err = hone_rows_open(tx, &rows, COLUMNS "WHERE p.name = ?", "s", name);
    if (!hone_failed(err)) err = hone_rows_next(&rows, &more);
    if (!hone_failed(err))
        err = more ? read_row(&rows, arena, &pipeline)
                   : hone_err_new(HONE_E_NOT_FOUND, "Pipeline '%.*s' does not exist.",
                                  HONE_ARG(name)); /* the service's words: clients look for them */
    hone_rows_close(&rows);
    if (!hone_failed(err)) *out = pipeline;
    return err;
}

/* Would it run? With an arena of its own, as a document's graph is of no further use here. */
static hone_err check(hone_str definition) {
    hone_arena *arena = NULL;
    hone_definition parsed;
    HONE_TRY(hone_arena_create(PARSE_BYTES_MAX, &arena));
    hone_err err = hone_definition_parse(arena, definition, &parsed);
    if (hone_failed(err)) err = hone_err_new(err.code, "%s", err.msg); /* outlives the arena */
    hone_arena_destroy(arena);
    return err;
}

static hone_err note(hone_tx *tx, const char *actor, const char *kind, const char *name) {
    char subject[SUBJECT_SIZE];
    (void)snprintf(subject, sizeof subject, "pipeline/%s", name);
    return hone_journal_append(tx, actor, kind, subject, NULL);
}

static hone_str or_empty(hone_str s) { return s.ptr ? s : HONE_S(""); }

/* Was a pipeline of this name made with this token before? */
static hone_err find_token(hone_tx *tx, hone_str name, hone_str token, bool *same) {
    int64_t count = 0;
    HONE_TRY(hone_tx_int(tx, &count, "SELECT count(*) FROM pipeline WHERE name = ? AND token = ?",
                         "ss", name, token));
    *same = count > 0;
    return HONE_OK;
}

hone_err hone_pipelines_add(hone_pipelines *pipelines, hone_tx *tx, hone_arena *arena,
                            const char *actor, hone_str name, hone_str token,
                            const hone_pipeline_change *fields, hone_pipeline *out) {
    char lower[NAME_BYTES_MAX + 1] = {0};
    bool same = false;
    if (!hone_name_is_valid(name, NAME_BYTES_MAX, false))
        return hone_err_new(HONE_E_INVALID,
                            "a pipeline's name has 1 to %d letters, digits and inner hyphens, not "
                            "'%.*s'",
                            NAME_BYTES_MAX, HONE_ARG(name));
    if (token.len > 0) HONE_TRY(find_token(tx, name, token, &same));
    if (same) return hone_pipelines_find(pipelines, tx, arena, name, out);
    HONE_TRY(check(or_empty(fields->definition)));
    for (size_t i = 0; i < name.len; i++) lower[i] = (char)tolower((unsigned char)name.ptr[i]);
    const char *arn = hone_arn_format(arena, pipelines->options.realm, "pipeline/%s", lower);
    if (!arn) return hone_pipeline_no_memory();
    int64_t now = hone_now_ms();
    hone_err err = hone_tx_exec(
        tx,
        "INSERT INTO pipeline (name, arn, display, description, role, definition, parallelism,"
        " token, created_ms, created_by, modified_ms, modified_by, last_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
        "szssssisiziz", name, arn, fields->display.ptr ? fields->display : name,
        or_empty(fields->description), or_empty(fields->role), fields->definition,
        fields->parallelism > 0 ? fields->parallelism : 0, or_empty(token), now, actor, now, actor);
    if (err.code == HONE_E_CONFLICT)
        return hone_err_new(HONE_E_CONFLICT,
                            "Pipeline names must be unique within an AWS account and region. "
                            "Pipeline with name (%.*s) already exists.",
                            HONE_ARG(name)); /* the service's words: the SDK looks for them */
    HONE_TRY(err);
    HONE_TRY(hone_pipelines_find(pipelines, tx, arena, name, out));
    return note(tx, actor, "pipeline.created", out->name);
}

hone_err hone_pipelines_update(hone_pipelines *pipelines, hone_tx *tx, hone_arena *arena,
                               const char *actor, hone_str name, const hone_pipeline_change *change,
                               hone_pipeline *out) {
    hone_pipeline found;
    HONE_TRY(hone_pipelines_find(pipelines, tx, arena, name, &found));
    if (change->definition.ptr) HONE_TRY(check(change->definition));
    HONE_TRY(hone_tx_exec(
        tx,
        "UPDATE pipeline SET display = coalesce(?, display), description = coalesce(?,"
        " description), role = coalesce(?, role), definition = coalesce(?, definition),"
        " parallelism = CASE WHEN ?5 < 0 THEN parallelism ELSE ?5 END, modified_ms = ?,"
        " modified_by = ? WHERE name = ?",
        "ssssiizz", change->display, change->description, change->role, change->definition,
        change->parallelism, hone_now_ms(), actor, found.name));
    HONE_TRY(hone_pipelines_find(pipelines, tx, arena, name, out));
    return note(tx, actor, "pipeline.updated", out->name);
}

hone_err hone_pipelines_remove(hone_pipelines *pipelines, hone_tx *tx, hone_arena *arena,
                               const char *actor, hone_str name, hone_pipeline *out) {
    int64_t running = 0;
    hone_pipeline found;
    HONE_TRY(hone_pipelines_find(pipelines, tx, arena, name, &found));
    HONE_TRY(hone_tx_int(tx, &running,
                         "SELECT count(*) FROM execution WHERE pipeline = ?"
                         " AND status IN ('Executing', 'Stopping')",
                         "z", found.name));
    if (running > 0)
        return hone_err_new(HONE_E_CONFLICT,
                            "pipeline '%s' has %lld executions that run: stop them", found.name,
                            (long long)running);
    HONE_TRY(hone_tx_exec(tx, "DELETE FROM pipeline WHERE name = ?", "z", found.name));
    HONE_TRY(hone_tags_drop(tx, found.arn));
    HONE_TRY(note(tx, actor, "pipeline.deleted", found.name));
    *out = found;
    return HONE_OK;
}

hone_err hone_pipelines_list(hone_pipelines *pipelines, hone_tx *tx, hone_arena *arena,
                             const hone_listing *l, hone_pipeline **out, size_t *count,
                             bool *more) {
#define LIST(order)                                                                       \
    COLUMNS "WHERE substr(p.name, 1, length(?1)) = ?1 AND p.created_ms BETWEEN ?2 AND ?3" \
            " ORDER BY " order " LIMIT ?4 OFFSET ?5"
    static const char *const sql[2][2] = {{LIST("p.id"), LIST("p.id DESC")},
                                          {LIST("p.name"), LIST("p.name DESC")}};
    hone_rows rows;
    bool row = false;
    size_t limit = l->limit ? (size_t)l->limit : 100, found = 0;
    hone_pipeline *list = hone_arena_alloc(arena, limit + 1, sizeof *list);
    (void)pipelines;
    if (!list) return hone_pipeline_no_memory();
    hone_err err = hone_rows_open(
        tx, &rows, sql[l->by_name][l->descending], "siiii", or_empty(l->name_contains), l->after_ms,
        l->before_ms ? l->before_ms : INT64_MAX, (int64_t)limit + 1, l->offset);
    while (!hone_failed(err) && !hone_failed(err = hone_rows_next(&rows, &row)) && row &&
           found <= limit)
        err = read_row(&rows, arena, &list[found++]);
    hone_rows_close(&rows);
    *more = found > limit;
    *out = list;
    *count = *more ? limit : found;
    return err;
}
