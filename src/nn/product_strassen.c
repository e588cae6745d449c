/* product_strassen.c: f32 products of many rows as seven products of half the size, an eighth
 * less work: Strassen's algorithm, as Winograd has it, once.
 *
 *     | A11 A12 |  | B11 B12 |      A = in, B = W^T
 *     | A21 A22 |  | B21 B22 |
 *
 *     S1 = A21 + A22   S2 = S1 - A11   S3 = A11 - A21   S4 = A12 - S2       the operand
 *     T1 = B12 - B11   T2 = B22 - T1   T3 = B22 - B12   T4 = T2 - B21       what is packed
 *     P1 = A11 B11   P2 = A12 B21   P3 = S4 B22   P4 = A22 T4   P5 = S1 T1   P6 = S2 T2   P7 = S3 T3
 *     C11 = P1 + P2             C12 = P1 + P6 + P5 + P3
 *     C21 = P1 + P6 + P7 - P4   C22 = P1 + P6 + P7 + P5                     the join
 *
 * The sums go over memory once each, and those of A once for all weights that read it. The
 * errors are of the size of the largest numbers of the matrices instead of each row's own, a few
 * times those of the plain sum. The T are made of packed quarters: a packing of floats is the
 * same places for every weight.
 * Source: Winograd's form is in Higham, Accuracy and Stability of Numerical Algorithms, 23.1. */
#include "base/heap.h"
#include "nn/cpu/strassen_impl.h"
#include "nn/isa.h"
#include "nn/product_impl.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PARTS = HONE_STRASSEN_PARTS,
    SIDE_MIN = 512, /* at 384 what goes around the seven products costs as much as it saves */
};

typedef struct strassen_product {
    hone_product base;
    hone_product *part; /* owned */
    const hone_strassen_kernels *kernels;
} strassen_product;

static const hone_isa_table TABLES[] = {
#if defined(__x86_64__)
    {HONE_ISA_AVX512, &hone_strassen_avx512},
    {HONE_ISA_AVX2, &hone_strassen_avx2},
#endif
    {HONE_ISA_GENERIC, &hone_strassen_generic},
};
enum { TABLE_COUNT = sizeof TABLES / sizeof TABLES[0] };

const hone_strassen_kernels *hone_strassen_best(void) { return hone_isa_choose(TABLES); }

const hone_strassen_kernels *hone_strassen_find(const char *name) {
    return hone_isa_find(TABLES, TABLE_COUNT, name);
}

static const strassen_product *cast(const hone_product *p) { return (const strassen_product *)p; }

static void destroy(hone_product *base) {
    strassen_product *p = (strassen_product *)base;
    hone_product_destroy(p->part);
    free(p);
}

static hone_err pack(const hone_product *base, const float *weight, size_t n_stride,
                     size_t k_stride, void *packed) {
    const strassen_product *p = cast(base);
    const float *right = weight + base->n / 2 * n_stride;
    size_t down = base->k / 2 * k_stride, bytes = p->part->packed_bytes;
    const float *quarters[PARTS] = {weight, weight + down, right + down, NULL, NULL, NULL, right};
    float *parts[PARTS];
    for (size_t i = 0; i < PARTS; i++) {
        parts[i] = (float *)(void *)((char *)packed + i * bytes);
        if (quarters[i])
            HONE_TRY(p->part->calls->pack(p->part, quarters[i], n_stride, k_stride, parts[i]));
    }
    p->kernels->weigh(bytes / sizeof(float), parts);
    return HONE_OK;
}

static const void *operand(const hone_product *base, size_t rows, size_t real, const float *in,
                           void *memory) {
    cast(base)->kernels->split(rows, real, base->k, in, memory);
    return memory;
}

static void run(const hone_product *base, const void *packed, const float *bias, bool accumulate,
                size_t rows, const void *operand, float *out, void *scratch) {
    const strassen_product *p = cast(base);
    size_t in_floats = rows / 2 * p->part->k, out_floats = rows / 2 * p->part->n;
    float *parts = (float *)(void *)((char *)scratch + hone_heap_rounded(p->part->scratch_bytes));
    for (size_t i = 0; i < PARTS; i++)
        p->part->calls->run(p->part, (const char *)packed + i * p->part->packed_bytes, NULL, false,
                            rows / 2, (const float *)operand + i * in_floats,
                            parts + i * out_floats, scratch);
    p->kernels->join(&(hone_strassen_join){rows, base->n, parts, bias, accumulate, out});
}

static const hone_product_calls calls = {
    .destroy = destroy, .pack = pack, .operand = operand, .run = run};

/* A quarter's rows, of a tile of HONE_TILE_ROWS_MAX, times a side. */
static size_t parts_bytes(size_t side) {
    return hone_heap_rounded(PARTS * (HONE_TILE_ROWS_MAX / 2) * (side / 2) * sizeof(float));
}

hone_err hone_strassen_create_with(const hone_strassen_kernels *kernels, size_t k, size_t n,
                                   hone_product **out) {
    strassen_product *p = calloc(1, sizeof *p);
    if (!p) return hone_err_new(HONE_E_NOMEM, "no memory for a product");
    hone_err err = hone_onednn_create_halves(k / 2, n / 2, &p->part);
    if (hone_failed(err)) {
        free(p);
        return err;
    }
    p->kernels = kernels;
    p->base = (hone_product){.calls = &calls,
                             .k = k,
                             .n = n,
                             .packed_bytes = PARTS * p->part->packed_bytes,
                             .scratch_bytes = hone_heap_rounded(p->part->scratch_bytes) +
                                              parts_bytes(n),
                             .operand_bytes = parts_bytes(k),
                             .layout = p->part->layout};
    (void)snprintf(p->base.engine, sizeof p->base.engine, "strassen:%.40s", p->part->engine);
    *out = &p->base;
    return HONE_OK;
}

bool hone_strassen_pays(size_t k, size_t n) {
    const size_t unit = (size_t)2 * HONE_STRASSEN_UNIT;
    return k % unit == 0 && n % unit == 0 && k >= SIDE_MIN && n >= SIDE_MIN;
}

hone_err hone_strassen_create(size_t k, size_t n, hone_product **out) {
    return hone_strassen_create_with(hone_strassen_best(), k, n, out);
}
