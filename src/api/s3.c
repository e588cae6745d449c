/* s3.c: buckets and objects in S3's path style: which bucket, which key, which operation.
 *
 *     GET /bucket/a/key?x     method, and what of bucket, key and query there is, choose in `routes`
 *
 * A parameter that names something hone does not have (?acl, ?tagging ...) is refused, never
 * taken for the plain operation beside it. */
#include "api/s3_impl.h"

#include "api/xml.h"
#include "base/id.h"

#include <stdio.h>

enum { MESSAGE_SIZE = 512 };

static const char NAMES[] = "http://s3.amazonaws.com/doc/2006-03-01/";

/* ---- what the operations share ---- */

hone_err s3_fault(s3_call *s, int status, const char *name, const char *fmt, ...) {
    char text[MESSAGE_SIZE];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    s->fault_status = status;
    s->fault_name = name;
    return hone_err_new(HONE_E_INVALID, "%s", text);
}

hone_str s3_header(const s3_call *s, const char *name) {
    return hone_request_header(s->call->request, name);
}

static bool has_query(const s3_call *s, const char *name) {
    hone_str value;
    return hone_request_query(s->call->request, name, &value);
}

hone_str s3_query(const s3_call *s, const char *name) {
    hone_str value = {"", 0};
    (void)hone_request_query(s->call->request, name, &value); /* absent: stays empty */
    return value;
}

hone_err s3_need_bucket(s3_call *s, hone_tx *tx) {
    int64_t created_ms = 0;
    hone_err err = hone_objects_bucket_find(tx, s->bucket, &created_ms);
    if (err.code == HONE_E_NOT_FOUND)
        return s3_fault(s, 404, "NoSuchBucket", "there is no bucket '%.*s'", HONE_ARG(s->bucket));
    return err;
}

hone_err s3_check_bucket(s3_call *s) {
    hone_tx *tx = NULL;
    HONE_TRY(hone_tx_begin(s->call->app->db, HONE_TX_READ, &tx));
    hone_err err = s3_need_bucket(s, tx);
    hone_tx_abort(tx);
    return err;
}

void s3_headers_add(const s3_call *s, s3_headers *headers, const char *name, hone_str value) {
    const char *copy = NULL;
    if (headers->count < S3_HEADERS_MAX) copy = hone_arena_strdup(s->call->arena, value);
    if (copy)
        headers->list[headers->count++] = (hone_header){hone_str_of(name), {copy, value.len}};
    else
        headers->failed = true;
}

void s3_headers_printf(const s3_call *s, s3_headers *headers, const char *name, const char *fmt,
                       ...) {
    char text[MESSAGE_SIZE];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    s3_headers_add(s, headers, name, hone_str_of(text));
}

static hone_err reply(s3_call *s, int status, const char *type, const s3_headers *headers,
                      hone_str body) {
    char id[HONE_ID_SIZE];
    hone_id_make(id);
    s3_headers all = headers ? *headers : (s3_headers){0};
    s3_headers_add(s, &all, "x-amz-request-id", hone_str_of(id));
    if (all.failed) return hone_err_new(HONE_E_NOMEM, "no memory for the headers of an answer");
    hone_response response = {.status = status,
                              .content_type = type,
                              .headers = all.list,
                              .header_count = all.count,
                              .body = body};
    hone_exchange_reply(s->exchange, &response);
    return HONE_OK;
}

hone_err s3_reply(s3_call *s, int status, const s3_headers *headers) {
    return reply(s, status, NULL, headers, HONE_S(""));
}

void s3_xml_begin(hone_buf *xml, const char *root) {
    hone_buf_printf(xml, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<%s xmlns=\"%s\">", root,
                    NAMES);
}

hone_err s3_reply_xml(s3_call *s, const s3_headers *headers, const hone_buf *xml) {
    HONE_TRY(hone_buf_err(xml));
    const char *kept = hone_arena_strdup(s->call->arena, hone_buf_str(xml));
    if (!kept) return hone_err_new(HONE_E_NOMEM, "no memory for an answer");
    return reply(s, 200, "application/xml", headers, (hone_str){kept, xml->len});
}

/* ---- buckets ---- */

/* A bucket of such a name could not be reached: the path is another protocol's. */
static bool is_reserved(hone_str name) {
    return hone_str_equal(name, HONE_S("hone")) || hone_str_equal(name, HONE_S("endpoints")) ||
           hone_str_equal(name, HONE_S("human-loops"));
}

