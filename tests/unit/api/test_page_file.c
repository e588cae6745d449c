/* The files of the pages: what the build put in is found under the addresses that the portal
 * has, and the headers of a request choose the right form of it. */
#include "api/page_file.h"

#include "check.h"

#include <zlib.h>

static const hone_page_file *find(const char *path) {
    return hone_page_file_find(hone_str_of(path));
}

static void test_page_file__table_is_sorted_and_whole(void **state) {
    (void)state;
    assert_true(hone_page_file_count >= 4); /* page, script, style, crowd.js */
    for (size_t i = 0; i < hone_page_file_count; i++) {
        const hone_page_file *file = &hone_page_files[i];
        assert_ptr_equal(find(file->path), file);
        assert_true(file->plain.len > 0);
        if (i > 0) assert_true(strcmp(hone_page_files[i - 1].path, file->path) < 0);
        assert_int_equal(file->is_immutable, strstr(file->path, "/assets/") != NULL);
    }
}

static void test_page_file__portal_is_one_page(void **state) {
    (void)state;
    const hone_page_file *index = find("/ui/index.html");
    assert_non_null(index);
    const char *pages[] = {"/", "/login", "/portal", "/portal/", "/portal/tasks/7", "/invite/abc"};
    for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
        assert_ptr_equal(find(pages[i]), index);
    }
    const char *others[] = {"",
                            "/logins",
                            "/portals",
                            "/invite",
                            "/ui",
                            "/ui/",
                            "/ui/../ui/index.html",
                            "/ui/index.htm",
                            "/ui/index.html2",
                            "/ui/.hone-stamp",
                            "/favicon.ico"};
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++) {
        assert_null(find(others[i]));
    }
}

static void test_page_file__gzip_holds_the_same(void **state) {
    (void)state;
    for (size_t i = 0; i < hone_page_file_count; i++) {
        const hone_page_file *file = &hone_page_files[i];
        if (file->gzip.len == 0) continue;
        unsigned char *packed = malloc(file->gzip.len); /* zlib wants bytes that are not const */
        unsigned char *plain = malloc(file->plain.len + 1);
        assert_true(packed != NULL && plain != NULL);
        memcpy(packed, file->gzip.ptr, file->gzip.len);
        z_stream stream = {.next_in = packed,
                           .avail_in = (uInt)file->gzip.len,
                           .next_out = plain,
                           .avail_out = (uInt)file->plain.len + 1};
        assert_int_equal(inflateInit2(&stream, 16 + MAX_WBITS), Z_OK);
        assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
        assert_int_equal(stream.total_out, file->plain.len);
        assert_memory_equal(plain, file->plain.ptr, file->plain.len);
        inflateEnd(&stream);
        free(plain);
        free(packed);
    }
}

static void test_page_file__accept_encoding(void **state) {
    (void)state;
    const struct {
        const char *value;
        bool takes;
    } cases[] = {
        {"", false},
        {"gzip", true},
        {"deflate, GZIP;q=0.5, br", true},
        {"br ,  gzip ; q=1", true},
        {"gzip;q=0", false},
        {"gzip; q=0.000", false},
        {"xgzip, gzipped", false},
        {"identity", false},
        {",;,", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        assert_int_equal(hone_page_file_takes_gzip(hone_str_of(cases[i].value)), cases[i].takes);
    }
    assert_false(hone_page_file_takes_gzip((hone_str){NULL, 0}));
}

static void test_page_file__if_none_match(void **state) {
    (void)state;
    const hone_page_file file = {.etag = "W/\"abc\""};
    const struct {
        const char *value;
        bool matches;
    } cases[] = {
        {"W/\"abc\"", true}, {"\"abc\"", true}, {"\"x\", W/\"abc\"", true},
        {"*", true},         {"\"ab\"", false}, {"\"abc", false},
        {"", false},         {"W/", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        assert_int_equal(hone_page_file_matches(&file, hone_str_of(cases[i].value)),
                         cases[i].matches);
    }
    assert_false(hone_page_file_matches(&file, (hone_str){NULL, 0}));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_file__table_is_sorted_and_whole),
        cmocka_unit_test(test_page_file__portal_is_one_page),
        cmocka_unit_test(test_page_file__gzip_holds_the_same),
        cmocka_unit_test(test_page_file__accept_encoding),
        cmocka_unit_test(test_page_file__if_none_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
