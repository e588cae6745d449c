/* encoder_impl.h: the network itself, shared by prediction (model.c) and fine-tuning (tuner.c).
 *
 *     embed --> [ attention --> tile: out, norm, up, gelu, down, norm, next q k v ] x layers --> head
 *
 * Two kinds of work alternate, each shared out over the pool: attention by (sequence, head),
 * everything else by tiles of at most 128 rows that stay in a core's cache from the
 * attention's output to the next layer's q, k and v.
 *
 * The head looks only at the first token of each sequence. So the last layer projects k and v
 * for every row but does all else for one row a sequence ("first only"): the same logits and
 * gradients for a sixth less work in six layers.
 *
 * A few rows are bound by reading the weights, which every tile would do anew. So up to
 * HONE_FEW_ROWS of them, where nothing is kept, are one tile, no higher than the dtype's products
 * need (the last layer's often has one row), and what is shared out is its
 * products: q, k and v, the output projection's columns where the dtype can, then the chunks of
 * the feed-forward layer, whose sums are added in order.
 *
 * The feed-forward layer is cut into chunks of `hidden` columns, so that its wide middle
 * never leaves the cache and every product of the model has one shape.
 */
#ifndef HONE_MODEL_ENCODER_IMPL_H
#define HONE_MODEL_ENCODER_IMPL_H

#include "base/buf.h"
#include "base/file.h"
#include "base/pool.h"
#include "model/config.h"
#include "model/params.h"
#include "nn/ops.h"
#include "nn/pack.h"
#include "nn/product.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    HONE_CHUNKS_MAX = 16,
    HONE_FEW_ROWS = 64,  /* up to here the weights are shared out instead of the rows */
    HONE_POOL_PARTS = 2, /* of the pooler's columns, where it is a product of its own */
};

/* The products of a network: hidden -> hidden, hidden -> chunk, chunk -> hidden. */
typedef struct hone_shapes {
    size_t chunks, chunk;             /* chunks * chunk == intermediate */
    hone_product *square, *up, *down; /* up and down are square itself when chunk == hidden */
    hone_product *pool; /* square itself; in int8, in f32 and of pool_parts parts of the columns */
    size_t pool_parts;
} hone_shapes;

HONE_NODISCARD hone_err hone_shapes_create(const hone_config *config, hone_dtype dtype,
                                           hone_shapes *out);
void hone_shapes_done(hone_shapes *shapes);

/* The most that one of them needs, a multiple of 64. */
size_t hone_shapes_scratch_bytes(const hone_shapes *shapes);
size_t hone_shapes_operand_bytes(const hone_shapes *shapes);

/* Append what packed weights depend on besides the weights, the program and the instruction set. */
void hone_shapes_describe(const hone_shapes *shapes, hone_buf *out);

/* Which matrix of a layer: the places of a packing. UP + c and DOWN + c for chunk c. */
enum { HONE_PACK_Q, HONE_PACK_K, HONE_PACK_V, HONE_PACK_OUT, HONE_PACK_UP };

/* Every matrix of the layers and the pooler, packed, as it is or transposed (for gradients); or
 * of the layers one at a time. */
typedef struct hone_packing {
    const hone_shapes *shapes;
    bool transposed;
    size_t layers, slots; /* slots per layer: 4 + 2 * chunks */
    size_t places;        /* layers that there is memory for: all, or 1 */
    size_t square_bytes, up_bytes, down_bytes;
    size_t total_bytes;
    char *memory;   /* owned, filled by fill; NULL where kept packed weights are read */
    const char *at; /* what is read: memory, or what was mapped */
    hone_map map;   /* owned */
} hone_packing;

/* Sizes alone; reserve or a map brings the bytes. */
void hone_packing_lay_out(const hone_config *config, const hone_shapes *shapes, bool transposed,
                          size_t places, hone_packing *out);
HONE_NODISCARD hone_err hone_packing_reserve(hone_packing *packing); /* NOMEM */
/* Both. */
HONE_NODISCARD hone_err hone_packing_create(const hone_config *config, const hone_shapes *shapes,
                                            bool transposed, size_t places, hone_packing *out);
void hone_packing_done(hone_packing *packing);

/* Pack from plain, the floats of each parameter in params' order. */
HONE_NODISCARD hone_err hone_packing_fill(hone_packing *packing, const hone_params *params,
                                          const float *const *plain, hone_pool *pool);

/* The same of some of them, where the others have not changed. */
typedef struct hone_repack {
    size_t first_layer, end_layer; /* [first, end) */
    uint32_t slots; /* bit HONE_PACK_Q ...; the way up and down whole: bits UP and UP + 1 */
    bool pool;
} hone_repack;
HONE_NODISCARD hone_err hone_packing_refill(hone_packing *packing, const hone_params *params,
                                            const float *const *plain, hone_repack which,
                                            hone_pool *pool);

/* Is a layer's to be filled in before it is read? */
static inline bool hone_packing_is_by_layer(const hone_packing *p) { return p->places < p->layers; }

const void *hone_packing_get(const hone_packing *packing, size_t layer, size_t slot);
const void *hone_packing_get_pool(const hone_packing *packing, size_t part);

