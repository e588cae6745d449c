/* acts.c: where the activations of a pass lie: one block, laid out anew for every batch.
 *
 * The layout is written once, as a walk that takes a run of floats after the other: first
 * with no memory, to learn the size, then over the memory. */
#include "model/encoder_impl.h"
#include "model/lora.h"

#include "base/heap.h"
#include "nn/gradient.h"

#include <stdlib.h>
#include <string.h>

hone_err hone_acts_init(const hone_config *config, hone_acts_plan plan, hone_acts *out) {
    hone_acts acts = {.plan = plan};
    acts.layers = calloc(config->layers, sizeof *acts.layers);
    if (!acts.layers) return hone_err_new(HONE_E_NOMEM, "no memory for activations");
    *out = acts;
    return HONE_OK;
}

void hone_acts_done(hone_acts *acts) {
    free(acts->layers);
    free(acts->memory);
    *acts = (hone_acts){0};
}

/* A walk over the block: offset grows; base is NULL while only measuring. */
typedef struct walk {
    char *base;
    size_t offset;
} walk;

static float *take(walk *w, size_t rows, size_t columns) {
    size_t bytes = hone_heap_rounded(rows * columns * sizeof(float));
    float *ptr = w->base ? (float *)(void *)(w->base + w->offset) : NULL;
    w->offset += bytes;
    return ptr;
}

static size_t wide_of(const hone_weights *w) {
    size_t hidden = w->config->hidden;
    return w->shapes->chunk > hidden ? w->shapes->chunk : hidden;
}

/* What a tile needs of a worker's scratch, laid out by hone_tile_scratch_of. */
static size_t tile_scratch_floats(const hone_weights *w) {
    size_t bytes = hone_shapes_scratch_bytes(w->shapes) + 2 * hone_shapes_operand_bytes(w->shapes);
    return HONE_TILE_ROWS_MAX * (2 * w->config->hidden + wide_of(w)) + bytes / sizeof(float) +
           wide_of(w) + HONE_LORA_RANK_MAX;
}

hone_tile_scratch hone_tile_scratch_of(const hone_pass *pass, size_t worker) {
    const hone_weights *w = pass->weights;
    hone_tile_scratch s = {.a = pass->acts->worker_scratch + worker * pass->acts->worker_floats};
    s.y = s.a + HONE_TILE_ROWS_MAX * w->config->hidden;
    s.middle = s.y + HONE_TILE_ROWS_MAX * w->config->hidden;
    char *behind = (char *)(s.middle + HONE_TILE_ROWS_MAX * wide_of(w));
    s.product = behind;
    s.in = behind + hone_shapes_scratch_bytes(w->shapes);
    s.between = behind + hone_shapes_scratch_bytes(w->shapes) +
                hone_shapes_operand_bytes(w->shapes);
    s.adapter = (float *)((char *)s.between + hone_shapes_operand_bytes(w->shapes));
    return s;
}

static size_t longest(const hone_pack *batch) {
    size_t most = 0;
    for (size_t i = 0; i < batch->sequences; i++) {
        size_t count = (size_t)(batch->starts[i + 1] - batch->starts[i]);
        if (count > most) most = count;
    }
    return most;
}

/* A place for what the attention reads and writes, `rows` of the layer's own rows. */
static void lay_out_attention(walk *w, hone_layer_acts *a, const hone_config *c, size_t rows,
                              size_t tokens) {
    a->q = take(w, rows, c->hidden);
    a->ctx = take(w, rows, c->hidden);
    a->k = take(w, tokens, c->hidden);
    a->v = take(w, tokens, c->hidden);
}

static void lay_out_kept(walk *w, hone_layer_acts *a, const hone_config *c, size_t rows) {
    a->lse = take(w, c->heads, rows);
    a->sum1 = take(w, rows, c->hidden);
    a->stats1 = take(w, rows, 2);
    a->middle = take(w, rows, c->intermediate);
    a->sum2 = take(w, rows, c->hidden);
    a->stats2 = take(w, rows, 2);
}

/* Layers that keep nothing share everything, which is used up before the next layer writes
 * it; those that are computed again share all but their input, and the others behind the first
 * that keeps their input alone. The last of a pass that keeps works on one row a sequence. */
