/* test_dropout.c: masks are what the scalar program of reference.h says, to the bit, for every
 * table that this machine runs; and they are random: zeros have their share, and nothing that
 * they depend on leaves them alone. Attention's masks are in test_attention.c. */
#include "reference.h"

static const size_t DIMS[] = {1, 3, 7, 8, 12, 31, 64, 100, 384, 768, 1030, 2500};
static const size_t ROWS[] = {0, 1, 5, 25};
enum { DIM_COUNT = sizeof DIMS / sizeof DIMS[0], ROW_COUNT = sizeof ROWS / sizeof ROWS[0] };

static const hone_drop DROP = {.p = 0.3f, .seed = 0x123456789ABCDEF, .step = 11, .site = 0x50021};

static float *mask_of(const hone_ops *ops, const hone_drop *drop, size_t rows, size_t dim,
                      uint32_t first) {
    float *x = new_floats(rows * dim);
    for (size_t i = 0; i < rows * dim; i++) x[i] = 1.0f;
    ops->dropout(x, rows, dim, drop, first);
    return x;
}

static void test_dropout__is_the_scalar_program(void **state) {
    (void)state;
    static const float shares[] = {0.0f, 0.1f, 0.5f, 0.99f};
    FOR_TABLES(ops)
    for (size_t d = 0; d < DIM_COUNT; d++)
        for (size_t r = 0; r < ROW_COUNT; r++)
            for (size_t s = 0; s < sizeof shares / sizeof shares[0]; s++) {
                hone_drop drop = DROP;
                drop.p = shares[s];
                const size_t rows = ROWS[r], dim = DIMS[d];
                const uint32_t first = 0xFFFFFFF8U; /* rows wrap: still a function of the row */
                float *mask = mask_of(ops, &drop, rows, dim, first);
                for (size_t i = 0; i < rows * dim; i++) {
                    float want = ref_row_mask(&drop, first + (uint32_t)(i / dim), i % dim);
                    if (mask[i] != want)
                        fail_msg("%s: p %g, mask [%zu, %zu] is %g, not %g", ops->name,
                                 (double)drop.p, i / dim, i % dim, (double)mask[i], (double)want);
                }
                free(mask);
            }
}

static void test_dropout__multiplies(void **state) {
    (void)state;
    FOR_TABLES(ops) {
        float *x = new_random(3 * 100, 1), *before = new_random(3 * 100, 1);
        float *mask = mask_of(ops, &DROP, 3, 100, 2);
        ops->dropout(x, 3, 100, &DROP, 2);
        for (size_t i = 0; i < 300; i++) assert_true(x[i] == before[i] * mask[i]);
        free(x);
        free(before);
        free(mask);
    }
}

/* Rows may come in any pieces: a mask belongs to the row of the batch. */
static void test_dropout__is_a_function_of_the_row(void **state) {
    (void)state;
    FOR_TABLES(ops) {
        float *whole = mask_of(ops, &DROP, 25, 100, 40);
        for (size_t first = 0; first < 25; first += 5) {
            float *part = mask_of(ops, &DROP, 5, 100, 40 + (uint32_t)first);
            assert_true(same_bits(part, whole + first * 100, 500));
            free(part);
        }
        free(whole);
    }
}

enum { DRAWS_ROWS = 250, DRAWS_DIM = 4000, DRAWS = DRAWS_ROWS * DRAWS_DIM };

/* A million draws: the share of zeros is that of a fair coin, within five standard errors (one
 * wrong alarm in two million, and seeds are fixed). p is rounded to 16 bits. */
static void test_dropout__zeros_have_their_share(void **state) {
    (void)state;
    static const float shares[] = {0.1f, 0.2f, 0.5f, 0.9f};
    FOR_TABLES(ops)
    for (size_t s = 0; s < sizeof shares / sizeof shares[0]; s++) {
        hone_drop drop = DROP;
        drop.p = shares[s];
        float *mask = mask_of(ops, &drop, DRAWS_ROWS, DRAWS_DIM, 0);
        double zeros = 0.0, p = (double)drop.p;
        for (size_t i = 0; i < DRAWS; i++) {
            assert_true(mask[i] == 0.0f || mask[i] == 1.0f / (1.0f - drop.p));
            zeros += mask[i] == 0.0f;
        }
        double error = 5.0 * sqrt(p * (1.0 - p) / DRAWS) + 0.5 / 65536.0;
        EXPECT(ops, zeros / DRAWS, p, error, "share of zeros", 0, s);
        free(mask);
    }
}

/* Two masks agree as two coins do, which are both heads or both tails with p^2 + (1 - p)^2. */
static void check_independent(const hone_ops *ops, const float *a, const float *b, size_t count,
                              const char *what) {
    double agree = 0.0, p = (double)DROP.p, want = p * p + (1.0 - p) * (1.0 - p);
    for (size_t i = 0; i < count; i++) agree += (a[i] == 0.0f) == (b[i] == 0.0f);
    double error = 5.0 * sqrt(want * (1.0 - want) / (double)count) + 1e-5; /* p in 16 bits */
    EXPECT(ops, agree / (double)count, want, error, what, 0, count);
}

static void test_dropout__changes_with_all_it_depends_on(void **state) {
    (void)state;
    FOR_TABLES(ops) {
        hone_drop others[] = {DROP, DROP, DROP, DROP, DROP};
        others[0].seed++;
        others[1].seed ^= UINT64_C(1) << 40;
        others[2].step++;
        others[3].site = hone_drop_site(HONE_DROP_OUT, 3, 5);
        others[4].site = DROP.site + (1U << 16); /* the next micro-batch */
        float *mask = mask_of(ops, &DROP, DRAWS_ROWS, DRAWS_DIM, 0);
        for (size_t i = 0; i < 5; i++) {
            float *other = mask_of(ops, &others[i], DRAWS_ROWS, DRAWS_DIM, 0);
            check_independent(ops, mask, other, DRAWS, "agreement");
            free(other);
        }
        /* the next row, the next group of a row, the next chunk of a row, the next column */
        static const size_t shifts[] = {DRAWS_DIM, 128, 64, 1024, 1, 16};
        for (size_t i = 0; i < sizeof shifts / sizeof shifts[0]; i++)
            check_independent(ops, mask, mask + shifts[i], DRAWS - shifts[i], "shifted agreement");
        free(mask);
    }
}

static void test_drop_site__is_unique(void **state) {
    (void)state;
    enum { KINDS = HONE_DROP_POOLED + 1, LAYERS = 40, MICROS = 40, ALL = KINDS * LAYERS * MICROS };
    uint32_t *sites = calloc(ALL, sizeof *sites);
    size_t count = 0;
    for (uint32_t kind = 0; kind < KINDS; kind++)
        for (size_t layer = 0; layer < LAYERS; layer++)
            for (uint32_t micro = 0; micro < MICROS; micro++)
                sites[count++] = hone_drop_site((hone_drop_kind)kind, layer ? 4096 - layer : 0,
                                                micro ? 65536 - micro : 0);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (sites[i] == sites[j]) fail_msg("%zu and %zu share site %u", i, j, sites[i]);
    free(sites);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dropout__is_the_scalar_program),
        cmocka_unit_test(test_dropout__multiplies),
        cmocka_unit_test(test_dropout__is_a_function_of_the_row),
        cmocka_unit_test(test_dropout__zeros_have_their_share),
        cmocka_unit_test(test_dropout__changes_with_all_it_depends_on),
        cmocka_unit_test(test_drop_site__is_unique),
    };
    return cmocka_run_group_tests(tests, find_tables, NULL);
}
