/* test_realm.c: ARNs are made and read back; names that the service would refuse are refused. */
#include "check.h"

#include "base/realm.h"

static const hone_realm realm = {"eu-west-1", "123456789012"};

static void test_arn__is_made_of_region_account_and_name(void **state) {
    (void)state;
    hone_arena *arena = NULL;
    CHECK_OK(hone_arena_create(1 << 16, &arena));
    const char *arn = hone_arn_format(arena, realm, "flow-definition/%s", "mood");
    assert_string_equal(arn, "arn:aws:sagemaker:eu-west-1:123456789012:flow-definition/mood");
    hone_str name;
    assert_true(hone_arn_name(hone_str_of(arn), "flow-definition", false, &name));
    assert_true(hone_str_equal(name, HONE_S("mood")));
    char longest[4096];
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_null(hone_arn_format(arena, realm, "flow-definition/%s", longest));
    hone_arena_destroy(arena);
}

static void test_arn__of_another_kind_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "arn:aws:sagemaker:eu-west-1:123456789012:workteam/x",
        "arn:aws:sagemaker:eu-west-1:123456789012:flow-definition/",
        "arn:aws:sagemaker:eu-west-1:123456789012:flow-definition",
        "arn:aws:sagemaker:eu-west-1:flow-definition/x",
        "arn:",
        "mood",
        "",
    };
    hone_str name;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (hone_arn_name(hone_str_of(bad[i]), "flow-definition", false, &name))
            fail_msg("'%s' was taken", bad[i]);
}

static void test_arn__may_be_a_bare_name_where_that_is_allowed(void **state) {
    (void)state;
    hone_str name;
    assert_true(hone_arn_name(HONE_S("mood"), "flow-definition", true, &name));
    assert_true(hone_str_equal(name, HONE_S("mood")));
    assert_false(hone_arn_name(HONE_S(""), "flow-definition", true, &name));
}

static void test_name__has_letters_digits_and_inner_hyphens(void **state) {
    (void)state;
    assert_true(hone_name_is_valid(HONE_S("a"), 63, true));
    assert_true(hone_name_is_valid(HONE_S("a--1"), 63, true));
    assert_true(hone_name_is_valid(HONE_S("Crew"), 63, false));
    assert_false(hone_name_is_valid(HONE_S("Crew"), 63, true));
    assert_false(hone_name_is_valid(HONE_S("-a"), 63, true));
    assert_false(hone_name_is_valid(HONE_S("a-"), 63, true));
    assert_false(hone_name_is_valid(HONE_S("a/b"), 63, true));
    assert_false(hone_name_is_valid(HONE_S("a\n"), 63, true));
    assert_false(hone_name_is_valid(HONE_S(""), 63, true));
    assert_false(hone_name_is_valid(HONE_S("abcd"), 3, true));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arn__is_made_of_region_account_and_name),
        cmocka_unit_test(test_arn__of_another_kind_is_refused),
        cmocka_unit_test(test_arn__may_be_a_bare_name_where_that_is_allowed),
        cmocka_unit_test(test_name__has_letters_digits_and_inner_hyphens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
