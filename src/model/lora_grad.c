/* lora_grad.c: see lora_impl.h. Tiles make z and u, then each part of A's and B's gradient is
 * made whole by one piece of work. */
#include "model/lora_impl.h"

#include "base/heap.h"
#include "model/beside_impl.h"
#include "nn/gradient.h"

#include <stdlib.h>
#include <string.h>

hone_err hone_lora_work_create(const hone_lora *lora, const hone_config *config,
                               const hone_shapes *shapes, hone_lora_work *out) {
    hone_lora_work w = {.parts = shapes->chunks};
    hone_err err = hone_product_create(HONE_DTYPE_F32, config->hidden, lora->rank, &w.square);
    w.part = w.square;
    if (!hone_failed(err) && shapes->chunk != config->hidden) {
        w.part = NULL;
        err = hone_product_create(HONE_DTYPE_F32, shapes->chunk, lora->rank, &w.part);
    }
    *out = w;
    return err;
}

void hone_lora_work_done(hone_lora_work *w) {
    if (w->part != w->square) hone_product_destroy(w->part);
    hone_product_destroy(w->square);
    free(w->memory);
    *w = (hone_lora_work){0};
}

static size_t most(const hone_lora_work *w, size_t (*bytes)(const hone_product *)) {
    size_t square = bytes(w->square), part = bytes(w->part);
    return hone_heap_rounded(square > part ? square : part);
}

/* The widest input that an adapter has. */
static size_t widest(const hone_lora *lora, const hone_config *config) {
    bool is_wide = (lora->slots >> HONE_LORA_DOWN & 1U) != 0;
    return is_wide && config->intermediate > config->hidden ? config->intermediate : config->hidden;
}

hone_err hone_lora_work_reserve(hone_lora_work *w, const hone_lora *lora, const hone_config *config,
                                size_t tokens, size_t workers) {
    size_t inputs = lora->dropout > 0 ? hone_padded_rows(tokens) * widest(lora, config) : 0;
    size_t rows = hone_heap_rounded(hone_padded_rows(tokens) * lora->rank * sizeof(float));
    size_t packs = 2 * w->parts * most(w, hone_product_packed_bytes);
    w->scratch_bytes = most(w, hone_product_scratch_bytes);
    size_t bytes = hone_heap_rounded(inputs * sizeof(float)) + 2 * rows + packs +
                   workers * w->scratch_bytes;
    if (bytes > w->memory_bytes) {
        free(w->memory);
        w->memory_bytes = 0;
        w->memory = aligned_alloc(64, bytes);
        if (!w->memory)
            return hone_err_new(HONE_E_NOMEM, "no memory for the %zu bytes of adapters", bytes);
        w->memory_bytes = bytes;
        memset(w->memory, 0, bytes); /* scratch rows are computed: let them be numbers */
    }
    w->z = (float *)(void *)w->memory;
    w->u = (float *)(void *)(w->memory + rows);
    w->packs = w->memory + 2 * rows;
    w->product_scratch = w->packs + packs;
    w->dropped = (float *)(void *)(w->product_scratch + workers * w->scratch_bytes);
    return HONE_OK;
}

typedef struct work {
    const hone_lora_work *w;
    const hone_lora_grad *g;
    hone_linear linear; /* with the input as the adapter saw it */
    hone_tiling tiling;
} work;

static hone_product *product_of(const hone_lora_work *w, size_t parts) {
    return parts > 1 ? w->part : w->square;
}

static char *pack_at(const hone_lora_work *w, size_t index) {
    return w->packs + index * most(w, hone_product_packed_bytes);
}

/* A, to multiply x by, and B, to multiply dy by its transpose. */
static hone_err pack(const hone_lora_work *w, const hone_lora_grad *g) {
    const hone_linear *l = &g->linear;
    size_t rank = g->lora->rank;
    for (size_t i = 0; i < l->in_parts; i++)
        HONE_TRY(hone_product_pack(product_of(w, l->in_parts), g->a + i * (l->in / l->in_parts),
                                   l->in, 1, pack_at(w, i)));
    for (size_t i = 0; i < l->out_parts; i++)
        HONE_TRY(hone_product_pack(product_of(w, l->out_parts),
                                   g->b + i * (l->out / l->out_parts) * rank, 1, rank,
                                   pack_at(w, w->parts + i)));
    return HONE_OK;
}

