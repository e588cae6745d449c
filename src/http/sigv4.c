/* sigv4.c: see sigv4.h. The scheme, as AWS describes it:
 *
 *     canonical = method \n path \n query \n headers \n names of the headers \n hash of the body
 *     to sign   = AWS4-HMAC-SHA256 \n x-amz-date \n scope \n sha256(canonical)
 *     key       = hmac(hmac(hmac(hmac("AWS4" secret, date), region), service), "aws4_request")
 *     signature = hmac(key, to sign)
 *
 * What the request says is put into its canonical form here, whatever its own spelling was: both
 * sides then talk about the meaning. Paths with empty, "." or ".." segments, which other services
 * than s3 would have to fold, belong to no operation and never match. */
#include "http/sigv4.h"

#include "base/buf.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    HASH_BYTES = 32,
    HASH_HEX = 64,
    CANONICAL_LIMIT_BYTES = 256 * 1024,
    USUAL_BYTES = 1024,
    PARAMETERS_MAX = 256,
    SIGNED_HEADERS_MAX = 64,
    DATE_SIZE = sizeof "20261124T060259Z" - 1,
    DAY_SIZE = sizeof "20261124" - 1,
};

static const int64_t WINDOW_MS = (int64_t)15 * 60 * 1000;
static const char UNSIGNED[] = "UNSIGNED-PAYLOAD";
static const char STREAMING[] = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

static hone_err malformed(const char *what) {
    return hone_err_new(HONE_E_CORRUPT, "the Authorization header does not fit: %s", what);
}

/* ---- the header ---- */

/* The part before the first c, which is taken off rest together with c. */
static hone_str cut(hone_str *rest, char c) {
    const char *end = rest->len > 0 ? memchr(rest->ptr, c, rest->len) : NULL;
    size_t len = end ? (size_t)(end - rest->ptr) : rest->len;
    hone_str part = {rest->ptr, len};
    size_t skip = end ? len + 1 : len;
    *rest = (hone_str){rest->ptr + skip, rest->len - skip};
    return part;
}

static hone_str trim(hone_str s) {
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) s = (hone_str){s.ptr + 1, s.len - 1};
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t')) s.len--;
    return s;
}

static bool is_hex(hone_str s) {
    for (size_t i = 0; i < s.len; i++)
        if (!((s.ptr[i] >= '0' && s.ptr[i] <= '9') || (s.ptr[i] >= 'a' && s.ptr[i] <= 'f')))
            return false;
    return s.len == HASH_HEX;
}

static hone_err parse_credential(hone_str value, hone_sigv4 *out) {
    out->key_id = cut(&value, '/');
    out->date = cut(&value, '/');
    out->region = cut(&value, '/');
    out->service = cut(&value, '/');
    if (out->key_id.len == 0 || out->date.len != DAY_SIZE || out->region.len == 0 ||
        out->service.len == 0 || !hone_str_equal(value, HONE_S("aws4_request")))
        return hone_err_new(HONE_E_INVALID,
                            "a credential is KEY/YYYYMMDD/REGION/SERVICE/aws4_request");
    return HONE_OK;
}

hone_err hone_sigv4_parse(hone_str value, hone_sigv4 *out) {
    hone_sigv4 sig = {0};
    hone_str credential = {NULL, 0};
    hone_str rest = trim(value);
    if (!hone_str_equal(cut(&rest, ' '), HONE_S("AWS4-HMAC-SHA256")))
        return hone_err_new(HONE_E_INVALID, "the signature's algorithm is not AWS4-HMAC-SHA256");
    while (rest.len > 0) {
        hone_str item = trim(cut(&rest, ','));
        hone_str name = cut(&item, '=');
        hone_str *part = hone_str_equal(name, HONE_S("Credential"))      ? &credential
                         : hone_str_equal(name, HONE_S("SignedHeaders")) ? &sig.signed_headers
                         : hone_str_equal(name, HONE_S("Signature"))     ? &sig.signature
                                                                         : NULL;
        if (!part || part->ptr || item.len == 0)
            return hone_err_new(HONE_E_INVALID,
                                "a signature has Credential, SignedHeaders and Signature, once");
        *part = item;
    }
    if (!credential.ptr || !sig.signed_headers.ptr || !is_hex(sig.signature))
        return hone_err_new(HONE_E_INVALID,
                            "a signature has Credential, SignedHeaders and 64 hex digits");
    HONE_TRY(parse_credential(credential, &sig));
    *out = sig;
    return HONE_OK;
}

/* ---- hashes ---- */

