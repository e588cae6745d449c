/* Answers: output.json to the byte, repeats, disagreement, races of reviewers, and the repair of
 * what is missing at start. */
#include "desk.h"

#include <pthread.h>

static void test_answer__writes_the_output_of_a2i(void **state) {
    (void)state;
    char lease[HONE_LEASE_SIZE];
    int64_t when_ms = 0;
    hone_loop loop;
    hone_tx *tx = desk_begin();
    CHECK_OK(desk_start_in(tx, "one", "l1", " {\"t\": 0.61, \"n\":\n12345678901234567} ", &loop));
    CHECK_OK(hone_tx_commit(tx));
    desk_wait_s(10);
    (void)desk_next(&desk_ann, lease);
    desk_wait_s(5);
    CHECK_OK(desk_answer(&desk_ann, 1, lease, "Positive", &when_ms));
    assert_int_equal(when_ms, DESK_T0 + 15000);
    loop = desk_loop("l1");
    assert_string_equal(loop.status, "Completed");
    assert_int_equal(loop.ended_ms, when_ms);
    assert_string_equal(loop.output_uri, "s3://box/a2i/one/2026/11/24/06/00/00/l1/output.json");
    static const char want[] =
        "{\"flowDefinitionArn\":\"arn:aws:sagemaker:eu-west-1:123456789012:flow-definition/one\","
        "\"humanAnswers\":[{\"acceptanceTime\":\"2026-11-24T06:00:10.123Z\",\"answerContent\":"
        "{\"category\":{\"label\":\"Positive\"}},\"submissionTime\":\"2026-11-24T06:00:15.123Z\","
        "\"timeSpentInSeconds\":1.5,\"workerId\":\"a1\",\"workerMetadata\":{\"identityData\":"
        "{\"identityProviderType\":\"Oidc\",\"issuer\":\"http://hone\",\"sub\":\"a1\"}}}],"
        "\"humanLoopName\":\"l1\",\"inputContent\":{\"t\": 0.61, \"n\":\n12345678901234567}}";
    hone_str got = desk_output("l1");
    if (!hone_str_equal(got, hone_str_of(want))) fail_msg("%.*s", HONE_ARG(got));
    assert_non_null(strstr(desk_journal(""), "task.answered task/1; loop.completed loop/l1; "));
}

static void test_answer__the_same_again_is_answered_the_same(void **state) {
    (void)state;
    char lease[HONE_LEASE_SIZE];
    int64_t first_ms = 0, again_ms = 0;
    (void)desk_start("one", "l1");
    (void)desk_next(&desk_ann, lease);
    CHECK_OK(desk_answer(&desk_ann, 1, lease, "x", &first_ms));
    desk_wait_s(30);
    CHECK_OK(desk_answer(&desk_ann, 1, lease, "x", &again_ms));
    assert_int_equal(first_ms, again_ms);
    CHECK_FAILS(desk_answer(&desk_ann, 1, lease, "y", &again_ms), HONE_E_CONFLICT,
                "task 1 has been answered already, with another answer");
    CHECK_FAILS(desk_answer(&desk_ann, 1, "other", "x", &again_ms), HONE_E_CONFLICT,
                "task 1 has been answered already");
    CHECK_FAILS(desk_answer(&desk_bob, 1, lease, "x", &again_ms), HONE_E_CONFLICT,
                "task 1 has been answered already");
}

