/* remote.c: see remote.h. */
#include "cli/client/remote.h"

#include "base/env.h"
#include "base/json.h"
#include "cli/client/credentials.h"
#include "http/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ARENA_LIMIT_BYTES = 64 << 20,
    ANSWER_LIMIT_BYTES = 64 << 20,
    TIMEOUT_MS = 60000,
    UPLOAD_TIMEOUT_MS = 3600000,
    HEADERS_MAX = 4,
};

struct hone_remote {
    hone_arena *arena;
    hone_http_caller *caller;
    const char *url;
    const char *key_id;
    const char *authorization; /* "Authorization: Bearer ..." */
    bool is_loopback;
};

/* ---- opening ---- */

/* "http://127.0.0.1:8080" and the other names of this machine for itself. */
static bool url_is_loopback(const char *url) {
    static const char *const hosts[] = {"127.", "localhost", "[::1]"};
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t host_len = strcspn(host, "/");
    if (memchr(host, '@', host_len)) return false; /* what stands before it is no host */
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        size_t len = strlen(hosts[i]);
        if (strncmp(host, hosts[i], len) != 0) continue;
        const char *rest = host + len;
        if (i == 0) rest += strspn(rest, "0123456789."); /* 127.anything is this machine */
        if (*rest == '\0' || *rest == ':' || *rest == '/') return true;
    }
    return false;
}

static hone_err begin(hone_remote *remote, const hone_remote_args *args) {
    hone_credentials found;
    HONE_TRY(hone_arena_create(ARENA_LIMIT_BYTES, &remote->arena));
    HONE_TRY(hone_credentials_find(remote->arena, args->data, args->endpoint_url, &found));
    remote->url = found.endpoint_url;
    remote->key_id = found.key_id;
    remote->is_loopback = url_is_loopback(found.endpoint_url);
    if (!remote->is_loopback && strncmp(found.endpoint_url, "https://", 8) != 0)
        return hone_err_new(HONE_E_INVALID,
                            "'%s' is neither https nor on this machine: the key would be sent in "
                            "the clear",
                            found.endpoint_url);
    size_t size = sizeof "Authorization: Bearer hone__" + strlen(found.key_id) +
                  strlen(found.secret);
    char *line = hone_arena_alloc(remote->arena, size, 1);
    if (!line) return hone_err_new(HONE_E_NOMEM, "no memory for credentials");
    (void)snprintf(line, size, "Authorization: Bearer hone_%s_%s", found.key_id, found.secret);
    remote->authorization = line;
    return hone_http_caller_create(hone_env("AWS_CA_BUNDLE"), &remote->caller);
}

hone_err hone_remote_open(const hone_remote_args *args, hone_remote **out) {
    hone_remote *remote = calloc(1, sizeof *remote);
    if (!remote) return hone_err_new(HONE_E_NOMEM, "no memory for a client");
    hone_err err = begin(remote, args);
    if (hone_failed(err))
        hone_remote_close(remote);
    else
        *out = remote;
    return err;
}

void hone_remote_close(hone_remote *remote) {
    if (!remote) return;
    hone_http_caller_destroy(remote->caller);
    hone_arena_destroy(remote->arena);
    free(remote);
}

hone_arena *hone_remote_arena(hone_remote *remote) { return remote->arena; }

/* ---- what the server refuses ---- */

/* The service's name for an error and its sentence, however the protocol writes them. */
typedef struct fault {
    char name[96];
    char message[400]; /* of one line of ours */
} fault;

static void copy(char *to, size_t size, hone_str from) {
    (void)snprintf(to, size, "%.*s", HONE_ARG(from));
}

static void fault_from_json(const json_t *answer, fault *out) {
    const json_t *own = json_object_get(answer, "error");
    const char *name = own ? hone_field(own, "code") : hone_field(answer, "__type");
    const char *message = own ? hone_field(own, "message") : hone_field(answer, "message");
    if (*message == '\0') message = hone_field(answer, "Message");
    const char *hash = strchr(name, '#'); /* "com.amazonaws.sagemaker#ResourceNotFound" */
    if (*name) copy(out->name, sizeof out->name, hone_str_of(hash ? hash + 1 : name));
    copy(out->message, sizeof out->message, hone_str_of(message));
}

/* What stands between <tag> and </tag>; empty when there is none. */
static hone_str xml_text(hone_str body, const char *tag) {
    char open[32];
    (void)snprintf(open, sizeof open, "<%s>", tag);
    const char *at = body.len ? memmem(body.ptr, body.len, open, strlen(open)) : NULL;
    if (!at) return (hone_str){NULL, 0};
    at += strlen(open);
    size_t left = body.len - (size_t)(at - body.ptr);
    const char *end = memchr(at, '<', left);
    return (hone_str){at, end ? (size_t)(end - at) : 0};
}

