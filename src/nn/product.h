/* product.h: matrix products with a weight that is packed once and used many times.
 *
 *     out[rows, n] = (accumulate ? out : 0) + in[rows, k] W^T + bias        W is [n, k]
 *
 * A product is a shape and a dtype; any number of weights of that shape are packed for it into
 * memory of the caller. Rows come in tiles of 8, 16, ... 128: the height of each is fixed here
 * so that everything the engine needs is made at load, and so that a result never depends on
 * how many threads share the tiles. A tile that is not full computes up to 7 scratch rows;
 * hone_product_height says where an engine of ours needs fewer.
 *
 * What is multiplied is the operand: `in` as the dtype has it, made once and used with as many
 * weights as there are.
 *
 *     in --operand--> f32: in itself | bf16: rounded | int8: bytes, with scale and zero a row
 *
 * Engines: f32 is oneDNN's (onednn.c), on the calling thread alone; the others are kernels of
 * cpu/. product_impl.h has what an engine must do.
 *
 * Threads: a product is read-only after create.
 */
#ifndef HONE_NN_PRODUCT_H
#define HONE_NN_PRODUCT_H

#include "base/err.h"
#include "nn/dtype.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HONE_TILE_UNIT = 8,
    HONE_TILE_ROWS_MAX = 128,
};

typedef struct hone_product hone_product;

/* INVALID when the engine refuses the shape or has no kernels of the dtype; NOMEM. */
HONE_NODISCARD hone_err hone_product_create(hone_dtype dtype, size_t k, size_t n,
                                            hone_product **out);
void hone_product_destroy(hone_product *product);

/* Size of one packed weight; allocate it aligned to 64. */
size_t hone_product_packed_bytes(const hone_product *product);

/* Pack weight, whose element (n, k) is at weight[n * n_stride + k * k_stride]: strides
 * (k, 1) for W as PyTorch stores it, (1, n) to multiply by its transpose. IO never happens
 * to memory: an error here is the engine refusing, INVALID, or NOMEM. */
HONE_NODISCARD hone_err hone_product_pack(const hone_product *product, const float *weight,
                                          size_t n_stride, size_t k_stride, void *packed);

/* Does the dtype gain by taking an input before a norm's last step? What a norm scales by differs
 * from column to column, and the largest would cost all others digits. */
bool hone_product_is_scaled(const hone_product *product);

/* Such a weight: of the operand x it gives (gain x + offset) W^T.
 *   gain, offset  [k] */
HONE_NODISCARD hone_err hone_product_pack_scaled(const hone_product *product, const float *weight,
                                                 size_t n_stride, size_t k_stride,
                                                 const float *gain, const float *offset,
                                                 void *packed);

/* Scratch that every concurrent run needs for itself, aligned to 64. May be 0. */
size_t hone_product_scratch_bytes(const hone_product *product);

/* Size of the operand of HONE_TILE_ROWS_MAX rows; 0 where it is `in` itself. */
size_t hone_product_operand_bytes(const hone_product *product);

/* The fewest rows that a product computes to have `rows`: no more than the next multiple of
 * HONE_TILE_UNIT, and fewer where its kernels can. */
size_t hone_product_height(const hone_product *product, size_t rows);

/* in[rows, k], contiguous, as this product multiplies it, in memory or in place: it lives as
 * long as both. Of use to every product of the same dtype and k.
 *   rows    some hone_product_height up to HONE_TILE_ROWS_MAX
 *   memory  hone_product_operand_bytes, aligned to 64 */
const void *hone_product_operand(const hone_product *product, size_t rows, const float *in,
                                 void *memory);

/* What the operand of `in` lacks of it by rounding, as one more operand, whose product is to be
 * added: for a product that needs more digits. NULL where the dtype leaves nothing worth it. */
const void *hone_product_rest(const hone_product *product, size_t rows, const float *in,
                              const void *operand, void *memory);

/* rows: as the operand was made for.
 *   bias  [n]; NULL = none
 *   out   [rows, n]   contiguous; apart from what the operand was made of */
void hone_product_run(const hone_product *product, const void *packed, const float *bias,
                      bool accumulate, size_t rows, const void *operand, float *out, void *scratch);

/* One of `parts` shares of a run's columns, the same bytes: for a product that is alone. */
bool hone_product_has_parts(const hone_product *product);
void hone_product_run_part(const hone_product *product, const void *packed, const float *bias,
                           bool accumulate, size_t rows, const void *operand, float *out,
                           size_t part, size_t parts);

/* "jit:avx2" or the like, for bench and bug reports. */
const char *hone_product_engine(const hone_product *product);

/* Packed weights that are kept fit a later process of the same program, on the same instruction
 * set, whose product has the same engine and the same layout: an engine that is a library has
 * another one in another version. */
uint64_t hone_product_layout(const hone_product *product);

/* How `rows` rows are cut into tiles: a function of rows alone.
 *
 *     tiles = a multiple of 4 where there is work for 4, so that 2 or 4 threads finish together
 *     tile i = rows [begin(i), begin(i + 1)), begin a multiple of HONE_TILE_UNIT */
typedef struct hone_tiling {
    size_t rows;
    size_t units; /* ceil(rows / HONE_TILE_UNIT) */
    size_t tiles;
} hone_tiling;

static inline hone_tiling hone_tiling_of(size_t rows) {
    enum { SHARE = 4, UNITS_MAX = HONE_TILE_ROWS_MAX / HONE_TILE_UNIT };
    size_t units = (rows + HONE_TILE_UNIT - 1) / HONE_TILE_UNIT;
    size_t tiles = (units + UNITS_MAX - 1) / UNITS_MAX;
    tiles = (tiles + SHARE - 1) / SHARE * SHARE;
    return (hone_tiling){rows, units, tiles < units ? tiles : units};
}

/* First row of tile index; the tile's height is begin(index + 1) - begin(index). */
static inline size_t hone_tiling_begin(const hone_tiling *t, size_t index) {
    return t->units * index / t->tiles * HONE_TILE_UNIT;
}

typedef struct hone_tile {
    size_t first;  /* row */
    size_t height; /* rows that products compute: a multiple of HONE_TILE_UNIT */
    size_t rows;   /* of them real */
} hone_tile;

static inline hone_tile hone_tiling_get(const hone_tiling *t, size_t index) {
    size_t first = hone_tiling_begin(t, index), end = hone_tiling_begin(t, index + 1);
    return (hone_tile){first, end - first, (end < t->rows ? end : t->rows) - first};
}

#endif
