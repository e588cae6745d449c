/* bench.h: the benchmarks of `hone bench`, and how they count time. */
#ifndef HONE_CLI_BENCH_H
#define HONE_CLI_BENCH_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

HONE_NODISCARD hone_err hone_bench_infer(int argc, char **argv);
HONE_NODISCARD hone_err hone_bench_train(int argc, char **argv);
HONE_NODISCARD hone_err hone_bench_product(int argc, char **argv);
HONE_NODISCARD hone_err hone_bench_tokenize(int argc, char **argv);

/* The times of the passes of a benchmark. */
typedef struct hone_bench_times {
    int64_t *ns;
    size_t count, cap;
} hone_bench_times;

typedef struct hone_bench_summary {
    double median_s, min_s, p90_s;
} hone_bench_summary;

HONE_NODISCARD hone_err hone_bench_times_init(hone_bench_times *times, size_t cap);
void hone_bench_times_done(hone_bench_times *times);
void hone_bench_times_push(hone_bench_times *times, int64_t ns);      /* at most cap times */
hone_bench_summary hone_bench_times_summary(hone_bench_times *times); /* count >= 1 */

#endif
