/* test_pipelines.c: whole executions, with children: this program is its own `hone job`. The base
 * is a tiny BERT, the data a hundred sentences; what is held is who becomes what, which bytes come
 * out, and that an execution survives the loss of its server. */
#include "check.h"
#include "unit/train/tiny.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "jobs/child.h"
#include "pipeline/native_job.h"
#include "pipeline/pipelines.h"
#include "registry/artifact.h"
#include "store/journal.h"
#include "store/tags.h"

#include <pthread.h>
#include <time.h>

static const hone_realm realm = {"us-east-1", "123456789012"};
static const char *const labels[] = {"negative", "positive"};

static char dir[64];
static hone_db *db;
static hone_objects *objects;
static hone_pipelines *pipelines;
static hone_arena *arena;

/* --- waiting: the journal says when something has happened --------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static unsigned commits;

static void note_commit(void *arg) {
    (void)arg;
    (void)pthread_mutex_lock(&lock);
    commits++;
    (void)pthread_cond_signal(&cond);
    (void)pthread_mutex_unlock(&lock);
}

static unsigned seen(void) {
    (void)pthread_mutex_lock(&lock);
    unsigned now = commits;
    (void)pthread_mutex_unlock(&lock);
    return now;
}

/* Until there is another commit than those before `since`; fails after two minutes. */
static void wait_commit(unsigned since) {
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 120;
    (void)pthread_mutex_lock(&lock);
    int code = 0;
    while (commits == since && code == 0) code = pthread_cond_timedwait(&cond, &lock, &until);
    (void)pthread_mutex_unlock(&lock);
    if (code != 0) fail_msg("nothing happens any more");
}

/* --- the house ---------------------------------------------------------------------- */

static void open_house(void) {
    hone_pipelines_options options = {.dir = dir, .realm = realm, .jobs_max = 2};
    CHECK_OK(hone_db_open(dir, &db));
    CHECK_OK(hone_tags_open(db));
    CHECK_OK(hone_objects_open(dir, db, &objects));
    CHECK_OK(hone_registry_open(db));
    options.db = db;
    options.objects = objects;
    CHECK_OK(hone_pipelines_open(&options, &pipelines));
    CHECK_OK(hone_journal_watch(db, note_commit, NULL));
    CHECK_OK(hone_pipelines_start(pipelines));
}

static void close_house(void) {
    hone_pipelines_close(pipelines);
    hone_journal_unwatch(db, note_commit, NULL);
    hone_objects_close(objects);
    hone_db_close(db);
}

static void put(const char *key, const char *text) {
    CHECK_OK(hone_objects_put(objects, HONE_S("hone-data"), hone_str_of(key), hone_str_of(text),
                              "text/plain"));
}

static void put_data(void) {
    hone_dataset data = tiny_data(arena, 120, 0, labels, 2);
    hone_buf text;
    hone_buf_init(&text, 1 << 20);
    hone_buf_push(&text, HONE_S("text,label\n"));
    for (size_t i = 0; i < data.count; i++)
        hone_buf_printf(&text, "%.*s%zu,%.*s\n", HONE_ARG(data.records[i].text), i,
                        HONE_ARG(data.records[i].label));
    hone_buf_push_char(&text, '\0');
    put("starter/all.csv", text.ptr);
    hone_buf_done(&text);
}

static void put_review(const char *key, const char *text, const char *label) {
    char json[512];
    (void)snprintf(json, sizeof json,
                   "{\"humanLoopName\":\"l\",\"inputContent\":{\"taskObject\":\"%s\"},"
                   "\"humanAnswers\":[{\"submissionTime\":\"2026-11-24T06:00:00.000Z\","
                   "\"answerContent\":{\"category\":{\"label\":\"%s\"}}}]}",
                   text, label);
    put(key, json);
}

