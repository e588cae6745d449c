/* tasks.c: see tasks.h; answers are in answers.c.
 *
 *     state      lease      user      means
 *     available  none       none      nobody has it
 *     available  a token    somebody  their lease has run out, and the sweep has seen it
 *     leased     a token    somebody  held while lease_until_ms > now, else as the row above
 *     answered   a token    somebody  done; the token recognises a repeated answer
 *     closed     none       -         its loop ended without it
 *
 * Transitions: hone_task_accept and hone_task_next (to leased), hone_task_heartbeat (leased
 * again), hone_task_release and hone_loops_end_leases (to available), keep in answers.c (to
 * answered), close_tasks in loops.c (to closed). */
#include "review/tasks.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "review/loops_impl.h"
#include "review/rows_impl.h"
#include "review/tasks_impl.h"

#include <stdio.h>
#include <string.h>

enum { LEASE_BYTES = (HONE_LEASE_SIZE - 1) / 2, TEAMS_BYTES_MAX = 1 << 16 };

/* A lease that ran out shows as available: the two values are now. */
#define COLUMNS                                                                              \
    "SELECT t.id, l.name, f.name, f.team, f.title, f.description,"                           \
    " CASE WHEN t.state = 'leased' AND t.lease_until_ms <= ?1 THEN 'available' ELSE t.state" \
    " END, t.created_ms, t.accepted_ms, t.lease_until_ms, f.time_limit_s, l.expires_ms,"     \
    " t.loop, l.flow, f.ui, t.user, t.lease FROM review_task t"                              \
    " JOIN review_loop l ON l.id = t.loop JOIN review_flow f ON f.id = l.flow "

static hone_err read_task(const hone_rows *rows, hone_arena *arena, void *out) {
    hone_task task = {.id = hone_rows_int(rows, 0),
                      .loop = hone_review_text(rows, 1, arena),
                      .flow = hone_review_text(rows, 2, arena),
                      .team = hone_review_text(rows, 3, arena),
                      .title = hone_review_text(rows, 4, arena),
                      .description = hone_review_text(rows, 5, arena),
                      .state = hone_review_text(rows, 6, arena),
                      .created_ms = hone_rows_int(rows, 7),
                      .accepted_ms = hone_rows_int(rows, 8),
                      .lease_until_ms = hone_rows_int(rows, 9),
                      .time_limit_s = hone_rows_int(rows, 10),
                      .expires_ms = hone_rows_int(rows, 11)};
    if (!task.loop || !task.flow || !task.team || !task.title || !task.description || !task.state)
        return hone_review_no_memory();
    if (strcmp(task.state, "available") == 0) task.accepted_ms = task.lease_until_ms = 0;
    *(hone_task *)out = task;
    return HONE_OK;
}

static hone_err read_row(const hone_rows *rows, hone_arena *arena, void *out) {
    task_row row = {.loop = hone_rows_int(rows, 12),
                    .flow = hone_rows_int(rows, 13),
                    .ui = hone_rows_int(rows, 14),
                    .user = hone_rows_int(rows, 15)};
    HONE_TRY(read_task(rows, arena, &row.task));
    row.task.accepted_ms = hone_rows_int(rows, 8); /* a lapsed lease's clock counts too */
    const char *lease = hone_review_text(rows, 16, arena);
    if (!lease) return hone_review_no_memory();
    row.lease = hone_str_of(lease);
    *(task_row *)out = row;
    return HONE_OK;
}

static bool is_in_team(const hone_reviewer *who, const char *team) {
    for (size_t i = 0; i < who->team_count; i++)
        if (hone_str_equal(who->teams[i], hone_str_of(team))) return true;
    return false;
}

static hone_err no_task(int64_t id) {
    return hone_err_new(HONE_E_NOT_FOUND, "no task %lld", (long long)id);
}

hone_err hone_task_row_find(hone_tx *tx, hone_arena *arena, const hone_reviewer *who, int64_t id,
                            task_row *out) {
    hone_rows rows;
    task_row row;
    hone_err err = hone_rows_open(tx, &rows, COLUMNS "WHERE t.id = ?2", "ii", hone_now_ms(), id);
    HONE_TRY(hone_review_one(err, &rows, arena, read_row, no_task(id), &row));
    if (!is_in_team(who, row.task.team)) return no_task(id);
    HONE_TRY(hone_loop_get(tx, arena, row.loop, &row.parent));
    *out = row;
    return HONE_OK;
}

