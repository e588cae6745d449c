/* test_product.c: products are the sums that they should be, for every shape, height, packing
 * and engine; tiles cover what they cut; threads change nothing.
 *
 * The reference sums in double. What oneDNN reads and writes ends at a page that faults: its
 * machine code is made at run time, where no sanitizer looks. */
#include "numbers.h"

#include "base/pool.h"
#include "nn/product_impl.h"

#include <sys/mman.h>

static const size_t SIZES[] = {1, 5, 12, 32, 48, 104, 384, 768};
enum { SIZE_COUNT = sizeof SIZES / sizeof SIZES[0] };

/* Memory that ends at a page that may not be touched. */
typedef struct fence {
    char *map;
    size_t map_bytes;
    void *ptr;
} fence;

/* bytes, aligned to align: as near to the end as that lets it. */
static fence fence_of(size_t bytes, size_t align) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), body = (bytes + page - 1) / page * page;
    fence f = {.map_bytes = body + page};
    f.map = mmap(NULL, f.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (f.map == MAP_FAILED || mprotect(f.map + body, page, PROT_NONE) != 0)
        fail_msg("no memory with a fence");
    f.ptr = f.map + (body - bytes) / align * align;
    return f;
}

static fence fence_floats(size_t count) { return fence_of(count * sizeof(float), sizeof(float)); }

static void fence_drop(fence *f) { (void)munmap(f->map, f->map_bytes); }

/* One shape: its operands, and in W^T in double with the sum of the absolute terms. */
typedef struct shape {
    size_t k, n;
    fence in, bias, out; /* in for the tallest tile */
    float *weight, *turned, *before;
    double *sums, *magnitudes;
} shape;

static shape shape_of(size_t k, size_t n) {
    const size_t rows = HONE_TILE_ROWS_MAX;
    shape s = {.k = k, .n = n, .bias = fence_floats(n)};
    s.weight = new_random(n * k, k);
    s.turned = new_floats(n * k);
    s.before = new_random(rows * n, n);
    s.in = fence_floats(rows * k);
    s.out = fence_floats(rows * n);
    s.sums = calloc(rows * n, sizeof *s.sums);
    s.magnitudes = calloc(rows * n, sizeof *s.magnitudes);
    float *in = s.in.ptr;
    fill_random(in, rows * k, k + n);
    fill_random(s.bias.ptr, n, 3);
    for (size_t c = 0; c < n; c++)
        for (size_t j = 0; j < k; j++) s.turned[j * n + c] = s.weight[c * k + j];
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < k; j++)
            for (size_t c = 0; c < n; c++) {
                double term = (double)in[r * k + j] * (double)s.turned[j * n + c];
                s.sums[r * n + c] += term;
                s.magnitudes[r * n + c] += fabs(term);
            }
    return s;
}

static void shape_done(shape *s) {
    fence_drop(&s->in);
    fence_drop(&s->bias);
    fence_drop(&s->out);
    free(s->weight);
    free(s->turned);
    free(s->before);
    free(s->sums);
    free(s->magnitudes);
}

/* in ends where memory ends for every height: the rows of a low tile are the last of in. */
static void check_height(const shape *s, const hone_product *p, const void *packed, void *scratch,
                         size_t rows, bool accumulate, bool has_bias) {
    size_t first = HONE_TILE_ROWS_MAX - rows;
    const float *in = (const float *)s->in.ptr + first * s->k, *bias = s->bias.ptr;
    float *out = (float *)s->out.ptr + first * s->n;
    for (size_t i = 0; i < rows * s->n; i++) out[i] = accumulate ? s->before[i] : NAN;
    hone_product_run(p, packed, has_bias ? bias : NULL, accumulate, rows, in, out, scratch);
    for (size_t i = 0; i < rows * s->n; i++) {
        double want = s->sums[first * s->n + i] + (has_bias ? (double)bias[i % s->n] : 0.0) +
                      (accumulate ? (double)s->before[i] : 0.0);
        double error = sum_error(s->k, s->magnitudes[first * s->n + i] + 2.0);
        if (!(fabs((double)out[i] - want) <= error))
            fail_msg("%zu by %zu, %zu rows, %s, accumulate %d, bias %d: [%zu, %zu] is %g, not %g",
                     s->k, s->n, rows, hone_product_engine(p), accumulate, has_bias, i / s->n,
                     i % s->n, (double)out[i], want);
    }
}

/* On an emulated processor (tests/emulate/) products take minutes: there the widest size is left
 * out, and of all but the smallest shapes four heights are checked instead of sixteen. */
static bool is_emulated(void) { return getenv("HONE_EMULATED") != NULL; }

