/* client.c: see client.h. One easy handle of libcurl, used for one hop after another:
 *
 *     set up hop -> perform -> redirect? -> set up hop -> ... -> answer
 *                     |- on_header: collects the header lines of the newest answer
 *                     `- on_body:   2xx to the caller's memory or file, others dropped
 *
 * libcurl could follow redirects itself; doing it here keeps in one visible place who is
 * sent the token and whose headers count. */
#include "http/client.h"

#include "base/file.h"

#include <curl/curl.h>

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum {
    HOPS_MAX = 10,
    HEADERS_LIMIT_BYTES = 64 << 10,
    DROPPED_LIMIT_BYTES = 1 << 20, /* of an error page or a redirect's body */
    PARTIAL_CONTENT = 206,
};

/* What decides who may see the token. */
typedef struct origin {
    char *scheme;
    char *host;
    char *port;
} origin;

struct hone_http_client {
    CURL *curl;
    char curl_error[CURL_ERROR_SIZE]; /* libcurl's sentence on the last failure */
    hone_buf headers;                 /* of the newest answer */
    hone_buf home_headers;            /* of home's newest answer */
};

/* One request on its way through its hops. */
typedef struct exchange {
    hone_http_client *client;
    const hone_http_request *request;
    origin home;
    bool at_home;         /* the present hop asks home */
    bool announced;       /* on_reply was called */
    bool has_body;        /* a byte of a 2xx body has come */
    int64_t offset;       /* in the file, of the next byte */
    size_t dropped_bytes; /* of bodies that nobody wants */
    hone_err err;         /* why a callback stopped the transfer */
} exchange;

/* ---- origins ---- */

static void origin_done(origin *o) {
    curl_free(o->scheme);
    curl_free(o->host);
    curl_free(o->port);
    *o = (origin){0};
}

static hone_err origin_parse(const char *url, origin *out) {
    CURLU *parts = curl_url();
    origin o = {0};
    hone_err err = HONE_OK;
    if (!parts)
        err = hone_err_new(HONE_E_NOMEM, "no memory for a URL");
    else if (curl_url_set(parts, CURLUPART_URL, url, 0) != CURLUE_OK ||
             curl_url_get(parts, CURLUPART_SCHEME, &o.scheme, 0) != CURLUE_OK ||
             curl_url_get(parts, CURLUPART_HOST, &o.host, 0) != CURLUE_OK ||
             curl_url_get(parts, CURLUPART_PORT, &o.port, CURLU_DEFAULT_PORT) != CURLUE_OK ||
             (strcmp(o.scheme, "http") != 0 && strcmp(o.scheme, "https") != 0))
        err = hone_err_new(HONE_E_INVALID, "'%s' is no http or https URL", url);
    curl_url_cleanup(parts);
    if (hone_failed(err))
        origin_done(&o);
    else
        *out = o;
    return err;
}

static bool origin_equal(const origin *a, const origin *b) {
    assert(a->scheme && b->scheme); /* parsed */
    return strcmp(a->scheme, b->scheme) == 0 && strcasecmp(a->host, b->host) == 0 &&
           strcmp(a->port, b->port) == 0;
}

/* ---- replies ---- */

hone_str hone_http_reply_header(const hone_http_reply *reply, const char *name) {
    size_t name_len = strlen(name);
    hone_str rest = reply->headers;
    while (rest.len > 0) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        size_t line_len = end ? (size_t)(end - rest.ptr) : rest.len;
        if (line_len > name_len && rest.ptr[name_len] == ':' &&
            strncasecmp(rest.ptr, name, name_len) == 0) {
            hone_str value = {rest.ptr + name_len + 1, line_len - name_len - 1};
            while (value.len > 0 && strchr(" \t", value.ptr[0])) value.ptr++, value.len--;
            while (value.len > 0 && strchr(" \t\r", value.ptr[value.len - 1])) value.len--;
            return value;
        }
        size_t step = end ? line_len + 1 : line_len;
        rest = (hone_str){rest.ptr + step, rest.len - step};
    }
    return (hone_str){NULL, 0};
}

/* Decimal digits as a number; -1 for none, for anything else, and for too many. */
static int64_t digits(hone_str s) {
    int64_t n = 0;
    if (s.len == 0 || s.len > 18) return -1; /* 18 digits fit */
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return -1;
        n = n * 10 + (s.ptr[i] - '0');
    }
    return n;
}

