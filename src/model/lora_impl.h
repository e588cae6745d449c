/* lora_impl.h: the gradients of adapters, for the backward pass.
 *
 *     z = scale * x A^T     dB = dy^T z           [rows, rank], [out, rank]
 *     u = scale * dy B      dA = u^T x            [rows, rank], [rank, in]
 *
 * Products of rank r throughout: the gradient of the weight itself is never made.
 */
#ifndef HONE_MODEL_LORA_IMPL_H
#define HONE_MODEL_LORA_IMPL_H

#include "model/encoder_impl.h"
#include "model/lora.h"

/* A linear layer in the backward pass. The wide side of a feed-forward layer lies in parts, as
 * the passes have it: [parts, padded rows, width / parts]. */
typedef struct hone_linear {
    size_t rows;
    size_t out, out_parts;
    const float *dy; /* gradient of the output */
    size_t in, in_parts;
    const float *x; /* the input */
} hone_linear;

/* What the work needs, kept between batches. */
typedef struct hone_lora_work {
    hone_product *square, *part; /* hidden -> rank, chunk -> rank; one where they are the same */
    size_t parts;
    char *memory; /* owned; everything below lies in it */
    size_t memory_bytes;
    float *z, *u;          /* [padded tokens, rank] */
    float *dropped;        /* [padded tokens, the widest input], with dropout alone */
    char *packs;           /* of A's parts, then of B's */
    char *product_scratch; /* [workers] */
    size_t scratch_bytes;  /* of a worker */
} hone_lora_work;

HONE_NODISCARD hone_err hone_lora_work_create(const hone_lora *lora, const hone_config *config,
                                              const hone_shapes *shapes, hone_lora_work *out);
void hone_lora_work_done(hone_lora_work *work);
HONE_NODISCARD hone_err hone_lora_work_reserve(hone_lora_work *work, const hone_lora *lora,
                                               const hone_config *config, size_t tokens,
                                               size_t workers);

/* Gradients of the adapter (a, b) of a linear layer, [rank, in] and [out, rank].
 * accumulate: added to da and db instead of written. */
typedef struct hone_lora_grad {
    const hone_lora *lora;
    hone_linear linear;
    const float *a, *b;
    const hone_pass *pass; /* and the layer's place in it: for the mask of the input */
    size_t layer;
    hone_lora_slot slot;
    bool accumulate;
    float *da, *db;
} hone_lora_grad;
HONE_NODISCARD hone_err hone_lora_grad_run(hone_lora_work *work, hone_pool *pool,
                                           const hone_lora_grad *grad);

#endif
