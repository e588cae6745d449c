/* int8.c: whole-number products; int8_impl.h has the layout and the formula.
 *
 * A block of rows and columns stays in registers over the whole depth. Four neighbours along k
 * lie in a 32-bit lane: those of a row are broadcast, those of a column come from the panel.
 *
 *     VNNI            acc += u0 q0 + u1 q1 + u2 q2 + u3 q3, one instruction
 *     AVX2, AVX512BW  vpmaddubsw multiplies as much at once and adds pairs in 16 bits. Two of
 *                     those sums are added before vpmaddwd brings them to 32: three
 *                     multiplications for 64 products. HONE_INT8_GROUP_MAX is what keeps all of
 *                     it within 16 bits, whatever the rows are.
 *     elsewhere       a plain loop */
#include "nn/cpu/int8_impl.h"

#include "nn/cpu/table_impl.h"
#include "nn/cpu/vec.h"

#define HONE_INT8_TABLE HONE_PASTE(hone_int8, HONE_ISA)

/* Vectors of a panel; rows and panels of a block: as many sums as there are registers, less
 * those for the operands; groups of 4 neighbours that a step takes; lines of the cache that it
 * asks for ahead. */
enum { PANEL_VECTORS = HONE_INT8_PANEL / LANES, LINE = 64 };
#if defined(__AVX512VNNI__)
enum { ROWS = 8, PANELS = 3, GROUPS = 1, FETCHES = 3 };
#elif defined(__AVX512BW__)
enum { ROWS = 8, PANELS = 2, GROUPS = 2, FETCHES = 4 };
#elif defined(__AVX2__)
enum { ROWS = 3, PANELS = 1, GROUPS = 2, FETCHES = 1 };
#else
enum { ROWS = 2, PANELS = 1, GROUPS = 1, FETCHES = 1 };
#endif
enum { SUMS_MAX = PANELS * PANEL_VECTORS };

ALWAYS_INLINE veci load_bytes(const void *p) {
    veci v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Four neighbours of a row, in every lane. */
ALWAYS_INLINE veci group_of_row(const char *u) {
    int32_t group;
    memcpy(&group, u, sizeof group);
    return (veci){0} + group;
}

/* sum + the products of a row's groups with those of LANES columns. */
ALWAYS_INLINE veci dot(veci sum, const veci *u, const veci *q) {
#if defined(__AVX512VNNI__)
    return (veci)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)u[0], (__m512i)q[0]);
#elif defined(__AVX512BW__)
    __m512i first = _mm512_maddubs_epi16((__m512i)u[0], (__m512i)q[0]);
    __m512i then = _mm512_maddubs_epi16((__m512i)u[1], (__m512i)q[1]);
    return sum + (veci)_mm512_madd_epi16(_mm512_add_epi16(first, then), _mm512_set1_epi16(1));
#elif defined(__AVX2__)
    __m256i first = _mm256_maddubs_epi16((__m256i)u[0], (__m256i)q[0]);
    __m256i then = _mm256_maddubs_epi16((__m256i)u[1], (__m256i)q[1]);
    return sum + (veci)_mm256_madd_epi16(_mm256_add_epi16(first, then), _mm256_set1_epi16(1));
#else
    uint8_t a[4];
    int8_t b[4 * LANES];
    memcpy(a, u, sizeof a);
    memcpy(b, q, sizeof b);
    for (size_t j = 0; j < LANES; j++)
        sum[j] += a[0] * b[4 * j] + a[1] * b[4 * j + 1] + a[2] * b[4 * j + 2] + a[3] * b[4 * j + 3];
    return sum;
#endif
}

