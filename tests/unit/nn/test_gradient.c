/* test_gradient.c: the gradient of a weight is the sum that it should be, in f32 and in bf16, for
 * every set of kernels that runs here; its parts have the bytes of the whole.
 *
 * The reference sums in double. Matrices have gaps behind their columns: what is read from one
 * is NaN and shows, what is written to one is another number. */
#include "numbers.h"

#include "nn/cpu/bf16_impl.h"
#include "nn/cpu/gradient_impl.h"

static const char *const NAMES[] = {"generic", "avx2", "avx512", "avx512_bf16"};
enum { NAME_COUNT = sizeof NAMES / sizeof NAMES[0] };
DEFINE_SAY_TABLES(hone_gradient_find)

static double rounded(float x) {
    uint32_t bits = (uint32_t)hone_bf16_of(x) << 16;
    float r;
    memcpy(&r, &bits, sizeof r);
    return (double)r;
}

static void check(const hone_gradient_kernels *kernels, hone_dtype dtype, size_t m, size_t n,
                  size_t rows, bool accumulate) {
    const size_t a_stride = m + 3, b_stride = n + 5, c_stride = n + 2;
    const size_t c_count = (m - 1) * c_stride + n;
    float *a = new_random((rows - 1) * a_stride + m, m + rows);
    float *b = new_random((rows - 1) * b_stride + n, n);
    float *before = new_random(c_count, 9), *c = new_floats(c_count);
    float *scratch = new_floats(hone_gradient_scratch_floats());
    for (size_t r = 0; r + 1 < rows; r++) {
        for (size_t i = m; i < a_stride; i++) a[r * a_stride + i] = NAN;
        for (size_t i = n; i < b_stride; i++) b[r * b_stride + i] = NAN;
    }
    for (size_t i = 0; i < c_count; i++) c[i] = accumulate || i % c_stride >= n ? before[i] : NAN;
    hone_gradient_args args = {dtype,    m,        n,          rows, a,        b,
                               a_stride, b_stride, accumulate, c,    c_stride, scratch};
    (dtype == HONE_DTYPE_BF16 ? kernels->bf16 : kernels->f32)(&args);
    for (size_t i = 0; i < c_count; i++) {
        if (i % c_stride >= n) {
            if (!same_bits(c + i, before + i, 1)) fail_msg("%s wrote into a gap", kernels->name);
            continue;
        }
        double want = accumulate ? (double)before[i] : 0.0, magnitude = 2.0;
        for (size_t r = 0; r < rows; r++) {
            float x = a[r * a_stride + i / c_stride], y = b[r * b_stride + i % c_stride];
            double term = dtype == HONE_DTYPE_BF16 ? rounded(x) * rounded(y)
                                                   : (double)x * (double)y;
            want += term;
            magnitude += fabs(term);
        }
        if (!(fabs((double)c[i] - want) <= sum_error(rows, magnitude)))
            fail_msg("%s, %s, %zu by %zu, %zu rows, accumulate %d: [%zu, %zu] is %g, not %g",
                     kernels->name, hone_dtype_name(dtype), m, n, rows, accumulate, i / c_stride,
                     i % c_stride, (double)c[i], want);
    }
    free(scratch);
    free(c);
    free(before);
    free(b);
    free(a);
}

static void test_gradient__is_the_sum_in_double(void **state) {
    (void)state;
    static const size_t sizes[][3] = {{1, 1, 1},    {5, 12, 2},   {12, 5, 7},    {13, 33, 63},
                                      {7, 19, 256}, {19, 7, 257}, {6, 16, 300},  {12, 32, 513},
                                      {193, 17, 9}, {5, 769, 31}, {200, 800, 3}, {24, 48, 255}};
    size_t ran = 0;
    for (size_t name = 0; name < NAME_COUNT; name++) {
        const hone_gradient_kernels *kernels = hone_gradient_find(NAMES[name]);
        if (!kernels) continue;
        ran++;
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            for (int flags = 0; flags < 4; flags++)
                check(kernels, flags & 1 ? HONE_DTYPE_BF16 : HONE_DTYPE_F32, sizes[i][0],
                      sizes[i][1], sizes[i][2], flags & 2);
    }
    assert_true(ran > 0);
}

static void test_gradient__parts_have_the_bytes_of_the_whole(void **state) {
    (void)state;
    enum { M = 30, N = 40, ROWS = 700 };
    float *a = new_random((size_t)ROWS * M, 1), *b = new_random((size_t)ROWS * N, 2);
    float *whole = new_floats(M * N), *parts = new_floats(M * N);
    float *scratch = new_floats(hone_gradient_scratch_floats());
    for (int dtype = HONE_DTYPE_F32; dtype <= HONE_DTYPE_BF16; dtype++) {
        hone_gradient_args all = {
            (hone_dtype)dtype, M, N, ROWS, a, b, M, N, false, whole, N, scratch};
        hone_gradient_run(&all);
        for (size_t first = 0; first < M; first += 11) {
            hone_gradient_args some = all;
            some.m = M - first < 11 ? M - first : 11;
            some.a = a + first;
            some.c = parts + first * N;
            hone_gradient_run(&some);
        }
        assert_true(same_bits(whole, parts, (size_t)M * N));
    }
    free(scratch);
    free(parts);
    free(whole);
    free(b);
    free(a);
}

static void test_gradient__not_a_number_stays_one(void **state) {
    (void)state;
    enum { M = 5, N = 7, ROWS = 9 };
    float a[ROWS * M], b[ROWS * N], c[M * N];
    float *scratch = new_floats(hone_gradient_scratch_floats());
    fill_random(a, ROWS * M, 1);
    fill_random(b, ROWS * N, 2);
    a[8 * M + 3] = NAN;
    for (int dtype = HONE_DTYPE_F32; dtype <= HONE_DTYPE_BF16; dtype++) {
        hone_gradient_run(
            &(hone_gradient_args){(hone_dtype)dtype, M, N, ROWS, a, b, M, N, false, c, N, scratch});
        for (size_t i = 0; i < (size_t)M * N; i++) assert_int_equal(isnan(c[i]) != 0, i / N == 3);
    }
    free(scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradient__is_the_sum_in_double),
        cmocka_unit_test(test_gradient__parts_have_the_bytes_of_the_whole),
        cmocka_unit_test(test_gradient__not_a_number_stays_one),
    };
    return cmocka_run_group_tests(tests, say_tables, NULL);
}
