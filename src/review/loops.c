/* loops.c: see loops.h; review.h has the states. The functions that make the transitions:
 *
 *     InProgress -> Stopping            hone_loop_stop, somebody at work
 *     InProgress -> Stopped             hone_loop_stop
 *     Stopping   -> Stopped             hone_loop_settle, when the last lease has ended
 *     open       -> Completed           hone_loop_complete (answers.c)
 *     InProgress -> Failed              hone_loops_expire
 */
#include "review/loops.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"
#include "review/flows.h"
#include "review/loops_impl.h"
#include "review/rows_impl.h"

#include <stdio.h>
#include <string.h>

enum { REASON_SIZE = 200, SWEEP_MAX = 10000 };

#define COLUMNS                                                                            \
    "SELECT l.id, l.flow, l.name, l.arn, f.name, f.arn, f.team, l.status, l.failure_code," \
    " l.failure_reason, l.output_uri, l.created_ms, l.expires_ms, l.ended_ms"              \
    " FROM review_loop l JOIN review_flow f ON f.id = l.flow "

static hone_err read_loop(const hone_rows *rows, hone_arena *arena, void *out) {
    hone_loop loop = {.id = hone_rows_int(rows, 0),
                      .flow = hone_rows_int(rows, 1),
                      .name = hone_review_text(rows, 2, arena),
                      .arn = hone_review_text(rows, 3, arena),
                      .flow_name = hone_review_text(rows, 4, arena),
                      .flow_arn = hone_review_text(rows, 5, arena),
                      .team = hone_review_text(rows, 6, arena),
                      .status = hone_review_text(rows, 7, arena),
                      .failure_code = hone_review_text(rows, 8, arena),
                      .failure_reason = hone_review_text(rows, 9, arena),
                      .output_uri = hone_review_text(rows, 10, arena),
                      .created_ms = hone_rows_int(rows, 11),
                      .expires_ms = hone_rows_int(rows, 12),
                      .ended_ms = hone_rows_int(rows, 13)};
    if (!loop.name || !loop.arn || !loop.flow_name || !loop.flow_arn || !loop.team ||
        !loop.status || !loop.failure_code || !loop.failure_reason || !loop.output_uri)
        return hone_review_no_memory();
    *(hone_loop *)out = loop;
    return HONE_OK;
}

hone_err hone_loop_find(hone_tx *tx, hone_arena *arena, hone_str name, hone_loop *out) {
    hone_rows rows;
    hone_err err = hone_rows_open(tx, &rows, COLUMNS "WHERE l.name = ?", "s", name);
    hone_err missing = hone_err_new(HONE_E_NOT_FOUND, "Could not find human loop '%.*s'",
                                    HONE_ARG(name));
    return hone_review_one(err, &rows, arena, read_loop, missing, out);
}

hone_err hone_loop_get(hone_tx *tx, hone_arena *arena, int64_t id, hone_loop *out) {
    hone_rows rows;
    hone_err err = hone_rows_open(tx, &rows, COLUMNS "WHERE l.id = ?", "i", id);
    hone_err missing = hone_err_new(HONE_E_NOT_FOUND, "Could not find human loop number %lld",
                                    (long long)id);
    return hone_review_one(err, &rows, arena, read_loop, missing, out);
}

hone_err hone_loop_list(hone_tx *tx, hone_arena *arena, int64_t flow,
                        const hone_review_listing *listing, hone_loop **out, size_t *count,
                        bool *more) {
#define LIST(order)                                                                           \
    COLUMNS "WHERE l.flow = ? AND l.name LIKE ? ESCAPE '\\' AND l.created_ms BETWEEN ? AND ?" \
            " ORDER BY " order " LIMIT ? OFFSET ?"
    static const hone_review_query query = {
        {{LIST("l.id"), LIST("l.id DESC")}, {LIST("l.name"), LIST("l.name DESC")}},
        read_loop,
        sizeof(hone_loop)};
#undef LIST
    return hone_review_list(tx, arena, &query, flow, listing, out, count, more);
}

/* ---- the journal ---- */

json_t *hone_loop_detail(const hone_loop *loop) {
    return json_pack("{s:s, s:s, s:s}", "flow", loop->flow_name, "team", loop->team, "loop",
                     loop->name);
}

static hone_err note_loop(hone_tx *tx, const char *actor, const char *kind, const hone_loop *loop) {
    return hone_review_note(tx, actor, kind, "loop", loop->name, hone_loop_detail(loop));
}

hone_err hone_loop_note_task(hone_tx *tx, const char *actor, const char *kind, int64_t task,
                             json_t *detail) {
    char name[24];
    (void)snprintf(name, sizeof name, "%lld", (long long)task);
    return hone_review_note(tx, actor, kind, "task", name, detail);
}

