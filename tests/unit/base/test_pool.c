/* test_pool.c: every index is handed out exactly once, and run returns only when all are done.
 *
 * The counters of the pieces are plain memory, written without locks as real pieces do: the
 * thread sanitizer (`make tsan`) sees whether run orders them. */
#include "check.h"

#include "base/pool.h"

enum { COUNT_MAX = 5000 };

typedef struct tally {
    unsigned times[COUNT_MAX];
    size_t worker[COUNT_MAX];
    size_t threads;
} tally;

static void count_piece(void *ctx, size_t index, size_t worker) {
    tally *t = ctx;
    t->times[index]++;
    t->worker[index] = worker;
}

static hone_pool *pool_of(size_t threads) {
    hone_pool *pool = NULL;
    CHECK_OK(hone_pool_create(threads, &pool));
    return pool;
}

static const size_t teams[] = {1, 2, 3, 7};
enum { TEAMS = sizeof teams / sizeof teams[0] };

static void test_pool__every_index_exactly_once(void **state) {
    (void)state;
    static const size_t counts[] = {0, 1, 2, 3, 6, 7, 8, 100, COUNT_MAX};
    static tally t;
    for (size_t i = 0; i < TEAMS; i++) {
        hone_pool *pool = pool_of(teams[i]);
        assert_int_equal(hone_pool_threads(pool), teams[i]);
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            t = (tally){.threads = teams[i]};
            hone_pool_run(pool, counts[c], count_piece, &t);
            for (size_t at = 0; at < COUNT_MAX; at++) {
                assert_int_equal(t.times[at], at < counts[c]);
                assert_true(t.worker[at] < teams[i]);
            }
        }
        hone_pool_destroy(pool);
    }
}

static void test_pool__thousands_of_small_runs(void **state) {
    (void)state;
    enum { RUNS = 3000 };
    static tally t;
    for (size_t i = 0; i < TEAMS; i++) {
        t = (tally){.threads = teams[i]};
        hone_pool *pool = pool_of(teams[i]);
        for (size_t run = 0; run < RUNS; run++) hone_pool_run(pool, run % 5, count_piece, &t);
        for (size_t at = 0; at < 4; at++) assert_int_equal(t.times[at], RUNS / 5 * (4 - at));
        hone_pool_destroy(pool);
    }
}

/* Sums over fixed chunks, then over the chunks in order: the recipe of all reductions. */
typedef struct sums {
    float chunk[64];
} sums;

static void sum_chunk(void *ctx, size_t index, size_t worker) {
    (void)worker;
    sums *s = ctx;
    float sum = 0.0f;
    for (size_t i = 0; i < 1000; i++) sum += 1.0f / (float)(1 + index * 1000 + i);
    s->chunk[index] = sum;
}

static void test_pool__results_do_not_depend_on_the_threads(void **state) {
    (void)state;
    sums first = {{0}};
    for (size_t i = 0; i < TEAMS; i++) {
        hone_pool *pool = pool_of(teams[i]);
        sums s = {{0}};
        hone_pool_run(pool, 64, sum_chunk, &s);
        hone_pool_destroy(pool);
        if (i == 0) first = s;
        assert_memory_equal(&s, &first, sizeof s);
    }
}

static void test_pool__more_threads_than_cores(void **state) {
    (void)state;
    static tally t;
    t = (tally){.threads = 50};
    hone_pool *pool = pool_of(50);
    for (int run = 0; run < 20; run++) hone_pool_run(pool, 200, count_piece, &t);
    for (size_t at = 0; at < 200; at++) assert_int_equal(t.times[at], 20);
    hone_pool_destroy(pool);
}

/* A worker that sleeps wakes up for the next run, and for the end. */
static void test_pool__idle_threads_wake_up(void **state) {
    (void)state;
    static tally t;
    t = (tally){.threads = 3};
    hone_pool *pool = pool_of(3);
    for (int run = 0; run < 5; run++) {
        (void)usleep(5000); /* far above the time that a worker spins */
        hone_pool_run(pool, 10, count_piece, &t);
    }
    (void)usleep(5000);
    hone_pool_destroy(pool);
    for (size_t at = 0; at < 10; at++) assert_int_equal(t.times[at], 5);
}

static void test_pool__default_size_and_limits(void **state) {
    (void)state;
    hone_pool *pool = pool_of(0);
    assert_true(hone_pool_threads(pool) >= 1);
    hone_pool_destroy(pool);
    hone_pool_destroy(NULL);
    CHECK_FAILS(hone_pool_create(1025, &pool), HONE_E_INVALID, "at most 1024");
    CHECK_FAILS(hone_pool_create(SIZE_MAX, &pool), HONE_E_INVALID, "threads");
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool__every_index_exactly_once),
        cmocka_unit_test(test_pool__thousands_of_small_runs),
        cmocka_unit_test(test_pool__results_do_not_depend_on_the_threads),
        cmocka_unit_test(test_pool__more_threads_than_cores),
        cmocka_unit_test(test_pool__idle_threads_wake_up),
        cmocka_unit_test(test_pool__default_size_and_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
