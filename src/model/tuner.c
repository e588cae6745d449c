/* tuner.c: see tuner.h. Holds the flat arrays and both packings of the weights; the passes
 * themselves are encoder.c and backward.c. */
#include "model/tuner.h"

#include "model/backward_impl.h"
#include "model/beside_impl.h"
#include "model/encoder_impl.h"
#include "model/lora_impl.h"
#include "model/values.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hone_tuner {
    hone_config config;
    hone_params params;
    hone_dtype dtype;
    float *values; /* [params.total] */
    hone_trained trained;
    size_t first_layer; /* that is trained */
    float *grads;       /* [trained.total - trained.first] */
    uint8_t *used;      /* [rows]: see hone_tuner_used_rows */
    size_t rows;
    const float **plain; /* [params.count + params.extra], into values or adapted_values */
    hone_lora lora;
    float **adapted;       /* [layers, HONE_LORA_SLOTS]: the weight with its adapter, or where these
                              are beside the weights scale * B^T; NULL = none */
    float *adapted_values; /* where they lie */
    hone_beside beside;
    hone_lora_work lora_work;
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
    bool filled; /* and of what is not trained they do from the first time on */
};

static hone_err allocate(hone_tuner *t) {
    const hone_params *params = &t->params;
    t->grads = hone_values_alloc(params->total - t->trained.first);
    t->plain = calloc(params->count + params->extra, sizeof(const float *));
    t->rows = t->trained.first == 0 ? (size_t)params->items[HONE_WORD_EMB].dims[0] : 0;
    t->used = calloc(t->rows + 1, sizeof *t->used);
    if (!t->grads || !t->plain || !t->used)
        return hone_err_new(HONE_E_NOMEM, "no memory to train %zu parameters",
                            params->total - t->trained.first);
    for (size_t i = 0; i < params->count + params->extra; i++)
        t->plain[i] = t->values + params->items[i].offset;
    return HONE_OK;
}

/* Embeddings, layers, head and adapters stand one behind the other: what is trained is the
 * end. Where the layers have adapters it begins with what is new of the head, or with the
 * classifier, which always is as good as new. */
static void choose_trained(hone_tuner *t, size_t frozen_layers, bool pool) {
    size_t index = frozen_layers > 0 ? hone_params_layer(frozen_layers, HONE_Q_W) : 0;
    if (t->lora.rank > 0) index = hone_params_head(&t->params, pool ? HONE_POOL_W : HONE_HEAD_W);
    t->trained = (hone_trained){.items = t->params.items + index,
                                .count = t->params.count + t->params.extra - index,
                                .first = t->params.items[index].offset,
                                .total = t->params.total};
    t->first_layer = frozen_layers;
}

/* With a dropout of their inputs adapters cannot be packed into their weights. */
static bool is_beside(const hone_tuner *t) { return t->lora.dropout > 0; }

/* Is this parameter trained itself? */
static bool is_trained(const hone_tuner *t, size_t index) {
    return t->params.items[index].offset >= t->trained.first;
}

static hone_err load(hone_tuner *t, const char *dir, const hone_tuner_options *o) {
    bool made_head[HONE_HEAD_SLOTS] = {false};
    HONE_TRY(hone_values_load(dir, &t->config, &t->params, o->seed, &t->values, made_head));
    for (size_t i = 0; i < HONE_HEAD_SLOTS; i++) t->new_head = t->new_head || made_head[i];
    /* PEFT takes a name's end for the name, so to it a pre_classifier is a classifier, too. */
    bool pool = made_head[HONE_POOL_W] || t->config.family == HONE_DISTILBERT;
    choose_trained(t, o->frozen_layers, pool);
    return allocate(t);
}

/* Floats that the passes take of an adapter: of its weight with it, or of B. */
static size_t adapted_floats(const hone_tuner *t, size_t layer, hone_lora_slot slot) {
    if (!hone_lora_has(&t->lora, layer, slot)) return 0;
    size_t weight = hone_lora_weight(layer, slot);
    size_t b = hone_lora_index(&t->lora, &t->params, layer, slot) + 1;
    return t->params.items[is_beside(t) ? b : weight].count;
}

