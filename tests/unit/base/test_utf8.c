/* test_utf8.c: every code point survives, and everything that is no UTF-8 is named.
 *
 * All 1,114,112 values are encoded by the arithmetic of RFC 3629 and read back; the bad
 * forms are a table. */
#include "check.h"

#include "base/utf8.h"

static size_t encode(int32_t c, char *out) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const int lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)(lead[n] | c);
    return n;
}

static void test_utf8__every_code_point_is_read_back(void **state) {
    (void)state;
    for (int32_t c = 0; c <= 0x10FFFF; c++) {
        char bytes[4];
        size_t n = encode(c, bytes), taken = 0;
        bool surrogate = c >= 0xD800 && c <= 0xDFFF;
        int32_t got = hone_utf8_next((hone_str){bytes, n}, 0, &taken);
        if (got != (surrogate ? HONE_UTF8_BAD : c) || taken != (surrogate ? 1 : n))
            fail_msg("U+%04X gave %d in %zu bytes", (unsigned)c, got, taken);
    }
}

static void test_utf8__bad_bytes_take_one_byte_each(void **state) {
    (void)state;
    static const hone_str bad[] = {
        {"\x80", 1},             /* a continuation alone */
        {"\xBF", 1},             /* the last of them */
        {"\xC0\x80", 2},         /* overlong, 2 bytes */
        {"\xC1\xBF", 2},         /* the last of them */
        {"\xE0\x9F\xBF", 3},     /* overlong, 3 bytes */
        {"\xF0\x8F\xBF\xBF", 4}, /* overlong, 4 bytes */
        {"\xED\xA0\x80", 3},     /* U+D800, a surrogate */
        {"\xED\xBF\xBF", 3},     /* U+DFFF, the last of them */
        {"\xF4\x90\x80\x80", 4}, /* U+110000 */
        {"\xF5\x80\x80\x80", 4}, /* no lead byte */
        {"\xFF", 1},             /* no lead byte */
        {"\xC3", 1},             /* cut after 1 of 2 */
        {"\xE2\x82", 2},         /* cut after 2 of 3 */
        {"\xF0\x9F\x98", 3},     /* cut after 3 of 4 */
        {"\xC3(", 2},            /* no continuation, second byte */
        {"\xE2(\xA1", 3},        /* the same of three */
        {"\xE2\x82(", 3},        /* no continuation, third byte */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        size_t taken = 0;
        if (hone_utf8_next(bad[i], 0, &taken) != HONE_UTF8_BAD || taken != 1)
            fail_msg("case %zu was accepted", i);
        assert_int_equal(hone_utf8_check(bad[i]), 0);
    }
}

/* The address sanitizer watches the byte behind the heap block. */
static void test_utf8__a_cut_sequence_is_not_read_past(void **state) {
    (void)state;
    static const char whole[] = "\xF0\x9F\x98\x80";
    for (size_t len = 1; len < 4; len++) {
        char *cut = malloc(len);
        assert_non_null(cut);
        memcpy(cut, whole, len);
        size_t taken = 0;
        assert_int_equal(hone_utf8_next((hone_str){cut, len}, 0, &taken), HONE_UTF8_BAD);
        free(cut);
    }
}

static void test_utf8__check_names_the_first_bad_byte(void **state) {
    (void)state;
    assert_int_equal(hone_utf8_check(HONE_S("")), 0);
    assert_int_equal(hone_utf8_check((hone_str){NULL, 0}), 0);
    assert_int_equal(hone_utf8_check(HONE_S("na\xC3\xAFve")), 6);
    assert_int_equal(hone_utf8_check(HONE_S("a\0b")), 3); /* NUL is a code point */
    assert_int_equal(hone_utf8_check(HONE_S("\xC3\xA9\xC3")), 2);
    assert_int_equal(hone_utf8_check(HONE_S("abc\xFFz")), 3);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8__every_code_point_is_read_back),
        cmocka_unit_test(test_utf8__bad_bytes_take_one_byte_each),
        cmocka_unit_test(test_utf8__a_cut_sequence_is_not_read_past),
        cmocka_unit_test(test_utf8__check_names_the_first_bad_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
