/* optimizer.h: one step of AdamW with clipping on a tuner's parameters.
 *
 *     grads -> norm -> clip -> (values, m, v) -> the tuner is told that its values changed
 *
 * beta 0.9 and 0.999, epsilon 1e-8, as torch.optim.AdamW has them; weight decay on matrices
 * that belong to no norm.
 *
 * Ownership: the arrays live in the arena given to init.
 */
#ifndef HONE_TRAIN_OPTIMIZER_H
#define HONE_TRAIN_OPTIMIZER_H

#include "base/arena.h"
#include "base/err.h"
#include "base/pool.h"
#include "model/tuner.h"
#include "nn/adamw.h"

#include <stddef.h>
#include <stdint.h>

typedef struct hone_optimizer {
    hone_tuner *tuner; /* borrowed */
    float *m, *v;      /* [count]: the moments, 0 at first */
    size_t count;      /* of the floats that are trained */
    uint8_t *moving;   /* [rows]: word embeddings whose moments may be other than 0 */
    size_t rows;
    bool is_moving_known;
    hone_adamw_span *spans;
    size_t span_count;
    double *partials; /* of the norm */
} hone_optimizer;

/* NOMEM. */
HONE_NODISCARD hone_err hone_optimizer_init(hone_arena *arena, hone_tuner *tuner,
                                            hone_optimizer *out);

typedef struct hone_optimizer_step {
    double lr;
    double weight_decay;
    double clip;   /* largest norm; 0 = any */
    uint64_t step; /* from 1 */
} hone_optimizer_step;

/* Move the values along the tuner's gradient. INVALID, and nothing moves, when the gradient is
 * not finite. *norm: of the gradient before clipping. */
HONE_NODISCARD hone_err hone_optimizer_run(hone_optimizer *optimizer, hone_pool *pool,
                                           hone_optimizer_step step, double *norm);

#endif
