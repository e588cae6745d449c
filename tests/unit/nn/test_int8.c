/* test_int8.c: products in whole numbers: the same bytes from every instruction set that runs
 * here and from a plain loop, over odd sizes; and as near to the true sum as 8 bits allow.
 *
 * The plain loop rounds as int8_impl.h says, sums in 64 bits and ends with the same operations
 * on floats, so equality is exact: nothing is left to a tolerance. */
#include "numbers.h"

#include "nn/cpu/int8_impl.h"
#include "nn/product_impl.h"

static const char *const NAMES[] = {"generic", "avx2", "avx512", "avx512_vnni"};
enum { NAME_COUNT = sizeof NAMES / sizeof NAMES[0] };
DEFINE_SAY_TABLES(hone_int8_find)

static const size_t SIZES[] = {1, 3, 4, 17, 48, 65, 384};
enum { SIZE_COUNT = sizeof SIZES / sizeof SIZES[0] };

/* One shape with what it should give. */
typedef struct shape {
    size_t k, n, rows;
    float *in, *weight, *bias, *before;
    int32_t *u, *q;     /* [rows, k], [n, k] */
    float *step, *low;  /* [rows] */
    float *scale, *sum; /* [n] */
} shape;

static void round_rows(shape *s) {
    for (size_t r = 0; r < s->rows; r++) {
        const float *x = s->in + r * s->k;
        float low = x[0], high = x[0];
        for (size_t i = 1; i < s->k; i++) {
            low = fminf(low, x[i]);
            high = fmaxf(high, x[i]);
        }
        bool flat = high - low < 1e-30F;
        s->low[r] = low;
        s->step[r] = flat ? 0.0F : (high - low) * (1.0F / 255.0F);
        float inverse = 255.0F / (high - low);
        for (size_t i = 0; i < s->k; i++)
            s->u[r * s->k + i] = flat ? 0 : (int32_t)rintf((x[i] - low) * inverse);
    }
}

/* The largest sum of numbers of one sign in a group: i = 8 g + {0, 1, 4, 5} or + {2, 3, 6, 7}. */
static float largest_group(const float *w, size_t k) {
    float most = 0.0F;
    for (size_t first = 0; first < k; first += 8)
        for (size_t group = 0; group < 2; group++)
            for (int sign = -1; sign <= 1; sign += 2) {
                float sum = 0.0F;
                for (size_t i = first; i < first + 8 && i < k; i++)
                    if (i / 2 % 2 == group && w[i] * (float)sign > 0.0F) sum += fabsf(w[i]);
                most = fmaxf(most, sum);
            }
    return most;
}

static void round_weight(shape *s) {
    for (size_t n = 0; n < s->n; n++) {
        const float *w = s->weight + n * s->k;
        float extent = largest_group(w, s->k), limit = HONE_INT8_GROUP_MAX, most = 0.0F;
        int32_t sum = 0;
        for (size_t i = 0; i < s->k; i++) most = fmaxf(most, fabsf(w[i]));
        if (most * HONE_INT8_GROUP_MAX > extent * 127.0F) {
            extent = most;
            limit = 127.0F;
        }
        s->scale[n] = extent / limit;
        for (size_t i = 0; i < s->k; i++) {
            s->q[n * s->k + i] = most > 0.0F ? (int32_t)rintf(w[i] * (limit / extent)) : 0;
            sum += s->q[n * s->k + i];
        }
        s->sum[n] = (float)sum;
    }
}

static void round_all(shape *s) {
    round_rows(s);
    round_weight(s);
}

static shape shape_of(size_t k, size_t n) {
    shape s = {.k = k, .n = n, .rows = HONE_TILE_ROWS_MAX};
    s.in = new_random(s.rows * k, k + 1000 * n);
    s.weight = new_random(n * k, n + 7 * k);
    s.bias = new_random(n, 3);
    s.before = new_random(s.rows * n, 4);
    for (size_t i = 0; i < k; i++) {
        s.in[k + i] = 0.25F;               /* row 1 is one number */
        s.in[2 * k + i] *= 1e6F;           /* row 2 is large */
        if (n > 1) s.weight[k + i] = 0.0F; /* column 1 is nothing */
    }
    s.u = calloc(s.rows * k, sizeof *s.u);
    s.q = calloc(n * k, sizeof *s.q);
    s.step = new_floats(s.rows);
    s.low = new_floats(s.rows);
    s.scale = new_floats(n);
    s.sum = new_floats(n);
    assert_true(s.u && s.q);
    round_all(&s);
    return s;
}

