/* bench.c: `hone bench WHAT`, and the statistics of its passes. */
#include "cli/bench.h"

#include "cli/commands.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    hone_err (*run)(int argc, char **argv);
    const char *about;
} benches[] = {
    {"infer", hone_bench_infer, "predictions of token ids"},
    {"train", hone_bench_train, "optimiser steps over token ids"},
    {"product", hone_bench_product, "one matrix product of a layer"},
    {"tokenize", hone_bench_tokenize, "texts to tokens"},
};
enum { BENCHES = sizeof benches / sizeof benches[0] };

hone_err hone_cmd_bench(int argc, char **argv) {
    for (size_t i = 0; argc > 1 && i < BENCHES; i++)
        if (strcmp(argv[1], benches[i].name) == 0) return benches[i].run(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "--help") != 0)
        return hone_err_new(HONE_E_INVALID, "no benchmark '%s': see hone bench --help", argv[1]);
    puts("usage: hone bench WHAT [--help] ...\n");
    for (size_t i = 0; i < BENCHES; i++) printf("  %-10s %s\n", benches[i].name, benches[i].about);
    return HONE_OK;
}

hone_err hone_bench_times_init(hone_bench_times *times, size_t cap) {
    *times = (hone_bench_times){.ns = calloc(cap, sizeof(int64_t)), .cap = cap};
    return times->ns ? HONE_OK : hone_err_new(HONE_E_NOMEM, "no memory for %zu times", cap);
}

void hone_bench_times_done(hone_bench_times *times) {
    free(times->ns);
    *times = (hone_bench_times){0};
}

void hone_bench_times_push(hone_bench_times *times, int64_t ns) {
    assert(times->count < times->cap);
    times->ns[times->count++] = ns;
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

hone_bench_summary hone_bench_times_summary(hone_bench_times *times) {
    assert(times->count > 0);
    qsort(times->ns, times->count, sizeof *times->ns, ascending);
    size_t middle = times->count / 2, nine_tenths = times->count * 9 / 10;
    return (hone_bench_summary){
        .median_s = (double)times->ns[middle] * 1e-9,
        .min_s = (double)times->ns[0] * 1e-9,
        .p90_s = (double)times->ns[nine_tenths] * 1e-9,
    };
}