static bool has_state(const task_row *row, const char *state) {
    return strcmp(row->task.state, state) == 0;
}

static hone_err loop_over(const task_row *row) {
    return hone_err_new(HONE_E_CLOSED, "task %lld: human loop '%s' is %s", (long long)row->task.id,
                        row->task.loop, row->parent.status);
}

hone_err hone_task_row_check(const task_row *row, const hone_reviewer *who, hone_str lease) {
    if (row->parent.ended_ms != 0 || has_state(row, "closed")) return loop_over(row);
    if (row->user != who->user || row->lease.len == 0 || !hone_str_equal(row->lease, lease))
        return hone_err_new(HONE_E_CLOSED, "the lease of task %lld is over",
                            (long long)row->task.id);
    return HONE_OK;
}

/* ---- lists ---- */

/* The reviewer's teams as a JSON list in the arena, for json_each. */
static hone_err teams_json(hone_arena *arena, const hone_reviewer *who, const char **out) {
    hone_buf buf;
    hone_buf_init(&buf, TEAMS_BYTES_MAX);
    hone_buf_push_char(&buf, '[');
    for (size_t i = 0; i < who->team_count; i++) {
        if (i > 0) hone_buf_push_char(&buf, ',');
        hone_json_push_str(&buf, who->teams[i]);
    }
    hone_buf_push_char(&buf, ']');
    hone_err err = hone_buf_err(&buf);
    if (!hone_failed(err) && !(*out = hone_arena_strdup(arena, hone_buf_str(&buf))))
        err = hone_review_no_memory();
    hone_buf_done(&buf);
    return err;
}

/* A task may be accepted when nobody holds it, its loop is open and not expired, and the reviewer
 * has not declined the loop, nor holds or has answered another of its tasks. Of the tasks of a
 * loop the first is offered. ?1 now, ?2 teams, ?3 user, ?4 flow or '', ?5 limit. */
#define QUEUE                                                                                 \
    COLUMNS                                                                                   \
    "WHERE t.is_open = 1 AND (t.state = 'available' OR t.lease_until_ms <= ?1)"               \
    " AND l.status = 'InProgress' AND l.expires_ms > ?1 AND (?4 = '' OR f.name = ?4)"         \
    " AND t.team IN (SELECT value FROM json_each(?2))"                                        \
    " AND NOT EXISTS (SELECT 1 FROM review_decline d WHERE d.loop = t.loop AND d.user = ?3)"  \
    " AND NOT EXISTS (SELECT 1 FROM review_task o WHERE o.loop = t.loop AND o.id <> t.id AND" \
    "  ((o.user = ?3 AND (o.state = 'answered' OR (o.state = 'leased' AND"                    \
    "   o.lease_until_ms > ?1))) OR (o.id < t.id AND o.is_open = 1 AND"                       \
    "   (o.state = 'available' OR o.lease_until_ms <= ?1))))"                                 \
    " ORDER BY t.id LIMIT ?5"

static hone_err list_queue(hone_tx *tx, hone_arena *arena, const hone_reviewer *who, hone_str flow,
                           size_t limit, hone_task **out, size_t *count) {
    hone_rows rows;
    const char *teams = NULL;
    bool more = false;
    HONE_TRY(teams_json(arena, who, &teams));
    hone_err err = hone_rows_open(tx, &rows, QUEUE, "izisi", hone_now_ms(), teams, who->user,
                                  flow.ptr ? flow : HONE_S(""), (int64_t)limit);
    return hone_review_collect(err, &rows, arena, read_task, sizeof **out, limit, out, count,
                               &more);
}

hone_err hone_task_queue(hone_tx *tx, hone_arena *arena, const hone_reviewer *who, hone_task **out,
                         size_t *count) {
    return list_queue(tx, arena, who, HONE_S(""), HONE_QUEUE_MAX, out, count);
}

