/* int8_impl.h: whole-number products, one set of kernels per instruction set.
 *
 *     x[r, i] ~ low[r] + step[r] u[r, i]          u in [0, HONE_INT8_ROW_MAX]
 *     W[n, i] ~ scale[n] q[n, i]                  q in [-HONE_INT8_WEIGHT_MAX, HONE_INT8_WEIGHT_MAX]
 *
 *     sum over i of x W  =  scale[n] (step[r] dot(u[r], q[n]) + low[r] sum(q[n])) + base[n]
 *
 * Where the input is a gain times x plus an offset, the gain is in W and the offset times W is
 * base; else base is 0.
 *
 * Four columns of W are a group, i = 8 g + {0, 1, 4, 5} or 8 g + {2, 3, 6, 7}. scale is the least
 * with which q keeps its range and the numbers of one sign in a group add up to
 * HONE_INT8_GROUP_MAX at most. Then u q of a group stays within 16 bits, which makes processors
 * without VNNI nearly twice as fast and takes 0.8 of the 8 bits of a normally spread weight; rows
 * lose more by rounding all the same (bench/SPEED.md).
 *
 * dot is exact in 32 bits, and what is done with it in floats is written so that every
 * instruction set does the same: a product gives the same bytes everywhere.
 *
 * A weight is packed in panels of 16 columns, 4 neighbours along k behind the others, so that a
 * 32-bit lane of a vector holds those of one column:
 *
 *     panel:  [k_padded / 4][16 columns][4] int8 | scale [16] | sum(q) [16] | base [16] float
 */
#ifndef HONE_NN_CPU_INT8_IMPL_H
#define HONE_NN_CPU_INT8_IMPL_H

#include "nn/product_impl.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HONE_INT8_PANEL = 16, /* columns */
    HONE_INT8_DEPTH = 16, /* k is padded to a multiple */
    HONE_INT8_ROWS_UNIT = 2,
    HONE_INT8_ROW_MAX = 255,
    HONE_INT8_WEIGHT_MAX = 127,
    HONE_INT8_GROUP_MAX = 126, /* before rounding, which adds 2 at most: 128 * 255 < 2^15 */
};

static inline size_t hone_int8_padded(size_t k) {
    return (k + HONE_INT8_DEPTH - 1) / HONE_INT8_DEPTH * HONE_INT8_DEPTH;
}

static inline size_t hone_int8_panel_bytes(size_t k_padded) {
    return HONE_INT8_PANEL * (k_padded + 3 * sizeof(float));
}

/* Rows as whole numbers; 0 behind k. */
typedef struct hone_int8_rows {
    size_t rows, k, k_padded;
    char *u;           /* [rows, k_padded] */
    float *step, *low; /* [rows]; both not a number where a row holds what is none, or no end */
} hone_int8_rows;

typedef struct hone_int8_args {
    const hone_int8_rows *x;
    size_t n;
    const char *packed; /* panels */
    const float *bias;  /* [n]; NULL = none */
    bool accumulate;
    float *out;           /* [rows, n] */
    size_t panel, panels; /* of them [panel, panels) */
} hone_int8_args;

struct hone_int8_kernels {
    const char *name;
    void (*quantise)(const hone_int8_rows *to, const float *from); /* from: [rows, k] */
    /* what `of`, made of `from`, lacks of it: an operand to be added */
    void (*quantise_rest)(const hone_int8_rows *to, const float *from, const hone_int8_rows *of);
    void (*multiply)(const hone_int8_args *args);
};

extern const hone_int8_kernels hone_int8_generic;
extern const hone_int8_kernels hone_int8_avx2;
extern const hone_int8_kernels hone_int8_avx512;
extern const hone_int8_kernels hone_int8_avx512_vnni;

/* Those of that name; NULL when they do not run. */
const hone_int8_kernels *hone_int8_find(const char *name);

#endif
