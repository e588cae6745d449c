/* batches.h: a data set as tokens, and the packed batches cut from it.
 *
 *     hone_dataset --tokenizer--> hone_examples --order of the epoch--> hone_pack of [begin, end)
 *
 * Every text is encoded once; a batch is then a copy of a few kilobytes. The order of an
 * epoch is a function of (seed, epoch) alone.
 */
#ifndef HONE_TRAIN_BATCHES_H
#define HONE_TRAIN_BATCHES_H

#include "base/arena.h"
#include "base/err.h"
#include "base/pool.h"
#include "data/dataset.h"
#include "nn/pack.h"
#include "text/tokenizer.h"

#include <stddef.h>
#include <stdint.h>

/* Every text as token ids, one behind the other. */
typedef struct hone_examples {
    size_t count;
    const size_t *starts; /* [count + 1] */
    const int32_t *ids;   /* [starts[count]] */
    const int32_t *types; /* [starts[count]] */
    size_t longest;       /* in tokens */
} hone_examples;

/* Encode every text, cut at max_length tokens. Errors name the file and line. */
HONE_NODISCARD hone_err hone_examples_encode(hone_arena *arena, hone_pool *pool,
                                             const hone_tokenizer *tokenizer,
                                             const hone_dataset *dataset, size_t max_length,
                                             hone_examples *out);

static inline size_t hone_examples_tokens(const hone_examples *e, size_t index) {
    return e->starts[index + 1] - e->starts[index];
}

/* Write the numbers [0, count) in the order of epoch: Fisher & Yates, drawn from Philox. */
void hone_batches_shuffle(uint32_t *order, size_t count, uint64_t seed, size_t epoch);

/* Room for one pack of at most `sequences` sequences and `tokens` tokens. */
typedef struct hone_batcher {
    const hone_examples *examples;
    size_t sequences_max;
    size_t tokens_max;
    int32_t *ids, *types, *starts;
} hone_batcher;

/* A batcher in the arena whose packs keep to tokens_max, and to sequences_max; at least one
 * sequence, whatever its length. NOMEM. */
HONE_NODISCARD hone_err hone_batcher_init(hone_arena *arena, const hone_examples *examples,
                                          size_t sequences_max, size_t tokens_max,
                                          hone_batcher *out);

/* Pack examples order[begin], order[begin + 1], ... up to end or a limit; order NULL = as
 * they stand. Returns the index behind the last; the pack is borrowed until the next call. */
size_t hone_batcher_next(hone_batcher *batcher, const uint32_t *order, size_t begin, size_t end,
                         hone_pack *out);

#endif
