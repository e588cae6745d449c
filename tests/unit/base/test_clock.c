/* test_clock.c: the time of day stands still when told to, and is written as the wire wants. */
#include "check.h"

#include "base/clock.h"

static void test_now__stands_still_and_goes_on(void **state) {
    (void)state;
    hone_now_fix_ms(1000);
    assert_int_equal(hone_now_ms(), 1000);
    hone_now_fix_ms(0);
    assert_true(hone_now_ms() > INT64_C(1700000000000));
}

static void test_time__is_utc_with_milliseconds(void **state) {
    (void)state;
    char out[HONE_TIME_SIZE];
    hone_time_format(0, out);
    assert_string_equal(out, "1970-01-01T00:00:00.000Z");
    hone_time_format(INT64_C(1795500179007), out); /* date -u -d @1795500179 */
    assert_string_equal(out, "2026-11-24T06:02:59.007Z");
}

static void test_time__makes_the_path_of_an_output(void **state) {
    (void)state;
    char out[HONE_TIME_SIZE];
    hone_time_format_path(INT64_C(1795500179999), out);
    assert_string_equal(out, "2026/11/24/06/02/59");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_now__stands_still_and_goes_on),
        cmocka_unit_test(test_time__is_utc_with_milliseconds),
        cmocka_unit_test(test_time__makes_the_path_of_an_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