hone_err hone_task_held(hone_tx *tx, hone_arena *arena, const hone_reviewer *who, hone_task **out,
                        size_t *count) {
    hone_rows rows;
    bool more = false;
    hone_err err = hone_rows_open(tx, &rows,
                                  COLUMNS "WHERE t.is_open = 1 AND t.state = 'leased' AND"
                                          " t.user = ?2 AND t.lease_until_ms > ?1"
                                          " ORDER BY t.accepted_ms, t.id LIMIT ?3",
                                  "iii", hone_now_ms(), who->user, (int64_t)HONE_LEASES_MAX);
    return hone_review_collect(err, &rows, arena, read_task, sizeof **out, HONE_LEASES_MAX, out,
                               count, &more);
}

/* ---- leases ---- */

static void make_token(char out[HONE_LEASE_SIZE]) {
    unsigned char bytes[LEASE_BYTES];
    hone_random_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) (void)snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

/* To when a lease is good from now: a minute, but not beyond the time for the task. */
static int64_t lease_end(const task_row *row, int64_t accepted_ms) {
    int64_t end_ms = accepted_ms + row->task.time_limit_s * 1000;
    int64_t until_ms = hone_now_ms() + HONE_LEASE_MS;
    return until_ms < end_ms ? until_ms : end_ms;
}

static hone_err note(hone_tx *tx, const hone_reviewer *who, const char *kind, const task_row *row) {
    json_t *detail = hone_loop_detail(&row->parent);
    if (detail && json_object_set_new(detail, "worker", json_string(who->worker)) != 0) {
        json_decref(detail);
        detail = NULL;
    }
    return hone_loop_note_task(tx, who->actor, kind, row->task.id, detail);
}

/* Has the reviewer declined the loop, or another part in it? */
static hone_err check_part(hone_tx *tx, const hone_reviewer *who, const task_row *row) {
    int64_t declined = 0, others = 0, held = 0, now_ms = hone_now_ms();
    HONE_TRY(hone_tx_int(tx, &declined,
                         "SELECT count(*) FROM review_decline WHERE loop = ? AND user = ?", "ii",
                         row->loop, who->user));
    HONE_TRY(hone_tx_int(tx, &others,
                         "SELECT count(*) FROM review_task WHERE loop = ? AND id <> ? AND user = ?"
                         " AND (state = 'answered' OR (state = 'leased' AND lease_until_ms > ?))",
                         "iiii", row->loop, row->task.id, who->user, now_ms));
    HONE_TRY(hone_tx_int(tx, &held,
                         "SELECT count(*) FROM review_task WHERE is_open = 1 AND user = ? AND"
                         " state = 'leased' AND lease_until_ms > ?",
                         "ii", who->user, now_ms));
    if (declined > 0)
        return hone_err_new(HONE_E_CONFLICT, "task %lld was declined", (long long)row->task.id);
    if (others > 0)
        return hone_err_new(HONE_E_CONFLICT, "another task of human loop '%s' is yours already",
                            row->task.loop);
    if (held >= HONE_LEASES_MAX)
        return hone_err_new(HONE_E_CONFLICT, "you hold %d tasks: answer or release one",
                            HONE_LEASES_MAX);
    return HONE_OK;
}

static hone_err check_free(hone_tx *tx, const hone_reviewer *who, const task_row *row) {
    long long id = (long long)row->task.id;
    if (has_state(row, "answered"))
        return hone_err_new(HONE_E_CONFLICT, "task %lld has been answered", id);
    if (row->parent.ended_ms != 0 || has_state(row, "closed") ||
        strcmp(row->parent.status, HONE_LOOP_OPEN) != 0)
        return loop_over(row);
    if (has_state(row, "leased"))
        return row->user == who->user
                   ? HONE_OK
                   : hone_err_new(HONE_E_CONFLICT, "task %lld is held by another reviewer", id);
    if (row->task.expires_ms <= hone_now_ms())
        return hone_err_new(HONE_E_CLOSED, "task %lld is no longer available", id);
    return check_part(tx, who, row);
}

