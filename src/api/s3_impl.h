/* s3_impl.h: what the files of the S3 protocol share.
 *
 *     s3.c         bucket, key and operation of a request; buckets
 *     s3_body.c    bodies: their framing and checksums
 *     s3_object.c  one object: get, head, put, copy, delete
 *     s3_list.c    listings, and many deletions at once
 *     s3_upload.c  objects that come in parts
 *
 * An operation answers when it succeeds; s3.c answers its error. */
#ifndef HONE_API_S3_IMPL_H
#define HONE_API_S3_IMPL_H

#include "api/api.h"
#include "api/checksum.h"
#include "base/buf.h"
#include "store/db.h"
#include "store/objects.h"

typedef struct s3_call {
    const hone_call *call;
    hone_exchange *exchange;
    hone_str bucket, key; /* decoded; empty = none */
    /* What the wire calls the failure; NULL = as errors.c says for its code. */
    int fault_status;
    const char *fault_name;
} s3_call;

typedef hone_err s3_op(s3_call *s);

/* An error that has a name of its own on the wire. */
HONE_NODISCARD hone_err s3_fault(s3_call *s, int status, const char *name, const char *fmt, ...)
    HONE_PRINTF(4, 5);

/* NoSuchBucket. */
HONE_NODISCARD hone_err s3_need_bucket(s3_call *s, hone_tx *tx);
/* The same in a transaction of its own. */
HONE_NODISCARD hone_err s3_check_bucket(s3_call *s);

/* A header of the request, and whether it was sent. */
hone_str s3_header(const s3_call *s, const char *name);
/* A query parameter, decoded; empty when it is absent. */
hone_str s3_query(const s3_call *s, const char *name);

enum { S3_HEADERS_MAX = 64 };

/* The headers of an answer; what does not fit into the arena is an error at the end. */
typedef struct s3_headers {
    hone_header list[S3_HEADERS_MAX];
    size_t count;
    bool failed;
} s3_headers;

void s3_headers_add(const s3_call *s, s3_headers *headers, const char *name, hone_str value);
void s3_headers_printf(const s3_call *s, s3_headers *headers, const char *name, const char *fmt,
                       ...) HONE_PRINTF(4, 5);

/* Answer. Nothing of the request may be touched afterwards. */
HONE_NODISCARD hone_err s3_reply(s3_call *s, int status, const s3_headers *headers);
/* Answer with the document in xml, which is copied. */
HONE_NODISCARD hone_err s3_reply_xml(s3_call *s, const s3_headers *headers, const hone_buf *xml);
void s3_xml_begin(hone_buf *xml, const char *root);

/* --- s3_body.c --- */

typedef struct s3_body {
    hone_str bytes;   /* without framing; when path is NULL */
    const char *path; /* a file with the bytes, which may be moved away; NULL = none */
    /* The checksum that was sent along, verified; NULL = none. */
    const char *checksum_header;
    char checksum[HONE_CHECKSUM_TEXT_SIZE];
} s3_body;

/* BadDigest, InvalidDigest, IncompleteBody. */
HONE_NODISCARD hone_err s3_body_read(s3_call *s, s3_body *out);
HONE_NODISCARD hone_err s3_body_stage(s3_call *s, const s3_body *body, hone_staged *out);

/* --- s3_object.c --- */

/* Link what is staged under the call's bucket and key, with the conditions that the request
 * states, and say so in the journal; on failure the staged file is given up. */
HONE_NODISCARD hone_err s3_link(s3_call *s, const hone_staged *staged, hone_str content_type,
                                hone_str meta);
/* Content type and metadata that the request's headers state. */
HONE_NODISCARD hone_err s3_request_meta(s3_call *s, const s3_body *body, hone_str *content_type,
                                        hone_str *meta);
HONE_NODISCARD hone_err s3_journal(s3_call *s, hone_tx *tx, const char *kind, hone_str key,
                                   json_t *detail);

s3_op s3_get_object, s3_head_object, s3_put_object, s3_delete_object;

/* --- s3_list.c --- */
s3_op s3_list_buckets, s3_list_v1, s3_list_v2, s3_delete_objects;

/* --- s3_upload.c --- */
s3_op s3_upload_create, s3_upload_part, s3_upload_complete, s3_upload_abort, s3_upload_parts,
    s3_uploads;

#endif