static hone_err create_bucket(s3_call *s) {
    hone_tx *tx = NULL;
    if (is_reserved(s->bucket))
        return s3_fault(s, 400, "InvalidBucketName", "hone keeps the name '%.*s' for itself",
                        HONE_ARG(s->bucket));
    HONE_TRY(hone_tx_begin(s->call->app->db, HONE_TX_WRITE, &tx));
    hone_err err = hone_objects_bucket_create(s->call->app->objects, tx, s->bucket);
    if (err.code == HONE_E_CONFLICT)
        err = s3_fault(s, 409, "BucketAlreadyOwnedByYou", "the bucket '%.*s' is there already",
                       HONE_ARG(s->bucket));
    else if (err.code == HONE_E_INVALID)
        err = s3_fault(s, 400, "InvalidBucketName", "%s", err.msg);
    else if (!hone_failed(err))
        err = s3_journal(s, tx, "bucket.created", (hone_str){"", 0}, NULL);
    HONE_TRY(hone_tx_finish(tx, err));
    s3_headers headers = {0};
    s3_headers_printf(s, &headers, "Location", "/%.*s", HONE_ARG(s->bucket));
    return s3_reply(s, 200, &headers);
}

static hone_err delete_bucket(s3_call *s) {
    hone_tx *tx = NULL;
    HONE_TRY(hone_tx_begin(s->call->app->db, HONE_TX_WRITE, &tx));
    hone_err err = s3_need_bucket(s, tx);
    if (!hone_failed(err)) {
        err = hone_objects_bucket_delete(s->call->app->objects, tx, s->bucket);
        if (err.code == HONE_E_CONFLICT)
            err = s3_fault(s, 409, "BucketNotEmpty", "the bucket '%.*s' holds objects",
                           HONE_ARG(s->bucket));
    }
    if (!hone_failed(err)) err = s3_journal(s, tx, "bucket.deleted", (hone_str){"", 0}, NULL);
    HONE_TRY(hone_tx_finish(tx, err));
    return s3_reply(s, 204, NULL);
}

static hone_err head_bucket(s3_call *s) {
    s3_headers headers = {0};
    HONE_TRY(s3_check_bucket(s));
    s3_headers_add(s, &headers, "x-amz-bucket-region", hone_str_of(s->call->app->realm.region));
    return s3_reply(s, 200, &headers);
}

/* us-east-1 is told by an empty element. */
static hone_err get_location(s3_call *s) {
    const char *region = s->call->app->realm.region;
    char text[MESSAGE_SIZE];
    HONE_TRY(s3_check_bucket(s));
    hone_buf xml;
    hone_buf_init(&xml, sizeof text);
    s3_xml_begin(&xml, "LocationConstraint");
    if (strcmp(region, "us-east-1") != 0) hone_xml_push(&xml, hone_str_of(region));
    hone_buf_printf(&xml, "</LocationConstraint>\n");
    hone_err err = s3_reply_xml(s, NULL, &xml);
    hone_buf_done(&xml);
    return err;
}

/* ---- which operation ---- */

typedef enum s3_place { ON_SERVICE, ON_BUCKET, ON_OBJECT } s3_place;

/* The first row that fits; query: a parameter that must be there, NULL = any. */
static const struct route {
    const char *method;
    s3_place place;
    const char *query;
    s3_op *run;
} routes[] = {
    {"GET", ON_SERVICE, NULL, s3_list_buckets},
    {"GET", ON_BUCKET, "location", get_location},
    {"GET", ON_BUCKET, "uploads", s3_uploads},
    {"GET", ON_BUCKET, "list-type", s3_list_v2},
    {"GET", ON_BUCKET, NULL, s3_list_v1},
    {"HEAD", ON_BUCKET, NULL, head_bucket},
    {"PUT", ON_BUCKET, NULL, create_bucket},
    {"DELETE", ON_BUCKET, NULL, delete_bucket},
    {"POST", ON_BUCKET, "delete", s3_delete_objects},
    {"GET", ON_OBJECT, "uploadId", s3_upload_parts},
    {"GET", ON_OBJECT, NULL, s3_get_object},
    {"HEAD", ON_OBJECT, NULL, s3_head_object},
    {"PUT", ON_OBJECT, "uploadId", s3_upload_part},
    {"PUT", ON_OBJECT, NULL, s3_put_object},
    {"DELETE", ON_OBJECT, "uploadId", s3_upload_abort},
    {"DELETE", ON_OBJECT, NULL, s3_delete_object},
    {"POST", ON_OBJECT, "uploads", s3_upload_create},
    {"POST", ON_OBJECT, "uploadId", s3_upload_complete},
};

