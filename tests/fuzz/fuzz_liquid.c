/* fuzz_liquid.c: a template and an input, a NUL byte between them. Whatever renders must have
 * passed the check, and its page must be UTF-8. */
#include "base/json.h"
#include "base/utf8.h"
#include "review/liquid.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *bytes = (const char *)data;
    const char *cut = size > 0 ? memchr(bytes, '\0', size) : NULL;
    hone_str text = {bytes, cut ? (size_t)(cut - bytes) : size};
    hone_str rest = {bytes + text.len, size - text.len};
    json_t *input = NULL;
    hone_buf page;
    if (rest.len > 0) rest = (hone_str){rest.ptr + 1, rest.len - 1};
    if (rest.len == 0 || hone_failed(hone_json_parse(rest, "input", &input)))
        input = json_pack("{s:[s,i,f,b], s:s}", "a", "x", 1, 0.5, 1, "b", "<&>");
    hone_buf_init(&page, HONE_LIQUID_OUTPUT_MAX);
    bool passes = !hone_failed(hone_liquid_check(text));
    hone_err err = hone_liquid_render(text, input, &page);
    if (!hone_failed(err) && (!passes || hone_utf8_check(hone_buf_str(&page)) != page.len)) abort();
    hone_buf_done(&page);
    json_decref(input);
    return 0;
}
