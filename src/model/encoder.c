/* encoder.c: the forward pass over a packed batch; encoder_impl.h has the picture.
 *
 * Every phase is a run of the pool. A piece writes only rows (or a head's columns) that are
 * its own, so the result does not depend on who does it. */
#include "model/beside_impl.h"
#include "model/encoder_impl.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OUT_PARTS = 4 }; /* that few rows' output projection is shared out in */

typedef struct phase {
    const hone_pass *pass;
    size_t layer;
    hone_tiling tiling;
    bool again; /* only what the layer keeps is wanted */
    /* Of a few rows: all of them, and what its products read. */
    hone_tile tile;
    const void *operand;
} phase;

const hone_drop *hone_pass_drop(const hone_pass *pass, hone_drop_kind kind, size_t layer,
                                hone_drop *storage) {
    const hone_config *c = pass->weights->config;
    if (!pass->dropout) return NULL;
    float p = c->hidden_dropout;
    if (kind == HONE_DROP_ATTENTION) p = c->attention_dropout;
    if (kind == HONE_DROP_POOLED) p = c->classifier_dropout;
    if (kind == HONE_DROP_OUT && c->family == HONE_DISTILBERT) p = 0.0F; /* it has none there */
    if (p <= 0.0F) return NULL;
    *storage = (hone_drop){p, pass->dropout->seed, pass->dropout->step,
                           hone_drop_site(kind, layer, pass->dropout->micro)};
    return storage;
}

static const float *layer_param(const hone_weights *w, size_t layer, hone_layer_slot slot) {
    return w->plain[hone_params_layer(layer, slot)];
}

/* out = in W^T + b of a square matrix of a layer, for the rows of a tile. */
static void project(const hone_weights *w, size_t layer, size_t slot, hone_layer_slot bias,
                    const hone_tile *t, const void *operand, float *out, void *product_scratch) {
    hone_product_run(w->shapes->square, hone_packing_get(w->packing, layer, slot),
                     layer_param(w, layer, bias), false, t->height, operand, out, product_scratch);
}

/* v once more with what rounding left of its input. It goes into the sum as it is, where q and k
 * only weigh: of what int8 does to an answer, most came from here. */
static void add_rest_of_v(const hone_weights *w, size_t layer, const hone_tile *t, const float *x,
                          const void *operand, float *v, const hone_tile_scratch *s) {
    const void *rest = hone_product_rest(w->shapes->square, t->height, x, operand, s->between);
    if (rest)
        hone_product_run(w->shapes->square, hone_packing_get(w->packing, layer, HONE_PACK_V), NULL,
                         true, t->height, rest, v, s->product);
}

/* q, k and v of `layer` from its input; a first-only layer takes q elsewhere. */
static void project_qkv(const hone_pass *pass, size_t layer, const hone_tile *t,
                        const hone_tile_scratch *s) {
    const hone_weights *w = pass->weights;
    const hone_layer_acts *a = &pass->acts->layers[layer];
    size_t at = t->first * w->config->hidden;
    const void *x = hone_product_operand(w->shapes->square, t->height, a->x + at, s->in);
    if (!hone_pass_is_compact(pass, layer)) {
        project(w, layer, HONE_PACK_Q, HONE_Q_B, t, x, a->q + at, s->product);
        hone_beside_forward(pass, (hone_beside_place){layer, HONE_LORA_Q, 0}, t, a->x + at,
                            a->q + at, s->adapter);
    }
    project(w, layer, HONE_PACK_K, HONE_K_B, t, x, a->k + at, s->product);
    hone_beside_forward(pass, (hone_beside_place){layer, HONE_LORA_K, 0}, t, a->x + at, a->k + at,
                        s->adapter);
    project(w, layer, HONE_PACK_V, HONE_V_B, t, x, a->v + at, s->product);
    add_rest_of_v(w, layer, t, a->x + at, x, a->v + at, s);
    hone_beside_forward(pass, (hone_beside_place){layer, HONE_LORA_V, 0}, t, a->x + at, a->v + at,
                        s->adapter);
}

