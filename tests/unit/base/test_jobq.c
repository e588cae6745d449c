/* test_jobq.c: order, limits, shutdown, and that no job is lost between threads. */
#include "check.h"

#include "base/jobq.h"

#include <pthread.h>

static void bump(void *arg) { ++*(int *)arg; }

static hone_jobq *queue_of(size_t cap) {
    hone_jobq *q = NULL;
    CHECK_OK(hone_jobq_create(cap, &q));
    return q;
}

static void test_jobq__zero_capacity_is_invalid(void **state) {
    (void)state;
    hone_jobq *q = NULL;
    CHECK_FAILS(hone_jobq_create(0, &q), HONE_E_INVALID, "room for one");
    assert_null(q);
}

static void test_jobq__pops_in_push_order_across_the_ring_end(void **state) {
    (void)state;
    hone_jobq *q = queue_of(2);
    int seen[5] = {0};
    for (int i = 0; i < 5; i++) {
        hone_job job;
        CHECK_OK(hone_jobq_push(q, (hone_job){bump, &seen[i]}));
        CHECK_OK(hone_jobq_pop(q, &job));
        assert_ptr_equal(job.arg, &seen[i]);
    }
    hone_jobq_destroy(q);
}

static void test_jobq__full_queue_refuses(void **state) {
    (void)state;
    hone_jobq *q = queue_of(1);
    int n = 0;
    hone_job job;
    CHECK_OK(hone_jobq_push(q, (hone_job){bump, &n}));
    CHECK_FAILS(hone_jobq_push(q, (hone_job){bump, &n}), HONE_E_FULL, "1 jobs");
    CHECK_OK(hone_jobq_pop(q, &job));
    hone_jobq_destroy(q);
}

static void test_jobq__close_keeps_queued_jobs(void **state) {
    (void)state;
    hone_jobq *q = queue_of(4);
    int n = 0;
    hone_job job;
    CHECK_OK(hone_jobq_push(q, (hone_job){bump, &n}));
    hone_jobq_close(q);
    CHECK_FAILS(hone_jobq_push(q, (hone_job){bump, &n}), HONE_E_CLOSED, "closed");
    CHECK_OK(hone_jobq_pop(q, &job));
    CHECK_FAILS(hone_jobq_pop(q, &job), HONE_E_CLOSED, "drained");
    hone_jobq_destroy(q);
}

static void *drain(void *arg) {
    hone_job job;
    while (!hone_failed(hone_jobq_pop(arg, &job))) job.run(job.arg);
    return NULL;
}

static void test_jobq__workers_run_every_job_once(void **state) {
    (void)state;
    enum { WORKERS = 3, JOBS = 2000 };
    static int hits[JOBS];
    hone_jobq *q = queue_of(16);
    pthread_t worker[WORKERS];
    for (int w = 0; w < WORKERS; w++)
        assert_int_equal(pthread_create(&worker[w], NULL, drain, q), 0);
    for (int i = 0; i < JOBS;) i += !hone_failed(hone_jobq_push(q, (hone_job){bump, &hits[i]}));
    hone_jobq_close(q);
    for (int w = 0; w < WORKERS; w++) assert_int_equal(pthread_join(worker[w], NULL), 0);
    for (int i = 0; i < JOBS; i++) assert_int_equal(hits[i], 1);
    hone_jobq_destroy(q);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobq__zero_capacity_is_invalid),
        cmocka_unit_test(test_jobq__pops_in_push_order_across_the_ring_end),
        cmocka_unit_test(test_jobq__full_queue_refuses),
        cmocka_unit_test(test_jobq__close_keeps_queued_jobs),
        cmocka_unit_test(test_jobq__workers_run_every_job_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
