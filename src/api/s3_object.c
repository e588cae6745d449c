/* s3_object.c: one object: get, head, put, copy, delete.
 *
 * What S3 keeps beside the bytes lies in the object's metadata, a JSON object: the x-amz-meta-*
 * headers by their own names, and those that begin with ':' are whole headers (":cache-control"). */
#include "api/s3_impl.h"

#include "api/xml.h"
#include "base/clock.h"
#include "store/journal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum { META_LIMIT_BYTES = 2048, DATE_SIZE = 32 };

static const char META[] = "x-amz-meta-";

/* Headers that come back with the object. */
static const char *const kept_headers[] = {"cache-control", "content-disposition",
                                           "content-encoding", "content-language", "expires"};

/* ---- dates and tags ---- */

static void format_date(int64_t ms, char out[DATE_SIZE]) {
    time_t seconds = (time_t)(ms / 1000);
    struct tm t;
    (void)gmtime_r(&seconds, &t); /* years that a clock gives fit */
    (void)strftime(out, DATE_SIZE, "%a, %d %b %Y %H:%M:%S GMT", &t);
}

static bool parse_date(hone_str text, int64_t *seconds) {
    char copy[DATE_SIZE];
    struct tm t = {0};
    if (text.len >= sizeof copy) return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    const char *end = strptime(copy, "%a, %d %b %Y %H:%M:%S GMT", &t);
    if (!end || *end) return false;
    *seconds = (int64_t)timegm(&t);
    return true;
}

/* Does the list `"a", W/"b"` or `*` have this tag? */
static bool lists_tag(hone_str list, const char *etag) {
    hone_str want = hone_str_of(etag);
    while (list.len > 0) {
        const char *comma = memchr(list.ptr, ',', list.len);
        size_t len = comma ? (size_t)(comma - list.ptr) : list.len;
        hone_str tag = {list.ptr, len};
        list = (hone_str){list.ptr + (comma ? len + 1 : len), list.len - (comma ? len + 1 : len)};
        while (tag.len > 0 && *tag.ptr == ' ') tag = (hone_str){tag.ptr + 1, tag.len - 1};
        while (tag.len > 0 && tag.ptr[tag.len - 1] == ' ') tag.len--;
        if (hone_str_has_prefix(tag, HONE_S("W/"))) tag = (hone_str){tag.ptr + 2, tag.len - 2};
        if (hone_str_equal(tag, HONE_S("*"))) return true;
        if (tag.len >= 2 && *tag.ptr == '"' && tag.ptr[tag.len - 1] == '"')
            tag = (hone_str){tag.ptr + 1, tag.len - 2};
        if (hone_str_equal(tag, want)) return true;
    }
    return false;
}

/* ---- get and head ---- */

/* RFC 9110, 13.2.2. *status = 304 when the client has it already. */
static hone_err check_conditions(s3_call *s, const hone_object *object, int *status) {
    hone_str match = s3_header(s, "if-match"), none_match = s3_header(s, "if-none-match");
    int64_t since = 0;
    bool fails = false;
    if (match.len > 0)
        fails = !lists_tag(match, object->etag);
    else if (parse_date(s3_header(s, "if-unmodified-since"), &since))
        fails = object->modified_ms / 1000 > since;
    if (fails)
        return s3_fault(s, 412, "PreconditionFailed", "the object is another than the client has");
    if (none_match.len > 0) {
        if (lists_tag(none_match, object->etag)) *status = 304;
    } else if (parse_date(s3_header(s, "if-modified-since"), &since)) {
        if (object->modified_ms / 1000 <= since) *status = 304;
    }
    return HONE_OK;
}

typedef struct byte_range {
    int64_t first, count;
    bool is_part;
} byte_range;

/* A whole number at the start of s, which is taken off it; -1: there is none. */
static int64_t take_number(hone_str *s) {
    int64_t n = -1;
    while (s->len > 0 && *s->ptr >= '0' && *s->ptr <= '9' && n < INT64_MAX / 10 - 1) {
        n = (n < 0 ? 0 : n) * 10 + (*s->ptr - '0');
        *s = (hone_str){s->ptr + 1, s->len - 1};
    }
    return n;
}

