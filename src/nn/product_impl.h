/* product_impl.h: what an engine of products must do, and the engines there are.
 *
 * A product of an engine begins with a hone_product, which it fills in at create; product.c
 * only passes on to it.
 */
#ifndef HONE_NN_PRODUCT_IMPL_H
#define HONE_NN_PRODUCT_IMPL_H

#include "nn/product.h"

/* The functions of product.h of the same names. */
typedef struct hone_product_calls {
    void (*destroy)(hone_product *product);
    hone_err (*pack)(const hone_product *product, const float *weight, size_t n_stride,
                     size_t k_stride, void *packed);
    const void *(*operand)(const hone_product *product, size_t rows, const float *in,
                           void *memory); /* NULL: the operand is in */
    void (*run)(const hone_product *product, const void *packed, const float *bias, bool accumulate,
                size_t rows, const void *operand, float *out, void *scratch);
    /* NULL of both: they would gain nothing */
    hone_err (*pack_scaled)(const hone_product *product, const float *weight, size_t n_stride,
                            size_t k_stride, const float *gain, const float *offset, void *packed);
    const void *(*rest)(const hone_product *product, size_t rows, const float *in,
                        const void *operand, void *memory);
    void (*run_part)(const hone_product *product, const void *packed, const float *bias,
                     bool accumulate, size_t rows, const void *operand, float *out, size_t part,
                     size_t parts); /* NULL: only whole */
} hone_product_calls;

struct hone_product {
    const hone_product_calls *calls;
    size_t k, n;
    size_t rows_unit;    /* rows come in multiples of it, up to HONE_TILE_UNIT itself */
    size_t packed_bytes; /* a multiple of 64 */
    size_t scratch_bytes;
    size_t operand_bytes; /* a multiple of 64 */
    char engine[64];
    uint64_t layout; /* see hone_product_layout; 0 for kernels of our own */
};

/* f32 by oneDNN: the primitives that a product can be made of. */
typedef enum hone_product_kind {
    HONE_PRODUCT_CONVOLUTION, /* rows are the pixels of an image, W a 1x1 filter */
    HONE_PRODUCT_MATMUL,
} hone_product_kind;

/* The better kind, which the tests hold to the same sums as the other. */
HONE_NODISCARD hone_err hone_onednn_create(size_t k, size_t n, hone_product **out);

/* Of this kind whatever runs it. */
HONE_NODISCARD hone_err hone_onednn_create_with(hone_product_kind kind, size_t k, size_t n,
                                                hone_product **out);

/* A height is left to one of oneDNN's reference loops: right, and 100 times slower. The product
 * is oneDNN's. */
bool hone_onednn_is_reference(const hone_product *product);

/* bf16 by the kernels of cpu/bf16.c, the widest or others of the tables there. */
typedef struct hone_bf16_kernels hone_bf16_kernels;
HONE_NODISCARD hone_err hone_bf16_create(size_t k, size_t n, hone_product **out);
HONE_NODISCARD hone_err hone_bf16_create_with(const hone_bf16_kernels *kernels, size_t k, size_t n,
                                              hone_product **out);

/* int8 by the kernels of cpu/int8.c, the widest or others of the tables there. */
typedef struct hone_int8_kernels hone_int8_kernels;
HONE_NODISCARD hone_err hone_int8_create(size_t k, size_t n, hone_product **out);
HONE_NODISCARD hone_err hone_int8_create_with(const hone_int8_kernels *kernels, size_t k, size_t n,
                                              hone_product **out);

#endif
