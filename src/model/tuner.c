/* tuner.c: see tuner.h. Holds the flat arrays and both packings of the weights; the passes
 * themselves are encoder.c and backward.c. */
#include "model/tuner.h"

#include "model/backward_impl.h"
#include "model/encoder_impl.h"
#include "model/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hone_tuner {
    hone_config config;
    hone_params params;
    float *values, *grads; /* [params.total] */
    const float **plain;   /* [params.count], into values */
    hone_shapes shapes;
    hone_packing forward, transposed;
    hone_weights weights;
    hone_acts acts;
    hone_backward_scratch scratch;
    float *dlogits;
    size_t dlogits_cap;
    int32_t pad_id;
    bool new_head;
    bool fresh;  /* no backward pass since the gradients were zeroed */
    bool packed; /* the packings hold the values */
};

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

static bool is_head(const hone_params *params, size_t index) {
    return index >= hone_params_head(params, HONE_HEAD_W);
}

static float *flat_array(size_t count) {
    size_t bytes = (count * sizeof(float) + 63) / 64 * 64;
    float *array = aligned_alloc(64, bytes);
    if (array) memset(array, 0, bytes);
    return array;
}

static hone_err allocate(hone_tuner *t) {
    t->values = flat_array(t->params.total);
    t->grads = flat_array(t->params.total);
    t->plain = calloc(t->params.count, sizeof(const float *));
    if (!t->values || !t->grads || !t->plain)
        return hone_err_new(HONE_E_NOMEM, "no memory to train %zu parameters", t->params.total);
    for (size_t i = 0; i < t->params.count; i++)
        t->plain[i] = t->values + t->params.items[i].offset;
    return HONE_OK;
}

/* Every parameter from the file; those it lacks, and a head for other labels, made new. Memory
 * is taken once the file has what config.json asks for, which may be anything. */
static hone_err load_values(hone_tuner *t, const hone_config *file_config,
                            const hone_params *file_params, const hone_safetensors *file,
                            uint64_t seed) {
    const hone_tensor **found = calloc(file_params->count, sizeof(const hone_tensor *));
    if (!found) return hone_err_new(HONE_E_NOMEM, "no memory for weights");
    hone_err err = hone_params_find(file_params, file, found);
    if (!hone_failed(err)) err = allocate(t);
    bool relabelled = !same_labels(file_config, &t->config);
    bool grown = grows(file_config, &t->config);
    for (size_t i = 0; i < t->params.count && !hone_failed(err); i++) {
        const hone_param *p = &t->params.items[i];
        if (p->rank == 0) continue;
        bool other = relabelled && is_head(&t->params, i);
        bool keep = found[i] && (!other || grown); /* of a grown head: the first rows */
        if (!keep || other)
            hone_params_init(&t->params, i, t->config.init_std, seed, t->values + p->offset);
        if (keep) hone_tensor_to_f32(found[i], t->values + p->offset);
        if (!keep && is_head(&t->params, i)) t->new_head = true;
    }
    free(found);
    return err;
}

static hone_err load_file(hone_tuner *t, const char *dir, uint64_t seed) {
    hone_config file_config = {0};
    hone_params file_params = {0};
    hone_safetensors *file = NULL;
    char *path = NULL;
    hone_err err = hone_config_load(dir, &file_config);
    if (!hone_failed(err)) err = hone_params_create(&file_config, &file_params);
    if (!hone_failed(err) && asprintf(&path, "%s/model.safetensors", dir) < 0) {
        path = NULL;
        err = hone_err_new(HONE_E_NOMEM, "no memory for a path");
    }
    if (!hone_failed(err)) err = hone_safetensors_open(path, &file);
    if (!hone_failed(err)) {
        err = load_values(t, &file_config, &file_params, file, seed);
        if (hone_failed(err)) err = hone_err_wrap(err, "%s", path);
    }
    hone_safetensors_close(file);
    free(path);
    hone_params_done(&file_params);
    hone_config_done(&file_config);
    return err;
}

static hone_err build(hone_tuner *t, const char *dir, uint64_t seed) {
    int64_t pad_id = 0;
    HONE_TRY(
        hone_json_int(t->config.raw, "config.json", "pad_token_id", -1, INT32_MAX, 0, &pad_id));
    t->pad_id = (int32_t)pad_id;
    HONE_TRY(hone_params_create(&t->config, &t->params));
    HONE_TRY(load_file(t, dir, seed));
    HONE_TRY(hone_shapes_create(&t->config, HONE_DTYPE_F32, &t->shapes));
    HONE_TRY(hone_packing_create(&t->config, &t->shapes, false, &t->forward));
    HONE_TRY(hone_packing_create(&t->config, &t->shapes, true, &t->transposed));
    HONE_TRY(hone_acts_init(&t->config, true, &t->acts));
    t->weights = (hone_weights){&t->config, &t->params,  t->plain,
                                &t->shapes, &t->forward, hone_ops_best()};
    t->fresh = true;
    return HONE_OK;
}

hone_err hone_tuner_create(const char *dir, hone_config config, uint64_t seed, hone_tuner **out) {
    hone_tuner *t = calloc(1, sizeof *t);
    if (!t) {
        hone_config_done(&config);
        return hone_err_new(HONE_E_NOMEM, "no memory for a training");
    }
    t->config = config;
    hone_err err = build(t, dir, seed);
    if (hone_failed(err))
        hone_tuner_destroy(t);
    else
        *out = t;
    return err;
}

void hone_tuner_destroy(hone_tuner *t) {
    if (!t) return;
    free(t->dlogits);
    hone_backward_done(&t->scratch);
    hone_acts_done(&t->acts);
    hone_packing_done(&t->transposed);
    hone_packing_done(&t->forward);
    hone_shapes_done(&t->shapes);
    free(t->plain);
    free(t->grads);
    free(t->values);
    hone_params_done(&t->params);
    hone_config_done(&t->config);
    free(t);
}

