/* test_json.c: getters with their bounds and messages, strings out and back in, files.
 * What hone_json_push_str writes is read back by jansson. */
#include "check.h"
#include "fault.h"

#include "base/json.h"
#include "base/utf8.h"

#include <math.h>

static json_t *parsed(const char *text) {
    json_t *value = NULL;
    CHECK_OK(hone_json_parse(hone_str_of(text), "doc", &value));
    return value;
}

static void test_json_parse__names_the_place_of_an_error(void **state) {
    (void)state;
    json_t *value = NULL;
    static const struct {
        hone_str text;
        const char *message;
    } cases[] = {
        {{NULL, 0}, "config.json: line 1, column 0"},
        {HONE_S("{\"a\": 1,\n \"b\": }"), "config.json: line 2, column "},
        {HONE_S("{\"a\": 1"), "config.json: line 1"},
        {HONE_S("{} x"), "end of file expected"},
        {HONE_S("[1]"), "expected a JSON object"},
        {HONE_S("17"), "config.json: "},
        {HONE_S("{\"a\": \"\xFF\"}"), "byte 0xff"},
        {HONE_S("{\"a\": 1e999}"), "config.json: "},
        {HONE_S("{\"a\": NaN}"), "config.json: "},
        {HONE_S("{\"a\": 99999999999999999999}"), "config.json: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_err err = hone_json_parse(cases[i].text, "config.json", &value);
        assert_int_equal(err.code, HONE_E_CORRUPT);
        if (!strstr(err.msg, cases[i].message)) fail_msg("case %zu: %s", i, err.msg);
        assert_null(strchr(err.msg, '\n'));
    }
    assert_null(value);
}

static void test_json_parse__deep_nesting_is_refused(void **state) {
    (void)state;
    enum { DEPTH = 1000000 };
    char *deep = malloc(5 + DEPTH);
    assert_non_null(deep);
    memcpy(deep, "{\"a\":", 5);
    memset(deep + 5, '[', DEPTH);
    json_t *value = NULL;
    CHECK_FAILS(hone_json_parse((hone_str){deep, 5 + DEPTH}, "doc", &value), HONE_E_CORRUPT,
                "depth");
    free(deep);
}

static void test_json_parse__bytes_behind_the_text_are_not_read(void **state) {
    (void)state;
    char *text = malloc(2); /* the address sanitizer watches what is behind */
    assert_non_null(text);
    memcpy(text, "{}", 2);
    json_t *value = NULL;
    CHECK_OK(hone_json_parse((hone_str){text, 2}, "doc", &value));
    json_decref(value);
    free(text);
}

static void test_json_str__holds_nul_and_forgives_other_types(void **state) {
    (void)state;
    json_t *value = parsed("{\"s\": \"a\\u0000b\", \"n\": 1}");
    assert_true(hone_str_equal(hone_json_str(json_object_get(value, "s")), HONE_S("a\0b")));
    assert_int_equal(hone_json_str(json_object_get(value, "n")).len, 0);
    assert_int_equal(hone_json_str(NULL).len, 0);
    json_decref(value);
}

static void test_json_int__bounds_type_and_fallback(void **state) {
    (void)state;
    json_t *value = parsed("{\"n\": 12, \"null\": null, \"f\": 1.0, \"s\": \"1\", \"b\": true}");
    int64_t n = -1;
    CHECK_OK(hone_json_int(value, "doc", "n", 12, 12, 0, &n));
    assert_int_equal(n, 12);
    CHECK_OK(hone_json_int(value, "doc", "null", 0, 9, 5, &n));
    assert_int_equal(n, 5);
    CHECK_OK(hone_json_int(value, "doc", "absent", 0, 9, 6, &n));
    assert_int_equal(n, 6);
    CHECK_FAILS(hone_json_int(value, "doc", "n", 0, 11, 0, &n), HONE_E_CORRUPT,
                "doc: 'n' is 12, expected 0 to 11");
    CHECK_FAILS(hone_json_int(value, "doc", "n", 13, 20, 0, &n), HONE_E_CORRUPT, "'n' is 12");
    static const char *const others[] = {"f", "s", "b"};
    for (size_t i = 0; i < 3; i++)
        CHECK_FAILS(hone_json_int(value, "doc", others[i], 0, 9, 0, &n), HONE_E_CORRUPT,
                    "is no integer");
    assert_int_equal(n, 6); /* untouched by the failures */
    json_decref(value);
}

static void test_json_number__bounds_type_and_fallback(void **state) {
    (void)state;
    json_t *value = parsed("{\"x\": 1e-12, \"n\": 3, \"s\": \"1\", \"null\": null}");
    double x = -1;
    CHECK_OK(hone_json_number(value, "doc", "x", 0, 1, 0, &x));
    assert_true(x == 1e-12);
    CHECK_OK(hone_json_number(value, "doc", "n", 0, 3, 0, &x));
    assert_true(x == 3);
    CHECK_OK(hone_json_number(value, "doc", "null", 0, 3, 0.5, &x));
    assert_true(x == 0.5);
    CHECK_FAILS(hone_json_number(value, "doc", "n", 0, 2.5, 0, &x), HONE_E_CORRUPT,
                "doc: 'n' is 3, expected 0 to 2.5");
    CHECK_FAILS(hone_json_number(value, "doc", "s", 0, 3, 0, &x), HONE_E_CORRUPT, "is no number");
    json_decref(value);
}

static void test_json_bool__type_and_fallback(void **state) {
    (void)state;
    json_t *value = parsed("{\"t\": true, \"f\": false, \"null\": null, \"n\": 1}");
    bool b = false;
    CHECK_OK(hone_json_bool(value, "doc", "t", false, &b));
    assert_true(b);
    CHECK_OK(hone_json_bool(value, "doc", "f", true, &b));
    assert_false(b);
    CHECK_OK(hone_json_bool(value, "doc", "null", true, &b));
    assert_true(b);
    CHECK_OK(hone_json_bool(value, "doc", "absent", false, &b));
    assert_false(b);
    CHECK_FAILS(hone_json_bool(value, "doc", "n", true, &b), HONE_E_CORRUPT,
                "doc: 'n' is neither true nor false");
    json_decref(value);
}

/* s as a JSON string, read back by jansson; want is what comes back. */
static void check_round_trip(hone_str s, hone_str want) {
    hone_buf buf;
    hone_buf_init(&buf, 1 << 16);
    hone_buf_push(&buf, HONE_S("{\"s\":"));
    hone_json_push_str(&buf, s);
    hone_buf_push_char(&buf, '}');
    CHECK_OK(hone_buf_err(&buf));
    for (size_t i = 0; i < buf.len; i++) /* one line, and nothing a terminal obeys */
        assert_true((unsigned char)buf.ptr[i] >= 0x20 && buf.ptr[i] != 0x7F);
    json_t *value = NULL;
    CHECK_OK(hone_json_parse(hone_buf_str(&buf), "doc", &value));
    hone_str got = hone_json_str(json_object_get(value, "s"));
    if (!hone_str_equal(got, want)) fail_msg("%.*s came back wrong", HONE_ARG(hone_buf_str(&buf)));
    json_decref(value);
    hone_buf_done(&buf);
}

static void test_json_push_str__every_byte_survives_or_is_replaced(void **state) {
    (void)state;
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        hone_str s = {&byte, 1};
        check_round_trip(s, c < 0x80 ? s : HONE_S("\xEF\xBF\xBD"));
    }
}

