/* Goal: the trie holds any strings and finds the longest one. Method: all strings of up to
 * four letters of a small alphabet whose number is a multiple of three, against a search
 * over all lengths; enough of them that the table grows several times. */
#include "check.h"

#include "text/trie_impl.h"

enum { LETTERS = 12, LENGTH_MAX = 4 };

/* The string whose digits in base LETTERS, after a leading one, are n; its length. */
static size_t spell(uint32_t n, char *to) {
    char digits[16];
    size_t len = 0;
    for (; n > 1; n /= LETTERS) digits[len++] = (char)(n % LETTERS ? n % LETTERS + 60 : 0);
    for (size_t i = 0; i < len; i++) to[i] = digits[len - 1 - i];
    return n == 1 ? len : 0;
}

static void test_trie__finds_the_longest_string(void **state) {
    (void)state;
    hone_trie trie = {0};
    char text[16];
    int32_t value = 0;
    assert_int_equal(hone_trie_longest(&trie, HONE_TRIE_ROOT, HONE_S("a"), &value), 0);
    uint32_t end = 1;
    for (int i = 0; i < LENGTH_MAX; i++) end *= LETTERS;
    size_t added = 0;
    for (uint32_t n = 2; n < 2 * end; n++) {
        size_t len = spell(n, text);
        if (len == 0 || n % 3 != 0) continue;
        CHECK_OK(hone_trie_add(&trie, (hone_str){text, len}, (int32_t)n));
        CHECK_FAILS(hone_trie_add(&trie, (hone_str){text, len}, 1), HONE_E_CORRUPT, "twice");
        added++;
    }
    assert_true(added > 5000);
    for (uint32_t n = 2; n < 2 * end; n++) {
        size_t len = spell(n, text), longest = 0;
        uint32_t want = UINT32_MAX;
        if (len == 0) continue;
        uint32_t shorter = n;
        for (size_t l = len; l > 0 && longest == 0; l--, shorter /= LETTERS)
            if (shorter % 3 == 0) longest = l, want = shorter;
        assert_int_equal(hone_trie_longest(&trie, HONE_TRIE_ROOT, (hone_str){text, len}, &value),
                         longest);
        assert_int_equal(value, (int32_t)want);
    }
    hone_trie_done(&trie);
}

static void test_trie__continues_from_a_node(void **state) {
    (void)state;
    hone_trie trie = {0};
    int32_t value = 0;
    CHECK_OK(hone_trie_add(&trie, HONE_S("##ab"), 7));
    CHECK_OK(hone_trie_add(&trie, HONE_S("##"), 8));
    uint32_t node = hone_trie_walk(&trie, HONE_TRIE_ROOT, HONE_S("##"));
    assert_int_equal(hone_trie_longest(&trie, node, HONE_S("abc"), &value), 2);
    assert_int_equal(value, 7);
    /* at least one byte, although "##" itself is there */
    assert_int_equal(hone_trie_longest(&trie, node, HONE_S("a"), &value), 0);
    assert_int_equal(hone_trie_longest(&trie, HONE_TRIE_NONE, HONE_S("a"), &value), 0);
    assert_true(hone_trie_walk(&trie, HONE_TRIE_ROOT, HONE_S("#b")) == HONE_TRIE_NONE);
    hone_trie_done(&trie);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trie__finds_the_longest_string),
        cmocka_unit_test(test_trie__continues_from_a_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
