/* Endpoints come, are changed under load, fail and come back after a restart: no request fails
 * because of a swap, and every answer is wholly of one model. */
#include "serve/fleet.h"

#include "registry/artifact.h"
#include "registry/models.h"
#include "serve/configs.h"
#include "store/journal.h"
#include "store/tags.h"
#include "tiny.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/file.h>

static char dir[64];
static hone_db *db;
static hone_objects *objects;
static hone_fleet *fleet;
static hone_arena *arena;
static const hone_realm realm = {"eu-west-1", "123456789012"};
static int64_t patience_ms, save_ms;

/* ---- the ground ---- */

static void open_fleet(void) {
    CHECK_OK(hone_fleet_open(&(hone_fleet_options){.dir = dir,
                                                   .db = db,
                                                   .objects = objects,
                                                   .realm = realm,
                                                   .batcher = {.threads = 2},
                                                   .save_ms = save_ms,
                                                   .patience_ms = patience_ms},
                             &fleet));
}

static int open_all(void **state) {
    (void)state;
    hone_tx *tx = NULL;
    patience_ms = save_ms = 0;
    (void)snprintf(dir, sizeof dir, "%s", check_tmpdir());
    CHECK_OK(hone_arena_create((size_t)64 << 20, &arena));
    CHECK_OK(hone_db_open(dir, &db));
    CHECK_OK(hone_objects_open(dir, db, &objects));
    CHECK_OK(hone_tags_open(db));
    CHECK_OK(hone_registry_open(db));
    CHECK_OK(hone_tx_begin(db, HONE_TX_WRITE, &tx));
    CHECK_OK(hone_objects_bucket_create(objects, tx, HONE_S("box")));
    CHECK_OK(hone_tx_commit(tx));
    open_fleet();
    return 0;
}

static int close_all(void **state) {
    (void)state;
    hone_fleet_close(fleet);
    hone_objects_close(objects);
    hone_db_close(db);
    hone_arena_destroy(arena);
    check_rmtree(dir);
    return 0;
}

static hone_tx *begin(hone_tx_kind kind) {
    hone_tx *tx = NULL;
    CHECK_OK(hone_tx_begin(db, kind, &tx));
    return tx;
}

/* An object, a model and a configuration, all called name, of a tiny model with this bias. */
static void make_config(const char *name, float bias) {
    char path[160], tar[200], key[80], json[400];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    (void)snprintf(tar, sizeof tar, "%s.tar.gz", path);
    (void)snprintf(key, sizeof key, "%s/model.tar.gz", name);
    tiny_model(path, name, bias);
    hone_staged staged;
    CHECK_OK(hone_artifact_pack(path, tar));
    CHECK_OK(hone_objects_stage_file(objects, tar, true, &staged));
    hone_tx *tx = begin(HONE_TX_WRITE);
    CHECK_OK(hone_objects_link(
        objects, tx, &(hone_object_put){HONE_S("box"), hone_str_of(key), &staged, {0}, {0}}));
    (void)snprintf(json, sizeof json,
                   "{\"ModelName\": \"%s\", \"Containers\": [{\"ModelDataUrl\": \"s3://box/%s\"}],"
                   " \"EndpointConfigName\": \"%s\", \"ProductionVariants\": [{\"VariantName\":"
                   " \"AllTraffic\", \"ModelName\": \"%s\"}]}",
                   name, key, name, name);
    json_t *fields = json_loads(json, 0, NULL);
    assert_non_null(fields);
    hone_served served;
    hone_serving_config config;
    CHECK_OK(hone_models_add(tx, arena, realm, "user/ann", fields, &served));
    CHECK_OK(hone_configs_add(tx, arena, realm, "user/ann", fields, &config));
    CHECK_OK(hone_tx_commit(tx));
    json_decref(fields);
}

/* A configuration whose model.tar.gz is none. */
static void make_broken_config(const char *name) {
    char key[80];
    make_config(name, 0.0F);
    (void)snprintf(key, sizeof key, "%s/model.tar.gz", name);
    CHECK_OK(hone_objects_put(objects, HONE_S("box"), hone_str_of(key), HONE_S("nonsense"), NULL));
}

static hone_endpoint_row describe(const char *name) {
    hone_endpoint_row row;
    hone_tx *tx = begin(HONE_TX_READ);
    CHECK_OK(hone_fleet_find(fleet, tx, arena, hone_str_of(name), &row));
    hone_tx_abort(tx);
    return row;
}

