/* test_err.c: an error carries its code outwards, its message stays one line and alive. */
#include "check.h"

#include "base/err.h"

#include <pthread.h>

static void test_err__ok_is_not_failed(void **state) {
    (void)state;
    assert_false(hone_failed(HONE_OK));
    assert_true(hone_failed(hone_err_new(HONE_E_IO, "x")));
}

static void test_err__wrap_keeps_the_code_and_both_sentences(void **state) {
    (void)state;
    hone_err err = hone_err_new(HONE_E_CORRUPT, "byte %d", 7);
    err = hone_err_wrap(err, "load '%s'", "m");
    assert_int_equal(err.code, HONE_E_CORRUPT);
    assert_string_equal(err.msg, "load 'm': byte 7");
}

static void test_err__message_is_one_printable_line(void **state) {
    (void)state;
    hone_err err = hone_err_new(HONE_E_IO, "open '%s'", "a\nb\x1B[31m\x7F");
    assert_string_equal(err.msg, "open 'a?b?[31m?'");
    assert_string_equal(hone_err_wrap(err, "x\ty").msg, "x?y: open 'a?b?[31m?'");
    assert_string_equal(hone_err_new(HONE_E_IO, "na\xC3\xAFve").msg, "na\xC3\xAFve");
}

static void test_err__long_messages_are_cut(void **state) {
    (void)state;
    char big[2000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    hone_err err = hone_err_new(HONE_E_IO, "%s", big);
    assert_int_equal(strlen(err.msg), 511);
    for (int i = 0; i < 20; i++) err = hone_err_wrap(err, "again");
    assert_int_equal(strlen(err.msg), 511);
    assert_int_equal(strlen(hone_err_wrap(err, "%s", big).msg), 511);
}

static void test_err__a_message_outlives_seven_more(void **state) {
    (void)state;
    hone_err err = hone_err_new(HONE_E_IO, "the first");
    for (int i = 0; i < 7; i++) (void)hone_err_new(HONE_E_IO, "another %d", i);
    assert_string_equal(err.msg, "the first");
}

static void *make_many(void *arg) {
    for (int i = 0; i < 1000; i++) (void)hone_err_new(HONE_E_IO, "of another thread");
    return arg;
}

static void test_err__threads_have_rings_of_their_own(void **state) {
    (void)state;
    pthread_t thread;
    hone_err err = hone_err_new(HONE_E_IO, "mine");
    assert_int_equal(pthread_create(&thread, NULL, make_many, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_string_equal(err.msg, "mine");
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err__ok_is_not_failed),
        cmocka_unit_test(test_err__wrap_keeps_the_code_and_both_sentences),
        cmocka_unit_test(test_err__message_is_one_printable_line),
        cmocka_unit_test(test_err__long_messages_are_cut),
        cmocka_unit_test(test_err__a_message_outlives_seven_more),
        cmocka_unit_test(test_err__threads_have_rings_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