static void to_hex(const unsigned char *bytes, char hex[HASH_HEX + 1]) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < HASH_BYTES; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[HASH_HEX] = '\0';
}

static hone_err sha256_hex(hone_str bytes, char hex[HASH_HEX + 1]) {
    unsigned char digest[HASH_BYTES];
    const char *ptr = bytes.len > 0 ? bytes.ptr : "";
    int code = gnutls_hash_fast(GNUTLS_DIG_SHA256, ptr, bytes.len, digest);
    if (code != 0) return hone_err_new(HONE_E_IO, "cannot hash: %s", gnutls_strerror(code));
    to_hex(digest, hex);
    return HONE_OK;
}

static hone_err hmac(hone_str key, hone_str text, unsigned char out[HASH_BYTES]) {
    int code = gnutls_hmac_fast(GNUTLS_MAC_SHA256, key.ptr, key.len, text.ptr, text.len, out);
    if (code != 0) return hone_err_new(HONE_E_IO, "cannot sign: %s", gnutls_strerror(code));
    return HONE_OK;
}

/* ---- the canonical request ---- */

static bool is_unreserved(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

static void push_encoded(hone_buf *out, hone_str s, bool keep_slash) {
    for (size_t i = 0; i < s.len; i++) {
        if (is_unreserved(s.ptr[i]) || (keep_slash && s.ptr[i] == '/'))
            hone_buf_push_char(out, s.ptr[i]);
        else
            hone_buf_printf(out, "%%%02X", (unsigned char)s.ptr[i]);
    }
}

static hone_err push_path(hone_buf *out, const hone_request *request, bool is_s3) {
    hone_str path = request->path;
    if (is_s3) {
        path = hone_percent_decode(request->arena, path);
        if (!path.ptr) return malformed("the path's percent-encoding is broken");
    }
    push_encoded(out, path, true);
    hone_buf_push_char(out, '\n');
    return HONE_OK;
}

typedef struct parameter {
    hone_str name, value; /* encoded */
} parameter;

/* One side of name=value in canonical encoding; '+' is how forms write a space. */
static hone_err encode_part(const hone_request *request, hone_str part, hone_buf *scratch,
                            hone_str *out) {
    char *spaced = hone_arena_strdup(request->arena, part);
    if (!spaced) return hone_err_new(HONE_E_NOMEM, "no memory for a query");
    for (size_t i = 0; i < part.len; i++)
        if (spaced[i] == '+') spaced[i] = ' ';
    hone_str plain = hone_percent_decode(request->arena, (hone_str){spaced, part.len});
    if (!plain.ptr) return malformed("the query's percent-encoding is broken");
    scratch->len = 0;
    push_encoded(scratch, plain, false);
    HONE_TRY(hone_buf_err(scratch));
    const char *copy = hone_arena_strdup(request->arena, hone_buf_str(scratch));
    if (!copy) return hone_err_new(HONE_E_NOMEM, "no memory for a query");
    *out = (hone_str){copy, scratch->len};
    return HONE_OK;
}

static int compare_parameters(const void *left, const void *right) {
    const parameter *a = left, *b = right;
    int order = hone_str_compare(a->name, b->name);
    return order != 0 ? order : hone_str_compare(a->value, b->value);
}

static hone_err push_query(hone_buf *out, const hone_request *request, hone_buf *scratch) {
    parameter *list = hone_arena_alloc(request->arena, PARAMETERS_MAX, sizeof *list);
    if (!list) return hone_err_new(HONE_E_NOMEM, "no memory for a query");
    size_t count = 0;
    for (hone_str rest = request->query; rest.len > 0;) {
        hone_str value = cut(&rest, '&');
        if (value.len == 0) continue;
        if (count == PARAMETERS_MAX) return malformed("the query has too many parameters");
        hone_str name = cut(&value, '=');
        HONE_TRY(encode_part(request, name, scratch, &list[count].name));
        HONE_TRY(encode_part(request, value, scratch, &list[count].value));
        count++;
    }
    if (count > 1) qsort(list, count, sizeof *list, compare_parameters);
    for (size_t i = 0; i < count; i++)
        hone_buf_printf(out, "%s%.*s=%.*s", i > 0 ? "&" : "", HONE_ARG(list[i].name),
                        HONE_ARG(list[i].value));
    hone_buf_push_char(out, '\n');
    return HONE_OK;
}

/* Spaces within a value count as one. */
static void push_value(hone_buf *out, hone_str value) {
    value = trim(value);
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] != ' ' || value.ptr[i - 1] != ' ') hone_buf_push_char(out, value.ptr[i]);
}

