/* task_calls.c: a reviewer's calls (docs/api.md): the queue, leases, the frame, the answer.
 *
 *     /hone/tasks                GET          /hone/tasks/ID/frame?lease=TOKEN   GET
 *     /hone/tasks/next           POST         /hone/tasks/ID/ACTION              POST
 *
 * ACTION: accept, heartbeat, release, decline, answer. */
#include "api/api.h"
#include "api/task_frame.h"
#include "base/buf.h"
#include "base/json.h"
#include "review/tasks.h"

enum { LEASE_BYTES_MAX = 128, FLOW_BYTES_MAX = 63, ID_DIGITS_MAX = 18, SECONDS_MAX = 1000000 };

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory for an answer"); }

/* ---- who ---- */

static hone_err reviewer_of(const hone_call *call, hone_tx *tx, hone_reviewer *out) {
    hone_str *teams = NULL;
    *out = (hone_reviewer){.user = call->caller->user,
                           .worker = call->caller->worker,
                           .actor = call->actor,
                           .issuer = call->app->public_url ? call->app->public_url : ""};
    HONE_TRY(hone_accounts_teams(tx, call->arena, call->caller->user, &teams, &out->team_count));
    out->teams = teams;
    return HONE_OK;
}

/* The same in a transaction of its own. */
static hone_err find_reviewer(const hone_call *call, hone_reviewer *out) {
    hone_tx *tx = NULL;
    HONE_TRY(hone_tx_begin(call->app->db, HONE_TX_READ, &tx));
    hone_err err = reviewer_of(call, tx, out);
    hone_tx_abort(tx); /* nothing was changed */
    return err;
}

/* ---- answers as JSON ---- */

static json_t *time_or_null(int64_t ms) { return ms > 0 ? json_integer(ms) : json_null(); }

static json_t *task_json(const hone_task *t) {
    return json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:I, s:I}", "id",
                     (json_int_t)t->id, "loop", t->loop, "flow", t->flow, "team", t->team, "title",
                     t->title, "description", t->description, "state", t->state, "created",
                     (json_int_t)t->created_ms, "accepted", time_or_null(t->accepted_ms),
                     "lease_until", time_or_null(t->lease_until_ms), "time_limit_s",
                     (json_int_t)t->time_limit_s, "expires", (json_int_t)t->expires_ms);
}

static json_t *tasks_json(const hone_task *tasks, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) json_array_append_new(list, task_json(&tasks[i]));
    return list;
}

static hone_err set_out(json_t *value, json_t **out) {
    *out = value;
    return value ? HONE_OK : no_memory();
}

/* A task that was just accepted, with its lease. */
static hone_err set_held(const hone_task *task, const char *lease, json_t **out) {
    hone_buf frame;
    hone_buf_init(&frame, 256);
    hone_buf_printf(&frame, "/hone/tasks/%lld/frame?lease=%s", (long long)task->id, lease);
    hone_err err = hone_buf_err(&frame);
    if (!hone_failed(err))
        err = set_out(json_pack("{s:o, s:s, s:s%}", "task", task_json(task), "lease", lease,
                                "frame", frame.ptr, frame.len),
                      out);
    hone_buf_done(&frame);
    return err;
}

/* ---- the calls ---- */

typedef struct task_call {
    const hone_call *call;
    int64_t id;
    const json_t *in; /* the body */
    hone_str lease;   /* of the body, where the call wants one */
} task_call;

typedef hone_err task_fn(const task_call *c, hone_tx *tx, const hone_reviewer *who, json_t **out);

static hone_err get_queue(const task_call *c, hone_tx *tx, const hone_reviewer *who, json_t **out) {
    hone_task *tasks = NULL, *held = NULL;
    size_t count = 0, held_count = 0;
    HONE_TRY(hone_task_queue(tx, c->call->arena, who, &tasks, &count));
    HONE_TRY(hone_task_held(tx, c->call->arena, who, &held, &held_count));
    return set_out(json_pack("{s:o, s:o}", "tasks", tasks_json(tasks, count), "leased",
                             tasks_json(held, held_count)),
                   out);
}

