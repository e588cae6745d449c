/* run.h: fine-tuning from a base model and a data set to a model folder.
 *
 *     texts -> examples ; per step: batch -> gradient -> clip -> AdamW ; per epoch: evaluate
 *     end: the last weights, or with patience the best epoch's -> folder
 *
 * The result is a function of base, data, options, build and instruction set: not of the
 * number of threads, nor of having been killed and taken up again. A run writes
 * OUT.checkpoint beside its output from time to time, and with patience OUT.best; the same run
 * started again goes on from them, and removes them when the output stands.
 *
 * Start reading at hone_run in run.c.
 */
#ifndef HONE_TRAIN_RUN_H
#define HONE_TRAIN_RUN_H

#include "base/arena.h"
#include "base/err.h"
#include "base/pool.h"
#include "data/dataset.h"
#include "model/lora.h"
#include "nn/dtype.h"
#include "train/metrics.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hone_run_options {
    const char *base; /* folder of the model to start from */
    const char *out;  /* folder to make; one that holds a model is replaced */
    hone_problem problem;
    size_t epochs;
    size_t batch_size;       /* sequences per optimiser step */
    size_t micro_tokens;     /* a batch is cut into parts of so many tokens, to bound memory */
    size_t max_length;       /* tokens of a text; above the model's positions: those */
    double lr;               /* the highest, at the end of the warm-up */
    double warmup;           /* from 1: steps; below: share of all steps */
    double weight_decay;     /* of matrices that are no norms */
    double clip;             /* largest gradient norm; 0 = any */
    double dropout;          /* for every dropout of the model; below 0 = as its config says */
    size_t patience;         /* stop after so many epochs without improvement; 0 = never */
    size_t frozen_layers;    /* the embeddings and so many layers stay as they are; 0 = none */
    hone_lora_options lora;  /* with a rank: adapters are trained instead of the layers */
    bool merge;              /* adapters: write the model with them, not themselves */
    hone_dtype dtype;        /* of products, f32 or bf16 */
    bool recompute;          /* activations: less memory, more time, the same bytes */
    size_t checkpoint_steps; /* steps between checkpoints; 0 = by time alone */
    size_t checkpoint_s;     /* seconds between checkpoints; 0 = by steps alone */
    uint64_t seed;           /* of order, dropout and a new head */
    hone_labels labels;      /* the head's first, in this order, whether the data has them or not;
                                the data's others follow, sorted. None: as targets.h says */
} hone_run_options;

/* What `hone train` does unless told otherwise. */
hone_run_options hone_run_defaults(void);

/* The same for adapters, of rank 8 and alpha 16: they begin at nothing and are small, so they
 * want larger steps than whole weights. */
hone_run_options hone_run_lora_defaults(void);

typedef struct hone_epoch {
    double train_loss; /* mean over the epoch, as the weights were at each step */
    double seconds;    /* of training, evaluation left out */
    double loss;       /* on the evaluation set, as all below; 0 without one */
    double accuracy, macro_f1;
    double mse, pearson;
} hone_epoch;

typedef struct hone_run_progress {
    size_t epoch, epochs; /* from 1 */
    size_t step, steps;   /* done, of all epochs */
    double loss;          /* mean of the epoch so far */
    double tokens_per_s;
    double left_s; /* estimate, evaluations included */
} hone_run_progress;

/* Who is told how it goes; any member may be NULL. */
typedef struct hone_run_watch {
    void *ctx;
    void (*step)(void *ctx, const hone_run_progress *progress);
    void (*epoch)(void *ctx, size_t epoch, const hone_epoch *figures);
    void (*note)(void *ctx, const char *sentence);
} hone_run_watch;

typedef struct hone_run_result {
    size_t steps;
    double seconds;                      /* all, over every resumption */
    double examples_per_s, tokens_per_s; /* of training */
    size_t epoch_count;                  /* fewer than asked for after an early stop */
    const hone_epoch *epochs;            /* [epoch_count] */
    size_t kept_epoch;                   /* from 1: whose weights were saved */
    bool has_metrics;                    /* there was an evaluation set */
    hone_metrics metrics;                /* of the weights that were saved */
    hone_problem problem;
    hone_labels labels;
} hone_run_result;

/* Fine-tune options->base on train; eval NULL = none. Everything in result lives in arena.
 * INVALID for options or data that make no sense, CONFLICT for a checkpoint of another run,
 * IO; whatever fails, no half-made output is left. */
HONE_NODISCARD hone_err hone_run(hone_arena *arena, hone_pool *pool,
                                 const hone_run_options *options, const hone_dataset *train,
                                 const hone_dataset *eval, const hone_run_watch *watch,
                                 hone_run_result *result);

#endif
