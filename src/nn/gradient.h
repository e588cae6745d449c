/* gradient.h: the gradient of a weight from those of its outputs and from its inputs.
 *
 *     c[m, n] = (accumulate ? c : 0) + a^T b        a [rows, m], b [rows, n], each with a stride
 *
 * Both sides are packed anew at every call, a block of rows after the other, into scratch of the
 * caller: they are used once. A sum goes over a block's rows in their order, then over the
 * blocks, which are a function of rows alone; so a part of c has the bytes of the whole.
 * In bf16 both sides are rounded as they are packed, and the sums are f32 as ever.
 *
 * Threads: a call runs on its own; give each a scratch.
 */
#ifndef HONE_NN_GRADIENT_H
#define HONE_NN_GRADIENT_H

#include "nn/dtype.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct hone_gradient_args {
    hone_dtype dtype; /* f32 or bf16 */
    size_t m, n, rows;
    const float *a, *b;
    size_t a_stride, b_stride; /* from row to row, in floats */
    bool accumulate;
    float *c;
    size_t c_stride;
    float *scratch; /* hone_gradient_scratch_floats(), aligned to 64 */
} hone_gradient_args;

size_t hone_gradient_scratch_floats(void);

/* "avx2" or the like, for bench and bug reports. */
const char *hone_gradient_engine(void);

void hone_gradient_run(const hone_gradient_args *args);

#endif
