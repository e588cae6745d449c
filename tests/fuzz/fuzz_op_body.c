/* fuzz_op_body.c: the JSON body of an operation, and the fields that the List operations read. */
#include "api/api.h"

#include "base/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_fields(const json_t *in) {
    hone_page page;
    hone_str text;
    int64_t number = 0;
    if (!hone_failed(hone_in_page(in, 10, true, &page)) &&
        (page.limit < 1 || page.limit > 100 || page.offset < 0))
        abort();
    if (!hone_failed(hone_in_str(in, "Name", 1, 64, &text)) &&
        (text.len < 1 || text.len > 64 || hone_utf8_check(text) != text.len ||
         memchr(text.ptr, '\0', text.len)))
        abort();
    if (!hone_failed(hone_in_name(in, "Name", "endpoint", 63, false, &text)) &&
        !hone_name_is_valid(text, 63, false))
        abort();
    if (!hone_failed(hone_in_int(in, "Count", 1, 5, 3, &number)) && (number < 1 || number > 5))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    hone_request request = {.body = {(const char *)data, size}};
    hone_call call = {.request = &request};
    json_t *in = NULL;
    if (hone_failed(hone_call_json(&call, &in))) return 0;
    read_fields(in);
    json_decref(in);
    return 0;
}