static void put_model(void) {
    char base[128], archive[128];
    hone_staged staged;
    hone_tx *tx = NULL;
    tiny_base(dir);
    (void)snprintf(base, sizeof base, "%s/base", dir);
    (void)snprintf(archive, sizeof archive, "%s/base.tar.gz", dir);
    CHECK_OK(hone_artifact_pack(base, archive));
    CHECK_OK(hone_objects_stage_file(objects, archive, false, &staged));
    CHECK_OK(hone_tx_begin(db, HONE_TX_WRITE, &tx));
    CHECK_OK(hone_objects_link(objects, tx,
                               &(hone_object_put){.bucket = HONE_S("hone-data"),
                                                  .key = HONE_S("base/model.tar.gz"),
                                                  .staged = &staged}));
    CHECK_OK(hone_tx_commit(tx));
}

static int set_up(void **state) {
    (void)state;
    (void)snprintf(dir, sizeof dir, "%s", check_tmpdir());
    CHECK_OK(hone_arena_create(256 << 20, &arena));
    open_house();
    put_data();
    put_model();
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    close_house();
    hone_arena_destroy(arena);
    check_rmtree(dir);
    return 0;
}

/* --- executions --------------------------------------------------------------------- */

#define MODEL "{\"Name\": \"ModelName\", \"Value\": \"s3://hone-data/base/model.tar.gz\"}"
#define SMALL                                                  \
    MODEL ", {\"Name\": \"TrainSamples\", \"Value\": \"60\"}," \
          " {\"Name\": \"TestSamples\", \"Value\": \"20\"}"

static const char *start(const char *parameters) {
    hone_tx *tx = NULL;
    hone_execution execution;
    json_t *given = json_loads(parameters, 0, NULL);
    assert_non_null(given);
    CHECK_OK(hone_tx_begin(db, HONE_TX_WRITE, &tx));
    CHECK_OK(hone_execution_start(pipelines, tx, arena, "user/ann",
                                  &(hone_execution_request){.pipeline = HONE_S("sentiment"),
                                                            .parameters = given,
                                                            .parallelism = -1},
                                  &execution));
    CHECK_OK(hone_tx_commit(tx));
    json_decref(given);
    return execution.id;
}

static hone_execution look(const char *id) {
    hone_tx *tx = NULL;
    hone_execution execution;
    CHECK_OK(hone_tx_begin(db, HONE_TX_READ, &tx));
    CHECK_OK(hone_execution_find(pipelines, tx, arena, hone_str_of(id), &execution));
    hone_tx_abort(tx);
    return execution;
}

static size_t steps_of(const char *id, hone_step **out) {
    hone_tx *tx = NULL;
    size_t count = 0;
    CHECK_OK(hone_tx_begin(db, HONE_TX_READ, &tx));
    CHECK_OK(hone_execution_steps(pipelines, tx, arena, id, out, &count));
    hone_tx_abort(tx);
    return count;
}

static hone_execution wait_end(const char *id) {
    for (;;) {
        unsigned since = seen();
        hone_execution execution = look(id);
        if (strcmp(execution.status, "Executing") != 0 && strcmp(execution.status, "Stopping") != 0)
            return execution;
        wait_commit(since);
    }
}

static void wait_step(const char *id, const char *name, const char *status) {
    for (;;) {
        unsigned since = seen();
        hone_step *steps = NULL;
        size_t count = steps_of(id, &steps);
        for (size_t i = 0; i < count; i++)
            if (strcmp(steps[i].name, name) == 0 && strcmp(steps[i].status, status) == 0) return;
        hone_execution execution = look(id);
        if (strcmp(execution.status, "Executing") != 0)
            fail_msg("%s: %s", execution.status, execution.failure);
        wait_commit(since);
    }
}

static void must_succeed(const char *id) {
    hone_execution e = wait_end(id);
    if (strcmp(e.status, "Succeeded") != 0) fail_msg("%s: %s", e.status, e.failure);
}

static hone_version newest(void) {
    hone_tx *tx = NULL;
    hone_version *versions = NULL;
    size_t count = 0;
    bool more = false;
    CHECK_OK(hone_tx_begin(db, HONE_TX_READ, &tx));
    CHECK_OK(hone_registry_list(
        tx, arena, &(hone_listing){.group = HONE_S("sentiment"), .descending = true, .limit = 1},
        &versions, &count, &more));
    hone_tx_abort(tx);
    assert_int_equal(count, 1);
    return versions[0];
}

