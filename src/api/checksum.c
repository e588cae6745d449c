/* checksum.c: see checksum.h. CRC-32 is zlib's; the other two CRCs go byte by byte through a table
 * that is made at the first use. */
#include "api/checksum.h"

#include <assert.h>
#include <pthread.h>
#include <zlib.h>

static const char *const headers[] = {
    [HONE_CRC32] = "x-amz-checksum-crc32",         [HONE_CRC32C] = "x-amz-checksum-crc32c",
    [HONE_CRC64NVME] = "x-amz-checksum-crc64nvme", [HONE_SHA1] = "x-amz-checksum-sha1",
    [HONE_SHA256] = "x-amz-checksum-sha256",
};
_Static_assert(sizeof headers / sizeof headers[0] == HONE_CHECKSUM_COUNT, "a name for each");

const char *hone_checksum_header(hone_checksum_kind kind) { return headers[kind]; }

/* ---- CRCs ---- */

/* Both polynomials bit-reversed, as the sums go from the least significant bit. */
static const uint64_t CRC32C_POLYNOMIAL = UINT64_C(0x82F63B78);
static const uint64_t CRC64NVME_POLYNOMIAL = UINT64_C(0x9A6C9329AC4BC9B5);

/* Written once, under pthread_once; read-only after. */
static uint64_t table_crc32c[256], table_crc64nvme[256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void make_table(uint64_t polynomial, uint64_t table[256]) {
    for (uint64_t i = 0; i < 256; i++) {
        uint64_t crc = i;
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ polynomial : crc >> 1;
        table[i] = crc;
    }
}

static void make_tables(void) {
    make_table(CRC32C_POLYNOMIAL, table_crc32c);
    make_table(CRC64NVME_POLYNOMIAL, table_crc64nvme);
}

static uint64_t crc_add(const uint64_t table[256], uint64_t crc, hone_str bytes) {
    for (size_t i = 0; i < bytes.len; i++)
        crc = table[(crc ^ (unsigned char)bytes.ptr[i]) & 0xFF] ^ crc >> 8;
    return crc;
}

/* ---- sums ---- */

void hone_checksum_init(hone_checksum *sum, hone_checksum_kind kind) {
    assert(kind < HONE_CHECKSUM_COUNT);
    *sum = (hone_checksum){.kind = kind};
    switch (kind) {
    case HONE_CRC32:
        break;
    case HONE_CRC32C:
        sum->crc = UINT32_MAX;
        break;
    case HONE_CRC64NVME:
        sum->crc = UINT64_MAX;
        break;
    case HONE_SHA1:
        sum->failed = gnutls_hash_init(&sum->hash, GNUTLS_DIG_SHA1);
        break;
    case HONE_SHA256:
        sum->failed = gnutls_hash_init(&sum->hash, GNUTLS_DIG_SHA256);
        break;
    case HONE_CHECKSUM_COUNT:
        break;
    }
    (void)pthread_once(&tables_once, make_tables); /* fails for a bad argument alone */
}

void hone_checksum_add(hone_checksum *sum, hone_str bytes) {
    if (bytes.len == 0) return;
    switch (sum->kind) {
    case HONE_CRC32:
        sum->crc = crc32_z((uLong)sum->crc, (const Bytef *)bytes.ptr, bytes.len);
        break;
    case HONE_CRC32C:
        sum->crc = crc_add(table_crc32c, sum->crc, bytes);
        break;
    case HONE_CRC64NVME:
        sum->crc = crc_add(table_crc64nvme, sum->crc, bytes);
        break;
    case HONE_SHA1:
    case HONE_SHA256:
        if (sum->failed == 0) sum->failed = gnutls_hash(sum->hash, bytes.ptr, bytes.len);
        break;
    case HONE_CHECKSUM_COUNT:
        break;
    }
}

void hone_base64_format(const unsigned char *bytes, size_t count, char *text, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    assert(size > (count + 2) / 3 * 4);
    (void)size;
    for (size_t i = 0; i < count; i += 3) {
        uint32_t group = (uint32_t)bytes[i] << 16;
        if (i + 1 < count) group |= (uint32_t)bytes[i + 1] << 8;
        if (i + 2 < count) group |= bytes[i + 2];
        *text++ = digits[group >> 18];
        *text++ = digits[group >> 12 & 63];
        *text++ = (char)(i + 1 < count ? digits[group >> 6 & 63] : '=');
        *text++ = (char)(i + 2 < count ? digits[group & 63] : '=');
    }
    *text = '\0';
}

void hone_checksum_drop(hone_checksum *sum) {
    if (sum->hash) gnutls_hash_deinit(sum->hash, NULL);
    sum->hash = NULL;
}

hone_err hone_checksum_done(hone_checksum *sum, char text[HONE_CHECKSUM_TEXT_SIZE]) {
    unsigned char bytes[32] = {0};
    size_t count = sum->kind == HONE_CRC64NVME ? 8 : 4;
    if (sum->kind == HONE_SHA1 || sum->kind == HONE_SHA256) {
        count = sum->kind == HONE_SHA1 ? 20 : 32;
        if (sum->hash) gnutls_hash_deinit(sum->hash, bytes);
        sum->hash = NULL;
    } else {
        if (sum->kind == HONE_CRC32C) sum->crc ^= UINT32_MAX;
        if (sum->kind == HONE_CRC64NVME) sum->crc ^= UINT64_MAX;
        for (size_t i = 0; i < count; i++) bytes[i] = (sum->crc >> 8 * (count - 1 - i)) & 0xFF;
    }
    if (sum->failed != 0)
        return hone_err_new(HONE_E_IO, "cannot hash: %s", gnutls_strerror(sum->failed));
    hone_base64_format(bytes, count, text, HONE_CHECKSUM_TEXT_SIZE);
    return HONE_OK;
}
