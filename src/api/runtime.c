/* runtime.c: POST /endpoints/NAME/invocations: predictions, in the words of the Hugging Face
 * inference toolkit.
 *
 *     {"inputs": "text"}                            [{"label": ..., "score": ...}]
 *     {"inputs": ["text", ...]}                     [{...}, ...]: one a text
 *     ... "parameters": {"top_k": n | null}         the n best, or all, of the one text; for a list a
 *                                                   list of such lists
 *     ... {"return_all_scores": true}               all, in the order of the labels, a list a text
 *     ... {"function_to_apply": "softmax" | "sigmoid" | "none"}
 *     text/plain: the body is the text
 *
 * A worker reads the request and encodes it; the answer is written by the batcher's thread when the
 * logits are there, so that no worker waits. */
#include "api/api.h"
#include "base/buf.h"
#include "base/json.h"
#include "decide/scores.h"
#include "serve/fleet.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ANSWER_BYTES_MAX = 16 << 20, HEADERS_MAX = 4 };

/* One request on its way; lives in the exchange's arena. */
typedef struct invocation {
    hone_query query;
    hone_exchange *exchange;
    const hone_request *request;
    hone_fleet *fleet;
    hone_str endpoint;
    json_t *body; /* holds the texts */
    bool is_list; /* inputs was one */
    bool has_top_k;
    bool all_scores;
    size_t top_k; /* 0 = all */
    bool has_scoring;
    hone_scoring scoring;
} invocation;

/* ---- the request ---- */

static hone_err bad(const char *words) { return hone_err_new(HONE_E_INVALID, "%s", words); }

static hone_err read_inputs(invocation *v, const json_t *inputs) {
    v->is_list = json_is_array(inputs);
    if (!v->is_list && !json_is_string(inputs))
        return bad("inputs must be a text or a list of texts");
    size_t count = v->is_list ? json_array_size(inputs) : 1;
    if (count == 0 || count > HONE_QUERY_TEXTS_MAX)
        return hone_err_new(HONE_E_INVALID, "inputs has %zu texts, allowed are 1 to %d", count,
                            HONE_QUERY_TEXTS_MAX);
    hone_str *texts = hone_arena_alloc(v->request->arena, count, sizeof *texts);
    if (!texts) return hone_err_new(HONE_E_NOMEM, "no memory for %zu texts", count);
    for (size_t i = 0; i < count; i++) {
        const json_t *text = v->is_list ? json_array_get(inputs, i) : inputs;
        if (!json_is_string(text)) return hone_err_new(HONE_E_INVALID, "inputs[%zu] is no text", i);
        texts[i] = hone_json_str(text);
    }
    v->query.texts = texts;
    v->query.count = count;
    return HONE_OK;
}

static hone_err read_top_k(invocation *v, const json_t *value) {
    v->has_top_k = true;
    if (json_is_null(value)) return HONE_OK;
    json_int_t k = json_integer_value(value);
    if (!json_is_integer(value) || k < 1) return bad("parameters.top_k is no number above 0");
    v->top_k = (size_t)k;
    return HONE_OK;
}

static hone_err read_parameter(invocation *v, const char *key, const json_t *value) {
    hone_str name = hone_str_of(key);
    if (hone_str_equal(name, HONE_S("top_k"))) return read_top_k(v, value);
    if (hone_str_equal(name, HONE_S("return_all_scores"))) {
        if (!json_is_boolean(value)) return bad("parameters.return_all_scores is no boolean");
        v->all_scores = json_is_true(value);
        return HONE_OK;
    }
    if (hone_str_equal(name, HONE_S("function_to_apply"))) {
        if (json_is_null(value)) return HONE_OK;
        v->has_scoring = true;
        hone_err err = hone_scoring_parse(hone_json_str(value), &v->scoring);
        return hone_failed(err) ? hone_err_wrap(err, "parameters.function_to_apply") : HONE_OK;
    }
    /* Clients ask for these; hone does both always. */
    if (hone_str_equal(name, HONE_S("truncation")) || hone_str_equal(name, HONE_S("padding")))
        return HONE_OK;
    return hone_err_new(HONE_E_INVALID,
                        "parameters.%s: hone knows top_k, return_all_scores, function_to_apply",
                        key);
}

static hone_err read_parameters(invocation *v, json_t *parameters) {
    const char *key = NULL;
    json_t *value = NULL;
    if (!parameters || json_is_null(parameters)) return HONE_OK;
    if (!json_is_object(parameters)) return bad("parameters is no object");
    json_object_foreach(parameters, key, value) HONE_TRY(read_parameter(v, key, value));
    return HONE_OK;
}

/* "application/json; charset=utf-8" -> "application/json" */
static hone_str media_type(hone_str header) {
    size_t len = 0;
    while (len < header.len && header.ptr[len] != ';' && header.ptr[len] != ' ') len++;
    return (hone_str){header.ptr, len};
}

static bool is_type(hone_str type, hone_str name) {
    return type.len == name.len && strncasecmp(type.ptr, name.ptr, name.len) == 0;
}

static hone_err read_plain(invocation *v) {
    hone_str *text = hone_arena_alloc(v->request->arena, 1, sizeof *text);
    if (!text) return hone_err_new(HONE_E_NOMEM, "no memory for a text");
    *text = v->request->body;
    if (text->len == 0) *text = HONE_S("");
    v->query.texts = text;
    v->query.count = 1;
    return HONE_OK;
}

