/* test_schedule.c: the figures of transformers.get_linear_schedule_with_warmup. */
#include "train/schedule.h"

#include "check.h"

#include <math.h>

static void test_warmup__is_steps_or_a_share_rounded_up(void **state) {
    (void)state;
    static const struct {
        double warmup;
        size_t total, want;
    } cases[] = {{0, 100, 0}, {0.1, 100, 10}, {0.1, 101, 11}, {0.1, 5, 1},
                 {1, 100, 1}, {25, 100, 25},  {0.5, 1, 1},    {500, 100, 500}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(hone_schedule_warmup(cases[i].warmup, cases[i].total), cases[i].want);
}

static void test_factor__rises_then_falls(void **state) {
    (void)state;
    static const struct {
        size_t step, warmup, total;
        double want;
    } cases[] = {
        {0, 3, 30, 0},         {1, 3, 30, 1.0 / 3},   {2, 3, 30, 2.0 / 3}, {3, 3, 30, 1},
        {4, 3, 30, 26.0 / 27}, {29, 3, 30, 1.0 / 27}, {30, 3, 30, 0},      {31, 3, 30, 0},
        {0, 0, 10, 1},         {9, 0, 10, 0.1},       {5, 100, 10, 0.05},  {0, 0, 1, 1},
        {1, 1, 1, 0}, /* all of it warm-up */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double got = hone_schedule_factor(cases[i].step, cases[i].warmup, cases[i].total);
        if (!(fabs(got - cases[i].want) < 1e-15)) fail_msg("case %zu: %.17g", i, got);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_warmup__is_steps_or_a_share_rounded_up),
        cmocka_unit_test(test_factor__rises_then_falls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