static hone_err post_next(const task_call *c, hone_tx *tx, const hone_reviewer *who, json_t **out) {
    char lease[HONE_LEASE_SIZE];
    hone_str flow;
    hone_task task;
    HONE_TRY(hone_in_str(c->in, "flow", 0, FLOW_BYTES_MAX, &flow));
    HONE_TRY(hone_task_next(tx, c->call->arena, who, flow, lease, &task));
    if (task.id == 0) return set_out(json_pack("{s:n}", "task"), out);
    return set_held(&task, lease, out);
}

static hone_err post_accept(const task_call *c, hone_tx *tx, const hone_reviewer *who,
                            json_t **out) {
    char lease[HONE_LEASE_SIZE];
    hone_task task;
    HONE_TRY(hone_task_accept(tx, c->call->arena, who, c->id, lease, &task));
    return set_held(&task, lease, out);
}

static hone_err post_heartbeat(const task_call *c, hone_tx *tx, const hone_reviewer *who,
                               json_t **out) {
    int64_t until_ms = 0;
    HONE_TRY(hone_task_heartbeat(tx, c->call->arena, who, c->id, c->lease, &until_ms));
    return set_out(json_pack("{s:I}", "lease_until", (json_int_t)until_ms), out);
}

static hone_err post_release(const task_call *c, hone_tx *tx, const hone_reviewer *who,
                             json_t **out) {
    HONE_TRY(hone_task_release(tx, c->call->arena, who, c->id, c->lease, false));
    return set_out(json_object(), out);
}

static hone_err post_decline(const task_call *c, hone_tx *tx, const hone_reviewer *who,
                             json_t **out) {
    HONE_TRY(hone_task_release(tx, c->call->arena, who, c->id, c->lease, true));
    return set_out(json_object(), out);
}

/* It has transactions of its own: tx is NULL. */
static hone_err post_answer(const task_call *c, hone_tx *tx, const hone_reviewer *who,
                            json_t **out) {
    const json_t *seconds = json_object_get(c->in, "seconds");
    int64_t answered_ms = 0;
    double spent = -1;
    (void)tx;
    if (seconds && !json_is_null(seconds)) {
        spent = json_number_value(seconds);
        if (!json_is_number(seconds) || !(spent >= 0) || spent > SECONDS_MAX)
            return hone_err_new(HONE_E_INVALID, "'seconds' is no number from 0 to %d", SECONDS_MAX);
    }
    HONE_TRY(hone_task_answer(c->call->app->db, c->call->app->objects, c->call->arena, who, c->id,
                              c->lease, json_object_get(c->in, "answer"), spent, &answered_ms));
    return set_out(json_pack("{s:I}", "answered", (json_int_t)answered_ms), out);
}

/* ---- dispatch ---- */

typedef struct action {
    const char *name;
    task_fn *run;
    bool wants_lease;
    bool has_own_tx;
    hone_tx_kind kind;
} action;

static const action queue_action = {"", get_queue, false, false, HONE_TX_READ};
static const action next_action = {"next", post_next, false, false, HONE_TX_WRITE};
static const action actions[] = {
    {"accept", post_accept, false, false, HONE_TX_WRITE},
    {"heartbeat", post_heartbeat, true, false, HONE_TX_WRITE},
    {"release", post_release, true, false, HONE_TX_WRITE},
    {"decline", post_decline, true, false, HONE_TX_WRITE},
    {"answer", post_answer, true, true, HONE_TX_WRITE},
};

static hone_err run_action(const action *a, task_call *c, json_t **out) {
    hone_tx *tx = NULL;
    hone_reviewer who;
    if (a->wants_lease) HONE_TRY(hone_in_str(c->in, "lease", 1, LEASE_BYTES_MAX, &c->lease));
    if (a->has_own_tx) {
        HONE_TRY(find_reviewer(c->call, &who));
        return a->run(c, NULL, &who, out);
    }
    HONE_TRY(hone_tx_begin(c->call->app->db, a->kind, &tx));
    hone_err err = reviewer_of(c->call, tx, &who);
    if (!hone_failed(err)) err = a->run(c, tx, &who, out);
    return hone_tx_finish(tx, err);
}

