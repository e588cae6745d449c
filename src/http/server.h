/* server.h: an HTTP/1.1 server: requests whole, answers from any thread.
 *
 *     socket -> libmicrohttpd (epoll threads) -> head checked, body collected
 *            -> bounded queue -> worker thread: handler(exchange) -> reply -> socket
 *
 * HTTP threads never block: a request waits, suspended, until a worker or somebody else replies.
 * A full queue is answered 503 with Retry-After at once.
 *
 * The server refuses by itself, before the handler sees anything: a Host that is not among
 * options.hosts (421; hone's own address and loopback names are always among them), both
 * Content-Length and Transfer-Encoding, a target above 8 KiB, headers above 32 KiB in all, a
 * body above the limit (413). CONNECT and TRACE are 405.
 *
 * Threads: hone_exchange_reply and hone_stream_* may be called by any thread; a handler runs on
 * a worker and may block. The program ignores SIGPIPE.
 */
#ifndef HONE_HTTP_SERVER_H
#define HONE_HTTP_SERVER_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hone_server hone_server;
typedef struct hone_exchange hone_exchange;
typedef struct hone_stream hone_stream;

typedef struct hone_header {
    hone_str name; /* lower case in requests */
    hone_str value;
} hone_header;

typedef struct hone_request {
    hone_str method; /* "GET" */
    hone_str path;   /* as it was sent, percent-encoded, from '/' up to '?' */
    hone_str query;  /* as it was sent, without '?' */
    size_t header_count;
    const hone_header *headers; /* in the order of arrival */
    hone_str body;              /* whole; above 1 MiB it is a mapped temporary file */
    const char *body_path;      /* that file, deleted after the exchange unless moved; else NULL */
    const char *remote;         /* the client's address, without port */
    bool is_tls;                /* all the way, or up to the proxy before us */
    hone_arena *arena;          /* lives until the answer has been sent; limit 64 MiB */
} hone_request;

/* A header's value; empty when it is absent. name in lower case. */
hone_str hone_request_header(const hone_request *request, const char *name);

/* The decoded value of a query parameter, in the arena. False when it is absent. */
bool hone_request_query(const hone_request *request, const char *name, hone_str *out);
/* The same of any query string, or the body of a form. */
bool hone_query_find(hone_arena *arena, hone_str query, const char *name, hone_str *out);

/* s with %XX decoded, in the arena; ptr NULL for a broken escape or at the arena's limit. */
hone_str hone_percent_decode(hone_arena *arena, hone_str s);

typedef struct hone_response {
    int status;
    const char *content_type; /* NULL = none */
    const hone_header *headers;
    size_t header_count;
    hone_str body; /* borrowed until the exchange ends: from its arena, or static */
    int fd;        /* when has_file: size_bytes from offset; the server closes it. -1, to HEAD
                    * only: there is no need to open the file */
    bool has_file;
    int64_t offset, size_bytes;
} hone_response;

const hone_request *hone_exchange_request(const hone_exchange *exchange);

/* Answer, exactly once per exchange; the exchange must not be touched afterwards. */
void hone_exchange_reply(hone_exchange *exchange, const hone_response *response);

/* Answer with an endless body of server-sent events (content type text/event-stream). The
 * stream is the caller's until hone_stream_close. NOMEM, CLOSED when the server stops: then
 * nothing was answered yet. */
HONE_NODISCARD hone_err hone_exchange_stream(hone_exchange *exchange, hone_stream **out);
/* Queue bytes for the client. CLOSED when the client has gone or is more than 256 KiB behind. */
HONE_NODISCARD hone_err hone_stream_push(hone_stream *stream, hone_str bytes);
void hone_stream_close(hone_stream *stream);

/* What may be sent to this path: asked when the head has arrived. */
typedef struct hone_body_rule {
    int64_t limit_bytes;
} hone_body_rule;

typedef struct hone_server_options {
    const char *address;      /* "127.0.0.1", "::1", "0.0.0.0" */
    uint16_t port;            /* 0 = any free one */
    const char *const *hosts; /* further names that a Host header may have, without port */
    size_t host_count;
    const char *tls_cert, *tls_key; /* PEM files; NULL = plain */
    bool is_behind_tls;             /* plain, but clients speak TLS with a proxy */
    const char *spool_dir;          /* where large bodies go; cleared of what is left there */
    size_t workers;                 /* 0 = 16 */
    size_t queue;                   /* requests that may wait for a worker; 0 = 1024 */
    size_t connections;             /* 0 = 1024 */
    void *ctx;
    void (*handle)(void *ctx, hone_exchange *exchange); /* on a worker */
    /* On an HTTP thread, so it must not block. head has no body yet. */
    hone_body_rule (*rule)(void *ctx, const hone_request *head);
} hone_server_options;

/* Listen and serve. CONFLICT for an address in use, naming it. INVALID, IO. */
HONE_NODISCARD hone_err hone_server_start(const hone_server_options *options, hone_server **out);
uint16_t hone_server_port(const hone_server *server);
/* Refuse new requests, wait up to grace_ms for those at work, end. Streams are closed. */
void hone_server_stop(hone_server *server, int64_t grace_ms);

#endif
