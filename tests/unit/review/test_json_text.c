/* JSON as text: compact, numbers short and exact, and nothing in it that could end a script. */
#include "review/json_text.h"

#include "check.h"

static void check_text(const char *json, hone_json_style style, const char *want) {
    hone_buf out;
    json_t *value = json_loads(json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(value);
    hone_buf_init(&out, 1 << 16);
    hone_json_text_push(&out, value, style);
    hone_buf_push_char(&out, '\0');
    CHECK_OK(hone_buf_err(&out));
    assert_string_equal(out.ptr, want);
    hone_buf_done(&out);
    json_decref(value);
}

static void test_text__is_compact_and_keeps_the_order(void **state) {
    (void)state;
    check_text("{ \"b\" : [ 1 , null, true, false ], \"a\": {} }", HONE_JSON_PLAIN,
               "{\"b\":[1,null,true,false],\"a\":{}}");
}

static void test_numbers__are_as_short_as_reads_back(void **state) {
    (void)state;
    check_text("[0.61, 0.1, 1e300, 5.0, 1e21, 0.30000000000000004, -0.5, 9007199254740993]",
               HONE_JSON_PLAIN,
               "[0.61,0.1,1e+300,5.0,1e+21,0.30000000000000004,-0.5,9007199254740993]");
}

static void test_strings__are_escaped(void **state) {
    (void)state;
    check_text("[\"q\\\" b\\\\ n\\n t\\t z\\u0000 \\u00fc </script>\"]", HONE_JSON_PLAIN,
               "[\"q\\\" b\\\\ n\\n t\\u0009 z\\u0000 ü </script>\"]");
    check_text("{\"<k\": \"</script>\"}", HONE_JSON_IN_HTML, "{\"\\u003ck\":\"\\u003c/script>\"}");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text__is_compact_and_keeps_the_order),
        cmocka_unit_test(test_numbers__are_as_short_as_reads_back),
        cmocka_unit_test(test_strings__are_escaped),
    };
    return cmocka_run_group_tests_name("json_text", tests, NULL, NULL);
}
