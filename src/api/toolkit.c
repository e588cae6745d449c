/* toolkit.c: see toolkit.h. */
#include "api/toolkit.h"

#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SMALL_BODY_BYTES = 4096 };

/* ---- the request ---- */

static hone_err bad(const char *words) { return hone_err_new(HONE_E_INVALID, "%s", words); }

static hone_err read_inputs(hone_arena *arena, hone_toolkit_call *c, const json_t *inputs) {
    c->is_list = json_is_array(inputs);
    if (!c->is_list && !json_is_string(inputs))
        return bad("inputs must be a text or a list of texts");
    size_t count = c->is_list ? json_array_size(inputs) : 1;
    if (count == 0 || count > HONE_TOOLKIT_TEXTS_MAX)
        return hone_err_new(HONE_E_INVALID, "inputs has %zu texts, allowed are 1 to %d", count,
                            HONE_TOOLKIT_TEXTS_MAX);
    hone_str *texts = hone_arena_alloc(arena, count, sizeof *texts);
    if (!texts) return hone_err_new(HONE_E_NOMEM, "no memory for %zu texts", count);
    for (size_t i = 0; i < count; i++) {
        const json_t *text = c->is_list ? json_array_get(inputs, i) : inputs;
        if (!json_is_string(text)) return hone_err_new(HONE_E_INVALID, "inputs[%zu] is no text", i);
        texts[i] = hone_json_str(text);
    }
    c->texts = texts;
    c->count = count;
    return HONE_OK;
}

static hone_err read_top_k(hone_toolkit_call *c, const json_t *value) {
    c->has_top_k = true;
    if (json_is_null(value)) return HONE_OK;
    json_int_t k = json_integer_value(value);
    if (!json_is_integer(value) || k < 1) return bad("parameters.top_k is no number above 0");
    c->top_k = (size_t)k;
    return HONE_OK;
}

static hone_err read_parameter(hone_toolkit_call *c, const char *key, const json_t *value) {
    hone_str name = hone_str_of(key);
    if (hone_str_equal(name, HONE_S("top_k"))) return read_top_k(c, value);
    if (hone_str_equal(name, HONE_S("return_all_scores"))) {
        if (!json_is_boolean(value)) return bad("parameters.return_all_scores is no boolean");
        c->all_scores = json_is_true(value);
        return HONE_OK;
    }
    if (hone_str_equal(name, HONE_S("function_to_apply"))) {
        if (json_is_null(value)) return HONE_OK;
        c->has_scoring = true;
        hone_err err = hone_scoring_parse(hone_json_str(value), &c->scoring);
        return hone_failed(err) ? hone_err_wrap(err, "parameters.function_to_apply") : HONE_OK;
    }
    /* Clients ask for these; hone does both always. */
    if (hone_str_equal(name, HONE_S("truncation")) || hone_str_equal(name, HONE_S("padding")))
        return HONE_OK;
    return hone_err_new(HONE_E_INVALID,
                        "parameters.%s: hone knows top_k, return_all_scores, function_to_apply",
                        key);
}