static void approve(hone_version version) {
    hone_tx *tx = NULL;
    CHECK_OK(hone_tx_begin(db, HONE_TX_WRITE, &tx));
    CHECK_OK(hone_registry_update(tx, arena, "user/ann", hone_str_of(version.arn),
                                  &(hone_version_change){.status = HONE_S(HONE_APPROVED)},
                                  &version));
    CHECK_OK(hone_tx_commit(tx));
}

static hone_object find_object(const char *uri) {
    hone_tx *tx = NULL;
    hone_object object;
    hone_str bucket, key;
    CHECK_OK(hone_s3_uri_parse(hone_str_of(uri), &bucket, &key));
    CHECK_OK(hone_tx_begin(db, HONE_TX_READ, &tx));
    CHECK_OK(hone_objects_find(objects, tx, arena, bucket, key, &object));
    hone_tx_abort(tx);
    return object;
}

static json_t *load_object(const char *uri) {
    json_t *value = NULL;
    CHECK_OK(hone_json_load(find_object(uri).path, 1 << 20, &value));
    return value;
}

/* --- tests -------------------------------------------------------------------------- */

static void test_execution__processes_trains_and_registers(void **state) {
    (void)state;
    char uri[256];
    put_review("reviews/f/1/output.json", "a good new film", "Positive");
    put_review("reviews/f/2/output.json", "a dull new film", "Not Clear");
    put("reviews/f/3/output.json", "{\"no\": \"review\"}");
    put("reviews/sample.txt", "not JSON, and not looked at");
    const char *id = start("[" SMALL "]");
    must_succeed(id);

    (void)snprintf(uri, sizeof uri, "s3://hone-data/runs/%s/report/report.json", id);
    json_t *report = load_object(uri);
    assert_int_equal(json_integer_value(json_object_get(report, "train_sampled")), 60);
    assert_int_equal(json_integer_value(json_object_get(report, "train_records")), 63);
    assert_int_equal(json_integer_value(json_object_get(report, "test_records")), 20);
    assert_int_equal(json_array_size(json_object_get(report, "merged")), 1);
    assert_int_equal(json_array_size(json_object_get(report, "skipped")), 2);
    json_decref(report);

    hone_version version = newest();
    assert_string_equal(version.status, HONE_PENDING);
    json_t *lineage = json_loads(version.lineage, 0, NULL);
    json_t *metrics = json_loads(version.metrics, 0, NULL);
    assert_true(json_is_number(json_object_get(metrics, "accuracy")));
    assert_int_equal(json_integer_value(json_object_get(metrics, "count")), 20);
    assert_string_equal(json_string_value(json_array_get(json_object_get(lineage, "labels"), 0)),
                        "negative");
    assert_non_null(strstr(json_string_value(json_object_get(lineage, "execution")), id));
    assert_null(json_object_get(lineage, "parent"));
    json_t *data = json_object_get(json_object_get(lineage, "data"), "train");
    const json_t *first = json_array_get(data, 0);
    assert_string_equal(json_string_value(json_object_get(first, "sha256")),
                        find_object(json_string_value(json_object_get(first, "uri"))).sha256);
    json_decref(lineage);
    json_decref(metrics);

    hone_step *steps = NULL;
    assert_int_equal(steps_of(id, &steps), 3);
    for (int i = 0; i < 3; i++) assert_string_equal(steps[i].status, "Succeeded");
}

static void test_execution__same_seed_same_bytes(void **state) {
    (void)state;
    must_succeed(start("[" SMALL "]"));
    hone_object first = find_object(newest().artifact_uri);
    must_succeed(start("[" SMALL "]"));
    assert_int_equal(newest().number, 2);
    assert_string_equal(find_object(newest().artifact_uri).sha256, first.sha256);
    must_succeed(start("[" SMALL ", {\"Name\": \"Seed\", \"Value\": \"7\"}]"));
    assert_string_not_equal(find_object(newest().artifact_uri).sha256, first.sha256);
}