static size_t size_count(void) { return is_emulated() ? SIZE_COUNT - 1 : SIZE_COUNT; }

static size_t height_step(const shape *s) {
    enum { SMALL = 12 * 48 };
    return is_emulated() && s->k * s->n > SMALL ? 5 * (size_t)HONE_TILE_UNIT : HONE_TILE_UNIT;
}

static void check_kind(const shape *s, hone_product_kind kind) {
    hone_product *p = NULL;
    CHECK_OK(hone_onednn_create_with(kind, s->k, s->n, &p));
    assert_true(strlen(hone_product_engine(p)) > 0);
    fence packed = fence_of(hone_product_packed_bytes(p), 64);
    fence scratch = fence_of(hone_product_scratch_bytes(p), 64);
    for (int turned = 0; turned < 2; turned++) {
        memset(packed.ptr, 0xFF, hone_product_packed_bytes(p)); /* NaN where nothing is packed */
        CHECK_OK(turned ? hone_product_pack(p, s->turned, 1, s->n, packed.ptr)
                        : hone_product_pack(p, s->weight, s->k, 1, packed.ptr));
        for (size_t rows = HONE_TILE_UNIT; rows <= HONE_TILE_ROWS_MAX; rows += height_step(s))
            for (int flags = 0; flags < 4; flags++)
                check_height(s, p, packed.ptr, scratch.ptr, rows, flags & 1, flags & 2);
    }
    fence_drop(&packed);
    fence_drop(&scratch);
    hone_product_destroy(p);
}

static void check_every_shape(hone_product_kind kind) {
    for (size_t i = 0; i < size_count(); i++)
        for (size_t j = 0; j < size_count(); j++) {
            shape s = shape_of(SIZES[i], SIZES[j]);
            check_kind(&s, kind);
            shape_done(&s);
        }
}

static void test_product__convolution_is_the_sum_in_double(void **state) {
    (void)state;
    check_every_shape(HONE_PRODUCT_CONVOLUTION);
}

static void test_product__matmul_is_the_sum_in_double(void **state) {
    (void)state;
    check_every_shape(HONE_PRODUCT_MATMUL);
}

static void test_product__is_no_reference_loop_where_there_is_a_kernel(void **state) {
    (void)state;
    for (size_t i = 0; i < size_count(); i++)
        for (size_t j = 0; j < size_count(); j++) {
            hone_product *best = NULL, *kinds[2] = {NULL, NULL};
            CHECK_OK(hone_product_create(HONE_DTYPE_F32, SIZES[i], SIZES[j], &best));
            CHECK_OK(
                hone_onednn_create_with(HONE_PRODUCT_CONVOLUTION, SIZES[i], SIZES[j], &kinds[0]));
            CHECK_OK(hone_onednn_create_with(HONE_PRODUCT_MATMUL, SIZES[i], SIZES[j], &kinds[1]));
            bool all = hone_onednn_is_reference(kinds[0]) && hone_onednn_is_reference(kinds[1]);
            if (hone_onednn_is_reference(best) && !all)
                fail_msg("%zu by %zu runs on %s", SIZES[i], SIZES[j], hone_product_engine(best));
            hone_product_destroy(best);
            hone_product_destroy(kinds[0]);
            hone_product_destroy(kinds[1]);
        }
}

/* Not a number comes through: a broken weight may not look like a good one. */
static void test_product__not_a_number_stays_one(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        hone_product *p = NULL;
        CHECK_OK(hone_onednn_create_with((hone_product_kind)kind, 12, 12, &p));
        fence packed = fence_of(hone_product_packed_bytes(p), 64);
        fence scratch = fence_of(hone_product_scratch_bytes(p), 64);
        float weight[12 * 12], in[8 * 12], out[8 * 12];
        fill_random(weight, 12 * 12, 1);
        fill_random(in, 8 * 12, 2);
        in[3 * 12 + 7] = NAN;
        CHECK_OK(hone_product_pack(p, weight, 12, 1, packed.ptr));
        hone_product_run(p, packed.ptr, NULL, false, 8, in, out, scratch.ptr);
        for (size_t i = 0; i < 8 * 12; i++) assert_int_equal(isnan(out[i]) != 0, i / 12 == 3);
        fence_drop(&packed);
        fence_drop(&scratch);
        hone_product_destroy(p);
    }
}

