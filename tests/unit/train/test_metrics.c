/* test_metrics.c: figures worked out by hand, in scikit-learn's conventions. */
#include "train/metrics.h"

#include "check.h"

#include <math.h>

static void check_near(double got, double want) {
    if (!(fabs(got - want) < 1e-9)) fail_msg("%.12g, expected %.12g", got, want);
}

static hone_arena *arena_of(void) {
    hone_arena *arena = NULL;
    CHECK_OK(hone_arena_create(1 << 20, &arena));
    return arena;
}

/* targets 0 0 1 1 2, predictions 0 1 1 1 0; class 3 occurs nowhere */
static void test_metrics__classes_by_hand(void **state) {
    (void)state;
    const float values[] = {2,      0, 0, 0, /**/ 0, 2, 0, 0, /**/ 0, 2, 0, 0,
                            /**/ 0, 2, 0, 0, /**/ 2, 0, 0, 0};
    const int32_t targets[] = {0, 0, 1, 1, 2};
    hone_arena *arena = arena_of();
    hone_metrics m;
    CHECK_OK(hone_metrics_compute(arena, HONE_SINGLE_LABEL, &(hone_logits){5, 4, values},
                                  (hone_targets){targets, NULL}, &m));
    check_near(m.accuracy, 0.6);
    check_near(m.classes[0].precision, 0.5);
    check_near(m.classes[0].recall, 0.5);
    check_near(m.classes[0].f1, 0.5);
    check_near(m.classes[1].precision, 2.0 / 3);
    check_near(m.classes[1].recall, 1);
    check_near(m.classes[1].f1, 0.8);
    check_near(m.classes[2].precision, 0);
    check_near(m.classes[2].f1, 0);
    assert_int_equal(m.classes[1].support, 2);
    assert_int_equal(m.classes[1].predicted, 3);
    check_near(m.macro_f1, (0.5 + 0.8 + 0) / 3);
    double sum = log(exp(2) + 3);
    check_near(m.loss, (3 * (sum - 2) + 2 * sum) / 5);
    hone_arena_destroy(arena);
}

static void test_metrics__large_logits_stay_finite(void **state) {
    (void)state;
    const float values[] = {3e38F, -3e38F};
    const int32_t targets[] = {0};
    hone_arena *arena = arena_of();
    hone_metrics m;
    CHECK_OK(hone_metrics_compute(arena, HONE_SINGLE_LABEL, &(hone_logits){1, 2, values},
                                  (hone_targets){targets, NULL}, &m));
    check_near(m.loss, 0);
    hone_arena_destroy(arena);
}

static void test_metrics__regression_by_hand(void **state) {
    (void)state;
    const float values[] = {1, 2, 4}, targets[] = {1, 3, 3}, flat[] = {2, 2, 2};
    hone_arena *arena = arena_of();
    hone_metrics m;
    CHECK_OK(hone_metrics_compute(arena, HONE_REGRESSION, &(hone_logits){3, 1, values},
                                  (hone_targets){NULL, targets}, &m));
    check_near(m.mse, 2.0 / 3);
    check_near(m.loss, m.mse);
    check_near(m.pearson, 0.75592894601845); /* numpy.corrcoef */
    CHECK_OK(hone_metrics_compute(arena, HONE_REGRESSION, &(hone_logits){3, 1, flat},
                                  (hone_targets){NULL, targets}, &m));
    check_near(m.pearson, 0);
    hone_arena_destroy(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics__classes_by_hand),
        cmocka_unit_test(test_metrics__large_logits_stay_finite),
        cmocka_unit_test(test_metrics__regression_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
