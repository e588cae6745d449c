/* numbers.h: what the tests of the arithmetic share: random floats, blocks that end where
 * memory ends, and sums that are compared with their sums in double. */
#ifndef HONE_TESTS_NN_NUMBERS_H
#define HONE_TESTS_NN_NUMBERS_H

#include "check.h"

#include "base/philox.h"

#include <math.h>
#include <stdbool.h>

enum { STREAM_NUMBERS = 77 }; /* no stream of the program */

/* Half a unit in the last place of a float, relative. */
static const double UNIT = 0x1p-24;

/* x[count] uniform in (-1, 1), another run of numbers for every seed. */
static inline void fill_random(float *x, size_t count, uint64_t seed) {
    for (size_t i = 0; i < count; i++) {
        uint32_t word = hone_philox_at(seed, (uint32_t)i, 0, 0, STREAM_NUMBERS).word[0];
        x[i] = 2.0f * hone_philox_unit(word) - 1.0f;
    }
}

/* count floats and not one more: the address sanitizer sees who reads past them. They hold
 * NaN, so that a result that depends on what nobody wrote is one, too. */
static inline float *new_floats(size_t count) {
    void *block = NULL;
    if (posix_memalign(&block, 64, count ? count * sizeof(float) : 1) != 0)
        fail_msg("no memory for %zu floats", count);
    float *x = block;
    for (size_t i = 0; i < count; i++) x[i] = NAN;
    return x;
}

static inline float *new_random(size_t count, uint64_t seed) {
    float *x = new_floats(count);
    fill_random(x, count, seed);
    return x;
}

/* How far a sum of count products of floats, in whatever order, may be from its true value;
 * magnitude is the sum of the absolute products. Roundings are as good as independent, so
 * what they add up to grows with the root of their number (Higham & Mary 2019); twice that
 * leaves room for short sums and for a rounding or two outside of the sum. */
static inline double sum_error(size_t count, double magnitude) {
    return 2.0 * UNIT * (1.0 + sqrt((double)count)) * magnitude;
}

/* A group setup that says which of NAMES run here; find gives NULL for those that do not. */
#define DEFINE_SAY_TABLES(find)                                     \
    static int say_tables(void **state) {                           \
        (void)state;                                                \
        printf("# tables:");                                        \
        for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) \
            if (find(NAMES[i])) printf(" %s", NAMES[i]);            \
        printf("\n");                                               \
        return 0;                                                   \
    }

/* The same bits: -0 is not 0, and a NaN is itself. */
static inline bool same_bits(const float *a, const float *b, size_t count) {
    return memcmp(a, b, count * sizeof *a) == 0;
}

#endif