/* to[rows, rank] = scale * from times what was packed, of a tile. */
static void multiply(const work *k, const hone_tile *t, const float *from, size_t width,
                     size_t parts, size_t first_pack, float *to, void *scratch) {
    const hone_product *product = product_of(k->w, parts);
    size_t rank = k->g->lora->rank, rows = hone_padded_rows(k->linear.rows);
    float *out = to + t->first * rank;
    for (size_t i = 0; i < parts; i++) {
        const float *in = from + (i * rows + t->first) * (width / parts);
        hone_product_run(product, pack_at(k->w, first_pack + i), NULL, i > 0, t->height,
                         hone_product_operand(product, t->height, in, NULL), out, scratch);
    }
    for (size_t i = 0; i < t->height * rank; i++) out[i] *= k->g->lora->scale;
}

static void narrow_tile(void *ctx, size_t index, size_t worker) {
    const work *k = ctx;
    const hone_linear *l = &k->linear;
    hone_tile t = hone_tiling_get(&k->tiling, index);
    void *scratch = k->w->product_scratch + worker * k->w->scratch_bytes;
    multiply(k, &t, l->x, l->in, l->in_parts, 0, k->w->z, scratch);
    multiply(k, &t, l->dy, l->out, l->out_parts, k->w->parts, k->w->u, scratch);
}

static void gradient_piece(void *ctx, size_t index, size_t worker) {
    const work *k = ctx;
    const hone_lora_grad *g = k->g;
    const hone_linear *l = &k->linear;
    size_t rank = g->lora->rank, rows = hone_padded_rows(l->rows);
    size_t width = l->out / l->out_parts;
    hone_gradient_args args = {
        .m = width,
        .n = rank,
        .rows = l->rows,
        .a = l->dy + index * rows * width,
        .a_stride = width,
        .b = k->w->z,
        .b_stride = rank,
        .accumulate = g->accumulate,
        .c = g->db + index * width * rank,
        .c_stride = rank,
        .scratch = hone_tile_scratch_of(g->pass, worker).a, /* no piece needs both */
    };
    if (index >= l->out_parts) {
        index -= l->out_parts;
        args.n = args.b_stride = width = l->in / l->in_parts;
        args.m = args.a_stride = rank;
        args.a = k->w->u;
        args.b = l->x + index * rows * width;
        args.c = g->da + index * width;
        args.c_stride = l->in;
    }
    hone_gradient_run(&args);
}

/* The input as the adapter saw it. */
static void drop_tile(void *ctx, size_t index, size_t worker) {
    const work *k = ctx;
    const hone_linear *l = &k->linear;
    hone_tile t = hone_tiling_get(&k->tiling, index);
    size_t width = l->in / l->in_parts, rows = hone_padded_rows(l->rows);
    (void)worker;
    for (size_t i = 0; i < l->in_parts; i++) {
        float *dropped = k->w->dropped + (i * rows + t.first) * width;
        memcpy(dropped, l->x + (i * rows + t.first) * width, t.rows * width * sizeof *dropped);
        hone_beside_drop(k->g->pass, (hone_beside_place){k->g->layer, k->g->slot, i}, t.first,
                         t.rows, dropped);
    }
}

hone_err hone_lora_grad_run(hone_lora_work *w, hone_pool *pool, const hone_lora_grad *grad) {
    work k = {
        .w = w, .g = grad, .linear = grad->linear, .tiling = hone_tiling_of(grad->linear.rows)};
    if (grad->pass->beside) {
        hone_pool_run(pool, k.tiling.tiles, drop_tile, &k);
        k.linear.x = w->dropped;
    }
    HONE_TRY(pack(w, grad));
    hone_pool_run(pool, k.tiling.tiles, narrow_tile, &k);
    hone_pool_run(pool, k.linear.out_parts + k.linear.in_parts, gradient_piece, &k);
    return HONE_OK;
}
