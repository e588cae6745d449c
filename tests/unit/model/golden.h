/* golden.h: a padded batch of a golden file, packed: the tokens where mask is 1. */
#ifndef HONE_TESTS_MODEL_GOLDEN_H
#define HONE_TESTS_MODEL_GOLDEN_H

#include "check.h"

#include "model/safetensors.h"
#include "nn/pack.h"

typedef struct golden_batch {
    hone_safetensors *file;
    hone_pack pack;
    int32_t *ids, *types, *starts;
    size_t *padded_row; /* [tokens]: where a packed row is in the padded matrices */
} golden_batch;

static inline int64_t golden_i64(const hone_tensor *t, size_t index) {
    int64_t value;
    memcpy(&value, (const char *)t->data + 8 * index, 8);
    return value;
}

static inline double golden_f32(const hone_tensor *t, size_t index) {
    float value;
    memcpy(&value, (const char *)t->data + 4 * index, 4);
    return (double)value;
}

static inline const hone_tensor *golden_tensor(const hone_safetensors *file, const char *name) {
    const hone_tensor *t = hone_safetensors_find(file, name);
    if (!t) fail_msg("golden has no %s", name);
    return t;
}

static inline golden_batch golden_load(const char *path) {
    golden_batch g = {0};
    CHECK_OK(hone_safetensors_open(path, &g.file));
    const hone_tensor *ids = golden_tensor(g.file, "ids"), *mask = golden_tensor(g.file, "mask");
    const hone_tensor *types = golden_tensor(g.file, "types");
    size_t batch = (size_t)ids->dims[0], width = (size_t)ids->dims[1], tokens = 0;
    g.ids = calloc(batch * width, sizeof *g.ids);
    g.types = calloc(batch * width, sizeof *g.types);
    g.starts = calloc(batch + 1, sizeof *g.starts);
    g.padded_row = calloc(batch * width, sizeof *g.padded_row);
    for (size_t i = 0; i < batch * width; i++) {
        if (golden_i64(mask, i) != 0) {
            g.ids[tokens] = (int32_t)golden_i64(ids, i);
            g.types[tokens] = (int32_t)golden_i64(types, i);
            g.padded_row[tokens++] = i;
        }
        g.starts[i / width + 1] = (int32_t)tokens;
    }
    g.pack = (hone_pack){tokens, batch, g.ids, g.types, g.starts};
    return g;
}

static inline void golden_free(golden_batch *g) {
    free(g->ids);
    free(g->types);
    free(g->starts);
    free(g->padded_row);
    hone_safetensors_close(g->file);
}

#endif