/* out = scale (step sum + low total) + base (+ bias) (+ out) for LANES columns, or fewer at the end. */
ALWAYS_INLINE void finish(const hone_int8_args *a, size_t row, size_t column, veci sum, vec scale,
                          vec total, vec base) {
    float *out = a->out + row * a->n + column;
    size_t count = a->n - column;
    vec y = (__builtin_convertvector(sum, vec) * a->x->step[row] + total * a->x->low[row]) * scale;
    y += base;
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
    vec base = vec_load(floats + 2 * HONE_INT8_PANEL);
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
        finish(a, row + (size_t)i, column, sums[i * SUMS_MAX], scale, total, base);
}

/* What a block asks for: its share of the panels that come next, which few rows would else wait
 * for, as they come from the L3. The first blocks share them out, so that they do not all ask at
 * once; later ones ask for what is there. */
static const char *ahead_of(const hone_int8_args *a, size_t row, size_t panel, size_t panels) {
    size_t bytes = hone_int8_panel_bytes(a->x->k_padded);
    size_t steps = a->x->k_padded / (4 * GROUPS), first = row / ROWS * steps * FETCHES * LINE;
    const char *own = a->packed + panel * bytes;
    return first < panels * bytes ? own + panels * bytes + first : own;
}

ALWAYS_INLINE void block(const int rows, const int panels, const hone_int8_args *a, size_t row,
                         size_t panel) {
    const size_t depth = a->x->k_padded, panel_bytes = hone_int8_panel_bytes(depth);
    const char *u = a->x->u + row * depth;
    const char *packed = a->packed + panel * panel_bytes;
    const char *ahead = ahead_of(a, row, panel, (size_t)panels);
    const int vectors = panels * PANEL_VECTORS;
    veci sums[ROWS * SUMS_MAX] = {0};
    for (size_t k = 0; k < depth; k += 4 * GROUPS) {
        for (size_t f = 0; f < FETCHES; f++)
            __builtin_prefetch(ahead + (k / (4 * GROUPS) * FETCHES + f) * LINE);
        veci q[SUMS_MAX][GROUPS];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
#pragma GCC unroll 2
            for (size_t g = 0; g < GROUPS; g++)
                q[v][g] = load_bytes(packed + (size_t)(v / PANEL_VECTORS) * panel_bytes +
                                     (k + 4 * g) * HONE_INT8_PANEL +
                                     (size_t)(v % PANEL_VECTORS) * sizeof(veci));
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            veci x[GROUPS];
#pragma GCC unroll 2
            for (size_t g = 0; g < GROUPS; g++)
                x[g] = group_of_row(u + (size_t)i * depth + k + 4 * g);
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                sums[i * SUMS_MAX + v] = dot(sums[i * SUMS_MAX + v], x, q[v]);
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

/* All rows of some panels: these stay in the nearest cache. Rows are even in number, and none is
 * left alone: a block of one reads as much as a block of many. */
ALWAYS_INLINE void column(const int panels, const hone_int8_args *a, size_t panel) {
    size_t row = 0, rows = a->x->rows;
    for (; row + ROWS <= rows && row + ROWS + 1 != rows; row += ROWS)
        block(ROWS, panels, a, row, panel);
    for (; row + 2 <= rows; row += 2) block(2, panels, a, row, panel);
}

static void multiply(const hone_int8_args *a) {
    size_t panel = a->panel, panels = a->panels;
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

/* The low bytes of LANES numbers. */
ALWAYS_INLINE void store_bytes(char *u, veci v) {
#if defined(__AVX512F__)
    __m128i bytes = _mm512_cvtepi32_epi8((__m512i)v);
    memcpy(u, &bytes, sizeof bytes);
#elif defined(__AVX2__)
    const __m256i order = _mm256_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                           -1, 0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
                                           -1, -1);
    __m256i halves = _mm256_shuffle_epi8((__m256i)v, order);
    __m128i bytes = _mm_unpacklo_epi32(_mm256_castsi256_si128(halves),
                                       _mm256_extracti128_si256(halves, 1));
    memcpy(u, &bytes, LANES);
#else
    for (size_t lane = 0; lane < LANES; lane++) u[lane] = (char)(v[lane] & 0xFF);
#endif
}

ALWAYS_INLINE vec load_small(const uint8_t *p) {
#if defined(__AVX512F__)
    return (vec)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)p)));
