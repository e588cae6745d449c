/* bf16_impl.h: products of numbers rounded to 8 bits of mantissa, one set of kernels per
 * instruction set.
 *
 *     out[r, n] = sum over i of bf16(x[r, i]) bf16(W[n, i])      added up in f32
 *
 * A bf16 is the upper half of a float, rounded to nearest even. A weight is packed in panels of
 * a few columns, two neighbours along k in a 32-bit lane, so that one load gives both: as the
 * pairs that AVX512_BF16 multiplies, or, shifted and masked, as two vectors of floats.
 *
 *     panel:  [k_padded / 2][panel columns][2] bf16       0 behind k and behind the last column
 */
#ifndef HONE_NN_CPU_BF16_IMPL_H
#define HONE_NN_CPU_BF16_IMPL_H

#include "nn/product_impl.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Round to nearest even; what is not a number stays so. */
static inline uint16_t hone_bf16_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (x != x) return (uint16_t)(bits >> 16 | 0x40U);
    return (uint16_t)((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16);
}

static inline size_t hone_bf16_padded(size_t k) { return (k + 1) / 2 * 2; }

typedef struct hone_bf16_args {
    size_t rows, k_padded, n;
    const void *x;      /* rows as `round` made them */
    const char *packed; /* panels */
    const float *bias;  /* [n]; NULL = none */
    bool accumulate;
    float *out; /* [rows, n] */
} hone_bf16_args;

struct hone_bf16_kernels {
    const char *name;
    size_t panel; /* columns */
    /* to: 4 bytes for each of [rows, k_padded], in the form that multiply wants */
    void (*round)(size_t rows, size_t k, size_t k_padded, const float *from, void *to);
    void (*multiply)(const hone_bf16_args *args);
};

extern const hone_bf16_kernels hone_bf16_generic;
extern const hone_bf16_kernels hone_bf16_avx2;
extern const hone_bf16_kernels hone_bf16_avx512;
extern const hone_bf16_kernels hone_bf16_avx512_bf16;

/* The widest that runs; with a name, the one of that name, or NULL. */
const hone_bf16_kernels *hone_bf16_best(void);
const hone_bf16_kernels *hone_bf16_find(const char *name);

#endif