static hone_err push_header(hone_buf *out, const hone_request *request, hone_str name) {
    size_t count = 0;
    hone_buf_push(out, name);
    hone_buf_push_char(out, ':');
    for (size_t i = 0; i < request->header_count; i++) {
        if (!hone_str_equal(request->headers[i].name, name)) continue;
        if (count++ > 0) hone_buf_push_char(out, ',');
        push_value(out, request->headers[i].value);
    }
    hone_buf_push_char(out, '\n');
    if (count == 0) return malformed("a signed header was not sent");
    return HONE_OK;
}

static bool is_signed(const hone_str *names, size_t count, hone_str name) {
    for (size_t i = 0; i < count; i++)
        if (hone_str_equal(names[i], name)) return true;
    return false;
}

/* What changes the meaning of a request must be under the signature. */
static hone_err check_signed(const hone_request *request, const hone_str *names, size_t count) {
    if (!is_signed(names, count, HONE_S("host")) || !is_signed(names, count, HONE_S("x-amz-date")))
        return malformed("host and x-amz-date must be signed");
    for (size_t i = 0; i < request->header_count; i++) {
        hone_str name = request->headers[i].name;
        bool matters = hone_str_has_prefix(name, HONE_S("x-amz-")) ||
                       hone_str_equal(name, HONE_S("content-type"));
        if (matters && !is_signed(names, count, name))
            return hone_err_new(HONE_E_CORRUPT, "the header '%.*s' must be signed", HONE_ARG(name));
    }
    return HONE_OK;
}

static hone_err push_headers(hone_buf *out, const hone_request *request, const hone_sigv4 *sig) {
    hone_str names[SIGNED_HEADERS_MAX];
    size_t count = 0;
    for (hone_str rest = sig->signed_headers; rest.len > 0;) {
        hone_str name = cut(&rest, ';');
        if (count == SIGNED_HEADERS_MAX || name.len == 0 ||
            (count > 0 && hone_str_compare(names[count - 1], name) >= 0))
            return malformed("SignedHeaders is no sorted list of names");
        HONE_TRY(push_header(out, request, name));
        names[count++] = name;
    }
    HONE_TRY(check_signed(request, names, count));
    hone_buf_push_char(out, '\n');
    hone_buf_push(out, sig->signed_headers);
    hone_buf_push_char(out, '\n');
    return HONE_OK;
}

/* ---- the body and the date ---- */

/* What stands for the body in the canonical request. */
static hone_err body_hash(const hone_request *request, char real[HASH_HEX + 1], hone_str *out) {
    *out = hone_request_header(request, "x-amz-content-sha256");
    if (out->len == 0) {
        HONE_TRY(sha256_hex(request->body, real));
        *out = (hone_str){real, HASH_HEX};
        return HONE_OK;
    }
    bool is_open = hone_str_equal(*out, hone_str_of(UNSIGNED)) ||
                   hone_str_equal(*out, hone_str_of(STREAMING));
    if (is_open && !request->is_tls)
        return hone_err_new(HONE_E_INVALID, "a body may be unsigned only over TLS");
    if (!is_open && !is_hex(*out))
        return hone_err_new(HONE_E_INVALID, "x-amz-content-sha256 is none that hone knows");
    return HONE_OK;
}

static hone_err check_body(const hone_request *request, hone_str stated) {
    char real[HASH_HEX + 1];
    if (!is_hex(stated)) return HONE_OK; /* unsigned, over TLS */
    HONE_TRY(sha256_hex(request->body, real));
    if (memcmp(real, stated.ptr, HASH_HEX) != 0)
        return hone_err_new(HONE_E_INVALID, "the body is not the one that was signed");
    return HONE_OK;
}

static bool read_digits(const char *s, size_t count, int *out) {
    *out = 0;
    for (size_t i = 0; i < count; i++) {
        if (s[i] < '0' || s[i] > '9') return false;
        *out = *out * 10 + (s[i] - '0');
    }
    return true;
}

/* "20261124T060259Z" */
static bool parse_date(hone_str s, int64_t *ms) {
    struct tm t = {0};
    if (s.len != DATE_SIZE || s.ptr[8] != 'T' || s.ptr[15] != 'Z') return false;
    if (!read_digits(s.ptr, 4, &t.tm_year) || !read_digits(s.ptr + 4, 2, &t.tm_mon) ||
        !read_digits(s.ptr + 6, 2, &t.tm_mday) || !read_digits(s.ptr + 9, 2, &t.tm_hour) ||
        !read_digits(s.ptr + 11, 2, &t.tm_min) || !read_digits(s.ptr + 13, 2, &t.tm_sec))
        return false;
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    *ms = (int64_t)timegm(&t) * 1000;
    return true;
}

