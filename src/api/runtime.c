/* runtime.c: POST /endpoints/NAME/invocations: predictions, in the words of toolkit.h.
 *
 * A worker reads the request and encodes it; the answer is written by the batcher's thread when the
 * logits are there, so that no worker waits. */
#include "api/api.h"
#include "api/toolkit.h"
#include "serve/fleet.h"

#include <stdio.h>

enum { ANSWER_BYTES_MAX = 16 << 20, HEADERS_MAX = 4 };

_Static_assert((int)HONE_TOOLKIT_TEXTS_MAX == (int)HONE_QUERY_TEXTS_MAX, "one limit on texts");

/* One request on its way; lives in the exchange's arena. */
typedef struct invocation {
    hone_query query;
    hone_toolkit_call call;
    hone_exchange *exchange;
    const hone_request *request;
    hone_str endpoint;
} invocation;

/* ---- the answer ---- */

static hone_err write_answer(const invocation *v, hone_str *answer) {
    const hone_query *q = &v->query;
    const hone_config *config = hone_deployment_config(q->deployment);
    const hone_toolkit_labels labels = {(const char *const *)config->label_names, config->labels,
                                        config->problem == HONE_REGRESSION};
    hone_buf out;
    hone_buf_init_in(&out, q->arena, ANSWER_BYTES_MAX);
    HONE_TRY(hone_toolkit_format(&v->call, &labels, q->logits, &out));
    *answer = hone_buf_str(&out);
    return HONE_OK;
}

/* How a failure is told. */
static void reply_failure(hone_exchange *exchange, hone_err err) {
    switch (err.code) {
    case HONE_E_NONE:
    case HONE_E_INVALID:
    case HONE_E_NOT_FOUND:
        hone_reply_fault(exchange, HONE_REST_JSON, 400, "ValidationError", err.msg);
        break;
    case HONE_E_CONFLICT: /* not loaded yet */
        hone_reply_fault(exchange, HONE_REST_JSON, 429, "ModelNotReadyException", err.msg);
        break;
    case HONE_E_FULL:
    case HONE_E_CLOSED:
        hone_reply_fault(exchange, HONE_REST_JSON, 503, "ServiceUnavailable", err.msg);
        break;
    case HONE_E_CORRUPT:
        hone_reply_fault(exchange, HONE_REST_JSON, 424, "ModelError", err.msg);
        break;
    case HONE_E_NOMEM:
    case HONE_E_IO:
        hone_reply_fault(exchange, HONE_REST_JSON, 500, "InternalFailure", err.msg);
        break;
    }
}

static hone_err check_variant(const invocation *v) {
    hone_str wanted = hone_request_header(v->request, "x-amzn-sagemaker-target-variant");
    const char *variant = hone_deployment_plan(v->query.deployment)->variant;
    if (wanted.len == 0 || hone_str_equal(wanted, hone_str_of(variant))) return HONE_OK;
    return hone_err_new(HONE_E_INVALID, "endpoint '%.*s' has no variant '%.*s', only '%s'",
                        HONE_ARG(v->endpoint), HONE_ARG(wanted), variant);
}

/* X-Hone-Max-Wait-Ms: who has no use for a late answer says how long it may wait for its turn. */
static hone_err parse_patience(const hone_request *request, int64_t *out) {
    enum { DIGITS_MAX = 9 };
    hone_str text = hone_request_header(request, "x-hone-max-wait-ms");
    int64_t patience_ms = 0;
    for (size_t i = 0; i < text.len && i <= DIGITS_MAX; i++)
        patience_ms = text.ptr[i] >= '0' && text.ptr[i] <= '9' && patience_ms >= 0
                          ? 10 * patience_ms + text.ptr[i] - '0'
                          : -1;
    if (text.len > 0 && (text.len > DIGITS_MAX || patience_ms < 1))
        return hone_err_new(HONE_E_INVALID,
                            "x-hone-max-wait-ms '%.*s' is no number of milliseconds",
                            HONE_ARG(text));
    *out = patience_ms;
    return HONE_OK;
}

static void reply_answer(const invocation *v, hone_str answer) {
    const hone_plan *plan = hone_deployment_plan(v->query.deployment);
    char truncated[24];
    (void)snprintf(truncated, sizeof truncated, "%zu", v->query.truncated);
    hone_header headers[HEADERS_MAX] = {
        {HONE_S("x-amzn-invoked-production-variant"), hone_str_of(plan->variant)},
    };
    size_t count = 1;
    if (plan->version_arn[0] != '\0')
        headers[count++] = (hone_header){HONE_S("x-hone-model-package"),
                                         hone_str_of(plan->version_arn)};
    if (v->query.truncated > 0)
        headers[count++] = (hone_header){HONE_S("x-hone-truncated"), hone_str_of(truncated)};
    hone_exchange_reply(v->exchange, &(hone_response){.status = 200,
                                                      .content_type = "application/json",
                                                      .headers = headers,
                                                      .header_count = count,
                                                      .body = answer});
}

static void done(hone_query *query, hone_err err) {
    invocation *v = query->ctx;
    hone_str answer = {NULL, 0};
    if (!hone_failed(err)) err = check_variant(v);
    if (!hone_failed(err)) err = write_answer(v, &answer);
    hone_toolkit_done(&v->call);
    if (hone_failed(err))
        reply_failure(v->exchange, err);
    else
        reply_answer(v, answer);
}

/* ---- the door ---- */

/* "/endpoints/NAME/invocations" -> NAME, decoded. */
static hone_err parse_path(const hone_request *request, hone_str *name) {
    hone_str head = HONE_S("/endpoints/"), tail = HONE_S("/invocations"), path = request->path;
    if (!hone_str_equal(request->method, HONE_S("POST")) || !hone_str_has_prefix(path, head) ||
        !hone_str_has_suffix(path, tail) || path.len <= head.len + tail.len)
        return hone_err_new(HONE_E_INVALID,
                            "hone has POST /endpoints/NAME/invocations, not %.*s %.*s",
                            HONE_ARG(request->method), HONE_ARG(path));
    hone_str raw = {path.ptr + head.len, path.len - head.len - tail.len};
    *name = hone_percent_decode(request->arena, raw);
    return name->ptr ? HONE_OK
                     : hone_err_new(HONE_E_INVALID, "the endpoint's name has a broken escape");
}

void hone_api_runtime(const hone_call *call, hone_exchange *exchange) {
    hone_str name = {NULL, 0};
    invocation *v = hone_arena_alloc(call->arena, 1, sizeof *v);
    hone_err err = v ? parse_path(call->request, &name)
                     : hone_err_new(HONE_E_NOMEM, "no memory for a request");
    if (hone_failed(err)) {
        reply_failure(exchange, err);
        return;
    }
    *v = (invocation){.exchange = exchange, .request = call->request, .endpoint = name};
    v->query.arena = call->arena;
    v->query.done = done;
    v->query.ctx = v;
    hone_fleet *fleet = call->app->fleet;
    err = hone_toolkit_parse(call->arena, hone_request_header(call->request, "content-type"),
                             call->request->body, &v->call);
    v->query.texts = v->call.texts;
    v->query.count = v->call.count;
    if (!hone_failed(err)) err = parse_patience(call->request, &v->query.patience_ms);
    if (hone_failed(err))
        hone_fleet_refused(fleet, name, 400);
    else
        err = hone_fleet_invoke(fleet, name, &v->query);
    if (!hone_failed(err)) return; /* v is out of our hands */
    hone_toolkit_done(&v->call);
    reply_failure(exchange, err);
}
