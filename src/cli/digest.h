/* digest.h: the fingerprints by which a model's files are known.
 */
#ifndef HONE_CLI_DIGEST_H
#define HONE_CLI_DIGEST_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

enum {
    HONE_SHA256_HEX = 64, /* hex digits */
    HONE_SHA1_HEX = 40,
    HONE_DIGEST_SIZE = HONE_SHA256_HEX + 1,
};

/* Exactly `digits` hex digits, of either case? */
bool hone_digest_is_hex(hone_str s, size_t digits);

/* SHA-256 of bytes as lower-case hex. IO when the library refuses. */
HONE_NODISCARD hone_err hone_digest_sha256(hone_str bytes, char hex[HONE_DIGEST_SIZE]);

/* CORRUPT, with both digests, when bytes do not have the one expected: 64 hex digits are a
 * SHA-256, 40 a git blob name, anything else nothing to check. what names the bytes. */
HONE_NODISCARD hone_err hone_digest_check(hone_str bytes, hone_str expected, const char *what);

#endif