static void test_tiling__covers_every_row_once(void **state) {
    (void)state;
    for (size_t rows = 1; rows <= 5000; rows++) {
        hone_tiling t = hone_tiling_of(rows);
        assert_int_equal(t.rows, rows);
        assert_true(t.tiles > 0);
        assert_int_equal(hone_tiling_begin(&t, 0), 0);
        for (size_t i = 0; i < t.tiles; i++) {
            size_t begin = hone_tiling_begin(&t, i), end = hone_tiling_begin(&t, i + 1);
            if (end <= begin || (end - begin) % HONE_TILE_UNIT || end - begin > HONE_TILE_ROWS_MAX)
                fail_msg("%zu rows: tile %zu is [%zu, %zu)", rows, i, begin, end);
            if (begin >= rows) fail_msg("%zu rows: tile %zu has none of them", rows, i);
        }
        size_t end = hone_tiling_begin(&t, t.tiles);
        if (end < rows || end - rows >= HONE_TILE_UNIT)
            fail_msg("%zu rows: the tiles end at %zu", rows, end);
    }
    assert_int_equal(hone_tiling_of(0).tiles, 0);
}

/* Two and four threads finish together: 4 divides the tiles wherever there are 4 units. */
static void test_tiling__shares_evenly(void **state) {
    (void)state;
    for (size_t rows = 1; rows <= 5000; rows++) {
        hone_tiling t = hone_tiling_of(rows);
        if (t.units >= 4) assert_int_equal(t.tiles % 4, 0);
    }
}

enum { WORK_K = 104, WORK_N = 48, WORK_ROWS = 40, WORK_PIECES = 64, WORK_WORKERS = 4 };

/* Pieces of work that differ; each worker has its scratch. */
typedef struct work {
    const hone_product *product;
    const void *packed;
    const float *in, *bias;
    float *out; /* [WORK_PIECES, WORK_ROWS, WORK_N] */
    void *scratch[WORK_WORKERS];
} work;

static void work_piece(void *ctx, size_t index, size_t worker) {
    const work *w = ctx;
    const float *in = w->in + index * WORK_K;
    float *out = w->out + index * WORK_ROWS * WORK_N;
    hone_product_run(w->product, w->packed, w->bias, false, WORK_ROWS, in, out, w->scratch[worker]);
    hone_product_run(w->product, w->packed, NULL, true, WORK_ROWS, in, out, w->scratch[worker]);
}

static void check_threads(hone_product_kind kind) {
    const size_t out_count = (size_t)WORK_PIECES * WORK_ROWS * WORK_N;
    hone_product *p = NULL;
    CHECK_OK(hone_onednn_create_with(kind, WORK_K, WORK_N, &p));
    fence packed = fence_of(hone_product_packed_bytes(p), 64);
    float *in = new_random((WORK_ROWS + WORK_PIECES) * WORK_K, 5);
    float *weight = new_random(WORK_N * WORK_K, 6), *bias = new_random(WORK_N, 7);
    CHECK_OK(hone_product_pack(p, weight, WORK_K, 1, packed.ptr));
    work w = {.product = p, .packed = packed.ptr, .in = in, .bias = bias};
    fence scratch[WORK_WORKERS];
    for (size_t i = 0; i < WORK_WORKERS; i++) {
        scratch[i] = fence_of(hone_product_scratch_bytes(p), 64);
        w.scratch[i] = scratch[i].ptr;
    }
    float *alone = new_floats(out_count), *together = new_floats(out_count);
    w.out = alone;
    for (size_t i = 0; i < WORK_PIECES; i++) work_piece(&w, i, 0);
    hone_pool *pool = NULL;
    CHECK_OK(hone_pool_create(WORK_WORKERS, &pool));
    w.out = together;
    for (int round = 0; round < 20; round++) {
        memset(together, 0xFF, out_count * sizeof *together);
        hone_pool_run(pool, WORK_PIECES, work_piece, &w);
        assert_true(same_bits(alone, together, out_count));
    }
    hone_pool_destroy(pool);
    for (size_t i = 0; i < WORK_WORKERS; i++) fence_drop(&scratch[i]);
    fence_drop(&packed);
    free(in);
    free(weight);
    free(bias);
    free(alone);
    free(together);
    hone_product_destroy(p);
}

static void test_product__threads_change_no_bit(void **state) {
    (void)state;
    check_threads(HONE_PRODUCT_CONVOLUTION);
    check_threads(HONE_PRODUCT_MATMUL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_product__convolution_is_the_sum_in_double),
        cmocka_unit_test(test_product__matmul_is_the_sum_in_double),
        cmocka_unit_test(test_product__is_no_reference_loop_where_there_is_a_kernel),
        cmocka_unit_test(test_product__not_a_number_stays_one),
        cmocka_unit_test(test_tiling__covers_every_row_once),
        cmocka_unit_test(test_tiling__shares_evenly),
        cmocka_unit_test(test_product__threads_change_no_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
