/* product_impl.h: the primitives of oneDNN that a product can be made of.
 *
 * hone_product_create takes the better one; the tests hold each of them to the same sums.
 */
#ifndef HONE_NN_PRODUCT_IMPL_H
#define HONE_NN_PRODUCT_IMPL_H

#include "nn/product.h"

typedef enum hone_product_kind {
    HONE_PRODUCT_CONVOLUTION, /* rows are the pixels of an image, W a 1x1 filter */
    HONE_PRODUCT_MATMUL,
} hone_product_kind;

/* As hone_product_create, of this kind whatever runs it. */
HONE_NODISCARD hone_err hone_product_create_with(hone_product_kind kind, size_t k, size_t n,
                                                 hone_product **out);

/* A height is left to one of oneDNN's reference loops: right, and 100 times slower. */
bool hone_product_is_reference(const hone_product *product);

#endif
