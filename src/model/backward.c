/* backward.c: see backward_impl.h.
 *
 * As in the forward pass, every piece of work writes only what is its own. Sums over rows are
 * made whole by one piece (weights, biases), or per tile and then in the order of the tiles
 * (norms): never in the order in which threads happen to finish. */
#include "model/backward_impl.h"

#include "base/heap.h"
#include "model/beside_impl.h"
#include "nn/gradient.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    GRAD_ROWS = 768,      /* rows of a weight's gradient made at a time: the engine likes many */
    SCATTER_COLUMNS = 64, /* columns of the embeddings' gradients made at a time */
    PARTIALS = 4,         /* per tile: norm 1 weight and bias, norm 2 weight and bias */
};

typedef struct phase {
    const hone_backward *b;
    hone_backward_scratch *s;
    size_t layer;
    hone_tiling tiling;
    const float *dout; /* gradient of the layer's output */
} phase;

static float *take(char *base, size_t *offset, size_t rows, size_t columns) {
    float *ptr = base ? (float *)(void *)(base + *offset) : NULL;
    *offset += hone_heap_rounded(rows * columns * sizeof(float));
    return ptr;
}

static size_t lay_out(hone_backward_scratch *s, const hone_pass *pass, char *base) {
    const hone_config *c = pass->weights->config;
    size_t tokens = hone_padded_rows(pass->batch->tokens), offset = 0;
    size_t sequences = hone_padded_rows(pass->batch->sequences);
    size_t tiles = tokens / HONE_TILE_UNIT + 1;
    float **const square[] = {&s->dx, &s->da1, &s->da2, &s->dctx, &s->dq, &s->dk, &s->dv, &s->y};
    for (size_t i = 0; i < sizeof square / sizeof square[0]; i++)
        *square[i] = take(base, &offset, tokens, c->hidden);
    s->dmiddle = take(base, &offset, tokens, c->intermediate);
    s->dfirst = take(base, &offset, sequences, c->hidden);
    s->dpooled = take(base, &offset, sequences, c->hidden);
    s->partials = take(base, &offset, tiles, PARTIALS * c->hidden);
    return offset;
}

hone_err hone_backward_reserve(hone_backward_scratch *s, const hone_pass *pass) {
    size_t bytes = lay_out(s, pass, NULL);
    if (bytes > s->memory_bytes) {
        free(s->memory);
        s->memory_bytes = 0;
        s->memory = hone_heap_alloc(bytes);
        if (!s->memory)
            return hone_err_new(HONE_E_NOMEM,
                                "no memory for the %zu bytes of gradients of a batch of %zu tokens",
                                bytes, pass->batch->tokens);
        s->memory_bytes = bytes;
        memset(s->memory, 0, bytes); /* scratch rows are computed: let them be numbers */
    }
    (void)lay_out(s, pass, s->memory);
    return HONE_OK;
}

void hone_backward_done(hone_backward_scratch *s) {
    free(s->memory);
    *s = (hone_backward_scratch){0};
}

/* NULL where nothing is trained. */
static float *grad_of(const hone_backward *b, size_t index) {
    size_t offset = b->pass->weights->params->items[index].offset;
    return offset < b->first_float ? NULL : b->grads + (offset - b->first_float);
}

static float *part_of(float *grad, size_t offset) { return grad ? grad + offset : NULL; }

static float *layer_grad(const phase *ph, hone_layer_slot slot) {
    return grad_of(ph->b, hone_params_layer(ph->layer, slot));
}

static const float *layer_plain(const phase *ph, hone_layer_slot slot) {
    return ph->b->pass->weights->plain[hone_params_layer(ph->layer, slot)];
}

