/* values.c: see values.h. */
#include "model/values.h"

#include "base/heap.h"
#include "model/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool same_labels(const hone_config *a, const hone_config *b) {
    if (a->labels != b->labels || a->problem != b->problem) return false;
    for (size_t i = 0; i < a->labels; i++)
        if (strcmp(a->label_names[i], b->label_names[i]) != 0) return false;
    return true;
}

/* Are b's labels those of a, and others behind them? Then a head can grow by them. */
static bool grows(const hone_config *a, const hone_config *b) {
    if (a->problem != HONE_SINGLE_LABEL || b->problem != a->problem || a->labels >= b->labels)
        return false;
    for (size_t i = 0; i < a->labels; i++)
        if (strcmp(a->label_names[i], b->label_names[i]) != 0) return false;
    return true;
}

float *hone_values_alloc(size_t count) {
    size_t bytes = hone_heap_rounded(count * sizeof(float));
    float *array = hone_heap_alloc(bytes);
    if (array) memset(array, 0, bytes);
    return array;
}

/* Where everything comes from and goes to. */
typedef struct loading {
    const hone_config *config; /* of what is made */
    const hone_params *params;
    hone_config file_config;
    hone_params file_params;
    hone_safetensors *file;
    uint64_t seed;
    float *values;
    bool *made_head;
} loading;

/* Every parameter from the file; those it lacks, and a head for other labels, made new. */
static void fill(loading *l, const hone_tensor *const *found) {
    bool relabelled = !same_labels(&l->file_config, l->config);
    bool grown = grows(&l->file_config, l->config);
    size_t pool = hone_params_head(l->params, HONE_POOL_W);
    size_t head = hone_params_head(l->params, HONE_HEAD_W);
    for (size_t i = 0; i < l->params->count; i++) {
        const hone_param *p = &l->params->items[i];
        if (p->rank == 0) continue;
        bool other = relabelled && i >= head;
        bool keep = found[i] && (!other || grown); /* of a grown head: the first rows */
        if (!keep || other)
            hone_params_init(l->params, i, l->config->init_std, l->seed, l->values + p->offset);
        if (keep) hone_tensor_to_f32(found[i], l->values + p->offset);
        if (i >= pool) l->made_head[i - pool] = !keep;
    }
}

static hone_err load_tensors(loading *l) {
    const hone_tensor **found = calloc(l->file_params.count, sizeof(const hone_tensor *));
    if (!found) return hone_err_new(HONE_E_NOMEM, "no memory for weights");
    hone_err err = hone_params_find(&l->file_params, l->file, found);
    if (!hone_failed(err)) {
        l->values = hone_values_alloc(l->params->total);
        if (!l->values)
            err = hone_err_new(HONE_E_NOMEM, "no memory for %zu parameters", l->params->total);
    }
    if (!hone_failed(err)) fill(l, found);
    free(found);
    return err;
}

hone_err hone_values_load(const char *dir, const hone_config *config, const hone_params *params,
                          uint64_t seed, float **values, bool *made_head) {
    loading l = {.config = config, .params = params, .seed = seed, .made_head = made_head};
    char *path = NULL;
    hone_err err = hone_config_refuse_adapter(dir);
    if (!hone_failed(err)) err = hone_config_load(dir, &l.file_config);
    if (!hone_failed(err)) err = hone_params_create(&l.file_config, &l.file_params);
    if (!hone_failed(err) && asprintf(&path, "%s/model.safetensors", dir) < 0) {
        path = NULL;
        err = hone_err_new(HONE_E_NOMEM, "no memory for a path");
    }
    if (!hone_failed(err)) err = hone_safetensors_open(path, &l.file);
    if (!hone_failed(err)) {
        err = load_tensors(&l);
        if (hone_failed(err)) err = hone_err_wrap(err, "%s", path);
    }
    *values = l.values;
    hone_safetensors_close(l.file);
    free(path);
    hone_params_done(&l.file_params);
    hone_config_done(&l.file_config);
    return err;
}