static void fault_parse(const hone_http_reply *reply, hone_str body, fault *out) {
    json_error_t ignored;
    *out = (fault){0};
    copy(out->name, sizeof out->name, hone_http_reply_header(reply, "x-amzn-ErrorType"));
    json_t *answer = body.len ? json_loadb(body.ptr, body.len, 0, &ignored) : NULL;
    if (answer) {
        fault_from_json(answer, out);
        json_decref(answer);
    } else if (body.len > 0 && body.ptr[0] == '<') {
        copy(out->name, sizeof out->name, xml_text(body, "Code"));
        copy(out->message, sizeof out->message, xml_text(body, "Message"));
    }
    if (out->message[0] == '\0')
        (void)snprintf(out->message, sizeof out->message, "the server answered %d%s%s",
                       reply->status, out->name[0] ? " " : "", out->name);
}

static bool says(const fault *f, const char *name_part, const char *message_part) {
    return (name_part && strstr(f->name, name_part)) ||
           (message_part && strstr(f->message, message_part));
}

static hone_err refused(const hone_remote *remote, const hone_http_reply *reply, hone_str body) {
    fault f;
    fault_parse(reply, body, &f);
    if (reply->status == 401 || says(&f, "UnrecognizedClient", NULL))
        return hone_err_new(HONE_E_INVALID,
                            "%s does not accept key '%s' (%s): is --data the folder of this "
                            "server?",
                            remote->url, remote->key_id, f.message);
    if (reply->status == 404 || says(&f, "NotFound", "Could not find") ||
        says(&f, NULL, "not found"))
        return hone_err_new(HONE_E_NOT_FOUND, "%s", f.message);
    if (reply->status == 409 || says(&f, "InUse", "already exist"))
        return hone_err_new(HONE_E_CONFLICT, "%s", f.message);
    if (reply->status == 429 || reply->status == 503)
        return hone_err_new(HONE_E_FULL, "%s", f.message);
    return hone_err_new(HONE_E_INVALID, "%s", f.message);
}

/* ---- one call ---- */

typedef struct wire_call {
    const char *method;
    const char *path;
    const char *content_type; /* NULL = no body */
    const char *target;       /* operation; NULL = none */
    hone_str body;
} wire_call;

static hone_err send(hone_remote *remote, const wire_call *wire, hone_buf *body) {
    char url[4096], type[128], target[160];
    const char *headers[HEADERS_MAX] = {remote->authorization};
    size_t count = 1;
    int len = snprintf(url, sizeof url, "%s%s", remote->url, wire->path);
    if (len < 0 || (size_t)len >= sizeof url)
        return hone_err_new(HONE_E_INVALID, "a name of more than %zu bytes", sizeof url);
    if (wire->content_type) {
        (void)snprintf(type, sizeof type, "Content-Type: %s", wire->content_type);
        headers[count++] = type;
    }
    if (wire->target) {
        (void)snprintf(target, sizeof target, "X-Amz-Target: SageMaker.%s", wire->target);
        headers[count++] = target;
    }
    bool is_upload = strcmp(wire->method, "PUT") == 0;
    hone_http_call call = {.method = wire->method,
                           .url = url,
                           .headers = headers,
                           .header_count = count,
                           .body = wire->body,
                           .timeout_ms = is_upload ? UPLOAD_TIMEOUT_MS : TIMEOUT_MS,
                           .is_direct = remote->is_loopback};
    hone_http_reply reply;
    hone_err err = hone_http_send(remote->caller, &call, body, &reply);
    if (err.code == HONE_E_CLOSED)
        return hone_err_new(HONE_E_CLOSED, "no server at %s: start one with hone serve",
                            remote->url);
    HONE_TRY(err);
    if (reply.status / 100 != 2) return refused(remote, &reply, hone_buf_str(body));
    return HONE_OK;
}

/* A call whose answer is JSON, or nothing. in is borrowed. */
static hone_err exchange(hone_remote *remote, wire_call *wire, const json_t *in, json_t **out) {
    char *text = in ? json_dumps(in, JSON_COMPACT) : NULL;
    if (in && !text) return hone_err_new(HONE_E_NOMEM, "no memory for a request");
    if (text) wire->body = hone_str_of(text);
    hone_buf body;
    hone_buf_init(&body, ANSWER_LIMIT_BYTES);
    hone_err err = send(remote, wire, &body);
    free(text);
    if (!hone_failed(err) && out) {
        hone_str answer = body.len ? hone_buf_str(&body) : HONE_S("{}");
        json_error_t why;
        *out = json_loadb(answer.ptr, answer.len, 0, &why);
        if (!*out)
            err = hone_err_new(HONE_E_CORRUPT, "%s%s answered something that is no JSON: %s",
                               remote->url, wire->path, why.text);
    }
    hone_buf_done(&body);
    return err;
}

