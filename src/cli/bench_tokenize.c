/* bench_tokenize.c: `hone bench tokenize`: the lines of a file, tokenized again and again.
 *
 * A pass takes every line once, shared out over the pool a few dozen at a time. Loading, and
 * one pass to warm up, are not measured. Offsets are not asked for, as with the peer's
 * encode_batch_fast. */
#include "base/arena.h"
#include "base/clock.h"
#include "base/lines.h"
#include "base/pool.h"
#include "cli/bench.h"
#include "cli/options.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>

enum { LINES_PER_SHARE = 32 };
static const size_t file_bytes_max = (size_t)4 << 30, line_bytes_max = (size_t)64 << 20;
static const size_t text_memory_max = (size_t)2 << 30;

typedef struct bench_args {
    const char *model;
    const char *file;
    size_t threads;
    size_t repeat;
} bench_args;

/* What a pass works on. */
typedef struct bench_work {
    hone_tokenizer *tokenizer;
    hone_pool *pool;
    hone_arena *arena;    /* owns all that follows */
    hone_arena **scratch; /* [threads] */
    hone_str *texts;      /* [count] */
    size_t *tokens;       /* [count]: how many each has; SIZE_MAX when it failed */
    double *seconds;      /* [repeat] */
    size_t count;
    size_t bytes;
} bench_work;

static void tokenize_share(void *ctx, size_t index, size_t worker) {
    bench_work *work = ctx;
    size_t end = (index + 1) * LINES_PER_SHARE;
    if (end > work->count) end = work->count;
    for (size_t i = index * LINES_PER_SHARE; i < end; i++) {
        hone_tokens tokens = {0};
        hone_arena_reset(work->scratch[worker]);
        hone_err err = hone_tokenizer_encode(work->tokenizer, work->scratch[worker], work->texts[i],
                                             (hone_str){0}, (hone_encode_options){0}, &tokens);
        work->tokens[i] = hone_failed(err) ? SIZE_MAX : tokens.count;
    }
}

static double run_pass(bench_work *work) {
    int64_t start_ns = hone_clock_ns();
    hone_pool_run(work->pool, (work->count + LINES_PER_SHARE - 1) / LINES_PER_SHARE, tokenize_share,
                  work);
    return (double)(hone_clock_ns() - start_ns) * 1e-9;
}

/* Read the lines twice: to count them, and to keep them. */
static hone_err load_texts(bench_work *work, const char *path) {
    for (int keep = 0; keep < 2; keep++) {
        hone_lines *lines = NULL;
        HONE_TRY(hone_lines_open(path, line_bytes_max, &lines));
        hone_str line;
        bool more = true;
        hone_err err;
        size_t count = 0;
        while (!hone_failed(err = hone_lines_next(lines, &line, &more)) && more) {
            if (keep && count < work->count) {
                char *copy = hone_arena_strdup(work->arena, line);
                if (!copy) err = hone_err_new(HONE_E_NOMEM, "'%s' is too large", path);
                if (!copy) break;
                work->texts[count] = (hone_str){copy, line.len};
                work->bytes += line.len;
            }
            count++;
        }
        hone_lines_close(lines);
        if (hone_failed(err)) return err;
        if (count == 0) return hone_err_new(HONE_E_INVALID, "'%s' has no lines", path);
        if (keep) break;
        work->count = count;
        work->texts = hone_arena_alloc(work->arena, count, sizeof *work->texts);
        work->tokens = hone_arena_alloc(work->arena, count, sizeof *work->tokens);
        if (!work->texts || !work->tokens)
            return hone_err_new(HONE_E_NOMEM, "no memory for %zu texts", count);
    }
    return HONE_OK;
}

