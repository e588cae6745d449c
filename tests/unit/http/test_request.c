/* test_request.c: reading a request's head: headers by name, query parameters, percent-encoding. */
#include "check.h"

#include "http/server.h"

static hone_arena *arena;

static int set_up(void **state) {
    (void)state;
    CHECK_OK(hone_arena_create(1 << 16, &arena));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    hone_arena_destroy(arena);
    return 0;
}

static void test_header__is_found_by_its_lower_case_name(void **state) {
    (void)state;
    const hone_header headers[] = {
        {HONE_S("host"), HONE_S("a")}, {HONE_S("x"), HONE_S("1")}, {HONE_S("x"), HONE_S("2")}};
    hone_request request = {.headers = headers, .header_count = 3};
    assert_true(hone_str_equal(hone_request_header(&request, "x"), HONE_S("1")));
    assert_int_equal(hone_request_header(&request, "y").len, 0);
    assert_int_equal(hone_request_header(&request, "hos").len, 0);
}

static void test_query__finds_and_decodes(void **state) {
    (void)state;
    static const struct {
        const char *query, *name, *want; /* NULL: absent */
    } cases[] = {
        {"a=1&b=2", "b", "2"},
        {"a=1&b=2", "a", "1"},
        {"a=1&b=2", "c", NULL},
        {"", "a", NULL},
        {"a", "a", ""},
        {"a=", "a", ""},
        {"a=b=c", "a", "b=c"},
        {"&&a=1", "a", "1"},
        {"a=x+y%2Bz", "a", "x y+z"},
        {"%61=1", "a", "1"},
        {"a=%C3%BC", "a", "\xC3\xBC"},
        {"a=%", "a", NULL},
        {"a=%4", "a", NULL},
        {"a=%zz", "a", NULL},
        {"%=1&a=2", "a", "2"},
        {"aa=1", "a", NULL},
        {"a=1&a=2", "a", "1"},
        {"uploads", "uploads", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_request request = {.query = hone_str_of(cases[i].query), .arena = arena};
        hone_str value = {NULL, 0};
        bool found = hone_request_query(&request, cases[i].name, &value);
        if (found != (cases[i].want != NULL) ||
            (found && !hone_str_equal(value, hone_str_of(cases[i].want))))
            fail_msg("'%s' of '%s': %d '%.*s'", cases[i].name, cases[i].query, found,
                     HONE_ARG(value));
    }
}

static void test_percent__decodes_or_refuses(void **state) {
    (void)state;
    hone_str out = hone_percent_decode(arena, HONE_S("/a%20b+%2f%00"));
    assert_int_equal(out.len, 7);
    assert_memory_equal(out.ptr, "/a b+/\0", 7);
    assert_null(hone_percent_decode(arena, HONE_S("%")).ptr);
    assert_null(hone_percent_decode(arena, HONE_S("a%1")).ptr);
    assert_null(hone_percent_decode(arena, HONE_S("%g0")).ptr);
    assert_non_null(hone_percent_decode(arena, HONE_S("")).ptr);
    static char large[1 << 17];
    assert_null(hone_percent_decode(arena, (hone_str){large, sizeof large}).ptr);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_header__is_found_by_its_lower_case_name),
        TEST(test_query__finds_and_decodes),
        TEST(test_percent__decodes_or_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