int64_t hone_http_reply_size(const hone_http_reply *reply, const char *name) {
    return digits(hone_http_reply_header(reply, name));
}

/* Where the bytes of a 206 start: "bytes 100-199/200" -> 100; -1 when it does not say. */
static int64_t range_start(const hone_http_reply *reply) {
    hone_str value = hone_http_reply_header(reply, "Content-Range");
    hone_str unit = HONE_S("bytes ");
    if (!hone_str_has_prefix(value, unit)) return -1;
    const char *dash = memchr(value.ptr, '-', value.len);
    if (!dash) return -1;
    return digits((hone_str){value.ptr + unit.len, (size_t)(dash - value.ptr) - unit.len});
}

/* ---- callbacks of libcurl ---- */

static int status_of(const exchange *x) {
    long status = 0;
    (void)curl_easy_getinfo(x->client->curl, CURLINFO_RESPONSE_CODE, &status); /* 0 is no answer */
    return (int)status;
}

/* Tell the caller home's answer, once. */
static hone_err announce(exchange *x) {
    if (x->announced || !x->request->on_reply) return HONE_OK;
    x->announced = true;
    hone_http_reply reply = {status_of(x), hone_buf_str(&x->client->headers)};
    return x->request->on_reply(x->request->arg, &reply);
}

/* Every answer begins with a status line, also the "100 Continue" before the real one. */
static size_t on_header(const char *bytes, size_t one, size_t count, void *arg) {
    exchange *x = arg;
    hone_buf *headers = &x->client->headers;
    hone_str line = {bytes, one * count};
    if (hone_str_has_prefix(line, HONE_S("HTTP/")))
        headers->len = 0;
    else
        hone_buf_push(headers, line);
    hone_err err = hone_buf_err(headers);
    if (!hone_failed(err)) return line.len;
    x->err = hone_err_wrap(err, "headers of '%s'", x->request->url);
    return 0;
}

