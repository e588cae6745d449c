/* vec.h: a vector of floats as wide as the instruction set this file is compiled for.
 *
 * The vector types of gcc and clang give +, *, comparisons; what they lack is here: loads,
 * partial loads, exp, sums, random masks. Included by the kernels of cpu/ alone, each of
 * which is compiled once per instruction set with -DHONE_ISA=<name>.
 */
#ifndef HONE_NN_CPU_VEC_H
#define HONE_NN_CPU_VEC_H

#include "base/philox.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
enum { LANES = 16, MICRO_ROWS = 12 };
#elif defined(__AVX2__)
enum { LANES = 8, MICRO_ROWS = 6 };
#else
enum { LANES = 4, MICRO_ROWS = 6 };
#endif

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t veci __attribute__((vector_size(4 * LANES)));
typedef uint32_t vecu __attribute__((vector_size(4 * LANES)));
typedef float vec_unaligned __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* x - 0 is x, of -0 too: the compiler sees a broadcast, which it may not in 0 + x. */
ALWAYS_INLINE vec vec_all(float x) { return x - (vec){0}; }
ALWAYS_INLINE vec vec_load(const float *p) { return *(const vec_unaligned *)p; }
ALWAYS_INLINE void vec_store(float *p, vec v) { *(vec_unaligned *)p = v; }

/* The first count < LANES floats, the rest 0; and back. */
ALWAYS_INLINE vec vec_load_some(const float *p, size_t count) {
    vec v = {0};
    for (size_t i = 0; i < count; i++) v[i] = p[i];
    return v;
}
ALWAYS_INLINE void vec_store_some(float *p, vec v, size_t count) {
    for (size_t i = 0; i < count; i++) p[i] = v[i];
}

/* yes where mask is set, else no. */
ALWAYS_INLINE vec vec_select(veci mask, vec yes, vec no) {
    return (vec)(((veci)yes & mask) | ((veci)no & ~mask));
}
/* a > b ? a : b, and the other: of two that cannot be compared, b. */
#if defined(__AVX512F__)
ALWAYS_INLINE vec vec_max(vec a, vec b) { return (vec)_mm512_max_ps((__m512)a, (__m512)b); }
ALWAYS_INLINE vec vec_min(vec a, vec b) { return (vec)_mm512_min_ps((__m512)a, (__m512)b); }
#elif defined(__AVX2__)
ALWAYS_INLINE vec vec_max(vec a, vec b) { return (vec)_mm256_max_ps((__m256)a, (__m256)b); }
ALWAYS_INLINE vec vec_min(vec a, vec b) { return (vec)_mm256_min_ps((__m256)a, (__m256)b); }
#else
ALWAYS_INLINE vec vec_max(vec a, vec b) { return vec_select(a > b, a, b); }
ALWAYS_INLINE vec vec_min(vec a, vec b) { return vec_select(a < b, a, b); }
#endif

/* Each lane rounded to its upper 16 bits, to nearest even, the lower ones 0; what is not a
 * number stays so. */
ALWAYS_INLINE veci vec_to_bf16(vec x) {
    veci bits = (veci)x;
    veci up = (bits + 0x7FFF + (bits >> 16 & 1)) & (int32_t)0xFFFF0000;
    veci is_none = x != x;
    return (up & ~is_none) | (((bits & (int32_t)0xFFFF0000) | 0x400000) & is_none);
}

/* Halves are added to halves: always the same order, whatever the compiler. */
ALWAYS_INLINE float vec_sum(vec v) {
    for (int n = LANES / 2; n > 0; n /= 2)
        for (int i = 0; i < n; i++) v[i] += v[i + n];
    return v[0];
}
ALWAYS_INLINE float vec_largest(vec v) {
    float m = v[0];
    for (int i = 1; i < LANES; i++) m = v[i] > m ? v[i] : m;
    return m;
}

/* Rows become columns, of a block of LANES vectors. */
#if defined(__AVX2__) && !defined(__AVX512F__)
ALWAYS_INLINE void vec_transpose(vec *v) {
    vec pairs[LANES], fours[LANES];
    for (int i = 0; i < LANES; i += 2) {
        pairs[i] = (vec)_mm256_unpacklo_ps((__m256)v[i], (__m256)v[i + 1]);
        pairs[i + 1] = (vec)_mm256_unpackhi_ps((__m256)v[i], (__m256)v[i + 1]);
    }
    for (int i = 0; i < LANES; i += 4)
        for (int j = 0; j < 2; j++) {
            __m256d low = (__m256d)pairs[i + j], high = (__m256d)pairs[i + j + 2];
            fours[i + 2 * j] = (vec)_mm256_unpacklo_pd(low, high);
            fours[i + 2 * j + 1] = (vec)_mm256_unpackhi_pd(low, high);
        }
    for (int i = 0; i < LANES / 2; i++) {
        __m256 low = (__m256)fours[i], high = (__m256)fours[i + LANES / 2];
        v[i] = (vec)_mm256_permute2f128_ps(low, high, 0x20);
        v[i + LANES / 2] = (vec)_mm256_permute2f128_ps(low, high, 0x31);
    }
}
#else
ALWAYS_INLINE void vec_transpose(vec *v) {
    float turned[LANES][LANES];
    for (size_t i = 0; i < LANES; i++)
        for (size_t j = 0; j < LANES; j++) turned[j][i] = v[i][j];
    memcpy(v, turned, sizeof turned);
}
#endif

