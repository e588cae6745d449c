/* remote.h: the running server, as hone's own commands talk to it.
 *
 *     operation, JSON --bearer token--> hone serve --> JSON | an error that says what to do
 *
 * Two shapes of call: an operation of the JSON 1.1 service (hone_remote_op), and a method with a
 * path for runtime, A2I, objects and hone's own (hone_remote_rest).
 *
 * The token is the key itself, so it goes over https or to loopback and nowhere else.
 *
 * Errors, by what the server said: NOT_FOUND, CONFLICT (is there already, or is in use), FULL
 * (retry later), CLOSED (no server), INVALID for everything else that it refused.
 *
 * Ownership: json_t * results are the caller's; inputs are taken over, also on failure, and a
 * NULL input is the error it stands for (json_pack gives it for text that is no UTF-8).
 * Threads: a remote belongs to one thread at a time.
 */
#ifndef HONE_CLI_CLIENT_REMOTE_H
#define HONE_CLI_CLIENT_REMOTE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "cli/options.h"

#include <jansson.h>

typedef struct hone_remote hone_remote;

/* The flags that all these commands have. */
typedef struct hone_remote_args {
    const char *data;
    const char *endpoint_url;
    bool json;
} hone_remote_args;

/* Their rows in a table of options. */
#define HONE_REMOTE_OPTIONS(args)                                                              \
    {"json", NULL, "print JSON", HONE_OPT_FLAG, &(args).json, false},                          \
        {"endpoint-url",       "URL", "the server (else $AWS_ENDPOINT_URL)", HONE_OPT_STR,     \
         &(args).endpoint_url, false},                                                         \
    {                                                                                          \
        "data", "DIR", "the server's folder, for its credentials", HONE_OPT_STR, &(args).data, \
            false                                                                              \
    }

/* Find the credentials; nothing is sent yet. */
HONE_NODISCARD hone_err hone_remote_open(const hone_remote_args *args, hone_remote **out);
void hone_remote_close(hone_remote *remote);

/* Lives as long as the remote: for what a command keeps. */
hone_arena *hone_remote_arena(hone_remote *remote);

/* Call an operation of the SageMaker service, "CreateModel". out NULL = the answer is dropped. */
HONE_NODISCARD hone_err hone_remote_op(hone_remote *remote, const char *operation, json_t *in,
                                       json_t **out);

/* Call a List operation until its last page; *out is one array of what is under key. At most
 * limit items, 0 = all. */
HONE_NODISCARD hone_err hone_remote_list(hone_remote *remote, const char *operation, json_t *in,
                                         const char *key, size_t limit, json_t **out);

/* method, path ("/human-loops", escaped) and, unless it is a GET or DELETE, a JSON body. */
HONE_NODISCARD hone_err hone_remote_rest(hone_remote *remote, const char *method, const char *path,
                                         json_t *in, json_t **out);
/* The same without a body. */
HONE_NODISCARD hone_err hone_remote_get(hone_remote *remote, const char *method, const char *path,
                                        json_t **out);

/* Bytes to and from a path: objects, and what is not JSON. */
HONE_NODISCARD hone_err hone_remote_put(hone_remote *remote, const char *path,
                                        const char *content_type, hone_str bytes);
HONE_NODISCARD hone_err hone_remote_fetch(hone_remote *remote, const char *path, hone_buf *out);

/* name with everything but letters, digits and "-._~" escaped (keep_slash: and '/'), in the
 * remote's arena; NULL at its limit. */
const char *hone_remote_escape(hone_remote *remote, const char *name, bool keep_slash);

/* object[key] as a string: "" when it is absent or something else. Borrowed. */
const char *hone_field(const json_t *object, const char *key);
/* object[key] as a number; fallback when it is absent or something else. */
double hone_field_number(const json_t *object, const char *key, double fallback);

/* Print value on stdout, indented, and drop it. */
HONE_NODISCARD hone_err hone_remote_print(json_t *value);

#endif