/* dsum of a norm over a tile; its weight's and bias' sums go to the tile's partials. */
static void norm_grad_tile(const phase *ph, const hone_tile *t, size_t tile_index, const float *sum,
                           const float *stats, const float *weight, size_t partial,
                           const float *dout, float *dsum) {
    const hone_weights *w = ph->b->pass->weights;
    size_t hidden = w->config->hidden;
    float *partials = ph->s->partials + (tile_index * PARTIALS + partial) * hidden;
    memset(partials, 0, 2 * hidden * sizeof *partials);
    w->ops->norm_grad(&(hone_norm_grad_args){
        .rows = t->rows,
        .dim = hidden,
        .sum = sum,
        .stats = stats,
        .weight = weight,
        .dout = dout,
        .dsum = dsum,
        .dweight = partials,
        .dbias = partials + hidden,
    });
}

/* to = from, with the mask of a drop site where there is one: the gradient through dropout. */
static void through_drop(const phase *ph, const hone_tile *t, hone_drop_kind kind,
                         const float *from, float *to) {
    const hone_pass *pass = ph->b->pass;
    size_t hidden = pass->weights->config->hidden;
    hone_drop storage;
    const hone_drop *drop = hone_pass_drop(pass, kind, ph->layer, &storage);
    memcpy(to, from, t->rows * hidden * sizeof *to);
    if (drop) pass->weights->ops->dropout(to, t->rows, hidden, drop, (uint32_t)t->first);
}

/* dy += gradient through down(gelu(up(y))), and what the weights' gradients need. */
static void feed_forward_grad(const phase *ph, const hone_tile *t, const float *da2, float *dy,
                              const hone_tile_scratch *s) {
    const hone_weights *w = ph->b->pass->weights;
    const hone_layer_acts *acts = &ph->b->pass->acts->layers[ph->layer];
    size_t chunk = w->shapes->chunk, chunks = w->shapes->chunks;
    size_t rows = hone_padded_rows(ph->tiling.rows);
    const void *in = hone_product_operand(w->shapes->up, t->height, da2, s->in);
    for (size_t c = 0; c < chunks; c++) {
        size_t at = (c * rows + t->first) * chunk;
        float *middle = acts->middle + at, *dmiddle = ph->s->dmiddle + at;
        hone_product_run(w->shapes->up,
                         hone_packing_get(ph->b->transposed, ph->layer, HONE_PACK_UP + chunks + c),
                         NULL, false, t->height, in, dmiddle, s->product);
        hone_beside_backward(ph->b->pass, (hone_beside_place){ph->layer, HONE_LORA_DOWN, c}, t, da2,
                             dmiddle, s->adapter);
        w->ops->gelu_grad(dmiddle, middle, middle, t->rows * chunk);
        const void *between = hone_product_operand(w->shapes->down, t->height, dmiddle, s->between);
        hone_product_run(w->shapes->down,
                         hone_packing_get(ph->b->transposed, ph->layer, HONE_PACK_UP + c), NULL,
                         true, t->height, between, dy, s->product);
        hone_beside_backward(ph->b->pass, (hone_beside_place){ph->layer, HONE_LORA_UP, c}, t,
                             dmiddle, dy, s->adapter);
    }
}

static const hone_lora_slot square_slots[] = {
    [HONE_PACK_Q] = HONE_LORA_Q,
    [HONE_PACK_K] = HONE_LORA_K,
    [HONE_PACK_V] = HONE_LORA_V,
    [HONE_PACK_OUT] = HONE_LORA_OUT,
};

/* to (+)= from W of a square matrix of a layer, for the rows of a tile. */
static void multiply_transposed(const phase *ph, size_t slot, const hone_tile *t, bool accumulate,
                                const float *from, float *to, const hone_tile_scratch *s) {
    const hone_product *square = ph->b->pass->weights->shapes->square;
    hone_product_run(square, hone_packing_get(ph->b->transposed, ph->layer, slot), NULL, accumulate,
                     t->height, hone_product_operand(square, t->height, from, s->in), to,
                     s->product);
    hone_beside_backward(ph->b->pass, (hone_beside_place){ph->layer, square_slots[slot], 0}, t,
                         from, to, s->adapter);
}