/* ---- start ---- */

static hone_err check_input(hone_str input) {
    json_t *value = NULL;
    size_t chars = 0, bytes = 0;
    for (size_t at = 0; at < input.len; at += bytes, chars++)
        (void)hone_utf8_next(input, at, &bytes);
    if (chars > HONE_INPUT_CHARS_MAX)
        return hone_err_new(HONE_E_INVALID, "InputContent has %zu characters, at most %d are kept",
                            chars, HONE_INPUT_CHARS_MAX);
    hone_err err = hone_json_parse(input, "InputContent", &value);
    json_decref(value);
    if (err.code == HONE_E_CORRUPT) err.code = HONE_E_INVALID;
    return err;
}

static hone_err insert_loop(hone_tx *tx, hone_arena *arena, hone_realm realm,
                            const hone_loop_spec *spec, const hone_flow *flow, int64_t *id) {
    int64_t now_ms = hone_now_ms();
    const char *arn = hone_arn_format(arena, realm, "human-loop/%.*s", HONE_ARG(spec->name));
    if (!arn) return hone_review_no_memory();
    hone_err err = hone_tx_exec(tx,
                                "INSERT INTO review_loop (name, arn, flow, status, is_open, input,"
                                " attributes, created_ms, expires_ms)"
                                " VALUES (?, ?, ?, 'InProgress', 1, ?, ?, ?, ?)",
                                "sziss"
                                "ii",
                                spec->name, arn, flow->id, spec->input,
                                spec->attributes.ptr ? spec->attributes : HONE_S("{}"), now_ms,
                                now_ms + flow->lifetime_s * 1000);
    if (err.code == HONE_E_CONFLICT)
        return hone_err_new(HONE_E_CONFLICT, "human loop '%.*s' already exists",
                            HONE_ARG(spec->name));
    if (!hone_failed(err)) *id = hone_tx_insert_id(tx);
    return err;
}

hone_err hone_loop_start(hone_tx *tx, hone_arena *arena, hone_realm realm, const char *actor,
                         const hone_loop_spec *spec, hone_loop *out) {
    hone_flow flow;
    int64_t id = 0;
    HONE_TRY(hone_review_check_name(spec->name, true, "human loop"));
    HONE_TRY(hone_flow_find(tx, arena, spec->flow, &flow));
    if (!hone_str_equal(hone_str_of(flow.status), HONE_S("Active")))
        return hone_err_new(HONE_E_INVALID, "flow definition '%s' is %s", flow.name, flow.status);
    HONE_TRY(check_input(spec->input));
    HONE_TRY(insert_loop(tx, arena, realm, spec, &flow, &id));
    HONE_TRY(hone_loop_get(tx, arena, id, out));
    HONE_TRY(note_loop(tx, actor, "loop.started", out));
    for (int64_t i = 0; i < flow.task_count; i++) {
        HONE_TRY(hone_tx_exec(tx,
                              "INSERT INTO review_task (loop, state, is_open, created_ms, team)"
                              " VALUES (?, 'available', 1, ?, ?)",
                              "iiz", id, out->created_ms, flow.team));
        HONE_TRY(hone_loop_note_task(tx, actor, "task.created", hone_tx_insert_id(tx),
                                     hone_loop_detail(out)));
    }
    return HONE_OK;
}

/* ---- ends ---- */

/* Is somebody at work at it? */
static hone_err is_live_loop(hone_tx *tx, int64_t loop, bool *out) {
    int64_t count = 0;
    HONE_TRY(hone_tx_int(tx, &count,
                         "SELECT count(*) FROM review_task WHERE loop = ? AND state = 'leased'"
                         " AND lease_until_ms > ?",
                         "ii", loop, hone_now_ms()));
    *out = count > 0;
    return HONE_OK;
}

/* Close the tasks that are open, or those of them that nobody holds. */
static hone_err close_tasks(hone_tx *tx, const char *actor, const hone_loop *loop, bool also_held) {
    int64_t ids[HONE_TASKS_MAX];
    size_t count = 0;
    hone_rows rows;
    bool more = false;
    hone_err err = hone_rows_open(tx, &rows,
                                  "SELECT id FROM review_task WHERE loop = ? AND is_open = 1 AND"
                                  " (? OR state <> 'leased' OR lease_until_ms <= ?)",
                                  "iii", loop->id, (int64_t)also_held, hone_now_ms());
    while (!hone_failed(err) && !hone_failed(err = hone_rows_next(&rows, &more)) && more &&
           count < HONE_TASKS_MAX)
        ids[count++] = hone_rows_int(&rows, 0);
    hone_rows_close(&rows);
    for (size_t i = 0; i < count && !hone_failed(err); i++) {
        err = hone_tx_exec(tx,
                           "UPDATE review_task SET state = 'closed', is_open = 0, lease = NULL,"
                           " lease_until_ms = 0 WHERE id = ?",
                           "i", ids[i]);
        if (!hone_failed(err))
            err = hone_loop_note_task(tx, actor, "task.closed", ids[i], hone_loop_detail(loop));
    }
    return err;
}