static hone_err add_adapters(hone_tuner *t, uint64_t seed) {
    if (t->lora.rank == 0) return HONE_OK;
    size_t places = t->config.layers * HONE_LORA_SLOTS, total = 0;
    hone_lora_init(&t->lora, &t->params, t->config.layers, seed, t->values);
    for (size_t i = 0; i < places; i++)
        total += adapted_floats(t, i / HONE_LORA_SLOTS, (hone_lora_slot)(i % HONE_LORA_SLOTS));
    t->adapted_values = hone_values_alloc(total);
    t->adapted = calloc(places, sizeof *t->adapted);
    if (!t->adapted_values || !t->adapted)
        return hone_err_new(HONE_E_NOMEM, "no memory for adapted weights");
    float *at = t->adapted_values;
    for (size_t i = 0; i < places; i++) {
        size_t layer = i / HONE_LORA_SLOTS;
        hone_lora_slot slot = (hone_lora_slot)(i % HONE_LORA_SLOTS);
        if (!hone_lora_has(&t->lora, layer, slot)) continue;
        t->adapted[i] = at;
        if (!is_beside(t)) t->plain[hone_lora_weight(layer, slot)] = at;
        at += adapted_floats(t, layer, slot);
    }
    t->beside = (hone_beside){&t->lora, t->adapted};
    return hone_lora_work_create(&t->lora, &t->config, &t->shapes, &t->lora_work);
}

static hone_err build(hone_tuner *t, const char *dir, const hone_tuner_options *o) {
    int64_t pad_id = 0;
    if (o->frozen_layers > t->config.layers)
        return hone_err_new(HONE_E_INVALID, "%zu layers to freeze, the model has %zu",
                            o->frozen_layers, t->config.layers);
    if (o->dtype == HONE_DTYPE_INT8)
        return hone_err_new(HONE_E_INVALID, "dtype int8: training is in f32 or bf16");
    t->dtype = o->dtype;
    HONE_TRY(
        hone_json_int(t->config.raw, "config.json", "pad_token_id", -1, INT32_MAX, 0, &pad_id));
    t->pad_id = (int32_t)pad_id;
    HONE_TRY(hone_params_create(&t->config, &t->params));
    HONE_TRY(hone_lora_choose(&t->config, &t->params, &o->lora, o->frozen_layers, &t->lora));
    HONE_TRY(hone_lora_add(&t->lora, t->config.layers, &t->params));
    HONE_TRY(load(t, dir, o));
    HONE_TRY(hone_shapes_create(&t->config, o->dtype, &t->shapes));
    HONE_TRY(add_adapters(t, o->seed));
    HONE_TRY(hone_packing_create(&t->config, &t->shapes, false, t->config.layers, &t->forward));
    /* Adapters change few of the matrices. Else each is needed once in a step, so a layer's are
     * packed when its turn has come. */
    size_t places = t->lora.rank > 0 ? t->config.layers : 1;
    HONE_TRY(hone_packing_create(&t->config, &t->shapes, true, places, &t->transposed));
    hone_acts_plan plan = {.keep = true,
                           .embeddings = t->trained.first == 0,
                           .recompute = o->recompute,
                           .first = t->first_layer};
    HONE_TRY(hone_acts_init(&t->config, plan, &t->acts));
    t->weights = (hone_weights){&t->config, &t->params,  t->plain,
                                &t->shapes, &t->forward, hone_ops_best()};
    t->fresh = true;
    return HONE_OK;
}

hone_err hone_tuner_create(const char *dir, hone_config config, const hone_tuner_options *options,
                           hone_tuner **out) {
    hone_tuner *t = calloc(1, sizeof *t);
    if (!t) {
        hone_config_done(&config);
        return hone_err_new(HONE_E_NOMEM, "no memory for a training");
    }
    t->config = config;
    hone_err err = build(t, dir, options);
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
    hone_lora_work_done(&t->lora_work);
    free(t->adapted_values);
    free(t->adapted);
    free(t->plain);
    free(t->used);
    free(t->grads);
    free(t->values);
    hone_params_done(&t->params);
    hone_config_done(&t->config);
    free(t);
}

