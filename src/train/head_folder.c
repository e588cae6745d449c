/* head_folder.c: a logistic regression on embeddings, written as the weights of a BERT or a
 * DistilBERT. head.h says how; every number that is not said here is 0. */
#include "train/head_impl.h"

#include "model/params.h"
#include "train/folder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* BERT's pooler multiplies by this: tanh(z / 4096) is straight to 1e-5 up to |z| = 20. */
static const float small = 1.0F / 4096;

typedef struct folder {
    const hone_config *config; /* of the result */
    hone_params params;
    float *values; /* [params.total] */
    size_t base_layers;
} folder;

static float *at(const folder *f, size_t index) {
    return f->values + f->params.items[index].offset;
}

static void set_all(float *values, size_t count, float value) {
    for (size_t i = 0; i < count; i++) values[i] = value;
}

static void set_diagonal(float *matrix, size_t size, float value) {
    for (size_t i = 0; i < size; i++) matrix[i * size + i] = value;
}

/* The base's tensors up to its head: they stand first, in the same order. */
static hone_err copy_base(folder *f, const hone_config *base, const hone_safetensors *file,
                          const hone_tensor **found) {
    hone_params params;
    HONE_TRY(hone_params_create(base, &params));
    hone_err err = hone_params_find(&params, file, found);
    for (size_t i = 0; !hone_failed(err) && i < hone_params_head(&params, HONE_POOL_W); i++)
        if (params.items[i].rank > 0) hone_tensor_to_f32(found[i], at(f, i));
    hone_params_done(&params);
    return err;
}

static hone_err load_base(hone_arena *arena, folder *f, const char *dir) {
    hone_config base = {0};
    hone_safetensors *file = NULL;
    char *path = NULL;
    const hone_tensor **found = hone_arena_alloc(arena, f->params.count, sizeof(hone_tensor *));
    if (!found || asprintf(&path, "%s/model.safetensors", dir) < 0)
        return hone_err_new(HONE_E_NOMEM, "no memory for a table of tensors");
    hone_err err = hone_config_load(dir, &base);
    if (!hone_failed(err)) err = hone_safetensors_open(path, &file);
    if (!hone_failed(err)) err = copy_base(f, &base, file, found);
    hone_safetensors_close(file);
    hone_config_done(&base);
    free(path);
    return err;
}

/* A layer whose output is the norm of the mean of all tokens. */
static void write_mean_layer(const folder *f, size_t layer) {
    size_t hidden = f->config->hidden;
    set_diagonal(at(f, hone_params_layer(layer, HONE_V_W)), hidden, 1);
    set_diagonal(at(f, hone_params_layer(layer, HONE_OUT_W)), hidden, HONE_HEAD_SCALE);
    set_all(at(f, hone_params_layer(layer, HONE_NORM1_W)), hidden, 1);
    set_all(at(f, hone_params_layer(layer, HONE_NORM2_W)), hidden, 1);
}

/* More than any element of the last norm's output can be below 0: a normed vector of n
 * elements has none above sqrt(n - 1). */
static float norm_bound(const folder *f) {
    size_t last = f->config->layers - 1, hidden = f->config->hidden;
    const float *weight = at(f, hone_params_layer(last, HONE_NORM2_W));
    const float *bias = at(f, hone_params_layer(last, HONE_NORM2_B));
    float most = 0;
    for (size_t i = 0; i < hidden; i++)
        most = fmaxf(most, sqrtf((float)hidden) * fabsf(weight[i]) + fabsf(bias[i]));
    return most;
}

/* The pooler as the identity, and the classifier on what it makes of z:
 * tanh(small z) = small z, relu(z + bound) = z + bound. */
static void write_head(const folder *f, const hone_logistic *fit) {
    size_t hidden = f->config->hidden;
    bool is_bert = f->config->family == HONE_BERT;
    float factor = is_bert ? small : 1, bound = is_bert ? 0 : norm_bound(f);
    float *weight = at(f, hone_params_head(&f->params, HONE_HEAD_W));
    float *bias = at(f, hone_params_head(&f->params, HONE_HEAD_B));
    set_diagonal(at(f, hone_params_head(&f->params, HONE_POOL_W)), hidden, factor);
    set_all(at(f, hone_params_head(&f->params, HONE_POOL_B)), hidden, bound);
    double length = sqrt((double)hidden); /* the embeddings were divided by it */
    for (size_t k = 0; k < fit->classes; k++) {
        double constant = fit->bias[k];
        for (size_t i = 0; i < hidden; i++) {
            float w = (float)(fit->weight[k * hidden + i] / (length * (double)factor));
            weight[k * hidden + i] = w;
            constant -= (double)w * (double)bound;
        }
        bias[k] = (float)constant;
    }
}

hone_err hone_head_save(hone_arena *arena, const hone_head_options *options, hone_config *config,
                        const hone_logistic *fit) {
    folder f = {.config = config, .base_layers = config->layers};
    bool is_mean = options->pooling == HONE_POOLING_MEAN;
    if (is_mean) HONE_TRY(hone_config_set_layers(config, config->layers + 1));
    HONE_TRY(hone_params_create(config, &f.params));
    f.values = hone_arena_alloc(arena, f.params.total, sizeof *f.values);
    hone_err err = f.values
                       ? load_base(arena, &f, options->base)
                       : hone_err_new(HONE_E_NOMEM, "no memory for %zu parameters", f.params.total);
    if (!hone_failed(err)) {
        if (is_mean) write_mean_layer(&f, f.base_layers);
        write_head(&f, fit);
        err = hone_folder_save(options->out, options->base, config, &f.params, f.values);
    }
    hone_params_done(&f.params);
    return err;
}
