/* product.c: which engine multiplies in a dtype, and the way to it. */
#include "nn/product_impl.h"

#include <assert.h>

hone_err hone_product_create(hone_dtype dtype, size_t k, size_t n, hone_product **out) {
    assert(k > 0 && n > 0);
    switch (dtype) {
    case HONE_DTYPE_F32:
        return hone_onednn_create(k, n, out);
    case HONE_DTYPE_BF16:
        return hone_bf16_create(k, n, out);
    case HONE_DTYPE_INT8:
        return hone_int8_create(k, n, out);
    }
    return hone_err_new(HONE_E_INVALID, "there is no dtype %d", (int)dtype);
}

void hone_product_destroy(hone_product *p) {
    if (p) p->calls->destroy(p);
}

size_t hone_product_packed_bytes(const hone_product *p) { return p->packed_bytes; }
size_t hone_product_scratch_bytes(const hone_product *p) { return p->scratch_bytes; }
size_t hone_product_operand_bytes(const hone_product *p) { return p->operand_bytes; }
size_t hone_product_height(const hone_product *p, size_t rows) {
    return (rows + p->rows_unit - 1) / p->rows_unit * p->rows_unit;
}

const char *hone_product_engine(const hone_product *p) { return p->engine; }
uint64_t hone_product_layout(const hone_product *p) { return p->layout; }

hone_err hone_product_pack(const hone_product *p, const float *weight, size_t n_stride,
                           size_t k_stride, void *packed) {
    return p->calls->pack(p, weight, n_stride, k_stride, packed);
}

bool hone_product_is_scaled(const hone_product *p) { return p->calls->pack_scaled != NULL; }

hone_err hone_product_pack_scaled(const hone_product *p, const float *weight, size_t n_stride,
                                  size_t k_stride, const float *gain, const float *offset,
                                  void *packed) {
    assert(hone_product_is_scaled(p));
    return p->calls->pack_scaled(p, weight, n_stride, k_stride, gain, offset, packed);
}

const void *hone_product_operand(const hone_product *p, size_t rows, const float *in,
                                 void *memory) {
    assert(rows > 0 && rows % p->rows_unit == 0 && rows <= HONE_TILE_ROWS_MAX);
    return p->calls->operand ? p->calls->operand(p, rows, in, memory) : in;
}

const void *hone_product_rest(const hone_product *p, size_t rows, const float *in,
                              const void *operand, void *memory) {
    assert(rows > 0 && rows % p->rows_unit == 0 && rows <= HONE_TILE_ROWS_MAX);
    return p->calls->rest ? p->calls->rest(p, rows, in, operand, memory) : NULL;
}

bool hone_product_has_parts(const hone_product *p) { return p->calls->run_part != NULL; }

void hone_product_run_part(const hone_product *p, const void *packed, const float *bias,
                           bool accumulate, size_t rows, const void *operand, float *out,
                           size_t part, size_t parts) {
    assert(hone_product_has_parts(p));
    assert(part < parts);
    assert(rows > 0 && rows % p->rows_unit == 0 && rows <= HONE_TILE_ROWS_MAX);
    p->calls->run_part(p, packed, bias, accumulate, rows, operand, out, part, parts);
}

void hone_product_run(const hone_product *p, const void *packed, const float *bias, bool accumulate,
                      size_t rows, const void *operand, float *out, void *scratch) {
    assert(rows > 0 && rows % p->rows_unit == 0 && rows <= HONE_TILE_ROWS_MAX);
    p->calls->run(p, packed, bias, accumulate, rows, operand, out, scratch);
}
