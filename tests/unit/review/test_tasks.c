/* Leases: who may accept what, how long a lease lasts, and what becomes of it. Time is moved by
 * the tests. */
#include "desk.h"

static void test_queue__is_for_the_team_oldest_first_one_of_each_loop(void **state) {
    (void)state;
    hone_task *tasks = NULL;
    size_t count = 0;
    (void)desk_start("two", "l1");
    desk_wait_s(1);
    (void)desk_start("one", "l2");
    hone_tx *tx = desk_begin();
    CHECK_OK(hone_task_queue(tx, desk_arena, &desk_ann, &tasks, &count));
    hone_tx_abort(tx);
    assert_int_equal(count, 2);
    assert_string_equal(tasks[0].loop, "l1");
    assert_string_equal(tasks[1].loop, "l2");
    assert_string_equal(tasks[1].title, "Classify the text");
    assert_string_equal(tasks[1].state, "available");
    assert_int_equal(tasks[1].time_limit_s, 300);
    assert_int_equal(desk_queue(&desk_eve), 0);
}

static void test_next__takes_the_oldest_of_any_flow_or_of_one(void **state) {
    (void)state;
    char lease[HONE_LEASE_SIZE];
    hone_task task;
    (void)desk_start("one", "l1");
    (void)desk_start("two", "l2");
    hone_tx *tx = desk_begin();
    CHECK_OK(hone_task_next(tx, desk_arena, &desk_ann, HONE_S("two"), lease, &task));
    assert_string_equal(task.loop, "l2");
    CHECK_OK(hone_task_next(tx, desk_arena, &desk_ann, HONE_S("two"), lease, &task));
    assert_int_equal(task.id, 0); /* the other task of l2 is for another reviewer */
    CHECK_OK(hone_task_next(tx, desk_arena, &desk_ann, HONE_S(""), lease, &task));
    assert_string_equal(task.loop, "l1");
    CHECK_OK(hone_tx_commit(tx));
    assert_int_equal(desk_next(&desk_eve, lease).id, 0);
    assert_string_equal(desk_next(&desk_bob, lease).loop, "l2");
}

static void test_accept__gives_a_lease_of_a_minute(void **state) {
    (void)state;
    char lease[HONE_LEASE_SIZE];
    hone_task *held = NULL;
    size_t count = 0;
    (void)desk_start("one", "l1");
    hone_task task = desk_next(&desk_ann, lease);
    assert_int_equal(strlen(lease), HONE_LEASE_SIZE - 1);
    assert_string_equal(task.state, "leased");
    assert_int_equal(task.accepted_ms, DESK_T0);
    assert_int_equal(task.lease_until_ms, DESK_T0 + 60000);
    assert_int_equal(desk_queue(&desk_bob), 0);
    hone_tx *tx = desk_begin();
    CHECK_OK(hone_task_held(tx, desk_arena, &desk_ann, &held, &count));
    assert_int_equal(count, 1);
    CHECK_OK(hone_task_held(tx, desk_arena, &desk_bob, &held, &count));
    assert_int_equal(count, 0);
    hone_tx_abort(tx);
}

static void test_accept__is_refused_with_the_reason(void **state) {
    (void)state;
    char lease[HONE_LEASE_SIZE], other[HONE_LEASE_SIZE];
    int64_t when_ms = 0;
    hone_task task, second;
    (void)desk_start("two", "l1");
    CHECK_OK(desk_accept(&desk_ann, 1, lease, &task));
    CHECK_FAILS(desk_accept(&desk_bob, 1, other, &second), HONE_E_CONFLICT,
                "task 1 is held by another");
    CHECK_FAILS(desk_accept(&desk_ann, 2, other, &second), HONE_E_CONFLICT,
                "another task of human loop 'l1' is yours");
    CHECK_FAILS(desk_accept(&desk_eve, 2, other, &second), HONE_E_NOT_FOUND, "no task 2");
    CHECK_FAILS(desk_accept(&desk_ann, 99, other, &second), HONE_E_NOT_FOUND, "no task 99");
    CHECK_OK(desk_answer(&desk_ann, 1, lease, "x", &when_ms));
    CHECK_FAILS(desk_accept(&desk_ann, 2, other, &second), HONE_E_CONFLICT,
                "another task of human loop 'l1' is yours");
    CHECK_FAILS(desk_accept(&desk_bob, 1, other, &second), HONE_E_CONFLICT, "has been answered");
    CHECK_OK(desk_stop("l1"));
    CHECK_FAILS(desk_accept(&desk_bob, 2, other, &second), HONE_E_CLOSED, "'l1' is Stopped");
    (void)desk_start("one", "l2");
    desk_wait_s(3600);
    CHECK_FAILS(desk_accept(&desk_bob, 3, other, &second), HONE_E_CLOSED, "no longer available");
}

