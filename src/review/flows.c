/* flows.c: see flows.h. A deleted flow keeps its row, for the loops that it made. */
#include "review/flows.h"

#include "base/clock.h"
#include "review/loops_impl.h"
#include "review/rows_impl.h"
#include "review/task_uis.h"
#include "review/teams.h"

#include <stdio.h>

enum { KEY_REST_MAX = 192 }; /* of an output's key: what follows the prefix */

#define COLUMNS                                                                           \
    "SELECT id, name, arn, status, team, ui, title, description, task_count, lifetime_s," \
    " time_limit_s, bucket, prefix, fields, created_ms FROM review_flow "

static hone_err read_flow(const hone_rows *rows, hone_arena *arena, void *out) {
    hone_flow flow = {.id = hone_rows_int(rows, 0),
                      .name = hone_review_text(rows, 1, arena),
                      .arn = hone_review_text(rows, 2, arena),
                      .status = hone_review_text(rows, 3, arena),
                      .team = hone_review_text(rows, 4, arena),
                      .ui = hone_rows_int(rows, 5),
                      .title = hone_review_text(rows, 6, arena),
                      .description = hone_review_text(rows, 7, arena),
                      .task_count = hone_rows_int(rows, 8),
                      .lifetime_s = hone_rows_int(rows, 9),
                      .time_limit_s = hone_rows_int(rows, 10),
                      .bucket = hone_review_text(rows, 11, arena),
                      .prefix = hone_review_text(rows, 12, arena),
                      .fields = hone_review_text(rows, 13, arena),
                      .created_ms = hone_rows_int(rows, 14)};
    if (!flow.name || !flow.arn || !flow.status || !flow.team || !flow.title || !flow.description ||
        !flow.bucket || !flow.prefix || !flow.fields)
        return hone_review_no_memory();
    *(hone_flow *)out = flow;
    return HONE_OK;
}

static hone_str flow_name(hone_str text) {
    hone_str name = text;
    return hone_arn_name(text, "flow-definition", true, &name) ? name : text;
}

hone_err hone_flow_find(hone_tx *tx, hone_arena *arena, hone_str name, hone_flow *out) {
    hone_rows rows;
    name = flow_name(name);
    hone_err err = hone_rows_open(tx, &rows, COLUMNS "WHERE name = ? AND deleted_ms = 0", "s",
                                  name);
    hone_err missing = hone_err_new(HONE_E_NOT_FOUND, "Could not find flow definition '%.*s'",
                                    HONE_ARG(name));
    return hone_review_one(err, &rows, arena, read_flow, missing, out);
}

static hone_err check_range(int64_t n, int64_t min, int64_t max, const char *what) {
    if (n >= min && n <= max) return HONE_OK;
    return hone_err_new(HONE_E_INVALID, "%s is %lld, allowed are %lld to %lld", what, (long long)n,
                        (long long)min, (long long)max);
}

/* Where the answers go: a bucket that exists, and a prefix that leaves room for the rest. */
static hone_err check_output(hone_tx *tx, hone_str uri, hone_str *bucket, hone_str *prefix) {
    int64_t created_ms = 0;
    hone_err err = hone_s3_uri_parse(uri, bucket, prefix);
    if (hone_failed(err)) return hone_err_wrap(err, "S3OutputPath");
    while (prefix->len > 0 && prefix->ptr[0] == '/')
        *prefix = (hone_str){prefix->ptr + 1, prefix->len - 1};
    while (prefix->len > 0 && prefix->ptr[prefix->len - 1] == '/') prefix->len--;
    if (prefix->len + KEY_REST_MAX > HONE_KEY_MAX)
        return hone_err_new(HONE_E_INVALID, "the key in S3OutputPath is longer than %d bytes",
                            HONE_KEY_MAX - KEY_REST_MAX);
    err = hone_objects_bucket_find(tx, *bucket, &created_ms);
    if (err.code == HONE_E_NOT_FOUND)
        return hone_err_new(HONE_E_INVALID, "S3OutputPath: bucket '%.*s' does not exist",
                            HONE_ARG(*bucket));
    return err;
}

