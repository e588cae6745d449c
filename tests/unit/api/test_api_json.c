/* test_api_json.c: the fields of a request are taken within their limits, and what is wrong with
 * one is said by name. */
#include "check.h"

#include "api/api.h"

static json_t *parse(const char *text) {
    json_t *value = json_loads(text, JSON_ALLOW_NUL, NULL);
    assert_non_null(value);
    return value;
}

static void test_str__keeps_its_limits(void **state) {
    (void)state;
    json_t *in = parse(
        "{\"a\": \"abc\", \"b\": 1, \"c\": null, \"d\": \"x\\u0000y\", \"e\": \"\"}");
    hone_str s;
    CHECK_OK(hone_in_str(in, "a", 1, 3, &s));
    assert_true(hone_str_equal(s, HONE_S("abc")));
    CHECK_FAILS(hone_in_str(in, "a", 1, 2, &s), HONE_E_INVALID, "a has 3 bytes");
    CHECK_FAILS(hone_in_str(in, "a", 4, 9, &s), HONE_E_INVALID, "a has 3 bytes");
    CHECK_FAILS(hone_in_str(in, "b", 0, 9, &s), HONE_E_INVALID, "b is no string");
    CHECK_FAILS(hone_in_str(in, "d", 0, 9, &s), HONE_E_INVALID, "d holds a NUL");
    CHECK_FAILS(hone_in_str(in, "none", 1, 9, &s), HONE_E_INVALID, "none is missing");
    CHECK_FAILS(hone_in_str(in, "c", 1, 9, &s), HONE_E_INVALID, "c is missing");
    CHECK_FAILS(hone_in_str(in, "e", 1, 9, &s), HONE_E_INVALID, "e has 0 bytes");
    CHECK_OK(hone_in_str(in, "c", 0, 9, &s));
    assert_null(s.ptr);
    json_decref(in);
}

static void test_name__may_be_an_arn_of_its_kind(void **state) {
    (void)state;
    json_t *in = parse("{\"n\": \"mood\", \"arn\": \"arn:aws:sagemaker:r:1:flow-definition/mood\","
                       " \"other\": \"arn:aws:sagemaker:r:1:workteam/mood\", \"bad\": \"a b\"}");
    hone_str s;
    CHECK_OK(hone_in_name(in, "n", NULL, 63, true, &s));
    CHECK_OK(hone_in_name(in, "arn", "flow-definition", 63, true, &s));
    assert_true(hone_str_equal(s, HONE_S("mood")));
    CHECK_FAILS(hone_in_name(in, "arn", NULL, 63, true, &s), HONE_E_INVALID, "no valid name");
    CHECK_FAILS(hone_in_name(in, "other", "flow-definition", 63, true, &s), HONE_E_INVALID,
                "no valid name");
    CHECK_FAILS(hone_in_name(in, "bad", NULL, 63, true, &s), HONE_E_INVALID, "bad 'a b'");
    json_decref(in);
}

static void test_int__keeps_its_limits(void **state) {
    (void)state;
    json_t *in = parse("{\"a\": 7, \"b\": \"7\", \"c\": 7.5}");
    int64_t n = 0;
    CHECK_OK(hone_in_int(in, "a", 1, 7, 0, &n));
    assert_int_equal(n, 7);
    CHECK_OK(hone_in_int(in, "none", 1, 7, 3, &n));
    assert_int_equal(n, 3);
    CHECK_FAILS(hone_in_int(in, "a", 1, 6, 0, &n), HONE_E_INVALID, "a is 7");
    CHECK_FAILS(hone_in_int(in, "b", 1, 9, 0, &n), HONE_E_INVALID, "b is no integer");
    CHECK_FAILS(hone_in_int(in, "c", 1, 9, 0, &n), HONE_E_INVALID, "c is no integer");
    json_decref(in);
}

static void test_page__goes_on_where_the_one_before_ended(void **state) {
    (void)state;
    json_t *in = parse("{\"MaxResults\": 10, \"SortOrder\": \"Ascending\","
                       " \"CreationTimeAfter\": 1.5, \"NameContains\": \"mo\"}");
    json_t *out = json_object();
    hone_page page;
    CHECK_OK(hone_in_page(in, 50, true, &page));
    assert_int_equal(page.limit, 10);
    assert_int_equal(page.offset, 0);
    assert_false(page.descending);
    assert_int_equal(page.after_ms, 1500);
    assert_true(page.before_ms == INT64_MAX);
    hone_out_next(out, &page, false);
    assert_null(json_object_get(out, "NextToken"));
    hone_out_next(out, &page, true);
    json_object_set(in, "NextToken", json_object_get(out, "NextToken"));
    CHECK_OK(hone_in_page(in, 50, true, &page));
    assert_int_equal(page.offset, 10);
    json_decref(out);
    json_decref(in);
}

static void test_page__refuses_what_hone_never_gave(void **state) {
    (void)state;
    static const char *const bad[] = {
        "{\"NextToken\": \"n\"}",
        "{\"NextToken\": \"10\"}",
        "{\"NextToken\": \"n-1\"}",
        "{\"NextToken\": \"n1 OR 1=1\"}",
        "{\"NextToken\": \"n99999999999999999999999\"}",
        "{\"NextToken\": \"n999999999999999999\"}",
        "{\"NextToken\": 5}",
        "{\"MaxResults\": 0}",
        "{\"MaxResults\": 101}",
        "{\"MaxResults\": \"5\"}",
        "{\"SortOrder\": \"Up\"}",
        "{\"CreationTimeAfter\": \"yesterday\"}",
        "{\"CreationTimeBefore\": 1e300}",
        "{\"CreationTimeBefore\": -1}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json_t *in = parse(bad[i]);
        hone_page page;
        hone_err err = hone_in_page(in, 50, true, &page);
        if (err.code != HONE_E_INVALID) fail_msg("%s was taken", bad[i]);
        json_decref(in);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_str__keeps_its_limits),
        cmocka_unit_test(test_name__may_be_an_arn_of_its_kind),
        cmocka_unit_test(test_int__keeps_its_limits),
        cmocka_unit_test(test_page__goes_on_where_the_one_before_ended),
        cmocka_unit_test(test_page__refuses_what_hone_never_gave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