static void test_json_push_str__text_survives(void **state) {
    (void)state;
    static const hone_str texts[] = {
        HONE_S(""),
        HONE_S("\"quoted\" back\\slash / \b\f\n\r\t"),
        HONE_S("\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80 \xE2\x80\xA8"),
        HONE_S("a\0b"),
        HONE_S("\\u0041 is not A"),
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        check_round_trip(texts[i], texts[i]);
}

static void test_json_push_str__bad_utf8_is_replaced(void **state) {
    (void)state;
    check_round_trip(HONE_S("a\xFFz"), HONE_S("a\xEF\xBF\xBDz"));
    check_round_trip(HONE_S("\xC3"), HONE_S("\xEF\xBF\xBD"));
    check_round_trip(HONE_S("\xED\xA0\x80"), HONE_S("\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"));
}

static void test_json_file__saved_is_loaded_again(void **state) {
    (void)state;
    const char *dir = check_tmpdir();
    char path[128];
    (void)snprintf(path, sizeof path, "%s/x.json", dir);
    static const double numbers[] = {1e-12, 0.1, 5e-5, 1.0 / 3, 1e300, -0.02};
    json_t *value = json_object();
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char key[8];
        (void)snprintf(key, sizeof key, "k%zu", i);
        assert_int_equal(json_object_set_new(value, key, json_real(numbers[i])), 0);
    }
    CHECK_OK(hone_json_save(path, value));
    json_decref(value);

    CHECK_OK(hone_json_load(path, 1 << 16, &value));
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char key[8];
        double x = 0;
        (void)snprintf(key, sizeof key, "k%zu", i);
        CHECK_OK(hone_json_number(value, "doc", key, -INFINITY, INFINITY, 0, &x));
        assert_true(x == numbers[i]);
    }
    json_decref(value);
    CHECK_FAILS(hone_json_load(path, 10, &value), HONE_E_FULL, "at most 10");
    CHECK_FAILS(hone_json_load(dir, 10, &value), HONE_E_INVALID, "is no file");
    check_rmtree(dir);
    CHECK_FAILS(hone_json_load(path, 10, &value), HONE_E_NOT_FOUND, path);
}

