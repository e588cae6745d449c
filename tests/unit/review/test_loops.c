/* Human loops: start, stop, expiry, deletion, and what each leaves in the journal. */
#include "desk.h"

static void test_start__makes_a_task_for_each_reviewer(void **state) {
    (void)state;
    hone_loop loop = desk_start("two", "l1");
    assert_string_equal(loop.arn, "arn:aws:sagemaker:eu-west-1:123456789012:human-loop/l1");
    assert_string_equal(loop.flow_arn, "arn:aws:sagemaker:eu-west-1:123456789012:flow-definition/"
                                       "two");
    assert_string_equal(loop.status, "InProgress");
    assert_int_equal(loop.created_ms, DESK_T0);
    assert_int_equal(loop.expires_ms, DESK_T0 + 3600 * 1000);
    assert_string_equal(desk_journal("loop."), "loop.started loop/l1; ");
    assert_string_equal(desk_journal("task."), "task.created task/1; task.created task/2; ");
}

static void test_start__refuses_bad_names_and_inputs(void **state) {
    (void)state;
    static const struct {
        const char *flow, *name, *input, *words;
        hone_code code;
    } cases[] = {
        {"one", "l1", "{}", "human loop 'l1' already exists", HONE_E_CONFLICT},
        {"none", "l2", "{}", "flow definition 'none'", HONE_E_NOT_FOUND},
        {"one", "L2", "{}", "not 'L2'", HONE_E_INVALID},
        {"one", "", "{}", "not ''", HONE_E_INVALID},
        {"one", "l2", "", "InputContent", HONE_E_INVALID},
        {"one", "l2", "{\"a\":", "InputContent: line 1", HONE_E_INVALID},
        {"one", "l2", "[1]", "InputContent: expected a JSON object", HONE_E_INVALID},
        {"one", "l2", "{\"a\": \"\xff\"}", "InputContent", HONE_E_INVALID},
    };
    hone_loop loop;
    (void)desk_start("one", "l1");
    hone_tx *tx = desk_begin();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CHECK_FAILS(desk_start_in(tx, cases[i].flow, cases[i].name, cases[i].input, &loop),
                    cases[i].code, cases[i].words);
    char *deep = malloc(20001);
    assert_non_null(deep);
    memset(deep, '[', 20000);
    memcpy(deep, "{\"a\":", 5);
    deep[20000] = '\0';
    CHECK_FAILS(desk_start_in(tx, "one", "l2", deep, &loop), HONE_E_INVALID, "InputContent");
    free(deep);
    hone_tx_abort(tx);
}

static void test_stop__is_immediate_when_nobody_is_at_work(void **state) {
    (void)state;
    (void)desk_start("two", "l1");
    CHECK_OK(desk_stop("l1"));
    hone_loop loop = desk_loop("l1");
    assert_string_equal(loop.status, "Stopped");
    assert_int_equal(loop.ended_ms, DESK_T0);
    assert_int_equal(desk_queue(&desk_ann), 0);
    CHECK_FAILS(desk_stop("l1"), HONE_E_INVALID, "'l1' is Stopped");
    CHECK_FAILS(desk_stop("none"), HONE_E_NOT_FOUND, "'none'");
    assert_string_equal(desk_journal("loop."), "loop.started loop/l1; loop.stopped loop/l1; ");
    assert_non_null(strstr(desk_journal("task."), "task.closed task/1; task.closed task/2; "));
}

static void test_stop__waits_for_whoever_is_at_work(void **state) {
    (void)state;
    char lease[HONE_LEASE_SIZE];
    int64_t when_ms = 0;
    (void)desk_start("two", "l1");
    hone_task task = desk_next(&desk_ann, lease);
    CHECK_OK(desk_stop("l1"));
    assert_string_equal(desk_loop("l1").status, "Stopping");
    CHECK_OK(desk_stop("l1")); /* again: nothing new */
    assert_int_equal(desk_queue(&desk_bob), 0);
    CHECK_OK(desk_answer(&desk_ann, task.id, lease, "x", &when_ms)); /* kept, though not enough */
    assert_string_equal(desk_loop("l1").status, "Stopped");
    assert_string_equal(desk_loop("l1").output_uri, "");
    assert_string_equal(desk_journal("loop."),
                        "loop.started loop/l1; loop.stopping loop/l1; loop.stopped loop/l1; ");
}

static void test_stop__the_only_reviewer_may_still_complete_it(void **state) {
    (void)state;
    char lease[HONE_LEASE_SIZE];
    int64_t when_ms = 0;
    (void)desk_start("one", "l1");
    hone_task task = desk_next(&desk_ann, lease);
    CHECK_OK(desk_stop("l1"));
    CHECK_OK(desk_answer(&desk_ann, task.id, lease, "x", &when_ms));
    assert_string_equal(desk_loop("l1").status, "Completed");
    assert_true(desk_output("l1").len > 0);
}

static void test_stop__ends_with_the_release_or_the_end_of_a_lease(void **state) {
    (void)state;
    char lease[HONE_LEASE_SIZE];
    (void)desk_start("one", "l1");
    hone_task task = desk_next(&desk_ann, lease);
    CHECK_OK(desk_stop("l1"));
    CHECK_OK(desk_release(&desk_ann, task.id, lease, false));
    assert_string_equal(desk_loop("l1").status, "Stopped");

    (void)desk_start("one", "l2");
    (void)desk_next(&desk_ann, lease);
    CHECK_OK(desk_stop("l2"));
    desk_wait_s(61);
    assert_string_equal(desk_loop("l2").status, "Stopping");
    CHECK_OK(hone_review_sweep(desk_db));
    assert_string_equal(desk_loop("l2").status, "Stopped");
}