static void test_accept__again_gives_a_new_token_and_the_clock_goes_on(void **state) {
    (void)state;
    char first[HONE_LEASE_SIZE], second[HONE_LEASE_SIZE];
    int64_t until_ms = 0, when_ms = 0;
    hone_task task;
    (void)desk_start("one", "l1");
    CHECK_OK(desk_accept(&desk_ann, 1, first, &task));
    desk_wait_s(20);
    CHECK_OK(desk_accept(&desk_ann, 1, second, &task));
    assert_string_not_equal(first, second);
    assert_int_equal(task.accepted_ms, DESK_T0);
    assert_int_equal(task.lease_until_ms, DESK_T0 + 80000);
    CHECK_FAILS(desk_beat(&desk_ann, 1, first, &until_ms), HONE_E_CLOSED, "the lease of task 1");
    CHECK_FAILS(desk_answer(&desk_ann, 1, first, "x", &when_ms), HONE_E_CLOSED, "lease of task 1");
    CHECK_OK(desk_answer(&desk_ann, 1, second, "x", &when_ms));
}

static void test_accept__is_bounded_for_one_reviewer(void **state) {
    (void)state;
    char name[16], lease[HONE_LEASE_SIZE];
    hone_task task;
    for (int i = 0; i <= HONE_LEASES_MAX; i++) {
        (void)snprintf(name, sizeof name, "l%d", i);
        (void)desk_start("one", name);
    }
    for (int i = 1; i <= HONE_LEASES_MAX; i++) CHECK_OK(desk_accept(&desk_ann, i, lease, &task));
    CHECK_FAILS(desk_accept(&desk_ann, HONE_LEASES_MAX + 1, lease, &task), HONE_E_CONFLICT,
                "you hold 16 tasks");
}

static void test_heartbeat__makes_it_longer_up_to_the_time_limit(void **state) {
    (void)state;
    char lease[HONE_LEASE_SIZE];
    int64_t until_ms = 0;
    (void)desk_start("one", "l1");
    (void)desk_next(&desk_ann, lease);
    desk_wait_s(50);
    CHECK_OK(desk_beat(&desk_ann, 1, lease, &until_ms));
    assert_int_equal(until_ms, DESK_T0 + 110000);
    for (int i = 0; i < 4; i++) {
        desk_wait_s(50);
        CHECK_OK(desk_beat(&desk_ann, 1, lease, &until_ms));
    }
    assert_int_equal(until_ms, DESK_T0 + 300000); /* the flow's limit, not 310 s */
    desk_wait_s(50);
    CHECK_FAILS(desk_beat(&desk_ann, 1, lease, &until_ms), HONE_E_CLOSED,
                "the time for task 1, 300 s, is over");
    CHECK_FAILS(desk_beat(&desk_bob, 1, lease, &until_ms), HONE_E_CLOSED, "lease of task 1");
    CHECK_FAILS(desk_beat(&desk_eve, 1, lease, &until_ms), HONE_E_NOT_FOUND, "no task 1");
}

static void test_lease__that_ran_out_is_offered_to_others_and_still_answers(void **state) {
    (void)state;
    char lease[HONE_LEASE_SIZE];
    int64_t when_ms = 0;
    (void)desk_start("one", "l1");
    (void)desk_next(&desk_ann, lease);
    desk_wait_s(60);
    assert_int_equal(desk_queue(&desk_bob), 1); /* also before the sweep */
    CHECK_OK(hone_review_sweep(desk_db));
    CHECK_OK(hone_review_sweep(desk_db)); /* once is enough */
    assert_int_equal(desk_queue(&desk_bob), 1);
    assert_string_equal(desk_journal("task."),
                        "task.created task/1; task.leased task/1; task.released task/1; ");
    CHECK_OK(desk_answer(&desk_ann, 1, lease, "x", &when_ms));
    assert_string_equal(desk_loop("l1").status, "Completed");
}

