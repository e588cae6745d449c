/* A model names one container: an approved version, or a model.tar.gz; the rest is refused with
 * the words that clients look for. */
#include "registry/models.h"

#include "rows.h"

static hone_err add(hone_tx *tx, const char *json, hone_served *out) {
    json_t *fields = json_loads(json, 0, NULL);
    assert_non_null(fields);
    hone_err err = hone_models_add(tx, rows_arena, rows_realm, "user/ann", fields, out);
    json_decref(fields);
    return err;
}

static void test_model__stands_for_an_approved_version(void **state) {
    (void)state;
    static const char *const create =
        "{\"ModelName\": \"m\", \"Containers\": [{\"ModelPackageName\": \"arn:aws:sagemaker:"
        "eu-west-1:123456789012:model-package/g/1\"}], \"ExecutionRoleArn\": \"r\"}";
    hone_version v;
    hone_served m;
    hone_version_change change = {.status = HONE_S(HONE_APPROVED)};
    hone_tx *tx = rows_begin();
    CHECK_FAILS(add(tx, create, &m), HONE_E_NOT_FOUND, "Could not find model package 'g/1'");
    CHECK_OK(rows_add(tx, "g", NULL, &v));
    CHECK_FAILS(add(tx, create, &m), HONE_E_INVALID, "is PendingManualApproval: approve it first");
    CHECK_OK(hone_registry_update(tx, rows_arena, "user/bo", HONE_S("g/1"), &change, &v));
    CHECK_OK(add(tx, create, &m));
    assert_string_equal(m.arn, "arn:aws:sagemaker:eu-west-1:123456789012:model/m");
    assert_string_equal(m.version_arn, v.arn);
    assert_string_equal(m.artifact_uri, v.artifact_uri);
    assert_non_null(strstr(m.fields, "\"ExecutionRoleArn\":\"r\""));
    CHECK_OK(hone_models_check(tx, rows_arena, &m));
    CHECK_FAILS(add(tx, create, &m), HONE_E_CONFLICT, "Cannot create already existing model");
    change.status = HONE_S(HONE_REJECTED);
    CHECK_OK(hone_registry_update(tx, rows_arena, "user/bo", HONE_S("g/1"), &change, &v));
    CHECK_FAILS(hone_models_check(tx, rows_arena, &m), HONE_E_INVALID, "is Rejected");
    hone_tx_abort(tx);
}

static void test_model__stands_for_an_artifact(void **state) {
    (void)state;
    hone_served m;
    hone_tx *tx = rows_begin();
    CHECK_OK(add(tx,
                 "{\"ModelName\": \"m\", \"PrimaryContainer\": {\"Image\": \"any\","
                 " \"ModelDataUrl\": \"s3://box/k/model.tar.gz\","
                 " \"Environment\": {\"HF_TASK\": \"text-classification\"}}}",
                 &m));
    assert_string_equal(m.version_arn, "");
    assert_string_equal(m.artifact_uri, "s3://box/k/model.tar.gz");
    CHECK_OK(hone_models_check(tx, rows_arena, &m));
    CHECK_OK(add(tx,
                 "{\"ModelName\": \"n\", \"Containers\": [{\"ModelDataSource\": {\"S3DataSource\":"
                 " {\"S3Uri\": \"s3://box/model.tar.gz\"}}}]}",
                 &m));
    assert_string_equal(m.artifact_uri, "s3://box/model.tar.gz");
    hone_tx_abort(tx);
}

static void test_model__what_cannot_be_served_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *json, *words;
    } cases[] = {
        {"{}", "ModelName"},
        {"{\"ModelName\": \"m\"}", "this one has 0"},
        {"{\"ModelName\": \"m\", \"Containers\": [{}, {}]}", "this one has 2"},
        {"{\"ModelName\": \"m\", \"Containers\": [{}], \"PrimaryContainer\": {}}", "has 2"},
        {"{\"ModelName\": \"m\", \"Containers\": [{}]}", "no ModelDataUrl"},
        {"{\"ModelName\": \"-m\", \"Containers\": [{}]}", "'-m'"},
        {"{\"ModelName\": \"m\", \"Containers\": [{\"ModelPackageName\": \"g\"}]}",
         "names no model package"},
        {"{\"ModelName\": \"m\", \"Containers\": [{\"ModelDataUrl\": \"s3://box/m.tar.gz\","
         " \"Environment\": {\"HF_TASK\": \"summarization\"}}]}",
         "not HF_TASK 'summarization'"},
    };
    hone_served m;
    hone_tx *tx = rows_begin();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CHECK_FAILS(add(tx, cases[i].json, &m), HONE_E_INVALID, cases[i].words);
    hone_tx_abort(tx);
}

static void test_model__says_what_its_environment_sets(void **state) {
    (void)state;
    static const char *const json =
        "{\"ModelName\": \"m\", \"PrimaryContainer\": {\"ModelDataUrl\": \"s3://box/m.tar.gz\","
        " \"Environment\": {\"A\": \"b\", \"C\": 1}}}";
    hone_served m;
    const char *value = NULL;
    hone_tx *tx = rows_begin();
    CHECK_OK(add(tx, json, &m));
    CHECK_OK(hone_models_setting(rows_arena, &m, "A", &value));
    assert_string_equal(value, "b");
    CHECK_OK(hone_models_setting(rows_arena, &m, "B", &value));
    assert_null(value);
    CHECK_FAILS(hone_models_setting(rows_arena, &m, "C", &value), HONE_E_INVALID,
                "Environment.C is no text");
    hone_tx_abort(tx);
}

static void test_model__is_listed_and_removed(void **state) {
    (void)state;
    hone_served m, *models = NULL;
    size_t count = 0;
    bool more = false;
    hone_tx *tx = rows_begin();
    for (int i = 0; i < 3; i++) {
        char json[200];
        (void)snprintf(json, sizeof json,
                       "{\"ModelName\": \"m%d\", \"Containers\": [{\"ModelDataUrl\":"
                       " \"s3://box/model.tar.gz\"}]}",
                       i);
        CHECK_OK(add(tx, json, &m));
    }
    CHECK_OK(hone_models_remove(tx, rows_arena, "user/ann", HONE_S("m1")));
    CHECK_FAILS(hone_models_remove(tx, rows_arena, "user/ann", HONE_S("m1")), HONE_E_NOT_FOUND,
                "Could not find model 'm1'");
    CHECK_OK(hone_models_list(tx, rows_arena, &(hone_listing){.descending = true}, &models, &count,
                              &more));
    assert_int_equal(count, 2);
    assert_string_equal(models[0].name, "m2");
    CHECK_OK(hone_models_list(tx, rows_arena, &(hone_listing){.limit = 1}, &models, &count, &more));
    assert_true(more && count == 1);
    hone_tx_abort(tx);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, rows_open, rows_close)
    const struct CMUnitTest tests[] = {
        CASE(test_model__stands_for_an_approved_version),
        CASE(test_model__stands_for_an_artifact),
        CASE(test_model__what_cannot_be_served_is_refused),
        CASE(test_model__says_what_its_environment_sets),
        CASE(test_model__is_listed_and_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
