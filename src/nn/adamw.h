/* adamw.h: the optimiser's step over one flat array of parameters, in one pass.
 *
 *     grads --norm--> clip scale;   (values, grads, m, v) --step--> (values, m, v)
 *
 * The arrays are cut into pieces that do not depend on the number of threads, and sums over
 * pieces are added up in order: the same bytes for any pool.
 */
#ifndef HONE_NN_ADAMW_H
#define HONE_NN_ADAMW_H

#include "base/pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A run of parameters with or without weight decay; a piece of work. */
typedef struct hone_adamw_span {
    size_t offset;
    size_t count; /* a few ten thousand, so that threads share the work evenly */
    bool decays;
} hone_adamw_span;

/* The arrays may begin with a table of which a step uses few rows, the word embeddings. Who knows
 * which spares reading the others: as if they had been read, to the same bytes. */
typedef struct hone_used_rows {
    const uint8_t *used; /* [count]; 0 = the row is all 0, in every array that is asked about */
    size_t count, width;
} hone_used_rows;

/* AdamW (Loshchilov & Hutter 2019, alg. 2) as torch.optim.AdamW computes it:
 *
 *     value -= lr * weight_decay * value              where the span decays
 *     m = beta1 m + (1 - beta1) g                     g = grad_scale * grad
 *     v = beta2 v + (1 - beta2) g^2
 *     value -= lr / (1 - beta1^step) * m / (sqrt(v / (1 - beta2^step)) + eps) */
typedef struct hone_adamw_args {
    float *values, *m, *v; /* the flat arrays */
    const float *grads;
    const hone_adamw_span *spans; /* apart from each other */
    size_t span_count;
    hone_used_rows moving; /* the others are 0 in grads, m and v, and stay so in m and v */
    double lr, beta1, beta2, eps, weight_decay;
    double grad_scale; /* 1, or less when the gradient is clipped */
    uint64_t step;     /* from 1 */
} hone_adamw_args;

void hone_adamw_step(hone_pool *pool, const hone_adamw_args *args);

/* How many doubles of scratch the norm of count floats needs. */
size_t hone_norm_partials(size_t count);

/* The Euclidean norm of x, in double. partials: [hone_norm_partials(count)] */
double hone_norm(hone_pool *pool, const float *x, size_t count, hone_used_rows rows,
                 double *partials);

/* What to scale gradients by so that their norm is at most max_norm, as
 * torch.nn.utils.clip_grad_norm_ does: min(1, max_norm / (norm + 1e-6)). max_norm 0 = any. */
static inline double hone_clip_scale(double norm, double max_norm) {
    double scale = max_norm / (norm + 1e-6);
    return max_norm == 0 || scale > 1 ? 1 : scale;
}

#endif