static hone_err read_body(invocation *v) {
    hone_str type = media_type(hone_request_header(v->request, "content-type"));
    if (is_type(type, HONE_S("text/plain"))) return read_plain(v);
    /* boto3 sends no type of its own accord */
    if (type.len > 0 && !is_type(type, HONE_S("application/json")) &&
        !is_type(type, HONE_S("application/octet-stream")))
        return hone_err_new(HONE_E_INVALID,
                            "Content-Type '%.*s': hone takes application/json and text/plain",
                            HONE_ARG(type));
    hone_err err = hone_json_parse(v->request->body, "the body", &v->body);
    if (err.code == HONE_E_CORRUPT) err.code = HONE_E_INVALID;
    if (hone_failed(err)) return err;
    const json_t *inputs = json_object_get(v->body, "inputs");
    if (!inputs) return bad("the body has no member inputs");
    HONE_TRY(read_inputs(v, inputs));
    return read_parameters(v, json_object_get(v->body, "parameters"));
}

/* ---- the answer ---- */

static void push_score(hone_buf *out, double score) {
    char digits[32];
    (void)snprintf(digits, sizeof digits, "%.9g", score); /* a float's digits, and no more */
    hone_buf_push(out, hone_str_of(digits));
    if (!strpbrk(digits, ".e")) hone_buf_push(out, HONE_S(".0")); /* a float for every client */
}

static void push_label(hone_buf *out, const hone_config *config, size_t label, double score) {
    hone_buf_push(out, HONE_S("{\"label\": "));
    hone_json_push_str(out, hone_str_of(config->label_names[label]));
    hone_buf_push(out, HONE_S(", \"score\": "));
    push_score(out, score);
    hone_buf_push_char(out, '}');
}

/* The labels of the k best scores, best first; of equals the first. */
static void push_best(hone_buf *out, const hone_config *config, double *scores, size_t k) {
    hone_buf_push_char(out, '[');
    for (size_t i = 0; i < k; i++) {
        size_t best = hone_scores_best(scores, config->labels);
        if (i > 0) hone_buf_push(out, HONE_S(", "));
        push_label(out, config, best, scores[best]);
        scores[best] = NAN; /* taken */
    }
    hone_buf_push_char(out, ']');
}

static void push_all(hone_buf *out, const hone_config *config, const double *scores) {
    hone_buf_push_char(out, '[');
    for (size_t i = 0; i < config->labels; i++) {
        if (i > 0) hone_buf_push(out, HONE_S(", "));
        push_label(out, config, i, scores[i]);
    }
    hone_buf_push_char(out, ']');
}

/* One text's part of the answer; scratch has room for the labels. False for logits that are no
 * numbers. */
static bool push_text(const invocation *v, const hone_config *config, const float *logits,
                      double *scores, hone_buf *out) {
    size_t labels = config->labels;
    for (size_t i = 0; i < labels; i++)
        if (!isfinite(logits[i])) return false;
    hone_scoring usual = config->problem == HONE_REGRESSION ? HONE_SCORE_NONE
                                                            : hone_scoring_default(labels);
    hone_scores(v->has_scoring ? v->scoring : usual, logits, labels, scores);
    if (v->has_top_k) {
        push_best(out, config, scores, v->top_k == 0 || v->top_k > labels ? labels : v->top_k);
    } else if (v->all_scores) {
        push_all(out, config, scores);
    } else {
        size_t best = hone_scores_best(scores, labels);
        push_label(out, config, best, scores[best]);
    }
    return true;
}

/* The whole answer. A single text's list of labels is the answer itself, as the toolkit has it;
 * everything else is a list with one element a text. */
static hone_err write_answer(const invocation *v, hone_str *answer) {
    const hone_query *q = &v->query;
    const hone_config *config = hone_deployment_config(q->deployment);
    bool is_bare = !v->is_list && v->has_top_k, ok = true;
    double *scores = calloc(config->labels, sizeof *scores);
    if (!scores) return hone_err_new(HONE_E_NOMEM, "no memory for an answer");
    hone_buf out;
    hone_buf_init(&out, ANSWER_BYTES_MAX);
    if (!is_bare) hone_buf_push_char(&out, '[');
    for (size_t i = 0; i < q->count && ok; i++) {
        if (i > 0) hone_buf_push(&out, HONE_S(", "));
        ok = push_text(v, config, q->logits + i * config->labels, scores, &out);
    }
    if (!is_bare) hone_buf_push_char(&out, ']');
    free(scores);
    hone_err err = ok ? hone_buf_err(&out)
                      : hone_err_new(HONE_E_CORRUPT, "the model answered what is no number");
    char *kept = hone_failed(err) ? NULL : hone_arena_strdup(q->arena, hone_buf_str(&out));
    if (!hone_failed(err) && !kept) err = hone_err_new(HONE_E_NOMEM, "no memory for an answer");
    if (!hone_failed(err)) *answer = (hone_str){kept, out.len};
    hone_buf_done(&out);
    return err;
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
    json_decref(v->body);
    if (!hone_failed(err)) err = check_variant(v);
    if (!hone_failed(err)) err = write_answer(v, &answer);
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
    return name->ptr ? HONE_OK : bad("the endpoint's name has a broken escape");
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
    *v = (invocation){.exchange = exchange,
                      .request = call->request,
                      .fleet = call->app->fleet,
                      .endpoint = name};
    v->query.arena = call->arena;
    v->query.done = done;
    v->query.ctx = v;
    hone_fleet *fleet = call->app->fleet;
    err = read_body(v);
    if (hone_failed(err))
        hone_fleet_refused(fleet, name, 400);
    else
        err = hone_fleet_invoke(fleet, name, &v->query);
    if (!hone_failed(err)) return; /* v is out of our hands */
    json_decref(v->body);
    reply_failure(exchange, err);
}