static void reply(const action *a, task_call *c, hone_exchange *exchange) {
    json_t *in = NULL, *out = NULL;
    hone_err err = hone_call_json(c->call, &in);
    c->in = in;
    if (!hone_failed(err)) err = run_action(a, c, &out);
    json_decref(in);
    if (!hone_failed(err)) {
        hone_reply_json(exchange, 200, NULL, out);
        return;
    }
    json_decref(out);
    hone_reply_error(exchange, HONE_OWN, err);
}

/* The page of a task that this reviewer holds. */
static void reply_frame(const task_call *c, hone_exchange *exchange) {
    hone_tx *tx = NULL;
    hone_reviewer who;
    hone_str lease, content, input;
    if (!hone_request_query(c->call->request, "lease", &lease)) lease = HONE_S("");
    hone_err err = hone_tx_begin(c->call->app->db, HONE_TX_READ, &tx);
    if (!hone_failed(err)) {
        err = reviewer_of(c->call, tx, &who);
        if (!hone_failed(err))
            err = hone_task_page(tx, c->call->arena, &who, c->id, lease, &content, &input);
        hone_tx_abort(tx); /* nothing was changed */
    }
    if (hone_failed(err))
        hone_reply_error(exchange, HONE_OWN, err);
    else
        hone_task_frame_reply(c->call, exchange, content, input);
}

/* "42/answer" of the path: the number, and what follows it; false for anything else. */
static bool parse_rest(hone_str rest, int64_t *id, hone_str *name) {
    size_t digits = 0;
    *id = 0;
    for (; digits < rest.len && rest.ptr[digits] >= '0' && rest.ptr[digits] <= '9'; digits++) {
        if (digits >= ID_DIGITS_MAX) return false;
        *id = 10 * *id + (rest.ptr[digits] - '0');
    }
    if (digits == 0 || digits + 1 >= rest.len || rest.ptr[digits] != '/') return false;
    *name = (hone_str){rest.ptr + digits + 1, rest.len - digits - 1};
    return true;
}

static const action *find_action(bool is_post, hone_str rest, int64_t *id) {
    hone_str name;
    if (rest.len == 0) return is_post ? NULL : &queue_action;
    if (!is_post) return NULL;
    if (hone_str_equal(rest, HONE_S("/next"))) return &next_action;
    if (!parse_rest((hone_str){rest.ptr + 1, rest.len - 1}, id, &name)) return NULL;
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (hone_str_equal(name, hone_str_of(actions[i].name))) return &actions[i];
    return NULL;
}

void hone_api_tasks(const hone_call *call, hone_exchange *exchange) {
    static const char base[] = "/hone/tasks";
    hone_str path = call->request->path, name = {NULL, 0};
    hone_str rest = {path.ptr + sizeof base - 1, path.len - sizeof base + 1};
    bool is_get = hone_str_equal(call->request->method, HONE_S("GET"));
    bool is_post = hone_str_equal(call->request->method, HONE_S("POST"));
    task_call c = {.call = call};
    if (is_get && rest.len > 1 &&
        parse_rest((hone_str){rest.ptr + 1, rest.len - 1}, &c.id, &name) &&
        hone_str_equal(name, HONE_S("frame"))) {
        reply_frame(&c, exchange);
        return;
    }
    const action *a = is_get || is_post ? find_action(is_post, rest, &c.id) : NULL;
    if (a)
        reply(a, &c, exchange);
    else
        hone_reply_error(exchange, HONE_OWN,
                         hone_err_new(HONE_E_NOT_FOUND, "hone has no call %.*s %.*s",
                                      HONE_ARG(call->request->method), HONE_ARG(path)));
}
