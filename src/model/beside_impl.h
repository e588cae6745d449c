/* beside_impl.h: adapters computed beside their weights, where their inputs have a dropout of
 * their own and they cannot be packed into them.
 *
 *     y += scale * B A drop(x)          dx += drop(scale * A^T B^T dy)
 *
 * A row at a time, in plain loops: next to the products it is little.
 */
#ifndef HONE_MODEL_BESIDE_IMPL_H
#define HONE_MODEL_BESIDE_IMPL_H

#include "model/encoder_impl.h"
#include "model/lora.h"

/* The adapters of a pass. */
typedef struct hone_beside {
    const hone_lora *lora;
    float *const *bt; /* [layers, HONE_LORA_SLOTS]: scale * B^T, [rank, out] */
} hone_beside;

/* Which adapter, and at which chunk of its wide side: y of the way up, x of the way down. */
typedef struct hone_beside_place {
    size_t layer;
    hone_lora_slot slot;
    size_t chunk; /* 0 where there is no wide side */
} hone_beside_place;

/* y += adapter of x, and dx += its gradient by x from dy, for the rows of a tile; nothing where
 * there is none.
 *   x, dx    [t->rows, hidden], or chunk columns of the wide side; y, dy the same
 *   scratch  as in hone_tile_scratch.adapter */
void hone_beside_forward(const hone_pass *pass, hone_beside_place at, const hone_tile *t,
                         const float *x, float *y, float *scratch);
void hone_beside_backward(const hone_pass *pass, hone_beside_place at, const hone_tile *t,
                          const float *dy, float *dx, float *scratch);

/* Drop elements of x[rows], or of its gradient, row `first` of the pass and those behind it. */
void hone_beside_drop(const hone_pass *pass, hone_beside_place at, size_t first, size_t rows,
                      float *x);

#endif
