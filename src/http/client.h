/* client.h: fetches bytes over HTTP, to memory or to a file that may hold a part already.
 *
 *     request --> home --302--> home --302--> elsewhere --200--> body --> memory | file
 *                 `--- token sent, headers kept ---'  `--- neither ---'
 *
 * Home is the scheme, host and port of the request's own URL. Redirects are followed by
 * hand: the token goes to home only, and the headers of a reply are those of home's last
 * answer, because a download site that home redirects to knows nothing about the thing
 * itself. https is never left for http. Certificates are verified.
 *
 * The client knows bytes and headers, no services: a status is the caller's to judge.
 *
 * Ownership: the client owns its connection and the headers of the last reply.
 * Threads:   a client belongs to one thread at a time.
 */
#ifndef HONE_HTTP_CLIENT_H
#define HONE_HTTP_CLIENT_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

typedef struct hone_http_client hone_http_client;

typedef struct hone_http_reply {
    int status;       /* of the last answer; in on_reply, of home's */
    hone_str headers; /* home's last answer, "Name: value\r\n..."; until the next request */
} hone_http_reply;

/* A file that the body goes to. */
typedef struct hone_http_file {
    int fd;              /* open for writing; its offset is not used */
    const char *path;    /* its name, for messages */
    int64_t start_bytes; /* the file has these; the rest is asked for with Range */
    int64_t limit_bytes; /* the file never grows above */

    /* After each piece, with the file's size so far. May be NULL. */
    void (*on_progress)(void *arg, int64_t done_bytes);
} hone_http_file;

typedef struct hone_http_request {
    const char *url;
    const char *token; /* sent to home as "Authorization: Bearer <token>"; NULL: none */

    /* Where a 2xx body goes: to one of these; with neither the request is a HEAD, and a
     * redirect away from home is its answer. */
    hone_buf *body;
    const hone_http_file *file;

    /* Called when home's answer is known, before any byte of the body. An error stops the
     * request and is returned. May be NULL. */
    hone_err (*on_reply)(void *arg, const hone_http_reply *reply);
    void *arg; /* for both callbacks */
} hone_http_request;

/* connect_timeout_ms: until a host must have accepted; stall_timeout_ms: how long not a byte
 * may come before a transfer is given up. NOMEM. */
HONE_NODISCARD hone_err hone_http_client_create(int64_t connect_timeout_ms,
                                                int64_t stall_timeout_ms, hone_http_client **out);
void hone_http_client_destroy(hone_http_client *client);

/* Send the request, follow redirects, deliver the body. Any status is a success: *out says
 * which. A 200 to a request with Range replaces the file's content from its start.
 *
 * Errors: IO when no answer came (the message names the host) or the file cannot be
 * written; CLOSED when the connection broke within the body, so that the rest can be asked
 * for; FULL above the limit; CORRUPT for an answer that breaks the protocol; INVALID for a
 * URL that is no http(s) URL. */
HONE_NODISCARD hone_err hone_http_fetch(hone_http_client *client, const hone_http_request *request,
                                        hone_http_reply *out);

/* A header's value, without the spaces around it; empty when it is absent. */
hone_str hone_http_reply_header(const hone_http_reply *reply, const char *name);

/* A header that is a whole number of bytes; -1 when it is absent or something else. */
int64_t hone_http_reply_size(const hone_http_reply *reply, const char *name);

#endif
