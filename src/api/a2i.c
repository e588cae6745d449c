/* a2i.c: human loops over A2I's runtime protocol: REST, JSON, times as ISO 8601.
 *
 *     POST   /human-loops          StartHumanLoop       GET    /human-loops        ListHumanLoops
 *     GET    /human-loops/NAME     DescribeHumanLoop    DELETE /human-loops/NAME   DeleteHumanLoop
 *     POST   /human-loops/stop     StopHumanLoop */
#include "api/ops.h"
#include "base/clock.h"
#include "base/json.h"
#include "review/flows.h"
#include "review/json_text.h"
#include "review/loops.h"

#include <time.h>

enum { NAME_MAX_BYTES = 63, ARN_MAX_BYTES = 1024, LIST_LIMIT = 10, ATTRIBUTES_MAX = 1 << 16 };

static hone_err add_time(json_t *json, const char *key, int64_t ms) {
    char text[HONE_TIME_SIZE];
    hone_time_format(ms, text);
    if (json_object_set_new(json, key, json_string(text)) == 0) return HONE_OK;
    return hone_err_new(HONE_E_NOMEM, "no memory for an answer");
}

static bool has_status(const hone_loop *loop, const char *status) {
    return hone_str_equal(hone_str_of(loop->status), hone_str_of(status));
}

/* ---- start ---- */

/* DataAttributes as text in the arena: kept, for it is the caller's statement, and not acted upon:
 * the text never leaves the house. */
static hone_err read_attributes(const hone_call *call, const json_t *in, hone_str *out) {
    const json_t *attributes = json_object_get(in, "DataAttributes");
    hone_buf buf;
    *out = (hone_str){NULL, 0};
    if (!attributes || json_is_null(attributes)) return HONE_OK;
    if (!json_is_array(json_object_get(attributes, "ContentClassifiers")))
        return hone_err_new(HONE_E_INVALID, "DataAttributes has no list ContentClassifiers");
    hone_buf_init(&buf, ATTRIBUTES_MAX);
    hone_json_text_push(&buf, attributes, HONE_JSON_PLAIN);
    hone_err err = hone_buf_err(&buf);
    if (err.code == HONE_E_FULL) err = hone_err_new(HONE_E_INVALID, "DataAttributes is too long");
    const char *text = hone_failed(err) ? NULL : hone_arena_strdup(call->arena, hone_buf_str(&buf));
    *out = (hone_str){text, text ? buf.len : 0};
    hone_buf_done(&buf);
    if (hone_failed(err)) return err;
    return text ? HONE_OK : hone_err_new(HONE_E_NOMEM, "no memory for a request");
}

static hone_err start(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_loop_spec spec = {0};
    hone_loop loop;
    const json_t *input = json_object_get(in, "HumanLoopInput");
    HONE_TRY(hone_in_name(in, "HumanLoopName", NULL, NAME_MAX_BYTES, true, &spec.name));
    HONE_TRY(hone_in_str(in, "FlowDefinitionArn", 1, ARN_MAX_BYTES, &spec.flow));
    if (!json_is_object(input)) return hone_err_new(HONE_E_INVALID, "HumanLoopInput is missing");
    HONE_TRY(hone_in_str(input, "InputContent", 1, 4 * (size_t)HONE_INPUT_CHARS_MAX, &spec.input));
    HONE_TRY(read_attributes(call, in, &spec.attributes));
    hone_err err = hone_loop_start(tx, call->arena, call->app->realm, call->actor, &spec, &loop);
    if (err.code == HONE_E_NOT_FOUND) err.code = HONE_E_INVALID; /* the flow is an argument here */
    HONE_TRY(err);
    return hone_op_out(json_pack("{s:s}", "HumanLoopArn", loop.arn), out);
}

/* ---- describe, list ---- */

static hone_err describe(const hone_call *call, hone_tx *tx, hone_str name, json_t **out) {
    hone_loop loop;
    HONE_TRY(hone_loop_find(tx, call->arena, name, &loop));
    HONE_TRY(hone_op_out(json_pack("{s:s, s:s, s:s, s:s}", "HumanLoopStatus", loop.status,
                                   "HumanLoopName", loop.name, "HumanLoopArn", loop.arn,
                                   "FlowDefinitionArn", loop.flow_arn),
                         out));
    if (has_status(&loop, HONE_LOOP_FAILED)) {
        json_object_set_new(*out, "FailureCode", json_string(loop.failure_code));
        json_object_set_new(*out, "FailureReason", json_string(loop.failure_reason));
    }
    if (loop.output_uri[0] != '\0')
        json_object_set_new(*out, "HumanLoopOutput",
                            json_pack("{s:s}", "OutputS3Uri", loop.output_uri));
    return add_time(*out, "CreationTime", loop.created_ms);
}