static void shape_done(shape *s) {
    void *const all[] = {s->in, s->weight, s->bias, s->before, s->u,
                         s->q,  s->step,   s->low,  s->scale,  s->sum};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
}

/* What the plain loop gives for row r and column n. */
static float expected(const shape *s, size_t r, size_t n, bool has_bias, bool accumulate) {
    int64_t dot = 0;
    for (size_t i = 0; i < s->k; i++) dot += (int64_t)s->u[r * s->k + i] * s->q[n * s->k + i];
    float y = ((float)dot * s->step[r] + s->sum[n] * s->low[r]) * s->scale[n];
    if (has_bias) y += s->bias[n];
    return accumulate ? y + s->before[r * s->n + n] : y;
}

static void check_height(const shape *s, const hone_product *p, const void *packed, size_t rows,
                         bool has_bias, bool accumulate) {
    float *in = new_floats(rows * s->k), *out = new_floats(rows * s->n);
    void *memory = new_floats(hone_product_operand_bytes(p) / sizeof(float));
    memcpy(in, s->in, rows * s->k * sizeof *in);
    if (accumulate) memcpy(out, s->before, rows * s->n * sizeof *out);
    const void *operand = hone_product_operand(p, rows, in, memory);
    hone_product_run(p, packed, has_bias ? s->bias : NULL, accumulate, rows, operand, out, NULL);
    for (size_t i = 0; i < rows * s->n; i++) {
        float want = expected(s, i / s->n, i % s->n, has_bias, accumulate);
        if (!same_bits(&want, out + i, 1))
            fail_msg("%s, %zu by %zu, %zu rows, bias %d, accumulate %d: [%zu, %zu] is %.9g, not "
                     "%.9g",
                     hone_product_engine(p), s->k, s->n, rows, has_bias, accumulate, i / s->n,
                     i % s->n, (double)out[i], (double)want);
    }
    enum { PARTS = 3 };
    float *shared = new_floats(rows * s->n);
    if (accumulate) memcpy(shared, s->before, rows * s->n * sizeof *shared);
    for (size_t part = 0; part < PARTS; part++)
        hone_product_run_part(p, packed, has_bias ? s->bias : NULL, accumulate, rows, operand,
                              shared, part, PARTS);
    assert_true(same_bits(shared, out, rows * s->n));
    free(shared);
    free(memory);
    free(in);
    free(out);
}

static void check_shape(const shape *s, const hone_int8_kernels *kernels) {
    hone_product *p = NULL;
    CHECK_OK(hone_int8_create_with(kernels, s->k, s->n, &p));
    size_t bytes = hone_product_packed_bytes(p);
    float *packed = new_floats(bytes / sizeof(float)), *turned = new_floats(s->n * s->k);
    float *again = new_floats(bytes / sizeof(float));
    for (size_t n = 0; n < s->n; n++)
        for (size_t i = 0; i < s->k; i++) turned[i * s->n + n] = s->weight[n * s->k + i];
    CHECK_OK(hone_product_pack(p, s->weight, s->k, 1, packed));
    CHECK_OK(hone_product_pack(p, turned, 1, s->n, again));
    assert_memory_equal(packed, again, bytes);
    assert_int_equal(hone_product_scratch_bytes(p), 0);
    static const size_t wanted[] = {1, 3, 6, 8, 10, 13, 16, 24, 40};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        for (int flags = 0; flags < 4; flags++)
            check_height(s, p, packed, hone_product_height(p, wanted[i]), flags & 1, flags & 2);
    check_height(s, p, packed, HONE_TILE_ROWS_MAX, true, false);
    free(again);
    free(turned);
    free(packed);
    hone_product_destroy(p);
}

static void test_int8__every_set_gives_the_bytes_of_the_plain_loop(void **state) {
    (void)state;
    assert_non_null(hone_int8_find("generic"));
    for (size_t i = 0; i < SIZE_COUNT; i++)
        for (size_t j = 0; j < SIZE_COUNT; j++) {
            shape s = shape_of(SIZES[i], SIZES[j]);
            for (size_t name = 0; name < NAME_COUNT; name++) {
                const hone_int8_kernels *kernels = hone_int8_find(NAMES[name]);
                if (kernels) check_shape(&s, kernels);
            }
            shape_done(&s);
        }
}