static hone_err prepare(bench_work *work, const bench_args *args) {
    HONE_TRY(hone_tokenizer_load(args->model, &work->tokenizer));
    HONE_TRY(hone_arena_create(file_bytes_max, &work->arena));
    HONE_TRY(load_texts(work, args->file));
    HONE_TRY(hone_pool_create(args->threads, &work->pool));
    size_t threads = hone_pool_threads(work->pool);
    work->scratch = hone_arena_alloc(work->arena, threads, sizeof(hone_arena *));
    work->seconds = hone_arena_alloc(work->arena, args->repeat, sizeof *work->seconds);
    if (!work->scratch || !work->seconds)
        return hone_err_new(HONE_E_NOMEM, "no memory for %zu passes", args->repeat);
    for (size_t i = 0; i < threads; i++)
        HONE_TRY(hone_arena_create(text_memory_max, &work->scratch[i]));
    return HONE_OK;
}

/* What a worker met, met again here: an error's words belong to the thread that made it. */
static hone_err check_pass(bench_work *work, size_t *total) {
    *total = 0;
    for (size_t i = 0; i < work->count; i++) {
        *total += work->tokens[i];
        if (work->tokens[i] != SIZE_MAX) continue;
        hone_tokens tokens;
        hone_err err = hone_tokenizer_encode(work->tokenizer, work->scratch[0], work->texts[i],
                                             (hone_str){0}, (hone_encode_options){0}, &tokens);
        return hone_failed(err) ? hone_err_wrap(err, "line %zu", i + 1)
                                : hone_err_new(HONE_E_NOMEM, "line %zu: no memory", i + 1);
    }
    return HONE_OK;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static hone_err measure(bench_work *work, const bench_args *args) {
    size_t tokens = 0;
    (void)run_pass(work);
    HONE_TRY(check_pass(work, &tokens));
    for (size_t i = 0; i < args->repeat; i++) work->seconds[i] = run_pass(work);
    qsort(work->seconds, args->repeat, sizeof *work->seconds, by_size);
    double median = work->seconds[args->repeat / 2], p90 = work->seconds[args->repeat * 9 / 10];
    printf("{\"bench\": \"tokenize\", \"threads\": %zu, \"repeat\": %zu, \"texts\": %zu, "
           "\"bytes\": %zu, \"tokens\": %zu, \"median_s\": %.6g, \"min_s\": %.6g, \"p90_s\": %.6g, "
           "\"mb_s\": %.4g, \"tokens_s\": %.6g}\n",
           hone_pool_threads(work->pool), args->repeat, work->count, work->bytes, tokens, median,
           work->seconds[0], p90, (double)work->bytes * 1e-6 / median, (double)tokens / median);
    return HONE_OK;
}

hone_err hone_bench_tokenize(int argc, char **argv) {
    static const hone_usage usage = {"bench tokenize",
                                     "--model DIR --file FILE [--threads N] [--repeat N]",
                                     "Tokenize the lines of FILE and print how long a pass takes."};
    bench_args args = {.repeat = 9};
    const hone_option options[] = {
        {"model", "DIR", "a folder with tokenizer.json or vocab.txt", HONE_OPT_STR, &args.model,
         true},
        {"file", "FILE", "a text a line; may be .gz", HONE_OPT_STR, &args.file, true},
        {"threads", "N", "default: as many as there are cores", HONE_OPT_SIZE, &args.threads,
         false},
        {"repeat", "N", "passes to measure; default 9", HONE_OPT_SIZE, &args.repeat, false},
        {0}};
    size_t words = 0;
    bool help = false;
    HONE_TRY(hone_options_parse(&usage, options, argc, argv, NULL, 0, &words, &help));
    if (help) return HONE_OK;
    if (args.repeat == 0) return hone_err_new(HONE_E_INVALID, "--repeat 0: expected at least 1");

    bench_work work = {0};
    hone_err err = prepare(&work, &args);
    if (!hone_failed(err)) err = measure(&work, &args);
    for (size_t i = 0; work.scratch && i < hone_pool_threads(work.pool); i++)
        hone_arena_destroy(work.scratch[i]);
    hone_pool_destroy(work.pool);
    hone_arena_destroy(work.arena);
    hone_tokenizer_destroy(work.tokenizer);
    return err;
}
