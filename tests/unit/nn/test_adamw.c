/* test_adamw.c: the optimiser's kernels against the formula in double, on odd sizes, with one
 * and several threads. Floats carry 24 bits, and a step adds a few rounding errors: 1e-6. */
#include "nn/adamw.h"

#include "check.h"

#include <math.h>

enum { COUNT = 200003 };

static float grads[COUNT], values[COUNT], m[COUNT], v[COUNT];

/* Numbers in (-1, 1) without a pattern. */
static float draw(size_t i) { return (float)(i * 2654435761U % 65536) / 32768.0F - 1.0F; }

static void fill(void) {
    for (size_t i = 0; i < COUNT; i++) {
        grads[i] = draw(i + 7) * 0.3F;
        values[i] = draw(3 * i);
        m[i] = v[i] = 0;
    }
}

static const hone_adamw_span spans[] = {
    {0, 65536, true}, {65536, 65536, false}, {131072, 1, true}, {131080, COUNT - 131080, true}};

static void run_rows(hone_pool *pool, uint64_t step, double scale, hone_used_rows moving) {
    hone_adamw_args args = {.values = values,
                            .m = m,
                            .v = v,
                            .grads = grads,
                            .spans = spans,
                            .span_count = 4,
                            .moving = moving,
                            .lr = 1e-3,
                            .beta1 = 0.9,
                            .beta2 = 0.999,
                            .eps = 1e-8,
                            .weight_decay = 0.1,
                            .grad_scale = scale,
                            .step = step};
    hone_adamw_step(pool, &args);
}

static void run(hone_pool *pool, uint64_t step, double scale) {
    run_rows(pool, step, scale, (hone_used_rows){0});
}

static void test_adamw__follows_the_formula(void **state) {
    (void)state;
    static const size_t places[] = {0, 1, 65535, 65536, 131071, 131072, 131080, COUNT - 1};
    hone_pool *pool = NULL;
    CHECK_OK(hone_pool_create(2, &pool));
    fill();
    for (uint64_t step = 1; step <= 3; step++) run(pool, step, 0.5);
    for (size_t k = 0; k < sizeof places / sizeof places[0]; k++) {
        size_t i = places[k];
        bool decays = i < 65536 || i >= 131072;
        double value = (double)draw(3 * i), mm = 0, vv = 0;
        double g = (double)(draw(i + 7) * 0.3F) * 0.5;
        for (int step = 1; step <= 3; step++) {
            if (decays) value *= 1 - 1e-3 * 0.1;
            mm = 0.9 * mm + 0.1 * g;
            vv = 0.999 * vv + 0.001 * g * g;
            value -= 1e-3 * mm / (1 - pow(0.9, step)) / (sqrt(vv / (1 - pow(0.999, step))) + 1e-8);
        }
        if (!(fabs((double)values[i] - value) < 1e-6))
            fail_msg("value %zu is %.9g, expected %.9g", i, (double)values[i], value);
    }
    for (size_t i = 131073; i < 131080; i++) assert_true(values[i] == draw(3 * i)); /* a gap */
    hone_pool_destroy(pool);
}

static void test_adamw__rate_zero_moves_nothing(void **state) {
    (void)state;
    hone_pool *pool = NULL;
    CHECK_OK(hone_pool_create(1, &pool));
    fill();
    hone_adamw_args args = {.values = values,
                            .m = m,
                            .v = v,
                            .grads = grads,
                            .spans = spans,
                            .span_count = 4,
                            .beta1 = 0.9,
                            .beta2 = 0.999,
                            .eps = 1e-8,
                            .weight_decay = 0.1,
                            .grad_scale = 1,
                            .step = 1};
    hone_adamw_step(pool, &args);
    for (size_t i = 0; i < COUNT; i++) assert_true(values[i] == draw(3 * i));
    hone_pool_destroy(pool);
}