hone_err hone_task_accept(hone_tx *tx, hone_arena *arena, const hone_reviewer *who, int64_t id,
                          char lease[HONE_LEASE_SIZE], hone_task *out) {
    task_row row;
    HONE_TRY(hone_task_row_find(tx, arena, who, id, &row));
    HONE_TRY(check_free(tx, who, &row));
    bool is_held = has_state(&row, "leased"); /* by themselves: the clock goes on */
    int64_t accepted_ms = is_held ? row.task.accepted_ms : hone_now_ms();
    make_token(lease);
    HONE_TRY(hone_tx_exec(tx,
                          "UPDATE review_task SET state = 'leased', user = ?, lease = ?,"
                          " accepted_ms = ?, lease_until_ms = ? WHERE id = ?",
                          "iziii", who->user, lease, accepted_ms, lease_end(&row, accepted_ms),
                          id));
    HONE_TRY(note(tx, who, "task.leased", &row));
    HONE_TRY(hone_task_row_find(tx, arena, who, id, &row));
    *out = row.task;
    return HONE_OK;
}

hone_err hone_task_next(hone_tx *tx, hone_arena *arena, const hone_reviewer *who, hone_str flow,
                        char lease[HONE_LEASE_SIZE], hone_task *out) {
    hone_task *found = NULL;
    size_t count = 0;
    HONE_TRY(list_queue(tx, arena, who, flow, 1, &found, &count));
    *out = (hone_task){0};
    return count > 0 ? hone_task_accept(tx, arena, who, found->id, lease, out) : HONE_OK;
}

hone_err hone_task_heartbeat(hone_tx *tx, hone_arena *arena, const hone_reviewer *who, int64_t id,
                             hone_str lease, int64_t *until_ms) {
    task_row row;
    HONE_TRY(hone_task_row_find(tx, arena, who, id, &row));
    if (has_state(&row, "answered"))
        return hone_err_new(HONE_E_CONFLICT, "task %lld has been answered", (long long)id);
    HONE_TRY(hone_task_row_check(&row, who, lease));
    int64_t end_ms = lease_end(&row, row.task.accepted_ms);
    if (end_ms <= hone_now_ms())
        return hone_err_new(HONE_E_CLOSED, "the time for task %lld, %lld s, is over", (long long)id,
                            (long long)row.task.time_limit_s);
    HONE_TRY(
        hone_tx_exec(tx, "UPDATE review_task SET state = 'leased', lease_until_ms = ? WHERE id = ?",
                     "ii", end_ms, id));
    /* Others were told that it is free. */
    if (has_state(&row, "available")) HONE_TRY(note(tx, who, "task.leased", &row));
    *until_ms = end_ms;
    return HONE_OK;
}

hone_err hone_task_release(hone_tx *tx, hone_arena *arena, const hone_reviewer *who, int64_t id,
                           hone_str lease, bool decline) {
    task_row row;
    HONE_TRY(hone_task_row_find(tx, arena, who, id, &row));
    if (has_state(&row, "answered"))
        return hone_err_new(HONE_E_CONFLICT, "task %lld has been answered", (long long)id);
    HONE_TRY(hone_task_row_check(&row, who, lease));
    HONE_TRY(hone_tx_exec(tx,
                          "UPDATE review_task SET state = 'available', user = 0, lease = NULL,"
                          " accepted_ms = 0, lease_until_ms = 0 WHERE id = ?",
                          "i", id));
    if (decline)
        HONE_TRY(hone_tx_exec(tx, "INSERT OR IGNORE INTO review_decline (loop, user) VALUES (?, ?)",
                              "ii", row.loop, who->user));
    HONE_TRY(note(tx, who, decline ? "task.declined" : "task.released", &row));
    return hone_loop_settle(tx, who->actor, &row.parent);
}

hone_err hone_task_page(hone_tx *tx, hone_arena *arena, const hone_reviewer *who, int64_t id,
                        hone_str lease, hone_str *content, hone_str *input) {
    task_row row;
    HONE_TRY(hone_task_row_find(tx, arena, who, id, &row));
    if (has_state(&row, "answered"))
        return hone_err_new(HONE_E_CONFLICT, "task %lld has been answered", (long long)id);
    HONE_TRY(hone_task_row_check(&row, who, lease));
    HONE_TRY(hone_tx_str(tx, arena, content, "SELECT content FROM review_task_ui WHERE id = ?", "i",
                         row.ui));
    return hone_tx_str(tx, arena, input, "SELECT input FROM review_loop WHERE id = ?", "i",
                       row.loop);
}
