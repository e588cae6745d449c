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
    LINE = 16,  /* floats of a cache line */
    ROWS = HONE_GRADIENT_ROWS,
    A_COLUMNS = HONE_GRADIENT_A_COLUMNS,
    B_COLUMNS = HONE_GRADIENT_B_COLUMNS,
    A_FLOATS = HONE_GRADIENT_A_FLOATS,
};
_Static_assert(A_COLUMNS % (int)MICRO_ROWS == 0 && B_COLUMNS % PANEL == 0, "whole panels");
_Static_assert(PANEL >= (int)MICRO_ROWS, "a row of zeros for either");

static size_t least(size_t a, size_t b) { return a < b ? a : b; }
static size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

typedef enum kind { F32, ROUNDED, PAIRS } kind;

/* Rows of a packed panel that hold `rows` rows. */
ALWAYS_INLINE size_t packed_rows(const kind is, size_t rows) {
    return is == PAIRS ? (rows + 1) / 2 : rows;
}

/* x as a packed panel has it; `below` are the numbers in the next row, of use to pairs. */
ALWAYS_INLINE vec packed(const kind is, vec x, vec below) {
    if (is == F32) return x;
    veci up = vec_to_bf16(x);
    if (is == PAIRS) return (vec)((veci)((vecu)up >> 16) | vec_to_bf16(below));
    return (vec)up;
}

/* A matrix to pack, and the panels it becomes, `wide` columns each and `apart` floats apart. */
typedef struct packing {
    const float *x;
    size_t stride, rows;
    float *to;
    size_t apart;
} packing;

/* Some panels side by side, from panel `first` on; of x vectors are read and written whole: what
 * reaches over the end of a panel's row is of the next row, or of the gap behind the panel. */
ALWAYS_INLINE void pack_strip(const kind is, const size_t wide, const size_t panels,
                              const packing *p, size_t first) {
    const size_t step = is == PAIRS ? 2 : 1;
    float *to = p->to + first * p->apart;
    for (size_t r = 0; r < p->rows; r += step, to += wide) {
        const float *from = p->x + r * p->stride + first * wide;
        bool has_below = is == PAIRS && r + 1 < p->rows;
        for (size_t i = 0; i < panels * wide; i += LINE)      /* rows are pages apart, where no */
            __builtin_prefetch(from + AHEAD * p->stride + i); /* hardware looks ahead */
#pragma GCC unroll 8
        for (size_t i = 0; i < panels; i++)
            for (size_t j = 0; j < wide; j += LANES) {
                const float *at = from + i * wide + j;
                vec below = has_below ? vec_load(at + p->stride) : (vec){0};
                vec_store(to + i * p->apart + j, packed(is, vec_load(at), below));
            }
    }
}

/* The same of one panel that has `columns` columns, and of no number behind them. */
ALWAYS_INLINE void pack_rest(const kind is, const size_t wide, const packing *p, size_t panel,
                             size_t columns) {
    const size_t step = is == PAIRS ? 2 : 1;
    float *to = p->to + panel * p->apart;
    for (size_t r = 0; r < p->rows; r += step, to += wide) {
        float row[2][PANEL + LANES] = {{0}};
        const float *from = p->x + r * p->stride + panel * wide;
        memcpy(row[0], from, columns * sizeof *from);
        if (is == PAIRS && r + 1 < p->rows)
            memcpy(row[1], from + p->stride, columns * sizeof *from);
        for (size_t j = 0; j < wide; j += LANES)
            vec_store(to + j, packed(is, vec_load(row[0] + j), vec_load(row[1] + j)));
    }
}

/* Columns [0, columns) of x; `width` of its row may be read. */
ALWAYS_INLINE void pack(const kind is, const size_t wide, const packing *p, size_t columns,
                        size_t width) {
    enum { STRIP = 8 };
    const size_t reach = round_up(wide, LANES);
    size_t panel = 0;
    while ((panel + STRIP) * wide <= columns && (panel + STRIP - 1) * wide + reach <= width) {
        pack_strip(is, wide, STRIP, p, panel);
        panel += STRIP;
    }
    for (; panel * wide < columns; panel++) {
        if ((panel + 1) * wide <= columns && panel * wide + reach <= width)
            pack_strip(is, wide, 1, p, panel);
        else
            pack_rest(is, wide, p, panel, least(columns - panel * wide, wide));
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

/* c's rows of a packed block of a, its columns of one of b. */
ALWAYS_INLINE void multiply(const kind is, size_t depth, const packing *a, const packing *b,
                            corner to) {
    const corner all = to;
    for (size_t j = 0; j < all.columns; j += PANEL)
        for (size_t i = 0; i < all.rows; i += MICRO_ROWS) {
            to.c = all.c + i * all.c_stride + j;
            to.rows = least(all.rows - i, MICRO_ROWS);
            to.columns = least(all.columns - j, PANEL);
            micro(is, depth, a->to + i / MICRO_ROWS * a->apart, b->to + j / PANEL * b->apart, &to);
        }
}

ALWAYS_INLINE void gradient(const kind is, const hone_gradient_args *g) {
    size_t blocks = (g->rows + ROWS - 1) / ROWS;
    for (size_t n = 0; n < g->n; n += B_COLUMNS)
        for (size_t block = 0; block < blocks; block++) {
            size_t row = g->rows * block / blocks, rows = g->rows * (block + 1) / blocks - row;
            size_t depth = packed_rows(is, rows), columns = least(g->n - n, B_COLUMNS);
            packing b = {g->b + row * g->b_stride + n, g->b_stride, rows, g->scratch + A_FLOATS,
                         depth * PANEL + HONE_GRADIENT_GAP};
            pack(is, PANEL, &b, columns, g->n - n);
            for (size_t m = 0; m < g->m; m += A_COLUMNS) {
                size_t some = least(g->m - m, A_COLUMNS);
                packing a = {g->a + row * g->a_stride + m, g->a_stride, rows, g->scratch,
                             round_up(depth * MICRO_ROWS, LINE) + HONE_GRADIENT_GAP};
                pack(is, MICRO_ROWS, &a, some, g->m - m);
                multiply(is, depth, &a, &b,
                         (corner){g->c + m * g->c_stride + n, g->c_stride, some, columns,
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
