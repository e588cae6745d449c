/* s3_upload.c: objects that come in parts: what SDKs do from 8 MiB on. store/uploads.h keeps them. */
#include "api/s3_impl.h"

#include "api/xml.h"
#include "base/clock.h"
#include "store/uploads.h"

#include <stdio.h>

enum { ANSWER_LIMIT_BYTES = 8 << 20, UPLOADS_MAX = 1000 };

static hone_err no_upload(s3_call *s) {
    return s3_fault(s, 404, "NoSuchUpload", "the upload is unknown, aborted or completed");
}

/* The upload that the request names, which must be of this very key. */
static hone_err find(s3_call *s, hone_upload *out) {
    hone_err err = hone_uploads_find(s->call->app->objects, s->call->arena, s3_query(s, "uploadId"),
                                     out);
    if (err.code == HONE_E_NOT_FOUND) return no_upload(s);
    HONE_TRY(err);
    if (!hone_str_equal(out->bucket, s->bucket) || !hone_str_equal(out->key, s->key))
        return no_upload(s);
    return HONE_OK;
}

static void push_names(const s3_call *s, hone_buf *xml, const hone_upload *upload) {
    hone_xml_push_element(xml, "Bucket", s->bucket);
    hone_xml_push_element(xml, "Key", s->key);
    hone_xml_push_element(xml, "UploadId", hone_str_of(upload->id));
}

hone_err s3_upload_create(s3_call *s) {
    hone_upload upload = {.bucket = s->bucket, .key = s->key};
    HONE_TRY(s3_check_bucket(s));
    HONE_TRY(s3_request_meta(s, NULL, &upload.content_type, &upload.meta));
    hone_err err = hone_uploads_begin(s->call->app->objects, &upload);
    if (err.code == HONE_E_INVALID) return s3_fault(s, 400, "InvalidArgument", "%s", err.msg);
    HONE_TRY(err);
    hone_buf xml;
    hone_buf_init(&xml, ANSWER_LIMIT_BYTES);
    s3_xml_begin(&xml, "InitiateMultipartUploadResult");
    push_names(s, &xml, &upload);
    hone_buf_printf(&xml, "</InitiateMultipartUploadResult>\n");
    err = s3_reply_xml(s, NULL, &xml);
    hone_buf_done(&xml);
    return err;
}

/* 1 to 10000; 0 for what is no such number. */
static int64_t parse_number(hone_str text) {
    int64_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || text.len > 5) return 0;
        n = n * 10 + (text.ptr[i] - '0');
    }
    return n <= HONE_PARTS_MAX ? n : 0;
}

hone_err s3_upload_part(s3_call *s) {
    hone_upload upload;
    s3_body body;
    hone_staged staged;
    int64_t number = parse_number(s3_query(s, "partNumber"));
    if (s3_header(s, "x-amz-copy-source").len > 0)
        return s3_fault(s, 501, "NotImplemented", "hone does not copy parts of objects");
    if (number == 0)
        return s3_fault(s, 400, "InvalidArgument", "partNumber is from 1 to %d", HONE_PARTS_MAX);
    HONE_TRY(find(s, &upload));
    HONE_TRY(s3_body_read(s, &body));
    HONE_TRY(s3_body_stage(s, &body, &staged));
    hone_err err = hone_uploads_put(s->call->app->objects, &upload, number, &staged);
    if (err.code == HONE_E_NOT_FOUND) return no_upload(s);
    HONE_TRY(err);
    s3_headers headers = {0};
    s3_headers_printf(s, &headers, "ETag", "\"%s\"", staged.etag);
    if (body.checksum_header)
        s3_headers_add(s, &headers, body.checksum_header, hone_str_of(body.checksum));
    return s3_reply(s, 200, &headers);
}

/* ---- complete ---- */

typedef struct completion {
    s3_call *s;
    hone_part *parts;
    size_t count;
    hone_part next; /* the <Part> that is being read */
} completion;

static hone_str without_quotes(hone_str tag) {
    if (tag.len >= 2 && *tag.ptr == '"' && tag.ptr[tag.len - 1] == '"')
        return (hone_str){tag.ptr + 1, tag.len - 2};
    return tag;
}

static hone_err read_part(void *ctx, const char *path, hone_str text) {
    completion *c = ctx;
    if (strcmp(path, "CompleteMultipartUpload/Part/PartNumber") == 0) {
        c->next.number = parse_number(text);
    } else if (strcmp(path, "CompleteMultipartUpload/Part/ETag") == 0) {
        hone_str tag = without_quotes(text);
        bool fits = tag.len == HONE_ETAG_SIZE - 1 && !memchr(tag.ptr, '/', tag.len);
        if (fits) (void)snprintf(c->next.etag, HONE_ETAG_SIZE, "%.*s", HONE_ARG(tag));
    } else if (strcmp(path, "CompleteMultipartUpload/Part") == 0) {
        if (c->count == HONE_PARTS_MAX || c->next.number == 0)
            return s3_fault(c->s, 400, "MalformedXML", "a part has a number from 1 to %d",
                            HONE_PARTS_MAX);
        if (c->count > 0 && c->parts[c->count - 1].number >= c->next.number)
            return s3_fault(c->s, 400, "InvalidPartOrder", "the parts are not in order");
        c->parts[c->count++] = c->next;
        c->next = (hone_part){0};
    }
    return HONE_OK;
}

