/* digest.c: see digest.h. The hashing is GnuTLS's. */
#include "cli/digest.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include <stdio.h>
#include <strings.h>

enum { SHA256_BYTES = HONE_SHA256_HEX / 2, SHA1_BYTES = HONE_SHA1_HEX / 2 };

bool hone_digest_is_hex(hone_str s, size_t digits) {
    if (s.len != digits) return false;
    for (size_t i = 0; i < s.len; i++)
        if (!((s.ptr[i] >= '0' && s.ptr[i] <= '9') || (s.ptr[i] >= 'a' && s.ptr[i] <= 'f') ||
              (s.ptr[i] >= 'A' && s.ptr[i] <= 'F')))
            return false;
    return true;
}

static hone_err hash(gnutls_digest_algorithm_t algorithm, hone_str prefix, hone_str bytes,
                     size_t digest_bytes, char hex[HONE_DIGEST_SIZE]) {
    gnutls_hash_hd_t state = NULL;
    unsigned char digest[SHA256_BYTES];
    int code = gnutls_hash_init(&state, algorithm);
    if (code == 0) {
        code = gnutls_hash(state, prefix.ptr, prefix.len);
        if (code == 0 && bytes.len > 0) code = gnutls_hash(state, bytes.ptr, bytes.len);
        gnutls_hash_deinit(state, digest);
    }
    if (code != 0) return hone_err_new(HONE_E_IO, "cannot hash: %s", gnutls_strerror(code));
    for (size_t i = 0; i < digest_bytes; i++) (void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return HONE_OK;
}

hone_err hone_digest_sha256(hone_str bytes, char hex[HONE_DIGEST_SIZE]) {
    return hash(GNUTLS_DIG_SHA256, HONE_S(""), bytes, SHA256_BYTES, hex);
}

/* The name that git gives a file with these bytes: SHA-1 of "blob <size>\0<bytes>". */
static hone_err git_blob(hone_str bytes, char hex[HONE_DIGEST_SIZE]) {
    char prefix[32]; /* its NUL is part of what git hashes */
    int n = snprintf(prefix, sizeof prefix, "blob %zu", bytes.len);
    return hash(GNUTLS_DIG_SHA1, (hone_str){prefix, (size_t)n + 1}, bytes, SHA1_BYTES, hex);
}

hone_err hone_digest_check(hone_str bytes, hone_str expected, const char *what) {
    char hex[HONE_DIGEST_SIZE] = "";
    if (hone_digest_is_hex(expected, HONE_SHA256_HEX))
        HONE_TRY(hone_digest_sha256(bytes, hex));
    else if (hone_digest_is_hex(expected, HONE_SHA1_HEX))
        HONE_TRY(git_blob(bytes, hex));
    else
        return HONE_OK;
    if (strncasecmp(hex, expected.ptr, expected.len) == 0) return HONE_OK;
    return hone_err_new(HONE_E_CORRUPT, "%s has the %s %s, expected %.*s", what,
                        expected.len == HONE_SHA256_HEX ? "sha256" : "git sha1", hex,
                        HONE_ARG(expected));
}
