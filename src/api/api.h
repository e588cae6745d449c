/* api.h: the protocols: what each one's file gives to the others.
 *
 *     exchange -> who is it? (SigV4 | bearer | session) -> which protocol? -> operation -> answer
 *
 *     api.c        entry: authentication, dispatch            errors.c   hone_err -> wire errors
 *     sagemaker.c  JSON 1.1: finds the operation by X-Amz-Target among the tables of
 *                  review_ops.c registry_ops.c endpoint_ops.c pipeline_ops.c
 *     runtime.c    POST /endpoints/NAME/invocations           a2i.c      /human-loops
 *     s3.c         buckets and objects                        sts.c      GetCallerIdentity, GetRole
 *     account_calls.c, task_calls.c, events.c, pages.c        hone's own (docs/api.md)
 *
 * This room translates and decides nothing. It is the only one that knows HTTP statuses and
 * service error names.
 */
#ifndef HONE_API_API_H
#define HONE_API_API_H

#include "account/account.h"
#include "base/realm.h"
#include "http/mail.h"
#include "http/server.h"
#include "store/objects.h"

#include <jansson.h>

struct hone_fleet;     /* serve/fleet.h */
struct hone_pipelines; /* pipeline/pipelines.h */
struct hone_events;    /* api/events.h */

/* What `hone serve` has opened; program lifetime, read-only after start. */
typedef struct hone_app {
    const char *dir; /* --data */
    hone_realm realm;
    hone_db *db;
    hone_objects *objects;
    hone_accounts *accounts;
    struct hone_fleet *fleet;
    struct hone_pipelines *pipelines;
    struct hone_events *events;
    hone_mail_server mail;
    /* "http://127.0.0.1:8080": for links. NULL until the port is known: requests that come before
     * are told to come again. */
    _Atomic(const char *) public_url;
    bool trusts_loopback_http; /* cookies without Secure: plain HTTP on loopback */
} hone_app;

/* One authenticated request. */
typedef struct hone_call {
    const hone_app *app;
    hone_arena *arena; /* of the request */
    const hone_caller *caller;
    const char *actor; /* "user/ann", for the journal */
    const hone_request *request;
} hone_call;

/* An operation of a JSON service: in is the request's object (borrowed), *out the answer's
 * (the caller decrefs; left NULL = {}). Strings of in may be kept for the call only. */
typedef hone_err hone_op_fn(const hone_call *call, const json_t *in, json_t **out);

typedef struct hone_op {
    const char *name; /* "CreateWorkteam" */
    hone_op_fn *run;
    hone_role least;       /* who may */
    const char *not_found; /* error name for NOT_FOUND; NULL = "ResourceNotFound" */
    const char *conflict;  /* for CONFLICT; NULL = "ResourceInUse" */
} hone_op;

/* Tables end with {0}. */
extern const hone_op hone_review_ops[];   /* teams, task UIs, flows, tags */
extern const hone_op hone_registry_ops[]; /* model package groups, packages, models */
extern const hone_op hone_endpoint_ops[]; /* endpoint configurations, endpoints */
extern const hone_op hone_pipeline_ops[]; /* pipelines, executions, training and processing jobs */

/* The entry: handler and body rule for hone_server_options; ctx is a hone_app. */
void hone_api_handle(void *ctx, hone_exchange *exchange);
hone_body_rule hone_api_rule(void *ctx, const hone_request *head);

/* Protocol entries, called by api.c with an authenticated call; each replies itself. */
void hone_api_sagemaker(const hone_call *call, hone_exchange *exchange);
void hone_api_runtime(const hone_call *call, hone_exchange *exchange); /* may reply later */
void hone_api_a2i(const hone_call *call, hone_exchange *exchange);
void hone_api_s3(const hone_call *call, hone_exchange *exchange);
void hone_api_sts(const hone_call *call, hone_exchange *exchange); /* and IAM GetRole */
/* hone's own calls, below /hone/; those for people without an account come with call->caller
 * NULL and check for themselves (login, invitation). */
void hone_api_account(const hone_call *call, hone_exchange *exchange);
void hone_api_tasks(const hone_call *call, hone_exchange *exchange);
void hone_api_executions(const hone_call *call, hone_exchange *exchange);
void hone_api_endpoints(const hone_call *call, hone_exchange *exchange);
void hone_api_events(const hone_call *call, hone_exchange *exchange);
/* The pages and their files: no account needed, no secrets in them. */
void hone_api_pages(const hone_app *app, hone_exchange *exchange);

/* --- answers ------------------------------------------------------------------------ */

/* Reply with JSON; takes value over. content_type NULL = application/json. */
void hone_reply_json(hone_exchange *exchange, int status, const char *content_type, json_t *value);
/* Reply with an error in the protocol's form; one table maps codes to statuses and names. */
typedef enum hone_protocol {
    HONE_JSON_1_1,  /* {"__type": name, "message": ...} */
    HONE_REST_JSON, /* x-amzn-ErrorType, {"message": ...} */
    HONE_REST_XML,  /* <Error><Code> */
    HONE_QUERY,     /* <ErrorResponse><Error><Code> */
    HONE_OWN,       /* {"error": {"code": "not_found", "message": ...}} */
} hone_protocol;
void hone_reply_error(hone_exchange *exchange, hone_protocol protocol, hone_err err);
/* The same where an operation has a name of its own for it; NULL = the table's. */
void hone_reply_error_named(hone_exchange *exchange, hone_protocol protocol, hone_err err,
                            const char *name);
/* The same with the wire's own name and status for it. */
void hone_reply_fault(hone_exchange *exchange, hone_protocol protocol, int status, const char *name,
                      const char *message);

/* --- reading the request ------------------------------------------------------------ */

/* The body as a JSON object of bounded depth; the caller decrefs. INVALID. */
HONE_NODISCARD hone_err hone_call_json(const hone_call *call, json_t **out);

/* in[key] as a string of min..max bytes; INVALID says which key and what is wrong. A key that is
 * absent or null leaves *out = {NULL, 0}, or is INVALID when min > 0. No NUL inside. */
HONE_NODISCARD hone_err hone_in_str(const json_t *in, const char *key, size_t min, size_t max,
                                    hone_str *out);
/* The same, required and a valid name (hone_name_is_valid), or with kind also an ARN of it. */
HONE_NODISCARD hone_err hone_in_name(const json_t *in, const char *key, const char *kind,
                                     size_t max, bool lower, hone_str *out);
HONE_NODISCARD hone_err hone_in_int(const json_t *in, const char *key, int64_t min, int64_t max,
                                    int64_t fallback, int64_t *out);

/* MaxResults, NextToken, SortOrder and times of the List operations. NextToken is opaque to
 * clients: it holds `offset`, signed by nobody, checked to be a number. */
typedef struct hone_page {
    int64_t limit;  /* MaxResults, 1..100, default as given */
    int64_t offset; /* rows to skip */
    bool descending;
    int64_t after_ms, before_ms; /* CreationTimeAfter/Before; 0, INT64_MAX = any */
    hone_str name_contains;      /* NameContains; empty = any */
} hone_page;
HONE_NODISCARD hone_err hone_in_page(const json_t *in, int64_t limit, bool descending,
                                     hone_page *out);
/* When more rows follow, out["NextToken"]. */
void hone_out_next(json_t *out, const hone_page *page, bool more);

/* Times in JSON 1.1 answers: seconds since 1970 as a float. */
json_t *hone_json_time(int64_t ms);

#endif