const hone_config *hone_tuner_config(const hone_tuner *tuner) { return &tuner->config; }
const hone_params *hone_tuner_params(const hone_tuner *tuner) { return &tuner->params; }
bool hone_tuner_has_new_head(const hone_tuner *tuner) { return tuner->new_head; }
float *hone_tuner_values(hone_tuner *tuner) { return tuner->values; }
float *hone_tuner_grads(hone_tuner *tuner) { return tuner->grads; }
void hone_tuner_changed(hone_tuner *tuner) { tuner->packed = false; }

hone_err hone_tuner_check(const hone_tuner *tuner, const hone_pack *batch) {
    return hone_pack_check(&tuner->config, batch);
}

/* Is this gradient written, not added to, by the first backward pass of a step? */
static bool is_overwritten(const hone_params *params, size_t index) {
    if (index < HONE_EMBED_SLOTS || params->items[index].rank != 2) return false;
    return index != hone_params_head(params, HONE_HEAD_W);
}

static void zero_piece(void *ctx, size_t index, size_t worker) {
    hone_tuner *t = ctx;
    const hone_param *p = &t->params.items[index];
    (void)worker;
    if (!is_overwritten(&t->params, index))
        memset(t->grads + p->offset, 0, p->count * sizeof *t->grads);
}

void hone_tuner_zero_grads(hone_tuner *tuner, hone_pool *pool) {
    hone_pool_run(pool, tuner->params.count, zero_piece, tuner);
    tuner->fresh = true;
}

/* The packings follow the values when somebody needs them. */
static hone_err pack(hone_tuner *t, hone_pool *pool) {
    if (t->packed) return HONE_OK;
    HONE_TRY(hone_packing_fill(&t->forward, &t->params, t->plain, pool));
    HONE_TRY(hone_packing_fill(&t->transposed, &t->params, t->plain, pool));
    t->packed = true;
    return HONE_OK;
}

static hone_err run_forward(hone_tuner *t, hone_pass *pass) {
    HONE_TRY(pack(t, pass->pool));
    HONE_TRY(hone_acts_reserve(&t->acts, &t->weights, pass->batch, hone_pool_threads(pass->pool)));
    hone_pass_forward(pass);
    return HONE_OK;
}

hone_err hone_tuner_forward(hone_tuner *tuner, hone_pool *pool, const hone_pack *batch,
                            hone_logits *out) {
    hone_pass pass = {.weights = &tuner->weights,
                      .batch = batch,
                      .acts = &tuner->acts,
                      .pool = pool,
                      .layers = tuner->config.layers,
                      .first_only = true};
    HONE_TRY(run_forward(tuner, &pass));
    *out = (hone_logits){batch->sequences, tuner->config.labels, tuner->acts.logits};
    return HONE_OK;
}

/* Cross-entropy of one row: -log softmax(z)[label]; d = weight * (softmax(z) - onehot). */
static double cross_entropy(const float *z, size_t labels, int32_t label, float weight, float *d) {
    double most = (double)z[0], total = 0.0;
    for (size_t i = 1; i < labels; i++) most = fmax(most, (double)z[i]);
    for (size_t i = 0; i < labels; i++) total += exp((double)z[i] - most);
    for (size_t i = 0; i < labels; i++) d[i] = (float)(exp((double)z[i] - most) / total) * weight;
    d[label] -= weight;
    return log(total) + most - (double)z[label];
}

/* Loss of every sequence, summed, and the gradient of weight * loss by the logits. Mean
 * squared error for regression, over one output. */
static double loss_of(const hone_tuner *t, size_t sequences, hone_targets targets, float weight) {
    size_t labels = t->config.labels;
    double sum = 0.0;
    for (size_t i = 0; i < sequences; i++) {
        const float *z = t->acts.logits + i * labels;
        float *d = t->dlogits + i * labels;
        if (t->config.problem == HONE_SINGLE_LABEL) {
            sum += cross_entropy(z, labels, targets.labels[i], weight, d);
            continue;
        }
        double gap = (double)z[0] - (double)targets.numbers[i];
        d[0] = (float)(2.0 * gap) * weight;
        sum += gap * gap;
    }
    return sum;
}

hone_err hone_tuner_backward(hone_tuner *t, hone_pool *pool, const hone_pack *batch,
                             hone_targets targets, hone_tune_step step, double *loss_sum) {
    hone_dropout_keys keys = {step.seed, step.step, step.micro};
    hone_pass pass = {.weights = &t->weights,
                      .batch = batch,
                      .acts = &t->acts,
                      .pool = pool,
                      .dropout = step.dropout ? &keys : NULL,
                      .layers = t->config.layers,
                      .first_only = true};
    size_t need = batch->sequences * t->config.labels;
    if (need > t->dlogits_cap) {
        free(t->dlogits);
        t->dlogits = calloc(need, sizeof *t->dlogits);
        t->dlogits_cap = t->dlogits ? need : 0;
        if (!t->dlogits) return hone_err_new(HONE_E_NOMEM, "no memory for %zu logits", need);
    }
    HONE_TRY(hone_backward_reserve(&t->scratch, &pass));
    HONE_TRY(run_forward(t, &pass));
    *loss_sum = loss_of(t, batch->sequences, targets, step.weight);
    hone_backward_run(&(hone_backward){.pass = &pass,
                                       .transposed = &t->transposed,
                                       .grads = t->grads,
                                       .fresh = t->fresh,
                                       .pad_id = t->pad_id,
                                       .dlogits = t->dlogits},
                      &t->scratch);
    t->fresh = false;
    return HONE_OK;
}