/* "bytes=0-9", "bytes=10-", "bytes=-5". What is no single range is ignored, as HTTP says. */
static hone_err parse_range(s3_call *s, int64_t size_bytes, byte_range *out) {
    hone_str text = s3_header(s, "range");
    *out = (byte_range){0, size_bytes, false};
    if (!hone_str_has_prefix(text, HONE_S("bytes="))) return HONE_OK;
    text = (hone_str){text.ptr + 6, text.len - 6};
    int64_t first = take_number(&text);
    if (text.len == 0 || *text.ptr != '-') return HONE_OK;
    text = (hone_str){text.ptr + 1, text.len - 1};
    int64_t last = take_number(&text);
    if (text.len > 0 || (first < 0 && last < 0)) return HONE_OK;
    if (first >= 0 && last >= 0 && last < first) return HONE_OK;
    if (first < 0) { /* the last so many bytes */
        first = last < size_bytes ? size_bytes - last : 0;
        if (last == 0) first = size_bytes;
        last = size_bytes - 1;
    }
    if (last < 0 || last >= size_bytes) last = size_bytes - 1;
    if (first >= size_bytes)
        return s3_fault(s, 416, "InvalidRange", "the object has %lld bytes", (long long)size_bytes);
    *out = (byte_range){first, last - first + 1, true};
    return HONE_OK;
}

static void add_meta(s3_call *s, s3_headers *headers, const hone_object *object, bool checksums) {
    char name[META_LIMIT_BYTES + sizeof META];
    json_t *meta = json_loadb(object->meta.ptr, object->meta.len, 0, NULL);
    const char *key;
    json_t *value;
    json_object_foreach(meta, key, value) {
        hone_str text = {json_string_value(value), json_string_length(value)};
        if (!text.ptr) continue;
        bool is_whole = key[0] == ':';
        if (is_whole && strncmp(key, ":x-amz-checksum-", 16) == 0 && !checksums) continue;
        (void)snprintf(name, sizeof name, "%s%s", is_whole ? "" : META, is_whole ? key + 1 : key);
        const char *kept = hone_arena_strdup(s->call->arena, hone_str_of(name));
        if (kept)
            s3_headers_add(s, headers, kept, text);
        else
            headers->failed = true;
    }
    json_decref(meta);
}

static hone_err answer(s3_call *s, const hone_object *object, int fd, bool is_head) {
    int status = 200;
    byte_range range = {0};
    char date[DATE_SIZE];
    HONE_TRY(check_conditions(s, object, &status));
    HONE_TRY(parse_range(s, object->size_bytes, &range));
    s3_headers h = {0};
    format_date(object->modified_ms, date);
    s3_headers_printf(s, &h, "ETag", "\"%s\"", object->etag);
    s3_headers_add(s, &h, "Last-Modified", hone_str_of(date));
    s3_headers_add(s, &h, "Accept-Ranges", HONE_S("bytes"));
    /* What people store is no page of hone's, though it comes from the same origin. */
    s3_headers_add(s, &h, "X-Content-Type-Options", HONE_S("nosniff"));
    s3_headers_add(s, &h, "Content-Security-Policy", HONE_S("sandbox; default-src 'none'"));
    if (status == 304) {
        if (fd >= 0) (void)close(fd); /* read-only, nothing to lose */
        return s3_reply(s, status, &h);
    }
    bool wants_sum = strcasecmp(s3_header(s, "x-amz-checksum-mode").ptr, "ENABLED") == 0;
    add_meta(s, &h, object, wants_sum && !range.is_part);
    if (range.is_part) {
        status = 206;
        s3_headers_printf(s, &h, "Content-Range", "bytes %lld-%lld/%lld", (long long)range.first,
                          (long long)(range.first + range.count - 1),
                          (long long)object->size_bytes);
    }
    if (h.failed) return hone_err_new(HONE_E_NOMEM, "no memory for the headers of an object");
    hone_response response = {.status = status,
                              .content_type = object->content_type.ptr,
                              .headers = h.list,
                              .header_count = h.count,
                              .has_file = true,
                              .fd = is_head ? -1 : fd,
                              .offset = range.first,
                              .size_bytes = range.count};
    hone_exchange_reply(s->exchange, &response);
    return HONE_OK;
}

