/* Any bytes as a prediction's request: refused with an error, or its answer for made-up logits is
 * JSON with something for every text. The first byte chooses the content type. */
#include "api/toolkit.h"

#include "base/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"a", "b\xff", ""};
enum { LABELS = 3 };

static void check_answer(const hone_toolkit_call *call, hone_str answer) {
    json_error_t e;
    json_t *json = json_loadb(answer.ptr, answer.len, 0, &e);
    if (!json_is_array(json) || json_array_size(json) == 0) abort();
    if (call->is_list && json_array_size(json) != call->count) abort();
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const types[] = {"application/json", "text/plain", ""};
    if (size == 0) return 0;
    hone_arena *arena = NULL;
    hone_toolkit_call call;
    hone_str body = {(const char *)data + 1, size - 1};
    if (hone_failed(hone_arena_create((size_t)16 << 20, &arena))) return 0;
    hone_err err = hone_toolkit_parse(arena, hone_str_of(types[data[0] % 3]), body, &call);
    float *logits = hone_failed(err) ? NULL : calloc(call.count * LABELS, sizeof *logits);
    if (logits) {
        hone_buf out;
        hone_buf_init(&out, (size_t)16 << 20);
        for (size_t i = 0; i < call.count * LABELS; i++) logits[i] = (float)(i % 7) - 3.0F;
        err = hone_toolkit_format(&call, &(hone_toolkit_labels){names, LABELS, false}, logits,
                                  &out);
        if (!hone_failed(err)) check_answer(&call, hone_buf_str(&out));
        hone_buf_done(&out);
    }
    free(logits);
    hone_toolkit_done(&call);
    hone_arena_destroy(arena);
    return 0;
}
