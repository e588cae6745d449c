/* s3_body.c: the body of a request: out of its framing, and held to the checksums sent along.
 *
 * A small body is in memory, a large one in a file; with aws-chunked around it, it is written once
 * more, without. What the client states (Content-MD5, x-amz-checksum-*, the decoded length) is
 * compared before anything is stored. */
#include "api/s3_impl.h"

#include "api/aws_chunked.h"
#include "base/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

enum { IN_MEMORY_MAX_BYTES = 1 << 20, PATH_SIZE = 4096, MD5_TEXT_SIZE = 25 };

/* What is computed while the pieces of a body go by. */
typedef struct sums {
    bool has_checksum, has_md5;
    hone_checksum checksum;
    gnutls_hash_hd_t md5;
    int failed; /* of GnuTLS */
    int64_t size_bytes;
} sums;

static void add_piece(sums *sum, hone_str piece) {
    sum->size_bytes += (int64_t)piece.len;
    if (sum->has_checksum) hone_checksum_add(&sum->checksum, piece);
    if (sum->md5 && sum->failed == 0 && piece.len > 0)
        sum->failed = gnutls_hash(sum->md5, piece.ptr, piece.len);
}

/* ---- what the client says of the body ---- */

/* The checksum whose value comes in a header, or, as x-amz-trailer says, behind the body. */
static bool find_checksum(const s3_call *s, hone_checksum_kind *kind) {
    hone_str trailer = s3_header(s, "x-amz-trailer");
    for (int k = 0; k < HONE_CHECKSUM_COUNT; k++) {
        const char *name = hone_checksum_header((hone_checksum_kind)k);
        if (s3_header(s, name).len == 0 &&
            !(trailer.len == strlen(name) && strncasecmp(trailer.ptr, name, trailer.len) == 0))
            continue;
        *kind = (hone_checksum_kind)k;
        return true;
    }
    return false;
}

static bool is_framed(const s3_call *s) {
    hone_str encoding = s3_header(s, "content-encoding");
    return hone_str_has_prefix(encoding, HONE_S("aws-chunked")) ||
           hone_str_has_prefix(s3_header(s, "x-amz-content-sha256"), HONE_S("STREAMING-"));
}

/* Both sides in base64: of other length or spelling is another sum. */
static hone_err check_checksum(s3_call *s, sums *sum, hone_str stated, s3_body *out) {
    HONE_TRY(hone_checksum_done(&sum->checksum, out->checksum));
    out->checksum_header = hone_checksum_header(sum->checksum.kind);
    if (stated.len == 0)
        return s3_fault(s, 400, "InvalidRequest", "the trailer has no %s", out->checksum_header);
    if (!hone_str_equal(stated, hone_str_of(out->checksum)))
        return s3_fault(s, 400, "BadDigest", "%s does not fit the body", out->checksum_header);
    return HONE_OK;
}

static hone_err check_md5(s3_call *s, sums *sum, hone_str stated) {
    unsigned char digest[16];
    char text[MD5_TEXT_SIZE];
    gnutls_hash_deinit(sum->md5, digest);
    sum->md5 = NULL;
    if (sum->failed != 0)
        return hone_err_new(HONE_E_IO, "cannot hash: %s", gnutls_strerror(sum->failed));
    hone_base64_format(digest, sizeof digest, text, sizeof text);
    if (stated.len != sizeof text - 1)
        return s3_fault(s, 400, "InvalidDigest", "Content-MD5 is no MD5 in base64");
    if (!hone_str_equal(stated, hone_str_of(text)))
        return s3_fault(s, 400, "BadDigest", "Content-MD5 does not fit the body");
    return HONE_OK;
}

static hone_err check_length(s3_call *s, const sums *sum) {
    hone_str stated = s3_header(s, "x-amz-decoded-content-length");
    char text[24];
    (void)snprintf(text, sizeof text, "%lld", (long long)sum->size_bytes);
    if (stated.len > 0 && !hone_str_equal(stated, hone_str_of(text)))
        return s3_fault(s, 400, "IncompleteBody", "the body has %s bytes", text);
    return HONE_OK;
}

/* ---- out of its framing ---- */

static void remove_file(void *path) { (void)unlink(path); /* not there once it was moved */ }

/* Where the pieces of a framed body go. */
typedef struct sink {
    int fd;     /* -1 = memory */
    char *next; /* in memory, which has room for all */
    const char *path;
} sink;

