/* batches.c: see batches.h. Texts are encoded by pieces of a few hundred, each into buffers of
 * its own, and joined in order: the result does not depend on the threads. */
#include "train/batches.h"

#include "base/buf.h"
#include "base/philox.h"

#include <stdio.h>
#include <string.h>

enum { PIECE_RECORDS = 256 };

/* One piece of the data set being encoded, or what went wrong in it. */
typedef struct piece {
    hone_buf ids, types; /* of int32_t */
    size_t *lengths;     /* of its records, in the arena of all */
    hone_code failed;
    char message[256]; /* an error's own message stays with the thread that made it */
} piece;

typedef struct encoding {
    const hone_tokenizer *tokenizer;
    const hone_dataset *dataset;
    size_t max_length;
    piece *pieces;
} encoding;

static hone_err encode_record(const encoding *e, piece *p, hone_arena *scratch, size_t index) {
    const hone_record *record = &e->dataset->records[index];
    hone_encode_options options = {.max_length = e->max_length};
    hone_tokens tokens;
    hone_err err = hone_tokenizer_encode(e->tokenizer, scratch, record->text, (hone_str){NULL, 0},
                                         options, &tokens);
    if (hone_failed(err))
        return hone_err_wrap(err, "'%s' line %zu", e->dataset->name, record->line);
    size_t size_bytes = tokens.count * sizeof(int32_t);
    hone_buf_push(&p->ids, (hone_str){(const char *)tokens.ids, size_bytes});
    hone_buf_push(&p->types, (hone_str){(const char *)tokens.types, size_bytes});
    p->lengths[index % PIECE_RECORDS] = tokens.count;
    HONE_TRY(hone_buf_err(&p->ids));
    return hone_buf_err(&p->types);
}

static void encode_piece(void *ctx, size_t index, size_t worker) {
    (void)worker;
    const encoding *e = ctx;
    piece *p = &e->pieces[index];
    hone_arena *scratch = NULL;
    hone_err err = hone_arena_create((size_t)256 << 20, &scratch);
    size_t begin = index * PIECE_RECORDS, end = begin + PIECE_RECORDS;
    if (end > e->dataset->count) end = e->dataset->count;
    for (size_t i = begin; i < end && !hone_failed(err); i++) {
        err = encode_record(e, p, scratch, i);
        hone_arena_reset(scratch);
    }
    hone_arena_destroy(scratch);
    p->failed = err.code;
    if (hone_failed(err)) (void)snprintf(p->message, sizeof p->message, "%s", err.msg);
}

/* The pieces' tokens one behind the other. */
static hone_err join(hone_arena *arena, const encoding *e, size_t pieces, hone_examples *out) {
    size_t tokens = 0, count = e->dataset->count;
    for (size_t i = 0; i < pieces; i++) {
        if (e->pieces[i].failed)
            return hone_err_new(e->pieces[i].failed, "%s", e->pieces[i].message);
        tokens += e->pieces[i].ids.len / sizeof(int32_t);
    }
    size_t *starts = hone_arena_alloc(arena, count + 1, sizeof *starts);
    int32_t *ids = hone_arena_alloc(arena, tokens, sizeof *ids);
    int32_t *types = hone_arena_alloc(arena, tokens, sizeof *types);
    if (!starts || !ids || !types)
        return hone_err_new(HONE_E_NOMEM, "no memory for the %zu tokens of '%s'", tokens,
                            e->dataset->name);
    size_t at = 0, longest = 0;
    for (size_t i = 0; i < count; i++) {
        size_t length = e->pieces[i / PIECE_RECORDS].lengths[i % PIECE_RECORDS];
        if (length > longest) longest = length;
        starts[i + 1] = starts[i] + length;
    }
    for (size_t i = 0; i < pieces; i++) {
        const piece *p = &e->pieces[i];
        memcpy(ids + at, p->ids.ptr, p->ids.len);
        memcpy(types + at, p->types.ptr, p->types.len);
        at += p->ids.len / sizeof(int32_t);
    }
    *out = (hone_examples){count, starts, ids, types, longest};
    return HONE_OK;
}

