/* task_frame.c: see task_frame.h. */
#include "api/task_frame.h"

#include "base/buf.h"
#include "base/json.h"
#include "review/liquid.h"

#include <string.h>

enum {
    FRAME_BYTES_MAX = HONE_LIQUID_OUTPUT_MAX + 4096,
    CSP_BYTES_MAX = 1024,
    HOST_BYTES_MAX = 255
};

static const char crowd_js[] = "assets.crowd.aws/crowd-html-elements.js";

static const char page_head[] =
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
    "<script src=\"/ui/crowd.js\"></script></head><body>";
static const char page_tail[] = "</body></html>";

hone_str hone_task_frame_strip(hone_arena *arena, hone_str content) {
    static const char open[] = "<script", close[] = "</script>";
    char *text = hone_arena_strdup(arena, content);
    if (!text) return (hone_str){NULL, 0};
    size_t from = 0;
    for (char *at; (at = memmem(text + from, content.len - from, crowd_js, sizeof crowd_js - 1));
         from = (size_t)(at - text) + sizeof crowd_js - 1) {
        size_t start = (size_t)(at - text);
        while (start > 0 && text[start] != '<' && text[start] != '>') start--;
        hone_str tag = {text + start, content.len - start};
        const char *end = memmem(tag.ptr, tag.len, close, sizeof close - 1);
        if (!end || !hone_str_has_prefix(tag, hone_str_of(open))) continue;
        size_t stop = (size_t)(end - text) + sizeof close - 1;
        for (size_t i = start; i < stop; i++)
            if (text[i] != '\n') text[i] = ' ';
    }
    return (hone_str){text, content.len};
}

/* A Host header is echoed into the policy: only what may stand in a host is. */
static bool is_host(hone_str host) {
    bool ok = host.len > 0 && host.len <= HOST_BYTES_MAX;
    for (size_t i = 0; ok && i < host.len; i++) {
        char c = host.ptr[i];
        ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             strchr(".-:[]", c) != NULL;
    }
    return ok;
}

/* In an opaque origin 'self' is nothing: the script is named with the origin that was asked. */
static hone_err push_policy(const hone_call *call, hone_buf *out) {
    hone_str host = hone_request_header(call->request, "host");
    hone_str public_url = hone_str_of(call->app->public_url);
    bool is_public = public_url.len > host.len && hone_str_has_suffix(public_url, host) &&
                     hone_str_has_prefix(public_url, HONE_S("https://"));
    if (!is_host(host)) return hone_err_new(HONE_E_INVALID, "the Host header names no host");
    hone_buf_printf(out,
                    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline' "
                    "%s://%.*s/ui/crowd.js; style-src 'unsafe-inline'; img-src data: blob:; "
                    "media-src data: blob:; font-src data:; form-action 'none'; base-uri 'none'; "
                    "frame-ancestors 'self'",
                    call->request->is_tls || is_public ? "https" : "http", HONE_ARG(host));
    return hone_buf_err(out);
}

static hone_err render(const hone_call *call, hone_str content, hone_str input, hone_buf *out) {
    json_t *value = NULL;
    content = hone_task_frame_strip(call->arena, content);
    if (!content.ptr) return hone_err_new(HONE_E_NOMEM, "no memory for a page");
    HONE_TRY(hone_json_parse(input, "the input of a human loop", &value));
    hone_buf_push(out, hone_str_of(page_head));
    hone_err err = hone_liquid_render(content, value, out);
    json_decref(value);
    hone_buf_push(out, hone_str_of(page_tail));
    return hone_failed(err) ? err : hone_buf_err(out);
}

/* A page that says what is wrong with the template: the reviewer sees it where the task would be. */
static hone_err push_failure(const char *message, hone_buf *out) {
    out->len = 0;
    hone_buf_push(out, HONE_S("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><body><p>"
                              "This task cannot be shown: its template fails.</p><pre>"));
    for (const char *c = message; *c; c++) {
        if (*c == '<' || *c == '&')
            hone_buf_push(out, *c == '<' ? HONE_S("&lt;") : HONE_S("&amp;"));
        else
            hone_buf_push_char(out, *c);
    }
    hone_buf_push(out, HONE_S("</pre></body></html>"));
    return hone_buf_err(out);
}

static void send_page(const hone_call *call, hone_exchange *exchange, int status, hone_str policy,
                      hone_str page) {
    const char *kept = hone_arena_strdup(call->arena, page);
    if (!kept) {
        hone_reply_error(exchange, HONE_OWN, hone_err_new(HONE_E_NOMEM, "no memory for a page"));
        return;
    }
    const hone_header headers[] = {
        {HONE_S("content-security-policy"), policy},
        {HONE_S("connection-allowlist"), HONE_S("(response-origin)")}, /* WebRTC, DNS */
        {HONE_S("x-content-type-options"), HONE_S("nosniff")},
        {HONE_S("referrer-policy"), HONE_S("no-referrer")}, /* the address has the lease */
        {HONE_S("cache-control"), HONE_S("no-store")},
        {HONE_S("cross-origin-resource-policy"), HONE_S("same-origin")},
        {HONE_S("x-dns-prefetch-control"), HONE_S("off")},
    };
    hone_response response = {.status = status,
                              .content_type = "text/html; charset=utf-8",
                              .headers = headers,
                              .header_count = sizeof headers / sizeof headers[0],
                              .body = {kept, page.len}};
    hone_exchange_reply(exchange, &response);
}

void hone_task_frame_reply(const hone_call *call, hone_exchange *exchange, hone_str content,
                           hone_str input) {
    enum { SHOWN = 200, UNPROCESSABLE = 422 };
    int status = SHOWN;
    hone_buf page, policy;
    hone_buf_init(&page, FRAME_BYTES_MAX);
    hone_buf_init(&policy, CSP_BYTES_MAX);
    hone_err err = push_policy(call, &policy);
    if (!hone_failed(err)) {
        err = render(call, content, input, &page);
        if (err.code == HONE_E_INVALID || err.code == HONE_E_FULL) {
            status = UNPROCESSABLE;
            err = push_failure(err.msg, &page);
        }
    }
    if (hone_failed(err))
        hone_reply_error(exchange, HONE_OWN, err);
    else
        send_page(call, exchange, status, hone_buf_str(&policy), hone_buf_str(&page));
    hone_buf_done(&page);
    hone_buf_done(&policy);
}