/* out = norm of a sum that `layer` kept, to the same bytes as in the forward pass. */
static void norm_again(const phase *ph, const hone_tile *t, size_t layer, const float *sum,
                       hone_layer_slot weight, hone_layer_slot bias, float *out) {
    const hone_weights *w = ph->b->pass->weights;
    size_t at = t->first * w->config->hidden;
    w->ops->norm(&(hone_norm_args){
        .rows = t->rows,
        .dim = w->config->hidden,
        .x = sum + at,
        .weight = w->plain[hone_params_layer(layer, weight)],
        .bias = w->plain[hone_params_layer(layer, bias)],
        .eps = w->config->norm_eps,
        .out = out + at,
    });
}

/* What the weights' gradients read and the forward pass did not keep: the output of the first
 * norm, and the layer's input where the layers behind it have had its place. */
static void make_again(const phase *ph, const hone_tile *t) {
    const hone_pass *pass = ph->b->pass;
    const hone_acts *acts = pass->acts;
    norm_again(ph, t, ph->layer, acts->layers[ph->layer].sum1, HONE_NORM1_W, HONE_NORM1_B,
               ph->s->y);
    if (acts->plan.recompute || ph->layer <= acts->plan.first ||
        hone_pass_is_compact(pass, ph->layer))
        return;
    norm_again(ph, t, ph->layer - 1, acts->layers[ph->layer - 1].sum2, HONE_NORM2_W, HONE_NORM2_B,
               acts->layers[ph->layer].x);
}

/* From the gradient of the layer's output to that of the attention's output (dctx), with the
 * residual's share of the input's gradient left in dx. */
static void layer_tile(void *ctx, size_t index, size_t worker) {
    const phase *ph = ctx;
    const hone_weights *w = ph->b->pass->weights;
    const hone_layer_acts *acts = &ph->b->pass->acts->layers[ph->layer];
    hone_tile t = hone_tiling_get(&ph->tiling, index);
    hone_tile_scratch s = hone_tile_scratch_of(ph->b->pass, worker);
    float *dy = s.a;
    size_t at = t.first * w->config->hidden;
    float *dx = (hone_pass_is_compact(ph->b->pass, ph->layer) ? ph->s->dfirst : ph->s->dx) + at;

    norm_grad_tile(ph, &t, index, acts->sum2 + at, acts->stats2 + 2 * t.first,
                   layer_plain(ph, HONE_NORM2_W), 2, ph->dout + at, dy);
    through_drop(ph, &t, HONE_DROP_DOWN, dy, ph->s->da2 + at);
    feed_forward_grad(ph, &t, ph->s->da2 + at, dy, &s);
    norm_grad_tile(ph, &t, index, acts->sum1 + at, acts->stats1 + 2 * t.first,
                   layer_plain(ph, HONE_NORM1_W), 0, dy, dx);
    through_drop(ph, &t, HONE_DROP_OUT, dx, ph->s->da1 + at);
    multiply_transposed(ph, HONE_PACK_OUT, &t, false, ph->s->da1 + at, ph->s->dctx + at, &s);
    make_again(ph, &t);
}

