/* pages.c: the portal and its files, out of the program itself.
 *
 * They are the same for everybody and hold no secrets. The policy of the page lets it run only what
 * comes from here, talk only to here, and embed only frames from here: a task's frame that
 * navigates itself away is stopped by that, too. */
#include "api/api.h"
#include "api/page_file.h"

#define POLICY                                                                        \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " \
    "font-src 'self'; connect-src 'self'; frame-src 'self'; manifest-src 'self'; "    \
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "                   \
    "require-trusted-types-for 'script'; trusted-types 'none'"

#define HEADER(name, value) \
    (hone_header) { HONE_S(name), HONE_S(value) }

enum { HEADERS_MAX = 12 };

static void add(hone_response *response, hone_header *headers, hone_header header) {
    headers[response->header_count++] = header;
}

static void add_headers(hone_response *response, hone_header *headers, const hone_page_file *file) {
    add(response, headers, HEADER("X-Content-Type-Options", "nosniff"));
    add(response, headers, HEADER("Referrer-Policy", "no-referrer"));
    add(response, headers, HEADER("Vary", "Accept-Encoding"));
    add(response, headers, (hone_header){HONE_S("ETag"), hone_str_of(file->etag)});
    add(response, headers,
        file->is_immutable ? HEADER("Cache-Control", "public, max-age=31536000, immutable")
                           : HEADER("Cache-Control", "no-cache"));
    /* The frame of a task has an origin of its own, and yet must load crowd.js. */
    add(response, headers,
        strcmp(file->path, "/ui/crowd.js") == 0
            ? HEADER("Cross-Origin-Resource-Policy", "cross-origin")
            : HEADER("Cross-Origin-Resource-Policy", "same-origin"));
    if (!hone_str_has_prefix(hone_str_of(file->content_type), HONE_S("text/html"))) return;
    add(response, headers, HEADER("Content-Security-Policy", POLICY));
    add(response, headers, HEADER("Connection-Allowlist", "(response-origin)"));
    add(response, headers, HEADER("Cross-Origin-Opener-Policy", "same-origin"));
    add(response, headers, HEADER("X-Frame-Options", "DENY"));
    add(response, headers,
        HEADER("Permissions-Policy",
               "camera=(), microphone=(), geolocation=(), display-capture=(), usb=(), serial=()"));
}

void hone_api_pages(const hone_app *app, hone_exchange *exchange) {
    (void)app; /* the same pages for every data folder */
    const hone_request *request = hone_exchange_request(exchange);
    bool is_get = hone_str_equal(request->method, HONE_S("GET")) ||
                  hone_str_equal(request->method, HONE_S("HEAD"));
    const hone_page_file *file = is_get ? hone_page_file_find(request->path) : NULL;
    if (file == NULL) {
        hone_reply_error(exchange, HONE_OWN,
                         hone_err_new(HONE_E_NOT_FOUND, "no page %.*s", HONE_ARG(request->path)));
        return;
    }
    hone_header headers[HEADERS_MAX];
    hone_response response = {
        .status = 200, .content_type = file->content_type, .body = file->plain};
    add_headers(&response, headers, file);
    if (hone_page_file_matches(file, hone_request_header(request, "if-none-match"))) {
        response.status = 304;
        response.body = (hone_str){NULL, 0};
    } else if (file->gzip.len > 0 &&
               hone_page_file_takes_gzip(hone_request_header(request, "accept-encoding"))) {
        add(&response, headers, HEADER("Content-Encoding", "gzip"));
        response.body = file->gzip;
    }
    response.headers = headers;
    hone_exchange_reply(exchange, &response);
}
