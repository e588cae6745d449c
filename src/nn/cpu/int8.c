/* int8.c: whole-number products; int8_impl.h has the layout and the formula.
 *
 * A block of rows and columns stays in registers over the whole depth. Four neighbours along k
 * lie in a 32-bit lane: those of a row are broadcast, those of a column come from the panel.
 *
 *     VNNI            acc += u0 q0 + u1 q1 + u2 q2 + u3 q3, one instruction
 *     AVX2, AVX512BW  vpmaddwd adds two products of 16 bits in 32. Rows lie there as 16 bits, a
 *                     column's 4 bytes become (q0, q2) and (q1, q3) by shifts. vpmaddubsw would
 *                     multiply twice as many, but adds pairs in 16 bits and would leave rows or
 *                     weights 7 of their 8 bits: too few (bench/SPEED.md).
 *     elsewhere       a plain loop */
#include "nn/cpu/int8_impl.h"

#include "nn/cpu/table_impl.h"
#include "nn/cpu/vec.h"

#define HONE_INT8_TABLE HONE_PASTE(hone_int8, HONE_ISA)

/* Vectors of a panel; rows and panels of a block: as many sums as there are registers, less
 * those for the operands; 32-bit lanes that 4 neighbours take; bytes of a number of a row. */
enum { PANEL_VECTORS = HONE_INT8_PANEL / LANES };
#if defined(__AVX512VNNI__)
enum { ROWS = 8, PANELS = 3, PARTS = 1 };
#elif defined(__AVX512BW__)
enum { ROWS = 8, PANELS = 2, PARTS = 2 };
#elif defined(__AVX2__)
enum { ROWS = 4, PANELS = 1, PARTS = 2 };
#else
enum { ROWS = 2, PANELS = 1, PARTS = 1 };
#endif
enum { SUMS_MAX = PANELS * PANEL_VECTORS, ELEMENT = PARTS };

ALWAYS_INLINE veci load_bytes(const void *p) {
    veci v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* A 32-bit part of a row, in every lane. */
ALWAYS_INLINE veci part_of_row(const char *u) {
    int32_t part;
    memcpy(&part, u, sizeof part);
    return (veci){0} + part;
}

/* Four neighbours of LANES columns, in as many parts as those of a row. */
ALWAYS_INLINE void part_columns(veci bytes, veci *q) {
#if defined(__AVX512BW__) && !defined(__AVX512VNNI__)
    q[0] = (veci)_mm512_srai_epi16(_mm512_slli_epi16((__m512i)bytes, 8), 8);
    q[1] = (veci)_mm512_srai_epi16((__m512i)bytes, 8);
#elif defined(__AVX2__) && !defined(__AVX512VNNI__)
    q[0] = (veci)_mm256_srai_epi16(_mm256_slli_epi16((__m256i)bytes, 8), 8);
    q[1] = (veci)_mm256_srai_epi16((__m256i)bytes, 8);
#else
    q[0] = bytes;
#endif
}

/* sum + the products of a part of a row with the same part of LANES columns. */
ALWAYS_INLINE veci dot(veci sum, veci u, veci q) {
#if defined(__AVX512VNNI__)
    return (veci)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)u, (__m512i)q);
#elif defined(__AVX512BW__)
    return sum + (veci)_mm512_madd_epi16((__m512i)u, (__m512i)q);
#elif defined(__AVX2__)
    return sum + (veci)_mm256_madd_epi16((__m256i)u, (__m256i)q);
#else
    uint8_t a[4];
    int8_t b[4 * LANES];
    memcpy(a, &u, sizeof a);
    memcpy(b, &q, sizeof b);
    for (size_t j = 0; j < LANES; j++)
        sum[j] += a[0] * b[4 * j] + a[1] * b[4 * j + 1] + a[2] * b[4 * j + 2] + a[3] * b[4 * j + 3];
    return sum;
#endif
}

/* out = scale (step sum + low total) (+ bias) (+ out) for LANES columns, or fewer at the end. */
ALWAYS_INLINE void finish(const hone_int8_args *a, size_t row, size_t column, veci sum, vec scale,
                          vec total) {
    float *out = a->out + row * a->n + column;
    size_t count = a->n - column;
    vec y = (__builtin_convertvector(sum, vec) * a->x->step[row] + total * a->x->low[row]) * scale;
    if (count >= LANES) {
        if (a->bias) y += vec_load(a->bias + column);
        if (a->accumulate) y += vec_load(out);
        vec_store(out, y);
        return;
    }
    if (a->bias) y += vec_load_some(a->bias + column, count);
    if (a->accumulate) y += vec_load_some(out, count);
    vec_store_some(out, y, count);
}

/* The sums of a block are done: bring them to floats. */
ALWAYS_INLINE void finish_vector(const int rows, const hone_int8_args *a, size_t row, size_t column,
                                 const float *floats, const veci *sums) {
    vec scale = vec_load(floats), total = vec_load(floats + HONE_INT8_PANEL);
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
        finish(a, row + (size_t)i, column, sums[i * SUMS_MAX], scale, total);
}