static void test_execution__continues_from_the_approved_version(void **state) {
    (void)state;
    must_succeed(start("[" SMALL ", {\"Name\": \"StartFrom\", \"Value\": \"approved\"}]"));
    hone_version parent = newest(); /* there was none yet: from the base */
    approve(parent);
    put_review("reviews/f/1/output.json", "the cold tea was late", "Mixed");
    put_review("reviews/f/2/output.json", "the warm tea was late", "Mixed");
    must_succeed(
        start("[" SMALL ", {\"Name\": \"StartFrom\", \"Value\": \"approved\"},"
              " {\"Name\": \"LabelMap\", \"Value\": \"{\\\"Mixed\\\": \\\"a mixture\\\"}\"}]"));
    json_t *lineage = json_loads(newest().lineage, 0, NULL),
           *names = json_object_get(lineage, "labels");
    assert_string_equal(json_string_value(json_object_get(lineage, "parent")), parent.arn);
    assert_string_equal(json_string_value(json_object_get(lineage, "start")), "parent");
    assert_int_equal(json_array_size(names), 3); /* bytewise it would come first */
    assert_string_equal(json_string_value(json_array_get(names, 2)), "a mixture");
    json_decref(lineage);
    must_succeed(start("[" SMALL ", {\"Name\": \"StartFrom\", \"Value\": \"base\"}]"));
    lineage = json_loads(newest().lineage, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(lineage, "start")), "base");
    assert_string_equal(json_string_value(json_object_get(lineage, "parent")), parent.arn);
    json_decref(lineage);
}

static void test_execution__goes_on_after_its_server_is_gone(void **state) {
    (void)state;
    must_succeed(start("[" SMALL ", {\"Name\": \"Epochs\", \"Value\": \"30\"}]"));
    hone_object whole = find_object(newest().artifact_uri);
    const char *id = start("[" SMALL ", {\"Name\": \"Epochs\", \"Value\": \"30\"}]");
    wait_step(id, "FineTune", "Executing");
    close_house();
    open_house();
    must_succeed(id);
    assert_int_equal(newest().number, 2);
    assert_string_equal(find_object(newest().artifact_uri).sha256, whole.sha256);
}

static void test_execution__stops_and_is_retried(void **state) {
    (void)state;
    hone_tx *tx = NULL;
    hone_execution e;
    const char *id = start("[" SMALL ", {\"Name\": \"Epochs\", \"Value\": \"200\"}]");
    wait_step(id, "FineTune", "Executing");
    CHECK_OK(hone_tx_begin(db, HONE_TX_WRITE, &tx));
    CHECK_FAILS(hone_execution_retry(pipelines, tx, arena, "user/ann", hone_str_of(id), -1, &e),
                HONE_E_INVALID, "can be retried");
    CHECK_OK(hone_execution_stop(pipelines, tx, arena, "user/ann", hone_str_of(id), &e));
    CHECK_OK(hone_tx_commit(tx));
    assert_string_equal(wait_end(id).status, "Stopped");
    hone_step *steps = NULL;
    assert_int_equal(steps_of(id, &steps), 2);
    assert_string_equal(steps[0].status, "Succeeded");
    assert_string_equal(steps[1].status, "Stopped");

    CHECK_OK(hone_tx_begin(db, HONE_TX_WRITE, &tx));
    CHECK_FAILS(hone_execution_stop(pipelines, tx, arena, "user/ann", hone_str_of(id), &e),
                HONE_E_INVALID, "can be stopped");
    CHECK_OK(hone_execution_retry(pipelines, tx, arena, "user/ann", hone_str_of(id), -1, &e));
    CHECK_OK(hone_tx_commit(tx));
    must_succeed(id);
    assert_int_equal(steps_of(id, &steps), 3);
    assert_int_equal(steps[0].attempts, 1); /* what had succeeded is not done again */
    assert_int_equal(steps[1].attempts, 2);
}