/* n digits of *s, and the character after them unless it is '\0'. */
static bool take_number(hone_str *s, size_t n, char after, int *out) {
    *out = 0;
    if (s->len < n + (after != '\0')) return false;
    for (size_t i = 0; i < n; i++) {
        if (s->ptr[i] < '0' || s->ptr[i] > '9') return false;
        *out = 10 * *out + (s->ptr[i] - '0');
    }
    if (after != '\0' && s->ptr[n++] != after) return false;
    *s = (hone_str){s->ptr + n, s->len - n};
    return true;
}

/* What follows the seconds: a fraction, then Z or an offset; in ms. */
static bool take_zone(hone_str s, int64_t *out) {
    int hours = 0, minutes = 0, digit = 0;
    *out = 0;
    if (s.len > 0 && s.ptr[0] == '.') {
        s = (hone_str){s.ptr + 1, s.len - 1};
        for (int64_t unit = 100; take_number(&s, 1, '\0', &digit); unit /= 10) *out += unit * digit;
    }
    if (s.len == 0 || hone_str_equal(s, HONE_S("Z"))) return true;
    int64_t sign = s.ptr[0] == '+' ? 1 : -1;
    if (s.ptr[0] != '+' && s.ptr[0] != '-') return false;
    s = (hone_str){s.ptr + 1, s.len - 1};
    if (!take_number(&s, 2, ':', &hours) || !take_number(&s, 2, '\0', &minutes) || s.len > 0)
        return false;
    *out -= sign * (hours * 60 + minutes) * 60000;
    return true;
}

/* "2026-11-24T06:02:59.123Z", also without a fraction or with an offset. */
static bool parse_time(hone_str s, int64_t *ms) {
    struct tm t = {0};
    int64_t rest = 0;
    if (!take_number(&s, 4, '-', &t.tm_year) || !take_number(&s, 2, '-', &t.tm_mon) ||
        !take_number(&s, 2, 'T', &t.tm_mday) || !take_number(&s, 2, ':', &t.tm_hour) ||
        !take_number(&s, 2, ':', &t.tm_min) || !take_number(&s, 2, '\0', &t.tm_sec) ||
        !take_zone(s, &rest))
        return false;
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    *ms = (int64_t)timegm(&t) * 1000 + rest;
    return t.tm_year >= 70;
}

static hone_err query_time(const hone_call *call, const char *name, int64_t *out) {
    hone_str text;
    if (!hone_request_query(call->request, name, &text)) return HONE_OK;
    if (parse_time(text, out)) return HONE_OK;
    return hone_err_new(HONE_E_INVALID, "%s '%.*s' is no time like 2026-11-24T06:02:59Z", name,
                        HONE_ARG(text));
}

/* The query's strings as the members that hone_in_page reads. */
static hone_err read_page(const hone_call *call, hone_page *page) {
    static const char *const names[] = {"SortOrder", "NextToken"};
    hone_str text;
    json_t *in = json_object();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (hone_request_query(call->request, names[i], &text))
            json_object_set_new(in, names[i], json_stringn(text.ptr, text.len));
    if (hone_request_query(call->request, "MaxResults", &text)) {
        int number = -1;
        if (text.len == 0 || text.len > 3 || !take_number(&text, text.len, '\0', &number))
            number = -1;
        json_object_set_new(in, "MaxResults", json_integer(number));
    }
    hone_err err = in ? hone_in_page(in, LIST_LIMIT, false, page)
                      : hone_err_new(HONE_E_NOMEM, "no memory for a request");
    json_decref(in);
    if (!hone_failed(err)) err = query_time(call, "CreationTimeAfter", &page->after_ms);
    if (!hone_failed(err)) err = query_time(call, "CreationTimeBefore", &page->before_ms);
    return err;
}

static hone_err summary(const hone_loop *loop, json_t **out) {
    HONE_TRY(
        hone_op_out(json_pack("{s:s, s:s, s:s}", "HumanLoopName", loop->name, "HumanLoopStatus",
                              loop->status, "FlowDefinitionArn", loop->flow_arn),
                    out));
    if (has_status(loop, HONE_LOOP_FAILED))
        json_object_set_new(*out, "FailureReason", json_string(loop->failure_reason));
    return add_time(*out, "CreationTime", loop->created_ms);
}