static void test_expiry__fails_what_was_not_answered_in_time(void **state) {
    (void)state;
    (void)desk_start("one", "l1");
    desk_wait_s(3599);
    CHECK_OK(hone_review_sweep(desk_db));
    assert_string_equal(desk_loop("l1").status, "InProgress");
    assert_int_equal(desk_queue(&desk_ann), 1);
    desk_wait_s(1);
    assert_int_equal(desk_queue(&desk_ann), 0); /* before the sweep has come */
    CHECK_OK(hone_review_sweep(desk_db));
    hone_loop loop = desk_loop("l1");
    assert_string_equal(loop.status, "Failed");
    assert_string_equal(loop.failure_code, "Expired");
    assert_non_null(strstr(loop.failure_reason, "3600 s"));
    assert_string_equal(desk_journal("loop."), "loop.started loop/l1; loop.failed loop/l1; ");
    assert_non_null(strstr(desk_journal("task."), "task.closed task/1; "));
}

static void test_expiry__waits_for_whoever_is_at_work(void **state) {
    (void)state;
    char lease[HONE_LEASE_SIZE];
    int64_t when_ms = 0;
    (void)desk_start("one", "l1");
    desk_wait_s(3599);
    hone_task task = desk_next(&desk_ann, lease);
    desk_wait_s(30);
    CHECK_OK(hone_review_sweep(desk_db));
    assert_string_equal(desk_loop("l1").status, "InProgress");
    CHECK_OK(desk_answer(&desk_ann, task.id, lease, "x", &when_ms));
    assert_string_equal(desk_loop("l1").status, "Completed");
}

static void test_sweep__ends_many_at_once(void **state) {
    (void)state;
    char name[16];
    hone_loop loop;
    hone_tx *tx = desk_begin();
    for (int i = 0; i < 450; i++) { /* more than two batches */
        (void)snprintf(name, sizeof name, "l%d", i);
        CHECK_OK(desk_start_in(tx, "one", name, "{}", &loop));
    }
    CHECK_OK(hone_tx_commit(tx));
    desk_wait_s(3600);
    CHECK_OK(hone_review_sweep(desk_db));
    for (int i = 0; i < 450; i++) {
        (void)snprintf(name, sizeof name, "l%d", i);
        assert_string_equal(desk_loop(name).status, "Failed");
    }
}

static hone_err remove_loop(const char *name) {
    hone_tx *tx = desk_begin();
    return hone_tx_finish(tx, hone_loop_remove(tx, desk_arena, "user/eng", hone_str_of(name)));
}

static void test_remove__takes_the_rows_and_leaves_the_output(void **state) {
    (void)state;
    char lease[HONE_LEASE_SIZE];
    int64_t when_ms = 0;
    hone_loop loop;
    hone_str bucket, key, bytes;
    (void)desk_start("one", "l1");
    CHECK_FAILS(remove_loop("l1"), HONE_E_INVALID, "'l1' is InProgress: stop it");
    hone_task task = desk_next(&desk_ann, lease);
    CHECK_OK(desk_answer(&desk_ann, task.id, lease, "x", &when_ms));
    const char *uri = desk_loop("l1").output_uri;
    CHECK_OK(remove_loop("l1"));
    CHECK_FAILS(remove_loop("l1"), HONE_E_NOT_FOUND, "'l1'");
    CHECK_OK(hone_s3_uri_parse(hone_str_of(uri), &bucket, &key));
    CHECK_OK(hone_objects_load(desk_objects, desk_arena, bucket, key, 1 << 20, &bytes));
    CHECK_FAILS(desk_answer(&desk_ann, task.id, lease, "x", &when_ms), HONE_E_NOT_FOUND, "no task");
    loop = desk_start("one", "l1"); /* the name is free, the task's number is new */
    assert_true(desk_next(&desk_ann, lease).id > task.id);
    assert_string_equal(loop.status, "InProgress");
}

static void test_list__gives_the_loops_of_a_flow(void **state) {
    (void)state;
    hone_loop *loops = NULL;
    size_t count = 0;
    bool more = false;
    (void)desk_start("one", "l1");
    (void)desk_start("two", "other");
    desk_wait_s(1);
    (void)desk_start("one", "l2");
    hone_tx *tx = desk_begin();
    hone_flow flow;
    CHECK_OK(hone_flow_find(tx, desk_arena, HONE_S("one"), &flow));
    hone_review_listing listing = {.descending = true};
    CHECK_OK(hone_loop_list(tx, desk_arena, flow.id, &listing, &loops, &count, &more));
    assert_int_equal(count, 2);
    assert_string_equal(loops[0].name, "l2");
    listing = (hone_review_listing){.limit = 1, .before_ms = DESK_T0 + 500};
    CHECK_OK(hone_loop_list(tx, desk_arena, flow.id, &listing, &loops, &count, &more));
    assert_int_equal(count, 1);
    assert_string_equal(loops[0].name, "l1");
    assert_false(more);
    hone_tx_abort(tx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_open, desk_close)
        TEST(test_start__makes_a_task_for_each_reviewer),
        TEST(test_start__refuses_bad_names_and_inputs),
        TEST(test_stop__is_immediate_when_nobody_is_at_work),
        TEST(test_stop__waits_for_whoever_is_at_work),
        TEST(test_stop__the_only_reviewer_may_still_complete_it),
        TEST(test_stop__ends_with_the_release_or_the_end_of_a_lease),
        TEST(test_expiry__fails_what_was_not_answered_in_time),
        TEST(test_expiry__waits_for_whoever_is_at_work),
        TEST(test_sweep__ends_many_at_once),
        TEST(test_remove__takes_the_rows_and_leaves_the_output),
        TEST(test_list__gives_the_loops_of_a_flow),
    };
    return cmocka_run_group_tests_name("loops", tests, NULL, NULL);
}
