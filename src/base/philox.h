/* philox.h: random numbers that are a function of where they are used.
 *
 * Philox4x32-10 (Salmon et al. 2011): a key and a 128-bit counter give four 32-bit words,
 * with no state in between. Dropout keyed by (seed, step, layer, index) is therefore the
 * same for any number of threads, in any order, and again after a resume.
 */
#ifndef HONE_BASE_PHILOX_H
#define HONE_BASE_PHILOX_H

#include <stdint.h>

typedef struct hone_philox {
    uint32_t word[4];
} hone_philox;

/* The four words at counter {c0, c1, c2, c3} under the key seed. */
static inline hone_philox hone_philox_at(uint64_t seed, uint32_t c0, uint32_t c1, uint32_t c2,
                                         uint32_t c3) {
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)c0 * 0xD2511F53u;
        uint64_t p1 = (uint64_t)c2 * 0xCD9E8D57u;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return (hone_philox){{c0, c1, c2, c3}};
}

/* What a stream of random numbers is for: the last word of its counter, so that no two
 * uses ever share numbers. */
typedef enum hone_stream {
    HONE_STREAM_SHUFFLE = 1,
    HONE_STREAM_HEAD_INIT = 2,
    HONE_STREAM_DROPOUT = 3,
    HONE_STREAM_SAMPLE = 4,
    HONE_STREAM_ADAPTER_INIT = 5,
} hone_stream;

/* A float in (0, 1), never 0 and never 1: safe under a logarithm. From 23 bits, because the
 * half that keeps 0 away takes the 24th of a float. */
static inline float hone_philox_unit(uint32_t word) {
    return ((float)(word >> 9) + 0.5f) * (1.0f / 8388608.0f);
}

#endif