static hone_err write_at(const hone_http_file *file, int64_t offset, hone_str bytes) {
    for (size_t done = 0; done < bytes.len;) {
        ssize_t n = pwrite(file->fd, bytes.ptr + done, bytes.len - done, offset + (int64_t)done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return hone_file_err("write", file->path);
        done += (size_t)n;
    }
    return HONE_OK;
}

/* Before the first byte: does the body continue the file, or replace it? */
static hone_err place_body(exchange *x) {
    const hone_http_file *file = x->request->file;
    hone_http_reply reply = {status_of(x), hone_buf_str(&x->client->headers)};
    x->offset = 0;
    if (reply.status == PARTIAL_CONTENT) {
        x->offset = file->start_bytes;
        if (range_start(&reply) != file->start_bytes)
            return hone_err_new(HONE_E_CORRUPT, "'%s' sent another range than byte %lld on",
                                x->request->url, (long long)file->start_bytes);
    }
    return ftruncate(file->fd, x->offset) == 0 ? HONE_OK : hone_file_err("truncate", file->path);
}

static hone_err put_file(exchange *x, hone_str bytes) {
    const hone_http_file *file = x->request->file;
    if (!x->has_body) HONE_TRY(place_body(x));
    x->has_body = true;
    if ((int64_t)bytes.len > file->limit_bytes - x->offset)
        return hone_err_new(HONE_E_FULL, "'%s' sends more than %lld bytes", x->request->url,
                            (long long)file->limit_bytes);
    HONE_TRY(write_at(file, x->offset, bytes));
    x->offset += (int64_t)bytes.len;
    if (file->on_progress) file->on_progress(x->request->arg, x->offset);
    return HONE_OK;
}

static hone_err put_memory(exchange *x, hone_str bytes) {
    x->has_body = true;
    hone_buf_push(x->request->body, bytes);
    hone_err err = hone_buf_err(x->request->body);
    return hone_failed(err) ? hone_err_wrap(err, "'%s'", x->request->url) : HONE_OK;
}

static hone_err drop(exchange *x, hone_str bytes) {
    x->dropped_bytes += bytes.len;
    if (x->dropped_bytes > DROPPED_LIMIT_BYTES)
        return hone_err_new(HONE_E_CORRUPT, "'%s' answered %d with a page without end",
                            x->request->url, status_of(x));
    return HONE_OK;
}

static size_t on_body(const char *bytes, size_t one, size_t count, void *arg) {
    exchange *x = arg;
    hone_str piece = {bytes, one * count};
    if (status_of(x) / 100 != 2) {
        x->err = drop(x, piece);
    } else {
        x->err = x->at_home ? announce(x) : HONE_OK;
        if (!hone_failed(x->err))
            x->err = x->request->file ? put_file(x, piece) : put_memory(x, piece);
    }
    return hone_failed(x->err) ? 0 : piece.len;
}

/* ---- one hop ---- */

/* libcurl's failure as one of ours, naming the host. */
static hone_err transfer_err(const exchange *x, const origin *to, CURLcode code) {
    const char *why = x->client->curl_error;
    if (why[0] == '\0') why = curl_easy_strerror(code);
    if (x->has_body)
        return hone_err_new(HONE_E_CLOSED, "the connection to '%s' broke: %s", to->host, why);
    if (code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_CONNECT ||
        code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_OPERATION_TIMEDOUT)
        return hone_err_new(HONE_E_IO, "'%s' cannot be reached: %s", to->host, why);
    return hone_err_new(HONE_E_IO, "no answer from '%s': %s", to->host, why);
}

/* The headers of this hop: the token, for home only. *out is the caller's to free. */
static hone_err hop_headers(const exchange *x, struct curl_slist **out) {
    *out = NULL;
    if (!x->at_home || !x->request->token) return HONE_OK;
    char *line = NULL;
    if (asprintf(&line, "Authorization: Bearer %s", x->request->token) < 0) line = NULL;
    if (line) *out = curl_slist_append(NULL, line);
    free(line);
    return *out ? HONE_OK : hone_err_new(HONE_E_NOMEM, "no memory for a header");
}

static hone_err perform_hop(exchange *x, const char *url, const origin *to) {
    hone_http_client *client = x->client;
    struct curl_slist *headers = NULL;
    HONE_TRY(hop_headers(x, &headers));
    char range[32];
    bool partial = x->request->file && x->request->file->start_bytes > 0;
    if (partial)
        (void)snprintf(range, sizeof range, "%lld-", (long long)x->request->file->start_bytes);
    bool head = !x->request->file && !x->request->body;
    client->curl_error[0] = '\0';
    client->headers.len = 0;
    CURLcode code = curl_easy_setopt(client->curl, CURLOPT_URL, url);
    if (code == CURLE_OK) code = curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, headers);
    if (code == CURLE_OK)
        code = curl_easy_setopt(client->curl, CURLOPT_RANGE, partial ? range : NULL);
    if (code == CURLE_OK) code = curl_easy_setopt(client->curl, CURLOPT_HTTPGET, 1L);
    if (code == CURLE_OK) code = curl_easy_setopt(client->curl, CURLOPT_NOBODY, head ? 1L : 0L);
    if (code == CURLE_OK) code = curl_easy_setopt(client->curl, CURLOPT_HEADERDATA, x);
    if (code == CURLE_OK) code = curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, x);
    if (code == CURLE_OK) code = curl_easy_perform(client->curl);
    (void)curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, NULL); /* cannot fail with NULL */
    curl_slist_free_all(headers);
    if (hone_failed(x->err)) return x->err;
    if (code != CURLE_OK) return transfer_err(x, to, code);
    if (x->at_home) { /* these headers count */
        hone_buf newest = client->headers;
        client->headers = client->home_headers;
        client->home_headers = newest;
    }
    return HONE_OK;
}

/* ---- a request ---- */

/* Where the answer sends us, for the caller to free; NULL when it is no redirect. */
static hone_err next_url(const exchange *x, char **out) {
    const char *url = NULL;
    *out = NULL;
    if (curl_easy_getinfo(x->client->curl, CURLINFO_REDIRECT_URL, &url) != CURLE_OK || !url)
        return HONE_OK;
    *out = strdup(url);
    return *out ? HONE_OK : hone_err_new(HONE_E_NOMEM, "no memory for a URL");
}

