/* test_strassen.c: products by Strassen's algorithm are the sums that they should be, for every
 * set of kernels that runs here, and scratch rows of a tile have no influence on the others.
 *
 * The reference sums in double. A number's error is that of the sums over whole quarters of the
 * matrices (Higham, 23.2.2): a few times the error of the largest sum of the matrix, instead of
 * its own. 16 of them are the bound of the seven products and their sums. */
#include "numbers.h"

#include "nn/cpu/strassen_impl.h"
#include "nn/product_impl.h"

static const char *const NAMES[] = {"generic", "avx2", "avx512"};
enum { NAME_COUNT = sizeof NAMES / sizeof NAMES[0], ROWS = HONE_TILE_ROWS_MAX, ALIGN = 64 };

DEFINE_SAY_TABLES(hone_strassen_find)

/* A product with a weight packed for it, and what it reads and writes. */
typedef struct bench {
    hone_product *product;
    size_t k, n;
    float *in, *weight, *turned, *bias, *before, *out; /* in, before, out of ROWS rows */
    double *sums, largest;                             /* in W^T; the most of absolute terms */
    void *packed, *operand, *scratch;
} bench;

static void *take(size_t bytes) {
    void *memory = aligned_alloc(ALIGN, (bytes + ALIGN) / ALIGN * ALIGN);
    assert_non_null(memory);
    return memory;
}

static bench bench_of(const hone_strassen_kernels *kernels, size_t k, size_t n) {
    bench b = {.k = k, .n = n};
    CHECK_OK(hone_strassen_create_with(kernels, k, n, &b.product));
    b.in = new_random(ROWS * k, k);
    b.weight = new_random(n * k, n);
    b.turned = new_floats(n * k);
    b.bias = new_random(n, 3);
    b.before = new_random(ROWS * n, 4);
    b.out = new_floats(ROWS * n);
    b.sums = calloc(ROWS * n, sizeof *b.sums);
    for (size_t c = 0; c < n; c++)
        for (size_t j = 0; j < k; j++) b.turned[j * n + c] = b.weight[c * k + j];
    for (size_t i = 0; i < ROWS * n; i++) {
        double magnitude = 0.0;
        for (size_t j = 0; j < k; j++) {
            double term = (double)b.in[i / n * k + j] * (double)b.weight[i % n * k + j];
            b.sums[i] += term;
            magnitude += fabs(term);
        }
        b.largest = fmax(b.largest, magnitude);
    }
    b.packed = take(hone_product_packed_bytes(b.product));
    b.operand = take(hone_product_operand_bytes(b.product));
    b.scratch = take(hone_product_scratch_bytes(b.product));
    return b;
}

static void bench_done(bench *b) {
    hone_product_destroy(b->product);
    void *const all[] = {b->in,  b->weight, b->turned, b->bias,    b->before,
                         b->out, b->sums,   b->packed, b->operand, b->scratch};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i]);
}

static void check_height(bench *b, size_t rows, bool accumulate, bool has_bias) {
    for (size_t i = 0; i < rows * b->n; i++) b->out[i] = accumulate ? b->before[i] : NAN;
    const void *operand = hone_product_operand(b->product, rows, b->in, b->operand);
    hone_product_run(b->product, b->packed, has_bias ? b->bias : NULL, accumulate, rows, operand,
                     b->out, b->scratch);
    for (size_t i = 0; i < rows * b->n; i++) {
        double want = b->sums[i] + (has_bias ? (double)b->bias[i % b->n] : 0.0) +
                      (accumulate ? (double)b->before[i] : 0.0);
        if (!(fabs((double)b->out[i] - want) <= 16.0 * sum_error(b->k, b->largest + 2.0)))
            fail_msg("%zu by %zu, %zu rows, %s, accumulate %d, bias %d: [%zu, %zu] is %g, not %g",
                     b->k, b->n, rows, hone_product_engine(b->product), accumulate, has_bias,
                     i / b->n, i % b->n, (double)b->out[i], want);
    }
}

static void test_strassen__is_the_sum_in_double(void **state) {
    (void)state;
    static const size_t sizes[][2] = {{32, 32}, {64, 96}, {96, 64}, {512, 544}};
    size_t ran = 0;
    for (size_t i = 0; i < NAME_COUNT; i++) {
        const hone_strassen_kernels *kernels = hone_strassen_find(NAMES[i]);
        if (!kernels) continue;
        ran++;
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            bench b = bench_of(kernels, sizes[s][0], sizes[s][1]);
            for (int turned = 0; turned < 2; turned++) {
                CHECK_OK(turned ? hone_product_pack(b.product, b.turned, 1, b.n, b.packed)
                                : hone_product_pack(b.product, b.weight, b.k, 1, b.packed));
                size_t step = b.k < 512 ? HONE_TILE_UNIT : 5 * (size_t)HONE_TILE_UNIT;
                for (size_t rows = HONE_TILE_UNIT; rows <= ROWS; rows += step)
                    for (int flags = 0; flags < 4; flags++)
                        check_height(&b, rows, flags & 1, flags & 2);
            }
            bench_done(&b);
        }
    }
    assert_true(ran > 0);
}

/* What lies behind the last row of a batch is left from another one. */
static void test_strassen__scratch_rows_have_no_influence(void **state) {
    (void)state;
    bench b = bench_of(hone_strassen_best(), 64, 32);
    CHECK_OK(hone_product_pack(b.product, b.weight, b.k, 1, b.packed));
    float *first = new_floats(ROWS * b.n);
    for (size_t height = HONE_TILE_UNIT; height <= ROWS; height += HONE_TILE_UNIT)
        for (size_t rows = height - HONE_TILE_UNIT + 1; rows <= height; rows++) {
            hone_tile tile = {.height = height, .rows = rows};
            for (int round = 0; round < 2; round++) {
                float *out = round == 0 ? first : b.out;
                for (size_t i = rows * b.k; i < height * b.k; i++)
                    b.in[i] = round == 0 ? 0.0F : NAN;
                hone_product_run(b.product, b.packed, NULL, false, height,
                                 hone_tile_operand(b.product, &tile, b.in, b.operand), out,
                                 b.scratch);
            }
            assert_true(same_bits(first, b.out, rows * b.n));
            fill_random(b.in, ROWS * b.k, rows);
        }
    free(first);
    bench_done(&b);
}

/* Many rows of large matrices are worth it, and nothing that the kernels do not take. */
static void test_strassen__is_used_where_it_pays(void **state) {
    (void)state;
    static const struct {
        size_t k, n;
        hone_dtype dtype;
        bool is_used;
    } cases[] = {{768, 768, HONE_DTYPE_F32, true},   {1024, 1024, HONE_DTYPE_F32, true},
                 {384, 384, HONE_DTYPE_F32, false},  {768, 384, HONE_DTYPE_F32, false},
                 {776, 768, HONE_DTYPE_F32, false},  {768, 784, HONE_DTYPE_F32, false},
                 {768, 768, HONE_DTYPE_BF16, false}, {1, 1, HONE_DTYPE_F32, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_product *p = NULL;
        CHECK_OK(hone_product_create_fast(cases[i].dtype, cases[i].k, cases[i].n, &p));
        assert_int_equal(strncmp(hone_product_engine(p), "strassen:", 9) == 0, cases[i].is_used);
        hone_product_destroy(p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strassen__is_the_sum_in_double),
        cmocka_unit_test(test_strassen__scratch_rows_have_no_influence),
        cmocka_unit_test(test_strassen__is_used_where_it_pays),
    };
    return cmocka_run_group_tests(tests, say_tables, NULL);
}
