/* Scores against the formulas in long double, at sizes where a naive exponential overflows. */
#include "decide/scores.h"

#include "check.h"

#include <math.h>

static const float logits[] = {-1.5F, 0.0F, 2.25F, 2.0F};
enum { COUNT = 4 };

static void test_scores__softmax_is_the_formula(void **state) {
    (void)state;
    double got[COUNT], sum = 0.0;
    long double total = 0.0L;
    hone_scores(HONE_SCORE_SOFTMAX, logits, COUNT, got);
    for (int i = 0; i < COUNT; i++) total += expl((long double)logits[i]);
    for (int i = 0; i < COUNT; i++) {
        assert_true(fabs(got[i] - (double)(expl((long double)logits[i]) / total)) < 1e-15);
        sum += got[i];
    }
    assert_true(fabs(sum - 1.0) < 1e-15);
    assert_int_equal(hone_scores_best(got, COUNT), 2);
}

static void test_scores__extremes_do_not_overflow(void **state) {
    (void)state;
    static const float huge[] = {-3e38F, 3e38F, 3e38F};
    double got[3];
    hone_scores(HONE_SCORE_SOFTMAX, huge, 3, got);
    assert_true(got[0] == 0.0 && got[1] == 0.5 && got[2] == 0.5);
    assert_int_equal(hone_scores_best(got, 3), 1); /* the first of equals */
    hone_scores(HONE_SCORE_SIGMOID, huge, 2, got);
    assert_true(got[0] == 0.0 && got[1] == 1.0);
}

static void test_scores__sigmoid_and_none(void **state) {
    (void)state;
    double got[COUNT];
    hone_scores(HONE_SCORE_SIGMOID, logits, COUNT, got);
    assert_true(got[1] == 0.5);
    assert_true(fabs(got[2] - 1.0 / (1.0 + exp(-2.25))) < 1e-15);
    hone_scores(HONE_SCORE_NONE, logits, COUNT, got);
    for (int i = 0; i < COUNT; i++) assert_true(got[i] == (double)logits[i]);
}

static void test_scores__best_passes_over_what_is_no_number(void **state) {
    (void)state;
    const double scores[] = {NAN, 0.25, NAN, 0.5};
    assert_int_equal(hone_scores_best(scores, 4), 3);
    assert_int_equal(hone_scores_best(scores, 1), 0);
}

static void test_scoring__is_parsed(void **state) {
    (void)state;
    hone_scoring scoring = HONE_SCORE_SOFTMAX;
    CHECK_OK(hone_scoring_parse(HONE_S("none"), &scoring));
    assert_int_equal(scoring, HONE_SCORE_NONE);
    CHECK_OK(hone_scoring_parse(HONE_S("sigmoid"), &scoring));
    assert_int_equal(scoring, HONE_SCORE_SIGMOID);
    CHECK_FAILS(hone_scoring_parse(HONE_S("SoftMax"), &scoring), HONE_E_INVALID, "'SoftMax'");
    assert_int_equal(hone_scoring_default(1), HONE_SCORE_SIGMOID);
    assert_int_equal(hone_scoring_default(2), HONE_SCORE_SOFTMAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scores__softmax_is_the_formula),
        cmocka_unit_test(test_scores__extremes_do_not_overflow),
        cmocka_unit_test(test_scores__sigmoid_and_none),
        cmocka_unit_test(test_scores__best_passes_over_what_is_no_number),
        cmocka_unit_test(test_scoring__is_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
