/* isa.h: the instruction sets that kernels are compiled for, and which of them may run.
 *
 * One binary holds the kernels of all of them; what runs is chosen here, at run time: what the
 * processor has, no wider than the environment's HONE_ISA says. So the tests of a narrow set,
 * and a machine that must give the bytes of an older one, need no build of their own.
 */
#ifndef HONE_NN_ISA_H
#define HONE_NN_ISA_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* Each has what those before it have. */
typedef enum hone_isa {
    HONE_ISA_GENERIC, /* of the architecture: SSE2 on x86-64, NEON on aarch64 */
    HONE_ISA_AVX2,    /* with FMA */
    HONE_ISA_AVX512,  /* F, DQ, VL and BW */
    HONE_ISA_AVX512_VNNI,
    HONE_ISA_AVX512_BF16,
} hone_isa;
enum { HONE_ISA_COUNT = HONE_ISA_AVX512_BF16 + 1 };

/* "generic", "avx2", "avx512", "avx512_vnni", "avx512_bf16". */
const char *hone_isa_name(hone_isa isa);

/* The processor and the operating system have it, and HONE_ISA, when set, allows it. */
bool hone_isa_runs(hone_isa isa);

/* The widest that runs. */
hone_isa hone_isa_best(void);

/* What is compiled once per instruction set, in tables: the widest first, generic the last. */
typedef struct hone_isa_table {
    hone_isa isa;
    const void *kernels;
} hone_isa_table;

/* The kernels of the first that runs; or of the one of that name, NULL when it does not run or is
 * not there. */
const void *hone_isa_choose(const hone_isa_table *tables);
const void *hone_isa_find(const hone_isa_table *tables, size_t count, const char *name);

/* HONE_ISA is set. */
bool hone_isa_is_limited(void);

/* HONE_ISA is unset, or an instruction set of this machine: else INVALID. The others take a
 * value that is neither for "generic"; a program asks this once, before anything computes. */
HONE_NODISCARD hone_err hone_isa_check(void);

#endif
