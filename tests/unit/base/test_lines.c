/* test_lines.c: the lines of a file come out whole, plain or compressed, whatever its line
 * ends, and a broken or hostile file is an error that names the line. */
#include "check.h"
#include "fault.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/lines.h"

#include <unistd.h>
#include <zlib.h>

enum { LIMIT = 1000 };

static char *dir;
static char path[128];

static int set_up(void **state) {
    (void)state;
    dir = check_tmpdir();
    (void)snprintf(path, sizeof path, "%s/lines", dir);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    check_rmtree(dir);
    return 0;
}

static void write_plain(hone_str bytes) { CHECK_OK(hone_file_save(path, bytes)); }

static void write_gz(hone_str bytes) {
    gzFile file = gzopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(gzwrite(file, bytes.ptr, (unsigned)bytes.len), bytes.len);
    assert_int_equal(gzclose(file), Z_OK);
}

/* Read all, joined by '|': "a|b|" */
static hone_err read_joined(size_t limit_bytes, hone_buf *joined) {
    hone_lines *lines = NULL;
    HONE_TRY(hone_lines_open(path, limit_bytes, &lines));
    hone_err err = HONE_OK;
    size_t count = 0;
    for (bool more = true; !hone_failed(err) && more;) {
        hone_str line;
        err = hone_lines_next(lines, &line, &more);
        if (hone_failed(err) || !more) break;
        hone_buf_push(joined, line);
        hone_buf_push_char(joined, '|');
        assert_int_equal(hone_lines_number(lines), ++count);
    }
    hone_lines_close(lines);
    return err;
}

static void check_lines(hone_str want) {
    hone_buf joined;
    hone_buf_init(&joined, 1 << 24);
    CHECK_OK(read_joined(LIMIT, &joined));
    if (!hone_str_equal(hone_buf_str(&joined), want))
        fail_msg("got '%.*s'", HONE_ARG(hone_buf_str(&joined)));
    hone_buf_done(&joined);
}

static const struct {
    hone_str bytes, want;
} cases[] = {
    {HONE_S(""), HONE_S("")},
    {HONE_S("\n"), HONE_S("|")},
    {HONE_S("\r\n"), HONE_S("|")},
    {HONE_S("a"), HONE_S("a|")},
    {HONE_S("a\n"), HONE_S("a|")},
    {HONE_S("a\nb"), HONE_S("a|b|")},
    {HONE_S("a\n\nb\n"), HONE_S("a||b|")},
    {HONE_S("a\r\nb\r\n"), HONE_S("a|b|")},
    {HONE_S("a\r\nb\r"), HONE_S("a|b|")},
    {HONE_S("a\rb\r\r\n"), HONE_S("a\rb\r|")}, /* only the CR of a line end goes */
    {HONE_S("a\0b\n\xFF\n"), HONE_S("a\0b|\xFF|")},
};

static void test_lines__ends_of_every_kind(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_plain(cases[i].bytes);
        check_lines(cases[i].want);
    }
}

static void test_lines__gzip_reads_as_plain(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_gz(cases[i].bytes);
        check_lines(cases[i].want);
    }
}

/* Lines of 0 to 999 bytes, so that they cross the chunks at every place. */
static void test_lines__long_files_come_out_whole(void **state) {
    (void)state;
    hone_buf text, want;
    hone_buf_init(&text, 1 << 24);
    hone_buf_init(&want, 1 << 24);
    for (size_t i = 0; i < 3000; i++) {
        for (size_t k = 0; k < i * 7 % LIMIT; k++) hone_buf_push_char(&want, (char)('a' + k % 26));
        hone_buf_push(
            &text, (hone_str){want.ptr ? want.ptr + want.len - i * 7 % LIMIT : "", i * 7 % LIMIT});
        hone_buf_push(&text, i % 3 ? HONE_S("\n") : HONE_S("\r\n"));
        hone_buf_push_char(&want, '|');
    }
    CHECK_OK(hone_buf_err(&text));
    write_plain(hone_buf_str(&text));
    check_lines(hone_buf_str(&want));
    write_gz(hone_buf_str(&text));
    check_lines(hone_buf_str(&want));
    hone_buf_done(&text);
    hone_buf_done(&want);
}