#elif defined(__AVX2__)
    return (vec)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)p)));
#else
    vec v;
    for (size_t lane = 0; lane < LANES; lane++) v[lane] = (float)p[lane];
    return v;
#endif
}

/* u = round((x - low) / step); a float of 2^23 and more has no fraction, so adding 1.5 * 2^23
 * rounds, and the low bits are the number. */
ALWAYS_INLINE void quantise_row(char *u, const float *x, size_t count, float low, float inverse) {
    const float round_to_integer = 12582912.0F;
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        store_bytes(u + i, (veci)((vec_load(x + i) - low) * inverse + round_to_integer));
    for (; i < count; i++) {
        float y = (x[i] - low) * inverse + round_to_integer;
        uint32_t bits;
        memcpy(&bits, &y, sizeof bits);
        u[i] = (char)(bits & 0xFFU);
    }
}

static void quantise(const hone_int8_rows *to, const float *from) {
    /* Below this a row is one number: 255 / range would not be finite. */
    const float range_min = 1e-30F;
    for (size_t row = 0; row < to->rows; row++) {
        const float *x = from + row * to->k;
        char *u = to->u + row * to->k_padded;
        float low, high;
        range_of(x, to->k, &low, &high);
        float range = high - low;
        if (to->k < to->k_padded) memset(u, 0, to->k_padded);
        to->low[row] = low;
        to->step[row] = range * (1.0F / HONE_INT8_ROW_MAX);
        if (range >= range_min && range <= 3e38F)
            quantise_row(u, x, to->k, low, HONE_INT8_ROW_MAX / range);
        else
            memset(u, 0, to->k_padded);
        if (range < range_min) to->step[row] = 0.0F;
        if (!(range <= 3e38F)) to->step[row] = to->low[row] = NAN;
    }
}

/* What is left of a number lies within half a step around 0, so that its own steps are known. */
ALWAYS_INLINE float rest_of(float x, float u, float low, float step, float inverse) {
    float y = (x - low - step * u) * inverse + HONE_INT8_ROW_MAX * 0.5F;
    y = y > 0.0F ? y : 0.0F;
    return y < HONE_INT8_ROW_MAX ? y : HONE_INT8_ROW_MAX;
}

static void quantise_rest(const hone_int8_rows *to, const float *from, const hone_int8_rows *of) {
    const float round_to_integer = 12582912.0F;
    for (size_t row = 0; row < to->rows; row++) {
        const float *x = from + row * to->k;
        const uint8_t *taken = (const uint8_t *)of->u + row * of->k_padded;
        char *u = to->u + row * to->k_padded;
        float low = of->low[row], step = of->step[row];
        float inverse = step > 0.0F ? HONE_INT8_ROW_MAX / step : 0.0F;
        if (to->k < to->k_padded) memset(u, 0, to->k_padded);
        size_t i = 0;
        for (; i + LANES <= to->k; i += LANES) {
            vec y = (vec_load(x + i) - low - step * load_small(taken + i)) * inverse +
                    HONE_INT8_ROW_MAX * 0.5F;
            y = vec_min(vec_max(y, (vec){0}), vec_all(HONE_INT8_ROW_MAX));
            store_bytes(u + i, (veci)(y + round_to_integer));
        }
        for (; i < to->k; i++) {
            float y = rest_of(x[i], (float)taken[i], low, step, inverse) + round_to_integer;
            uint32_t bits;
            memcpy(&bits, &y, sizeof bits);
            u[i] = (char)(bits & 0xFFU);
        }
        to->step[row] = step * (1.0F / HONE_INT8_ROW_MAX);
        to->low[row] = step * -0.5F;
    }
}

const hone_int8_kernels HONE_INT8_TABLE = {HONE_ISA_NAME, quantise, quantise_rest, multiply};
