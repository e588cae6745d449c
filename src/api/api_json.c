/* api_json.c: the fields of a request read with their limits, and JSON answers. */
#include "api/api.h"
#include "base/id.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

hone_err hone_call_json(const hone_call *call, json_t **out) {
    if (call->request->body.len == 0) {
        *out = json_object();
        return *out ? HONE_OK : hone_err_new(HONE_E_NOMEM, "no memory for a request");
    }
    hone_err err = hone_json_parse(call->request->body, "the request body", out);
    if (err.code == HONE_E_CORRUPT) err.code = HONE_E_INVALID;
    return err;
}

hone_err hone_in_str(const json_t *in, const char *key, size_t min, size_t max, hone_str *out) {
    const json_t *value = json_object_get(in, key);
    if (!value || json_is_null(value)) {
        if (min > 0) return hone_err_new(HONE_E_INVALID, "%s is missing", key);
        *out = (hone_str){NULL, 0};
        return HONE_OK;
    }
    if (!json_is_string(value)) return hone_err_new(HONE_E_INVALID, "%s is no string", key);
    hone_str s = hone_json_str(value);
    if (s.len < min || s.len > max)
        return hone_err_new(HONE_E_INVALID, "%s has %zu bytes, allowed are %zu to %zu", key, s.len,
                            min, max);
    if (memchr(s.ptr, '\0', s.len)) return hone_err_new(HONE_E_INVALID, "%s holds a NUL", key);
    *out = s;
    return HONE_OK;
}

hone_err hone_in_name(const json_t *in, const char *key, const char *kind, size_t max, bool lower,
                      hone_str *out) {
    enum { ARN_MAX = 2048 };
    hone_str text, name;
    HONE_TRY(hone_in_str(in, key, 1, ARN_MAX, &text));
    name = text;
    bool ok = !kind || hone_arn_name(text, kind, true, &name);
    if (!ok || !hone_name_is_valid(name, max, lower))
        return hone_err_new(HONE_E_INVALID,
                            "%s '%.*s' is no valid name: up to %zu %s, digits and inner hyphens",
                            key, HONE_ARG(text), max, lower ? "lower-case letters" : "letters");
    *out = name;
    return HONE_OK;
}

hone_err hone_in_int(const json_t *in, const char *key, int64_t min, int64_t max, int64_t fallback,
                     int64_t *out) {
    const json_t *value = json_object_get(in, key);
    if (!value || json_is_null(value)) {
        *out = fallback;
        return HONE_OK;
    }
    if (!json_is_integer(value)) return hone_err_new(HONE_E_INVALID, "%s is no integer", key);
    int64_t number = json_integer_value(value);
    if (number < min || number > max)
        return hone_err_new(HONE_E_INVALID, "%s is %lld, allowed are %lld to %lld", key,
                            (long long)number, (long long)min, (long long)max);
    *out = number;
    return HONE_OK;
}

static hone_err in_time(const json_t *in, const char *key, int64_t fallback, int64_t *out) {
    enum { YEAR_3000_S = 32503680 }; /* thousands of seconds */
    const json_t *value = json_object_get(in, key);
    *out = fallback;
    if (!value || json_is_null(value)) return HONE_OK;
    double seconds = json_number_value(value);
    if (!json_is_number(value) || !(seconds >= 0) || seconds > YEAR_3000_S * 1e3)
        return hone_err_new(HONE_E_INVALID, "%s is no time in seconds since 1970", key);
    *out = (int64_t)(seconds * 1000);
    return HONE_OK;
}

static hone_err in_token(const json_t *in, int64_t *offset) {
    enum { TOKEN_MAX = 20 };
    hone_str token;
    *offset = 0;
    HONE_TRY(hone_in_str(in, "NextToken", 0, 8192, &token));
    if (token.len == 0) return HONE_OK;
    bool ok = token.len >= 2 && token.len <= TOKEN_MAX && token.ptr[0] == 'n';
    for (size_t i = 1; ok && i < token.len; i++) {
        ok = token.ptr[i] >= '0' && token.ptr[i] <= '9' && *offset <= INT32_MAX;
        *offset = *offset * 10 + (token.ptr[i] - '0');
    }
    if (!ok) return hone_err_new(HONE_E_INVALID, "NextToken is none that hone gave");
    return HONE_OK;
}

hone_err hone_in_page(const json_t *in, int64_t limit, bool descending, hone_page *out) {
    hone_page page = {.descending = descending};
    hone_str order;
    HONE_TRY(hone_in_int(in, "MaxResults", 1, 100, limit, &page.limit));
    HONE_TRY(hone_in_str(in, "SortOrder", 0, 16, &order));
    if (hone_str_equal(order, HONE_S("Ascending")))
        page.descending = false;
    else if (hone_str_equal(order, HONE_S("Descending")))
        page.descending = true;
    else if (order.len > 0)
        return hone_err_new(HONE_E_INVALID, "SortOrder is Ascending or Descending");
    HONE_TRY(in_token(in, &page.offset));
    HONE_TRY(in_time(in, "CreationTimeAfter", 0, &page.after_ms));
    HONE_TRY(in_time(in, "CreationTimeBefore", INT64_MAX, &page.before_ms));
    HONE_TRY(hone_in_str(in, "NameContains", 0, 256, &page.name_contains));
    *out = page;
    return HONE_OK;
}

void hone_out_next(json_t *out, const hone_page *page, bool more) {
    if (!more) return;
    char token[24];
    (void)snprintf(token, sizeof token, "n%lld", (long long)(page->offset + page->limit));
    json_object_set_new(out, "NextToken", json_string(token));
}

json_t *hone_json_time(int64_t ms) { return json_real((double)ms / 1000.0); }

void hone_reply_json(hone_exchange *exchange, int status, const char *content_type, json_t *value) {
    const hone_request *request = hone_exchange_request(exchange);
    char *dumped = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    json_decref(value);
    char *kept = dumped ? hone_arena_strdup(request->arena, hone_str_of(dumped)) : NULL;
    free(dumped);
    if (!kept) {
        hone_reply_error(exchange, HONE_OWN, hone_err_new(HONE_E_NOMEM, "no memory for an answer"));
        return;
    }
    char id[HONE_ID_SIZE];
    hone_id_make(id);
    hone_header header = {HONE_S("x-amzn-requestid"), hone_str_of(id)};
    hone_response response = {
        .status = status,
        .content_type = content_type ? content_type : "application/json",
        .headers = &header,
        .header_count = 1,
        .body = hone_str_of(kept),
    };
    hone_exchange_reply(exchange, &response);
}
