/* api.c: who sends this request, and whose is it?
 *
 *     Authorization: AWS4-HMAC-SHA256 ...      a key's signature     -> scope names the service
 *     Authorization: Bearer hone_<id>_<secret> a key itself          -> target and path decide
 *     Cookie: hone_session=...                 a browser             -> the same; CSRF token needed
 *     none of them                             the pages, /hone/login, /hone/invitations/TOKEN
 *
 * A signature covers the body: its hash is checked here, before any operation sees the request. */
#include "api/api.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/sigv4.h"

#include <stdio.h>

typedef enum service {
    KIND_OWN,     /* /hone/... */
    KIND_JSON,    /* X-Amz-Target */
    KIND_A2I,     /* /human-loops */
    KIND_RUNTIME, /* /endpoints/NAME/invocations */
    KIND_QUERY,   /* a form with Action= */
    KIND_S3,      /* all else with credentials */
    KIND_PAGE,    /* all else of a browser */
} service;

static const hone_protocol protocols[] = {
    [KIND_OWN] = HONE_OWN,           [KIND_JSON] = HONE_JSON_1_1, [KIND_A2I] = HONE_REST_JSON,
    [KIND_RUNTIME] = HONE_REST_JSON, [KIND_QUERY] = HONE_QUERY,   [KIND_S3] = HONE_REST_XML,
    [KIND_PAGE] = HONE_OWN,
};

/* Least role of a kind; the JSON services say it operation by operation. */
static const hone_role least[] = {
    [KIND_OWN] = HONE_REVIEWER,     [KIND_JSON] = HONE_REVIEWER,  [KIND_A2I] = HONE_ENGINEER,
    [KIND_RUNTIME] = HONE_ENGINEER, [KIND_QUERY] = HONE_REVIEWER, [KIND_S3] = HONE_ENGINEER,
    [KIND_PAGE] = HONE_REVIEWER,
};

/* --- what is it? -------------------------------------------------------------------- */

static bool starts_with(hone_str path, const char *prefix) {
    return hone_str_has_prefix(path, hone_str_of(prefix));
}

/* Is path that of prefix, or below it? */
static bool is_below(hone_str path, const char *prefix) {
    size_t len = strlen(prefix);
    return starts_with(path, prefix) && (path.len == len || path.ptr[len] == '/');
}

static bool is_page(const hone_request *r) {
    static const char *const pages[] = {"/login", "/invite", "/portal",     "/people",
                                        "/tasks", "/ui",     "/favicon.ico"};
    if (!hone_str_equal(r->method, HONE_S("GET")) && !hone_str_equal(r->method, HONE_S("HEAD")))
        return false;
    if (hone_request_header(r, "authorization").len > 0) return false;
    if (hone_str_equal(r->path, HONE_S("/"))) return true;
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++)
        if (is_below(r->path, pages[i])) return true;
    return false;
}

static service service_of(const hone_request *r) {
    if (is_below(r->path, "/hone")) return KIND_OWN;
    if (is_page(r)) return KIND_PAGE;
    if (hone_request_header(r, "x-amz-target").len > 0) return KIND_JSON;
    if (is_below(r->path, "/human-loops")) return KIND_A2I;
    if (starts_with(r->path, "/endpoints/")) return KIND_RUNTIME;
    hone_str type = hone_request_header(r, "content-type");
    bool is_form = hone_str_has_prefix(type, HONE_S("application/x-www-form-urlencoded"));
    if (is_form && hone_str_equal(r->method, HONE_S("POST")) &&
        hone_str_equal(r->path, HONE_S("/")))
        return KIND_QUERY;
    return KIND_S3;
}

/* --- who is it? --------------------------------------------------------------------- */

/* Why a request is refused, in the words that AWS clients know. */
typedef struct refusal {
    int status;
    const char *name;    /* of the JSON, query and REST services */
    const char *s3_name; /* of S3 */
    const char *own_name;
    const char *message;
} refusal;

static const refusal none = {403, "MissingAuthenticationToken", "AccessDenied", "unauthenticated",
                             "this needs an account: sign the request, send a bearer token or log "
                             "in"};
static const refusal unknown = {403, "UnrecognizedClientException", "InvalidAccessKeyId",
                                "unauthenticated", "hone knows no such key"};
static const refusal wrong = {403, "InvalidSignatureException", "SignatureDoesNotMatch",
                              "unauthenticated",
                              "the signature, or the hash of the body, does not match"};
static const refusal skewed = {403, "RequestExpired", "RequestTimeTooSkewed", "unauthenticated",
                               "the date of the request is more than 15 minutes off"};
