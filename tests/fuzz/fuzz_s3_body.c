/* fuzz_s3_body.c: what S3 clients send as a body: XML, and the framing of aws-chunked. */
#include "api/aws_chunked.h"
#include "api/xml.h"

#include "base/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is read can be written, and is UTF-8. */
static hone_err element(void *ctx, const char *path, hone_str text) {
    hone_buf *out = ctx;
    if (*path == '\0' || hone_utf8_check(text) != text.len) abort();
    hone_xml_push_element(out, "x", text);
    return HONE_OK;
}

static void read_xml(hone_str bytes) {
    hone_buf out;
    hone_buf_init(&out, 1 << 20);
    hone_err err = hone_xml_read(bytes, element, &out);
    if (hone_failed(err) && !err.msg) abort();
    hone_buf_done(&out);
}

static void read_chunks(hone_str rest) {
    const char *end = rest.ptr + rest.len;
    hone_str data, name, value;
    do {
        if (hone_failed(hone_aws_chunk_next(&rest, &data))) return;
        if (data.ptr + data.len > end || rest.ptr + rest.len != end) abort();
    } while (data.len > 0);
    do {
        if (hone_failed(hone_aws_trailer_next(&rest, &name, &value))) return;
        if (rest.ptr + rest.len != end) abort();
    } while (name.len > 0);
    if (rest.len != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    hone_str bytes = {(const char *)data, size};
    read_xml(bytes);
    if (size > 0) read_chunks(bytes);
    return 0;
}