static void attention_piece(void *ctx, size_t index, size_t worker) {
    const phase *ph = ctx;
    const hone_pass *pass = ph->b->pass;
    const hone_config *c = pass->weights->config;
    const hone_layer_acts *a = &pass->acts->layers[ph->layer];
    size_t sequence = index / c->heads, head = index % c->heads, dim = c->hidden / c->heads;
    size_t start = (size_t)pass->batch->starts[sequence];
    size_t count = (size_t)pass->batch->starts[sequence + 1] - start;
    bool compact = hone_pass_is_compact(pass, ph->layer);
    size_t q_row = compact ? sequence : start;
    size_t q_at = q_row * c->hidden + head * dim, kv_at = start * c->hidden + head * dim;
    hone_drop storage;
    pass->weights->ops->attention_grad(&(hone_attention_grad_args){
        .fwd = {.q_rows = compact ? 1 : count,
                .kv_rows = count,
                .dim = dim,
                .scale = 1.0F / sqrtf((float)dim),
                .q = a->q + q_at,
                .q_stride = c->hidden,
                .k = a->k + kv_at,
                .v = a->v + kv_at,
                .kv_stride = c->hidden,
                .out = a->ctx + q_at,
                .lse = a->lse + head * hone_pass_rows(pass, ph->layer) + q_row,
                .drop = hone_pass_drop(pass, HONE_DROP_ATTENTION, ph->layer, &storage),
                .drop_row = (uint32_t)q_row,
                .drop_head = (uint32_t)head,
                .scratch = pass->acts->worker_scratch + worker * pass->acts->worker_floats},
        .dout = ph->s->dctx + q_at,
        .dq = ph->s->dq + q_at,
        .dk = ph->s->dk + kv_at,
        .dv = ph->s->dv + kv_at,
    });
}

/* One weight's gradient: dw[out, in] = dy^T x, and its bias'. */
typedef struct weight_grad {
    size_t out, in, rows;
    const float *dy, *x; /* [rows, out] and [rows, in], contiguous */
    float *dw;
    size_t dw_stride;
    float *db; /* NULL = counted elsewhere */
} weight_grad;

static weight_grad square_grad(const phase *ph, size_t slot) {
    static const hone_layer_slot weights[] = {HONE_Q_W, HONE_K_W, HONE_V_W, HONE_OUT_W};
    static const hone_layer_slot biases[] = {HONE_Q_B, HONE_K_B, HONE_V_B, HONE_OUT_B};
    const hone_pass *pass = ph->b->pass;
    const hone_layer_acts *acts = &pass->acts->layers[ph->layer];
    const float *dy[] = {ph->s->dq, ph->s->dk, ph->s->dv, ph->s->da1};
    bool compact = hone_pass_is_compact(pass, ph->layer);
    const float *q_x = compact ? pass->acts->gathered : acts->x;
    const float *x[] = {q_x, acts->x, acts->x, acts->ctx};
    bool all_rows = slot == HONE_PACK_K || slot == HONE_PACK_V;
    size_t hidden = pass->weights->config->hidden;
    return (weight_grad){.out = hidden,
                         .in = hidden,
                         .rows = all_rows ? pass->batch->tokens : ph->tiling.rows,
                         .dy = dy[slot],
                         .x = x[slot],
                         .dw = layer_grad(ph, weights[slot]),
                         .dw_stride = hidden,
                         .db = layer_grad(ph, biases[slot])};
}

static weight_grad slot_grad(const phase *ph, size_t slot) {
    if (slot < HONE_PACK_UP) return square_grad(ph, slot);
    const hone_weights *w = ph->b->pass->weights;
    const hone_layer_acts *acts = &ph->b->pass->acts->layers[ph->layer];
    size_t hidden = w->config->hidden, chunk = w->shapes->chunk, chunks = w->shapes->chunks;
    size_t c = slot - HONE_PACK_UP, rows = ph->tiling.rows;
    if (c < chunks)
        return (weight_grad){.out = chunk,
                             .in = hidden,
                             .rows = rows,
                             .dy = ph->s->dmiddle + c * hone_padded_rows(rows) * chunk,
                             .x = ph->s->y,
                             .dw = part_of(layer_grad(ph, HONE_UP_W), c * chunk * hidden),
                             .dw_stride = hidden,
                             .db = part_of(layer_grad(ph, HONE_UP_B), c * chunk)};
    c -= chunks;
    return (weight_grad){.out = hidden,
                         .in = chunk,
                         .rows = rows,
                         .dy = ph->s->da2,
                         .x = acts->middle + c * hone_padded_rows(rows) * chunk,
                         .dw = part_of(layer_grad(ph, HONE_DOWN_W), c * chunk),
                         .dw_stride = w->config->intermediate,
                         .db = c == 0 ? layer_grad(ph, HONE_DOWN_B) : NULL};
}