static void lay_out_layer(walk *w, hone_acts *acts, const hone_config *c, size_t layer,
                          size_t tokens, size_t sequences) {
    hone_layer_acts *a = &acts->layers[layer];
    const hone_acts_plan *plan = &acts->plan;
    bool keeps = plan->keep && layer >= plan->first;
    bool shares = keeps ? plan->recompute && layer > plan->first : layer > 0;
    bool is_last = layer + 1 == c->layers;
    if (shares) *a = acts->layers[keeps ? plan->first : 0];
    if (layer == 0) a->x = acts->embedded;
    if (layer > 0 && keeps) {
        bool shares_x = !plan->recompute && layer > plan->first + 1;
        a->x = shares_x ? acts->layers[plan->first + 1].x : take(w, tokens, c->hidden);
    }
    if (shares) return;
    size_t rows = keeps && is_last ? sequences : tokens;
    lay_out_attention(w, a, c, rows, tokens);
    if (keeps) lay_out_kept(w, a, c, rows);
}

static void lay_out(walk *w, hone_acts *acts, const hone_weights *weights, const hone_pack *batch,
                    size_t workers) {
    const hone_config *c = weights->config;
    const hone_acts_plan *plan = &acts->plan;
    /* A tile reads whole units. */
    size_t tokens = hone_padded_rows(batch->tokens), sequences = hone_padded_rows(batch->sequences);
    acts->embedded = take(w, tokens, c->hidden);
    if (plan->embeddings) {
        acts->embed_sum = take(w, tokens, c->hidden);
        acts->embed_stats = take(w, tokens, 2);
    }
    if (plan->keep) acts->pooled_in = take(w, sequences, c->hidden);
    for (size_t layer = 0; layer < c->layers; layer++)
        lay_out_layer(w, acts, c, layer, tokens, sequences);
    acts->out = plan->keep ? take(w, sequences, c->hidden) : acts->embedded;
    if (!plan->keep && tokens <= HONE_FEW_ROWS)
        acts->partial = take(w, weights->shapes->chunks * tokens, c->hidden);
    acts->gathered = take(w, sequences, c->hidden);
    acts->pooled = take(w, sequences, c->hidden);
    acts->logits = take(w, sequences, c->labels);

    size_t attention = weights->ops->attention_scratch(longest(batch), c->hidden / c->heads,
                                                       plan->keep);
    size_t tile = tile_scratch_floats(weights);
    size_t most = attention > tile ? attention : tile;
    if (plan->keep && hone_gradient_scratch_floats() > most) most = hone_gradient_scratch_floats();
    acts->worker_floats = (most + 15) / 16 * 16;
    acts->worker_scratch = take(w, workers, acts->worker_floats);
}

hone_err hone_acts_reserve(hone_acts *acts, const hone_weights *weights, const hone_pack *batch,
                           size_t workers) {
    walk measure = {0};
    lay_out(&measure, acts, weights, batch, workers);
    if (measure.offset > acts->memory_bytes) {
        free(acts->memory);
        acts->memory_bytes = 0;
        acts->memory = hone_heap_alloc(measure.offset);
        if (!acts->memory)
            return hone_err_new(HONE_E_NOMEM,
                                "no memory for the %zu bytes of a batch of %zu tokens",
                                measure.offset, batch->tokens);
        acts->memory_bytes = measure.offset;
        /* Scratch rows are computed and thrown away: let them be numbers. */
        memset(acts->memory, 0, measure.offset);
    }
    walk place = {.base = acts->memory};
    lay_out(&place, acts, weights, batch, workers);
    return HONE_OK;
}

hone_err hone_pack_check(const hone_config *config, const hone_pack *batch) {
    if (batch->sequences == 0) return hone_err_new(HONE_E_INVALID, "an empty batch");
    for (size_t i = 0; i < batch->sequences; i++) {
        size_t begin = (size_t)batch->starts[i], end = (size_t)batch->starts[i + 1];
        if (end <= begin) return hone_err_new(HONE_E_INVALID, "sequence %zu has no tokens", i);
        if (end - begin > config->positions)
            return hone_err_new(HONE_E_INVALID, "sequence %zu has %zu tokens, the model takes %zu",
                                i, end - begin, config->positions);
        for (size_t t = begin; t < end; t++) {
            if (batch->ids[t] < 0 || (size_t)batch->ids[t] >= config->vocab)
                return hone_err_new(HONE_E_INVALID,
                                    "sequence %zu: token id %d is outside the vocabulary of %zu", i,
                                    batch->ids[t], config->vocab);
            if (!batch->types || config->types == 0) continue;
            if (batch->types[t] < 0 || (size_t)batch->types[t] >= config->types)
                return hone_err_new(HONE_E_INVALID,
                                    "sequence %zu: token type %d, the model has %zu", i,
                                    batch->types[t], config->types);
        }
    }
    return HONE_OK;
}