static const refusal malformed = {400, "IncompleteSignature", "AuthorizationHeaderMalformed",
                                  "invalid", "the Authorization header is malformed"};
static const refusal ended = {403, "ExpiredTokenException", "ExpiredToken", "unauthenticated",
                              "the session has ended: log in"};
static const refusal forged = {403, "AccessDeniedException", "AccessDenied", "forbidden",
                               "a page must send the session's token in X-Hone-CSRF"};
static const refusal forbidden = {403, "AccessDeniedException", "AccessDenied", "forbidden",
                                  "this account's role may not do that"};

static void refuse(hone_exchange *exchange, service kind, const refusal *why) {
    int status = why->status;
    const char *name = why->name;
    if (kind == KIND_OWN || kind == KIND_PAGE) {
        name = why->own_name;
        if (strcmp(name, "unauthenticated") == 0) status = 401;
    } else if (kind == KIND_S3) {
        name = why->s3_name;
    }
    hone_reply_fault(exchange, protocols[kind], status, name, why->message);
}

/* Each check sets *why when the proof is none, and returns an error when hone itself failed. */
static hone_err check_signature(const hone_app *app, const hone_request *r, hone_str header,
                                hone_caller *caller, const refusal **why) {
    hone_sigv4 sig;
    hone_str secret;
    if (hone_failed(hone_sigv4_parse(header, &sig))) {
        *why = &malformed;
        return HONE_OK;
    }
    hone_err err = hone_accounts_find_key(app->accounts, r->arena, sig.key_id, caller, &secret);
    if (err.code == HONE_E_NOT_FOUND) {
        *why = &unknown;
        return HONE_OK;
    }
    HONE_TRY(err);
    err = hone_sigv4_check(r, &sig, secret, hone_now_ms());
    if (err.code == HONE_E_INVALID) *why = &wrong;
    if (err.code == HONE_E_CLOSED) *why = &skewed;
    if (err.code == HONE_E_CORRUPT) *why = &malformed;
    return *why ? HONE_OK : err;
}

/* The value of one cookie; empty when it is absent. */
static hone_str cookie(const hone_request *r, const char *name) {
    hone_str all = hone_request_header(r, "cookie");
    size_t len = strlen(name);
    while (all.len > 0) {
        const char *end = memchr(all.ptr, ';', all.len);
        size_t size = end ? (size_t)(end - all.ptr) : all.len;
        if (size > len && memcmp(all.ptr, name, len) == 0 && all.ptr[len] == '=')
            return (hone_str){all.ptr + len + 1, size - len - 1};
        all = (hone_str){all.ptr + size, all.len - size};
        while (all.len > 0 && (*all.ptr == ';' || *all.ptr == ' '))
            all = (hone_str){all.ptr + 1, all.len - 1};
    }
    return (hone_str){NULL, 0};
}

/* A page of another site can make a browser send the cookie, but it cannot read the token. */
static bool is_safe(const hone_request *r, const hone_caller *caller) {
    if (hone_str_equal(r->method, HONE_S("GET")) || hone_str_equal(r->method, HONE_S("HEAD")))
        return true;
    return hone_accounts_csrf_is(caller, hone_request_header(r, "x-hone-csrf"));
}

static hone_err check_session(const hone_app *app, const hone_request *r, hone_str token,
                              hone_caller *caller, const refusal **why) {
    hone_err err = hone_accounts_find_session(app->accounts, r->arena, token, caller);
    if (err.code == HONE_E_NOT_FOUND) {
        *why = &ended;
        return HONE_OK;
    }
    HONE_TRY(err);
    if (!is_safe(r, caller)) *why = &forged;
    return HONE_OK;
}

static hone_err authenticate(const hone_app *app, const hone_request *r, hone_caller *caller,
                             const refusal **why) {
    hone_str header = hone_request_header(r, "authorization");
    hone_str session = cookie(r, "hone_session");
    *why = NULL;
    if (hone_str_has_prefix(header, HONE_S("AWS4-HMAC-SHA256")))
        return check_signature(app, r, header, caller, why);
    if (hone_str_has_prefix(header, HONE_S("Bearer "))) {
        hone_str token = {header.ptr + 7, header.len - 7};
        hone_err err = hone_accounts_find_bearer(app->accounts, r->arena, token, caller);
        if (err.code != HONE_E_NOT_FOUND) return err;
        *why = &unknown;
        return HONE_OK;
    }
    if (header.len > 0) {
        *why = &malformed;
        return HONE_OK;
    }
    if (session.len > 0) return check_session(app, r, session, caller, why);
    *why = &none;
    return HONE_OK;
}

