/* answers.c: hone_task_answer.
 *
 * The last answer of a loop makes its output.json. The bytes are on the disk, under no name,
 * before the transaction begins that keeps the answer, completes the loop and names them; so
 * nobody sees one without the others, and the writer's turn is short. Whether an answer is the
 * last is looked up before, and again within: another reviewer may have answered meanwhile. */
#include "base/clock.h"
#include "base/json.h"
#include "review/answers_impl.h"
#include "review/json_text.h"
#include "review/rows_impl.h"
#include "review/tasks_impl.h"

#include <math.h>
#include <string.h>

enum { ATTEMPTS_MAX = 8 };

typedef struct attempt {
    hone_db *db;
    hone_objects *objects;
    hone_arena *arena;
    const hone_reviewer *who;
    int64_t task;
    hone_str lease;
    const json_t *content;
    double seconds; /* as it was sent */

    answer_row answer;
    task_row row;
    bool is_last;
    bool is_repeat; /* the answer is there already, since answer.submitted_ms */
    output_place place;
    hone_staged staged;
    bool has_staged;
} attempt;

/* The task is answered: by this very request, sent again? */
static hone_err check_repeat(hone_tx *tx, attempt *a) {
    hone_str kept;
    json_t *before = NULL;
    if (a->row.user != a->who->user || !hone_str_equal(a->row.lease, a->lease))
        return hone_err_new(HONE_E_CONFLICT, "task %lld has been answered already",
                            (long long)a->task);
    HONE_TRY(hone_tx_str(tx, a->arena, &kept, "SELECT content FROM review_answer WHERE task = ?",
                         "i", a->task));
    HONE_TRY(hone_json_parse(kept, "the answer that is kept", &before));
    bool is_same = json_equal(before, a->content);
    json_decref(before);
    if (!is_same)
        return hone_err_new(HONE_E_CONFLICT,
                            "task %lld has been answered already, with another answer",
                            (long long)a->task);
    a->is_repeat = true;
    return hone_tx_int(tx, &a->answer.submitted_ms,
                       "SELECT submitted_ms FROM review_answer WHERE task = ?", "i", a->task);
}

/* May it be answered, and is it the last one? */
static hone_err look(hone_tx *tx, attempt *a) {
    int64_t others = 0;
    HONE_TRY(hone_task_row_find(tx, a->arena, a->who, a->task, &a->row));
    if (strcmp(a->row.task.state, "answered") == 0) return check_repeat(tx, a);
    HONE_TRY(hone_task_row_check(&a->row, a->who, a->lease));
    HONE_TRY(hone_tx_int(tx, &others,
                         "SELECT count(*) FROM review_task WHERE loop = ? AND id <> ? AND"
                         " state <> 'answered'",
                         "ii", a->row.loop, a->task));
    a->is_last = others == 0;
    return HONE_OK;
}

/* The time at it, at most since the task was accepted. */
static double seconds_of(const attempt *a) {
    double most = (double)(a->answer.submitted_ms - a->answer.accepted_ms) / 1000;
    if (most < 0) most = 0; /* the clock was set back */
    if (!(a->seconds >= 0) || a->seconds > most) return most;
    return round(a->seconds * 1000) / 1000;
}

static hone_err format_output(hone_tx *tx, attempt *a, hone_buf *out) {
    HONE_TRY(look(tx, a));
    if (a->is_repeat) return HONE_OK;
    a->answer.accepted_ms = a->row.task.accepted_ms;
    a->answer.submitted_ms = hone_now_ms();
    a->answer.seconds = seconds_of(a);
    if (!a->is_last) return HONE_OK;
    HONE_TRY(hone_output_place(tx, a->arena, &a->row.parent, &a->place));
    return hone_output_format(tx, a->arena, &a->row.parent, &a->answer, out);
}

/* Read, and have the output on the disk if this is the last answer. */
static hone_err prepare(attempt *a) {
    hone_tx *tx = NULL;
    hone_buf out;
    HONE_TRY(hone_tx_begin(a->db, HONE_TX_READ, &tx));
    hone_buf_init(&out, HONE_OUTPUT_BYTES_MAX);
    hone_err err = format_output(tx, a, &out);
    hone_tx_abort(tx); /* nothing was changed */
    if (!hone_failed(err) && a->is_last && !a->is_repeat) {
        err = hone_objects_stage(a->objects, hone_buf_str(&out), &a->staged);
        a->has_staged = !hone_failed(err);
    }
    hone_buf_done(&out);
    return err;
}

