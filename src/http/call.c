/* call.c: see call.h. One easy handle of libcurl, set up anew for each call and kept for its
 * connection. */
#include "http/call.h"

#include <curl/curl.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEADERS_LIMIT_BYTES = 64 << 10,
    CONNECT_TIMEOUT_MS = 10000,
};

struct hone_http_caller {
    CURL *curl;
    const char *ca_file; /* borrowed for the life of the caller */
    char curl_error[CURL_ERROR_SIZE];
    hone_buf headers; /* of the newest answer */
};

hone_err hone_http_caller_create(const char *ca_file, hone_http_caller **out) {
    hone_http_caller *caller = calloc(1, sizeof *caller);
    if (caller) caller->curl = curl_easy_init();
    if (!caller || !caller->curl) {
        hone_http_caller_destroy(caller);
        return hone_err_new(HONE_E_NOMEM, "libcurl does not start");
    }
    caller->ca_file = ca_file;
    *out = caller;
    return HONE_OK;
}

void hone_http_caller_destroy(hone_http_caller *caller) {
    if (!caller) return;
    curl_easy_cleanup(caller->curl); /* NULL is allowed */
    hone_buf_done(&caller->headers);
    free(caller);
}

/* Every answer begins with a status line, also the "100 Continue" before the real one. */
static size_t on_header(const char *bytes, size_t one, size_t count, void *arg) {
    hone_http_caller *caller = arg;
    hone_str line = {bytes, one * count};
    if (hone_str_has_prefix(line, HONE_S("HTTP/")))
        caller->headers.len = 0;
    else
        hone_buf_push(&caller->headers, line);
    return hone_failed(hone_buf_err(&caller->headers)) ? 0 : line.len;
}

static size_t on_body(const char *bytes, size_t one, size_t count, void *arg) {
    hone_buf *body = arg;
    hone_buf_push(body, (hone_str){bytes, one * count});
    return hone_failed(hone_buf_err(body)) ? 0 : one * count;
}

static hone_err header_list(const hone_http_call *call, struct curl_slist **out) {
    struct curl_slist *list = NULL;
    for (size_t i = 0; i <= call->header_count; i++) {
        /* "Expect:" takes back libcurl's own wait for "100 Continue" before a large body. */
        const char *line = i < call->header_count ? call->headers[i] : "Expect:";
        struct curl_slist *longer = curl_slist_append(list, line);
        if (!longer) {
            curl_slist_free_all(list);
            return hone_err_new(HONE_E_NOMEM, "no memory for a header");
        }
        list = longer;
    }
    *out = list;
    return HONE_OK;
}

static CURLcode set_method(CURL *curl, const hone_http_call *call) {
    if (strcmp(call->method, "GET") == 0) return curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    if (strcmp(call->method, "HEAD") == 0) return curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    CURLcode code = curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
    if (code == CURLE_OK)
        code = curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
    if (code == CURLE_OK) /* borrowed until the call is through */
        code = curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call->body.ptr ? call->body.ptr : "");
    return code;
}

/* reset keeps the connection and forgets what the call before has set. */
static CURLcode set_up(hone_http_caller *caller, const hone_http_call *call,
                       struct curl_slist *headers, hone_buf *body) {
    CURL *curl = caller->curl;
    curl_easy_reset(curl);
    CURLcode code = set_method(curl, call);
    if (code == CURLE_OK) code = curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, caller->curl_error);
    if (code == CURLE_OK) code = curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    if (code == CURLE_OK) code = curl_easy_setopt(curl, CURLOPT_USERAGENT, "hone/" HONE_VERSION);
    if (code == CURLE_OK) code = curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    if (code == CURLE_OK && caller->ca_file)
        code = curl_easy_setopt(curl, CURLOPT_CAINFO, caller->ca_file);
    if (code == CURLE_OK && call->is_direct) code = curl_easy_setopt(curl, CURLOPT_PROXY, "");
    if (code == CURLE_OK)
        code = curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    if (code == CURLE_OK) code = curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
    if (code == CURLE_OK) code = curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (code == CURLE_OK) code = curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    if (code == CURLE_OK) code = curl_easy_setopt(curl, CURLOPT_HEADERDATA, caller);
    if (code == CURLE_OK) code = curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    if (code == CURLE_OK) code = curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    if (code == CURLE_OK) code = curl_easy_setopt(curl, CURLOPT_URL, call->url);
    return code;
}

static hone_err transfer_err(const hone_http_caller *caller, const hone_http_call *call,
                             CURLcode code) {
    const char *why = caller->curl_error;
    if (why[0] == '\0') why = curl_easy_strerror(code);
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL)
        return hone_err_new(HONE_E_INVALID, "'%s' is no http or https URL", call->url);
    if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST)
        return hone_err_new(HONE_E_CLOSED, "'%s' cannot be reached: %s", call->url, why);
    return hone_err_new(HONE_E_IO, "no answer from '%s': %s", call->url, why);
}

hone_err hone_http_send(hone_http_caller *caller, const hone_http_call *call, hone_buf *body,
                        hone_http_reply *out) {
    assert(call->method && call->url);
    struct curl_slist *headers = NULL;
    HONE_TRY(header_list(call, &headers));
    hone_buf_done(&caller->headers); /* forgets an earlier failure, too */
    hone_buf_init(&caller->headers, HEADERS_LIMIT_BYTES);
    caller->curl_error[0] = '\0';
    CURLcode code = set_up(caller, call, headers, body);
    if (code == CURLE_OK) code = curl_easy_perform(caller->curl);
    long status = 0;
    if (code == CURLE_OK) code = curl_easy_getinfo(caller->curl, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_setopt(caller->curl, CURLOPT_HTTPHEADER, NULL); /* cannot fail with NULL */
    curl_slist_free_all(headers);
    hone_err err = hone_buf_err(body);
    if (!hone_failed(err)) err = hone_buf_err(&caller->headers);
    if (hone_failed(err)) return hone_err_wrap(err, "answer of '%s'", call->url);
    if (code != CURLE_OK) return transfer_err(caller, call, code);
    *out = (hone_http_reply){(int)status, hone_buf_str(&caller->headers)};
    return HONE_OK;
}
