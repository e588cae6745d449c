/* strassen_impl.h: the sums around the seven products of product_strassen.c, one set of kernels
 * per instruction set, compiled from strassen.c. Every size is a multiple of
 * HONE_STRASSEN_UNIT. */
#ifndef HONE_NN_CPU_STRASSEN_IMPL_H
#define HONE_NN_CPU_STRASSEN_IMPL_H

#include <stdbool.h>
#include <stddef.h>

enum {
    HONE_STRASSEN_PARTS = 7,
    HONE_STRASSEN_UNIT = 16, /* floats: the widest vector */
};

/* out[rows, n] of parts [7][rows / 2, n / 2] */
typedef struct hone_strassen_join {
    size_t rows, n;
    const float *parts;
    const float *bias; /* [n]; NULL = none */
    bool accumulate;
    float *out;
} hone_strassen_join;

typedef struct hone_strassen_kernels {
    const char *name;
    /* in[rows, k] to [7][rows / 2, k / 2]; rows from `real` on count as 0 */
    void (*split)(size_t rows, size_t real, size_t k, const float *in, float *to);
    void (*join)(const hone_strassen_join *args);
    /* parts[7]: of `count` floats each; there are B11, B21, B22 and, last, B12 */
    void (*weigh)(size_t count, float *const *parts);
} hone_strassen_kernels;

extern const hone_strassen_kernels hone_strassen_generic;
extern const hone_strassen_kernels hone_strassen_avx2;
extern const hone_strassen_kernels hone_strassen_avx512;

/* The widest that runs; with a name, the one of that name, or NULL. */
const hone_strassen_kernels *hone_strassen_best(void);
const hone_strassen_kernels *hone_strassen_find(const char *name);

#endif