static const char *const parameters[] = {
    "bucket-region",
    "continuation-token",
    "delete",
    "delimiter",
    "encoding-type",
    "fetch-owner",
    "key-marker",
    "list-type",
    "location",
    "marker",
    "max-buckets",
    "max-keys",
    "max-parts",
    "max-uploads",
    "part-number-marker",
    "partNumber",
    "prefix",
    "start-after",
    "upload-id-marker",
    "uploadId",
    "uploads",
    "x-id",
};

static hone_err check_parameter(s3_call *s, hone_str name) {
    hone_str plain = hone_percent_decode(s->call->arena, name);
    if (!plain.ptr) return s3_fault(s, 400, "InvalidURI", "the query's percent-encoding is broken");
    for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++)
        if (hone_str_equal(plain, hone_str_of(parameters[i]))) return HONE_OK;
    return s3_fault(s, 501, "NotImplemented", "hone has nothing for '?%.*s'", HONE_ARG(plain));
}

static hone_err check_query(s3_call *s) {
    hone_str rest = s->call->request->query;
    while (rest.len > 0) {
        const char *end = memchr(rest.ptr, '&', rest.len);
        size_t len = end ? (size_t)(end - rest.ptr) : rest.len;
        const char *equals = memchr(rest.ptr, '=', len);
        size_t name = equals ? (size_t)(equals - rest.ptr) : len;
        if (len > 0) HONE_TRY(check_parameter(s, (hone_str){rest.ptr, name}));
        size_t skip = end ? len + 1 : len;
        rest = (hone_str){rest.ptr + skip, rest.len - skip};
    }
    return HONE_OK;
}

/* "/bucket/a/key": the path of a request begins with '/'. */
static hone_err split_path(s3_call *s) {
    hone_str path = s->call->request->path;
    hone_str rest = {path.ptr + 1, path.len - 1};
    const char *slash = rest.len > 0 ? memchr(rest.ptr, '/', rest.len) : NULL;
    size_t len = slash ? (size_t)(slash - rest.ptr) : rest.len;
    s->bucket = hone_percent_decode(s->call->arena, (hone_str){rest.ptr, len});
    s->key = (hone_str){"", 0};
    if (slash)
        s->key = hone_percent_decode(s->call->arena, (hone_str){slash + 1, rest.len - len - 1});
    if (!s->bucket.ptr || !s->key.ptr)
        return s3_fault(s, 400, "InvalidURI", "the path's percent-encoding is broken");
    if (s->key.len > HONE_KEY_MAX)
        return s3_fault(s, 400, "KeyTooLongError", "a key has at most %d bytes", HONE_KEY_MAX);
    if (s->bucket.len == 0 && s->key.len > 0)
        return s3_fault(s, 400, "InvalidBucketName", "the path names no bucket");
    return HONE_OK;
}

/* A client may say whose bucket it expects, and rather fail than hand data to somebody else. */
static hone_err check_owner(s3_call *s) {
    static const char *const names[] = {"x-amz-expected-bucket-owner",
                                        "x-amz-source-expected-bucket-owner"};
    for (size_t i = 0; i < 2; i++) {
        hone_str owner = s3_header(s, names[i]);
        if (owner.len > 0 && !hone_str_equal(owner, hone_str_of(s->call->app->realm.account)))
            return s3_fault(s, 403, "AccessDenied", "the bucket belongs to another account");
    }
    return HONE_OK;
}

static hone_err run(s3_call *s) {
    HONE_TRY(split_path(s));
    HONE_TRY(check_query(s));
    HONE_TRY(check_owner(s));
    s3_place place = s->key.len > 0 ? ON_OBJECT : s->bucket.len > 0 ? ON_BUCKET : ON_SERVICE;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        const struct route *r = &routes[i];
        if (r->place == place && hone_str_equal(s->call->request->method, hone_str_of(r->method)) &&
            (!r->query || has_query(s, r->query)))
            return r->run(s);
    }
    return s3_fault(s, 405, "MethodNotAllowed", "%.*s is not for this resource",
                    HONE_ARG(s->call->request->method));
}

void hone_api_s3(const hone_call *call, hone_exchange *exchange) {
    s3_call s = {.call = call, .exchange = exchange};
    hone_err err = run(&s);
    if (!hone_failed(err)) return;
    if (s.fault_name)
        hone_reply_fault(exchange, HONE_REST_XML, s.fault_status, s.fault_name, err.msg);
    else
        hone_reply_error(exchange, HONE_REST_XML, err);
}
