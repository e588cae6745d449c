/* checksum.h: the checksums that S3 clients send along with a body, and compare answers with.
 *
 *     header or trailer x-amz-checksum-<algorithm>: base64 of the sum, most significant byte first
 */
#ifndef HONE_API_CHECKSUM_H
#define HONE_API_CHECKSUM_H

#include "base/err.h"
#include "base/str.h"

#include <gnutls/crypto.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum hone_checksum_kind {
    HONE_CRC32,
    HONE_CRC32C,
    HONE_CRC64NVME,
    HONE_SHA1,
    HONE_SHA256,
    HONE_CHECKSUM_COUNT,
} hone_checksum_kind;

enum { HONE_CHECKSUM_TEXT_SIZE = 48 }; /* bytes that a sum in base64 takes at most, terminated */

typedef struct hone_checksum {
    hone_checksum_kind kind;
    uint64_t crc;
    gnutls_hash_hd_t hash;
    int failed; /* what GnuTLS said; 0 = well */
} hone_checksum;

/* "x-amz-checksum-crc32" */
const char *hone_checksum_header(hone_checksum_kind kind);

void hone_checksum_init(hone_checksum *sum, hone_checksum_kind kind);
void hone_checksum_add(hone_checksum *sum, hone_str bytes);
/* Drop a sum that is not wanted any more. */
void hone_checksum_drop(hone_checksum *sum);
/* Ends the sum, also on failure: IO from GnuTLS. */
HONE_NODISCARD hone_err hone_checksum_done(hone_checksum *sum, char text[HONE_CHECKSUM_TEXT_SIZE]);

/* The base64 of bytes, terminated; size is that of text, enough for it (4 for 3 bytes, and 1). */
void hone_base64_format(const unsigned char *bytes, size_t count, char *text, size_t size);

#endif
