/* tuner.h: a classifier being fine-tuned: parameters, and the gradient of a batch's loss.
 *
 *     batch, targets --forward, backward--> loss, grads      (the optimiser is train/'s)
 *
 * Threads: one at a time; the work is shared out over the pool given at each call.
 */
#ifndef HONE_MODEL_TUNER_H
#define HONE_MODEL_TUNER_H

#include "base/err.h"
#include "base/pool.h"
#include "model/config.h"
#include "model/logits.h"
#include "model/lora.h"
#include "model/params.h"
#include "nn/dtype.h"
#include "nn/pack.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hone_tuner hone_tuner;

typedef struct hone_tuner_options {
    uint64_t seed;          /* of a new head */
    size_t frozen_layers;   /* the embeddings and so many layers stay as they are; 0 = none do */
    hone_dtype dtype;       /* of products, f32 or bf16; weights, sums and all else are f32 */
    bool recompute;         /* keep of a layer its input alone: less memory, the same bytes */
    hone_lora_options lora; /* with a rank: of the layers adapters are trained, and no more */
} hone_tuner_options;

/* Load dir's checkpoint; config (taken over, done by destroy) may have other labels than the
 * file, then the head is made new from seed. Where its labels are the file's and more behind
 * them, the file's rows of the head are kept and only the others are new. */
HONE_NODISCARD hone_err hone_tuner_create(const char *dir, hone_config config,
                                          const hone_tuner_options *options, hone_tuner **out);
void hone_tuner_destroy(hone_tuner *tuner);

const hone_config *hone_tuner_config(const hone_tuner *tuner);
const hone_params *hone_tuner_params(const hone_tuner *tuner);
bool hone_tuner_has_new_head(const hone_tuner *tuner);

/* What is trained: the end of the flat array. Whatever an optimiser keeps, it keeps of that. */
typedef struct hone_trained {
    const hone_param *items; /* [count]; their offsets are from `first` on */
    size_t count;
    size_t first, total; /* floats [first, total) of values */
} hone_trained;
const hone_trained *hone_tuner_trained(const hone_tuner *tuner);

/* The adapters; rank 0 when every weight is trained itself. */
const hone_lora *hone_tuner_lora(const hone_tuner *tuner);

/* Add the adapters to the weights they adapt, in values, and forget them: the end of training. */
HONE_NODISCARD hone_err hone_tuner_merge(hone_tuner *tuner);

/* The flat arrays, values [params->total], grads [total - first], aligned to 64; the gaps
 * between tensors stay 0. After writing values that are trained call hone_tuner_changed, so
 * that the matrix engine packs them again. */
float *hone_tuner_values(hone_tuner *tuner);
float *hone_tuner_grads(hone_tuner *tuner);
void hone_tuner_changed(hone_tuner *tuner);

/* [*count] rows of the word embeddings, with which grads begin: 0 = no backward pass has given the
 * row a gradient since they were zeroed. *count 0: the embeddings are not trained. */
const uint8_t *hone_tuner_used_rows(const hone_tuner *tuner, size_t *count);

/* What a sequence should give: a label id, or a number for regression. */
typedef struct hone_targets {
    const int32_t *labels; /* [sequences], for HONE_SINGLE_LABEL */
    const float *numbers;  /* [sequences], for HONE_REGRESSION */
} hone_targets;

/* Add weight * gradient of the batch's summed loss to grads (zeroed by hone_tuner_zero_grads),
 * and give the summed loss, unweighted. weight is 1 / sequences of the whole optimiser step,
 * so that accumulating micro-batches gives the mean. Dropout masks are a function of
 * (seed, step, micro): dropout = false turns it off.
 * batch passed the same checks as hone_model_check. NOMEM. */
typedef struct hone_tune_step {
    float weight;
    bool dropout;
    uint64_t seed;
    uint32_t step;
    uint32_t micro; /* index of the micro-batch in the step */
} hone_tune_step;
HONE_NODISCARD hone_err hone_tuner_backward(hone_tuner *tuner, hone_pool *pool,
                                            const hone_pack *batch, hone_targets targets,
                                            hone_tune_step step, double *loss_sum);
void hone_tuner_zero_grads(hone_tuner *tuner, hone_pool *pool);

/* Logits without dropout, for evaluation between epochs; borrowed until the next call. */
HONE_NODISCARD hone_err hone_tuner_forward(hone_tuner *tuner, hone_pool *pool,
                                           const hone_pack *batch, hone_logits *out);
HONE_NODISCARD hone_err hone_tuner_check(const hone_tuner *tuner, const hone_pack *batch);

#endif