const hone_config *hone_tuner_config(const hone_tuner *tuner) { return &tuner->config; }
const hone_params *hone_tuner_params(const hone_tuner *tuner) { return &tuner->params; }
const hone_trained *hone_tuner_trained(const hone_tuner *tuner) { return &tuner->trained; }
const hone_lora *hone_tuner_lora(const hone_tuner *tuner) { return &tuner->lora; }
bool hone_tuner_has_new_head(const hone_tuner *tuner) { return tuner->new_head; }
float *hone_tuner_values(hone_tuner *tuner) { return tuner->values; }
float *hone_tuner_grads(hone_tuner *tuner) { return tuner->grads; }
void hone_tuner_changed(hone_tuner *tuner) { tuner->packed = false; }

const uint8_t *hone_tuner_used_rows(const hone_tuner *tuner, size_t *count) {
    *count = tuner->rows;
    return tuner->used;
}

hone_err hone_tuner_check(const hone_tuner *tuner, const hone_pack *batch) {
    return hone_pack_check(&tuner->config, batch);
}

/* Is this gradient written, not added to, by the first backward pass of a step? */
static bool is_overwritten(const hone_params *params, size_t index) {
    if (index < HONE_EMBED_SLOTS || params->items[index].rank != 2) return false;
    return index != hone_params_head(params, HONE_HEAD_W);
}

static void zero_words(hone_tuner *t) {
    size_t width = t->config.hidden;
    for (size_t row = 0; row < t->rows; row++)
        if (t->used[row]) memset(t->grads + row * width, 0, width * sizeof *t->grads);
    memset(t->used, 0, t->rows);
}

static void zero_piece(void *ctx, size_t index, size_t worker) {
    hone_tuner *t = ctx;
    const hone_param *p = &t->trained.items[index];
    size_t place = (size_t)(p - t->params.items);
    (void)worker;
    if (place == HONE_WORD_EMB)
        zero_words(t);
    else if (!is_overwritten(&t->params, place))
        memset(t->grads + (p->offset - t->trained.first), 0, p->count * sizeof *t->grads);
}

void hone_tuner_zero_grads(hone_tuner *tuner, hone_pool *pool) {
    hone_pool_run(pool, tuner->trained.count, zero_piece, tuner);
    tuner->fresh = true;
}

/* One weight and its adapter added up, to where the packings take it from. */
static void merge_one(const hone_tuner *t, size_t layer, hone_lora_slot slot, float *to,
                      float *scratch) {
    const hone_param *weight = &t->params.items[hone_lora_weight(layer, slot)];
    const hone_param *a = &t->params.items[hone_lora_index(&t->lora, &t->params, layer, slot)];
    const float *values = t->values;
    hone_lora_merge(values + weight->offset, values + a->offset, values + a[1].offset,
                    t->lora.scale, (size_t)weight->dims[0], (size_t)weight->dims[1], t->lora.rank,
                    to, scratch);
}

typedef struct merging {
    const hone_tuner *tuner;
    float *scratch; /* [workers, floats] */
    size_t floats;
} merging;

/* to = scale * B^T */
static void transpose_b(const hone_tuner *t, size_t layer, hone_lora_slot slot, float *to) {
    const hone_param *b = &t->params.items[hone_lora_index(&t->lora, &t->params, layer, slot) + 1];
    const float *values = t->values + b->offset;
    size_t out = (size_t)b->dims[0], rank = t->lora.rank;
    for (size_t i = 0; i < out; i++)
        for (size_t k = 0; k < rank; k++) to[k * out + i] = t->lora.scale * values[i * rank + k];
}

static void adapted_piece(void *ctx, size_t index, size_t worker) {
    const merging *m = ctx;
    const hone_tuner *t = m->tuner;
    size_t layer = index / HONE_LORA_SLOTS;
    hone_lora_slot slot = (hone_lora_slot)(index % HONE_LORA_SLOTS);
    if (!t->adapted[index]) return;
    if (is_beside(t))
        transpose_b(t, layer, slot, t->adapted[index]);
    else
        merge_one(t, layer, slot, t->adapted[index], m->scratch + worker * m->floats);
}

static size_t widest(const hone_tuner *t) {
    return t->config.intermediate > t->config.hidden ? t->config.intermediate : t->config.hidden;
}

/* What the passes take of the adapters, from their values. */
static hone_err take_adapters(const hone_tuner *t, hone_pool *pool) {
    if (t->lora.rank == 0) return HONE_OK;
    merging m = {.tuner = t, .floats = hone_lora_merge_floats(widest(t), t->lora.rank)};
    m.scratch = hone_values_alloc(hone_pool_threads(pool) * m.floats);
    if (!m.scratch) return hone_err_new(HONE_E_NOMEM, "no memory to add up adapters");
    hone_pool_run(pool, t->config.layers * HONE_LORA_SLOTS, adapted_piece, &m);
    free(m.scratch);
    return HONE_OK;
}