hone_err hone_examples_encode(hone_arena *arena, hone_pool *pool, const hone_tokenizer *tokenizer,
                              const hone_dataset *dataset, size_t max_length, hone_examples *out) {
    size_t pieces = (dataset->count + PIECE_RECORDS - 1) / PIECE_RECORDS;
    encoding e = {tokenizer, dataset, max_length, hone_arena_alloc(arena, pieces, sizeof(piece))};
    size_t *lengths = hone_arena_alloc(arena, dataset->count, sizeof *lengths);
    if (!e.pieces || !lengths)
        return hone_err_new(HONE_E_NOMEM, "no memory for the tokens of '%s'", dataset->name);
    for (size_t i = 0; i < pieces; i++) {
        hone_buf_init(&e.pieces[i].ids, SIZE_MAX / 2);
        hone_buf_init(&e.pieces[i].types, SIZE_MAX / 2);
        e.pieces[i].lengths = lengths + i * PIECE_RECORDS;
    }
    hone_pool_run(pool, pieces, encode_piece, &e);
    hone_err err = join(arena, &e, pieces, out);
    for (size_t i = 0; i < pieces; i++) {
        hone_buf_done(&e.pieces[i].ids);
        hone_buf_done(&e.pieces[i].types);
    }
    return err;
}

/* A number in [0, bound), from 64 random bits: the bias is below bound / 2^64. */
static uint32_t draw_below(uint32_t bound, uint64_t seed, uint32_t index, uint32_t epoch) {
    hone_philox r = hone_philox_at(seed, index, epoch, 0, HONE_STREAM_SHUFFLE);
    uint64_t high = (uint64_t)r.word[0] * bound, low = (uint64_t)r.word[1] * bound;
    return (uint32_t)((high + (low >> 32)) >> 32);
}

void hone_batches_shuffle(uint32_t *order, size_t count, uint64_t seed, size_t epoch) {
    for (size_t i = 0; i < count; i++) order[i] = (uint32_t)i;
    for (size_t i = count; i > 1; i--) {
        uint32_t j = draw_below((uint32_t)i, seed, (uint32_t)i, (uint32_t)epoch);
        uint32_t last = order[i - 1];
        order[i - 1] = order[j];
        order[j] = last;
    }
}

hone_err hone_batcher_init(hone_arena *arena, const hone_examples *examples, size_t sequences_max,
                           size_t tokens_max, hone_batcher *out) {
    size_t tokens = examples->starts[examples->count];
    if (tokens_max > tokens) tokens_max = tokens;
    if (tokens_max < examples->longest) tokens_max = examples->longest;
    if (tokens_max > INT32_MAX) tokens_max = INT32_MAX;
    if (sequences_max > examples->count) sequences_max = examples->count;
    if (sequences_max > tokens_max) sequences_max = tokens_max;
    hone_batcher b = {
        .examples = examples,
        .sequences_max = sequences_max,
        .tokens_max = tokens_max,
        .ids = hone_arena_alloc(arena, tokens_max, sizeof *b.ids),
        .types = hone_arena_alloc(arena, tokens_max, sizeof *b.types),
        .starts = hone_arena_alloc(arena, sequences_max + 1, sizeof *b.starts),
    };
    if (!b.ids || !b.types || !b.starts)
        return hone_err_new(HONE_E_NOMEM, "no memory for batches of %zu tokens", tokens_max);
    *out = b;
    return HONE_OK;
}

size_t hone_batcher_next(hone_batcher *b, const uint32_t *order, size_t begin, size_t end,
                         hone_pack *out) {
    const hone_examples *e = b->examples;
    size_t tokens = 0, sequences = 0, i = begin;
    for (; i < end && sequences < b->sequences_max; i++) {
        size_t index = order ? order[i] : i, length = hone_examples_tokens(e, index);
        if (tokens + length > b->tokens_max) break;
        memcpy(b->ids + tokens, e->ids + e->starts[index], length * sizeof *b->ids);
        memcpy(b->types + tokens, e->types + e->starts[index], length * sizeof *b->types);
        tokens += length;
        b->starts[++sequences] = (int32_t)tokens;
    }
    *out = (hone_pack){tokens, sequences, b->ids, b->types, b->starts};
    return i;
}