static hone_err check_date(const hone_request *request, const hone_sigv4 *sig, int64_t now_ms) {
    hone_str date = hone_request_header(request, "x-amz-date");
    int64_t ms = 0;
    if (!parse_date(date, &ms)) return malformed("x-amz-date is no date like 20261124T060259Z");
    if (!hone_str_has_prefix(date, sig->date))
        return malformed("its day is not that of x-amz-date");
    if (ms < now_ms - WINDOW_MS || ms > now_ms + WINDOW_MS)
        return hone_err_new(HONE_E_CLOSED, "the request's date is more than 15 minutes off");
    return HONE_OK;
}

/* ---- the signature ---- */

static hone_err make_canonical(const hone_request *request, const hone_sigv4 *sig, hone_str hash,
                               hone_buf *out, hone_buf *scratch) {
    hone_buf_push(out, request->method);
    hone_buf_push_char(out, '\n');
    HONE_TRY(push_path(out, request, hone_str_equal(sig->service, HONE_S("s3"))));
    HONE_TRY(push_query(out, request, scratch));
    HONE_TRY(push_headers(out, request, sig));
    hone_buf_push(out, hash);
    return hone_buf_err(out);
}

static hone_err sign(const hone_request *request, const hone_sigv4 *sig, hone_str secret,
                     const char *canonical_hash, hone_buf *scratch, char hex[HASH_HEX + 1]) {
    unsigned char key[HASH_BYTES];
    hone_str chain = {(const char *)key, HASH_BYTES};
    scratch->len = 0;
    hone_buf_printf(scratch, "AWS4%.*s", HONE_ARG(secret));
    HONE_TRY(hone_buf_err(scratch));
    HONE_TRY(hmac(hone_buf_str(scratch), sig->date, key));
    HONE_TRY(hmac(chain, sig->region, key));
    HONE_TRY(hmac(chain, sig->service, key));
    HONE_TRY(hmac(chain, HONE_S("aws4_request"), key));

    scratch->len = 0;
    hone_buf_printf(scratch, "AWS4-HMAC-SHA256\n%.*s\n%.*s/%.*s/%.*s/aws4_request\n%s",
                    HONE_ARG(hone_request_header(request, "x-amz-date")), HONE_ARG(sig->date),
                    HONE_ARG(sig->region), HONE_ARG(sig->service), canonical_hash);
    HONE_TRY(hone_buf_err(scratch));
    HONE_TRY(hmac(chain, hone_buf_str(scratch), key));
    to_hex(key, hex);
    gnutls_memset(key, 0, sizeof key);
    return HONE_OK;
}

static hone_err check(const hone_request *request, const hone_sigv4 *sig, hone_str secret,
                      hone_buf *canonical, hone_buf *scratch) {
    char real[HASH_HEX + 1], hash[HASH_HEX + 1], want[HASH_HEX + 1];
    hone_str stated;
    HONE_TRY(body_hash(request, real, &stated));
    HONE_TRY(make_canonical(request, sig, stated, canonical, scratch));
    HONE_TRY(sha256_hex(hone_buf_str(canonical), hash));
    HONE_TRY(sign(request, sig, secret, hash, scratch, want));
    if (sig->signature.len != HASH_HEX || gnutls_memcmp(want, sig->signature.ptr, HASH_HEX) != 0)
        return hone_err_new(HONE_E_INVALID, "the signature does not match");
    return check_body(request, stated); /* last: it is the only one that takes time */
}

hone_err hone_sigv4_check(const hone_request *request, const hone_sigv4 *sig, hone_str secret,
                          int64_t now_ms) {
    hone_buf canonical, scratch;
    HONE_TRY(check_date(request, sig, now_ms));
    hone_buf_init_in(&canonical, request->arena, CANONICAL_LIMIT_BYTES);
    hone_buf_init_in(&scratch, request->arena, CANONICAL_LIMIT_BYTES);
    /* Enough for any secret, so that it never lies in memory that was outgrown. */
    if (!hone_buf_reserve(&scratch, USUAL_BYTES) || !hone_buf_reserve(&canonical, USUAL_BYTES))
        return hone_err_new(HONE_E_NOMEM, "no memory for a signature");
    hone_err err = check(request, sig, secret, &canonical, &scratch);
    if (scratch.ptr) gnutls_memset(scratch.ptr, 0, scratch.cap); /* it held the secret */
    return err;
}