/* S3 tells a missing bucket from a missing key. */
static hone_err name_missing(s3_call *s, hone_err err) {
    if (err.code != HONE_E_NOT_FOUND) return err;
    HONE_TRY(s3_check_bucket(s));
    return s3_fault(s, 404, "NoSuchKey", "%s", err.msg);
}

hone_err s3_get_object(s3_call *s) {
    hone_object object = {0};
    int fd = -1;
    hone_err err = hone_objects_open_fd(s->call->app->objects, s->call->arena, s->bucket, s->key,
                                        &object, &fd);
    HONE_TRY(name_missing(s, err));
    err = answer(s, &object, fd, false);
    if (hone_failed(err)) (void)close(fd); /* read-only, nothing to lose */
    return err;
}

static hone_err find(s3_call *s, hone_str bucket, hone_str key, hone_object *out) {
    hone_tx *tx = NULL;
    HONE_TRY(hone_tx_begin(s->call->app->db, HONE_TX_READ, &tx));
    hone_err err = hone_objects_find(s->call->app->objects, tx, s->call->arena, bucket, key, out);
    hone_tx_abort(tx);
    return err;
}

hone_err s3_head_object(s3_call *s) {
    hone_object object = {0};
    HONE_TRY(name_missing(s, find(s, s->bucket, s->key, &object)));
    return answer(s, &object, -1, true);
}

/* ---- put ---- */

static hone_err set_meta(s3_call *s, json_t *meta, const char *name, hone_str value) {
    json_t *text = json_stringn(value.ptr, value.len);
    if (!text) return s3_fault(s, 400, "InvalidArgument", "'%s' is no UTF-8 text", name);
    if (json_object_set_new(meta, name, text) != 0)
        return hone_err_new(HONE_E_NOMEM, "no memory for metadata");
    return HONE_OK;
}

/* aws-chunked is how the body came, not what it is. */
static hone_str without_framing(hone_str encoding) {
    if (!hone_str_has_prefix(encoding, HONE_S("aws-chunked"))) return encoding;
    encoding = (hone_str){encoding.ptr + 11, encoding.len - 11};
    while (encoding.len > 0 && (*encoding.ptr == ',' || *encoding.ptr == ' '))
        encoding = (hone_str){encoding.ptr + 1, encoding.len - 1};
    return encoding;
}

static hone_err collect_meta(s3_call *s, const s3_body *body, json_t *meta) {
    const hone_request *r = s->call->request;
    size_t total = 0;
    for (size_t i = 0; i < r->header_count; i++) {
        if (!hone_str_has_prefix(r->headers[i].name, HONE_S("x-amz-meta-"))) continue;
        const char *name = r->headers[i].name.ptr + sizeof META - 1; /* terminated, as all are */
        total += strlen(name) + r->headers[i].value.len;
        if (*name == '\0' || *name == ':' || total > META_LIMIT_BYTES)
            return s3_fault(s, 400, "MetadataTooLarge", "metadata has at most %d bytes",
                            META_LIMIT_BYTES);
        HONE_TRY(set_meta(s, meta, name, r->headers[i].value));
    }
    char name[64];
    for (size_t i = 0; i < sizeof kept_headers / sizeof kept_headers[0]; i++) {
        hone_str value = without_framing(s3_header(s, kept_headers[i]));
        if (value.len > META_LIMIT_BYTES)
            return s3_fault(s, 400, "MetadataTooLarge", "%s has at most %d bytes", kept_headers[i],
                            META_LIMIT_BYTES);
        (void)snprintf(name, sizeof name, ":%s", kept_headers[i]);
        if (value.len > 0) HONE_TRY(set_meta(s, meta, name, value));
    }
    if (!body || !body->checksum_header) return HONE_OK;
    (void)snprintf(name, sizeof name, ":%s", body->checksum_header);
    return set_meta(s, meta, name, hone_str_of(body->checksum));
}

/* A type that no header could carry would make the object unreadable. */
static hone_err check_type(s3_call *s, hone_str type) {
    for (size_t i = 0; i < type.len; i++)
        if ((unsigned char)type.ptr[i] < 0x20 || (unsigned char)type.ptr[i] > 0x7E)
            return s3_fault(s, 400, "InvalidArgument", "Content-Type is no printable text");
    return HONE_OK;
}

