/* bench.c: `hone bench`: one table of measurements. */
#include "cli/bench.h"

#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

typedef struct bench {
    const char *name;
    hone_err (*run)(int argc, char **argv);
    const char *about;
} bench;

static const bench benches[] = {
    {"tokenize", hone_bench_tokenize, "texts to tokens"},
};
enum { BENCHES = sizeof benches / sizeof benches[0] };

hone_err hone_cmd_bench(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "--help";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        puts("usage: hone bench WHAT [--help] ...\n");
        for (size_t i = 0; i < BENCHES; i++)
            printf("  %-10s %s\n", benches[i].name, benches[i].about);
        return HONE_OK;
    }
    for (size_t i = 0; i < BENCHES; i++)
        if (strcmp(name, benches[i].name) == 0) return benches[i].run(argc - 1, argv + 1);
    return hone_err_new(HONE_E_INVALID, "unknown measurement '%s': see hone bench --help", name);
}