static hone_err read_parameters(hone_toolkit_call *c, const json_t *parameters) {
    const char *key = NULL;
    json_t *value = NULL;
    if (!parameters || json_is_null(parameters)) return HONE_OK;
    if (!json_is_object(parameters)) return bad("parameters is no object");
    json_object_foreach(hone_json_loose(parameters), key, value)
        HONE_TRY(read_parameter(c, key, value));
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

/* A small body goes where its request has memory already; a large one has its own, for a parser
 * that cannot give back what it outgrows takes several times as much. */
static hone_err parse_body(hone_arena *arena, hone_str body, hone_toolkit_call *c,
                           const json_t **out) {
    if (body.len <= SMALL_BODY_BYTES) return hone_json_parse_in(arena, body, "the body", out);
    hone_err err = hone_json_parse(body, "the body", &c->body);
    *out = c->body;
    return err;
}

static hone_err read_json(hone_arena *arena, hone_str body, hone_toolkit_call *c) {
    const json_t *json = NULL;
    hone_err err = parse_body(arena, body, c, &json);
    if (err.code == HONE_E_CORRUPT) err.code = HONE_E_INVALID;
    if (hone_failed(err)) return err;
    const json_t *inputs = json_object_get(json, "inputs");
    if (!inputs) return bad("the body has no member inputs");
    HONE_TRY(read_inputs(arena, c, inputs));
    return read_parameters(c, json_object_get(json, "parameters"));
}

static hone_err read_plain(hone_arena *arena, hone_str body, hone_toolkit_call *c) {
    hone_str *text = hone_arena_alloc(arena, 1, sizeof *text);
    if (!text) return hone_err_new(HONE_E_NOMEM, "no memory for a text");
    *text = body.len > 0 ? body : HONE_S("");
    c->texts = text;
    c->count = 1;
    return HONE_OK;
}

hone_err hone_toolkit_parse(hone_arena *arena, hone_str content_type, hone_str body,
                            hone_toolkit_call *out) {
    hone_str type = media_type(content_type);
    *out = (hone_toolkit_call){.arena = arena};
    if (is_type(type, HONE_S("text/plain"))) return read_plain(arena, body, out);
    /* boto3 sends no type of its own accord */
    if (type.len > 0 && !is_type(type, HONE_S("application/json")) &&
        !is_type(type, HONE_S("application/octet-stream")))
        return hone_err_new(HONE_E_INVALID,
                            "Content-Type '%.*s': hone takes application/json and text/plain",
                            HONE_ARG(type));
    return read_json(arena, body, out);
}

void hone_toolkit_done(hone_toolkit_call *call) {
    json_decref(call->body);
    *call = (hone_toolkit_call){0};
}

/* ---- the answer ---- */

static void push_score(hone_buf *out, double score) {
    char digits[32];
    (void)snprintf(digits, sizeof digits, "%.9g", score); /* a float's digits, and no more */
    hone_buf_push(out, hone_str_of(digits));
    if (!strpbrk(digits, ".e")) hone_buf_push(out, HONE_S(".0")); /* a float for every client */
}

static void push_label(hone_buf *out, const hone_toolkit_labels *labels, size_t label,
                       double score) {
    hone_buf_push(out, HONE_S("{\"label\": "));
    hone_json_push_str(out, hone_str_of(labels->names[label]));
    hone_buf_push(out, HONE_S(", \"score\": "));
    push_score(out, score);
    hone_buf_push_char(out, '}');
}

/* The labels of the k best scores, best first; of equals the first. */
static void push_best(hone_buf *out, const hone_toolkit_labels *labels, double *scores, size_t k) {
    hone_buf_push_char(out, '[');
    for (size_t i = 0; i < k; i++) {
        size_t best = hone_scores_best(scores, labels->count);
        if (i > 0) hone_buf_push(out, HONE_S(", "));
        push_label(out, labels, best, scores[best]);
        scores[best] = NAN; /* taken */
    }
    hone_buf_push_char(out, ']');
}

static void push_all(hone_buf *out, const hone_toolkit_labels *labels, const double *scores) {
    hone_buf_push_char(out, '[');
    for (size_t i = 0; i < labels->count; i++) {
        if (i > 0) hone_buf_push(out, HONE_S(", "));
        push_label(out, labels, i, scores[i]);
    }
    hone_buf_push_char(out, ']');
}

/* One text's part of the answer; scores has room for the labels. False for logits that are no
 * numbers. */
static bool push_text(const hone_toolkit_call *c, const hone_toolkit_labels *labels,
                      const float *logits, double *scores, hone_buf *out) {
    size_t count = labels->count;
    for (size_t i = 0; i < count; i++)
        if (!isfinite(logits[i])) return false;
    hone_scoring usual = labels->is_regression ? HONE_SCORE_NONE : hone_scoring_default(count);
    hone_scores(c->has_scoring ? c->scoring : usual, logits, count, scores);
    if (c->has_top_k) {
        push_best(out, labels, scores, c->top_k == 0 || c->top_k > count ? count : c->top_k);
    } else if (c->all_scores) {
        push_all(out, labels, scores);
    } else {
        size_t best = hone_scores_best(scores, count);
        push_label(out, labels, best, scores[best]);
    }
    return true;
}

hone_err hone_toolkit_format(const hone_toolkit_call *call, const hone_toolkit_labels *labels,
                             const float *logits, hone_buf *out) {
    /* A single text's list of labels is the answer itself, as the toolkit has it. */
    bool is_bare = !call->is_list && call->has_top_k, ok = true;
    double *scores = hone_arena_alloc(call->arena, labels->count, sizeof *scores);
    if (!scores) return hone_err_new(HONE_E_NOMEM, "no memory for an answer");
    if (!is_bare) hone_buf_push_char(out, '[');
    for (size_t i = 0; i < call->count && ok; i++) {
        if (i > 0) hone_buf_push(out, HONE_S(", "));
        ok = push_text(call, labels, logits + i * labels->count, scores, out);
    }
    if (!is_bare) hone_buf_push_char(out, ']');
    if (!ok) return hone_err_new(HONE_E_CORRUPT, "the model answered what is no number");
    return hone_buf_err(out);
}
