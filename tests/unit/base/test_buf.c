/* test_buf.c: appends arrive, the limit holds, and the first failure is remembered. */
#include "check.h"
#include "fault.h"

#include "base/buf.h"

static void assert_holds(const hone_buf *buf, hone_str want) {
    assert_int_equal(buf->len, want.len);
    assert_true(hone_str_equal(hone_buf_str(buf), want));
}

static void test_buf__appends_in_order(void **state) {
    (void)state;
    hone_buf buf;
    hone_buf_init(&buf, 1 << 20);
    assert_null(buf.ptr);
    hone_buf_push(&buf, (hone_str){NULL, 0});
    hone_buf_push(&buf, HONE_S("a\0b"));
    hone_buf_push_char(&buf, '-');
    hone_buf_printf(&buf, "%d %s", 42, "x");
    hone_buf_printf(&buf, "%s", "");
    CHECK_OK(hone_buf_err(&buf));
    assert_holds(&buf, HONE_S("a\0b-42 x"));
    hone_buf_done(&buf);
    assert_null(buf.ptr);
}

static void test_buf__grows_over_many_appends(void **state) {
    (void)state;
    hone_buf buf;
    hone_buf_init(&buf, 1 << 20);
    for (int i = 0; i < 10000; i++) hone_buf_printf(&buf, "%05d", i);
    CHECK_OK(hone_buf_err(&buf));
    assert_int_equal(buf.len, 50000);
    assert_true(buf.cap < 2 * buf.len + 256);
    for (int i = 0; i < 10000; i++) {
        char want[8];
        (void)snprintf(want, sizeof want, "%05d", i);
        assert_memory_equal(buf.ptr + i * 5, want, 5);
    }
    hone_buf_done(&buf);
}

static void test_buf__fills_to_the_last_byte_of_the_limit(void **state) {
    (void)state;
    hone_buf buf;
    hone_buf_init(&buf, 1000);
    for (int i = 0; i < 1000; i++) hone_buf_push_char(&buf, 'x');
    CHECK_OK(hone_buf_err(&buf));
    assert_true(buf.cap <= 1000);
    hone_buf_push_char(&buf, 'y');
    CHECK_FAILS(hone_buf_err(&buf), HONE_E_FULL, "1000");
    assert_int_equal(buf.len, 1000);
    hone_buf_done(&buf);
}

static void test_buf__after_a_failure_nothing_is_appended(void **state) {
    (void)state;
    hone_buf buf;
    hone_buf_init(&buf, 4);
    hone_buf_push(&buf, HONE_S("abc"));
    hone_buf_push(&buf, HONE_S("de"));
    hone_buf_push_char(&buf, 'f'); /* would fit, but would leave a hole */
    hone_buf_printf(&buf, "%d", 1);
    assert_null(hone_buf_reserve(&buf, 0));
    CHECK_FAILS(hone_buf_err(&buf), HONE_E_FULL, "limit of 4");
    assert_holds(&buf, HONE_S("abc"));
    hone_buf_done(&buf);
}

static void test_buf__absurd_sizes_are_refused(void **state) {
    (void)state;
    hone_buf buf;
    hone_buf_init(&buf, SIZE_MAX);
    hone_buf_push_char(&buf, 'x');
    assert_null(hone_buf_reserve(&buf, SIZE_MAX / 2 + 2)); /* doubling would reach 0 */
    CHECK_FAILS(hone_buf_err(&buf), HONE_E_NOMEM, "no memory");
    hone_buf_done(&buf);
    hone_buf_init(&buf, SIZE_MAX);
    hone_buf_push_char(&buf, 'x');
    assert_null(hone_buf_reserve(&buf, SIZE_MAX));
    CHECK_FAILS(hone_buf_err(&buf), HONE_E_FULL, "limit");
    hone_buf_done(&buf);
}

static void test_buf__reserve_lets_the_caller_write(void **state) {
    (void)state;
    hone_buf buf;
    hone_buf_init(&buf, 100);
    char *end = hone_buf_reserve(&buf, 10);
    assert_non_null(end);
    memcpy(end, "abc", 3);
    buf.len += 3;
    hone_buf_push_char(&buf, 'd');
    assert_holds(&buf, HONE_S("abcd"));
    hone_buf_done(&buf);
}

static hone_err append_much(void *ctx) {
    (void)ctx;
    hone_buf buf;
    hone_buf_init(&buf, 1 << 20);
    for (int i = 0; i < 2000; i++) hone_buf_printf(&buf, "%d", i);
    hone_err err = hone_buf_err(&buf);
    hone_buf_done(&buf);
    return err;
}

static void test_buf__survives_every_failed_allocation(void **state) {
    (void)state;
    assert_in_range(fault_sweep(append_much, NULL), 5, 10);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf__appends_in_order),
        cmocka_unit_test(test_buf__grows_over_many_appends),
        cmocka_unit_test(test_buf__fills_to_the_last_byte_of_the_limit),
        cmocka_unit_test(test_buf__after_a_failure_nothing_is_appended),
        cmocka_unit_test(test_buf__absurd_sizes_are_refused),
        cmocka_unit_test(test_buf__reserve_lets_the_caller_write),
        cmocka_unit_test(test_buf__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