static void test_execution__wrong_inputs_fail_with_their_reason(void **state) {
    (void)state;
    static const struct {
        const char *parameters, *failure;
    } cases[] = {
        {"[" SMALL ", {\"Name\": \"InputData\", \"Value\": \"s3://hone-data/gone\"}]",
         "there is no file at 's3://hone-data/gone'"},
        {"[" SMALL ", {\"Name\": \"InputData\", \"Value\": \"s3://nowhere/gone\"}]",
         "there is no file at"},
        {"[" SMALL ", {\"Name\": \"InputData\", \"Value\": \"/etc\"}]", "s3://"},
        {"[" SMALL ", {\"Name\": \"Output\", \"Value\": \"s3://nowhere/runs\"}]", "nowhere"},
        {"[" SMALL ", {\"Name\": \"LabelMap\", \"Value\": \"[]\"}]", "LabelMap"},
        {"[" SMALL ", {\"Name\": \"Epochs\", \"Value\": \"0\"}]", "epochs"},
        {"[" SMALL ", {\"Name\": \"InputData\", \"Value\": \"s3://hone-data/broken.csv\"}]",
         "broken.csv"},
        {"[" SMALL ", {\"Name\": \"ModelName\", \"Value\": \"s3://hone-data/starter/all.csv\"}]",
         "all.csv"},
        {"[" SMALL ", {\"Name\": \"StartFrom\", \"Value\": \"arn:aws:x:y:z:model-package/g/1\"}]",
         "g/1"},
    };
    put("broken.csv", "text,label\n\"never closed");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_execution e = wait_end(start(cases[i].parameters));
        if (strcmp(e.status, "Failed") != 0 || !strstr(e.failure, cases[i].failure))
            fail_msg("%s: %s: %s", cases[i].parameters, e.status, e.failure);
    }
}

static void test_pipelines__the_shipped_one_comes_once(void **state) {
    (void)state;
    hone_tx *tx = NULL;
    hone_pipeline p;
    CHECK_OK(hone_tx_begin(db, HONE_TX_WRITE, &tx));
    CHECK_FAILS(hone_pipelines_add(pipelines, tx, arena, "user/ann", HONE_S("Sentiment"),
                                   (hone_str){NULL, 0},
                                   &(hone_pipeline_change){.definition = HONE_S("{}")}, &p),
                HONE_E_INVALID, "Version");
    CHECK_OK(hone_pipelines_find(
        pipelines, tx, arena, HONE_S("arn:aws:sagemaker:us-east-1:123456789012:pipeline/sentiment"),
        &p));
    hone_pipeline_change again = {.definition = hone_str_of(p.definition)};
    CHECK_FAILS(hone_pipelines_add(pipelines, tx, arena, "user/ann", HONE_S("SENTIMENT"),
                                   (hone_str){NULL, 0}, &again, &p),
                HONE_E_CONFLICT, "already exists");
    CHECK_OK(hone_pipelines_add(pipelines, tx, arena, "user/ann", HONE_S("mine"), HONE_S("token"),
                                &again, &p));
    CHECK_OK(hone_pipelines_add(pipelines, tx, arena, "user/ann", HONE_S("mine"), HONE_S("token"),
                                &again, &p));
    CHECK_OK(hone_pipelines_remove(pipelines, tx, arena, "user/ann", HONE_S("sentiment"), &p));
    CHECK_OK(hone_tx_commit(tx));
    close_house();
    open_house();
    CHECK_OK(hone_tx_begin(db, HONE_TX_READ, &tx));
    CHECK_FAILS(hone_pipelines_find(pipelines, tx, arena, HONE_S("sentiment"), &p),
                HONE_E_NOT_FOUND, "does not exist");
    hone_tx_abort(tx);
}

/* --- the child ---------------------------------------------------------------------- */

static hone_err no_model(void *ctx, hone_arena *in, const char *name, const char **out) {
    (void)ctx;
    (void)in;
    (void)out;
    return hone_err_new(HONE_E_NOT_FOUND, "there is no model '%s'", name);
}

static int work(const char *folder) {
    hone_err err = hone_child_enter(folder);
    if (!hone_failed(err)) err = hone_native_job(folder, no_model, NULL);
    if (hone_failed(err)) fprintf(stderr, "hone job: %s\n", err.msg);
    return hone_failed(err) ? 1 : 0;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "job") == 0) return work(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pipelines__the_shipped_one_comes_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_execution__processes_trains_and_registers, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_execution__same_seed_same_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_execution__continues_from_the_approved_version, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_execution__goes_on_after_its_server_is_gone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_execution__stops_and_is_retried, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_execution__wrong_inputs_fail_with_their_reason, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests_name("pipelines", tests, NULL, NULL);
}
