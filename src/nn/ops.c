/* ops.c: which table of kernels runs here. */
#include "nn/ops.h"

#include "nn/cpu/table_impl.h"

#include <stdbool.h>
#include <string.h>

typedef struct variant {
    const hone_ops *ops;
    bool runs;
} variant;

/* The widest first. */
static size_t list(variant out[3]) {
    size_t count = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    out[count++] = (variant){&hone_ops_avx512, __builtin_cpu_supports("avx512f") &&
                                                   __builtin_cpu_supports("avx512dq") &&
                                                   __builtin_cpu_supports("avx512vl") &&
                                                   __builtin_cpu_supports("avx512bw")};
    out[count++] = (variant){&hone_ops_avx2,
                             __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")};
#endif
    out[count++] = (variant){&hone_ops_generic, true};
    return count;
}

const hone_ops *hone_ops_best(void) {
    variant variants[3];
    size_t count = list(variants);
    for (size_t i = 0; i + 1 < count; i++)
        if (variants[i].runs) return variants[i].ops;
    return &hone_ops_generic;
}

const hone_ops *hone_ops_find(const char *name) {
    variant variants[3];
    size_t count = list(variants);
    for (size_t i = 0; i < count; i++)
        if (variants[i].runs && strcmp(variants[i].ops->name, name) == 0) return variants[i].ops;
    return NULL;
}
