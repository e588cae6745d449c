/* evaluate.h: run a model over a data set and measure it. */
#ifndef HONE_TRAIN_EVALUATE_H
#define HONE_TRAIN_EVALUATE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/pool.h"
#include "train/batches.h"
#include "train/metrics.h"

/* Logits of a batch, borrowed until the next call: a tuner's or a session's. */
typedef hone_err hone_forward_fn(void *ctx, hone_pool *pool, const hone_pack *batch,
                                 hone_logits *out);

/* What is asked of the model: examples and what they should give. */
typedef struct hone_exam {
    hone_examples examples;
    hone_targets targets; /* [examples.count] */
    hone_problem problem;
    size_t labels;
} hone_exam;

/* The metrics of forward over the exam, in batches of at most tokens_max tokens. INVALID when
 * the model gives something that is not finite. NOMEM. */
HONE_NODISCARD hone_err hone_evaluate(hone_arena *arena, hone_pool *pool, const hone_exam *exam,
                                      size_t tokens_max, hone_forward_fn *forward, void *ctx,
                                      hone_metrics *out);

#endif