static hone_err save_and_load(void *ctx) {
    json_t *value = NULL;
    json_t *object = json_pack("{s:[i,i,i], s:s}", "a", 1, 2, 3, "b", "text");
    if (!object) return hone_err_new(HONE_E_NOMEM, "object");
    hone_err err = hone_json_save(ctx, object);
    json_decref(object);
    HONE_TRY(err);
    err = hone_json_load(ctx, 1 << 16, &value);
    /* jansson reports a failed allocation as a text it cannot read */
    if (err.code == HONE_E_CORRUPT) return hone_err_new(HONE_E_NOMEM, "%s", err.msg);
    HONE_TRY(err);
    json_decref(value);
    return HONE_OK;
}

static void test_json_file__survives_every_failed_call(void **state) {
    (void)state;
    char path[128];
    const char *dir = check_tmpdir();
    (void)snprintf(path, sizeof path, "%s/x.json", dir);
    json_set_alloc_funcs(malloc, free); /* ours, so that jansson meets the faults too */
    assert_true(fault_sweep(save_and_load, path) > 10);
    check_rmtree(dir);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_parse__names_the_place_of_an_error),
        cmocka_unit_test(test_json_parse__deep_nesting_is_refused),
        cmocka_unit_test(test_json_parse__bytes_behind_the_text_are_not_read),
        cmocka_unit_test(test_json_str__holds_nul_and_forgives_other_types),
        cmocka_unit_test(test_json_int__bounds_type_and_fallback),
        cmocka_unit_test(test_json_number__bounds_type_and_fallback),
        cmocka_unit_test(test_json_bool__type_and_fallback),
        cmocka_unit_test(test_json_push_str__every_byte_survives_or_is_replaced),
        cmocka_unit_test(test_json_push_str__text_survives),
        cmocka_unit_test(test_json_push_str__bad_utf8_is_replaced),
        cmocka_unit_test(test_json_file__saved_is_loaded_again),
        cmocka_unit_test(test_json_file__survives_every_failed_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
