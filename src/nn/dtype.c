/* dtype.c: see dtype.h. */
#include "nn/dtype.h"

#include "nn/isa.h"

#include <stddef.h>
#include <string.h>

typedef struct named {
    const char *name;
    hone_dtype dtype;
} named;

static const named names[] = {{"f32", HONE_DTYPE_F32},
                              {"bf16", HONE_DTYPE_BF16},
                              {"int8", HONE_DTYPE_INT8},
                              {"fp32", HONE_DTYPE_F32}};

static hone_dtype best(void) {
    return hone_isa_runs(HONE_ISA_AVX512_BF16) ? HONE_DTYPE_BF16 : HONE_DTYPE_F32;
}

hone_err hone_dtype_parse(const char *text, hone_dtype *out) {
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i].name, text) == 0) {
            *out = names[i].dtype;
            return HONE_OK;
        }
    if (strcmp(text, "auto") == 0) {
        *out = best();
        return HONE_OK;
    }
    return hone_err_new(HONE_E_INVALID, "dtype '%s': expected f32, bf16, int8 or auto", text);
}

const char *hone_dtype_name(hone_dtype dtype) { return names[dtype].name; }
