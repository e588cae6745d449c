/* test_checksum.c: checksums against the values that their catalogues give for "123456789". */
#include "check.h"

#include "api/checksum.h"

static void sum_of(hone_checksum_kind kind, hone_str text, size_t piece,
                   char out[HONE_CHECKSUM_TEXT_SIZE]) {
    hone_checksum sum;
    hone_checksum_init(&sum, kind);
    for (size_t at = 0; at < text.len; at += piece) {
        size_t left = text.len - at;
        hone_checksum_add(&sum, (hone_str){text.ptr + at, left < piece ? left : piece});
    }
    CHECK_OK(hone_checksum_done(&sum, out));
}

static void test_checksum__is_what_catalogues_say(void **state) {
    (void)state;
    static const struct {
        hone_checksum_kind kind;
        const char *nine, *none; /* of "123456789", of nothing */
    } cases[] = {
        {HONE_CRC32, "y/Q5Jg==", "AAAAAA=="},
        {HONE_CRC32C, "4waSgw==", "AAAAAA=="},
        {HONE_CRC64NVME, "rosUhgp5mIg=", "AAAAAAAAAAA="},
        {HONE_SHA1, "98O8HYCOBHMq32eZZczDTKeuNEE=", "2jmj7l5rSw0yVb/vlWAYkK/YBwk="},
        {HONE_SHA256, "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
         "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[HONE_CHECKSUM_TEXT_SIZE];
        sum_of(cases[i].kind, HONE_S("123456789"), 9, text);
        assert_string_equal(text, cases[i].nine);
        sum_of(cases[i].kind, HONE_S("123456789"), 2, text);
        assert_string_equal(text, cases[i].nine);
        sum_of(cases[i].kind, HONE_S(""), 1, text);
        assert_string_equal(text, cases[i].none);
    }
}

static void test_checksum__may_be_dropped(void **state) {
    (void)state;
    for (int kind = 0; kind < HONE_CHECKSUM_COUNT; kind++) {
        hone_checksum sum;
        hone_checksum_init(&sum, (hone_checksum_kind)kind);
        hone_checksum_add(&sum, HONE_S("x"));
        hone_checksum_drop(&sum);
        hone_checksum_drop(&sum);
    }
}

static void test_base64__pads(void **state) {
    (void)state;
    static const struct {
        const char *bytes, *text;
    } cases[] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[16];
        hone_base64_format((const unsigned char *)cases[i].bytes, strlen(cases[i].bytes), text,
                           sizeof text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checksum__is_what_catalogues_say),
        cmocka_unit_test(test_checksum__may_be_dropped),
        cmocka_unit_test(test_base64__pads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
