/* Percentiles against the sorted latencies themselves, counts that survive the way through bytes,
 * and threads that count at once. */
#include "serve/stats.h"

#include "check.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

static void test_stats__percentiles_are_within_a_bucket(void **state) {
    (void)state;
    enum { COUNT = 10000 };
    static hone_stats stats;
    static hone_stats_view view;
    for (int i = 1; i <= COUNT; i++) hone_stats_answered(&stats, i * INT64_C(10000), 1, 7);
    hone_stats_read(&stats, &view);
    static const double shares[] = {0.01, 0.5, 0.9, 0.99, 1.0};
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        double want_ms = shares[i] * COUNT * 0.01, got_ms;
        got_ms = hone_stats_percentile_ms(&view, shares[i]);
        assert_true(fabs(log2(got_ms / want_ms)) < 1.0 / HONE_STATS_STEPS);
    }
    assert_int_equal(view.answered, COUNT);
    assert_int_equal(view.invocations, COUNT);
    assert_int_equal(view.tokens, 7 * COUNT);
}

static void test_stats__extremes_have_a_bucket(void **state) {
    (void)state;
    static hone_stats stats;
    static hone_stats_view view;
    hone_stats_read(&stats, &view);
    assert_true(hone_stats_percentile_ms(&view, 0.5) == 0.0);
    hone_stats_answered(&stats, 0, 1, 1);
    hone_stats_answered(&stats, -5, 1, 1);
    hone_stats_answered(&stats, INT64_MAX, 1, 1);
    hone_stats_read(&stats, &view);
    assert_int_equal(view.buckets[0], 2);
    assert_int_equal(view.buckets[HONE_STATS_BUCKETS - 1], 1);
    assert_true(hone_stats_percentile_ms(&view, 0.0) < 0.01);
    assert_true(hone_stats_percentile_ms(&view, 1.0) > 60000.0);
}

static void test_stats__errors_are_the_callers_or_ours(void **state) {
    (void)state;
    static hone_stats stats;
    static hone_stats_view view;
    hone_stats_error(&stats, 400);
    hone_stats_error(&stats, 429);
    hone_stats_error(&stats, 503);
    hone_stats_read(&stats, &view);
    assert_int_equal(view.refused, 2);
    assert_int_equal(view.failed, 1);
    assert_int_equal(view.invocations, 3);
}

static void test_stats__survive_their_bytes(void **state) {
    (void)state;
    static hone_stats a, b;
    static hone_stats_view before, after;
    unsigned char bytes[HONE_STATS_BYTES];
    for (int i = 0; i < 1000; i++) hone_stats_answered(&a, i * INT64_C(1234567), 2, 30);
    hone_stats_error(&a, 400);
    hone_stats_read(&a, &before);
    hone_stats_pack(&before, bytes);
    after = before;
    memset(after.buckets, 0xFF, sizeof after.buckets);
    assert_true(hone_stats_unpack((hone_str){(const char *)bytes, sizeof bytes}, &after));
    hone_stats_write(&b, &after);
    hone_stats_read(&b, &after);
    assert_memory_equal(&before, &after, sizeof before);
    assert_false(hone_stats_unpack(HONE_S("short"), &after));
}

static void *count(void *arg) {
    for (int i = 0; i < 10000; i++) hone_stats_answered(arg, i, 1, 1);
    return NULL;
}

static void test_stats__no_count_is_lost(void **state) {
    (void)state;
    enum { THREADS = 4 };
    static hone_stats stats;
    static hone_stats_view view;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, &stats), 0);
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    hone_stats_read(&stats, &view);
    assert_int_equal(view.answered, THREADS * 10000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stats__percentiles_are_within_a_bucket),
        cmocka_unit_test(test_stats__extremes_have_a_bucket),
        cmocka_unit_test(test_stats__errors_are_the_callers_or_ours),
        cmocka_unit_test(test_stats__survive_their_bytes),
        cmocka_unit_test(test_stats__no_count_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
