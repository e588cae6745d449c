/* lora.h: low-rank adapters on the linear layers of a network (Hu et al. 2021, eq. 3).
 *
 *     y = W x + b + alpha / r * B A drop(x)        A [r, in], B [out, r]; W and b stay
 *
 * The adapters' tensors stand behind the model's in hone_params, under the names that PEFT
 * saves them by, so that the end of the flat array, from the new part of the head on, is what
 * is trained. Without dropout the network runs on W + alpha / r * B A, which is packed again
 * after each step: forward and backward pass are the same as ever, and only the gradients of A
 * and B are made, through products of rank r, never that of W. With dropout they are computed
 * beside the weights: beside_impl.h. Training in bf16 rounds what the passes multiply, W with
 * the adapter among it; what is of rank r stays f32.
 */
#ifndef HONE_MODEL_LORA_H
#define HONE_MODEL_LORA_H

#include "base/err.h"
#include "base/pool.h"
#include "model/config.h"
#include "model/params.h"

#include <stddef.h>
#include <stdint.h>

enum { HONE_LORA_RANK_MAX = 1024 };

/* Linear layers that can have an adapter: the bits of hone_lora.slots. */
typedef enum hone_lora_slot {
    HONE_LORA_Q,
    HONE_LORA_K,
    HONE_LORA_V,
    HONE_LORA_OUT,
    HONE_LORA_UP,
    HONE_LORA_DOWN,
    HONE_LORA_SLOTS
} hone_lora_slot;

typedef struct hone_lora_options {
    size_t rank; /* 0 = no adapter */
    double alpha;
    double dropout;      /* of the adapters' input */
    const char *targets; /* names of linear layers as PEFT matches them: the end of the module's
                            path, separated by commas; "all-linear"; NULL = query and value */
} hone_lora_options;

typedef struct hone_lora {
    size_t rank; /* 0 = there is none */
    double alpha;
    float scale, dropout;
    uint32_t slots;     /* bit 1 << hone_lora_slot */
    size_t per_layer;   /* how many of them */
    size_t first_layer; /* layers before it have none */
} hone_lora;

/* The adapters that options ask for, none in frozen layers. INVALID names what is wrong. */
HONE_NODISCARD hone_err hone_lora_choose(const hone_config *config, const hone_params *params,
                                         const hone_lora_options *options, size_t first_layer,
                                         hone_lora *out);

static inline int hone_lora_has(const hone_lora *lora, size_t layer, hone_lora_slot slot) {
    return lora->rank > 0 && layer >= lora->first_layer && (lora->slots >> slot & 1U) != 0;
}

/* The weight that a slot of a layer adapts, and the index of A; B's is the next. */
size_t hone_lora_weight(size_t layer, hone_lora_slot slot);
size_t hone_lora_index(const hone_lora *lora, const hone_params *params, size_t layer,
                       hone_lora_slot slot);

/* Add the adapters' tensors behind params->count. */
HONE_NODISCARD hone_err hone_lora_add(const hone_lora *lora, size_t layers, hone_params *params);

/* A as PEFT draws it, uniform within 1 / sqrt(in) (Kaiming with a = sqrt(5)), from Philox at
 * (seed, index); B 0. */
void hone_lora_init(const hone_lora *lora, const hone_params *params, size_t layers, uint64_t seed,
                    float *values);

/* merged[out, in] = weight + scale * b a.   scratch [hone_lora_merge_floats], aligned to 64 */
size_t hone_lora_merge_floats(size_t out, size_t rank);
void hone_lora_merge(const float *weight, const float *a, const float *b, float scale, size_t out,
                     size_t in, size_t rank, float *merged, float *scratch);

#endif
