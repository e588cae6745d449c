/* run_impl.h: a run under way: what setup.c prepares and run.c drives. */
#ifndef HONE_TRAIN_RUN_IMPL_H
#define HONE_TRAIN_RUN_IMPL_H

#include "train/batches.h"
#include "train/checkpoint.h"
#include "train/evaluate.h"
#include "train/optimizer.h"
#include "train/run.h"

/* What changes from step to step, besides the arrays: a section of the checkpoint. */
typedef struct hone_run_state {
    uint64_t step;              /* optimiser steps done */
    uint64_t epochs_done;       /* evaluations included */
    uint64_t sequences, tokens; /* trained on so far */
    double epoch_loss;          /* sum over the sequences of the epoch so far */
    double epoch_s, train_s;    /* training time: of the epoch so far, in all */
    double eval_s;              /* of the last evaluation */
    double all_s;               /* since the beginning, up to the last checkpoint */
    uint64_t kept_epoch;        /* from 1; 0 = none yet */
    uint64_t stale;             /* epochs since then */
    hone_metrics kept;          /* its metrics, but for classes, which are apart */
} hone_run_state;

typedef struct hone_run_job {
    hone_arena *arena; /* of the result */
    hone_pool *pool;
    const hone_run_options *options;
    const hone_run_watch *watch;
    const char *checkpoint; /* path */
    const char *best;       /* path of the kept epoch's weights, with keeps_best */
    hone_fingerprint fingerprint;

    hone_tuner *tuner; /* owned */
    bool drops;        /* dropout is on */
    hone_exam train, eval;
    bool has_eval, keeps_best;
    size_t epoch_steps, total_steps, warmup_steps;

    hone_batcher batcher;
    uint32_t *order;       /* [train.count], of epoch order_epoch - 1 */
    size_t order_epoch;    /* 0 = none yet */
    int32_t *batch_labels; /* [batch_size]: targets of a part, in its order */
    float *batch_numbers;  /* [batch_size] */

    hone_optimizer optimizer;

    hone_run_state state;
    hone_epoch *epochs;               /* [options->epochs] */
    hone_class_metrics *kept_classes; /* [labels] */
    int64_t started_ns;               /* this process's part */
    double earlier_s;                 /* earlier processes' */
    int64_t saved_ns;                 /* the last checkpoint */
} hone_run_job;

/* Everything before the first step: labels, tuner, tokens, memory, the fingerprint. On
 * failure, too, job->tuner is the caller's to destroy. */
HONE_NODISCARD hone_err hone_run_setup(hone_run_job *job, const hone_dataset *train,
                                       const hone_dataset *eval);

#endif