/* Wait for the journal to say it: the event itself, no sleep. */
static sem_t committed;

static void wake(void *arg) {
    (void)arg;
    sem_post(&committed);
}

static bool has_entry(const char *kind, size_t times) {
    hone_entry *entries = NULL;
    size_t count = 0, seen = 0;
    CHECK_OK(hone_journal_read(db, arena, 0, 1000, &entries, &count));
    for (size_t i = 0; i < count; i++) seen += hone_str_equal(entries[i].kind, hone_str_of(kind));
    return seen >= times;
}

static void await_entry(const char *kind, size_t times) {
    sem_init(&committed, 0, 0);
    CHECK_OK(hone_journal_watch(db, wake, NULL));
    while (!has_entry(kind, times))
        while (sem_wait(&committed) != 0) {}
    hone_journal_unwatch(db, wake, NULL);
    sem_destroy(&committed);
}

/* ---- requests ---- */

/* What a request was answered: by which model, and its first text's logits. */
typedef struct asked {
    hone_query query;
    hone_arena *arena;
    hone_str texts[3];
    sem_t answered;
    hone_code code;
    char label[32];
    float logits[3][TINY_LABELS];
} asked;

static void note(hone_query *query, hone_err err) {
    asked *a = query->ctx;
    a->code = err.code;
    if (!hone_failed(err)) {
        (void)snprintf(a->label, sizeof a->label, "%s",
                       hone_deployment_config(query->deployment)->label_names[0]);
        memcpy(a->logits, query->logits, query->count * sizeof a->logits[0]);
    }
    sem_post(&a->answered);
}

static hone_err ask_begin(asked *a, const char *name) {
    CHECK_OK(hone_arena_create(1 << 20, &a->arena));
    sem_init(&a->answered, 0, 0);
    a->texts[0] = HONE_S("a word");
    a->texts[1] = HONE_S("and some more words");
    a->texts[2] = HONE_S("c");
    a->query = (hone_query){
        .arena = a->arena, .texts = a->texts, .count = 3, .done = note, .ctx = a};
    return hone_fleet_invoke(fleet, hone_str_of(name), &a->query);
}

static void ask_end(asked *a) {
    sem_destroy(&a->answered);
    hone_arena_destroy(a->arena);
}

static void ask(asked *a, const char *name) {
    CHECK_OK(ask_begin(a, name));
    while (sem_wait(&a->answered) != 0) {}
    ask_end(a);
}

static void create(const char *name, const char *config) {
    const char *arn = NULL;
    CHECK_OK(hone_fleet_create(fleet, arena, "user/ann", hone_str_of(name), hone_str_of(config),
                               NULL, &arn));
}

static void update(const char *name, const char *config) {
    const char *arn = NULL;
    CHECK_OK(
        hone_fleet_update(fleet, arena, "user/ann", hone_str_of(name), hone_str_of(config), &arn));
}

/* ---- cases ---- */

static void test_endpoint__is_created_and_answers(void **state) {
    (void)state;
    asked a = {0};
    make_config("one", 0.0F);
    create("mood", "one");
    await_entry("endpoint.in_service", 1);
    hone_endpoint_row row = describe("mood");
    assert_string_equal(row.status, "InService");
    assert_string_equal(row.arn, "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/mood");
    assert_string_equal(row.serving.variant, "AllTraffic");
    assert_string_equal(row.serving.config, "one");
    assert_int_equal(strlen(row.serving.folder), 64);
    ask(&a, "mood");
    assert_int_equal(a.code, HONE_E_NONE);
    assert_string_equal(a.label, "one0");
    hone_stats_view view;
    CHECK_OK(hone_fleet_stats(fleet, HONE_S("mood"), &view));
    assert_int_equal(view.answered, 1);
    assert_int_equal(view.texts, 3);
    CHECK_FAILS(ask_begin(&a, "none"), HONE_E_NOT_FOUND, "Endpoint none of account 123456789012");
    ask_end(&a);
}

