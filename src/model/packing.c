/* packing.c: the matrices of a network in the layout of the matrix engine.
 *
 *     layer l:  [ q | k | v | out | up 0 | up 1 ... | down 0 | down 1 ... ]   then the pooler
 */
#include "model/encoder_impl.h"

#include "base/heap.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

hone_err hone_shapes_create(const hone_config *config, hone_dtype dtype, hone_shapes *out) {
    size_t hidden = config->hidden, wide = config->intermediate;
    hone_shapes s = {.chunks = 1, .chunk = wide, .pool_parts = 1};
    if (wide % hidden == 0 && wide / hidden <= HONE_CHUNKS_MAX) {
        s.chunks = wide / hidden;
        s.chunk = hidden;
    }
    hone_err err = hone_product_create(dtype, hidden, hidden, &s.square);
    if (!hone_failed(err)) {
        s.up = s.down = s.pool = s.square;
        if (s.chunk != hidden) {
            s.up = s.down = NULL;
            err = hone_product_create(dtype, hidden, s.chunk, &s.up);
            if (!hone_failed(err)) err = hone_product_create(dtype, s.chunk, hidden, &s.down);
        }
        /* One row a sequence, and the last thing before the answer: not the place to save. But of
         * four times the bytes, which a core alone would take long to read for a few rows. */
        if (!hone_failed(err) && dtype == HONE_DTYPE_INT8) {
            s.pool = NULL;
            if (hidden % HONE_POOL_PARTS == 0) s.pool_parts = HONE_POOL_PARTS;
            err = hone_product_create(HONE_DTYPE_F32, hidden, hidden / s.pool_parts, &s.pool);
        }
    }
    if (hone_failed(err))
        hone_shapes_done(&s);
    else
        *out = s;
    return err;
}

void hone_shapes_done(hone_shapes *s) {
    if (s->pool != s->square) hone_product_destroy(s->pool);
    if (s->up != s->square) hone_product_destroy(s->up);
    if (s->down != s->square) hone_product_destroy(s->down);
    hone_product_destroy(s->square);
    *s = (hone_shapes){0};
}

static size_t most_of(const hone_shapes *s, size_t (*bytes)(const hone_product *)) {
    const hone_product *const all[] = {s->square, s->up, s->down, s->pool};
    size_t most = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (bytes(all[i]) > most) most = bytes(all[i]);
    return hone_heap_rounded(most);
}

size_t hone_shapes_scratch_bytes(const hone_shapes *s) {
    return most_of(s, hone_product_scratch_bytes);
}

size_t hone_shapes_operand_bytes(const hone_shapes *s) {
    return most_of(s, hone_product_operand_bytes);
}

static void describe(const hone_product *p, hone_buf *out) {
    hone_buf_printf(out, "%s %016llx %zu\n", hone_product_engine(p),
                    (unsigned long long)hone_product_layout(p), hone_product_packed_bytes(p));
}

void hone_shapes_describe(const hone_shapes *s, hone_buf *out) {
    const hone_product *const all[] = {s->square, s->up, s->down, s->pool};
    hone_buf_printf(out, "chunks %zu of %zu\n", s->chunks, s->chunk);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) describe(all[i], out);
}

/* The product of a slot; transposed, the way up is a way down. */
static const hone_product *slot_product(const hone_packing *p, size_t slot) {
    if (slot < HONE_PACK_UP) return p->shapes->square;
    bool is_up = slot < HONE_PACK_UP + p->shapes->chunks;
    return is_up != p->transposed ? p->shapes->up : p->shapes->down;
}

static size_t slot_offset(const hone_packing *p, size_t slot) {
    if (slot <= HONE_PACK_UP) return slot * p->square_bytes;
    size_t ups = slot - HONE_PACK_UP, chunks = p->shapes->chunks;
    size_t downs = ups > chunks ? ups - chunks : 0;
    return HONE_PACK_UP * p->square_bytes + (ups - downs) * p->up_bytes + downs * p->down_bytes;
}

void hone_packing_lay_out(const hone_config *config, const hone_shapes *shapes, bool transposed,
                          size_t places, hone_packing *out) {
    hone_packing p = {
        .shapes = shapes, .transposed = transposed, .layers = config->layers, .places = places};
    p.slots = HONE_PACK_UP + 2 * shapes->chunks;
    p.square_bytes = hone_product_packed_bytes(shapes->square);
    p.up_bytes = hone_product_packed_bytes(slot_product(&p, HONE_PACK_UP));
    p.down_bytes = hone_product_packed_bytes(slot_product(&p, HONE_PACK_UP + shapes->chunks));
    p.total_bytes = places * slot_offset(&p, p.slots) +
                    shapes->pool_parts * hone_product_packed_bytes(shapes->pool);
    *out = p;
}

hone_err hone_packing_reserve(hone_packing *p) {
    p->memory = hone_heap_alloc(p->total_bytes);
    p->at = p->memory;
    if (p->memory) return HONE_OK;
    return hone_err_new(HONE_E_NOMEM, "no memory for %zu bytes of weights", p->total_bytes);
}

hone_err hone_packing_create(const hone_config *config, const hone_shapes *shapes, bool transposed,
                             size_t places, hone_packing *out) {
    hone_packing p;
    hone_packing_lay_out(config, shapes, transposed, places, &p);
    HONE_TRY(hone_packing_reserve(&p));
    *out = p;
    return HONE_OK;
}

void hone_packing_done(hone_packing *packing) {
    free(packing->memory);
    hone_map_close(&packing->map);
    *packing = (hone_packing){0};
}

