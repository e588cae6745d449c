/* logistic.h: multinomial logistic regression with a quadratic penalty, to convergence.
 *
 *     min over W, b of  sum_i -log softmax(W x_i + b)[label_i]  +  penalty / 2 ||W||^2
 *
 * The optimum is scikit-learn's LogisticRegression with C = 1 / penalty: biases are free, and
 * two classes count as one vector, the difference of both.
 *
 * Sums run over fixed chunks of rows and are added in their order: the same bits for any
 * number of threads.
 */
#ifndef HONE_TRAIN_LOGISTIC_H
#define HONE_TRAIN_LOGISTIC_H

#include "base/arena.h"
#include "base/err.h"
#include "base/pool.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hone_logistic_data {
    size_t count, dim, classes; /* each >= 1 */
    const float *x;             /* [count, dim], finite */
    const int32_t *labels;      /* [count], in [0, classes) */
} hone_logistic_data;

typedef struct hone_logistic {
    size_t dim, classes;
    const double *weight; /* [classes, dim] */
    const double *bias;   /* [classes] */
    size_t steps;         /* evaluations of the objective */
    double loss;          /* mean over the rows, without the penalty */
    bool converged;       /* else the last of the steps allowed was not enough */
} hone_logistic;

/* Fit by L-BFGS; penalty > 0. Everything lives in arena. NOMEM. */
HONE_NODISCARD hone_err hone_logistic_fit(hone_arena *arena, hone_pool *pool,
                                          const hone_logistic_data *data, double penalty,
                                          hone_logistic *out);

/* out[classes] = W x + b. */
void hone_logistic_apply(const hone_logistic *fit, const float *x, float *out);

#endif
