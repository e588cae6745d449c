/* gradient_impl.h: the kernels of gradient.h, one set per instruction set, compiled from
 * gradient.c. */
#ifndef HONE_NN_CPU_GRADIENT_IMPL_H
#define HONE_NN_CPU_GRADIENT_IMPL_H

#include "nn/gradient.h"

typedef struct hone_gradient_kernels {
    const char *name;
    void (*f32)(const hone_gradient_args *args);
    void (*bf16)(const hone_gradient_args *args);
} hone_gradient_kernels;

/* Rows of a block, and columns of a and b that are packed at a time: b's panel of a block
 * lies in L1, a's block in L2. */
enum {
    HONE_GRADIENT_ROWS = 384,
    HONE_GRADIENT_A_COLUMNS = 192, /* a multiple of every MICRO_ROWS */
    HONE_GRADIENT_B_COLUMNS = 768, /* and of every panel */
    /* Floats behind a panel: vectors may reach into them, and panels that start in the same sets of
     * a cache would drive each other out of it. At most two of them, of panels of 6 and of 8. */
    HONE_GRADIENT_GAP = 16,
    HONE_GRADIENT_A_FLOATS = HONE_GRADIENT_ROWS * HONE_GRADIENT_A_COLUMNS +
                             2 * HONE_GRADIENT_GAP * HONE_GRADIENT_A_COLUMNS / 6,
    HONE_GRADIENT_B_FLOATS = HONE_GRADIENT_ROWS * HONE_GRADIENT_B_COLUMNS +
                             2 * HONE_GRADIENT_GAP * HONE_GRADIENT_B_COLUMNS / 8,
};

extern const hone_gradient_kernels hone_gradient_generic;
extern const hone_gradient_kernels hone_gradient_avx2;
extern const hone_gradient_kernels hone_gradient_avx512;
extern const hone_gradient_kernels hone_gradient_avx512_bf16;

/* Those of that name; NULL when they do not run here or there are none. */
const hone_gradient_kernels *hone_gradient_find(const char *name);

#endif