static size_t offset_of(const hone_packing *p, size_t layer, size_t slot) {
    return layer % p->places * slot_offset(p, p->slots) + slot_offset(p, slot);
}

static size_t pool_offset(const hone_packing *p) { return p->places * slot_offset(p, p->slots); }

const void *hone_packing_get(const hone_packing *p, size_t layer, size_t slot) {
    return p->at + offset_of(p, layer, slot);
}

const void *hone_packing_get_pool(const hone_packing *p, size_t part) {
    return p->at + pool_offset(p) + part * hone_product_packed_bytes(p->shapes->pool);
}

typedef struct fill {
    const hone_packing *packing;
    const hone_params *params;
    const float *const *plain;
    hone_repack which;
    atomic_bool failed;
} fill;

static hone_err fill_square(const hone_packing *p, const hone_product *product, const float *weight,
                            size_t hidden, void *to) {
    size_t n_stride = p->transposed ? 1 : hidden, k_stride = p->transposed ? hidden : 1;
    return hone_product_pack(product, weight, n_stride, k_stride, to);
}

/* The pooler: its columns in parts are rows of W [hidden, hidden]. */
static hone_err fill_pool(const fill *f) {
    const hone_packing *p = f->packing;
    const hone_product *product = p->shapes->pool;
    size_t pool = hone_params_head(f->params, HONE_POOL_W), parts = p->shapes->pool_parts;
    size_t hidden = (size_t)f->params->items[pool].dims[1];
    char *to = p->memory + pool_offset(p);
    assert(parts == 1 || !p->transposed);
    for (size_t part = 0; part < parts; part++, to += hone_product_packed_bytes(product))
        HONE_TRY(
            fill_square(p, product, f->plain[pool] + part * (hidden / parts) * hidden, hidden, to));
    return HONE_OK;
}

static hone_err fill_slot(const fill *f, size_t layer, size_t slot) {
    static const hone_layer_slot squares[] = {HONE_Q_W, HONE_K_W, HONE_V_W, HONE_OUT_W};
    const hone_packing *p = f->packing;
    size_t up_index = hone_params_layer(layer, HONE_UP_W);
    size_t hidden = (size_t)f->params->items[up_index].dims[1];
    size_t wide = (size_t)f->params->items[up_index].dims[0];
    char *to = p->memory + offset_of(p, layer, slot);
    if (slot < HONE_PACK_UP)
        return fill_square(p, p->shapes->square, f->plain[hone_params_layer(layer, squares[slot])],
                           hidden, to);

    size_t chunk = slot - HONE_PACK_UP, columns = p->shapes->chunk;
    const hone_product *product = slot_product(p, slot);
    if (chunk < p->shapes->chunks) { /* up: rows of W [wide, hidden] */
        const float *weight = f->plain[up_index] + chunk * columns * hidden;
        if (p->transposed) return hone_product_pack(product, weight, 1, hidden, to);
        if (!hone_product_is_scaled(product))
            return hone_product_pack(product, weight, hidden, 1, to);
        return hone_product_pack_scaled(product, weight, hidden, 1,
                                        f->plain[hone_params_layer(layer, HONE_NORM1_W)],
                                        f->plain[hone_params_layer(layer, HONE_NORM1_B)], to);
    }
    chunk -= p->shapes->chunks; /* down: columns of W [hidden, wide] */
    const float *weight = f->plain[hone_params_layer(layer, HONE_DOWN_W)] + chunk * columns;
    return p->transposed ? hone_product_pack(product, weight, 1, wide, to)
                         : hone_product_pack(product, weight, wide, 1, to);
}

/* Has the matrix of piece index, a layer's, changed? */
static bool is_wanted(const fill *f, size_t index) {
    const hone_packing *p = f->packing;
    size_t slot = index % p->slots;
    if (slot >= HONE_PACK_UP) slot = HONE_PACK_UP + (slot - HONE_PACK_UP) / p->shapes->chunks;
    return (f->which.slots >> slot & 1) != 0;
}

/* Matrices of the layers that were asked for. */
static size_t pieces_of(const fill *f) {
    return (f->which.end_layer - f->which.first_layer) * f->packing->slots;
}

static void fill_piece(void *ctx, size_t index, size_t worker) {
    fill *f = ctx;
    const hone_packing *p = f->packing;
    (void)worker;
    hone_err err = HONE_OK;
    if (index == pieces_of(f)) {
        err = fill_pool(f);
    } else if (is_wanted(f, index)) {
        err = fill_slot(f, f->which.first_layer + index / p->slots, index % p->slots);
    }
    if (hone_failed(err)) atomic_store(&f->failed, true);
}

hone_err hone_packing_fill(hone_packing *packing, const hone_params *params,
                           const float *const *plain, hone_pool *pool) {
    hone_repack all = {0, packing->layers, ~UINT32_C(0), true};
    return hone_packing_refill(packing, params, plain, all, pool);
}

hone_err hone_packing_refill(hone_packing *packing, const hone_params *params,
                             const float *const *plain, hone_repack which, hone_pool *pool) {
    assert(which.end_layer - which.first_layer <= packing->places);
    fill f = {.packing = packing, .params = params, .plain = plain, .which = which};
    hone_pool_run(pool, pieces_of(&f) + (which.pool ? 1 : 0), fill_piece, &f);
    if (atomic_load(&f.failed)) /* its own message stayed with the thread that saw it */
        return hone_err_new(HONE_E_NOMEM, "the matrix engine could not pack the weights");
    return HONE_OK;
}
