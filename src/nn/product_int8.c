/* product_int8.c: products in whole numbers: packing weights, and the way to the kernels of
 * cpu/int8.c. cpu/int8_impl.h has the formula and the layout.
 *
 * Weights are rounded once, symmetrically, with a scale for each output; inputs at every call,
 * with a range for each row: no data to calibrate on, and a token with large numbers takes no
 * digits from the others. */
#include "base/heap.h"
#include "nn/cpu/int8_impl.h"
#include "nn/isa.h"
#include "nn/product_impl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct int8_product {
    hone_product base;
    size_t k_padded, panels;
    const hone_int8_kernels *kernels;
} int8_product;

static const hone_isa_table TABLES[] = {
#if defined(__x86_64__)
    {HONE_ISA_AVX512_VNNI, &hone_int8_avx512_vnni},
    {HONE_ISA_AVX512, &hone_int8_avx512},
    {HONE_ISA_AVX2, &hone_int8_avx2},
#endif
    {HONE_ISA_GENERIC, &hone_int8_generic},
};
enum { TABLE_COUNT = sizeof TABLES / sizeof TABLES[0] };

const hone_int8_kernels *hone_int8_find(const char *name) {
    return hone_isa_find(TABLES, TABLE_COUNT, name);
}

static const int8_product *cast(const hone_product *p) { return (const int8_product *)p; }

static void destroy(hone_product *base) { free(base); }

/* An operand in memory: the rows, then their steps, then their lows. */
static hone_int8_rows rows_in(const int8_product *p, size_t rows, void *memory) {
    hone_int8_rows x = {.rows = rows, .k = p->base.k, .k_padded = p->k_padded, .u = memory};
    x.step = (float *)(void *)(x.u + hone_heap_rounded(rows * p->k_padded));
    x.low = x.step + rows;
    return x;
}

static const void *operand(const hone_product *base, size_t rows, const float *in, void *memory) {
    const int8_product *p = cast(base);
    hone_int8_rows x = rows_in(p, rows, memory);
    p->kernels->quantise(&x, in);
    return memory;
}

static const void *rest(const hone_product *base, size_t rows, const float *in, const void *operand,
                        void *memory) {
    const int8_product *p = cast(base);
    hone_int8_rows x = rows_in(p, rows, memory);
    const hone_int8_rows of = rows_in(
        p, rows, (void *)(uintptr_t)operand); /* NOLINT(performance-no-int-to-ptr) */
    p->kernels->quantise_rest(&x, in, &of);
    return memory;
}

static void run_part(const hone_product *base, const void *packed, const float *bias,
                     bool accumulate, size_t rows, const void *operand, float *out, size_t part,
                     size_t parts) {
    const int8_product *p = cast(base);
    /* only read: the kernels' rows are of one type for writer and reader */
    const hone_int8_rows x = rows_in(
        p, rows, (void *)(uintptr_t)operand); /* NOLINT(performance-no-int-to-ptr) */
    p->kernels->multiply(&(hone_int8_args){&x, base->n, packed, bias, accumulate, out,
                                           p->panels * part / parts,
                                           p->panels * (part + 1) / parts});
}

static void run(const hone_product *base, const void *packed, const float *bias, bool accumulate,
                size_t rows, const void *operand, float *out, void *scratch) {
    (void)scratch;
    run_part(base, packed, bias, accumulate, rows, operand, out, 0, 1);
}

/* A column of a weight, and what its input is scaled by and moved by; NULL = 1 and 0. */
typedef struct column {
    const float *weight;
    size_t k, k_stride;
    const float *gain, *offset;
} column;

static float number_of(const column *c, size_t i) {
    float w = c->weight[i * c->k_stride];
    return c->gain ? w * c->gain[i] : w;
}

/* The largest number and the largest sum of one sign in a group; not a number where one is none,
 * or has no end. */