static void test_lease__taken_by_another_answers_no_more(void **state) {
    (void)state;
    char lease[HONE_LEASE_SIZE], other[HONE_LEASE_SIZE];
    int64_t when_ms = 0, until_ms = 0;
    (void)desk_start("one", "l1");
    (void)desk_next(&desk_ann, lease);
    desk_wait_s(60);
    assert_int_equal(desk_next(&desk_bob, other).id, 1);
    CHECK_FAILS(desk_answer(&desk_ann, 1, lease, "x", &when_ms), HONE_E_CLOSED, "lease of task 1");
    CHECK_FAILS(desk_beat(&desk_ann, 1, lease, &until_ms), HONE_E_CLOSED, "lease of task 1");
    CHECK_FAILS(desk_release(&desk_ann, 1, lease, false), HONE_E_CLOSED, "lease of task 1");
    CHECK_OK(desk_answer(&desk_bob, 1, other, "y", &when_ms));
    CHECK_FAILS(desk_answer(&desk_ann, 1, lease, "x", &when_ms), HONE_E_CONFLICT,
                "task 1 has been answered already");
}

static void test_heartbeat__takes_up_a_lease_that_nobody_took(void **state) {
    (void)state;
    char lease[HONE_LEASE_SIZE];
    int64_t until_ms = 0;
    (void)desk_start("one", "l1");
    (void)desk_next(&desk_ann, lease);
    desk_wait_s(100);
    CHECK_OK(hone_review_sweep(desk_db));
    CHECK_OK(desk_beat(&desk_ann, 1, lease, &until_ms));
    assert_int_equal(until_ms, DESK_T0 + 160000);
    assert_int_equal(desk_queue(&desk_bob), 0);
}

static void test_release__offers_it_again_also_to_the_same(void **state) {
    (void)state;
    char lease[HONE_LEASE_SIZE];
    int64_t when_ms = 0;
    (void)desk_start("one", "l1");
    (void)desk_next(&desk_ann, lease);
    CHECK_OK(desk_release(&desk_ann, 1, lease, false));
    CHECK_FAILS(desk_release(&desk_ann, 1, lease, false), HONE_E_CLOSED, "lease of task 1");
    CHECK_FAILS(desk_answer(&desk_ann, 1, lease, "x", &when_ms), HONE_E_CLOSED, "lease of task 1");
    assert_int_equal(desk_queue(&desk_ann), 1);
    assert_int_equal(desk_queue(&desk_bob), 1);
}

static void test_decline__never_offers_the_loop_again(void **state) {
    (void)state;
    char lease[HONE_LEASE_SIZE];
    hone_task task;
    (void)desk_start("two", "l1");
    (void)desk_next(&desk_ann, lease);
    CHECK_OK(desk_release(&desk_ann, 1, lease, true));
    assert_int_equal(desk_queue(&desk_ann), 0);
    CHECK_FAILS(desk_accept(&desk_ann, 2, lease, &task), HONE_E_CONFLICT, "task 2 was declined");
    assert_int_equal(desk_queue(&desk_bob), 1);
    assert_non_null(strstr(desk_journal("task."), "task.declined task/1; "));
}

static void test_page__is_for_the_lease_alone(void **state) {
    (void)state;
    char lease[HONE_LEASE_SIZE];
    hone_str content, input;
    (void)desk_start("one", "l1");
    (void)desk_next(&desk_ann, lease);
    hone_tx *tx = desk_begin();
    hone_str token = hone_str_of(lease);
    CHECK_OK(hone_task_page(tx, desk_arena, &desk_ann, 1, token, &content, &input));
    CHECK_FAILS(hone_task_page(tx, desk_arena, &desk_bob, 1, token, &content, &input),
                HONE_E_CLOSED, "lease of task 1");
    CHECK_FAILS(hone_task_page(tx, desk_arena, &desk_ann, 1, HONE_S(""), &content, &input),
                HONE_E_CLOSED, "lease of task 1");
    hone_tx_abort(tx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_open, desk_close)
        TEST(test_queue__is_for_the_team_oldest_first_one_of_each_loop),
        TEST(test_next__takes_the_oldest_of_any_flow_or_of_one),
        TEST(test_accept__gives_a_lease_of_a_minute),
        TEST(test_accept__is_refused_with_the_reason),
        TEST(test_accept__again_gives_a_new_token_and_the_clock_goes_on),
        TEST(test_accept__is_bounded_for_one_reviewer),
        TEST(test_heartbeat__makes_it_longer_up_to_the_time_limit),
        TEST(test_lease__that_ran_out_is_offered_to_others_and_still_answers),
        TEST(test_lease__taken_by_another_answers_no_more),
        TEST(test_heartbeat__takes_up_a_lease_that_nobody_took),
        TEST(test_release__offers_it_again_also_to_the_same),
        TEST(test_decline__never_offers_the_loop_again),
        TEST(test_page__is_for_the_lease_alone),
    };
    return cmocka_run_group_tests_name("tasks", tests, NULL, NULL);
}
