/* head.h: train a classifier on the embeddings of a frozen encoder: seconds, not minutes.
 *
 *     texts -encoder, once-> embeddings of length 1 -logistic.h-> weights -> model folder
 *
 * The folder is an ordinary Hugging Face model, and predicts what the regression says, here
 * and in any library, because the mean over all tokens and the straight line are written as
 * layers of the architecture:
 *
 *     mean    one more layer, whose attention looks at every token alike (q = k = 0, v = x), so
 *             that its norm gives the mean of all tokens, centred and of fixed length
 *     line    a pooler that is the identity, kept where its activation is straight: tanh of a
 *             small multiple (BERT), relu above 0 (DistilBERT); the classifier takes it back
 *
 * Start reading at hone_head_train in head.c.
 */
#ifndef HONE_TRAIN_HEAD_H
#define HONE_TRAIN_HEAD_H

#include "base/arena.h"
#include "base/err.h"
#include "base/pool.h"
#include "data/dataset.h"
#include "train/metrics.h"

#include <stdbool.h>
#include <stddef.h>

/* What of the last layer's states stands for a text. */
typedef enum hone_pooling {
    HONE_POOLING_MEAN,  /* of all tokens, as sentence encoders are trained for */
    HONE_POOLING_FIRST, /* the first token, [CLS] */
} hone_pooling;

typedef struct hone_head_options {
    const char *base;    /* folder of the model to start from */
    const char *out;     /* folder to make; one that holds a model is replaced */
    size_t max_length;   /* tokens of a text; above the model's positions: those */
    size_t micro_tokens; /* tokens that are worked on at a time */
    hone_pooling pooling;
    double penalty;     /* of logistic.h; larger = a simpler model */
    hone_labels labels; /* as hone_run_options has them */
} hone_head_options;

typedef struct hone_head_result {
    size_t steps; /* of the fit */
    bool converged;
    double embed_s, fit_s;
    size_t examples, tokens; /* that were embedded */
    double train_loss;       /* mean cross-entropy of the training texts */
    bool has_metrics;        /* there was an evaluation set */
    hone_metrics metrics;
    hone_labels labels;
} hone_head_result;

/* Train options->base on train; eval NULL = none. Everything in result lives in arena.
 * INVALID for options or data that make no sense, IO; whatever fails, no half-made output is
 * left. */
HONE_NODISCARD hone_err hone_head_train(hone_arena *arena, hone_pool *pool,
                                        const hone_head_options *options, const hone_dataset *train,
                                        const hone_dataset *eval, hone_head_result *result);

#endif
