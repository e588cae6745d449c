/* test_hash.c: the checksum sees every change of one bit, at every length. */
#include "check.h"

#include "base/hash.h"

enum { MOST = 200 };

static void test_hash__every_bit_counts(void **state) {
    (void)state;
    char bytes[MOST];
    for (size_t len = 1; len <= MOST; len += 13) {
        for (size_t i = 0; i < MOST; i++) bytes[i] = (char)(i * 37);
        uint64_t sum = hone_hash(1, (hone_str){bytes, len});
        for (size_t bit = 0; bit < len * 8; bit++) {
            bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
            assert_true(hone_hash(1, (hone_str){bytes, len}) != sum);
            bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
        }
        assert_true(hone_hash(1, (hone_str){bytes, len}) == sum);
    }
}

static void test_hash__length_and_seed_count(void **state) {
    (void)state;
    const char zeros[MOST] = {0};
    for (size_t len = 0; len + 1 < MOST; len++) {
        uint64_t sum = hone_hash(1, (hone_str){zeros, len});
        assert_true(sum != hone_hash(1, (hone_str){zeros, len + 1}));
        assert_true(sum != hone_hash(2, (hone_str){zeros, len}));
    }
}

/* The top bit of two words of one lane: a sum without rotations would lose the pair. */
static void test_hash__pairs_of_top_bits_count(void **state) {
    (void)state;
    char bytes[MOST] = {0};
    uint64_t sum = hone_hash(1, (hone_str){bytes, MOST});
    bytes[7] = bytes[71] = (char)0x80;
    assert_true(hone_hash(1, (hone_str){bytes, MOST}) != sum);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash__every_bit_counts),
        cmocka_unit_test(test_hash__length_and_seed_count),
        cmocka_unit_test(test_hash__pairs_of_top_bits_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
