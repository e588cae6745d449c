/* Any bytes as a safetensors file: refused with an error, or every tensor lies inside the
 * bytes, can be converted, is found under its name, and a tiny model can be looked for. */
#include "model/params.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Read every byte of a tensor, as floats where it holds floats. */
static void read_tensor(const hone_tensor *t, const uint8_t *data, size_t size) {
    const uint8_t *begin = t->data;
    if (begin < data || t->size_bytes > size - (size_t)(begin - data)) abort();
    if (t->dtype != HONE_F32 && t->dtype != HONE_F16 && t->dtype != HONE_BF16) return;
    float *values = malloc(t->count * sizeof *values + 1);
    if (!values) return;
    hone_tensor_to_f32(t, values);
    free(values);
}

static void look_for_model(const hone_safetensors *file, hone_family family) {
    const hone_config config = {.family = family,
                                .vocab = 2,
                                .hidden = 2,
                                .layers = 1,
                                .heads = 1,
                                .intermediate = 1,
                                .positions = 1,
                                .labels = 2,
                                .types = family == HONE_BERT ? 1 : 0};
    hone_params params;
    if (hone_failed(hone_params_create(&config, &params))) return;
    const hone_tensor **found = calloc(params.count, sizeof *found);
    if (found && !hone_failed(hone_params_find(&params, file, found)))
        for (size_t i = 0; i < params.count; i++)
            if (found[i] && found[i]->count != params.items[i].count) abort();
    free(found);
    hone_params_done(&params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    hone_safetensors *file = NULL;
    hone_str bytes = {(const char *)data, size};
    if (hone_failed(hone_safetensors_parse(bytes, "input", &file))) return 0;
    for (size_t i = 0; i < hone_safetensors_count(file); i++) {
        const hone_tensor *t = hone_safetensors_get(file, i);
        if (hone_safetensors_find(file, t->name) != t) abort();
        read_tensor(t, data, size);
    }
    look_for_model(file, HONE_BERT);
    look_for_model(file, HONE_DISTILBERT);
    hone_safetensors_close(file);
    return 0;
}
