/* bench_infer.c: `hone bench infer`: how fast a model predicts a set of token-id lists.
 *
 * A pass is the whole set in order of arrival, in batches of --batch; model loading and the
 * first pass are left out. */
#include "cli/bench.h"
#include "cli/options.h"
#include "cli/sequences.h"
#include "model/model.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct infer_bench {
    const char *model_dir, *ids_path;
    hone_dtype dtype;
    size_t batch, repeat, threads;
    hone_sequences set;
    hone_pool *pool;
    hone_model *model;
    hone_session *session;
} infer_bench;

static hone_err one_pass(infer_bench *b) {
    for (size_t at = 0; at < b->set.count; at += b->batch) {
        size_t end = at + b->batch < b->set.count ? at + b->batch : b->set.count;
        hone_pack pack;
        hone_logits logits;
        HONE_TRY(hone_sequences_pack(&b->set, at, end, &pack));
        HONE_TRY(hone_model_check(b->model, &pack));
        HONE_TRY(hone_model_forward(b->session, b->pool, &pack, &logits));
    }
    return HONE_OK;
}

static hone_err measure(infer_bench *b) {
    HONE_TRY(hone_sequences_load(b->ids_path, &b->set));
    HONE_TRY(hone_pool_create(b->threads, &b->pool));
    HONE_TRY(hone_model_open(b->model_dir, b->dtype, b->pool, &b->model));
    HONE_TRY(hone_session_create(b->model, &b->session));
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
        printf("{\"bench\": \"infer\", \"threads\": %zu, \"dtype\": \"%s\", \"batch\": %zu, "
               "\"sequences\": %zu, \"tokens\": %zu, \"repeat\": %zu, \"median_s\": %.6f, "
               "\"min_s\": %.6f, \"p90_s\": %.6f, \"sequences_per_s\": %.2f, "
               "\"tokens_per_s\": %.1f}\n",
               hone_pool_threads(b->pool), hone_dtype_name(b->dtype), b->batch, b->set.count,
               b->set.tokens, b->repeat, s.median_s, s.min_s, s.p90_s,
               (double)b->set.count / s.median_s, (double)b->set.tokens / s.median_s);
    }
    hone_bench_times_done(&times);
    return err;
}

hone_err hone_bench_infer(int argc, char **argv) {
    infer_bench b = {.batch = 32, .repeat = 9};
    const hone_option options[] = {
        {"model", "DIR", "the model folder", HONE_OPT_STR, &b.model_dir, true},
        {"ids", "FILE", "token ids, one list a line", HONE_OPT_STR, &b.ids_path, true},
        {"batch", "N", "sequences per batch (32)", HONE_OPT_SIZE, &b.batch, false},
        {"repeat", "N", "passes over the file (9)", HONE_OPT_SIZE, &b.repeat, false},
        {"threads", "N", "threads (all cores)", HONE_OPT_SIZE, &b.threads, false},
        HONE_DTYPE_OPTION(b.dtype),
        {0}};
    const hone_usage usage = {"bench infer", "--model DIR --ids FILE [flags]",
                              "Time predictions of a file of token ids; prints one JSON line."};
    size_t words = 0;
    bool help = false;
    HONE_TRY(hone_options_parse(&usage, options, argc, argv, NULL, 0, &words, &help));
    if (help) return HONE_OK;
    if (b.batch == 0 || b.repeat == 0)
        return hone_err_new(HONE_E_INVALID, "--batch and --repeat must be at least 1");
    hone_err err = measure(&b);
    hone_session_destroy(b.session);
    hone_model_close(b.model);
    hone_pool_destroy(b.pool);
    hone_sequences_done(&b.set);
    return err;
}