static hone_err check_redirect(const exchange *x, const origin *to) {
    assert(x->home.scheme && to->scheme); /* parsed */
    if (strcmp(x->home.scheme, "https") == 0 && strcmp(to->scheme, "https") != 0)
        return hone_err_new(HONE_E_CORRUPT, "'%s' redirects to plain http on '%s'", x->request->url,
                            to->host);
    return HONE_OK;
}

/* What is left when home's answer had no body: say so, and empty the file if it replaced. */
static hone_err settle(exchange *x, int status) {
    if (x->at_home) {
        hone_http_reply reply = {status, hone_buf_str(&x->client->home_headers)};
        if (!x->announced && x->request->on_reply)
            HONE_TRY(x->request->on_reply(x->request->arg, &reply));
        x->announced = true;
    }
    if (x->request->file && status == 200 && !x->has_body) return place_body(x);
    return HONE_OK;
}

/* Follow from url, which is freed, to the last answer. */
static hone_err follow(exchange *x, char *url, int *status) {
    origin to = {0};
    hone_err err = origin_parse(url, &to);
    x->at_home = true;
    for (int hop = 0; !hone_failed(err); hop++) {
        if (hop > HOPS_MAX) {
            err = hone_err_new(HONE_E_CORRUPT, "'%s' redirects without end", x->request->url);
            break;
        }
        err = perform_hop(x, url, &to);
        if (hone_failed(err)) break;
        *status = status_of(x);
        char *next = NULL;
        origin_done(&to);
        err = next_url(x, &next);
        free(url);
        url = next;
        if (!hone_failed(err) && url) err = origin_parse(url, &to);
        if (!hone_failed(err) && url) err = check_redirect(x, &to);
        if (hone_failed(err)) break;
        bool stays = url && x->at_home && origin_equal(&to, &x->home);
        bool head = !x->request->file && !x->request->body;
        if (!stays) err = settle(x, *status);
        if (!url || (head && !stays)) break;
        x->at_home = stays; /* once away, the token never comes back */
    }
    origin_done(&to);
    free(url);
    return err;
}

hone_err hone_http_fetch(hone_http_client *client, const hone_http_request *request,
                         hone_http_reply *out) {
    assert(!(request->body && request->file));
    exchange x = {.client = client, .request = request};
    hone_buf_done(&client->headers); /* forgets an earlier failure, too */
    hone_buf_done(&client->home_headers);
    hone_buf_init(&client->headers, HEADERS_LIMIT_BYTES);
    hone_buf_init(&client->home_headers, HEADERS_LIMIT_BYTES);
    int status = 0;
    HONE_TRY(origin_parse(request->url, &x.home));
    char *url = strdup(request->url);
    hone_err err = url ? follow(&x, url, &status)
                       : hone_err_new(HONE_E_NOMEM, "no memory for a URL");
    origin_done(&x.home);
    if (!hone_failed(err)) *out = (hone_http_reply){status, hone_buf_str(&client->home_headers)};
    return err;
}

/* ---- the client ---- */

static bool set_up(hone_http_client *client, int64_t connect_timeout_ms, int64_t stall_timeout_ms) {
    CURL *curl = client->curl;
    long stall_s = (long)((stall_timeout_ms + 999) / 1000);
    return curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->curl_error) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USERAGENT, "hone/" HONE_VERSION) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_timeout_ms) ==
               CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, stall_s) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK;
}

hone_err hone_http_client_create(int64_t connect_timeout_ms, int64_t stall_timeout_ms,
                                 hone_http_client **out) {
    assert(connect_timeout_ms > 0);
    assert(stall_timeout_ms > 0);
    hone_http_client *client = calloc(1, sizeof *client);
    if (!client) return hone_err_new(HONE_E_NOMEM, "no memory for an HTTP client");
    client->curl = curl_easy_init();
    if (!client->curl || !set_up(client, connect_timeout_ms, stall_timeout_ms)) {
        hone_http_client_destroy(client);
        return hone_err_new(HONE_E_NOMEM, "libcurl does not start");
    }
    *out = client;
    return HONE_OK;
}

void hone_http_client_destroy(hone_http_client *client) {
    if (!client) return;
    curl_easy_cleanup(client->curl); /* NULL is allowed */
    hone_buf_done(&client->headers);
    hone_buf_done(&client->home_headers);
    free(client);
}
