/* gradient.c: which kernels make a weight's gradient here. */
#include "nn/gradient.h"

#include "nn/cpu/gradient_impl.h"
#include "nn/isa.h"

#include <assert.h>
#include <string.h>

static const hone_isa_table TABLES[] = {
#if defined(__x86_64__)
    {HONE_ISA_AVX512_BF16, &hone_gradient_avx512_bf16},
    {HONE_ISA_AVX512, &hone_gradient_avx512},
    {HONE_ISA_AVX2, &hone_gradient_avx2},
#endif
    {HONE_ISA_GENERIC, &hone_gradient_generic},
};
enum { TABLE_COUNT = sizeof TABLES / sizeof TABLES[0] };

const hone_gradient_kernels *hone_gradient_find(const char *name) {
    return hone_isa_find(TABLES, TABLE_COUNT, name);
}

size_t hone_gradient_scratch_floats(void) {
    return HONE_GRADIENT_A_FLOATS + HONE_GRADIENT_B_FLOATS;
}

const char *hone_gradient_engine(void) {
    const hone_gradient_kernels *kernels = hone_isa_choose(TABLES);
    return kernels->name;
}

void hone_gradient_run(const hone_gradient_args *args) {
    assert(args->dtype != HONE_DTYPE_INT8);
    const hone_gradient_kernels *kernels = hone_isa_choose(TABLES);
    (args->dtype == HONE_DTYPE_BF16 ? kernels->bf16 : kernels->f32)(args);
}