hone_err hone_tuner_merge(hone_tuner *t) {
    if (t->lora.rank == 0) return HONE_OK;
    float *scratch = hone_values_alloc(hone_lora_merge_floats(widest(t), t->lora.rank));
    float *sum = hone_values_alloc(widest(t) * t->config.hidden);
    bool has_memory = scratch && sum;
    for (size_t i = 0; has_memory && i < t->config.layers * HONE_LORA_SLOTS; i++) {
        size_t layer = i / HONE_LORA_SLOTS;
        hone_lora_slot slot = (hone_lora_slot)(i % HONE_LORA_SLOTS);
        if (!hone_lora_has(&t->lora, layer, slot)) continue;
        const hone_param *weight = &t->params.items[hone_lora_weight(layer, slot)];
        merge_one(t, layer, slot, sum, scratch);
        memcpy(t->values + weight->offset, sum, weight->count * sizeof *sum);
    }
    free(scratch);
    free(sum);
    if (!has_memory) return hone_err_new(HONE_E_NOMEM, "no memory to add up adapters");
    t->lora = (hone_lora){0};
    return HONE_OK;
}

/* The packings follow the values when somebody needs them. */
static hone_err pack(hone_tuner *t, hone_pool *pool) {
    if (t->packed) return HONE_OK;
    uint32_t slots = ~UINT32_C(0); /* what has changed of the layers */
    if (t->lora.rank > 0) slots = is_beside(t) ? 0 : t->lora.slots;
    hone_repack which = {t->first_layer, t->config.layers, slots,
                         is_trained(t, hone_params_head(&t->params, HONE_POOL_W))};
    if (!t->filled) which = (hone_repack){0, t->config.layers, ~UINT32_C(0), true};
    HONE_TRY(take_adapters(t, pool));
    HONE_TRY(hone_packing_refill(&t->forward, &t->params, t->plain, which, pool));
    if (!hone_packing_is_by_layer(&t->transposed))
        HONE_TRY(hone_packing_refill(&t->transposed, &t->params, t->plain, which, pool));
    t->filled = t->packed = true;
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
                      .beside = is_beside(tuner) ? &tuner->beside : NULL,
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
                      .beside = is_beside(t) ? &t->beside : NULL,
                      .dropout = step.dropout ? &keys : NULL,
                      .layers = t->config.layers,
                      .first_only = true};
    size_t pool_index = hone_params_head(&t->params, HONE_POOL_W);
    size_t need = batch->sequences * t->config.labels;
    if (need > t->dlogits_cap) {
        free(t->dlogits);
        t->dlogits = calloc(need, sizeof *t->dlogits);
        t->dlogits_cap = t->dlogits ? need : 0;
        if (!t->dlogits) return hone_err_new(HONE_E_NOMEM, "no memory for %zu logits", need);
    }
    HONE_TRY(hone_backward_reserve(&t->scratch, &pass));
    HONE_TRY(run_forward(t, &pass));
    if (t->lora.rank > 0)
        HONE_TRY(hone_lora_work_reserve(&t->lora_work, &t->lora, &t->config, batch->tokens,
                                        hone_pool_threads(pool)));
    *loss_sum = loss_of(t, batch->sequences, targets, step.weight);
    for (size_t i = 0; t->rows > 0 && i < batch->tokens; i++) t->used[batch->ids[i]] = 1;
    HONE_TRY(hone_backward_run(&(hone_backward){.dtype = t->dtype,
                                                .pass = &pass,
                                                .transposed = &t->transposed,
                                                .grads = t->grads,
                                                .first_float = t->trained.first,
                                                .first_layer = t->first_layer,
                                                .embeddings = t->trained.first == 0,
                                                .fresh = t->fresh,
                                                .pool = is_trained(t, pool_index),
                                                .lora = &t->lora,
                                                .lora_work = &t->lora_work,
                                                .pad_id = t->pad_id,
                                                .dlogits = t->dlogits},
                               &t->scratch));
    t->fresh = false;
    return HONE_OK;
}