/* Rows [first, first + GRAD_ROWS) of a weight's gradient. */
static void weight_grad_block(const hone_backward *b, const weight_grad *g, size_t first,
                              size_t worker) {
    size_t count = g->out - first < GRAD_ROWS ? g->out - first : GRAD_ROWS;
    if (g->db)
        b->pass->weights->ops->column_sum(g->db + first, g->dy + first, g->rows, count, g->out);
    hone_gradient_run(&(hone_gradient_args){
        .dtype = b->dtype,
        .m = count,
        .n = g->in,
        .rows = g->rows,
        .a = g->dy + first,
        .a_stride = g->out,
        .b = g->x,
        .b_stride = g->in,
        .accumulate = !b->fresh,
        .c = g->dw + first * g->dw_stride,
        .c_stride = g->dw_stride,
        .scratch = hone_tile_scratch_of(b->pass, worker).a, /* no piece needs both */
    });
}

/* The gradients of a layer's norms: the partial sums of its tiles, in their order. */
static void add_partials(const phase *ph, size_t tiles, size_t partial, float *dweight,
                         float *dbias) {
    const hone_ops *ops = ph->b->pass->weights->ops;
    size_t hidden = ph->b->pass->weights->config->hidden;
    for (size_t i = 0; i < tiles; i++) {
        const float *p = ph->s->partials + (i * PARTIALS + partial) * hidden;
        ops->add(dweight, dweight, p, hidden);
        ops->add(dbias, dbias, p + hidden, hidden);
    }
}

static size_t blocks_of(const weight_grad *g) { return (g->out + GRAD_ROWS - 1) / GRAD_ROWS; }

static void weights_piece(void *ctx, size_t index, size_t worker) {
    const phase *ph = ctx;
    size_t slots = ph->b->transposed->slots;
    for (size_t slot = 0; slot < slots; slot++) {
        weight_grad g = slot_grad(ph, slot);
        size_t blocks = blocks_of(&g);
        if (index < blocks) {
            weight_grad_block(ph->b, &g, index * GRAD_ROWS, worker);
            return;
        }
        index -= blocks;
    }
    add_partials(ph, ph->tiling.tiles, 0, layer_grad(ph, HONE_NORM1_W),
                 layer_grad(ph, HONE_NORM1_B));
    add_partials(ph, ph->tiling.tiles, 2, layer_grad(ph, HONE_NORM2_W),
                 layer_grad(ph, HONE_NORM2_B));
}

static void run_weights(phase *ph) {
    size_t pieces = 1; /* the norms */
    for (size_t slot = 0; slot < ph->b->transposed->slots; slot++) {
        weight_grad g = slot_grad(ph, slot);
        pieces += blocks_of(&g);
    }
    hone_pool_run(ph->b->pass->pool, pieces, weights_piece, ph);
}

/* dfirst += dq Wq, in a first-only layer. */
static void first_q_tile(void *ctx, size_t index, size_t worker) {
    const phase *ph = ctx;
    hone_tile t = hone_tiling_get(&ph->tiling, index);
    size_t at = t.first * ph->b->pass->weights->config->hidden;
    hone_tile_scratch s = hone_tile_scratch_of(ph->b->pass, worker);
    multiply_transposed(ph, HONE_PACK_Q, &t, true, ph->s->dq + at, ph->s->dfirst + at, &s);
}

/* dx (+)= dq Wq + dk Wk + dv Wv. A first-only layer has its dq in dfirst: the first token of
 * each sequence of the tile takes it from there. */