static void test_answer__is_a_bounded_object(void **state) {
    (void)state;
    char lease[HONE_LEASE_SIZE];
    int64_t when_ms = 0;
    (void)desk_start("one", "l1");
    (void)desk_next(&desk_ann, lease);
    json_t *list = json_array(), *large = json_object();
    char *text = malloc(HONE_ANSWER_BYTES_MAX);
    assert_non_null(text);
    memset(text, 'x', HONE_ANSWER_BYTES_MAX);
    json_object_set_new(large, "a", json_stringn(text, HONE_ANSWER_BYTES_MAX));
    hone_str token = hone_str_of(lease);
    CHECK_FAILS(
        hone_task_answer(desk_db, desk_objects, desk_arena, &desk_ann, 1, token, list, 1, &when_ms),
        HONE_E_INVALID, "a JSON object");
    CHECK_FAILS(
        hone_task_answer(desk_db, desk_objects, desk_arena, &desk_ann, 1, token, NULL, 1, &when_ms),
        HONE_E_INVALID, "a JSON object");
    CHECK_FAILS(hone_task_answer(desk_db, desk_objects, desk_arena, &desk_ann, 1, token, large, 1,
                                 &when_ms),
                HONE_E_INVALID, "at most 1048576 bytes");
    free(text);
    json_decref(list);
    json_decref(large);
    assert_string_equal(desk_loop("l1").status, "InProgress");
}

static void test_answer__the_output_comes_with_the_last_of_two(void **state) {
    (void)state;
    char ann[HONE_LEASE_SIZE], bob[HONE_LEASE_SIZE];
    int64_t when_ms = 0;
    (void)desk_start("two", "l1");
    hone_task first = desk_next(&desk_ann, ann), second = desk_next(&desk_bob, bob);
    assert_int_not_equal(first.id, second.id);
    desk_wait_s(1);
    CHECK_OK(desk_answer(&desk_bob, second.id, bob, "B", &when_ms));
    assert_string_equal(desk_loop("l1").status, "InProgress");
    assert_string_equal(desk_loop("l1").output_uri, "");
    desk_wait_s(1);
    CHECK_OK(desk_answer(&desk_ann, first.id, ann, "A", &when_ms));
    assert_string_equal(desk_loop("l1").status, "Completed");
    hone_str out = desk_output("l1"); /* the objects' files have no NUL behind them */
    const char *text = hone_arena_strdup(desk_arena, out);
    assert_true(strstr(text, "\"label\":\"B\"") < strstr(text, "\"label\":\"A\""));
}

static void test_answer__seconds_are_at_most_since_accept(void **state) {
    (void)state;
    char lease[HONE_LEASE_SIZE];
    int64_t when_ms = 0;
    (void)desk_start("one", "l1");
    (void)desk_next(&desk_ann, lease);
    desk_wait_s(1);
    CHECK_OK(desk_answer(&desk_ann, 1, lease, "x", &when_ms)); /* says 1.5 */
    const char *text = hone_arena_strdup(desk_arena, desk_output("l1"));
    assert_non_null(strstr(text, "\"timeSpentInSeconds\":1.0,"));
}

static void test_answer__a_bucket_that_has_gone_is_made_again(void **state) {
    (void)state;
    char lease[HONE_LEASE_SIZE];
    int64_t when_ms = 0;
    (void)desk_start("one", "l1");
    (void)desk_next(&desk_ann, lease);
    hone_tx *tx = desk_begin();
    CHECK_OK(hone_tx_finish(tx, hone_objects_bucket_delete(desk_objects, tx, HONE_S("box"))));
    CHECK_OK(desk_answer(&desk_ann, 1, lease, "x", &when_ms));
    assert_true(desk_output("l1").len > 0);
}

/* ---- races ---- */

typedef struct racer {
    const hone_reviewer *who;
    char lease[HONE_LEASE_SIZE];
    int64_t task;
    hone_arena *arena;
    hone_err err;
    char message[256];
} racer;

static void *race(void *arg) {
    racer *r = arg;
    int64_t when_ms = 0;
    json_t *answer = json_pack("{s:s}", "by", r->who->worker);
    r->err = hone_task_answer(desk_db, desk_objects, r->arena, r->who, r->task,
                              hone_str_of(r->lease), answer, 1, &when_ms);
    (void)snprintf(r->message, sizeof r->message, "%s", r->err.msg ? r->err.msg : "");
    json_decref(answer);
    return NULL;
}

