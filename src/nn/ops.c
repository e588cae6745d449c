/* ops.c: which table of kernels runs here. */
#include "nn/ops.h"

#include "nn/cpu/table_impl.h"
#include "nn/isa.h"

#include <string.h>

static const hone_isa_table TABLES[] = {
#if defined(__x86_64__)
    {HONE_ISA_AVX512, &hone_ops_avx512},
    {HONE_ISA_AVX2, &hone_ops_avx2},
#endif
    {HONE_ISA_GENERIC, &hone_ops_generic},
};
enum { TABLE_COUNT = sizeof TABLES / sizeof TABLES[0] };

const hone_ops *hone_ops_best(void) { return hone_isa_choose(TABLES); }

const hone_ops *hone_ops_find(const char *name) { return hone_isa_find(TABLES, TABLE_COUNT, name); }
