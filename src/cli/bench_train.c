/* bench_train.c: `hone bench train`: how fast optimiser steps go over a file of token ids.
 *
 * A pass is the whole file in batches of --batch, a step each: forward, backward, clipping and
 * AdamW, with the dropout of the checkpoint's config. Labels are made up: they cost the same.
 * Loading and the first pass are left out. */
#include "cli/bench.h"
#include "cli/options.h"
#include "cli/sequences.h"
#include "model/tuner.h"
#include "train/optimizer.h"

#include "base/clock.h"
#include "base/heap.h"

#include <stdio.h>

static const size_t memory_max = (size_t)64 << 30;

typedef struct train_bench {
    const char *model_dir, *ids_path;
    size_t batch, repeat, threads;
    hone_tuner_options options;
    hone_sequences set;
    hone_pool *pool;
    hone_tuner *tuner;
    hone_arena *arena;
    hone_optimizer optimizer;
    int32_t *labels; /* [batch] */
    uint32_t step;
} train_bench;

static hone_err one_pass(train_bench *b) {
    for (size_t at = 0; at < b->set.count; at += b->batch) {
        size_t end = at + b->batch < b->set.count ? at + b->batch : b->set.count;
        hone_pack pack;
        double loss = 0.0;
        HONE_TRY(hone_sequences_pack(&b->set, at, end, &pack));
        HONE_TRY(hone_tuner_check(b->tuner, &pack));
        hone_tune_step step = {
            .weight = 1.0F / (float)(end - at), .dropout = true, .seed = 1, .step = ++b->step};
        hone_tuner_zero_grads(b->tuner, b->pool);
        HONE_TRY(hone_tuner_backward(b->tuner, b->pool, &pack, (hone_targets){.labels = b->labels},
                                     step, &loss));
        double norm = 0.0;
        HONE_TRY(hone_optimizer_run(
            &b->optimizer, b->pool,
            (hone_optimizer_step){.lr = 2e-5, .weight_decay = 0.01, .clip = 1.0, .step = b->step},
            &norm));
    }
    return HONE_OK;
}

static hone_err set_up(train_bench *b) {
    HONE_TRY(hone_sequences_load(b->ids_path, &b->set));
    HONE_TRY(hone_pool_create(b->threads, &b->pool));
    hone_config config;
    HONE_TRY(hone_config_load(b->model_dir, &config));
    if (config.problem != HONE_SINGLE_LABEL) {
        hone_config_done(&config);
        return hone_err_new(HONE_E_INVALID, "'%s' is no classifier", b->model_dir);
    }
    HONE_TRY(hone_tuner_create(b->model_dir, config, &b->options, &b->tuner));
    HONE_TRY(hone_arena_create(memory_max, &b->arena));
    HONE_TRY(hone_optimizer_init(b->arena, b->tuner, &b->optimizer));
    b->labels = hone_arena_alloc(b->arena, b->batch, sizeof *b->labels);
    if (!b->labels) return hone_err_new(HONE_E_NOMEM, "no memory for %zu labels", b->batch);
    for (size_t i = 0; i < b->batch; i++)
        b->labels[i] = (int32_t)(i % hone_tuner_config(b->tuner)->labels);
    return HONE_OK;
}

static hone_err measure(train_bench *b) {
    HONE_TRY(set_up(b));
    hone_bench_times times;
    HONE_TRY(hone_bench_times_init(&times, b->repeat));
    hone_err err = one_pass(b);
    for (size_t i = 0; i < b->repeat && !hone_failed(err); i++) {
        int64_t begin = hone_clock_ns();
        err = one_pass(b);
        hone_bench_times_push(&times, hone_clock_ns() - begin);
    }
    if (!hone_failed(err)) {
        hone_bench_summary s = hone_bench_times_summary(&times);
        size_t steps = (b->set.count + b->batch - 1) / b->batch;
        printf("{\"bench\": \"train\", \"threads\": %zu, \"dtype\": \"%s\", \"batch\": %zu, "
               "\"sequences\": %zu, \"tokens\": %zu, \"repeat\": %zu, \"median_s\": %.6f, "
               "\"min_s\": %.6f, \"p90_s\": %.6f, \"step_s\": %.6f, \"sequences_per_s\": %.2f, "
               "\"tokens_per_s\": %.1f}\n",
               hone_pool_threads(b->pool), hone_dtype_name(b->options.dtype), b->batch,
               b->set.count, b->set.tokens, b->repeat, s.median_s, s.min_s, s.p90_s,
               s.median_s / (double)steps, (double)b->set.count / s.median_s,
               (double)b->set.tokens / s.median_s);
    }
    hone_bench_times_done(&times);
    return err;
}

hone_err hone_bench_train(int argc, char **argv) {
    train_bench b = {.batch = 32, .repeat = 5, .options = {.seed = 1, .lora.alpha = 16}};
    const hone_option options[] = {
        {"model", "DIR", "the model folder", HONE_OPT_STR, &b.model_dir, true},
        {"ids", "FILE", "token ids, one list a line", HONE_OPT_STR, &b.ids_path, true},
        {"batch", "N", "sequences per step (32)", HONE_OPT_SIZE, &b.batch, false},
        {"repeat", "N", "passes over the file (5)", HONE_OPT_SIZE, &b.repeat, false},
        {"threads", "N", "threads (all cores)", HONE_OPT_SIZE, &b.threads, false},
        {"freeze-layers", "N", "as in hone train", HONE_OPT_SIZE, &b.options.frozen_layers, false},
        HONE_DTYPE_OPTION(b.options.dtype),
        {"lora-rank", "N", "adapters of query and value instead of weights", HONE_OPT_SIZE,
         &b.options.lora.rank, false},
        {"recompute", NULL, "as in hone train", HONE_OPT_FLAG, &b.options.recompute, false},
        {0}};
    const hone_usage usage = {
        "bench train", "--model DIR --ids FILE [flags]",
        "Time optimiser steps over a file of token ids; prints one JSON line."};
    size_t words = 0;
    bool help = false;
    HONE_TRY(hone_options_parse(&usage, options, argc, argv, NULL, 0, &words, &help));
    if (help) return HONE_OK;
    hone_heap_keep();
    if (b.batch == 0 || b.repeat == 0)
        return hone_err_new(HONE_E_INVALID, "--batch and --repeat must be at least 1");
    hone_err err = measure(&b);
    hone_tuner_destroy(b.tuner);
    hone_arena_destroy(b.arena);
    hone_pool_destroy(b.pool);
    hone_sequences_done(&b.set);
    return err;
}