/* The loop has ended without all its answers. */
static hone_err end_loop(hone_tx *tx, const char *actor, const hone_loop *loop, const char *status,
                         const char *code, const char *reason, const char *kind) {
    HONE_TRY(close_tasks(tx, actor, loop, true));
    HONE_TRY(hone_tx_exec(tx,
                          "UPDATE review_loop SET status = ?, is_open = 0, failure_code = ?,"
                          " failure_reason = ?, ended_ms = ? WHERE id = ?",
                          "zzzii", status, code, reason, hone_now_ms(), loop->id));
    HONE_TRY(note_loop(tx, actor, kind, loop));
    return hone_flow_settle(tx, loop->flow);
}

static bool has_status(const hone_loop *loop, const char *status) {
    return strcmp(loop->status, status) == 0;
}

hone_err hone_loop_settle(hone_tx *tx, const char *actor, const hone_loop *loop) {
    bool is_live = false;
    if (!has_status(loop, HONE_LOOP_STOPPING)) return HONE_OK;
    HONE_TRY(is_live_loop(tx, loop->id, &is_live));
    if (is_live) return HONE_OK;
    return end_loop(tx, actor, loop, HONE_LOOP_STOPPED, "", "", "loop.stopped");
}

hone_err hone_loop_stop(hone_tx *tx, hone_arena *arena, const char *actor, hone_str name) {
    hone_loop loop;
    bool is_live = false;
    HONE_TRY(hone_loop_find(tx, arena, name, &loop));
    if (has_status(&loop, HONE_LOOP_STOPPING)) return HONE_OK;
    if (!has_status(&loop, HONE_LOOP_OPEN))
        return hone_err_new(HONE_E_INVALID, "human loop '%s' is %s and cannot be stopped",
                            loop.name, loop.status);
    HONE_TRY(is_live_loop(tx, loop.id, &is_live));
    if (!is_live) return end_loop(tx, actor, &loop, HONE_LOOP_STOPPED, "", "", "loop.stopped");
    HONE_TRY(close_tasks(tx, actor, &loop, false));
    HONE_TRY(hone_tx_exec(tx, "UPDATE review_loop SET status = ? WHERE id = ?", "zi",
                          HONE_LOOP_STOPPING, loop.id));
    return note_loop(tx, actor, "loop.stopping", &loop);
}

hone_err hone_loop_complete(hone_tx *tx, const char *actor, const hone_loop *loop,
                            const char *output_uri, int64_t when_ms) {
    HONE_TRY(hone_tx_exec(tx,
                          "UPDATE review_loop SET status = ?, is_open = 0, output_uri = ?,"
                          " ended_ms = ? WHERE id = ?",
                          "zzii", HONE_LOOP_COMPLETED, output_uri, when_ms, loop->id));
    json_t *detail = hone_loop_detail(loop);
    if (detail && json_object_set_new(detail, "output", json_string(output_uri)) != 0) {
        json_decref(detail);
        detail = NULL;
    }
    HONE_TRY(hone_review_note(tx, actor, "loop.completed", "loop", loop->name, detail));
    return hone_flow_settle(tx, loop->flow);
}

static hone_err drop_rows(hone_tx *tx, int64_t loop) {
    HONE_TRY(hone_tx_exec(tx,
                          "DELETE FROM review_answer WHERE task IN"
                          " (SELECT id FROM review_task WHERE loop = ?)",
                          "i", loop));
    HONE_TRY(hone_tx_exec(tx, "DELETE FROM review_decline WHERE loop = ?", "i", loop));
    HONE_TRY(hone_tx_exec(tx, "DELETE FROM review_task WHERE loop = ?", "i", loop));
    return hone_tx_exec(tx, "DELETE FROM review_loop WHERE id = ?", "i", loop);
}

hone_err hone_loop_remove(hone_tx *tx, hone_arena *arena, const char *actor, hone_str name) {
    hone_loop loop;
    HONE_TRY(hone_loop_find(tx, arena, name, &loop));
    if (loop.ended_ms == 0)
        return hone_err_new(HONE_E_INVALID, "human loop '%s' is %s: stop it before it is deleted",
                            loop.name, loop.status);
    HONE_TRY(drop_rows(tx, loop.id));
    return note_loop(tx, actor, "loop.deleted", &loop);
}

