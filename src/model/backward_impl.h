/* backward_impl.h: the gradient of the network, from the logits back to the embeddings.
 *
 *     dlogits -> head -> [ tile: norm, down, gelu, up, norm, out -> attention -> q k v ] x layers
 *             -> embeddings
 *
 * The forward pass ran with kept activations; the middle of the feed-forward layers is
 * overwritten here (GELU's input by its output), and the shared input of layers by each one's.
 */
#ifndef HONE_MODEL_BACKWARD_IMPL_H
#define HONE_MODEL_BACKWARD_IMPL_H

#include "model/encoder_impl.h"
#include "model/lora_impl.h"

typedef struct hone_backward {
    hone_dtype dtype;          /* of the products that make gradients */
    const hone_pass *pass;     /* the forward pass, first_only */
    hone_packing *transposed;  /* the same weights, packed to multiply by their transpose;
                                       by layer, this is where they are filled in */
    float *grads;              /* [params->total - first_float]; added to */
    size_t first_float;        /* what lies before it in the flat array is not trained */
    size_t first_layer;        /* nor is any layer before this */
    bool embeddings;           /* they are trained, which is to be so for layer 0 alone */
    bool pool;                 /* the pooler is */
    const hone_lora *lora;     /* of the layers adapters alone are; rank 0 = all is */
    hone_lora_work *lora_work; /* reserved */
    bool fresh;                /* matrices of layers and pooler: written instead of added to */
    int32_t pad_id;            /* its embedding has no gradient, as in PyTorch; -1 = none */
    const float *dlogits;      /* [sequences, labels] */
} hone_backward;

/* Scratch of the backward pass, kept between batches. */
typedef struct hone_backward_scratch {
    char *memory; /* owned; everything below lies in it */
    size_t memory_bytes;
    float *dx;               /* [tokens, hidden] gradient of a layer's output, then of its input */
    float *dfirst;           /* [sequences, hidden] the same of a first-only layer */
    float *da1, *da2, *dctx; /* [tokens, hidden] */
    float *dq, *dk, *dv;     /* [tokens, hidden] */
    float *y;                /* [tokens, hidden] output of a layer's first norm, once more */
    float *dmiddle;          /* [chunks, tokens, chunk] */
    float *dpooled;          /* [sequences, hidden] */
    float *partials;         /* [tiles, 4, hidden] of the norms' weights and biases */
} hone_backward_scratch;

HONE_NODISCARD hone_err hone_backward_reserve(hone_backward_scratch *scratch,
                                              const hone_pass *pass);
void hone_backward_done(hone_backward_scratch *scratch);

/* grads += the gradient. scratch was reserved for the pass. INVALID when the engine refuses to
 * pack, NOMEM. */
HONE_NODISCARD hone_err hone_backward_run(const hone_backward *backward,
                                          hone_backward_scratch *scratch);

#endif
