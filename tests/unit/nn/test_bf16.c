/* test_bf16.c: bf16 products of every instruction set that runs here are the sums of rounded
 * numbers, for odd shapes and every height; what is rounded is rounded to nearest even. */
#include "numbers.h"

#include "nn/cpu/bf16_impl.h"

static const char *const NAMES[] = {"generic", "avx2", "avx512", "avx512_bf16"};
enum { NAME_COUNT = sizeof NAMES / sizeof NAMES[0] };
DEFINE_SAY_TABLES(hone_bf16_find)

static float widened(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static double rounded(float x) { return (double)widened(hone_bf16_of(x)); }

static void test_bf16__rounds_to_nearest_even(void **state) {
    (void)state;
    assert_int_equal(hone_bf16_of(1.0F), 0x3F80);
    assert_int_equal(hone_bf16_of(1.00390625F), 0x3F80); /* half way: the even one */
    assert_int_equal(hone_bf16_of(1.01171875F), 0x3F82); /* half way: the even one, above */
    assert_int_equal(hone_bf16_of(1.005F), 0x3F81);
    assert_int_equal(hone_bf16_of(-0.0F), 0x8000);
    assert_int_equal(hone_bf16_of(3.4e38F), 0x7F80); /* above the largest: without end */
    assert_true(isnan(widened(hone_bf16_of(NAN))));
    uint32_t bits = 0x7F800001U; /* a NaN whose upper half alone would be an infinity */
    float odd;
    memcpy(&odd, &bits, sizeof odd);
    assert_true(isnan(widened(hone_bf16_of(odd))));
}

/* Sums are compared with those in double of the same rounded numbers. */
static void check(const hone_bf16_kernels *kernels, size_t k, size_t n, bool turned) {
    const size_t rows = HONE_TILE_ROWS_MAX;
    hone_product *p = NULL;
    CHECK_OK(hone_bf16_create_with(kernels, k, n, &p));
    float *weight = new_random(n * k, k), *in = new_random(rows * k, k + n);
    float *bias = new_random(n, 3), *before = new_random(rows * n, n), *out = new_floats(rows * n);
    float *given = new_floats(n * k); /* the weight or its transpose */
    for (size_t c = 0; c < n; c++)
        for (size_t i = 0; i < k; i++) given[turned ? i * n + c : c * k + i] = weight[c * k + i];
    void *packed = aligned_alloc(64, hone_product_packed_bytes(p));
    void *operand = aligned_alloc(64, hone_product_operand_bytes(p));
    memset(packed, 0xFF, hone_product_packed_bytes(p)); /* NaN where nothing is packed */
    CHECK_OK(hone_product_pack(p, given, turned ? 1 : k, turned ? n : 1, packed));
    for (size_t height = HONE_TILE_UNIT; height <= rows; height += HONE_TILE_UNIT * 5) {
        bool accumulate = height % 16 == 0;
        memcpy(out, before, rows * n * sizeof *out);
        const void *x = hone_product_operand(p, height, in, operand);
        hone_product_run(p, packed, accumulate ? NULL : bias, accumulate, height, x, out, NULL);
        for (size_t at = 0; at < height * n; at++) {
            size_t r = at / n, c = at % n;
            double want = accumulate ? (double)before[at] : (double)bias[c], magnitude = 2.0;
            for (size_t i = 0; i < k; i++) {
                double term = rounded(in[r * k + i]) * rounded(weight[c * k + i]);
                want += term;
                magnitude += fabs(term);
            }
            if (!(fabs((double)out[at] - want) <= sum_error(k, magnitude)))
                fail_msg("%s, %zu by %zu, %zu rows: [%zu, %zu] is %g, not %g", kernels->name, k, n,
                         height, r, c, (double)out[at], want);
        }
        assert_true(same_bits(out + height * n, before + height * n, (rows - height) * n));
    }
    hone_product_destroy(p);
    free(operand);
    free(packed);
    free(given);
    free(out);
    free(before);
    free(bias);
    free(in);
    free(weight);
}

static void test_bf16__is_the_sum_of_rounded_numbers(void **state) {
    (void)state;
    static const size_t sizes[] = {1, 5, 16, 47, 104, 384};
    size_t ran = 0;
    for (size_t name = 0; name < NAME_COUNT; name++) {
        const hone_bf16_kernels *kernels = hone_bf16_find(NAMES[name]);
        if (!kernels) continue;
        ran++;
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            for (size_t j = 0; j < sizeof sizes / sizeof sizes[0]; j++)
                check(kernels, sizes[i], sizes[j], (i + j) % 2 == 1);
    }
    assert_true(ran > 0);
    assert_non_null(hone_bf16_best());
}

/* A broken weight or activation may not look like a good one. */
static void test_bf16__not_a_number_stays_one(void **state) {
    (void)state;
    enum { K = 21, N = 19, ROWS = 8 };
    hone_product *p = NULL;
    CHECK_OK(hone_product_create(HONE_DTYPE_BF16, K, N, &p));
    void *packed = aligned_alloc(64, hone_product_packed_bytes(p));
    void *operand = aligned_alloc(64, hone_product_operand_bytes(p));
    float weight[N * K], in[ROWS * K], out[ROWS * N];
    fill_random(weight, N * K, 1);
    fill_random(in, ROWS * K, 2);
    in[3 * K + 20] = NAN;
    CHECK_OK(hone_product_pack(p, weight, K, 1, packed));
    const void *x = hone_product_operand(p, ROWS, in, operand);
    hone_product_run(p, packed, NULL, false, ROWS, x, out, NULL);
    for (size_t i = 0; i < (size_t)ROWS * N; i++) assert_int_equal(isnan(out[i]) != 0, i / N == 3);
    hone_product_destroy(p);
    free(operand);
    free(packed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bf16__rounds_to_nearest_even),
        cmocka_unit_test(test_bf16__is_the_sum_of_rounded_numbers),
        cmocka_unit_test(test_bf16__not_a_number_stays_one),
    };
    return cmocka_run_group_tests(tests, say_tables, NULL);
}
