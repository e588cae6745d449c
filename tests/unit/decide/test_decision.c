/* When is a human asked? At the threshold's edges, for the audited share, again and again the
 * same, and never because a tag was misread. */
#include "decide/decision.h"

#include "check.h"

#include <math.h>

static const char *const names[] = {"Negative", "Positive"};

static void test_decision__takes_the_likeliest_label(void **state) {
    (void)state;
    hone_policy policy = hone_policy_default(HONE_S("flow"));
    const float logits[] = {0.0F, 2.0F};
    hone_decision d = hone_decision_make(&policy, logits, names, 2, HONE_S("text"));
    assert_int_equal(d.index, 1);
    assert_true(hone_str_equal(d.label, HONE_S("Positive")));
    assert_true(fabs(d.confidence - 1.0 / (1.0 + exp(-2.0))) < 1e-15);
    assert_int_equal(d.action, HONE_ACCEPT);
    assert_int_equal(d.reason, HONE_REASON_NONE);
    const float close[] = {0.2F, 0.0F};
    d = hone_decision_make(&policy, close, names, 2, HONE_S("text"));
    assert_int_equal(d.index, 0);
    assert_int_equal(d.action, HONE_ASK);
    assert_int_equal(d.reason, HONE_REASON_UNSURE);
}

static void test_decision__the_threshold_itself_is_sure(void **state) {
    (void)state;
    hone_policy policy = hone_policy_default(HONE_S("flow"));
    assert_int_equal(hone_decision_of(&policy, HONE_S("a"), 0.7, HONE_S("t")).action, HONE_ACCEPT);
    assert_int_equal(hone_decision_of(&policy, HONE_S("a"), nextafter(0.7, 0), HONE_S("t")).action,
                     HONE_ASK);
    assert_int_equal(hone_decision_of(&policy, HONE_S("a"), NAN, HONE_S("t")).reason,
                     HONE_REASON_UNSURE);
    policy.threshold = 0.0;
    assert_int_equal(hone_decision_of(&policy, HONE_S("a"), 0.0, HONE_S("t")).action, HONE_ACCEPT);
    assert_int_equal(hone_decision_of(&policy, HONE_S("a"), NAN, HONE_S("t")).action, HONE_ASK);
}

static void test_decision__one_label_is_judged_by_its_own_probability(void **state) {
    (void)state;
    hone_policy policy = hone_policy_default(HONE_S("flow"));
    const float logit = -2.0F;
    hone_decision d = hone_decision_make(&policy, &logit, names, 1, HONE_S("t"));
    assert_true(fabs(d.confidence - 1.0 / (1.0 + exp(2.0))) < 1e-15);
    assert_int_equal(d.action, HONE_ASK);
}

/* How many of 10,000 sure texts are audited. */
static int count_audited(const hone_policy *policy) {
    int asked = 0;
    for (int i = 0; i < 10000; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "text %d", i);
        hone_decision d = hone_decision_of(policy, HONE_S("a"), 0.99, hone_str_of(text));
        assert_int_equal(d.action == HONE_ASK, d.reason == HONE_REASON_AUDIT);
        asked += d.action == HONE_ASK;
    }
    return asked;
}

static void test_audit__draws_its_share_and_the_same_again(void **state) {
    (void)state;
    hone_policy policy = hone_policy_default(HONE_S("flow"));
    assert_int_equal(count_audited(&policy), 0);
    policy.audit = 1.0;
    assert_int_equal(count_audited(&policy), 10000);
    policy.audit = 0.05; /* 500 expected, standard deviation 22: within 5 of them */
    int asked = count_audited(&policy);
    assert_in_range(asked, 390, 610);
    assert_int_equal(count_audited(&policy), asked);
}

static void test_audit__two_flows_draw_apart(void **state) {
    (void)state;
    hone_policy a = {0.7, 0.5, HONE_S("a")}, b = {0.7, 0.5, HONE_S("b")};
    int differ = 0;
    for (int i = 0; i < 1000; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "text %d", i);
        differ += hone_policy_draws(&a, hone_str_of(text)) !=
                  hone_policy_draws(&b, hone_str_of(text));
    }
    assert_in_range(differ, 400, 600);
}

static void test_audit__a_larger_share_holds_the_smaller(void **state) {
    (void)state;
    hone_policy small = {0.7, 0.1, HONE_S("f")}, large = {0.7, 0.2, HONE_S("f")};
    for (int i = 0; i < 1000; i++) {
        char text[32];
        (void)snprintf(text, sizeof text, "text %d", i);
        if (hone_policy_draws(&small, hone_str_of(text)))
            assert_true(hone_policy_draws(&large, hone_str_of(text)));
    }
}

static void test_policy__is_read_from_tags(void **state) {
    (void)state;
    hone_policy policy = hone_policy_default(HONE_S("flow"));
    CHECK_OK(hone_policy_set(&policy, HONE_S("hone:threshold"), HONE_S("0.85")));
    CHECK_OK(hone_policy_set(&policy, HONE_S("hone:audit"), HONE_S("1")));
    CHECK_OK(hone_policy_set(&policy, HONE_S("team"), HONE_S("blue")));
    assert_true(policy.threshold == 0.85 && policy.audit == 1.0);
    static const char *const bad[] = {"",
                                      "1.1",
                                      "-0.1",
                                      "nan",
                                      "0,7",
                                      " 0.7",
                                      "0.7 ",
                                      "70%",
                                      ".",
                                      "0x1",
                                      "1e-3",
                                      "0.7.1",
                                      "00000000000000000000000000000000000.5"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_FAILS(hone_policy_set(&policy, HONE_S("hone:threshold"), hone_str_of(bad[i])),
                    HONE_E_INVALID, "tag 'hone:threshold' of flow 'flow'");
    assert_true(policy.threshold == 0.85);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decision__takes_the_likeliest_label),
        cmocka_unit_test(test_decision__the_threshold_itself_is_sure),
        cmocka_unit_test(test_decision__one_label_is_judged_by_its_own_probability),
        cmocka_unit_test(test_audit__draws_its_share_and_the_same_again),
        cmocka_unit_test(test_audit__two_flows_draw_apart),
        cmocka_unit_test(test_audit__a_larger_share_holds_the_smaller),
        cmocka_unit_test(test_policy__is_read_from_tags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