static hone_err no_input(void) {
    return hone_err_new(HONE_E_INVALID, "a name or text is no valid UTF-8");
}

hone_err hone_remote_op(hone_remote *remote, const char *operation, json_t *in, json_t **out) {
    if (!in) return no_input();
    wire_call wire = {.method = "POST",
                      .path = "/",
                      .content_type = "application/x-amz-json-1.1",
                      .target = operation};
    hone_err err = exchange(remote, &wire, in, out);
    json_decref(in);
    return err;
}

/* One page: its items to the end of all, its token into in; *more = there is another. */
static hone_err list_page(hone_remote *remote, const char *operation, json_t *in, const char *key,
                          json_t *all, bool *more) {
    json_t *answer = NULL;
    *more = false;
    HONE_TRY(hone_remote_op(remote, operation, json_incref(in), &answer));
    json_t *items = json_object_get(answer, key);
    json_t *token = json_object_get(answer, "NextToken");
    hone_err err = HONE_OK;
    if (!json_is_array(items))
        err = hone_err_new(HONE_E_CORRUPT, "%s answered without '%s'", operation, key);
    else if (json_array_extend(all, items) != 0)
        err = hone_err_new(HONE_E_NOMEM, "no memory for a list");
    *more = json_is_string(token) && json_object_set(in, "NextToken", token) == 0;
    json_decref(answer);
    return err;
}

hone_err hone_remote_list(hone_remote *remote, const char *operation, json_t *in, const char *key,
                          size_t limit, json_t **out) {
    if (!in) return no_input();
    json_t *all = json_array();
    bool more = all != NULL;
    hone_err err = all ? HONE_OK : hone_err_new(HONE_E_NOMEM, "no memory for a list");
    while (!hone_failed(err) && more) {
        err = list_page(remote, operation, in, key, all, &more);
        if (limit > 0 && json_array_size(all) >= limit) more = false;
    }
    while (!hone_failed(err) && limit > 0 && json_array_size(all) > limit)
        (void)json_array_remove(all, json_array_size(all) - 1); /* it is there */
    json_decref(in);
    if (hone_failed(err))
        json_decref(all);
    else
        *out = all;
    return err;
}

hone_err hone_remote_rest(hone_remote *remote, const char *method, const char *path, json_t *in,
                          json_t **out) {
    if (!in) return no_input();
    wire_call wire = {.method = method, .path = path, .content_type = "application/json"};
    hone_err err = exchange(remote, &wire, in, out);
    json_decref(in);
    return err;
}

hone_err hone_remote_get(hone_remote *remote, const char *method, const char *path, json_t **out) {
    wire_call wire = {.method = method, .path = path};
    return exchange(remote, &wire, NULL, out);
}

hone_err hone_remote_put(hone_remote *remote, const char *path, const char *content_type,
                         hone_str bytes) {
    wire_call wire = {.method = "PUT", .path = path, .content_type = content_type, .body = bytes};
    hone_buf body;
    hone_buf_init(&body, ANSWER_LIMIT_BYTES);
    hone_err err = send(remote, &wire, &body);
    hone_buf_done(&body);
    return err;
}

hone_err hone_remote_fetch(hone_remote *remote, const char *path, hone_buf *out) {
    wire_call wire = {.method = "GET", .path = path};
    return send(remote, &wire, out);
}

/* ---- small things ---- */

const char *hone_remote_escape(hone_remote *remote, const char *name, bool keep_slash) {
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    char *out = hone_arena_alloc(remote->arena, strlen(name) + 1, 3);
    if (!out) return NULL;
    char *to = out;
    for (const char *c = name; *c; c++) {
        if (strchr(plain, *c) || (keep_slash && *c == '/'))
            *to++ = *c;
        else
            to += snprintf(to, 4, "%%%02X", (unsigned)(unsigned char)*c);
    }
    *to = '\0';
    return out;
}

const char *hone_field(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

double hone_field_number(const json_t *object, const char *key, double fallback) {
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : fallback;
}

hone_err hone_remote_print(json_t *value) {
    if (!value) return hone_err_new(HONE_E_NOMEM, "no memory for the answer");
    int failed = json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    json_decref(value);
    if (failed != 0) return hone_err_new(HONE_E_IO, "write to standard output failed");
    (void)putchar('\n'); /* main checks stdout at the end */
    return HONE_OK;
}