static void test_lines__limit_counts_the_line_without_its_end(void **state) {
    (void)state;
    static const hone_str good[] = {HONE_S("ab\n12345\n"), HONE_S("ab\n12345\r\n"),
                                    HONE_S("ab\n12345"), HONE_S("ab\n12345\r")};
    static const hone_str bad[] = {HONE_S("ab\n123456\n"), HONE_S("ab\n123456\r\n"),
                                   HONE_S("ab\n123456"), HONE_S("ab\n12345\rx")};
    hone_buf joined;
    hone_buf_init(&joined, 100);
    for (size_t i = 0; i < 4; i++) {
        write_plain(good[i]);
        joined.len = 0;
        CHECK_OK(read_joined(5, &joined));
        assert_true(hone_str_equal(hone_buf_str(&joined), HONE_S("ab|12345|")));
        write_plain(bad[i]);
        CHECK_FAILS(read_joined(5, &joined), HONE_E_FULL, "line 2 has more than 5 bytes");
    }
    hone_buf_done(&joined);
}

/* 64 MiB of zeros in 64 KiB of gzip: refused after one chunk, not unpacked into memory. */
static void test_lines__a_compressed_bomb_is_refused(void **state) {
    (void)state;
    gzFile file = gzopen(path, "wb9");
    assert_non_null(file);
    static const char zeros[1 << 20];
    for (int i = 0; i < 64; i++) assert_int_equal(gzwrite(file, zeros, sizeof zeros), sizeof zeros);
    assert_int_equal(gzclose(file), Z_OK);
    hone_buf joined;
    hone_buf_init(&joined, 100);
    CHECK_FAILS(read_joined(LIMIT, &joined), HONE_E_FULL, "line 1");
    hone_buf_done(&joined);
}

static void test_lines__broken_gzip_is_corrupt(void **state) {
    (void)state;
    hone_buf text, joined;
    hone_buf_init(&text, 1 << 20);
    hone_buf_init(&joined, 1 << 20);
    for (unsigned i = 0; i < 20000; i++) hone_buf_printf(&text, "%u\n", i * 2654435761u);
    write_gz(hone_buf_str(&text));
    hone_map map;
    CHECK_OK(hone_map_open(path, &map));
    char *copy = malloc(map.bytes.len);
    assert_non_null(copy);
    size_t len = map.bytes.len;
    memcpy(copy, map.bytes.ptr, len);
    hone_map_close(&map);

    const size_t cuts[] = {11, len / 3, len - 9, len - 1};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        write_plain((hone_str){copy, cuts[i]});
        CHECK_FAILS(read_joined(LIMIT, &joined), HONE_E_CORRUPT, "broken gzip");
    }
    copy[len / 2] = (char)(copy[len / 2] ^ 0x55);
    write_plain((hone_str){copy, len});
    CHECK_FAILS(read_joined(LIMIT, &joined), HONE_E_CORRUPT, "broken gzip");
    free(copy);
    hone_buf_done(&text);
    hone_buf_done(&joined);
}

static void test_lines__what_cannot_be_opened_is_named(void **state) {
    (void)state;
    hone_buf joined;
    hone_buf_init(&joined, 100);
    CHECK_FAILS(read_joined(LIMIT, &joined), HONE_E_NOT_FOUND, path);
    (void)snprintf(path, sizeof path, "%s", dir);
    CHECK_FAILS(read_joined(LIMIT, &joined), HONE_E_IO, "directory");
    hone_buf_done(&joined);
    hone_lines_close(NULL);
}

/* Whoever writes a line into a pipe and waits shall not wait for ever: nothing waits for more
 * than a line, and half a line behind it is not said to be ready. */
