/* isa.c: see isa.h. */
#include "nn/isa.h"

#include "base/env.h"

#include <stddef.h>
#include <string.h>

static const char *const NAMES[HONE_ISA_COUNT] = {
    [HONE_ISA_GENERIC] = "generic",         [HONE_ISA_AVX2] = "avx2",
    [HONE_ISA_AVX512] = "avx512",           [HONE_ISA_AVX512_VNNI] = "avx512_vnni",
    [HONE_ISA_AVX512_BF16] = "avx512_bf16",
};

const char *hone_isa_name(hone_isa isa) { return NAMES[isa]; }

/* The compiler's run-time library asks the operating system, too, whether it saves the wide
 * registers. */
static bool machine_has(hone_isa isa) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    switch (isa) {
    case HONE_ISA_GENERIC:
        return true;
    case HONE_ISA_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case HONE_ISA_AVX512:
        return machine_has(HONE_ISA_AVX2) && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512bw");
    case HONE_ISA_AVX512_VNNI:
        return machine_has(HONE_ISA_AVX512) && __builtin_cpu_supports("avx512vnni");
    case HONE_ISA_AVX512_BF16:
        return machine_has(HONE_ISA_AVX512_VNNI) && __builtin_cpu_supports("avx512bf16");
    }
    return false;
#else
    return isa == HONE_ISA_GENERIC;
#endif
}

/* What HONE_ISA names; COUNT when it names nothing. */
static int named(const char *name) {
    int isa = 0;
    while (isa < HONE_ISA_COUNT && strcmp(NAMES[isa], name) != 0) isa++;
    return isa;
}

bool hone_isa_runs(hone_isa isa) {
    const char *name = hone_env("HONE_ISA");
    if (!name) return machine_has(isa);
    int limit = named(name);
    if (limit == HONE_ISA_COUNT) limit = HONE_ISA_GENERIC;
    return (int)isa <= limit && machine_has(isa);
}

hone_isa hone_isa_best(void) {
    int isa = HONE_ISA_COUNT - 1;
    while (isa > 0 && !hone_isa_runs((hone_isa)isa)) isa--;
    return (hone_isa)isa;
}

const void *hone_isa_choose(const hone_isa_table *tables) {
    while (!hone_isa_runs(tables->isa)) tables++; /* ends at generic, which runs anywhere */
    return tables->kernels;
}

const void *hone_isa_find(const hone_isa_table *tables, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (hone_isa_runs(tables[i].isa) && strcmp(NAMES[tables[i].isa], name) == 0)
            return tables[i].kernels;
    return NULL;
}

bool hone_isa_is_limited(void) { return hone_env("HONE_ISA") != NULL; }

hone_err hone_isa_check(void) {
    const char *name = hone_env("HONE_ISA");
    if (!name) return HONE_OK;
    int isa = named(name);
    if (isa == HONE_ISA_COUNT)
        return hone_err_new(HONE_E_INVALID,
                            "HONE_ISA is '%s', expected generic, avx2, avx512, avx512_vnni or "
                            "avx512_bf16",
                            name);
    if (!machine_has((hone_isa)isa))
        return hone_err_new(HONE_E_INVALID, "HONE_ISA is '%s', which this processor lacks", name);
    return HONE_OK;
}