static void extent_of(const column *c, float *most, float *group) {
    float bad = 0.0F;
    *most = *group = 0.0F;
    for (size_t first = 0; first < c->k; first += 8) {
        float sums[4] = {0.0F, 0.0F, 0.0F, 0.0F}; /* of both groups, above 0 and below */
        for (size_t i = first; i < first + 8 && i < c->k; i++) {
            float w = number_of(c, i), size = fabsf(w);
            *most = size > *most ? size : *most;
            sums[i / 2 % 2 * 2 + (w < 0.0F)] += size;
            bad += w * 0.0F; /* stays 0 as long as all are finite */
        }
        for (size_t s = 0; s < 4; s++) *group = sums[s] > *group ? sums[s] : *group;
    }
    *most += bad;
}

/* Its numbers at place `at` of a panel, and the floats behind them. */
static void pack_column(const column *c, size_t at, int8_t *panel, float *floats) {
    float most, extent, limit = HONE_INT8_GROUP_MAX;
    extent_of(c, &most, &extent);
    if (most * HONE_INT8_GROUP_MAX > extent * HONE_INT8_WEIGHT_MAX) {
        extent = most;
        limit = HONE_INT8_WEIGHT_MAX;
    }
    float inverse = most > 1e-30F ? limit / extent : 0.0F, base = 0.0F;
    int32_t total = 0;
    for (size_t i = 0; i < c->k; i++) {
        int32_t q = inverse == 0.0F ? 0 : (int32_t)lrintf(number_of(c, i) * inverse);
        panel[(i / 4 * HONE_INT8_PANEL + at) * 4 + i % 4] = (int8_t)q;
        total += q;
        if (c->offset) base += c->weight[i * c->k_stride] * c->offset[i];
    }
    floats[at] = isnan(most) ? NAN : inverse == 0.0F ? 0.0F : extent / limit;
    floats[HONE_INT8_PANEL + at] = (float)total;
    floats[2 * HONE_INT8_PANEL + at] = base;
}

static hone_err pack_scaled(const hone_product *base, const float *weight, size_t n_stride,
                            size_t k_stride, const float *gain, const float *offset, void *packed) {
    const int8_product *p = cast(base);
    size_t panel_bytes = hone_int8_panel_bytes(p->k_padded);
    memset(packed, 0, base->packed_bytes);
    for (size_t n = 0; n < base->n; n++) {
        char *panel = (char *)packed + n / HONE_INT8_PANEL * panel_bytes;
        float *floats = (float *)(void *)(panel + p->k_padded * HONE_INT8_PANEL);
        column c = {weight + n * n_stride, base->k, k_stride, gain, offset};
        pack_column(&c, n % HONE_INT8_PANEL, (int8_t *)panel, floats);
    }
    return HONE_OK;
}

static hone_err pack(const hone_product *base, const float *weight, size_t n_stride,
                     size_t k_stride, void *packed) {
    return pack_scaled(base, weight, n_stride, k_stride, NULL, NULL, packed);
}

static const hone_product_calls calls = {
    .destroy = destroy,
    .pack = pack,
    .operand = operand,
    .run = run,
    .pack_scaled = pack_scaled,
    .rest = rest,
    .run_part = run_part,
};

hone_err hone_int8_create_with(const hone_int8_kernels *kernels, size_t k, size_t n,
                               hone_product **out) {
    int8_product *p = calloc(1, sizeof *p);
    if (!p) return hone_err_new(HONE_E_NOMEM, "no memory for a product");
    p->k_padded = hone_int8_padded(k);
    p->panels = (n + HONE_INT8_PANEL - 1) / HONE_INT8_PANEL;
    p->kernels = kernels;
    p->base = (hone_product){.calls = &calls, .k = k, .n = n, .rows_unit = HONE_INT8_ROWS_UNIT};
    p->base.packed_bytes = p->panels * hone_int8_panel_bytes(p->k_padded);
    p->base.operand_bytes = hone_heap_rounded(HONE_TILE_ROWS_MAX * p->k_padded) +
                            2 * HONE_TILE_ROWS_MAX * sizeof(float);
    (void)snprintf(p->base.engine, sizeof p->base.engine, "int8:%s", kernels->name);
    *out = &p->base;
    return HONE_OK;
}

hone_err hone_int8_create(size_t k, size_t n, hone_product **out) {
    return hone_int8_create_with(hone_isa_choose(TABLES), k, n, out);
}