static hone_err read_parts(s3_call *s, completion *out) {
    *out = (completion){.s = s};
    out->parts = hone_arena_alloc(s->call->arena, HONE_PARTS_MAX, sizeof *out->parts);
    if (!out->parts) return hone_err_new(HONE_E_NOMEM, "no memory for a list of parts");
    /* The checksums in the headers are those of the whole object, not of this document. */
    hone_err err = hone_xml_read(s->call->request->body, read_part, out);
    if (err.code == HONE_E_CORRUPT) return s3_fault(s, 400, "MalformedXML", "%s", err.msg);
    HONE_TRY(err);
    if (out->count == 0) return s3_fault(s, 400, "MalformedXML", "the list of parts is empty");
    return HONE_OK;
}

hone_err s3_upload_complete(s3_call *s) {
    hone_upload upload;
    completion c;
    hone_staged staged;
    HONE_TRY(find(s, &upload));
    HONE_TRY(read_parts(s, &c));
    HONE_TRY(s3_check_bucket(s)); /* before the parts are gone */
    hone_err err = hone_uploads_complete(s->call->app->objects, &upload, c.parts, c.count, &staged);
    if (err.code == HONE_E_NOT_FOUND) return no_upload(s);
    if (err.code == HONE_E_INVALID) return s3_fault(s, 400, "InvalidPart", "%s", err.msg);
    HONE_TRY(err);
    HONE_TRY(s3_link(s, &staged, upload.content_type, upload.meta));
    hone_buf xml;
    hone_buf_init(&xml, ANSWER_LIMIT_BYTES);
    s3_xml_begin(&xml, "CompleteMultipartUploadResult");
    hone_buf_printf(&xml, "<Location>/");
    hone_xml_push(&xml, s->bucket);
    hone_buf_push_char(&xml, '/');
    hone_xml_push(&xml, s->key);
    hone_buf_printf(&xml, "</Location>");
    hone_xml_push_element(&xml, "Bucket", s->bucket);
    hone_xml_push_element(&xml, "Key", s->key);
    hone_buf_printf(&xml, "<ETag>&quot;%s&quot;</ETag></CompleteMultipartUploadResult>\n",
                    staged.etag);
    err = s3_reply_xml(s, NULL, &xml);
    hone_buf_done(&xml);
    return err;
}

hone_err s3_upload_abort(s3_call *s) {
    hone_upload upload;
    HONE_TRY(find(s, &upload));
    HONE_TRY(hone_uploads_abort(s->call->app->objects, &upload));
    return s3_reply(s, 204, NULL);
}

/* ---- what is under way ---- */

static void push_part(hone_buf *xml, const hone_part *part) {
    char modified[HONE_TIME_SIZE];
    hone_time_format(part->modified_ns / 1000000, modified);
    hone_buf_printf(xml,
                    "<Part><PartNumber>%lld</PartNumber><LastModified>%s</LastModified>"
                    "<ETag>&quot;%s&quot;</ETag><Size>%lld</Size></Part>",
                    (long long)part->number, modified, part->etag, (long long)part->size_bytes);
}

/* All at once: there are at most 10000. */
hone_err s3_upload_parts(s3_call *s) {
    hone_upload upload;
    hone_part *parts = NULL;
    size_t count = 0;
    HONE_TRY(find(s, &upload));
    int64_t after = parse_number(s3_query(s, "part-number-marker"));
    hone_err err = hone_uploads_parts(s->call->app->objects, s->call->arena, &upload, &parts,
                                      &count);
    if (err.code == HONE_E_NOT_FOUND) return no_upload(s);
    HONE_TRY(err);
    hone_buf xml;
    hone_buf_init(&xml, ANSWER_LIMIT_BYTES);
    s3_xml_begin(&xml, "ListPartsResult");
    push_names(s, &xml, &upload);
    hone_buf_printf(&xml, "<MaxParts>%d</MaxParts><IsTruncated>false</IsTruncated>",
                    HONE_PARTS_MAX);
    for (size_t i = 0; i < count; i++)
        if (parts[i].number > after) push_part(&xml, &parts[i]);
    hone_buf_printf(&xml, "</ListPartsResult>\n");
    err = s3_reply_xml(s, NULL, &xml);
    hone_buf_done(&xml);
    return err;
}

static void push_upload(hone_buf *xml, const hone_upload *upload) {
    char begun[HONE_TIME_SIZE];
    hone_time_format(upload->begun_ms, begun);
    hone_buf_printf(xml, "<Upload>");
    hone_xml_push_element(xml, "Key", upload->key);
    hone_buf_printf(xml, "<UploadId>%s</UploadId><Initiated>%s</Initiated></Upload>", upload->id,
                    begun);
}

hone_err s3_uploads(s3_call *s) {
    hone_upload *uploads = NULL;
    size_t count = 0;
    hone_str prefix = s3_query(s, "prefix");
    HONE_TRY(s3_check_bucket(s));
    HONE_TRY(
        hone_uploads_list(s->call->app->objects, s->call->arena, UPLOADS_MAX, &uploads, &count));
    hone_buf xml;
    hone_buf_init(&xml, ANSWER_LIMIT_BYTES);
    s3_xml_begin(&xml, "ListMultipartUploadsResult");
    hone_xml_push_element(&xml, "Bucket", s->bucket);
    hone_buf_printf(&xml, "<MaxUploads>%d</MaxUploads><IsTruncated>false</IsTruncated>",
                    UPLOADS_MAX);
    for (size_t i = 0; i < count; i++)
        if (hone_str_equal(uploads[i].bucket, s->bucket) &&
            hone_str_has_prefix(uploads[i].key, prefix))
            push_upload(&xml, &uploads[i]);
    hone_buf_printf(&xml, "</ListMultipartUploadsResult>\n");
    hone_err err = s3_reply_xml(s, NULL, &xml);
    hone_buf_done(&xml);
    return err;
}
