/* gradient.c: see nn/gradient.h.
 *
 *     a's block, packed:  panels of MICRO_ROWS columns, [row][MICRO_ROWS]
 *     b's block, packed:  panels of two vectors of columns, [row][2 * LANES]
 *
 * A panel of a and one of b give MICRO_ROWS x 2 * LANES sums, kept in registers over the block.
 * Where the processor multiplies bf16 itself a row of a panel is a pair of rows, a word each. */
#include "nn/cpu/gradient_impl.h"

#include "nn/cpu/bf16_impl.h"
#include "nn/cpu/table_impl.h"
#include "nn/cpu/vec.h"

enum {
    PANEL = 2 * LANES,
    AHEAD = 12, /* rows */
    ROWS = HONE_GRADIENT_ROWS,
    A_COLUMNS = HONE_GRADIENT_A_COLUMNS,
    B_COLUMNS = HONE_GRADIENT_B_COLUMNS,
};
_Static_assert(A_COLUMNS % (int)MICRO_ROWS == 0 && B_COLUMNS % PANEL == 0, "whole panels");
_Static_assert(PANEL >= (int)MICRO_ROWS, "a row of zeros for either");

typedef enum kind { F32, ROUNDED, PAIRS } kind;

/* Rows of a packed panel that hold `rows` rows. */
ALWAYS_INLINE size_t packed_rows(const kind is, size_t rows) {
    return is == PAIRS ? (rows + 1) / 2 : rows;
}

/* x as a packed panel has it; `below` is the number in the next row, of use to a pair. */
ALWAYS_INLINE float packed(const kind is, float x, float below) {
    if (is == F32) return x;
    uint32_t bits = (uint32_t)hone_bf16_of(x) << 16;
    if (is == PAIRS) bits = bits >> 16 | (uint32_t)hone_bf16_of(below) << 16;
    float word;
    memcpy(&word, &bits, sizeof word);
    return word;
}

/* Columns [0, columns) of x[rows] as panels `wide` columns wide; wide is a constant. */
ALWAYS_INLINE void pack(const kind is, const size_t wide, float *to, const float *x, size_t stride,
                        size_t rows, size_t columns) {
    static const float nothing[PANEL];
    const size_t step = is == PAIRS ? 2 : 1;
    for (size_t column = 0; column < columns; column += wide) {
        size_t some = columns - column < wide ? columns - column : wide;
        for (size_t r = 0; r < rows; r += step, to += wide) {
            const float *from = x + r * stride + column;
            /* rows are pages apart, where no hardware looks ahead */
            __builtin_prefetch(from + AHEAD * stride);
            const float *below = is == PAIRS && r + 1 < rows ? from + stride : nothing;
            if (some == wide) {
                for (size_t j = 0; j < wide; j++) to[j] = packed(is, from[j], below[j]);
            } else {
                for (size_t j = 0; j < some; j++) to[j] = packed(is, from[j], below[j]);
                for (size_t j = some; j < wide; j++) to[j] = 0.0F;
            }
        }
    }
}

ALWAYS_INLINE void put(float *c, size_t columns, bool accumulate, vec lo, vec hi) {
    if (columns >= PANEL) {
        if (accumulate) {
            lo = vec_load(c) + lo;
            hi = vec_load(c + LANES) + hi;
        }
        vec_store(c, lo);
        vec_store(c + LANES, hi);
        return;
    }
    float whole[PANEL];
    vec_store(whole, lo);
    vec_store(whole + LANES, hi);
    for (size_t j = 0; j < columns; j++) c[j] = accumulate ? c[j] + whole[j] : whole[j];
}

/* sum + x * y; of pairs, both products. */
ALWAYS_INLINE vec multiply_add(const kind is, vec sum, vec x, vec y) {
#if defined(__AVX512BF16__)
    if (is == PAIRS) return (vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)x, (__m512bh)y);
#endif
    (void)is;
    return sum + x * y;
}

/* Some sums of c, from a panel of a and one of b. */
typedef struct corner {
    float *c;
    size_t c_stride, rows, columns; /* of them within c */
    bool accumulate;
} corner;

ALWAYS_INLINE void micro(const kind is, size_t depth, const float *a, const float *b,
                         const corner *to) {
    vec lo[MICRO_ROWS], hi[MICRO_ROWS];
#pragma GCC unroll 12
    for (int i = 0; i < MICRO_ROWS; i++) {
        lo[i] = hi[i] = (vec){0};
        if ((size_t)i < to->rows) __builtin_prefetch(to->c + (size_t)i * to->c_stride, 1);
    }
    for (size_t k = 0; k < depth; k++, a += MICRO_ROWS, b += PANEL) {
        vec b_lo = vec_load(b), b_hi = vec_load(b + LANES);
#pragma GCC unroll 12
        for (int i = 0; i < MICRO_ROWS; i++) {
            vec x = vec_all(a[i]);
            lo[i] = multiply_add(is, lo[i], x, b_lo);
            hi[i] = multiply_add(is, hi[i], x, b_hi);
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < MICRO_ROWS; i++)
        if ((size_t)i < to->rows)
            put(to->c + (size_t)i * to->c_stride, to->columns, to->accumulate, lo[i], hi[i]);
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* c's rows of a packed block of a, its columns of one of b. */
ALWAYS_INLINE void multiply(const kind is, size_t depth, const float *a, const float *b,
                            corner to) {
    const corner all = to;
    for (size_t j = 0; j < all.columns; j += PANEL)
        for (size_t i = 0; i < all.rows; i += MICRO_ROWS) {
            to.c = all.c + i * all.c_stride + j;
            to.rows = least(all.rows - i, MICRO_ROWS);
            to.columns = least(all.columns - j, PANEL);
            micro(is, depth, a + i * depth, b + j * depth, &to);
        }
}

ALWAYS_INLINE void gradient(const kind is, const hone_gradient_args *g) {
    float *a = g->scratch, *b = a + ROWS * A_COLUMNS;
    size_t blocks = (g->rows + ROWS - 1) / ROWS;
    for (size_t n = 0; n < g->n; n += B_COLUMNS)
        for (size_t block = 0; block < blocks; block++) {
            size_t row = g->rows * block / blocks;
            size_t depth = g->rows * (block + 1) / blocks - row;
            size_t columns = least(g->n - n, B_COLUMNS);
            pack(is, PANEL, b, g->b + row * g->b_stride + n, g->b_stride, depth, columns);
            for (size_t m = 0; m < g->m; m += A_COLUMNS) {
                size_t rows = least(g->m - m, A_COLUMNS);
                pack(is, MICRO_ROWS, a, g->a + row * g->a_stride + m, g->a_stride, depth, rows);
                multiply(is, packed_rows(is, depth), a, b,
                         (corner){g->c + m * g->c_stride + n, g->c_stride, rows, columns,
                                  g->accumulate || block > 0});
            }
        }
}

static void gradient_f32(const hone_gradient_args *g) { gradient(F32, g); }

static void gradient_bf16(const hone_gradient_args *g) {
#if defined(__AVX512BF16__)
    gradient(PAIRS, g);
#else
    gradient(ROUNDED, g);
#endif
}

const hone_gradient_kernels HONE_PASTE(hone_gradient, HONE_ISA) = {
    .name = HONE_ISA_NAME,
    .f32 = gradient_f32,
    .bf16 = gradient_bf16,
};