static void test_lines__come_as_soon_as_they_are_written(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    (void)snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    hone_lines *lines = NULL;
    hone_str line;
    bool more = false;
    CHECK_OK(hone_lines_open(path, LIMIT, &lines));
    assert_int_equal(write(ends[1], "\x1Fone\ntw", 7), 7); /* it might become a gzip */
    CHECK_OK(hone_lines_next(lines, &line, &more));
    assert_true(more && hone_str_equal(line, HONE_S("\x1Fone")));
    assert_false(hone_lines_ready(lines));
    assert_int_equal(write(ends[1], "o\nthree", 7), 7);
    assert_true(hone_lines_ready(lines));
    CHECK_OK(hone_lines_next(lines, &line, &more));
    assert_true(more && hone_str_equal(line, HONE_S("two")));
    assert_false(hone_lines_ready(lines));
    (void)close(ends[1]);
    assert_true(hone_lines_ready(lines));
    CHECK_OK(hone_lines_next(lines, &line, &more));
    assert_true(more && hone_str_equal(line, HONE_S("three")));
    assert_true(hone_lines_ready(lines));
    CHECK_OK(hone_lines_next(lines, &line, &more));
    assert_false(more);
    hone_lines_close(lines);
    (void)close(ends[0]);
}

/* Members one behind the other, as `cat a.gz b.gz` makes them; then what is no gzip. */
static void test_lines__gzip_of_several_members(void **state) {
    (void)state;
    hone_buf file;
    hone_buf_init(&file, 1 << 20);
    for (int i = 0; i < 3; i++) {
        hone_map map;
        write_gz(i == 1 ? HONE_S("") : HONE_S("a\nb"));
        CHECK_OK(hone_map_open(path, &map));
        hone_buf_push(&file, map.bytes);
        hone_map_close(&map);
    }
    write_plain(hone_buf_str(&file));
    check_lines(HONE_S("a|ba|b|"));
    hone_buf_push(&file, (hone_str){"\0\0trailing", 10});
    write_plain(hone_buf_str(&file));
    check_lines(HONE_S("a|ba|b|"));
    hone_buf_done(&file);
}

/* What only begins like a gzip is plain, or broken. */
static void test_lines__gzip_is_told_by_two_bytes(void **state) {
    (void)state;
    write_plain(HONE_S("\x1F"));
    check_lines(HONE_S("\x1F|"));
    write_plain(HONE_S("\x1F\n\x8B"));
    check_lines(HONE_S("\x1F|\x8B|"));
    hone_buf joined;
    hone_buf_init(&joined, 100);
    write_plain(HONE_S("\x1F\x8B"));
    CHECK_FAILS(read_joined(LIMIT, &joined), HONE_E_CORRUPT, "broken gzip");
    write_plain(HONE_S("\x1F\x8B\n\n\n\n\n\n\n\n\n\n\n"));
    CHECK_FAILS(read_joined(LIMIT, &joined), HONE_E_CORRUPT, "broken gzip");
    hone_buf_done(&joined);
}

static hone_err read_some(void *ctx) {
    hone_buf joined;
    hone_buf_init(&joined, 1 << 20);
    hone_err err = read_joined(LIMIT, &joined);
    if (!hone_failed(err)) err = hone_buf_err(&joined);
    hone_buf_done(&joined);
    (void)ctx;
    return err;
}

static void test_lines__survives_every_failed_allocation(void **state) {
    (void)state;
    write_gz(HONE_S("one\ntwo\n"));
    assert_in_range(fault_sweep(read_some, NULL), 3, 10);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        TEST(test_lines__ends_of_every_kind),
        TEST(test_lines__gzip_reads_as_plain),
        TEST(test_lines__long_files_come_out_whole),
        TEST(test_lines__limit_counts_the_line_without_its_end),
        TEST(test_lines__a_compressed_bomb_is_refused),
        TEST(test_lines__broken_gzip_is_corrupt),
        TEST(test_lines__come_as_soon_as_they_are_written),
        TEST(test_lines__gzip_of_several_members),
        TEST(test_lines__gzip_is_told_by_two_bytes),
        TEST(test_lines__what_cannot_be_opened_is_named),
        TEST(test_lines__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
