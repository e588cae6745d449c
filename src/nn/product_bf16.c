/* product_bf16.c: products of numbers rounded to bf16: packing weights, and the way to the
 * kernels of cpu/bf16.c. cpu/bf16_impl.h has the layout. */
#include "base/heap.h"
#include "nn/cpu/bf16_impl.h"
#include "nn/isa.h"
#include "nn/product_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct bf16_product {
    hone_product base;
    size_t k_padded, panels;
    const hone_bf16_kernels *kernels;
} bf16_product;

static const hone_isa_table TABLES[] = {
#if defined(__x86_64__)
    {HONE_ISA_AVX512_BF16, &hone_bf16_avx512_bf16},
    {HONE_ISA_AVX512, &hone_bf16_avx512},
    {HONE_ISA_AVX2, &hone_bf16_avx2},
#endif
    {HONE_ISA_GENERIC, &hone_bf16_generic},
};
enum { TABLE_COUNT = sizeof TABLES / sizeof TABLES[0] };

const hone_bf16_kernels *hone_bf16_best(void) { return hone_isa_choose(TABLES); }

const hone_bf16_kernels *hone_bf16_find(const char *name) {
    return hone_isa_find(TABLES, TABLE_COUNT, name);
}

static const bf16_product *cast(const hone_product *p) { return (const bf16_product *)p; }

static void destroy(hone_product *base) { free(base); }

static const void *operand(const hone_product *base, size_t rows, const float *in, void *memory) {
    const bf16_product *p = cast(base);
    p->kernels->round(rows, base->k, p->k_padded, in, memory);
    return memory;
}

static void run(const hone_product *base, const void *packed, const float *bias, bool accumulate,
                size_t rows, const void *operand, float *out, void *scratch) {
    const bf16_product *p = cast(base);
    (void)scratch;
    p->kernels->multiply(
        &(hone_bf16_args){rows, p->k_padded, base->n, operand, packed, bias, accumulate, out});
}

static hone_err pack(const hone_product *base, const float *weight, size_t n_stride,
                     size_t k_stride, void *packed) {
    const bf16_product *p = cast(base);
    size_t columns = p->kernels->panel;
    uint16_t *to = packed;
    memset(packed, 0, base->packed_bytes);
    for (size_t first = 0; first < base->n; first += columns, to += p->k_padded * columns) {
        size_t wide = base->n - first < columns ? base->n - first : columns;
        const float *from = weight + first * n_stride;
        for (size_t k = 0; k < base->k; k++)
            for (size_t j = 0; j < wide; j++)
                to[(k / 2 * columns + j) * 2 + k % 2] = hone_bf16_of(
                    from[j * n_stride + k * k_stride]);
    }
    return HONE_OK;
}

static const hone_product_calls calls = {
    .destroy = destroy, .pack = pack, .operand = operand, .run = run};

hone_err hone_bf16_create_with(const hone_bf16_kernels *kernels, size_t k, size_t n,
                               hone_product **out) {
    bf16_product *p = calloc(1, sizeof *p);
    if (!p) return hone_err_new(HONE_E_NOMEM, "no memory for a product");
    p->k_padded = hone_bf16_padded(k);
    p->panels = (n + kernels->panel - 1) / kernels->panel;
    p->kernels = kernels;
    p->base = (hone_product){.calls = &calls, .k = k, .n = n, .rows_unit = HONE_TILE_UNIT};
    size_t packed = p->panels * p->k_padded * kernels->panel * sizeof(uint16_t);
    size_t operand_bytes = HONE_TILE_ROWS_MAX * p->k_padded * sizeof(float);
    p->base.packed_bytes = hone_heap_rounded(packed);
    p->base.operand_bytes = hone_heap_rounded(operand_bytes);
    (void)snprintf(p->base.engine, sizeof p->base.engine, "bf16:%s", kernels->name);
    *out = &p->base;
    return HONE_OK;
}

hone_err hone_bf16_create(size_t k, size_t n, hone_product **out) {
    return hone_bf16_create_with(hone_bf16_best(), k, n, out);
}