/* What a forward pass reads. */
typedef struct hone_weights {
    const hone_config *config;
    const hone_params *params;
    const float *const *plain; /* [params->count + params->extra]; layer matrices may be NULL:
                                  they are packed */
    const hone_shapes *shapes;
    const hone_packing *packing;
    const hone_ops *ops;
} hone_weights;

/* The activations of a layer; `rows` is all tokens, or one a sequence in a first-only layer.
 * Where nothing is kept, the members from lse on are NULL and the layers share the others.
 * What is the norm of something kept is made again from that: the output of the first norm, and
 * the input x of a layer behind the first that keeps, which share theirs. */
typedef struct hone_layer_acts {
    float *x;       /* [tokens, hidden] the layer's input */
    float *q, *ctx; /* [rows, hidden] */
    float *k, *v;   /* [tokens, hidden] */
    float *lse;     /* [heads, rows] */
    float *sum1;    /* [rows, hidden] before the first norm */
    float *stats1;  /* [rows, 2] */
    float *middle;  /* [chunks, rows, chunk] before GELU */
    float *sum2;    /* [rows, hidden] before the second norm */
    float *stats2;
} hone_layer_acts;

/* What a pass leaves behind for the backward pass. */
typedef struct hone_acts_plan {
    bool keep;       /* anything at all; the pass is first_only then */
    bool embeddings; /* what the gradient of the embeddings needs */
    bool recompute;  /* of a layer its input alone: the others share one place for the rest */
    size_t first;    /* layers from here on: none below has a gradient */
} hone_acts_plan;

typedef struct hone_acts {
    hone_acts_plan plan;
    char *memory; /* owned; everything below lies in it */
    size_t memory_bytes;
    float *embed_sum, *embed_stats;
    float *embedded;         /* x of layer 0 */
    hone_layer_acts *layers; /* [layers] */
    float *out;              /* output of the last layer */
    float *partial;          /* [chunks, tokens, hidden] where there are few rows */
    float *gathered;         /* [sequences, hidden] the last layer's input in first-only */
    float *pooled_in, *pooled, *logits; /* [sequences, hidden], ..., [sequences, labels] */
    float *worker_scratch;
    size_t worker_floats;
} hone_acts;

HONE_NODISCARD hone_err hone_acts_init(const hone_config *config, hone_acts_plan plan,
                                       hone_acts *out);
void hone_acts_done(hone_acts *acts);

/* Room for this batch and this many workers, laid out for it. NOMEM. */
HONE_NODISCARD hone_err hone_acts_reserve(hone_acts *acts, const hone_weights *weights,
                                          const hone_pack *batch, size_t workers);

typedef struct hone_dropout_keys {
    uint64_t seed;
    uint32_t step;
    uint32_t micro;
} hone_dropout_keys;

/* One pass over the network. */
typedef struct hone_pass {
    const hone_weights *weights;
    const hone_pack *batch;
    hone_acts *acts;
    hone_pool *pool;
    const hone_dropout_keys *dropout; /* NULL = none */
    const struct hone_beside *beside; /* adapters that are not in the weights; NULL = none */
    size_t layers;                    /* how many to run */
    bool first_only; /* the last of them for the first tokens alone, then the head */
} hone_pass;

/* Run the layers; the result is in acts->out (first_only: one row a sequence), and with
 * first_only acts->logits. acts were reserved. */
void hone_pass_forward(const hone_pass *pass);

/* Make what layer kept once more from its input, to the same bytes: not of the last layer,
 * whose place nobody has taken. */
void hone_pass_again(const hone_pass *pass, size_t layer);

/* A worker's scratch for a tile. */
typedef struct hone_tile_scratch {
    float *a, *y;       /* [HONE_TILE_ROWS_MAX, hidden] */
    float *middle;      /* [HONE_TILE_ROWS_MAX, the wider of hidden and chunk] */
    void *product;      /* a product's own */
    void *in, *between; /* operands: of what comes in, and of what comes out of `up` */
    float *adapter;     /* [the wider of hidden and chunk + HONE_LORA_RANK_MAX] */
} hone_tile_scratch;

hone_tile_scratch hone_tile_scratch_of(const hone_pass *pass, size_t worker);

/* Does layer work on one row a sequence? */
static inline bool hone_pass_is_compact(const hone_pass *pass, size_t layer) {
    return pass->first_only && layer + 1 == pass->layers;
}

/* Rows that layer works on. */
static inline size_t hone_pass_rows(const hone_pass *pass, size_t layer) {
    return hone_pass_is_compact(pass, layer) ? pass->batch->sequences : pass->batch->tokens;
}

/* The drop of a site, or NULL where there is none. */
const hone_drop *hone_pass_drop(const hone_pass *pass, hone_drop_kind kind, size_t layer,
                                hone_drop *storage);

/* Rows of capacity for a matrix that products read whole tiles of. */
static inline size_t hone_padded_rows(size_t rows) {
    return (rows + HONE_TILE_UNIT - 1) / HONE_TILE_UNIT * HONE_TILE_UNIT;
}

/* INVALID when an id, type or length is outside config's; names the sequence. */
HONE_NODISCARD hone_err hone_pack_check(const hone_config *config, const hone_pack *batch);

#endif