/* What spec names must be there; a flow is refused now rather than its loops later. */
static hone_err check_spec(hone_tx *tx, hone_arena *arena, const hone_flow_spec *spec,
                           hone_team *team, hone_task_ui *ui) {
    HONE_TRY(hone_review_check_name(spec->name, true, "flow definition"));
    HONE_TRY(check_range(spec->task_count, 1, HONE_TASKS_MAX, "TaskCount"));
    HONE_TRY(check_range(spec->lifetime_s, 1, INT32_MAX, "TaskAvailabilityLifetimeInSeconds"));
    HONE_TRY(check_range(spec->time_limit_s, HONE_TIME_LIMIT_MIN_S, INT32_MAX,
                         "TaskTimeLimitInSeconds"));
    hone_err err = hone_team_find(tx, arena, spec->team, team);
    if (!hone_failed(err)) err = hone_task_ui_find(tx, arena, spec->ui, ui);
    if (err.code == HONE_E_NOT_FOUND) err = hone_err_new(HONE_E_INVALID, "%s", err.msg);
    return err;
}

hone_err hone_flow_add(hone_tx *tx, hone_arena *arena, hone_realm realm, const char *actor,
                       const hone_flow_spec *spec, hone_flow *out) {
    hone_team team;
    hone_task_ui ui;
    hone_str bucket, prefix;
    const char *fields = NULL;
    HONE_TRY(check_spec(tx, arena, spec, &team, &ui));
    HONE_TRY(check_output(tx, spec->output_uri, &bucket, &prefix));
    HONE_TRY(hone_review_dump(arena, spec->fields, &fields));
    const char *arn = hone_arn_format(arena, realm, "flow-definition/%.*s", HONE_ARG(spec->name));
    if (!arn) return hone_review_no_memory();
    hone_err err = hone_tx_exec(
        tx,
        "INSERT INTO review_flow (name, arn, status, team, ui, title, description, task_count,"
        " lifetime_s, time_limit_s, bucket, prefix, fields, created_ms)"
        " VALUES (?, ?, 'Active', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "szzissiiisszi", spec->name, arn, team.name, ui.id, spec->title, spec->description,
        spec->task_count, spec->lifetime_s, spec->time_limit_s, bucket,
        prefix.ptr ? prefix : HONE_S(""), fields, hone_now_ms());
    if (err.code == HONE_E_CONFLICT)
        return hone_err_new(HONE_E_CONFLICT, "flow definition '%.*s' already exists",
                            HONE_ARG(spec->name));
    HONE_TRY(err);
    HONE_TRY(hone_flow_find(tx, arena, spec->name, out));
    return hone_review_note(tx, actor, "flow.created", "flow", out->name,
                            json_pack("{s:s, s:s}", "flow", out->name, "team", out->team));
}

hone_err hone_flow_list(hone_tx *tx, hone_arena *arena, const hone_review_listing *listing,
                        hone_flow **out, size_t *count, bool *more) {
#define LIST(order)                                                                           \
    COLUMNS "WHERE deleted_ms = ? AND name LIKE ? ESCAPE '\\' AND created_ms BETWEEN ? AND ?" \
            " ORDER BY " order " LIMIT ? OFFSET ?"
    static const hone_review_query query = {
        {{LIST("id"), LIST("id DESC")}, {LIST("name"), LIST("name DESC")}},
        read_flow,
        sizeof(hone_flow)};
#undef LIST
    return hone_review_list(tx, arena, &query, 0, listing, out, count, more);
}

hone_err hone_flow_remove(hone_tx *tx, hone_arena *arena, const char *actor, hone_str name) {
    hone_flow flow;
    HONE_TRY(hone_flow_find(tx, arena, name, &flow));
    if (hone_str_equal(hone_str_of(flow.status), HONE_S("Deleting")))
        return hone_err_new(HONE_E_CONFLICT, "flow definition '%s' is being deleted", flow.name);
    HONE_TRY(
        hone_tx_exec(tx, "UPDATE review_flow SET status = 'Deleting' WHERE id = ?", "i", flow.id));
    HONE_TRY(hone_review_note(tx, actor, "flow.deleted", "flow", flow.name,
                              json_pack("{s:s, s:s}", "flow", flow.name, "team", flow.team)));
    HONE_TRY(hone_loops_drop_unstarted(tx, arena, actor, flow.id));
    return hone_flow_settle(tx, flow.id);
}

hone_err hone_flow_settle(hone_tx *tx, int64_t flow) {
    return hone_tx_exec(tx,
                        "UPDATE review_flow SET deleted_ms = ? WHERE id = ? AND deleted_ms = 0"
                        " AND status = 'Deleting' AND NOT EXISTS"
                        " (SELECT 1 FROM review_loop WHERE flow = ? AND is_open = 1)",
                        "iii", hone_now_ms(), flow, flow);
}
