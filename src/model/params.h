/* params.h: every trainable tensor of a model, in one order, under its Hugging Face name.
 *
 *     word, position, (type) embeddings, their norm | layer 0: 16 tensors | ... | pooler | head
 *
 * Parameters, gradients and both moments of AdamW are each one flat float array of
 * hone_params.total elements; a tensor is a range in it. So an optimiser, a norm or a
 * checkpoint is a loop over one array, and only this file knows names.
 */
#ifndef HONE_MODEL_PARAMS_H
#define HONE_MODEL_PARAMS_H

#include "base/err.h"
#include "model/config.h"
#include "model/safetensors.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The tensors before the layers. DistilBERT has no TYPE_EMB (its count is 0). */
typedef enum hone_embed_slot {
    HONE_WORD_EMB, /* [vocab, hidden] */
    HONE_POS_EMB,  /* [positions, hidden] */
    HONE_TYPE_EMB, /* [types, hidden] */
    HONE_EMB_NORM_W,
    HONE_EMB_NORM_B,
    HONE_EMBED_SLOTS
} hone_embed_slot;

/* The tensors of a layer; a weight is [out, in], row-major, as PyTorch's Linear has it. */
typedef enum hone_layer_slot {
    HONE_Q_W,
    HONE_Q_B,
    HONE_K_W,
    HONE_K_B,
    HONE_V_W,
    HONE_V_B,
    HONE_OUT_W, /* attention output, [hidden, hidden] */
    HONE_OUT_B,
    HONE_NORM1_W, /* after attention */
    HONE_NORM1_B,
    HONE_UP_W, /* [intermediate, hidden] */
    HONE_UP_B,
    HONE_DOWN_W, /* [hidden, intermediate] */
    HONE_DOWN_B,
    HONE_NORM2_W, /* after the feed-forward layer */
    HONE_NORM2_B,
    HONE_LAYER_SLOTS
} hone_layer_slot;

/* The tensors after the layers: BERT's pooler.dense or DistilBERT's pre_classifier, then
 * the classifier. */
typedef enum hone_head_slot {
    HONE_POOL_W, /* [hidden, hidden] */
    HONE_POOL_B,
    HONE_HEAD_W, /* [labels, hidden] */
    HONE_HEAD_B,
    HONE_HEAD_SLOTS
} hone_head_slot;

typedef struct hone_param {
    char name[112];
    size_t rank; /* 1 or 2; 0 = the model has no such tensor */
    int64_t dims[2];
    size_t count;  /* elements */
    size_t offset; /* into the flat array; a multiple of 16, so that SIMD loads are aligned */
    bool decays;   /* AdamW's weight decay applies: a matrix that belongs to no norm */
} hone_param;

typedef struct hone_params {
    size_t count;      /* HONE_EMBED_SLOTS + layers * HONE_LAYER_SLOTS + HONE_HEAD_SLOTS */
    size_t total;      /* floats in the flat array, gaps of alignment included */
    size_t extra;      /* tensors behind those: of adapters */
    hone_param *items; /* [count + extra] */
} hone_params;

/* The tensors that config asks for. NOMEM, INVALID when a size overflows. */
HONE_NODISCARD hone_err hone_params_create(const hone_config *config, hone_params *out);
void hone_params_done(hone_params *params);

/* A matrix more, of no model's but an adapter's. NOMEM, INVALID. */
HONE_NODISCARD hone_err hone_params_append(hone_params *params, const char *name, size_t rows,
                                           size_t columns);

static inline size_t hone_params_layer(size_t layer, hone_layer_slot slot) {
    return HONE_EMBED_SLOTS + layer * HONE_LAYER_SLOTS + (size_t)slot;
}
static inline size_t hone_params_head(const hone_params *params, hone_head_slot slot) {
    return params->count - HONE_HEAD_SLOTS + (size_t)slot;
}

/* CORRUPT unless tensor has p's shape, a dtype of floats, and finite values. who says in the
 * message what the shape comes from: "config.json asks". */
HONE_NODISCARD hone_err hone_param_check(const hone_param *p, const hone_tensor *tensor,
                                         const char *who);

/* For every parameter, its tensor in file (with or without the `bert.` / `distilbert.`
 * prefix, `gamma`/`beta` for old norms), or NULL where a new head must be made: the head's
 * tensors may be missing together, BERT's pooler too; anything else missing is NOT_FOUND.
 * CORRUPT for a wrong shape, a dtype that is no float, or a value that is not finite.
 *   found  [params->count] */
HONE_NODISCARD hone_err hone_params_find(const hone_params *params, const hone_safetensors *file,
                                         const hone_tensor **found);

/* The same of a file whose values were found to be finite before: they are not read. */
HONE_NODISCARD hone_err hone_params_match(const hone_params *params, const hone_safetensors *file,
                                          const hone_tensor **found);

/* Initialise parameter index as the library does a new head: weights normal(0, init_std),
 * biases 0; drawn from Philox at (seed, index). out: [items[index].count] */
void hone_params_init(const hone_params *params, size_t index, float init_std, uint64_t seed,
                      float *out);

/* Write DIR/model.safetensors from the flat array values. */
HONE_NODISCARD hone_err hone_params_save(const hone_params *params, const float *values,
                                         const char *dir);

#endif
