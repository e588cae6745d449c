/* Any bytes as a file of packed weights: refused, or the weights are what lies behind the head.
 * The sum of the head is made right first, or hardly any input would get past it; the key is the
 * one that the file has, or one that it has not. */
#include "base/hash.h"
#include "model/packed.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_LENGTH_AT = 24, SUM_AT = 32, KEY_AT = 40 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(hone_str file, hone_str key, bool is_own) {
    hone_str weights = {NULL, 0};
    uint64_t sum = 0;
    if (hone_failed(hone_packed_parse(file, key, &weights, &sum))) return;
    if (!is_own || weights.ptr != file.ptr + HONE_PACKED_HEAD_BYTES) abort();
    if (weights.ptr + weights.len != file.ptr + file.len) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *bytes = malloc(size + 1);
    if (!bytes) return 0;
    memcpy(bytes, data, size);
    hone_str file = {bytes, size}, key = {NULL, 0};
    check(file, HONE_S("no such key"), false);
    if (size >= HONE_PACKED_HEAD_BYTES) {
        uint64_t length;
        memcpy(&length, bytes + KEY_LENGTH_AT, sizeof length);
        if (length <= HONE_PACKED_KEY_MAX) key = (hone_str){bytes + KEY_AT, (size_t)length};
        uint64_t sum = hone_hash(hone_hash(0, (hone_str){bytes, SUM_AT}), key);
        memcpy(bytes + SUM_AT, &sum, sizeof sum);
    }
    check(file, key, true);
    free(bytes);
    return 0;
}