static void input_tile(void *ctx, size_t index, size_t worker) {
    const phase *ph = ctx;
    const hone_pass *pass = ph->b->pass;
    hone_tile t = hone_tiling_get(&ph->tiling, index);
    size_t hidden = pass->weights->config->hidden, at = t.first * hidden;
    float *dx = ph->s->dx + at;
    hone_tile_scratch s = hone_tile_scratch_of(pass, worker);
    bool compact = hone_pass_is_compact(pass, ph->layer);
    if (!compact) multiply_transposed(ph, HONE_PACK_Q, &t, true, ph->s->dq + at, dx, &s);
    multiply_transposed(ph, HONE_PACK_K, &t, !compact, ph->s->dk + at, dx, &s);
    multiply_transposed(ph, HONE_PACK_V, &t, true, ph->s->dv + at, dx, &s);
    for (size_t i = 0; compact && i < pass->batch->sequences; i++) {
        size_t row = (size_t)pass->batch->starts[i];
        if (row < t.first || row >= t.first + t.rows) continue;
        float *to = ph->s->dx + row * hidden;
        pass->weights->ops->add(to, to, ph->s->dfirst + i * hidden, hidden);
    }
}

static void run_tiles(phase *ph, size_t rows, hone_pool_fn *fn) {
    ph->tiling = hone_tiling_of(rows);
    hone_pool_run(ph->b->pass->pool, ph->tiling.tiles, fn, ph);
}

/* The linear layer of a slot; both sides of the feed-forward layer are of all its chunks. */
static hone_linear linear_of(const phase *ph, hone_lora_slot slot) {
    size_t chunks = ph->b->pass->weights->shapes->chunks;
    bool is_up = slot == HONE_LORA_UP, is_down = slot == HONE_LORA_DOWN;
    weight_grad g = slot_grad(ph, is_down ? HONE_PACK_UP + chunks : (size_t)slot);
    size_t wide = ph->b->pass->weights->config->intermediate;
    return (hone_linear){.rows = g.rows,
                         .out = is_up ? wide : g.out,
                         .out_parts = is_up ? chunks : 1,
                         .dy = g.dy,
                         .in = is_down ? wide : g.in,
                         .in_parts = is_down ? chunks : 1,
                         .x = g.x};
}

static hone_err adapter_grads(const phase *ph) {
    const hone_backward *b = ph->b;
    const hone_weights *w = b->pass->weights;
    for (unsigned i = 0; i < HONE_LORA_SLOTS; i++) {
        hone_lora_slot slot = (hone_lora_slot)i;
        if (!hone_lora_has(b->lora, ph->layer, slot)) continue;
        size_t index = hone_lora_index(b->lora, w->params, ph->layer, slot);
        hone_lora_grad grad = {.lora = b->lora,
                               .linear = linear_of(ph, slot),
                               .a = w->plain[index],
                               .b = w->plain[index + 1],
                               .pass = b->pass,
                               .layer = ph->layer,
                               .slot = slot,
                               .accumulate = !b->fresh,
                               .da = grad_of(b, index),
                               .db = grad_of(b, index + 1)};
        HONE_TRY(hone_lora_grad_run(b->lora_work, b->pass->pool, &grad));
    }
    return HONE_OK;
}

static hone_err layer_grads(const hone_backward *b, hone_backward_scratch *s, size_t layer) {
    const hone_pass *pass = b->pass;
    bool compact = hone_pass_is_compact(pass, layer);
    phase ph = {.b = b, .s = s, .layer = layer, .dout = compact ? s->dfirst : s->dx};
    run_tiles(&ph, hone_pass_rows(pass, layer), layer_tile);
    hone_pool_run(pass->pool, pass->batch->sequences * pass->weights->config->heads,
                  attention_piece, &ph);
    if (b->lora->rank > 0)
        HONE_TRY(adapter_grads(&ph));
    else
        run_weights(&ph);
    if (layer == b->first_layer && !b->embeddings) return HONE_OK;
    if (compact) run_tiles(&ph, pass->batch->sequences, first_q_tile);
    run_tiles(&ph, pass->batch->tokens, input_tile);
    return HONE_OK;
}