static hone_err insert_answer(hone_tx *tx, const attempt *a) {
    const answer_row *r = &a->answer;
    HONE_TRY(hone_tx_exec(tx,
                          "INSERT INTO review_answer (task, user, worker, issuer, content,"
                          " accepted_ms, submitted_ms, seconds) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                          "iizzziif", a->task, a->who->user, r->worker, r->issuer, r->content,
                          r->accepted_ms, r->submitted_ms, r->seconds));
    return hone_tx_exec(tx,
                        "UPDATE review_task SET state = 'answered', is_open = 0,"
                        " lease_until_ms = 0 WHERE id = ?",
                        "i", a->task);
}

/* Within the writing transaction. *again: the world has changed since prepare. */
static hone_err keep(hone_tx *tx, attempt *a, bool *again) {
    bool was_last = a->is_last;
    HONE_TRY(look(tx, a));
    *again = !a->is_repeat &&
             (a->is_last != was_last || a->row.task.accepted_ms != a->answer.accepted_ms);
    if (a->is_repeat || *again) return HONE_OK;
    HONE_TRY(insert_answer(tx, a));
    json_t *detail = hone_loop_detail(&a->row.parent);
    HONE_TRY(hone_loop_note_task(tx, a->who->actor, "task.answered", a->task, detail));
    if (!a->is_last) return hone_loop_settle(tx, a->who->actor, &a->row.parent);
    HONE_TRY(hone_output_link(a->objects, tx, &a->place, &a->staged));
    return hone_loop_complete(tx, a->who->actor, &a->row.parent, a->place.uri,
                              a->answer.submitted_ms);
}

static hone_err try_once(attempt *a, bool *again) {
    hone_tx *tx = NULL;
    *again = false;
    a->has_staged = a->is_last = false;
    HONE_TRY(prepare(a));
    if (a->is_repeat) return HONE_OK;
    hone_err err = hone_tx_begin(a->db, HONE_TX_WRITE, &tx);
    if (!hone_failed(err)) err = hone_tx_finish(tx, keep(tx, a, again));
    bool is_linked = !hone_failed(err) && !*again && !a->is_repeat;
    if (a->has_staged && !is_linked) hone_objects_unstage(a->objects, &a->staged);
    return err;
}

static hone_err dump_content(hone_arena *arena, const json_t *content, const char **out) {
    hone_buf buf;
    if (!json_is_object(content)) return hone_err_new(HONE_E_INVALID, "an answer is a JSON object");
    hone_buf_init(&buf, HONE_ANSWER_BYTES_MAX);
    hone_json_text_push(&buf, content, HONE_JSON_PLAIN);
    hone_err err = hone_buf_err(&buf);
    if (err.code == HONE_E_FULL)
        err = hone_err_new(HONE_E_INVALID, "an answer has at most %d bytes of JSON",
                           HONE_ANSWER_BYTES_MAX);
    const char *text = hone_failed(err) ? NULL : hone_arena_strdup(arena, hone_buf_str(&buf));
    if (!hone_failed(err) && !text) err = hone_review_no_memory();
    hone_buf_done(&buf);
    if (!hone_failed(err)) *out = text;
    return err;
}

hone_err hone_task_answer(hone_db *db, hone_objects *objects, hone_arena *arena,
                          const hone_reviewer *who, int64_t id, hone_str lease,
                          const json_t *answer, double seconds, int64_t *answered_ms) {
    attempt a = {.db = db,
                 .objects = objects,
                 .arena = arena,
                 .who = who,
                 .task = id,
                 .lease = lease,
                 .content = answer,
                 .seconds = seconds,
                 .answer = {.worker = who->worker, .issuer = who->issuer}};
    bool again = true;
    HONE_TRY(dump_content(arena, answer, &a.answer.content));
    for (int i = 0; i < ATTEMPTS_MAX && again; i++) HONE_TRY(try_once(&a, &again));
    if (again) /* each round means another answer to the same loop: TASKS_MAX of them at most */
        return hone_err_new(HONE_E_FULL, "task %lld changes too fast: send the answer again",
                            (long long)id);
    *answered_ms = a.answer.submitted_ms;
    return HONE_OK;
}