static hone_err list(const hone_call *call, hone_tx *tx, json_t **out) {
    hone_str arn;
    hone_flow flow;
    hone_page page;
    hone_loop *loops = NULL;
    size_t count = 0;
    bool more = false;
    if (!hone_request_query(call->request, "FlowDefinitionArn", &arn))
        return hone_err_new(HONE_E_INVALID, "FlowDefinitionArn is missing");
    HONE_TRY(read_page(call, &page));
    HONE_TRY(hone_flow_find(tx, call->arena, arn, &flow));
    hone_review_listing listing = {.limit = page.limit,
                                   .offset = page.offset,
                                   .descending = page.descending,
                                   .after_ms = page.after_ms,
                                   .before_ms = page.before_ms};
    HONE_TRY(hone_loop_list(tx, call->arena, flow.id, &listing, &loops, &count, &more));
    HONE_TRY(hone_op_out(json_pack("{s:[]}", "HumanLoopSummaries"), out));
    for (size_t i = 0; i < count; i++) {
        json_t *item = NULL;
        hone_err err = summary(&loops[i], &item);
        json_array_append_new(json_object_get(*out, "HumanLoopSummaries"), item);
        HONE_TRY(err);
    }
    hone_out_next(*out, &page, more);
    return HONE_OK;
}

/* ---- dispatch ---- */

static hone_err stop(const hone_call *call, hone_tx *tx, const json_t *in) {
    hone_str name;
    HONE_TRY(hone_in_str(in, "HumanLoopName", 1, NAME_MAX_BYTES, &name));
    return hone_loop_stop(tx, call->arena, call->actor, name);
}

typedef struct route {
    enum { START, STOP, LIST, DESCRIBE, DELETE } kind;
    hone_str name;
} route;

static hone_err find_route(const hone_call *call, route *out) {
    static const hone_str base = {"/human-loops", 12};
    hone_str path = call->request->path, method = call->request->method;
    hone_str rest = {path.ptr + base.len, path.len - base.len};
    bool is_get = hone_str_equal(method, HONE_S("GET"));
    bool is_post = hone_str_equal(method, HONE_S("POST"));
    bool has_name = rest.len > 1;
    if (has_name)
        out->name = hone_percent_decode(call->arena, (hone_str){rest.ptr + 1, rest.len - 1});
    if (has_name && !out->name.ptr)
        return hone_err_new(HONE_E_INVALID, "the name in the path is badly escaped");
    if (!has_name && (is_get || is_post))
        out->kind = is_get ? LIST : START;
    else if (is_post && hone_str_equal(rest, HONE_S("/stop")))
        out->kind = STOP;
    else if (has_name && (is_get || hone_str_equal(method, HONE_S("DELETE"))))
        out->kind = is_get ? DESCRIBE : DELETE;
    else
        return hone_err_new(HONE_E_INVALID, "A2I has no call %.*s %.*s", HONE_ARG(method),
                            HONE_ARG(path));
    return HONE_OK;
}

static hone_err run(const hone_call *call, hone_tx *tx, const route *r, const json_t *in,
                    json_t **out) {
    switch (r->kind) {
    case START:
        return start(call, tx, in, out);
    case STOP:
        return stop(call, tx, in);
    case LIST:
        return list(call, tx, out);
    case DESCRIBE:
        return describe(call, tx, r->name, out);
    case DELETE:
        return hone_loop_remove(tx, call->arena, call->actor, r->name);
    }
    return HONE_OK;
}

static hone_err answer(const hone_call *call, json_t **out) {
    route r = {0};
    json_t *in = NULL;
    hone_tx *tx = NULL;
    HONE_TRY(find_route(call, &r));
    bool reads = r.kind == LIST || r.kind == DESCRIBE;
    if (r.kind == START || r.kind == STOP) HONE_TRY(hone_call_json(call, &in));
    hone_err err = hone_tx_begin(call->app->db, reads ? HONE_TX_READ : HONE_TX_WRITE, &tx);
    if (!hone_failed(err)) err = hone_tx_finish(tx, run(call, tx, &r, in, out));
    json_decref(in);
    return err;
}

void hone_api_a2i(const hone_call *call, hone_exchange *exchange) {
    json_t *out = NULL;
    hone_err err = answer(call, &out);
    if (hone_failed(err)) {
        json_decref(out);
        hone_reply_error(exchange, HONE_REST_JSON, err);
        return;
    }
    hone_reply_json(exchange, 200, NULL, out ? out : json_object());
}
