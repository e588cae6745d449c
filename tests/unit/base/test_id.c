/* test_id.c: ids have their form, and a hundred thousand of them are different. */
#include "check.h"

#include "base/id.h"

enum { IDS = 100000 };

static int by_bytes(const void *a, const void *b) { return strcmp(a, b); }

static void test_id__is_24_hex_digits(void **state) {
    (void)state;
    char id[HONE_ID_SIZE];
    hone_id_make(id);
    assert_int_equal(strlen(id), 24);
    assert_int_equal(strspn(id, "0123456789abcdef"), 24);
}

static void test_id__no_two_are_the_same(void **state) {
    (void)state;
    static char ids[IDS][HONE_ID_SIZE];
    for (size_t i = 0; i < IDS; i++) hone_id_make(ids[i]);
    qsort(ids, IDS, HONE_ID_SIZE, by_bytes);
    for (size_t i = 1; i < IDS; i++) assert_string_not_equal(ids[i - 1], ids[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_id__is_24_hex_digits),
        cmocka_unit_test(test_id__no_two_are_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
