/* evaluate.c: see evaluate.h. All logits are kept until the end: a few bytes a text. */
#include "train/evaluate.h"

#include <math.h>
#include <string.h>

/* Fill values, [count, labels]. */
static hone_err collect(hone_batcher *batcher, hone_pool *pool, size_t count, size_t labels,
                        hone_forward_fn *forward, void *ctx, float *values) {
    for (size_t at = 0; at < count;) {
        hone_pack batch;
        hone_logits logits;
        size_t end = hone_batcher_next(batcher, NULL, at, count, &batch);
        HONE_TRY(forward(ctx, pool, &batch, &logits));
        memcpy(values + at * labels, logits.values, batch.sequences * labels * sizeof *values);
        at = end;
    }
    return HONE_OK;
}

static hone_err evaluate(hone_arena *scratch, hone_arena *arena, hone_pool *pool,
                         const hone_exam *exam, size_t tokens_max, hone_forward_fn *forward,
                         void *ctx, hone_metrics *out) {
    size_t count = exam->examples.count, labels = exam->labels;
    hone_batcher batcher;
    hone_metrics metrics;
    float *values = hone_arena_alloc(scratch, count, labels * sizeof *values);
    if (!values) return hone_err_new(HONE_E_NOMEM, "no memory for the logits of %zu texts", count);
    HONE_TRY(hone_batcher_init(scratch, &exam->examples, count, tokens_max, &batcher));
    HONE_TRY(collect(&batcher, pool, count, labels, forward, ctx, values));
    hone_logits all = {count, labels, values};
    HONE_TRY(hone_metrics_compute(arena, exam->problem, &all, exam->targets, &metrics));
    if (!isfinite(metrics.loss))
        return hone_err_new(HONE_E_INVALID, "the model's output is not finite");
    *out = metrics;
    return HONE_OK;
}

hone_err hone_evaluate(hone_arena *arena, hone_pool *pool, const hone_exam *exam, size_t tokens_max,
                       hone_forward_fn *forward, void *ctx, hone_metrics *out) {
    hone_arena *scratch = NULL;
    HONE_TRY(hone_arena_create(SIZE_MAX / 4, &scratch));
    hone_err err = evaluate(scratch, arena, pool, exam, tokens_max, forward, ctx, out);
    hone_arena_destroy(scratch);
    return err;
}