static hone_err open_sink(const s3_call *s, sink *to, s3_body *out) {
    const hone_request *r = s->call->request;
    char path[PATH_SIZE];
    *to = (sink){.fd = -1};
    if (!r->body_path) {
        to->next = hone_arena_alloc(s->call->arena, r->body.len + 1, 1);
        if (!to->next) return hone_err_new(HONE_E_NOMEM, "no memory for a body");
        out->bytes = (hone_str){to->next, 0};
        return HONE_OK;
    }
    int n = snprintf(path, sizeof path, "%s.plain", r->body_path);
    if (n < 0 || (size_t)n >= sizeof path)
        return hone_err_new(HONE_E_INVALID, "the path of the spool folder is too long");
    char *kept = hone_arena_strdup(s->call->arena, hone_str_of(path));
    if (!kept) return hone_err_new(HONE_E_NOMEM, "no memory for a body");
    HONE_TRY(hone_arena_defer(s->call->arena, remove_file, kept));
    to->fd = open(kept, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (to->fd < 0) return hone_file_err("create", kept);
    to->path = out->path = kept;
    return HONE_OK;
}

static hone_err write_piece(sink *to, hone_str piece, s3_body *out) {
    if (to->fd < 0) {
        memcpy(to->next, piece.ptr, piece.len);
        to->next += piece.len;
        out->bytes.len += piece.len;
        return HONE_OK;
    }
    return hone_fd_write(to->fd, piece) ? HONE_OK : hone_file_err("write", to->path);
}

static hone_err write_pieces(sink *to, hone_str *rest, sums *sum, s3_body *out) {
    for (;;) {
        hone_str piece;
        HONE_TRY(hone_aws_chunk_next(rest, &piece));
        if (piece.len == 0) return HONE_OK;
        add_piece(sum, piece);
        HONE_TRY(write_piece(to, piece, out));
    }
}

/* *checksum: what the trailer says of it. */
static hone_err unframe(s3_call *s, sums *sum, const char *name, s3_body *out, hone_str *checksum) {
    sink to;
    hone_str rest = s->call->request->body;
    HONE_TRY(open_sink(s, &to, out));
    hone_err err = write_pieces(&to, &rest, sum, out);
    if (to.fd >= 0 && close(to.fd) != 0 && !hone_failed(err)) err = hone_file_err("write", to.path);
    HONE_TRY(err);
    for (;;) {
        hone_str key, value;
        HONE_TRY(hone_aws_trailer_next(&rest, &key, &value));
        if (key.len == 0) return HONE_OK;
        if (name && key.len == strlen(name) && strncasecmp(key.ptr, name, key.len) == 0)
            *checksum = value;
    }
}

/* ---- the whole ---- */

static hone_err read_and_check(s3_call *s, sums *sum, s3_body *out) {
    const hone_request *r = s->call->request;
    hone_str md5 = s3_header(s, "content-md5"), stated = {"", 0};
    const char *name = NULL;
    if (sum->has_checksum) {
        name = hone_checksum_header(sum->checksum.kind);
        stated = s3_header(s, name);
    }
    if (is_framed(s)) {
        hone_err err = unframe(s, sum, name, out, &stated);
        if (err.code == HONE_E_CORRUPT) return s3_fault(s, 400, "IncompleteBody", "%s", err.msg);
        HONE_TRY(err);
        HONE_TRY(check_length(s, sum));
    } else {
        out->bytes = r->body;
        out->path = r->body_path;
        add_piece(sum, r->body);
    }
    if (sum->has_checksum) HONE_TRY(check_checksum(s, sum, stated, out));
    return sum->has_md5 ? check_md5(s, sum, md5) : HONE_OK;
}

hone_err s3_body_read(s3_call *s, s3_body *out) {
    sums sum = {0};
    hone_checksum_kind kind = HONE_CRC32;
    *out = (s3_body){.bytes = {"", 0}};
    sum.has_checksum = find_checksum(s, &kind);
    if (sum.has_checksum) hone_checksum_init(&sum.checksum, kind);
    sum.has_md5 = s3_header(s, "content-md5").len > 0;
    if (sum.has_md5) sum.failed = gnutls_hash_init(&sum.md5, GNUTLS_DIG_MD5);
    hone_err err = read_and_check(s, &sum, out);
    if (sum.md5) gnutls_hash_deinit(sum.md5, NULL);
    hone_checksum_drop(&sum.checksum);
    return err;
}

hone_err s3_body_stage(s3_call *s, const s3_body *body, hone_staged *out) {
    hone_objects *objects = s->call->app->objects;
    if (body->path) return hone_objects_stage_file(objects, body->path, true, out);
    return hone_objects_stage(objects, body->bytes, out);
}