static void test_answer__two_at_once_complete_the_loop_once(void **state) {
    (void)state;
    for (int i = 0; i < 25; i++) {
        char name[16];
        racer racers[2] = {{.who = &desk_ann}, {.who = &desk_bob}};
        pthread_t threads[2];
        (void)snprintf(name, sizeof name, "l%d", i);
        (void)desk_start("two", name);
        for (int k = 0; k < 2; k++) {
            racers[k].task = desk_next(racers[k].who, racers[k].lease).id;
            CHECK_OK(hone_arena_create((size_t)32 << 20, &racers[k].arena));
        }
        for (int k = 0; k < 2; k++)
            assert_int_equal(pthread_create(&threads[k], NULL, race, &racers[k]), 0);
        for (int k = 0; k < 2; k++) {
            assert_int_equal(pthread_join(threads[k], NULL), 0);
            if (hone_failed(racers[k].err)) fail_msg("%s", racers[k].message);
            hone_arena_destroy(racers[k].arena);
        }
        assert_string_equal(desk_loop(name).status, "Completed");
        const char *text = hone_arena_strdup(desk_arena, desk_output(name));
        assert_non_null(strstr(text, "{\"by\":\"a1\"}"));
        assert_non_null(strstr(text, "{\"by\":\"b2\"}"));
    }
}

/* ---- repair ---- */

static void test_repair__makes_again_what_is_missing_and_no_more(void **state) {
    (void)state;
    char lease[HONE_LEASE_SIZE];
    int64_t when_ms = 0;
    size_t made = 99;
    hone_str bucket, key, before[2];
    for (int i = 0; i < 2; i++) {
        char name[] = {'l', (char)('0' + i), '\0'};
        (void)desk_start("one", name);
        hone_task task = desk_next(&desk_ann, lease);
        CHECK_OK(desk_answer(&desk_ann, task.id, lease, name, &when_ms));
        before[i] = desk_output(name);
    }
    CHECK_OK(hone_review_repair(desk_db, desk_objects, &made));
    assert_int_equal(made, 0);

    /* the row is gone */
    hone_object object;
    CHECK_OK(hone_s3_uri_parse(hone_str_of(desk_loop("l0").output_uri), &bucket, &key));
    hone_tx *tx = desk_begin();
    CHECK_OK(hone_tx_finish(tx, hone_objects_delete(desk_objects, tx, bucket, key)));
    /* the file is gone */
    CHECK_OK(hone_s3_uri_parse(hone_str_of(desk_loop("l1").output_uri), &bucket, &key));
    tx = desk_begin();
    CHECK_OK(hone_objects_find(desk_objects, tx, desk_arena, bucket, key, &object));
    hone_tx_abort(tx);
    assert_int_equal(unlink(object.path), 0);

    CHECK_OK(hone_review_repair(desk_db, desk_objects, &made));
    assert_int_equal(made, 2);
    assert_true(hone_str_equal(before[0], desk_output("l0")));
    assert_true(hone_str_equal(before[1], desk_output("l1")));
}

static void test_open__repairs_and_its_thread_ends_what_is_due(void **state) {
    (void)state;
    hone_review_clock *review = NULL;
    char lease[HONE_LEASE_SIZE];
    (void)desk_start("one", "l1");
    (void)desk_next(&desk_ann, lease);
    CHECK_OK(hone_review_open(desk_db, desk_objects, NULL, &review));
    hone_review_close(review); /* at once, before the first tick or after it */
    hone_review_close(NULL);
    assert_string_equal(desk_loop("l1").status, "InProgress");
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_open, desk_close)
        TEST(test_answer__writes_the_output_of_a2i),
        TEST(test_answer__the_same_again_is_answered_the_same),
        TEST(test_answer__is_a_bounded_object),
        TEST(test_answer__the_output_comes_with_the_last_of_two),
        TEST(test_answer__seconds_are_at_most_since_accept),
        TEST(test_answer__a_bucket_that_has_gone_is_made_again),
        TEST(test_answer__two_at_once_complete_the_loop_once),
        TEST(test_repair__makes_again_what_is_missing_and_no_more),
        TEST(test_open__repairs_and_its_thread_ends_what_is_due),
    };
    return cmocka_run_group_tests_name("answers", tests, NULL, NULL);
}