hone_err s3_request_meta(s3_call *s, const s3_body *body, hone_str *content_type, hone_str *meta) {
    *content_type = s3_header(s, "content-type");
    HONE_TRY(check_type(s, *content_type));
    json_t *object = json_object();
    if (!object) return hone_err_new(HONE_E_NOMEM, "no memory for metadata");
    hone_err err = collect_meta(s, body, object);
    char *text = hone_failed(err) ? NULL : json_dumps(object, JSON_COMPACT);
    json_decref(object);
    if (!hone_failed(err)) {
        const char *kept = text ? hone_arena_strdup(s->call->arena, hone_str_of(text)) : NULL;
        if (kept)
            *meta = hone_str_of(kept);
        else
            err = hone_err_new(HONE_E_NOMEM, "no memory for metadata");
    }
    free(text);
    return err;
}

/* If-Match and If-None-Match: what a client wants to replace, or not to replace. */
static hone_err check_replacing(s3_call *s, hone_tx *tx) {
    hone_str match = s3_header(s, "if-match"), none_match = s3_header(s, "if-none-match");
    if (match.len == 0 && none_match.len == 0) return HONE_OK;
    hone_object there = {0};
    hone_err err = hone_objects_find(s->call->app->objects, tx, s->call->arena, s->bucket, s->key,
                                     &there);
    bool is_there = !hone_failed(err);
    if (!is_there && err.code != HONE_E_NOT_FOUND) return err;
    if (!is_there && match.len > 0) return s3_fault(s, 404, "NoSuchKey", "%s", err.msg);
    if ((match.len > 0 && !lists_tag(match, there.etag)) ||
        (is_there && none_match.len > 0 && lists_tag(none_match, there.etag)))
        return s3_fault(s, 412, "PreconditionFailed", "the object that is there is another");
    return HONE_OK;
}

hone_err s3_journal(s3_call *s, hone_tx *tx, const char *kind, hone_str key, json_t *detail) {
    char subject[HONE_BUCKET_MAX + HONE_KEY_MAX + 16];
    (void)snprintf(subject, sizeof subject, "s3://%.*s%s%.*s", HONE_ARG(s->bucket),
                   key.len > 0 ? "/" : "", HONE_ARG(key));
    return hone_journal_append(tx, s->call->actor, kind, subject, detail);
}

static hone_err link_within(s3_call *s, hone_tx *tx, const hone_object_put *put) {
    HONE_TRY(s3_need_bucket(s, tx));
    HONE_TRY(check_replacing(s, tx));
    HONE_TRY(hone_objects_link(s->call->app->objects, tx, put));
    return s3_journal(s, tx, "object.created", s->key,
                      json_pack("{s:I, s:s}", "size", (json_int_t)put->staged->size_bytes, "etag",
                                put->staged->etag));
}

hone_err s3_link(s3_call *s, const hone_staged *staged, hone_str content_type, hone_str meta) {
    hone_object_put put = {.bucket = s->bucket,
                           .key = s->key,
                           .staged = staged,
                           .content_type = content_type,
                           .meta = meta};
    hone_tx *tx = NULL;
    hone_err err = hone_tx_begin(s->call->app->db, HONE_TX_WRITE, &tx);
    if (!hone_failed(err)) err = hone_tx_finish(tx, link_within(s, tx, &put));
    if (hone_failed(err)) hone_objects_unstage(s->call->app->objects, staged);
    return err;
}

static s3_op copy_object;

hone_err s3_put_object(s3_call *s) {
    if (s3_header(s, "x-amz-copy-source").len > 0) return copy_object(s);
    s3_body body;
    hone_staged staged = {0};
    hone_str type = {0}, meta = {0};
    HONE_TRY(s3_check_bucket(s)); /* before a large body is moved about */
    HONE_TRY(s3_body_read(s, &body));
    HONE_TRY(s3_request_meta(s, &body, &type, &meta));
    HONE_TRY(s3_body_stage(s, &body, &staged));
    HONE_TRY(s3_link(s, &staged, type, meta));
    s3_headers headers = {0};
    s3_headers_printf(s, &headers, "ETag", "\"%s\"", staged.etag);
    if (body.checksum_header)
        s3_headers_add(s, &headers, body.checksum_header, hone_str_of(body.checksum));
    return s3_reply(s, 200, &headers);
}

/* ---- copy ---- */