/* Gradients of the classifier, and dpooled = dlogits W through dropout and activation. Few
 * rows and few labels: one thread does it. */
static void classifier_grads(const hone_backward *b, hone_backward_scratch *s) {
    const hone_pass *pass = b->pass;
    const hone_weights *w = pass->weights;
    size_t hidden = w->config->hidden, labels = w->config->labels;
    size_t head = hone_params_head(w->params, HONE_HEAD_W);
    float *dw = grad_of(b, head), *db = grad_of(b, hone_params_head(w->params, HONE_HEAD_B));
    for (size_t i = 0; i < pass->batch->sequences; i++) {
        const float *pooled = pass->acts->pooled + i * hidden;
        float *dpooled = s->dpooled + i * hidden;
        memset(dpooled, 0, hidden * sizeof *dpooled);
        for (size_t label = 0; label < labels; label++) {
            float d = b->dlogits[i * labels + label];
            const float *weight = w->plain[head] + label * hidden;
            db[label] += d;
            for (size_t j = 0; j < hidden; j++) {
                dw[label * hidden + j] += d * pooled[j];
                dpooled[j] += d * weight[j];
            }
        }
    }
    hone_drop storage;
    const hone_drop *drop = hone_pass_drop(pass, HONE_DROP_POOLED, 0, &storage);
    if (drop) w->ops->dropout(s->dpooled, pass->batch->sequences, hidden, drop, 0);
    for (size_t i = 0; i < pass->batch->sequences * hidden; i++) {
        float p = pass->acts->pooled_in[i];
        float slope = p > 0.0F ? 1.0F : 0.0F;                     /* relu */
        if (w->config->family == HONE_BERT) slope = 1.0F - p * p; /* tanh */
        s->dpooled[i] *= slope;
    }
}

static weight_grad pooler_grad(const phase *ph) {
    const hone_weights *w = ph->b->pass->weights;
    size_t hidden = w->config->hidden;
    return (weight_grad){.out = hidden,
                         .in = hidden,
                         .rows = ph->b->pass->batch->sequences,
                         .dy = ph->s->dpooled,
                         .x = ph->b->pass->acts->out,
                         .dw = grad_of(ph->b, hone_params_head(w->params, HONE_POOL_W)),
                         .dw_stride = hidden,
                         .db = grad_of(ph->b, hone_params_head(w->params, HONE_POOL_B))};
}

static void pooler_weights_piece(void *ctx, size_t index, size_t worker) {
    const phase *ph = ctx;
    weight_grad g = pooler_grad(ph);
    weight_grad_block(ph->b, &g, index * GRAD_ROWS, worker);
}

static void pooler_tile(void *ctx, size_t index, size_t worker) {
    const phase *ph = ctx;
    hone_tile t = hone_tiling_get(&ph->tiling, index);
    size_t at = t.first * ph->b->pass->weights->config->hidden;
    hone_tile_scratch s = hone_tile_scratch_of(ph->b->pass, worker);
    const hone_product *pool = ph->b->pass->weights->shapes->pool;
    hone_product_run(pool, hone_packing_get_pool(ph->b->transposed, 0), NULL, false, t.height,
                     hone_product_operand(pool, t.height, ph->s->dpooled + at, s.in),
                     ph->s->dfirst + at, s.product);
}

