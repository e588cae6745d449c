/* metrics.h: how good a model's logits are, against what they should have said.
 *
 *     logits [count, labels], targets --> loss, accuracy, macro-F1, per class | mse, Pearson's r
 *
 * Ownership: per-class figures live in the arena.
 */
#ifndef HONE_TRAIN_METRICS_H
#define HONE_TRAIN_METRICS_H

#include "base/arena.h"
#include "base/err.h"
#include "model/config.h"
#include "model/logits.h"
#include "model/tuner.h"

#include <stddef.h>

typedef struct hone_class_metrics {
    size_t support;   /* texts of this class */
    size_t predicted; /* texts taken for this class */
    double precision; /* 0 where nothing was predicted, as scikit-learn has it */
    double recall;
    double f1;
} hone_class_metrics;

typedef struct hone_metrics {
    size_t count;
    double loss; /* mean: cross-entropy, or squared error */
    /* HONE_SINGLE_LABEL: */
    double accuracy;
    double macro_f1; /* mean over the classes that occur, in targets or predictions */
    size_t labels;
    const hone_class_metrics *classes; /* [labels] */
    /* HONE_REGRESSION: */
    double mse;
    double pearson; /* 0 where either side is constant */
} hone_metrics;

/* logits.count >= 1, and as many targets. NOMEM. */
HONE_NODISCARD hone_err hone_metrics_compute(hone_arena *arena, hone_problem problem,
                                             const hone_logits *logits, hone_targets targets,
                                             hone_metrics *out);

#endif