static void test_adamw__threads_do_not_change_a_bit(void **state) {
    (void)state;
    static float first[COUNT];
    double norm = 0, partials[8];
    assert_true(hone_norm_partials(COUNT) <= 8);
    for (size_t threads = 1; threads <= 7; threads += 2) {
        hone_pool *pool = NULL;
        CHECK_OK(hone_pool_create(threads, &pool));
        fill();
        run(pool, 1, 1);
        double again = hone_norm(pool, values, COUNT, (hone_used_rows){0}, partials);
        if (threads == 1) {
            memcpy(first, values, sizeof values);
            norm = again;
        }
        assert_memory_equal(first, values, sizeof values);
        assert_true(norm == again);
        hone_pool_destroy(pool);
    }
}

/* A table whose rows are 0 but for some: told so or not, the same bytes. */
static void test_adamw__unused_rows_change_no_bit(void **state) {
    (void)state;
    enum { ROWS = 700, WIDTH = 264, WHOLE = 4 };
    static float first[WHOLE][COUNT];
    static uint8_t used[ROWS], moving[ROWS];
    float *const arrays[WHOLE] = {values, m, v, grads};
    double norms[2], partials[8];
    hone_pool *pool = NULL;
    CHECK_OK(hone_pool_create(2, &pool));
    for (size_t i = 0; i < ROWS; i++) {
        used[i] = i % 5 == 1 || i == 0 || i == ROWS - 1;
        moving[i] = used[i] || i % 3 == 0;
    }
    for (int told = 0; told < 2; told++) {
        hone_used_rows grown = {used, told ? ROWS : 0, WIDTH}, moved = grown;
        moved.used = moving;
        fill();
        for (size_t i = 0; i < (size_t)ROWS * WIDTH; i++) {
            if (!used[i / WIDTH]) grads[i] = 0;
            if (moving[i / WIDTH]) m[i] = v[i] = 0.25F;
        }
        norms[told] = hone_norm(pool, grads, COUNT, grown, partials);
        for (uint64_t step = 1; step <= 2; step++) run_rows(pool, step, 0.5, moved);
        for (size_t k = 0; k < WHOLE; k++) {
            if (told) assert_memory_equal(first[k], arrays[k], sizeof first[k]);
            memcpy(first[k], arrays[k], sizeof first[k]);
        }
    }
    assert_true(norms[0] == norms[1]);
    assert_true(values[2 * WIDTH] != draw(3 * 2 * WIDTH)); /* the decay of a row without gradient */
    hone_pool_destroy(pool);
}

static void test_norm__is_euclidean_at_every_size(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 7, 8, 9, 65535, 65536, 65537, COUNT};
    double partials[8];
    hone_pool *pool = NULL;
    CHECK_OK(hone_pool_create(2, &pool));
    fill();
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        double sum = 0;
        for (size_t i = 0; i < sizes[k]; i++) sum += (double)grads[i] * (double)grads[i];
        double norm = hone_norm(pool, grads, sizes[k], (hone_used_rows){0}, partials);
        assert_true(fabs(norm - sqrt(sum)) <= 1e-12 * sqrt(sum));
    }
    hone_pool_destroy(pool);
}

static void test_clip_scale__is_torchs(void **state) {
    (void)state;
    assert_true(hone_clip_scale(0.5, 1) == 1);
    assert_true(hone_clip_scale(4, 0) == 1);
    assert_true(fabs(hone_clip_scale(4, 1) - 1 / 4.000001) < 1e-15);
    assert_true(hone_clip_scale(0, 1) == 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adamw__follows_the_formula),
        cmocka_unit_test(test_adamw__rate_zero_moves_nothing),
        cmocka_unit_test(test_adamw__threads_do_not_change_a_bit),
        cmocka_unit_test(test_adamw__unused_rows_change_no_bit),
        cmocka_unit_test(test_norm__is_euclidean_at_every_size),
        cmocka_unit_test(test_clip_scale__is_torchs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