/* dx -> through dropout and norm to the sum of the embeddings. */
static void embed_tile(void *ctx, size_t index, size_t worker) {
    const phase *ph = ctx;
    const hone_pass *pass = ph->b->pass;
    hone_tile t = hone_tiling_get(&ph->tiling, index);
    size_t at = t.first * pass->weights->config->hidden;
    (void)worker;
    through_drop(ph, &t, HONE_DROP_EMBEDDING, ph->s->dx + at, ph->s->da1 + at);
    norm_grad_tile(ph, &t, index, pass->acts->embed_sum + at, pass->acts->embed_stats + 2 * t.first,
                   pass->weights->plain[HONE_EMB_NORM_W], 0, ph->s->da1 + at, ph->s->da1 + at);
}

/* A range of columns of every embedding's gradient, all rows in order. */
static void scatter_piece(void *ctx, size_t index, size_t worker) {
    const phase *ph = ctx;
    const hone_weights *w = ph->b->pass->weights;
    const hone_pack *batch = ph->b->pass->batch;
    size_t hidden = w->config->hidden, first = index * SCATTER_COLUMNS;
    size_t count = hidden - first < SCATTER_COLUMNS ? hidden - first : SCATTER_COLUMNS;
    float *word = grad_of(ph->b, HONE_WORD_EMB) + first;
    float *position = grad_of(ph->b, HONE_POS_EMB) + first;
    (void)worker;
    for (size_t i = 0; i < batch->sequences; i++) {
        size_t begin = (size_t)batch->starts[i];
        for (size_t row = begin; row < (size_t)batch->starts[i + 1]; row++) {
            const float *from = ph->s->da1 + row * hidden + first;
            float *to = position + (row - begin) * hidden;
            w->ops->add(to, to, from, count);
            to = word + (size_t)batch->ids[row] * hidden;
            if (batch->ids[row] != ph->b->pad_id) w->ops->add(to, to, from, count);
            if (w->config->types == 0) continue;
            size_t type = batch->types ? (size_t)batch->types[row] : 0;
            to = grad_of(ph->b, HONE_TYPE_EMB) + type * hidden + first;
            w->ops->add(to, to, from, count);
        }
    }
}

static void embedding_grads(phase *ph) {
    const hone_backward *b = ph->b;
    size_t hidden = b->pass->weights->config->hidden;
    ph->layer = 0;
    run_tiles(ph, b->pass->batch->tokens, embed_tile);
    add_partials(ph, ph->tiling.tiles, 0, grad_of(b, HONE_EMB_NORM_W), grad_of(b, HONE_EMB_NORM_B));
    hone_pool_run(b->pass->pool, (hidden + SCATTER_COLUMNS - 1) / SCATTER_COLUMNS, scatter_piece,
                  ph);
}

/* Transposed weights of layers [first, end), or the pooler's, where they are made by layer. */
static hone_err fill(const hone_backward *b, size_t first, size_t end, bool pool) {
    const hone_weights *w = b->pass->weights;
    if (!hone_packing_is_by_layer(b->transposed)) return HONE_OK;
    hone_repack which = {first, end, ~UINT32_C(0), pool};
    return hone_packing_refill(b->transposed, w->params, w->plain, which, b->pass->pool);
}

hone_err hone_backward_run(const hone_backward *b, hone_backward_scratch *s) {
    const hone_pass *pass = b->pass;
    phase ph = {.b = b, .s = s};
    classifier_grads(b, s);
    weight_grad pooler = pooler_grad(&ph);
    if (b->pool) hone_pool_run(pass->pool, blocks_of(&pooler), pooler_weights_piece, &ph);
    if (b->first_layer < pass->layers) {
        HONE_TRY(fill(b, 0, 0, true));
        run_tiles(&ph, pass->batch->sequences, pooler_tile);
    }
    for (size_t layer = pass->layers; layer-- > b->first_layer;) {
        if (pass->acts->plan.recompute && layer + 1 < pass->layers) hone_pass_again(pass, layer);
        HONE_TRY(fill(b, layer, layer + 1, false));
        HONE_TRY(layer_grads(b, s, layer));
    }
    if (b->embeddings) embedding_grads(&ph);
    return HONE_OK;
}