/* ---- what happens to many ---- */

/* The ids that sql gives for (flow or now, now). */
static hone_err collect_loops(hone_tx *tx, hone_arena *arena, const char *sql, int64_t first,
                              size_t limit, hone_loop **out, size_t *count) {
    hone_rows rows;
    bool more = false;
    hone_err err = hone_rows_open(tx, &rows, sql, "iii", first, hone_now_ms(), (int64_t)limit);
    return hone_review_collect(err, &rows, arena, read_loop, sizeof(hone_loop), limit, out, count,
                               &more);
}

#define NOBODY_AT_WORK                                                                    \
    " NOT EXISTS (SELECT 1 FROM review_task t WHERE t.loop = l.id AND t.state = 'leased'" \
    " AND t.lease_until_ms > ?)"

hone_err hone_loops_drop_unstarted(hone_tx *tx, hone_arena *arena, const char *actor,
                                   int64_t flow) {
    static const char sql[] = COLUMNS
        "WHERE l.flow = ? AND l.is_open = 1 AND" NOBODY_AT_WORK
        " AND NOT EXISTS (SELECT 1 FROM review_task t WHERE t.loop = l.id AND"
        " t.state = 'answered') LIMIT ?";
    hone_loop *loops = NULL;
    size_t count = 0;
    do {
        HONE_TRY(collect_loops(tx, arena, sql, flow, SWEEP_MAX, &loops, &count));
        for (size_t i = 0; i < count; i++) {
            HONE_TRY(close_tasks(tx, actor, &loops[i], true));
            HONE_TRY(drop_rows(tx, loops[i].id));
            HONE_TRY(note_loop(tx, actor, "loop.deleted", &loops[i]));
        }
    } while (count == SWEEP_MAX);
    return HONE_OK;
}

hone_err hone_loops_expire(hone_tx *tx, hone_arena *arena, size_t limit, size_t *ended) {
    static const char sql[] = COLUMNS "WHERE l.is_open = 1 AND l.expires_ms <= ? AND" NOBODY_AT_WORK
                                      " LIMIT ?";
    hone_loop *loops = NULL;
    char reason[REASON_SIZE];
    HONE_TRY(collect_loops(tx, arena, sql, hone_now_ms(), limit, &loops, ended));
    for (size_t i = 0; i < *ended; i++) {
        const hone_loop *l = &loops[i];
        (void)snprintf(reason, sizeof reason,
                       "its tasks were available for %lld s, and not all were answered",
                       (long long)((l->expires_ms - l->created_ms) / 1000));
        if (has_status(l, HONE_LOOP_STOPPING))
            HONE_TRY(hone_loop_settle(tx, "system", l));
        else
            HONE_TRY(end_loop(tx, "system", l, HONE_LOOP_FAILED, "Expired", reason, "loop.failed"));
    }
    return HONE_OK;
}

typedef struct lapse {
    int64_t task, loop;
} lapse;

static hone_err read_lapse(const hone_rows *rows, hone_arena *arena, void *out) {
    (void)arena;
    *(lapse *)out = (lapse){hone_rows_int(rows, 0), hone_rows_int(rows, 1)};
    return HONE_OK;
}

/* The task is offered to others; token and reviewer stay, for as long as nobody takes it. */
static hone_err end_lease(hone_tx *tx, hone_arena *arena, const lapse *due) {
    hone_loop loop;
    HONE_TRY(hone_loop_get(tx, arena, due->loop, &loop));
    HONE_TRY(hone_tx_exec(tx, "UPDATE review_task SET state = 'available' WHERE id = ?", "i",
                          due->task));
    HONE_TRY(
        hone_loop_note_task(tx, "system", "task.released", due->task, hone_loop_detail(&loop)));
    return hone_loop_settle(tx, "system", &loop);
}

hone_err hone_loops_end_leases(hone_tx *tx, hone_arena *arena, size_t limit, size_t *ended) {
    hone_rows rows;
    lapse *due = NULL;
    bool more = false;
    hone_err err = hone_rows_open(tx, &rows,
                                  "SELECT id, loop FROM review_task WHERE state = 'leased' AND"
                                  " lease_until_ms <= ? ORDER BY lease_until_ms LIMIT ?",
                                  "ii", hone_now_ms(), (int64_t)limit);
    HONE_TRY(
        hone_review_collect(err, &rows, arena, read_lapse, sizeof *due, limit, &due, ended, &more));
    for (size_t i = 0; i < *ended; i++) HONE_TRY(end_lease(tx, arena, &due[i]));
    return HONE_OK;
}