/* --- dispatch ----------------------------------------------------------------------- */

typedef void entry_fn(const hone_call *call, hone_exchange *exchange);

/* hone's own calls by the first word of their path; is_open: also without an account. */
static const struct own {
    const char *path;
    entry_fn *run;
    bool is_open;
} own_calls[] = {
    {"/hone/login", hone_api_account, true},
    {"/hone/invitations", hone_api_account, true}, /* accepting one: it checks the rest itself */
    {"/hone/logout", hone_api_account, false},
    {"/hone/me", hone_api_account, false},
    {"/hone/users", hone_api_account, false},
    {"/hone/teams", hone_api_account, false},
    {"/hone/keys", hone_api_account, false},
    {"/hone/tasks", hone_api_tasks, false},
    {"/hone/endpoints", hone_api_endpoints, false},
    {"/hone/executions", hone_api_executions, false},
    {"/hone/events", hone_api_events, false},
};

static const struct own *find_own(hone_str path) {
    for (size_t i = 0; i < sizeof own_calls / sizeof own_calls[0]; i++)
        if (is_below(path, own_calls[i].path)) return &own_calls[i];
    return NULL;
}

static void dispatch_own(const hone_call *call, hone_exchange *exchange, const refusal *why) {
    const struct own *own = find_own(call->request->path);
    if (why && !(own && own->is_open)) {
        refuse(exchange, KIND_OWN, why);
    } else if (!own) {
        hone_err err = hone_err_new(HONE_E_NOT_FOUND, "hone has no call '%.*s'",
                                    HONE_ARG(call->request->path));
        hone_reply_error(exchange, HONE_OWN, err);
    } else {
        own->run(call, exchange);
    }
}

static void dispatch(const hone_call *call, hone_exchange *exchange, service kind) {
    static entry_fn *const entries[] = {
        [KIND_JSON] = hone_api_sagemaker,  [KIND_A2I] = hone_api_a2i,
        [KIND_RUNTIME] = hone_api_runtime, [KIND_QUERY] = hone_api_sts,
        [KIND_S3] = hone_api_s3,
    };
    if (call->caller->role < least[kind])
        refuse(exchange, kind, &forbidden);
    else
        entries[kind](call, exchange);
}

static const char *actor_of(hone_arena *arena, const hone_caller *caller) {
    static const char prefix[] = "user/";
    size_t len = strlen(caller->name);
    char *actor = hone_arena_alloc(arena, sizeof prefix + len, 1);
    if (!actor) return NULL;
    memcpy(actor, prefix, sizeof prefix - 1);
    memcpy(actor + sizeof prefix - 1, caller->name, len);
    return actor;
}

void hone_api_handle(void *ctx, hone_exchange *exchange) {
    const hone_app *app = ctx;
    const hone_request *request = hone_exchange_request(exchange);
    service kind = service_of(request);
    if (kind == KIND_PAGE) {
        hone_api_pages(app, exchange);
        return;
    }
    if (!app->public_url) {
        hone_reply_error(exchange, protocols[kind], hone_err_new(HONE_E_FULL, "hone is starting"));
        return;
    }
    hone_caller caller = {0};
    const refusal *why = NULL;
    hone_err err = authenticate(app, request, &caller, &why);
    hone_call call = {.app = app, .arena = request->arena, .request = request};
    if (!hone_failed(err) && !why) {
        call.caller = &caller;
        call.actor = actor_of(request->arena, &caller);
        if (!call.actor) err = hone_err_new(HONE_E_NOMEM, "no memory for a request");
    }
    if (hone_failed(err))
        hone_reply_error(exchange, protocols[kind], err);
    else if (kind == KIND_OWN)
        dispatch_own(&call, exchange, why);
    else if (why)
        refuse(exchange, kind, why);
    else
        dispatch(&call, exchange, kind);
}

/* Only S3 takes large bodies; InvokeEndpoint 6 MiB, a human loop's input 3 Mi characters, which may be
 * 4 bytes each, and escaped. */
hone_body_rule hone_api_rule(void *ctx, const hone_request *head) {
    (void)ctx;
    static const int64_t limits[] = {
        [KIND_OWN] = 16 << 20,  [KIND_JSON] = 4 << 20,
        [KIND_A2I] = 32 << 20,  [KIND_RUNTIME] = 6 * (1 << 20),
        [KIND_QUERY] = 1 << 16, [KIND_S3] = (int64_t)5 << 30,
        [KIND_PAGE] = 0,
    };
    return (hone_body_rule){.limit_bytes = limits[service_of(head)]};
}
