/* bf16.c: products of bf16 numbers; bf16_impl.h has the layout and the rounding.
 *
 * A block of rows and a panel's columns stays in registers over the whole depth.
 *
 *     AVX512_BF16   pairs of a row are broadcast; one instruction adds both products
 *     elsewhere     a row is rounded, but kept as floats, so that it need not be widened again
 *                   for each panel; a pair of the weight becomes two vectors by a shift and a
 *                   mask, and each is multiplied and added as f32 is
 *
 * Half the bytes of an f32 weight are read, which is what short inputs wait for. */
#include "nn/cpu/bf16_impl.h"

#include "nn/cpu/table_impl.h"
#include "nn/cpu/vec.h"

#define HONE_BF16_TABLE HONE_PASTE(hone_bf16, HONE_ISA)

/* Vectors of a panel and rows of a block: as many sums as there are registers, less those for
 * the operands. */
#if defined(__AVX512F__)
enum { VECTORS = 3, ROWS = 8 };
#else
enum { VECTORS = 2, ROWS = 4 }; /* as many as a multiply-add takes cycles, on two units */
#endif
enum { PANEL = VECTORS * LANES };

ALWAYS_INLINE veci load_pairs(const char *p) {
    veci v;
    memcpy(&v, p, sizeof v);
    return v;
}

#if defined(__AVX512BF16__)
/* A row's pairs, as they are broadcast. */
static void round_rows(size_t rows, size_t k, size_t k_padded, const float *from, void *to) {
    uint16_t *out = to;
    for (size_t row = 0; row < rows; row++, from += k, out += k_padded) {
        typedef uint16_t halves __attribute__((vector_size(2 * LANES)));
        size_t i = 0;
        for (; i + LANES <= k; i += LANES) {
            halves h = __builtin_convertvector(vec_to_bf16(vec_load(from + i)) >> 16, halves);
            memcpy(out + i, &h, sizeof h);
        }
        for (; i < k; i++) out[i] = hone_bf16_of(from[i]);
        for (; i < k_padded; i++) out[i] = 0;
    }
}
enum { ROW_BYTES = sizeof(uint16_t) };

/* sums += the next two of each row times those of the panel. */
ALWAYS_INLINE void step(const int rows, vec sums[ROWS][VECTORS], const char *x, size_t row_bytes,
                        const char *pairs) {
    veci w[VECTORS];
#pragma GCC unroll 3
    for (int v = 0; v < VECTORS; v++) w[v] = load_pairs(pairs + (size_t)v * sizeof(veci));
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        int32_t two;
        memcpy(&two, x + (size_t)i * row_bytes, sizeof two);
        veci a = (veci){0} + two;
#pragma GCC unroll 3
        for (int v = 0; v < VECTORS; v++)
            sums[i][v] = (vec)_mm512_dpbf16_ps((__m512)sums[i][v], (__m512bh)a, (__m512bh)w[v]);
    }
}
#else
static void round_rows(size_t rows, size_t k, size_t k_padded, const float *from, void *to) {
    float *out = to;
    for (size_t row = 0; row < rows; row++, from += k, out += k_padded) {
        size_t i = 0;
        for (; i + LANES <= k; i += LANES) vec_store(out + i, (vec)vec_to_bf16(vec_load(from + i)));
        if (i < k) vec_store_some(out + i, (vec)vec_to_bf16(vec_load_some(from + i, k - i)), k - i);
        for (i = k; i < k_padded; i++) out[i] = 0.0F;
    }
}
enum { ROW_BYTES = sizeof(float) };

ALWAYS_INLINE void half_step(const int rows, vec sums[ROWS][VECTORS], const char *x,
                             size_t row_bytes, const vec *w) {
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
        float one;
        memcpy(&one, x + (size_t)i * row_bytes, sizeof one);
        vec a = vec_all(one);
#pragma GCC unroll 3
        for (int v = 0; v < VECTORS; v++) sums[i][v] += a * w[v];
    }
}

ALWAYS_INLINE void step(const int rows, vec sums[ROWS][VECTORS], const char *x, size_t row_bytes,
                        const char *pairs) {
    vec w[VECTORS];
#pragma GCC unroll 3
    for (int v = 0; v < VECTORS; v++)
        w[v] = (vec)(load_pairs(pairs + (size_t)v * sizeof(veci)) << 16);
    half_step(rows, sums, x, row_bytes, w);
#pragma GCC unroll 3
    for (int v = 0; v < VECTORS; v++)
        w[v] = (vec)(load_pairs(pairs + (size_t)v * sizeof(veci)) & (int32_t)0xFFFF0000);
    half_step(rows, sums, x + sizeof(float), row_bytes, w);
}
#endif

/* out = sum (+ bias) (+ out) for LANES columns, or fewer at the end. */
ALWAYS_INLINE void finish(const hone_bf16_args *a, size_t row, size_t column, vec sum) {
    float *out = a->out + row * a->n + column;
    size_t count = a->n - column;
    if (count >= LANES) {
        if (a->bias) sum += vec_load(a->bias + column);
        if (a->accumulate) sum += vec_load(out);
        vec_store(out, sum);
        return;
    }
    if (a->bias) sum += vec_load_some(a->bias + column, count);
    if (a->accumulate) sum += vec_load_some(out, count);
    vec_store_some(out, sum, count);
}

ALWAYS_INLINE void block(const int rows, const hone_bf16_args *a, size_t row, size_t panel) {
    const size_t row_bytes = a->k_padded * ROW_BYTES, pair_bytes = PANEL * sizeof(int32_t);
    const char *x = (const char *)a->x + row * row_bytes;
    const char *packed = a->packed + panel * (a->k_padded / 2) * pair_bytes;
    vec sums[ROWS][VECTORS];
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (int v = 0; v < VECTORS; v++) sums[i][v] = (vec){0};
    for (size_t pair = 0; pair < a->k_padded / 2; pair++)
        step(rows, sums, x + pair * 2 * ROW_BYTES, row_bytes, packed + pair * pair_bytes);
#pragma GCC unroll 3
    for (int v = 0; v < VECTORS; v++) {
        size_t column = panel * PANEL + (size_t)v * LANES;
        if (column >= a->n) break;
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) finish(a, row + (size_t)i, column, sums[i][v]);
    }
}

/* All rows of a panel, which stays in the nearest cache, before the next. */
static void multiply(const hone_bf16_args *a) {
    for (size_t panel = 0; panel * PANEL < a->n; panel++) {
        size_t row = 0;
        for (; row + ROWS <= a->rows; row += ROWS) block(ROWS, a, row, panel);
        for (; row < a->rows; row++) block(1, a, row, panel);
    }
}

const hone_bf16_kernels HONE_BF16_TABLE = {HONE_ISA_NAME, PANEL, round_rows, multiply};
