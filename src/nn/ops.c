/* ops.c: which table of kernels runs here. */
#include "nn/ops.h"

#include "nn/cpu/table_impl.h"
#include "nn/isa.h"

#include <string.h>

/* The widest first. */
static const struct {
    hone_isa isa;
    const hone_ops *ops;
} TABLES[] = {
#if defined(__x86_64__)
    {HONE_ISA_AVX512, &hone_ops_avx512},
    {HONE_ISA_AVX2, &hone_ops_avx2},
#endif
    {HONE_ISA_GENERIC, &hone_ops_generic},
};
enum { TABLE_COUNT = sizeof TABLES / sizeof TABLES[0] };

const hone_ops *hone_ops_best(void) {
    size_t i = 0;
    while (!hone_isa_runs(TABLES[i].isa)) i++; /* ends at generic, which runs anywhere */
    return TABLES[i].ops;
}

const hone_ops *hone_ops_find(const char *name) {
    for (size_t i = 0; i < TABLE_COUNT; i++)
        if (hone_isa_runs(TABLES[i].isa) && strcmp(TABLES[i].ops->name, name) == 0)
            return TABLES[i].ops;
    return NULL;
}