/* Rows and weights that make the sums of a group as large as they may be, of either sign. */
static void test_int8__the_largest_sums_do_not_overflow(void **state) {
    (void)state;
    shape s = shape_of(64, 48);
    for (size_t n = 0; n < s.n; n++)
        for (size_t i = 0; i < s.k; i++) {
            /* all alike | one large number a group, small ones beside it | signs by group */
            float w = n % 3 == 0 ? 1.0F : n % 3 == 1 ? (i % 8 == 0 ? 1.0F : 0.0005F) : 0.7F;
            bool is_negative = n % 3 == 2 ? i / 2 % 2 == 0 : n / 3 % 2 == 0;
            s.weight[n * s.k + i] = is_negative ? -w : w;
        }
    for (size_t r = 0; r < s.rows; r++)
        for (size_t i = 0; i < s.k;
             i++) /* all at the top but one; a group at the top; half of all */
            s.in[r * s.k + i] = r % 3 == 0   ? (i == r % s.k ? -1.0F : 1.0F)
                                : r % 3 == 1 ? (i / 8 == r % 8 ? 1.0F : -1.0F)
                                             : (i / 2 % 2 == r / 3 % 2 ? 1.0F : -1.0F);
    round_all(&s);
    int32_t largest = 0;
    for (size_t i = 0; i < s.n * s.k; i++) largest = s.q[i] > largest ? s.q[i] : largest;
    assert_int_equal(largest, 126); /* a number alone in its group: what 127 is to a whole column */
    for (size_t name = 0; name < NAME_COUNT; name++) {
        const hone_int8_kernels *kernels = hone_int8_find(NAMES[name]);
        if (kernels) check_shape(&s, kernels);
    }
    shape_done(&s);
}

/* Of an input that a norm scaled and moved, the operand is what it was before. */
static void test_int8__a_gain_and_an_offset_are_in_the_weight(void **state) {
    (void)state;
    enum { K = 96, N = 48, ROWS = 16 };
    shape s = shape_of(K, N), plain = shape_of(K, N);
    float *gain = new_random(K, 11), *offset = new_random(K, 12);
    for (size_t n = 0; n < N; n++)
        for (size_t i = 0; i < K; i++) s.weight[n * K + i] *= gain[i];
    round_all(&s);
    for (size_t name = 0; name < NAME_COUNT; name++) {
        const hone_int8_kernels *kernels = hone_int8_find(NAMES[name]);
        if (!kernels) continue;
        hone_product *p = NULL;
        float out[ROWS * N];
        CHECK_OK(hone_int8_create_with(kernels, K, N, &p));
        assert_true(hone_product_is_scaled(p));
        float *packed = new_floats(hone_product_packed_bytes(p) / sizeof(float));
        float *memory = new_floats(hone_product_operand_bytes(p) / sizeof(float));
        CHECK_OK(hone_product_pack_scaled(p, plain.weight, K, 1, gain, offset, packed));
        hone_product_run(p, packed, s.bias, false, ROWS,
                         hone_product_operand(p, ROWS, s.in, memory), out, NULL);
        for (size_t i = 0; i < (size_t)ROWS * N; i++) {
            float base = 0.0F, y = expected(&s, i / N, i % N, false, false);
            for (size_t j = 0; j < K; j++) base += plain.weight[i % N * K + j] * offset[j];
            y = y + base + s.bias[i % N];
            assert_true(same_bits(&y, out + i, 1));
        }
        free(memory);
        free(packed);
        hone_product_destroy(p);
    }
    free(offset);
    free(gain);
    shape_done(&plain);
    shape_done(&s);
}

/* With its rest a row is off by a 255th of what it was off before: what is left is the weight's
 * rounding, and that of floats. Every set gives the same bytes. */
static void test_int8__a_rest_brings_the_digits_back(void **state) {
    (void)state;
    enum { K = 100, N = 32, ROWS = 8 };
    shape s = shape_of(K, N);
    float first[ROWS * N], out[ROWS * N];
    bool is_first = true;
    for (size_t name = 0; name < NAME_COUNT; name++) {
        const hone_int8_kernels *kernels = hone_int8_find(NAMES[name]);
        if (!kernels) continue;
        hone_product *p = NULL;
        CHECK_OK(hone_int8_create_with(kernels, K, N, &p));
        float *packed = new_floats(hone_product_packed_bytes(p) / sizeof(float));
        float *memory = new_floats(hone_product_operand_bytes(p) / sizeof(float));
        float *more = new_floats(hone_product_operand_bytes(p) / sizeof(float));
        CHECK_OK(hone_product_pack(p, s.weight, K, 1, packed));
        const void *operand = hone_product_operand(p, ROWS, s.in, memory);
        hone_product_run(p, packed, NULL, false, ROWS, operand, out, NULL);
        const void *rest = hone_product_rest(p, ROWS, s.in, operand, more);
        hone_product_run(p, packed, NULL, true, ROWS, rest, out, NULL);
        for (size_t i = 0; i < (size_t)ROWS * N; i++) {
            double truth = 0.0, room = 0.0;
            for (size_t j = 0; j < K; j++) {
                double w = (double)s.scale[i % N] * s.q[i % N * K + j];
                truth += w * (double)s.in[i / N * K + j];
                room += fabs(w) * (double)s.step[i / N] * (0.501 / 255.0) +
                        fabs(w * (double)s.in[i / N * K + j]) * 1e-6;
            }
            assert_true(fabs((double)out[i] - truth) <= room + 1e-6);
        }
        if (is_first) memcpy(first, out, sizeof out);
        assert_true(same_bits(first, out, (size_t)ROWS * N));
        is_first = false;
        free(more);
        free(memory);
        free(packed);
        hone_product_destroy(p);
    }
    shape_done(&s);
}