static void test_endpoint__bad_requests_are_refused(void **state) {
    (void)state;
    const char *arn = NULL;
    make_config("one", 0.0F);
    CHECK_FAILS(
        hone_fleet_create(fleet, arena, "user/ann", HONE_S("mood"), HONE_S("none"), NULL, &arn),
        HONE_E_NOT_FOUND, "Could not find endpoint configuration 'none'");
    CHECK_FAILS(
        hone_fleet_create(fleet, arena, "user/ann", HONE_S("mo od"), HONE_S("one"), NULL, &arn),
        HONE_E_INVALID, "'mo od'");
    create("mood", "one");
    CHECK_FAILS(
        hone_fleet_create(fleet, arena, "user/ann", HONE_S("mood"), HONE_S("one"), NULL, &arn),
        HONE_E_CONFLICT, "Cannot create already existing endpoint");
    CHECK_FAILS(hone_fleet_update(fleet, arena, "user/ann", HONE_S("none"), HONE_S("one"), &arn),
                HONE_E_NOT_FOUND, "Could not find endpoint 'none'");
    CHECK_FAILS(hone_fleet_delete(fleet, arena, "user/ann", HONE_S("none")), HONE_E_NOT_FOUND,
                "Could not find endpoint 'none'");
}

static void test_endpoint__failed_creation_says_why(void **state) {
    (void)state;
    asked a = {0};
    make_broken_config("broken");
    create("mood", "broken");
    await_entry("endpoint.failed", 1);
    hone_endpoint_row row = describe("mood");
    assert_string_equal(row.status, "Failed");
    assert_non_null(strstr(row.failure, "no readable model.tar.gz"));
    CHECK_FAILS(ask_begin(&a, "mood"), HONE_E_INVALID, "has failed");
    ask_end(&a);
    make_config("one", 0.0F);
    update("mood", "one");
    await_entry("endpoint.in_service", 1);
    ask(&a, "mood");
    assert_string_equal(a.label, "one0");
}

static void test_endpoint__failed_update_keeps_the_old_model(void **state) {
    (void)state;
    asked a = {0};
    make_config("one", 0.0F);
    make_broken_config("broken");
    create("mood", "one");
    await_entry("endpoint.in_service", 1);
    update("mood", "broken");
    await_entry("endpoint.failed", 1);
    hone_endpoint_row row = describe("mood");
    assert_string_equal(row.status, "InService");
    assert_string_equal(row.config, "one");
    assert_non_null(strstr(row.failure, "no readable model.tar.gz"));
    ask(&a, "mood");
    assert_string_equal(a.label, "one0");
}

static void test_endpoint__deleted_is_gone_and_its_name_free(void **state) {
    (void)state;
    asked a = {0};
    make_config("one", 0.0F);
    make_config("two", 50.0F);
    create("mood", "one");
    await_entry("endpoint.in_service", 1);
    ask(&a, "mood");
    CHECK_OK(hone_fleet_delete(fleet, arena, "user/ann", HONE_S("mood")));
    CHECK_FAILS(ask_begin(&a, "mood"), HONE_E_NOT_FOUND, "not found");
    ask_end(&a);
    create("mood", "two");
    await_entry("endpoint.in_service", 2);
    ask(&a, "mood");
    assert_string_equal(a.label, "two0");
    hone_stats_view view;
    CHECK_OK(hone_fleet_stats(fleet, HONE_S("mood"), &view));
    assert_int_equal(view.answered, 1); /* another endpoint, another count */
}

/* Clients that ask until told to stop; each checks its answers against those of the two models. */
enum { CLIENTS = 8 };
static atomic_bool is_over;
static float expected[2][3][TINY_LABELS];
static atomic_int answered[2];

static void *be_client(void *arg) {
    (void)arg;
    while (!atomic_load(&is_over)) {
        asked a = {0};
        ask(&a, "mood");
        assert_int_equal(a.code, HONE_E_NONE);
        int model = a.label[0] == 't';
        for (int t = 0; t < 3; t++)
            for (int l = 0; l < TINY_LABELS; l++)
                assert_true(fabsf(a.logits[t][l] - expected[model][t][l]) < 1e-4F);
        (void)atomic_fetch_add(&answered[model], 1);
    }
    return NULL;
}

