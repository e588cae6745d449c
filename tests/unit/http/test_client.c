/* test_client.c: what the HTTP client says without a network: headers, sizes, URLs.
 *
 * What it does on the wire (redirects, tokens, ranges, broken connections) is held by
 * tests/cli/test_pull.py against a hub on loopback. */
#include "check.h"

#include "http/client.h"

static const char lines[] = "Content-Length: 123\r\netag:\t\"a b\"  \r\nETag-Not: x\r\n"
                            "Empty:\r\nX: 1:2\r\nLast: z"; /* cut within its last line */
static const hone_http_reply reply = {200, {lines, sizeof lines - 1}};

static void check_header(const char *name, const char *want) {
    hone_str got = hone_http_reply_header(&reply, name);
    if (!hone_str_equal(got, hone_str_of(want)))
        fail_msg("header '%s' is '%.*s', expected '%s'", name, HONE_ARG(got), want);
}

static void test_header__is_found_in_any_case_and_trimmed(void **state) {
    (void)state;
    check_header("content-length", "123");
    check_header("ETag", "\"a b\"");
    check_header("Empty", "");
    check_header("X", "1:2");
    check_header("last", "z");
}

static void test_header__absent_is_empty(void **state) {
    (void)state;
    check_header("Content", "");
    check_header("ETag-No", "");
    check_header("z", "");
    hone_http_reply none = {404, {NULL, 0}};
    assert_int_equal(hone_http_reply_header(&none, "ETag").len, 0);
}

static void test_size__is_digits_that_fit_or_nothing(void **state) {
    (void)state;
    const struct {
        hone_str headers;
        int64_t want;
    } cases[] = {
        {HONE_S("N: 0\r\n"), 0},
        {HONE_S("N: 999999999999999999\r\n"), INT64_C(999999999999999999)},
        {HONE_S("N: 1000000000000000000\r\n"), -1},
        {HONE_S("N: -1\r\n"), -1},
        {HONE_S("N: 12 MB\r\n"), -1},
        {HONE_S("N: 0x10\r\n"), -1},
        {HONE_S("N:\r\n"), -1},
        {HONE_S("M: 1\r\n"), -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_http_reply r = {200, cases[i].headers};
        assert_int_equal(hone_http_reply_size(&r, "N"), cases[i].want);
    }
}

static void test_fetch__refuses_what_is_no_http_url(void **state) {
    (void)state;
    const char *urls[] = {"", "x", "file:///etc/passwd", "ftp://host/x", "http://", "http://a b/"};
    hone_http_client *client = NULL;
    CHECK_OK(hone_http_client_create(1000, 1000, &client));
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        hone_http_request request = {.url = urls[i]};
        hone_http_reply r;
        CHECK_FAILS(hone_http_fetch(client, &request, &r), HONE_E_INVALID, "no http or https URL");
    }
    hone_http_client_destroy(client);
    hone_http_client_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header__is_found_in_any_case_and_trimmed),
        cmocka_unit_test(test_header__absent_is_empty),
        cmocka_unit_test(test_size__is_digits_that_fit_or_nothing),
        cmocka_unit_test(test_fetch__refuses_what_is_no_http_url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
