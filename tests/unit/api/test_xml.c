/* test_xml.c: the little XML that S3 needs: read within limits, written so that it can be read. */
#include "check.h"

#include "api/xml.h"

static hone_err note(void *ctx, const char *path, hone_str text) {
    hone_buf_printf(ctx, "%s=%.*s;", path, HONE_ARG(text));
    return HONE_OK;
}

static hone_err parse(const char *xml, char out[512]) {
    hone_buf seen;
    hone_buf_init(&seen, 512);
    hone_err err = hone_xml_read(hone_str_of(xml), note, &seen);
    (void)snprintf(out, 512, "%.*s", HONE_ARG(hone_buf_str(&seen)));
    hone_buf_done(&seen);
    return err;
}

static void test_read__gives_paths_and_texts(void **state) {
    (void)state;
    char seen[512];
    CHECK_OK(parse("<a xmlns='http://x/'><s:b xmlns:s='y'>1 &amp; 2</s:b><c/><b>3</b></a>", seen));
    assert_string_equal(seen, "a/b=1 & 2;a/c=;a/b=3;a=;");
}

static void test_read__refuses(void **state) {
    (void)state;
    static const struct {
        const char *xml, *message;
    } cases[] = {
        {"", "malformed"},
        {"<a>", "malformed"},
        {"<a></b>", "malformed"},
        {"text", "malformed"},
        {"<a>\xFF</a>", "malformed"},
        {"<a>&undefined;</a>", "malformed"},
        {"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "document type"},
        {"<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", "document type"},
        {"<a><a><a><a><a><a><a><a><a/></a></a></a></a></a></a></a></a>", "too deeply"},
    };
    char seen[512];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CHECK_FAILS(parse(cases[i].xml, seen), HONE_E_CORRUPT, cases[i].message);
    char *large = malloc(10000);
    (void)snprintf(large, 10000, "<a>%09000d</a>", 0);
    CHECK_FAILS(parse(large, seen), HONE_E_CORRUPT, "too long");
    (void)snprintf(large, 10000, "<a%0300d/>", 0);
    CHECK_FAILS(parse(large, seen), HONE_E_CORRUPT, "too deeply");
    free(large);
}

static hone_err refuse(void *ctx, const char *path, hone_str text) {
    (void)path;
    (void)text;
    ++*(int *)ctx;
    return hone_err_new(HONE_E_FULL, "enough");
}

static void test_read__stops_where_the_caller_fails(void **state) {
    (void)state;
    int calls = 0;
    CHECK_FAILS(hone_xml_read(HONE_S("<a><b/><b/></a>"), refuse, &calls), HONE_E_FULL, "enough");
    assert_int_equal(calls, 1);
}

static void test_push__can_be_read_again(void **state) {
    (void)state;
    char seen[512];
    hone_buf out;
    hone_buf_init(&out, 512);
    hone_xml_push_element(&out, "k", HONE_S("<&>\"'\r\n\t\xC3\xBC \x01\xFF\xEF\xBF\xBF"));
    hone_buf_push_char(&out, '\0');
    CHECK_OK(parse(out.ptr, seen));
    assert_string_equal(seen, "k=<&>\"'\r\n\t\xC3\xBC ???;");
    hone_buf_done(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read__gives_paths_and_texts),
        cmocka_unit_test(test_read__refuses),
        cmocka_unit_test(test_read__stops_where_the_caller_fails),
        cmocka_unit_test(test_push__can_be_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
