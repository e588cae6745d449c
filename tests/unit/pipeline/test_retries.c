/* test_retries.c: which failure of a step's job gets another try, and when: by the policies of the
 * document, with time held still. No child runs: the end of a job is told as jobs/ would tell it. */
#include "check.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "pipeline/pipelines_impl.h"
#include "store/tags.h"

#include <sys/stat.h>

static const int64_t began_ms = 1795500000000;

static char dir[64], folder[128];
static hone_db *db;
static hone_objects *objects;
static hone_pipelines *pipelines;
static hone_arena *arena;
static hone_execution execution;

static int set_up(void **state) {
    (void)state;
    hone_pipelines_options options = {.realm = {"us-east-1", "123456789012"}};
    (void)snprintf(dir, sizeof dir, "%s", check_tmpdir());
    (void)snprintf(folder, sizeof folder, "%s/work", dir);
    assert_int_equal(mkdir(folder, 0700), 0);
    hone_now_fix_ms(began_ms);
    CHECK_OK(hone_arena_create(64 << 20, &arena));
    CHECK_OK(hone_db_open(dir, &db));
    CHECK_OK(hone_tags_open(db));
    CHECK_OK(hone_objects_open(dir, db, &objects));
    CHECK_OK(hone_registry_open(db));
    options.dir = dir;
    options.db = db;
    options.objects = objects;
    CHECK_OK(hone_pipelines_open(&options, &pipelines)); /* and not started */
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    hone_pipelines_close(pipelines);
    hone_objects_close(objects);
    hone_db_close(db);
    hone_arena_destroy(arena);
    hone_now_fix_ms(0);
    check_rmtree(dir);
    return 0;
}

/* An execution of the shipped pipeline with these policies, whose step FineTune runs as job w. */
static void begin(const char *policies) {
    hone_tx *tx = NULL;
    hone_pipeline p;
    json_t *document = NULL;
    hone_step_def def = {
        .name = "FineTune", .type = HONE_STEP_TRAINING, .display = "", .description = ""};
    CHECK_OK(hone_tx_begin(db, HONE_TX_WRITE, &tx));
    CHECK_OK(hone_pipelines_find(pipelines, tx, arena, HONE_S("sentiment"), &p));
    CHECK_OK(hone_json_parse(hone_str_of(p.definition), "shipped", &document));
    json_object_set_new(json_array_get(json_object_get(document, "Steps"), 1), "RetryPolicies",
                        json_loads(policies, 0, NULL));
    char *text = json_dumps(document, 0);
    CHECK_OK(hone_pipelines_update(
        pipelines, tx, arena, "user/ann", HONE_S("sentiment"),
        &(hone_pipeline_change){.definition = hone_str_of(text), .parallelism = -1}, &p));
    CHECK_OK(hone_execution_start(
        pipelines, tx, arena, "user/ann",
        &(hone_execution_request){.pipeline = HONE_S("sentiment"), .parallelism = -1}, &execution));
    CHECK_OK(hone_step_row_begin(tx, execution.id, &def, "job-name", "w"));
    CHECK_OK(hone_tx_commit(tx));
    free(text);
    json_decref(document);
}

/* The job fails for the attempt-th time; code: what its child left word of, NULL = it could not. */
static int64_t fail_with(int64_t attempt, int64_t age_ms, const char *code) {
    hone_tx *tx = NULL;
    char path[160], text[64];
    int64_t retry_ms = -1;
    hone_job_row job = {.id = "w",
                        .kind = "training",
                        .owner = execution.id,
                        .folder = folder,
                        .state = HONE_JOB_FAILED,
                        .attempt = attempt,
                        .reason = "it broke",
                        .created_ms = began_ms};
    (void)snprintf(path, sizeof path, "%s/failure.json", folder);
    (void)snprintf(text, sizeof text, "{\"code\": \"%s\"}", code ? code : "");
    (void)unlink(path);
    if (code) CHECK_OK(hone_file_save(path, hone_str_of(text)));
    hone_now_fix_ms(began_ms + age_ms);
    CHECK_OK(hone_tx_begin(db, HONE_TX_WRITE, &tx));
    CHECK_OK(hone_work_end(pipelines, tx, &job, &retry_ms));
    CHECK_OK(hone_tx_commit(tx));
    return retry_ms;
}

static hone_step step_now(void) {
    hone_tx *tx = NULL;
    hone_step step;
    CHECK_OK(hone_tx_begin(db, HONE_TX_READ, &tx));
    CHECK_OK(hone_step_row_find(tx, arena, execution.id, "FineTune", &step));
    hone_tx_abort(tx);
    return step;
}

static void test_retry__backs_off_until_it_expires(void **state) {
    (void)state;
    begin("[{\"ExceptionType\": [\"SageMaker.JOB_INTERNAL_ERROR\"], \"IntervalSeconds\": 30,"
          " \"BackoffRate\": 2.0, \"ExpireAfterMin\": 240}]");
    assert_int_equal(fail_with(1, 1000, NULL), 30000); /* a crash */
    assert_int_equal(fail_with(2, 31000, "IO"), 60000);
    assert_int_equal(fail_with(3, 100000, "IO"), 120000);
    assert_int_equal(fail_with(20, 200000, "IO"), 3600000); /* an hour at most */
    assert_string_equal(step_now().status, "Executing");
    assert_int_equal(fail_with(4, 240 * 60000, "IO"), -1);
    assert_string_equal(step_now().status, "Failed");
    assert_string_equal(step_now().failure, "it broke");
}

static void test_retry__only_what_the_policy_names(void **state) {
    (void)state;
    begin("[{\"ExceptionType\": [\"SageMaker.CAPACITY_ERROR\"], \"MaxAttempts\": 2},"
          " {\"ExceptionType\": [\"Step.THROTTLING\"]}]");
    assert_int_equal(fail_with(1, 0, "FULL"), 1000);
    assert_int_equal(fail_with(2, 0, "NOMEM"), 2000);
    assert_int_equal(fail_with(3, 0, "NOMEM"), -1);
    begin("[{\"ExceptionType\": [\"SageMaker.CAPACITY_ERROR\"]}]");
    assert_int_equal(fail_with(1, 0, "IO"), -1);
    begin("[{\"ExceptionType\": [\"SageMaker.CAPACITY_ERROR\", \"Step.SERVICE_FAULT\","
          " \"SageMaker.JOB_INTERNAL_ERROR\", \"SageMaker.RESOURCE_LIMIT\"]}]");
    assert_int_equal(fail_with(1, 0, "INVALID"), -1); /* wrong data stays wrong */
}

static void test_retry__no_policy_no_retry(void **state) {
    (void)state;
    begin("[]");
    assert_int_equal(fail_with(1, 0, NULL), -1);
    assert_string_equal(step_now().status, "Failed");
}

static void test_end__a_job_that_nobody_waits_for(void **state) {
    (void)state;
    hone_tx *tx = NULL;
    int64_t retry_ms = -1;
    hone_job_row job = {.id = "another", .folder = folder, .state = HONE_JOB_FAILED, .reason = ""};
    CHECK_OK(hone_tx_begin(db, HONE_TX_WRITE, &tx));
    CHECK_OK(hone_work_end(pipelines, tx, &job, &retry_ms));
    CHECK_OK(hone_tx_commit(tx));
    assert_int_equal(retry_ms, -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_retry__backs_off_until_it_expires, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_retry__only_what_the_policy_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_retry__no_policy_no_retry, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_end__a_job_that_nobody_waits_for, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("retries", tests, NULL, NULL);
}