/* The sequence that holds row: starts[i] <= row < starts[i + 1]. */
static size_t sequence_of(const hone_pack *batch, size_t row) {
    size_t low = 0, high = batch->sequences;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if ((size_t)batch->starts[middle] <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* sum[rows] = word + position (+ type) embeddings. */
static void embed_rows(const hone_pass *pass, const hone_tile *t, float *sum) {
    const hone_weights *w = pass->weights;
    const hone_pack *batch = pass->batch;
    size_t hidden = w->config->hidden, sequence = sequence_of(batch, t->first);
    for (size_t i = 0; i < t->rows; i++) {
        size_t row = t->first + i;
        while ((size_t)batch->starts[sequence + 1] <= row) sequence++;
        size_t position = row - (size_t)batch->starts[sequence];
        float *out = sum + i * hidden;
        w->ops->add(out, w->plain[HONE_WORD_EMB] + (size_t)batch->ids[row] * hidden,
                    w->plain[HONE_POS_EMB] + position * hidden, hidden);
        if (w->config->types == 0) continue;
        size_t type = batch->types ? (size_t)batch->types[row] : 0;
        w->ops->add(out, out, w->plain[HONE_TYPE_EMB] + type * hidden, hidden);
    }
}

/* The embeddings of a tile's rows. */
static void embed(const hone_pass *pass, const hone_tile *t) {
    const hone_weights *w = pass->weights;
    hone_acts *acts = pass->acts;
    size_t at = t->first * w->config->hidden;
    float *sum = (acts->embed_sum ? acts->embed_sum : acts->embedded) + at;
    embed_rows(pass, t, sum);
    w->ops->norm(&(hone_norm_args){
        .rows = t->rows,
        .dim = w->config->hidden,
        .x = sum,
        .weight = w->plain[HONE_EMB_NORM_W],
        .bias = w->plain[HONE_EMB_NORM_B],
        .eps = w->config->norm_eps,
        .stats = acts->embed_stats ? acts->embed_stats + 2 * t->first : NULL,
        .out = acts->embedded + at,
    });
    hone_drop storage;
    const hone_drop *drop = hone_pass_drop(pass, HONE_DROP_EMBEDDING, 0, &storage);
    if (drop)
        w->ops->dropout(acts->embedded + at, t->rows, w->config->hidden, drop, (uint32_t)t->first);
}

static void embed_tile(void *ctx, size_t index, size_t worker) {
    const phase *ph = ctx;
    const hone_pass *pass = ph->pass;
    hone_tile t = hone_tiling_get(&ph->tiling, index);
    embed(pass, &t);
    hone_tile_scratch s = hone_tile_scratch_of(pass, worker);
    if (pass->layers > 0) project_qkv(pass, 0, &t, &s);
}

/* The first tokens' rows of the last layer's input. */
static void gather_rows(const phase *ph, const hone_tile *t) {
    const hone_pass *pass = ph->pass;
    size_t hidden = pass->weights->config->hidden;
    const float *x = pass->acts->layers[ph->layer].x;
    for (size_t i = t->first; i < t->first + t->rows; i++)
        memcpy(pass->acts->gathered + i * hidden, x + (size_t)pass->batch->starts[i] * hidden,
               hidden * sizeof *x);
}

/* The same and their q. */
static void gather_tile(void *ctx, size_t index, size_t worker) {
    const phase *ph = ctx;
    const hone_pass *pass = ph->pass;
    const hone_weights *w = pass->weights;
    const hone_layer_acts *a = &pass->acts->layers[ph->layer];
    hone_tile t = hone_tiling_get(&ph->tiling, index);
    size_t hidden = w->config->hidden, at = t.first * hidden;
    gather_rows(ph, &t);
    hone_tile_scratch s = hone_tile_scratch_of(pass, worker);
    const void *x = hone_product_operand(w->shapes->square, t.height, pass->acts->gathered + at,
                                         s.in);
    project(w, ph->layer, HONE_PACK_Q, HONE_Q_B, &t, x, a->q + at, s.product);
    hone_beside_forward(pass, (hone_beside_place){ph->layer, HONE_LORA_Q, 0}, &t,
                        pass->acts->gathered + at, a->q + at, s.adapter);
}

static void attention_piece(void *ctx, size_t index, size_t worker) {
    const phase *ph = ctx;
    const hone_pass *pass = ph->pass;
    const hone_config *c = pass->weights->config;
    const hone_layer_acts *a = &pass->acts->layers[ph->layer];
    size_t sequence = index / c->heads, head = index % c->heads, dim = c->hidden / c->heads;
    size_t start = (size_t)pass->batch->starts[sequence];
    bool compact = hone_pass_is_compact(pass, ph->layer);
    size_t rows = hone_pass_rows(pass, ph->layer);
    size_t count = (size_t)pass->batch->starts[sequence + 1] - start;
    size_t q_row = compact ? sequence : start;
    hone_drop storage;
    pass->weights->ops->attention(&(hone_attention_args){
        .q_rows = compact ? 1 : count,
        .kv_rows = count,
        .dim = dim,
        .scale = 1.0F / sqrtf((float)dim),
        .q = a->q + q_row * c->hidden + head * dim,
        .q_stride = c->hidden,
        .k = a->k + start * c->hidden + head * dim,
        .v = a->v + start * c->hidden + head * dim,
        .kv_stride = c->hidden,
        .out = a->ctx + q_row * c->hidden + head * dim,
        .lse = a->lse ? a->lse + head * rows + q_row : NULL,
        .drop = hone_pass_drop(pass, HONE_DROP_ATTENTION, ph->layer, &storage),
        .drop_row = (uint32_t)q_row,
        .drop_head = (uint32_t)head,
        .scratch = hone_tile_scratch_of(pass, worker).a, /* no piece needs both */
    });
}

/* The two norms of a layer differ only in where things lie. */
typedef struct norm_place {
    hone_layer_slot weight, bias;
    hone_drop_kind drop;
    float *sum, *stats; /* NULL = not kept */
    float *plain;       /* NULL = not wanted */
} norm_place;

static void norm_tile(const phase *ph, const hone_tile *t, const norm_place *place, const float *x,
                      const float *residual, float *out) {
    const hone_weights *w = ph->pass->weights;
    size_t hidden = w->config->hidden;
    hone_drop storage;
    w->ops->norm(&(hone_norm_args){
        .rows = t->rows,
        .dim = hidden,
        .x = x,
        .residual = residual,
        .drop = hone_pass_drop(ph->pass, place->drop, ph->layer, &storage),
        .drop_row = (uint32_t)t->first,
        .weight = layer_param(w, ph->layer, place->weight),
        .bias = layer_param(w, ph->layer, place->bias),
        .eps = w->config->norm_eps,
        .sum = place->sum ? place->sum + t->first * hidden : NULL,
        .stats = place->stats ? place->stats + 2 * t->first : NULL,
        .plain = place->plain,
        .out = out,
    });
}

/* y = norm(x + residual), and what goes up: y itself, or the norm before its gain where that is
 * what the weights were packed for. It lies where the way up's output will. */
static const float *norm_up(const phase *ph, const hone_tile *t, const hone_layer_acts *acts,
                            const float *residual, float *y, const hone_tile_scratch *s) {
    float *plain = hone_product_is_scaled(ph->pass->weights->shapes->up) ? s->middle : NULL;
    norm_tile(
        ph, t,
        &(norm_place){HONE_NORM1_W, HONE_NORM1_B, HONE_DROP_OUT, acts->sum1, acts->stats1, plain},
        s->a, residual, y);
    return plain ? plain : y;
}

/* a = down(gelu(up(x))), chunk by chunk. Where something stands beside them, in training, x is y. */
static void feed_forward(const phase *ph, const hone_tile *t, const float *x,
                         const hone_tile_scratch *s) {
    const hone_weights *w = ph->pass->weights;
    const hone_layer_acts *acts = &ph->pass->acts->layers[ph->layer];
    size_t chunk = w->shapes->chunk, chunks = w->shapes->chunks;
    size_t rows = hone_padded_rows(ph->tiling.rows);
    const void *in = hone_product_operand(w->shapes->up, t->height, x, s->in);
    for (size_t c = 0; c < chunks; c++) {
        float *middle = acts->middle ? acts->middle + (c * rows + t->first) * chunk : s->middle;
        hone_product_run(w->shapes->up, hone_packing_get(w->packing, ph->layer, HONE_PACK_UP + c),
                         layer_param(w, ph->layer, HONE_UP_B) + c * chunk, false, t->height, in,
                         middle, s->product);
        hone_beside_forward(ph->pass, (hone_beside_place){ph->layer, HONE_LORA_UP, c}, t, x, middle,
                            s->adapter);
        w->ops->gelu(s->middle, middle, t->rows * chunk);
        const void *between = hone_product_operand(w->shapes->down, t->height, s->middle,
                                                   s->between);
        hone_product_run(w->shapes->down,
                         hone_packing_get(w->packing, ph->layer, HONE_PACK_UP + chunks + c),
                         c == 0 ? layer_param(w, ph->layer, HONE_DOWN_B) : NULL, c > 0, t->height,
                         between, s->a, s->product);
        hone_beside_forward(ph->pass, (hone_beside_place){ph->layer, HONE_LORA_DOWN, c}, t,
                            s->middle, s->a, s->adapter);
    }
}

/* From the attention's output to the layer's output, and on to the next layer's q, k, v. */
static void layer_tile(void *ctx, size_t index, size_t worker) {
    const phase *ph = ctx;
    const hone_pass *pass = ph->pass;
    const hone_weights *w = pass->weights;
    const hone_layer_acts *acts = &pass->acts->layers[ph->layer];
    hone_tile t = hone_tiling_get(&ph->tiling, index);
    hone_tile_scratch s = hone_tile_scratch_of(pass, worker);
    bool last = ph->layer + 1 == pass->layers;
    size_t at = t.first * w->config->hidden;
    const float *x = (hone_pass_is_compact(pass, ph->layer) ? pass->acts->gathered : acts->x) + at;
    float *out = ph->again ? s.a
                           : (last ? pass->acts->out : pass->acts->layers[ph->layer + 1].x) + at;

    const void *ctx_in = hone_product_operand(w->shapes->square, t.height, acts->ctx + at, s.in);
    project(w, ph->layer, HONE_PACK_OUT, HONE_OUT_B, &t, ctx_in, s.a, s.product);
    hone_beside_forward(pass, (hone_beside_place){ph->layer, HONE_LORA_OUT, 0}, &t, acts->ctx + at,
                        s.a, s.adapter);
    feed_forward(ph, &t, norm_up(ph, &t, acts, x, s.y, &s), &s);
    norm_tile(
        ph, &t,
        &(norm_place){HONE_NORM2_W, HONE_NORM2_B, HONE_DROP_DOWN, acts->sum2, acts->stats2, NULL},
        s.a, s.y, out);
    if (!last && !ph->again) project_qkv(pass, ph->layer + 1, &t, &s);
}

/* pooled = activation(pooler(first token)): a tile, or a part of its columns. BERT's activation is
 * tanh, DistilBERT's relu. */
static void pool_piece(void *ctx, size_t index, size_t worker) {
    const phase *ph = ctx;
    const hone_pass *pass = ph->pass;
    const hone_weights *w = pass->weights;
    size_t parts = w->shapes->pool_parts, part = index % parts;
    size_t hidden = w->config->hidden, columns = hidden / parts;
    hone_tile t = hone_tiling_get(&ph->tiling, index / parts);
    hone_tile_scratch s = hone_tile_scratch_of(pass, worker);
    const float *x = pass->acts->out + t.first * hidden;
    float *pooled = pass->acts->pooled + t.first * hidden + part * columns;
    hone_product_run(w->shapes->pool, hone_packing_get_pool(w->packing, part),
                     w->plain[hone_params_head(w->params, HONE_POOL_B)] + part * columns, false,
                     t.height, hone_product_operand(w->shapes->pool, t.height, x, s.in), s.a,
                     s.product);
    for (size_t i = 0; i < t.rows; i++)
        for (size_t j = 0; j < columns; j++) {
            float y = s.a[i * columns + j];
            pooled[i * hidden + j] = w->config->family == HONE_BERT ? tanhf(y) : fmaxf(y, 0.0F);
        }
}

/* logits = classifier(dropout(pooled)) */
static void classify_tile(void *ctx, size_t index, size_t worker) {
    const phase *ph = ctx;
    const hone_pass *pass = ph->pass;
    const hone_weights *w = pass->weights;
    const hone_config *c = w->config;
    const float *head_w = w->plain[hone_params_head(w->params, HONE_HEAD_W)];
    const float *head_b = w->plain[hone_params_head(w->params, HONE_HEAD_B)];
    hone_tile t = hone_tiling_get(&ph->tiling, index);
    size_t at = t.first * c->hidden;
    float *pooled = pass->acts->pooled + at;
    (void)worker;
    if (pass->acts->pooled_in)
        memcpy(pass->acts->pooled_in + at, pooled, t.rows * c->hidden * sizeof *pooled);
    hone_drop storage;
    const hone_drop *drop = hone_pass_drop(pass, HONE_DROP_POOLED, 0, &storage);
    if (drop) w->ops->dropout(pooled, t.rows, c->hidden, drop, (uint32_t)t.first);
    for (size_t i = 0; i < t.rows; i++)
        for (size_t label = 0; label < c->labels; label++)
            pass->acts->logits[(t.first + i) * c->labels + label] =
                w->ops->dot(pooled + i * c->hidden, head_w + label * c->hidden, c->hidden) +
                head_b[label];
}

/* All rows at once: at most HONE_TILE_ROWS_MAX. */
static hone_tile one_tile(const hone_pass *pass, size_t rows) {
    return (hone_tile){.height = hone_product_height(pass->weights->shapes->square, rows),
                       .rows = rows};
}

static void run_tiles(phase *ph, size_t rows, hone_pool_fn *fn) {
    ph->tiling = hone_tiling_of(rows);
    hone_pool_run(ph->pass->pool, ph->tiling.tiles, fn, ph);
}

static void run_head(phase *ph) {
    ph->tiling = hone_tiling_of(ph->pass->batch->sequences);
    hone_pool_run(ph->pass->pool, ph->tiling.tiles * ph->pass->weights->shapes->pool_parts,
                  pool_piece, ph);
    hone_pool_run(ph->pass->pool, ph->tiling.tiles, classify_tile, ph);
}

/* k, v or q of a few rows. */
static void few_project_piece(void *ctx, size_t index, size_t worker) {
    const phase *ph = ctx;
    const hone_pass *pass = ph->pass;
    const hone_weights *w = pass->weights;
    const hone_layer_acts *a = &pass->acts->layers[ph->layer];
    static const struct {
        size_t slot;
        hone_layer_slot bias;
    } which[] = {{HONE_PACK_K, HONE_K_B}, {HONE_PACK_V, HONE_V_B}, {HONE_PACK_Q, HONE_Q_B}};
    float *outs[] = {a->k, a->v, a->q};
    hone_tile_scratch s = hone_tile_scratch_of(pass, worker);
    hone_tile t = ph->tile;
    const void *operand = ph->operand;
    if (which[index].slot == HONE_PACK_Q && hone_pass_is_compact(pass, ph->layer)) {
        t = one_tile(pass, pass->batch->sequences);
        gather_rows(ph, &t);
        operand = hone_product_operand(w->shapes->square, t.height, pass->acts->gathered,
                                       s.between);
    }
    project(w, ph->layer, which[index].slot, which[index].bias, &t, operand, outs[index],
            s.product);
    if (which[index].slot == HONE_PACK_V) add_rest_of_v(w, ph->layer, &t, a->x, operand, a->v, &s);
}

/* A share of the output projection's columns, into the first worker's scratch. */
static void few_out_piece(void *ctx, size_t part, size_t worker) {
    const phase *ph = ctx;
    const hone_weights *w = ph->pass->weights;
    (void)worker;
    hone_product_run_part(w->shapes->square, hone_packing_get(w->packing, ph->layer, HONE_PACK_OUT),
                          layer_param(w, ph->layer, HONE_OUT_B), false, ph->tile.height,
                          ph->operand, hone_tile_scratch_of(ph->pass, 0).a, part, OUT_PARTS);
}

/* partial[c] = down(gelu(up(y))) of one chunk. */
static void few_chunk_piece(void *ctx, size_t c, size_t worker) {
    const phase *ph = ctx;
    const hone_weights *w = ph->pass->weights;
    const hone_shapes *shapes = w->shapes;
    size_t height = ph->tile.height;
    hone_tile_scratch s = hone_tile_scratch_of(ph->pass, worker);
    hone_product_run(shapes->up, hone_packing_get(w->packing, ph->layer, HONE_PACK_UP + c),
                     layer_param(w, ph->layer, HONE_UP_B) + c * shapes->chunk, false, height,
                     ph->operand, s.middle, s.product);
    w->ops->gelu(s.middle, s.middle, ph->tile.rows * shapes->chunk);
    hone_product_run(shapes->down,
                     hone_packing_get(w->packing, ph->layer, HONE_PACK_UP + shapes->chunks + c),
                     c == 0 ? layer_param(w, ph->layer, HONE_DOWN_B) : NULL, false, height,
                     hone_product_operand(shapes->down, ph->tile.height, s.middle, s.between),
                     ph->pass->acts->partial + c * height * w->config->hidden, s.product);
}

/* A layer of a few rows. What the pieces share lies in the first worker's scratch, where none of
 * them writes: its operand `in`, and y. */
static void few_layer(phase *ph) {
    const hone_pass *pass = ph->pass;
    const hone_weights *w = pass->weights;
    const hone_layer_acts *a = &pass->acts->layers[ph->layer];
    hone_tile_scratch s = hone_tile_scratch_of(pass, 0);
    bool compact = hone_pass_is_compact(pass, ph->layer), last = ph->layer + 1 == pass->layers;
    ph->tile = one_tile(pass, pass->batch->tokens);
    ph->operand = hone_product_operand(w->shapes->square, ph->tile.height, a->x, s.in);
    hone_pool_run(pass->pool, 3, few_project_piece, ph);
    hone_pool_run(pass->pool, pass->batch->sequences * w->config->heads, attention_piece, ph);

    if (compact) ph->tile = one_tile(pass, pass->batch->sequences);
    const hone_tile *t = &ph->tile;
    const void *ctx = hone_product_operand(w->shapes->square, t->height, a->ctx, s.in);
    if (hone_product_has_parts(w->shapes->square)) {
        ph->operand = ctx;
        hone_pool_run(pass->pool, OUT_PARTS, few_out_piece, ph);
    } else {
        project(w, ph->layer, HONE_PACK_OUT, HONE_OUT_B, t, ctx, s.a, s.product);
    }
    const float *up = norm_up(ph, t, a, compact ? pass->acts->gathered : a->x, s.y, &s);
    ph->operand = hone_product_operand(w->shapes->up, t->height, up, s.in);
    hone_pool_run(pass->pool, w->shapes->chunks, few_chunk_piece, ph);

    size_t floats = t->height * w->config->hidden;
    float *sum = pass->acts->partial;
    for (size_t c = 1; c < w->shapes->chunks; c++)
        w->ops->add(sum, sum, pass->acts->partial + c * floats, floats);
    norm_tile(ph, t, &(norm_place){HONE_NORM2_W, HONE_NORM2_B, HONE_DROP_DOWN, NULL, NULL, NULL},
              sum, s.y, last ? pass->acts->out : pass->acts->layers[ph->layer + 1].x);
}

static void forward_few(const hone_pass *pass) {
    phase ph = {.pass = pass, .tile = one_tile(pass, pass->batch->tokens)};
    embed(pass, &ph.tile);
    for (ph.layer = 0; ph.layer < pass->layers; ph.layer++) few_layer(&ph);
    if (pass->first_only) run_head(&ph);
}

void hone_pass_forward(const hone_pass *pass) {
    const hone_pack *batch = pass->batch;
    assert(batch->tokens > 0);
    if (batch->tokens <= HONE_FEW_ROWS && !pass->acts->plan.keep && !pass->dropout) {
        forward_few(pass);
        return;
    }
    phase ph = {.pass = pass};
    run_tiles(&ph, batch->tokens, embed_tile);
    for (size_t layer = 0; layer < pass->layers; layer++) {
        ph.layer = layer;
        bool compact = hone_pass_is_compact(pass, layer);
        if (compact) run_tiles(&ph, batch->sequences, gather_tile);
        hone_pool_run(pass->pool, batch->sequences * pass->weights->config->heads, attention_piece,
                      &ph);
        run_tiles(&ph, compact ? batch->sequences : batch->tokens, layer_tile);
    }
    if (pass->first_only) run_head(&ph);
}

/* q, k and v of a layer from its input alone. */
static void again_tile(void *ctx, size_t index, size_t worker) {
    const phase *ph = ctx;
    hone_tile t = hone_tiling_get(&ph->tiling, index);
    hone_tile_scratch s = hone_tile_scratch_of(ph->pass, worker);
    project_qkv(ph->pass, ph->layer, &t, &s);
}

void hone_pass_again(const hone_pass *pass, size_t layer) {
    const hone_pack *batch = pass->batch;
    assert(!hone_pass_is_compact(pass, layer));
    phase ph = {.pass = pass, .layer = layer, .again = true};
    run_tiles(&ph, batch->tokens, again_tile);
    hone_pool_run(pass->pool, batch->sequences * pass->weights->config->heads, attention_piece,
                  &ph);
    run_tiles(&ph, batch->tokens, layer_tile);
}
