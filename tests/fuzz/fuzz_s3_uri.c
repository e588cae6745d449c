/* fuzz_s3_uri.c: s3://bucket/key as clients and documents write it; what is accepted is cut into
 * parts of the same text, and the bucket has a name that S3 would take. */
#include "store/objects.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    hone_str uri = {(const char *)data, size}, bucket, key;
    if (hone_failed(hone_s3_uri_parse(uri, &bucket, &key))) return 0;
    const char *end = uri.ptr + uri.len;
    if (bucket.len < 3 || bucket.len > HONE_BUCKET_MAX) abort();
    if (bucket.ptr != uri.ptr + 5 || key.ptr + key.len != end) abort();
    for (size_t i = 0; i < bucket.len; i++)
        if (bucket.ptr[i] == '/' || (bucket.ptr[i] >= 'A' && bucket.ptr[i] <= 'Z')) abort();
    return 0;
}