static void test_endpoint__swaps_under_load_fail_and_mix_nothing(void **state) {
    (void)state;
    enum { SWAPS = 12 };
    pthread_t clients[CLIENTS];
    make_config("one", 0.0F);
    make_config("two", 50.0F);
    static const char *const configs[] = {"one", "two"};
    create("mood", "one");
    await_entry("endpoint.in_service", 1);
    create("other", "two");
    await_entry("endpoint.in_service", 2);
    for (int m = 0; m < 2; m++) {
        asked a = {0};
        ask(&a, m ? "other" : "mood");
        memcpy(expected[m], a.logits, sizeof expected[m]);
    }
    assert_true(fabsf(expected[0][0][0] - expected[1][0][0]) > 40.0F);
    atomic_store(&is_over, false);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&clients[i], NULL, be_client, NULL), 0);
    for (size_t i = 0; i < SWAPS; i++) {
        update("mood", configs[(i + 1) % 2]);
        await_entry("endpoint.in_service", i + 3);
        asked a = {0};
        ask(&a, "mood"); /* who reads InService gets the new one */
        assert_int_equal(a.label[0], configs[(i + 1) % 2][0]);
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < CLIENTS; i++) assert_int_equal(pthread_join(clients[i], NULL), 0);
    assert_true(atomic_load(&answered[0]) > 0 && atomic_load(&answered[1]) > 0);
}

static void restart(void) {
    hone_fleet_close(fleet);
    open_fleet();
}

static void test_restart__endpoints_and_statistics_come_back(void **state) {
    (void)state;
    asked a = {0};
    hone_tx *tx = NULL;
    make_config("one", 0.0F);
    create("mood", "one");
    await_entry("endpoint.in_service", 1);
    ask(&a, "mood");
    CHECK_FAILS(ask_begin(&a, "none"), HONE_E_NOT_FOUND, "");
    ask_end(&a);
    /* What it was made of may be gone: the unpacked folder is enough. */
    tx = begin(HONE_TX_WRITE);
    CHECK_OK(hone_objects_delete(objects, tx, HONE_S("box"), HONE_S("one/model.tar.gz")));
    CHECK_OK(hone_models_remove(tx, arena, "user/ann", HONE_S("one")));
    CHECK_OK(hone_configs_remove(tx, arena, "user/ann", HONE_S("one")));
    CHECK_OK(hone_tx_commit(tx));
    restart();
    ask(&a, "mood"); /* at once: it waits for the model */
    assert_int_equal(a.code, HONE_E_NONE);
    assert_string_equal(a.label, "one0");
    assert_string_equal(describe("mood").status, "InService");
    hone_stats_view view;
    CHECK_OK(hone_fleet_stats(fleet, HONE_S("mood"), &view));
    assert_int_equal(view.answered, 2);
    assert_false(has_entry("endpoint.in_service", 2)); /* nothing changed */
}

static void test_statistics__are_kept_while_it_runs(void **state) {
    (void)state;
    asked a = {0};
    int64_t kept = 0;
    make_config("one", 0.0F);
    hone_fleet_close(fleet);
    save_ms = 1;
    open_fleet();
    create("mood", "one");
    await_entry("endpoint.in_service", 1);
    for (int i = 0; i < 3; i++) ask(&a, "mood");
    while (kept < 3) { /* as another process would see it after kill -9 */
        hone_tx *tx = begin(HONE_TX_READ);
        CHECK_OK(hone_tx_int(tx, &kept,
                             "SELECT coalesce(sum(answered), 0) FROM endpoint_stats WHERE"
                             " endpoint = (SELECT id FROM endpoint WHERE name = 'mood')",
                             ""));
        hone_tx_abort(tx);
    }
    assert_int_equal(kept, 3);
}

static void remove_unpacked(void) {
    char command[160];
    (void)snprintf(command, sizeof command, "rm -rf '%s/models'", dir);
    assert_int_equal(system(command), 0);
}