/* e^x, relative error below 2e-7; x is clamped to [-87, 88], where the result is normal.
 *
 *     n = round(x / ln 2), r = x - n ln 2 in two parts, e^x = 2^n e^r,
 *     e^r = 1 + r + r^2/2 + ... + r^7/7!   on |r| <= 0.35 */
ALWAYS_INLINE vec vec_exp(vec x) {
    const float round_to_integer = 12582912.0F; /* 1.5 * 2^23: adding it drops the fraction */
    x = vec_min(vec_all(88.0F), x);             /* what is not a number stays so */
    x = vec_max(vec_all(-87.0F), x);
    vec n = (x * 1.44269504F + round_to_integer) - round_to_integer;
    vec r = x - n * 0.693359375F;
    r = r + n * 2.12194440e-4F; /* 0.693359375 - ln 2 */
    vec e = r * (1.0F / 5040.0F) + (1.0F / 720.0F);
    e = e * r + (1.0F / 120.0F);
    e = e * r + (1.0F / 24.0F);
    e = e * r + (1.0F / 6.0F);
    e = e * r + 0.5F;
    e = e * r + 1.0F;
    e = e * r + 1.0F;
    veci power = (__builtin_convertvector(n, veci) + 127) << 23;
    return e * (vec)power;
}

/* Random masks come in groups of 128 elements from 16 Philox counters: element e of a group
 * takes 16 bits of word (e / 16) % 4 of counter e % 16, the low half first. The same for
 * every instruction set.
 *
 *     counter:  [ high << 16 | group * 16 + 0..15 | row | site | step << 4 | stream ] */
enum { MASK_GROUP = 128, MASK_COUNTERS = 16 };

#if defined(__AVX2__)
/* Eight lanes of a * b as 64 bits: the upper and the lower words. */
ALWAYS_INLINE __m256i mul_hi_lo(__m256i a, uint32_t b, __m256i *lo) {
    __m256i m = _mm256_set1_epi32((int)b);
    __m256i even = _mm256_mul_epu32(a, m);
    __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), m);
    *lo = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
    return _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
}

/* hone_philox_at of eight counters c0 + [0, 8). */
ALWAYS_INLINE void philox_eight(const uint64_t seed, const uint32_t c[4], uint32_t *words) {
    __m256i c0 = _mm256_add_epi32(_mm256_set1_epi32((int)c[0]),
                                  _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    __m256i c1 = _mm256_set1_epi32((int)c[1]), c2 = _mm256_set1_epi32((int)c[2]);
    __m256i c3 = _mm256_set1_epi32((int)c[3]);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        __m256i lo0, lo1;
        __m256i hi0 = mul_hi_lo(c0, 0xD2511F53U, &lo0);
        __m256i hi1 = mul_hi_lo(c2, 0xCD9E8D57U, &lo1);
        c0 = _mm256_xor_si256(_mm256_xor_si256(hi1, c1), _mm256_set1_epi32((int)k0));
        c2 = _mm256_xor_si256(_mm256_xor_si256(hi0, c3), _mm256_set1_epi32((int)k1));
        c1 = lo1;
        c3 = lo0;
        k0 += 0x9E3779B9U;
        k1 += 0xBB67AE85U;
    }
    const __m256i out[4] = {c0, c1, c2, c3};
    for (size_t w = 0; w < 4; w++)
        _mm256_storeu_si256((__m256i *)(void *)(words + w * MASK_COUNTERS), out[w]);
}
#else
ALWAYS_INLINE void philox_eight(const uint64_t seed, const uint32_t c[4], uint32_t *words) {
    for (uint32_t i = 0; i < 8; i++) {
        hone_philox r = hone_philox_at(seed, c[0] + i, c[1], c[2], c[3]);
        for (size_t w = 0; w < 4; w++) words[w * MASK_COUNTERS + i] = r.word[w];
    }
}
#endif

/* mask[count] = 0 or 1 / (1 - p) for the elements of one row; mask has room for whole groups.
 * high < 65536 tells apart rows that share a number: heads, or chunks of a wide row. */
ALWAYS_INLINE void vec_mask(float *mask, size_t count, float p, uint64_t seed, uint32_t step,
                            uint32_t site, uint32_t row, uint32_t high) {
    const int32_t threshold = (int32_t)(p * 65536.0F + 0.5F);
    const vec keep = vec_all(1.0F / (1.0F - p));
    const uint32_t stream = HONE_STREAM_DROPOUT;
    for (size_t at = 0, group = 0; at < count; at += MASK_GROUP, group++) {
        uint32_t words[4 * MASK_COUNTERS];
        uint32_t first = (uint32_t)group * MASK_COUNTERS | high << 16;
        /* the stream ends the last word, as in any counter; a step has the 28 bits above it */
        philox_eight(seed, (uint32_t[4]){first, row, site, step << 4 | stream}, words);
        philox_eight(seed, (uint32_t[4]){first + 8, row, site, step << 4 | stream}, words + 8);
        for (size_t e = 0; e < MASK_GROUP; e += LANES) {
            veci bits;
            memcpy(&bits, words + e / 16 % 4 * MASK_COUNTERS + e % 16, sizeof bits);
            bits = e < MASK_GROUP / 2 ? bits & 0xFFFF : (bits >> 16) & 0xFFFF;
            vec_store(mask + at + e, (vec)((veci)keep & (bits >= threshold)));
        }
    }
}

ALWAYS_INLINE size_t mask_floats(size_t count) {
    return (count + MASK_GROUP - 1) / MASK_GROUP * MASK_GROUP;
}

#endif