ALWAYS_INLINE void block(const int rows, const int panels, const hone_int8_args *a, size_t row,
                         size_t panel) {
    const size_t depth = a->x->k_padded, panel_bytes = hone_int8_panel_bytes(depth);
    const char *u = a->x->u + row * depth * ELEMENT;
    const char *packed = a->packed + panel * panel_bytes;
    const int vectors = panels * PANEL_VECTORS;
    veci sums[ROWS * SUMS_MAX] = {0};
    for (size_t k = 0; k < depth; k += 4) {
        veci q[SUMS_MAX][PARTS];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            part_columns(load_bytes(packed + (size_t)(v / PANEL_VECTORS) * panel_bytes +
                                    k * HONE_INT8_PANEL +
                                    (size_t)(v % PANEL_VECTORS) * sizeof(veci)),
                         q[v]);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
            for (int part = 0; part < PARTS; part++) {
                veci x = part_of_row(u + ((size_t)i * depth + k) * ELEMENT + 4 * (size_t)part);
#pragma GCC unroll 4
                for (int v = 0; v < vectors; v++)
                    sums[i * SUMS_MAX + v] = dot(sums[i * SUMS_MAX + v], x, q[v][part]);
            }
    }
#pragma GCC unroll 4
    for (int v = 0; v < vectors; v++) {
        size_t at = (size_t)(v % PANEL_VECTORS) * LANES, index = (size_t)(v / PANEL_VECTORS);
        size_t column = (panel + index) * HONE_INT8_PANEL + at;
        const char *floats = packed + index * panel_bytes + depth * HONE_INT8_PANEL;
        if (column < a->n)
            finish_vector(rows, a, row, column, (const float *)(const void *)floats + at, sums + v);
    }
}

/* All rows of some panels: these stay in the nearest cache. */
ALWAYS_INLINE void column(const int panels, const hone_int8_args *a, size_t panel) {
    size_t row = 0;
    for (; row + ROWS <= a->x->rows; row += ROWS) block(ROWS, panels, a, row, panel);
    for (; row < a->x->rows; row++) block(1, panels, a, row, panel);
}

static void multiply(const hone_int8_args *a) {
    size_t panels = (a->n + HONE_INT8_PANEL - 1) / HONE_INT8_PANEL, panel = 0;
    for (; panel + PANELS <= panels; panel += PANELS) column(PANELS, a, panel);
    for (; panel < panels; panel++) column(1, a, panel);
}

/* The least and the largest of a row; not a number where one is none, or has no end. */
ALWAYS_INLINE void range_of(const float *x, size_t count, float *low, float *high) {
    vec least = vec_all(x[0]), most = least;
    vec bad = {0};
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        vec v = vec_load(x + i);
        least = vec_min(least, v);
        most = vec_max(most, v);
        bad += v * 0.0F; /* stays 0 as long as all are finite */
    }
    float l = -vec_largest(-least), h = vec_largest(most), b = vec_sum(bad);
    for (; i < count; i++) {
        l = x[i] < l ? x[i] : l;
        h = x[i] > h ? x[i] : h;
        b += x[i] * 0.0F;
    }
    *low = l + b;
    *high = h + b;
}

/* Where number k of a row goes: in 16 bits, as the parts of columns have it. */
ALWAYS_INLINE void put(char *u, size_t k, uint32_t value) {
    if (ELEMENT == 1) {
        u[k] = (char)value;
        return;
    }
    const uint16_t word = (uint16_t)(value & 0xFFU);
    static const size_t places[4] = {0, 2, 1, 3};
    memcpy(u + (k / 4 * 4 + places[k % 4]) * 2, &word, sizeof word);
}

ALWAYS_INLINE void put_vector(char *u, size_t k, veci value) {
#if defined(__AVX2__) && !defined(__AVX512VNNI__)
    typedef int32_t half __attribute__((vector_size(2 * LANES)));
    value &= 0xFF;
#if defined(__AVX512F__)
    half even = __builtin_shufflevector(value, value, 0, 1, 4, 5, 8, 9, 12, 13);
    half odd = __builtin_shufflevector(value, value, 2, 3, 6, 7, 10, 11, 14, 15);
#else
    half even = __builtin_shufflevector(value, value, 0, 1, 4, 5);
    half odd = __builtin_shufflevector(value, value, 2, 3, 6, 7);
#endif
    half both = even | odd << 16;
    memcpy(u + 2 * k, &both, sizeof both);
#else
    typedef uint8_t bytes __attribute__((vector_size(LANES)));
    bytes b = __builtin_convertvector(value & 0xFF, bytes);
    memcpy(u + k, &b, sizeof b);
#endif
}

/* u = round((x - low) / step); a float of 2^23 and more has no fraction, so adding 1.5 * 2^23
 * rounds, and the low bits are the number. */
ALWAYS_INLINE void quantise_row(char *u, const float *x, size_t count, float low, float inverse) {
    const float round_to_integer = 12582912.0F;
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        put_vector(u, i, (veci)((vec_load(x + i) - low) * inverse + round_to_integer));
    for (; i < count; i++) {
        float y = (x[i] - low) * inverse + round_to_integer;
        uint32_t bits;
        memcpy(&bits, &y, sizeof bits);
        put(u, i, bits);
    }
}

static void quantise(const hone_int8_rows *to, const float *from) {
    /* Below this a row is one number: 255 / range would not be finite. */
    const float range_min = 1e-30F;
    for (size_t row = 0; row < to->rows; row++) {
        const float *x = from + row * to->k;
        char *u = to->u + row * to->k_padded * ELEMENT;
        float low, high;
        range_of(x, to->k, &low, &high);
        float range = high - low;
        if (to->k < to->k_padded) memset(u, 0, to->k_padded * ELEMENT);
        to->low[row] = low;
        to->step[row] = range * (1.0F / HONE_INT8_ROW_MAX);
        if (range >= range_min && range <= 3e38F)
            quantise_row(u, x, to->k, low, HONE_INT8_ROW_MAX / range);
        else
            memset(u, 0, to->k_padded * ELEMENT);
        if (range < range_min) to->step[row] = 0.0F;
        if (!(range <= 3e38F)) to->step[row] = to->low[row] = NAN;
    }
}

const hone_int8_kernels HONE_INT8_TABLE = {HONE_ISA_NAME, ELEMENT, quantise, multiply};
