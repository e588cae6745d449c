/* test_philox.c: the known answers of Philox4x32-10 (Salmon et al. 2011, published with their
 * Random123), and that the floats made from the words are what dropout needs. */
#include "check.h"

#include "base/philox.h"

#include <math.h>

static void test_philox__known_answers(void **state) {
    (void)state;
    static const struct {
        uint64_t seed;
        uint32_t counter[4];
        uint32_t want[4];
    } cases[] = {
        {0, {0, 0, 0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX,
         {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x299f31d0a4093822, /* the digits of pi */
         {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint32_t *c = cases[i].counter;
        hone_philox got = hone_philox_at(cases[i].seed, c[0], c[1], c[2], c[3]);
        assert_memory_equal(got.word, cases[i].want, sizeof got.word);
    }
}

static void test_philox__unit_is_never_0_nor_1(void **state) {
    (void)state;
    assert_true(hone_philox_unit(0) > 0.0f);
    assert_true(hone_philox_unit(UINT32_MAX) < 1.0f);
    assert_true(isfinite(logf(hone_philox_unit(0))));
    float before = 0.0f;
    for (uint32_t step = 0; step < 1u << 23; step += 4099) { /* a prime: all magnitudes */
        float x = hone_philox_unit(step << 9);
        assert_true(x > before);
        assert_true(x == hone_philox_unit((step << 9) | 511));
        before = x;
    }
}

/* A million numbers: mean, variance and the correlation of neighbours within five standard
 * errors, and 64 bins by chi-squared (63 degrees of freedom: below 117 in 9,999 of 10,000). */
static void test_philox__numbers_are_uniform_and_independent(void **state) {
    (void)state;
    enum { DRAWS = 250000, BINS = 64 };
    const double count = 4.0 * DRAWS;
    double sum = 0, sum_sq = 0, sum_pairs = 0, last = 0.5, chi = 0;
    size_t bins[BINS] = {0};
    for (uint32_t i = 0; i < DRAWS; i++) {
        hone_philox four = hone_philox_at(42, i, 0, 7, HONE_STREAM_DROPOUT);
        for (int w = 0; w < 4; w++) {
            double x = (double)hone_philox_unit(four.word[w]);
            sum += x;
            sum_sq += (x - 0.5) * (x - 0.5);
            sum_pairs += (x - 0.5) * (last - 0.5);
            last = x;
            bins[(size_t)(x * BINS)]++;
        }
    }
    for (size_t i = 0; i < BINS; i++) {
        double off = (double)bins[i] - count / BINS;
        chi += off * off / (count / BINS);
    }
    assert_true(fabs(sum / count - 0.5) < 5 * sqrt(1.0 / 12 / count));
    assert_true(fabs(sum_sq / count - 1.0 / 12) < 5 * sqrt(1.0 / 180 / count));
    assert_true(fabs(sum_pairs / count) < 5 / 12.0 / sqrt(count));
    assert_true(chi < 117);
}

/* One bit of the key or of the counter changes half of the 128 bits, within 5 sigma. */
static void test_philox__every_input_bit_matters(void **state) {
    (void)state;
    enum { INPUTS = 64 + 4 * 32, TRIALS = 200 };
    for (int bit = 0; bit < INPUTS; bit++) {
        int changed = 0;
        for (uint32_t t = 0; t < TRIALS; t++) {
            uint64_t seed[2] = {t, t};
            uint32_t c[2][4] = {{t, 1, 2, 3}, {t, 1, 2, 3}};
            if (bit < 64)
                seed[1] ^= 1ull << bit;
            else
                c[1][(bit - 64) / 32] ^= 1u << (bit % 32);
            hone_philox a = hone_philox_at(seed[0], c[0][0], c[0][1], c[0][2], c[0][3]);
            hone_philox b = hone_philox_at(seed[1], c[1][0], c[1][1], c[1][2], c[1][3]);
            for (int w = 0; w < 4; w++) changed += __builtin_popcount(a.word[w] ^ b.word[w]);
        }
        double bits = 128.0 * TRIALS;
        if (fabs(changed - bits / 2) > 5 * sqrt(bits) / 2)
            fail_msg("input bit %d changes %d of %.0f bits", bit, changed, bits);
    }
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_philox__known_answers),
        cmocka_unit_test(test_philox__unit_is_never_0_nor_1),
        cmocka_unit_test(test_philox__numbers_are_uniform_and_independent),
        cmocka_unit_test(test_philox__every_input_bit_matters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