/* "/bucket/key" or "bucket/key", percent-encoded. */
static hone_err parse_source(s3_call *s, hone_str *bucket, hone_str *key) {
    hone_str text = s3_header(s, "x-amz-copy-source");
    if (memmem(text.ptr, text.len, "?versionId=", 11))
        return s3_fault(s, 501, "NotImplemented", "hone keeps no versions of objects");
    text = hone_percent_decode(s->call->arena, text);
    if (text.len > 0 && text.ptr && *text.ptr == '/') text = (hone_str){text.ptr + 1, text.len - 1};
    const char *slash = text.ptr && text.len > 0 ? memchr(text.ptr, '/', text.len) : NULL;
    if (!slash || slash == text.ptr || slash == text.ptr + text.len - 1)
        return s3_fault(s, 400, "InvalidArgument", "x-amz-copy-source is no bucket/key");
    *bucket = (hone_str){text.ptr, (size_t)(slash - text.ptr)};
    *key = (hone_str){slash + 1, text.len - bucket->len - 1};
    return HONE_OK;
}

static hone_err refuse_source_conditions(s3_call *s) {
    static const char *const names[] = {
        "x-amz-copy-source-if-match", "x-amz-copy-source-if-none-match",
        "x-amz-copy-source-if-modified-since", "x-amz-copy-source-if-unmodified-since"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (s3_header(s, names[i]).len > 0)
            return s3_fault(s, 501, "NotImplemented", "hone has no %s", names[i]);
    return HONE_OK;
}

static hone_err find_source(s3_call *s, hone_object *out) {
    hone_str bucket = {0}, key = {0};
    HONE_TRY(refuse_source_conditions(s));
    HONE_TRY(parse_source(s, &bucket, &key));
    hone_err err = find(s, bucket, key, out);
    if (err.code == HONE_E_NOT_FOUND) return s3_fault(s, 404, "NoSuchKey", "%s", err.msg);
    return err;
}

static hone_err reply_copied(s3_call *s, const hone_staged *staged) {
    char now[HONE_TIME_SIZE];
    hone_buf xml;
    hone_time_format(hone_now_ms(), now);
    hone_buf_init(&xml, 4096);
    s3_xml_begin(&xml, "CopyObjectResult");
    hone_buf_printf(&xml, "<LastModified>%s</LastModified><ETag>&quot;%s&quot;</ETag>", now,
                    staged->etag);
    hone_buf_printf(&xml, "</CopyObjectResult>\n");
    hone_err err = s3_reply_xml(s, NULL, &xml);
    hone_buf_done(&xml);
    return err;
}

static hone_err copy_object(s3_call *s) {
    hone_object source = {0};
    hone_staged staged = {0};
    HONE_TRY(s3_check_bucket(s));
    HONE_TRY(find_source(s, &source));
    hone_str type = source.content_type, meta = source.meta;
    if (hone_str_equal(s3_header(s, "x-amz-metadata-directive"), HONE_S("REPLACE")))
        HONE_TRY(s3_request_meta(s, NULL, &type, &meta));
    hone_err err = hone_objects_stage_file(s->call->app->objects, source.path, false, &staged);
    if (err.code == HONE_E_NOT_FOUND) /* it was deleted or replaced just now */
        return s3_fault(s, 404, "NoSuchKey", "the object to copy has gone");
    HONE_TRY(err);
    HONE_TRY(s3_link(s, &staged, type, meta));
    return reply_copied(s, &staged);
}

/* ---- delete ---- */

static hone_err delete_within(s3_call *s, hone_tx *tx) {
    HONE_TRY(s3_need_bucket(s, tx));
    HONE_TRY(hone_objects_delete(s->call->app->objects, tx, s->bucket, s->key));
    if (hone_tx_changes(tx) == 0) return HONE_OK; /* it was not there, which is no error */
    return s3_journal(s, tx, "object.deleted", s->key, NULL);
}

hone_err s3_delete_object(s3_call *s) {
    hone_tx *tx = NULL;
    HONE_TRY(hone_tx_begin(s->call->app->db, HONE_TX_WRITE, &tx));
    hone_err err = delete_within(s, tx);
    HONE_TRY(hone_tx_finish(tx, err));
    return s3_reply(s, 204, NULL);
}
