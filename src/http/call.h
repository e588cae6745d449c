/* call.h: one request with a body to a service, and its whole answer in memory.
 *
 *     method, url, headers, body --> status, headers, body
 *
 * Beside client.h, which fetches files: no redirects are followed here, any status has a body, and
 * the connection is kept for the next call to the same host. Certificates are verified.
 *
 * Threads: a caller belongs to one thread at a time.
 */
#ifndef HONE_HTTP_CALL_H
#define HONE_HTTP_CALL_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "http/client.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct hone_http_caller hone_http_caller;

typedef struct hone_http_call {
    const char *method; /* "POST"; GET and HEAD send no body */
    const char *url;
    const char *const *headers; /* "Name: value" */
    size_t header_count;
    hone_str body;
    int64_t timeout_ms; /* for the whole call; 0 = none */
    bool is_direct;     /* by no proxy, whatever the environment says: for loopback */
} hone_http_call;

/* ca_file: PEM certificates that are trusted instead of the system's; NULL = the system's. NOMEM. */
HONE_NODISCARD hone_err hone_http_caller_create(const char *ca_file, hone_http_caller **out);
void hone_http_caller_destroy(hone_http_caller *caller);

/* Append the answer's body to body; the reply's headers live until the next call. Any status is
 * a success. Errors: INVALID for a URL that is no http(s) URL; CLOSED when nobody listens there; FULL
 * when the answer is above the limit of body; IO for the rest, naming why. */
HONE_NODISCARD hone_err hone_http_send(hone_http_caller *caller, const hone_http_call *call,
                                       hone_buf *body, hone_http_reply *out);

#endif
