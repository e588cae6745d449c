/* bench.h: the measurements of `hone bench`; each prints one line of JSON. argv[0] is the
 * name of the measurement. */
#ifndef HONE_CLI_BENCH_H
#define HONE_CLI_BENCH_H

#include "base/err.h"

HONE_NODISCARD hone_err hone_bench_tokenize(int argc, char **argv);

#endif