static void test_restart__a_model_that_is_gone_fails_until_it_is_back(void **state) {
    (void)state;
    asked a = {0};
    make_config("one", 0.0F);
    create("mood", "one");
    await_entry("endpoint.in_service", 1);
    hone_fleet_close(fleet);
    remove_unpacked();
    hone_tx *tx = begin(HONE_TX_WRITE);
    CHECK_OK(hone_objects_delete(objects, tx, HONE_S("box"), HONE_S("one/model.tar.gz")));
    CHECK_OK(hone_tx_commit(tx));
    open_fleet();
    await_entry("endpoint.failed", 1);
    assert_string_equal(describe("mood").status, "Failed");
    CHECK_FAILS(ask_begin(&a, "mood"), HONE_E_INVALID, "has failed");
    ask_end(&a);
    hone_fleet_close(fleet);
    char tar[128];
    (void)snprintf(tar, sizeof tar, "%s/one", dir);
    hone_staged staged;
    char packed[160];
    (void)snprintf(packed, sizeof packed, "%s.tar.gz", tar);
    CHECK_OK(hone_artifact_pack(tar, packed));
    CHECK_OK(hone_objects_stage_file(objects, packed, true, &staged));
    tx = begin(HONE_TX_WRITE);
    CHECK_OK(hone_objects_link(
        objects, tx,
        &(hone_object_put){HONE_S("box"), HONE_S("one/model.tar.gz"), &staged, {0}, {0}}));
    CHECK_OK(hone_tx_commit(tx));
    open_fleet();
    await_entry("endpoint.in_service", 2);
    ask(&a, "mood");
    assert_string_equal(a.label, "one0");
}

static void test_restart__a_change_that_was_cut_off_is_finished(void **state) {
    (void)state;
    asked a = {0};
    make_config("one", 0.0F);
    make_config("two", 50.0F);
    create("mood", "one");
    await_entry("endpoint.in_service", 1);
    hone_fleet_close(fleet);
    /* As an update leaves the row when the process is killed before the model is loaded. */
    hone_tx *tx = begin(HONE_TX_WRITE);
    CHECK_OK(hone_tx_exec(tx,
                          "UPDATE endpoint SET status = 'Updating', config = 'two', turn = 2,"
                          " wanted = replace(replace(serving, '\"one\"', '\"two\"'),"
                          " 'box/one/', 'box/two/')",
                          ""));
    CHECK_OK(hone_tx_exec(tx, "UPDATE endpoint SET wanted = json_set(wanted, '$.folder', '')", ""));
    CHECK_OK(hone_tx_commit(tx));
    open_fleet();
    ask(&a, "mood"); /* by one of the two */
    assert_int_equal(a.code, HONE_E_NONE);
    await_entry("endpoint.in_service", 2);
    ask(&a, "mood");
    assert_string_equal(a.label, "two0");
    assert_string_equal(describe("mood").serving.config, "two");
}

/* A fleet whose loader is held up by an artifact that is being unpacked elsewhere: its lock is
 * ours, so requests wait until their patience ends. */
static void test_restart__requests_do_not_wait_for_ever(void **state) {
    (void)state;
    asked a = {0};
    char lock[400];
    make_config("one", 0.0F);
    create("mood", "one");
    await_entry("endpoint.in_service", 1);
    (void)snprintf(lock, sizeof lock, "%s/models/%s.lock", dir, describe("mood").serving.folder);
    hone_fleet_close(fleet);
    remove_unpacked();
    char models[128];
    (void)snprintf(models, sizeof models, "%s/models", dir);
    assert_int_equal(mkdir(models, 0755), 0);
    int fd = open(lock, O_RDWR | O_CREAT, 0644);
    assert_true(fd >= 0 && flock(fd, LOCK_EX) == 0);
    patience_ms = 50;
    open_fleet();
    assert_string_equal(describe("mood").status, "SystemUpdating");
    ask(&a, "mood");
    assert_int_equal(a.code, HONE_E_CONFLICT);
    /* Those who wait when the fleet closes are told so; the loader ends once it may. */
    patience_ms = 0;
    assert_int_equal(close(fd), 0);
    ask(&a, "mood");
    assert_true(a.code == HONE_E_NONE || a.code == HONE_E_CONFLICT);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
    const struct CMUnitTest tests[] = {
        CASE(test_endpoint__is_created_and_answers),
        CASE(test_endpoint__bad_requests_are_refused),
        CASE(test_endpoint__failed_creation_says_why),
        CASE(test_endpoint__failed_update_keeps_the_old_model),
        CASE(test_endpoint__deleted_is_gone_and_its_name_free),
        CASE(test_endpoint__swaps_under_load_fail_and_mix_nothing),
        CASE(test_restart__endpoints_and_statistics_come_back),
        CASE(test_statistics__are_kept_while_it_runs),
        CASE(test_restart__a_model_that_is_gone_fails_until_it_is_back),
        CASE(test_restart__a_change_that_was_cut_off_is_finished),
        CASE(test_restart__requests_do_not_wait_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