/* An input is off by half a step at most, a weight by half a scale: so far may the sum be. */
static void test_int8__is_near_the_true_sum(void **state) {
    (void)state;
    shape s = shape_of(384, 48);
    for (size_t r = 0; r < s.rows; r++)
        for (size_t n = 0; n < s.n; n++) {
            double truth = 0.0, room = 0.0;
            for (size_t i = 0; i < s.k; i++) {
                double x = (double)s.in[r * s.k + i], w = (double)s.weight[n * s.k + i];
                double half_step = 0.501 * (double)s.step[r],
                       half_scale = 0.501 * (double)s.scale[n];
                truth += x * w;
                room += half_step * fabs(w) + half_scale * fabs(x) + half_step * half_scale;
            }
            double got = (double)expected(&s, r, n, false, false);
            if (!(fabs(got - truth) <= room + 1e-6))
                fail_msg("[%zu, %zu] is %g, not %g within %g", r, n, got, truth, room);
        }
    shape_done(&s);
}

/* What is no number, or has no end, makes its row or its column one that is no number, and no
 * other: a broken weight may not look like a good one. */
static void test_int8__not_a_number_stays_one(void **state) {
    (void)state;
    const float bad[] = {NAN, INFINITY, -INFINITY, 3.4e38F};
    enum { K = 20, N = 20, ROWS = 8 };
    for (size_t name = 0; name < NAME_COUNT; name++) {
        const hone_int8_kernels *kernels = hone_int8_find(NAMES[name]);
        for (size_t b = 0; kernels && b < 4; b++)
            for (size_t at = 0; at < K; at++) {
                hone_product *p = NULL;
                float weight[N * K], in[ROWS * K], out[ROWS * N];
                CHECK_OK(hone_int8_create_with(kernels, K, N, &p));
                float *packed = new_floats(hone_product_packed_bytes(p) / sizeof(float));
                float *memory = new_floats(hone_product_operand_bytes(p) / sizeof(float));
                fill_random(weight, N * K, 1);
                fill_random(in, ROWS * K, 2);
                in[3 * K + at] = bad[b];
                if (b == 3) in[3 * K + (at + 1) % K] = -bad[b]; /* a range without end */
                if (b < 3) weight[5 * K + at] = bad[b];
                CHECK_OK(hone_product_pack(p, weight, K, 1, packed));
                hone_product_run(p, packed, NULL, false, ROWS,
                                 hone_product_operand(p, ROWS, in, memory), out, NULL);
                for (size_t i = 0; i < (size_t)ROWS * N; i++)
                    assert_int_equal(isnan(out[i]) != 0, i / N == 3 || (b < 3 && i % N == 5));
                free(memory);
                free(packed);
                hone_product_destroy(p);
            }
    }
}

static void test_int8__takes_a_quarter_of_the_memory(void **state) {
    (void)state;
    hone_product *whole = NULL, *floats = NULL;
    CHECK_OK(hone_product_create(HONE_DTYPE_INT8, 768, 768, &whole));
    CHECK_OK(hone_product_create(HONE_DTYPE_F32, 768, 768, &floats));
    assert_true(hone_product_packed_bytes(whole) * 100 < hone_product_packed_bytes(floats) * 26);
    hone_product_destroy(whole);
    hone_product_destroy(floats);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_int8__every_set_gives_the_bytes_of_the_plain_loop),
        cmocka_unit_test(test_int8__the_largest_sums_do_not_overflow),
        cmocka_unit_test(test_int8__a_gain_and_an_offset_are_in_the_weight),
        cmocka_unit_test(test_int8__a_rest_brings_the_digits_back),
        cmocka_unit_test(test_int8__is_near_the_true_sum),
        cmocka_unit_test(test_int8__not_a_number_stays_one),
        cmocka_unit_test(test_int8__takes_a_quarter_of_the_memory),
    };
    return cmocka_run_group_tests(tests, say_tables, NULL);
}
