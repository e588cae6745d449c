/* Groups and versions: numbers, ARNs and names as the wire has them, approval, lists in every
 * order, a journal entry for each change, and nothing half-written when memory ends. */
#include "registry/registry.h"

#include "base/json.h"
#include "fault.h"
#include "rows.h"

static void test_version__is_numbered_and_named_within_its_group(void **state) {
    (void)state;
    hone_version v;
    hone_tx *tx = rows_begin();
    CHECK_OK(rows_add(tx, "Sentiment", NULL, &v));
    assert_string_equal(v.arn,
                        "arn:aws:sagemaker:eu-west-1:123456789012:model-package/sentiment/1");
    assert_string_equal(v.group, "Sentiment");
    assert_string_equal(v.status, HONE_PENDING);
    assert_string_equal(v.artifact_uri, "s3://bucket/run/model.tar.gz");
    assert_string_equal(v.metrics, "{}");
    assert_string_equal(v.created_by, "user/ann");
    assert_int_equal(v.created_ms, 1000);
    CHECK_OK(rows_add(tx, "sentiment", NULL, &v)); /* one group: ARNs know no capitals */
    assert_int_equal(v.number, 2);
    CHECK_OK(rows_add(tx, "arn:aws:sagemaker:x:1:model-package-group/sentiment", NULL, &v));
    assert_int_equal(v.number, 3);
    CHECK_OK(rows_add(tx, "other", NULL, &v));
    assert_int_equal(v.number, 1);
    CHECK_OK(hone_tx_commit(tx));
}

static void test_version__is_found_by_each_of_its_names(void **state) {
    (void)state;
    static const char *const names[] = {
        "Sentiment/1", "sentiment/1", "Sentiment:1",
        "arn:aws:sagemaker:eu-west-1:123456789012:model-package/sentiment/1"};
    hone_version v;
    hone_tx *tx = rows_begin();
    CHECK_OK(rows_add(tx, "Sentiment", NULL, &v));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        CHECK_OK(hone_registry_find(tx, rows_arena, hone_str_of(names[i]), &v));
        assert_int_equal(v.number, 1);
    }
    CHECK_FAILS(hone_registry_find(tx, rows_arena, HONE_S("Sentiment/2"), &v), HONE_E_NOT_FOUND,
                "'Sentiment/2'");
    static const char *const bad[] = {"",
                                      "Sentiment",
                                      "Sentiment/",
                                      "/1",
                                      "Sentiment/x",
                                      "Sentiment/1234567890",
                                      "arn:aws:sagemaker:a:b:model/m/1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_FAILS(hone_registry_find(tx, rows_arena, hone_str_of(bad[i]), &v), HONE_E_INVALID,
                    "names no model package");
    hone_tx_abort(tx);
}

static void test_version__keeps_what_it_was_given(void **state) {
    (void)state;
    hone_version v;
    hone_tx *tx = rows_begin();
    json_t *fields = rows_fields("s3://box/model.tar.gz", NULL);
    json_t *lineage = json_pack("{s:s}", "base", "minilm");
    json_t *metrics = json_pack("{s:f}", "accuracy", 0.5);
    (void)json_object_set_new(fields, "ModelPackageDescription", json_string("überall"));
    CHECK_OK(
        hone_registry_add(tx, rows_arena, rows_realm, "system", "g", fields, lineage, metrics, &v));
    CHECK_OK(hone_registry_find(tx, rows_arena, HONE_S("g/1"), &v));
    json_t *kept = json_loads(v.fields, 0, NULL);
    assert_true(json_equal(kept, fields));
    assert_string_equal(v.lineage, "{\"base\":\"minilm\"}");
    assert_non_null(strstr(v.metrics, "\"accuracy\":0.5"));
    json_decref(kept);
    json_decref(fields);
    json_decref(lineage);
    json_decref(metrics);
    hone_tx_abort(tx);
}

static void test_version__a_token_sent_twice_makes_one(void **state) {
    (void)state;
    hone_version v;
    hone_tx *tx = rows_begin();
    json_t *fields = rows_fields("s3://box/model.tar.gz", NULL);
    (void)json_object_set_new(fields, "ClientToken", json_string("abc"));
    for (int i = 0; i < 2; i++) {
        CHECK_OK(
            hone_registry_add(tx, rows_arena, rows_realm, "system", "g", fields, NULL, NULL, &v));
        assert_int_equal(v.number, 1);
    }
    CHECK_OK(hone_registry_add(tx, rows_arena, rows_realm, "system", "h", fields, NULL, NULL, &v));
    assert_string_equal(v.group, "h");
    json_decref(fields);
    CHECK_OK(rows_add(tx, "g", NULL, &v));
    CHECK_OK(rows_add(tx, "g", NULL, &v)); /* no token: no two are the same */
    assert_int_equal(v.number, 3);
    hone_tx_abort(tx);
}

static void test_version__bad_fields_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *json, *words;
    } cases[] = {
        {"{}", "0 containers"},
        {"{\"InferenceSpecification\": 5}", "0 containers"},
        {"{\"InferenceSpecification\": {\"Containers\": [{}, {}]}}", "2 containers"},
        {"{\"InferenceSpecification\": {\"Containers\": [{}]}}", "no ModelDataUrl"},
        {"{\"InferenceSpecification\": {\"Containers\": [{\"ModelDataUrl\": 1}]}}",
         "no ModelDataUrl"},
        {"{\"InferenceSpecification\": {\"Containers\": [{\"ModelDataUrl\": \"http://x/y\"}]}}",
         "ModelDataUrl of"},
        {"{\"InferenceSpecification\": {\"Containers\": [{\"ModelDataUrl\": \"s3://box/m.zip\"}]}}",
         "no model.tar.gz"},
        {"{\"InferenceSpecification\": {\"Containers\": [{\"ModelDataUrl\":"
         " \"s3://box/m.tar.gz\"}]}, \"ModelApprovalStatus\": \"Maybe\"}",
         "none of PendingManualApproval"},
    };
    hone_version v;
    hone_tx *tx = rows_begin();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *fields = json_loads(cases[i].json, 0, NULL);
        assert_non_null(fields);
        CHECK_FAILS(
            hone_registry_add(tx, rows_arena, rows_realm, "system", "g", fields, NULL, NULL, &v),
            HONE_E_INVALID, cases[i].words);
        json_decref(fields);
    }
    CHECK_FAILS(rows_add(tx, "no spaces", NULL, &v), HONE_E_INVALID, "'no spaces'");
    CHECK_FAILS(rows_add(tx, "", NULL, &v), HONE_E_INVALID, "group's name");
    hone_tx_abort(tx);
}

static void test_version__newest_approved_is_the_highest_number(void **state) {
    (void)state;
    hone_version v;
    hone_version_change approve = {.status = HONE_S(HONE_APPROVED)};
    hone_tx *tx = rows_begin();
    CHECK_FAILS(hone_registry_newest_approved(tx, rows_arena, "g", &v), HONE_E_NOT_FOUND,
                "Could not find model package group 'g'");
    for (int i = 0; i < 3; i++) CHECK_OK(rows_add(tx, "g", NULL, &v));
    CHECK_FAILS(hone_registry_newest_approved(tx, rows_arena, "g", &v), HONE_E_NOT_FOUND,
                "no version of 'g' is approved (it has 3)");
    CHECK_OK(hone_registry_update(tx, rows_arena, "user/bo", HONE_S("g/2"), &approve, &v));
    hone_now_fix_ms(2000);
    CHECK_OK(hone_registry_update(tx, rows_arena, "user/bo", HONE_S("g/1"), &approve, &v));
    CHECK_OK(hone_registry_newest_approved(tx, rows_arena, "g", &v));
    assert_int_equal(v.number, 2); /* not the one approved last */
    hone_tx_abort(tx);
}

static void test_version__approval_is_told_once(void **state) {
    (void)state;
    hone_version v;
    hone_version_change change = {.status = HONE_S(HONE_APPROVED), .note = HONE_S("good")};
    hone_tx *tx = rows_begin();
    CHECK_OK(rows_add(tx, "g", NULL, &v));
    CHECK_OK(hone_registry_update(tx, rows_arena, "user/bo", HONE_S("g/1"), &change, &v));
    assert_string_equal(v.status, HONE_APPROVED);
    assert_string_equal(v.approval_note, "good");
    assert_string_equal(v.modified_by, "user/bo");
    assert_string_equal(v.created_by, "user/ann");
    CHECK_OK(hone_registry_update(tx, rows_arena, "user/bo", HONE_S("g/1"), &change, &v));
    change = (hone_version_change){.status = HONE_S(HONE_REJECTED)};
    CHECK_OK(hone_registry_update(tx, rows_arena, "user/bo", HONE_S("g/1"), &change, &v));
    assert_string_equal(v.approval_note, "good");
    change.status = HONE_S("Fine");
    CHECK_FAILS(hone_registry_update(tx, rows_arena, "user/bo", HONE_S("g/1"), &change, &v),
                HONE_E_INVALID, "'Fine'");
    CHECK_OK(rows_add(tx, "g", HONE_APPROVED, &v));
    CHECK_OK(hone_tx_commit(tx));
    assert_string_equal(rows_journal(),
                        "model_group.created model-group/g; model.registered model/g/1; "
                        "model.approved model/g/1; model.rejected model/g/1; "
                        "model.registered model/g/2; model.approved model/g/2; ");
}

static void test_version__properties_are_merged_and_dropped(void **state) {
    (void)state;
    hone_version v;
    json_t *first = json_pack("{s:s, s:s}", "a", "1", "b", "2");
    json_t *second = json_pack("{s:s}", "b", "3");
    json_t *drop = json_pack("[s, s]", "a", "none");
    hone_tx *tx = rows_begin();
    CHECK_OK(rows_add(tx, "g", NULL, &v));
    hone_version_change change = {.properties = first};
    CHECK_OK(hone_registry_update(tx, rows_arena, "user/bo", HONE_S("g/1"), &change, &v));
    assert_non_null(strstr(v.fields, "\"CustomerMetadataProperties\":{\"a\":\"1\",\"b\":\"2\"}"));
    change = (hone_version_change){.properties = second, .drop_keys = drop};
    CHECK_OK(hone_registry_update(tx, rows_arena, "user/bo", HONE_S("g/1"), &change, &v));
    assert_non_null(strstr(v.fields, "\"CustomerMetadataProperties\":{\"b\":\"3\"}"));
    assert_string_equal(v.status, HONE_PENDING);
    hone_tx_abort(tx);
    json_decref(first);
    json_decref(second);
    json_decref(drop);
}

static void test_version__a_number_is_never_given_twice(void **state) {
    (void)state;
    hone_version v;
    hone_tx *tx = rows_begin();
    CHECK_OK(rows_add(tx, "g", NULL, &v));
    CHECK_OK(rows_add(tx, "g", NULL, &v));
    CHECK_OK(hone_registry_remove(tx, rows_arena, "user/ann", HONE_S("g/2")));
    CHECK_FAILS(hone_registry_remove(tx, rows_arena, "user/ann", HONE_S("g/2")), HONE_E_NOT_FOUND,
                "'g/2'");
    CHECK_OK(rows_add(tx, "g", NULL, &v));
    assert_int_equal(v.number, 3);
    hone_tx_abort(tx);
}

static void test_group__is_made_listed_and_removed(void **state) {
    (void)state;
    hone_group g, *groups = NULL;
    hone_version v;
    size_t count = 0;
    bool more = false;
    hone_tx *tx = rows_begin();
    CHECK_OK(hone_registry_group_add(tx, rows_arena, rows_realm, "user/ann", HONE_S("Bees"),
                                     HONE_S("of all kinds"), &g));
    assert_string_equal(g.arn, "arn:aws:sagemaker:eu-west-1:123456789012:model-package-group/bees");
    assert_string_equal(g.description, "of all kinds");
    CHECK_FAILS(hone_registry_group_add(tx, rows_arena, rows_realm, "user/ann", HONE_S("bees"),
                                        HONE_S(""), &g),
                HONE_E_CONFLICT, "already exists");
    CHECK_OK(rows_add(tx, "ants", NULL, &v));
    hone_listing by_name = {.by_name = true};
    CHECK_OK(hone_registry_group_list(tx, rows_arena, &by_name, &groups, &count, &more));
    assert_int_equal(count, 2);
    assert_false(more);
    assert_string_equal(groups[0].name, "ants");
    assert_int_equal(groups[0].versions, 1);
    CHECK_OK(hone_registry_group_find(tx, rows_arena, hone_str_of(g.arn), &g));
    CHECK_FAILS(hone_registry_group_remove(tx, rows_arena, "user/ann", HONE_S("ants")),
                HONE_E_CONFLICT, "1 versions");
    CHECK_OK(hone_registry_remove(tx, rows_arena, "user/ann", HONE_S("ants/1")));
    CHECK_OK(hone_registry_group_remove(tx, rows_arena, "user/ann", HONE_S("ants")));
    CHECK_FAILS(hone_registry_group_find(tx, rows_arena, HONE_S("ants"), &g), HONE_E_NOT_FOUND,
                "Could not find");
    hone_tx_abort(tx);
}

/* "group/number ..." of a listing. */
static const char *listed(hone_tx *tx, const hone_listing *listing, bool want_more) {
    static char text[256];
    hone_version *versions = NULL;
    size_t count = 0;
    bool more = !want_more;
    CHECK_OK(hone_registry_list(tx, rows_arena, listing, &versions, &count, &more));
    assert_int_equal(more, want_more);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s/%lld", i ? " " : "",
                       versions[i].group, (long long)versions[i].number);
    return text;
}

static void test_list__orders_filters_and_pages(void **state) {
    (void)state;
    hone_version v;
    hone_tx *tx = rows_begin();
    static const char *const groups[] = {"b", "a", "b", "a-x"};
    for (int i = 0; i < 4; i++) {
        hone_now_fix_ms(1000 + i);
        CHECK_OK(rows_add(tx, groups[i], i == 2 ? HONE_APPROVED : NULL, &v));
    }
    assert_string_equal(listed(tx, &(hone_listing){0}, false), "b/1 a/1 b/2 a-x/1");
    assert_string_equal(listed(tx, &(hone_listing){.descending = true}, false),
                        "a-x/1 b/2 a/1 b/1");
    assert_string_equal(listed(tx, &(hone_listing){.by_name = true}, false), "a/1 a-x/1 b/1 b/2");
    assert_string_equal(listed(tx, &(hone_listing){.by_name = true, .descending = true}, false),
                        "b/2 b/1 a-x/1 a/1");
    assert_string_equal(listed(tx, &(hone_listing){.group = HONE_S("B")}, false), "b/1 b/2");
    assert_string_equal(listed(tx, &(hone_listing){.status = HONE_S(HONE_APPROVED)}, false), "b/2");
    assert_string_equal(listed(tx, &(hone_listing){.name_contains = HONE_S("-")}, false), "a-x/1");
    assert_string_equal(listed(tx, &(hone_listing){.name_contains = HONE_S("%")}, false), "");
    assert_string_equal(listed(tx, &(hone_listing){.name_contains = HONE_S("_")}, false), "");
    assert_string_equal(listed(tx, &(hone_listing){.after_ms = 1001, .before_ms = 1002}, false),
                        "a/1 b/2");
    assert_string_equal(listed(tx, &(hone_listing){.limit = 3}, true), "b/1 a/1 b/2");
    assert_string_equal(listed(tx, &(hone_listing){.limit = 3, .offset = 3}, false), "a-x/1");
    hone_version *versions = NULL;
    size_t count = 0;
    bool more = false;
    CHECK_FAILS(
        hone_registry_list(tx, rows_arena, &(hone_listing){.limit = 101}, &versions, &count, &more),
        HONE_E_INVALID, "1 to 100");
    CHECK_FAILS(hone_registry_list(tx, rows_arena, &(hone_listing){.status = HONE_S("x")},
                                   &versions, &count, &more),
                HONE_E_INVALID, "'x'");
    hone_tx_abort(tx);
}

/* How many runs have succeeded, and the arena of one. */
typedef struct adding {
    int64_t versions;
    hone_arena *arena;
} adding;

static hone_err add_in(hone_tx *tx, hone_arena *arena) {
    hone_version v;
    char name[32];
    json_t *fields = json_loads("{\"InferenceSpecification\": {\"Containers\": "
                                "[{\"ModelDataUrl\": \"s3://box/model.tar.gz\"}]}}",
                                0, NULL);
    if (!fields) return hone_err_new(HONE_E_NOMEM, "no memory for the input");
    hone_err err = hone_registry_add(tx, arena, rows_realm, "system", "g", fields, NULL, NULL, &v);
    json_decref(fields);
    HONE_TRY(err);
    hone_version_change change = {.status = HONE_S(HONE_APPROVED)};
    (void)snprintf(name, sizeof name, "g/%lld", (long long)v.number);
    return hone_registry_update(tx, arena, "system", hone_str_of(name), &change, &v);
}

static hone_err add_and_approve(void *ctx) {
    adding *a = ctx;
    hone_tx *tx = NULL;
    HONE_TRY(hone_arena_create(1 << 20, &a->arena));
    hone_err err = hone_tx_begin(rows_db, HONE_TX_WRITE, &tx);
    if (!hone_failed(err)) err = hone_tx_finish(tx, add_in(tx, a->arena));
    hone_arena_destroy(a->arena);
    return err;
}

static int64_t count_rows(const char *sql) {
    int64_t count = 0;
    hone_tx *tx = NULL;
    CHECK_OK(hone_tx_begin(rows_db, HONE_TX_READ, &tx));
    CHECK_OK(hone_tx_int(tx, &count, sql, ""));
    hone_tx_abort(tx);
    return count;
}

/* Each success is a version that is approved, with its entries; each failure is nothing. */
static void check_added(void *ctx, hone_err err) {
    adding *a = ctx;
    a->versions += !hone_failed(err);
    assert_int_equal(count_rows("SELECT count(*) FROM model_version WHERE status = 'Approved'"),
                     a->versions);
    assert_int_equal(count_rows("SELECT coalesce(max(last), 0) FROM model_group"), a->versions);
    assert_int_equal(count_rows("SELECT count(*) FROM journal"),
                     2 * a->versions + (a->versions > 0));
}

static void test_version__is_whole_or_absent_when_calls_fail(void **state) {
    (void)state;
    adding a = {0};
    assert_true(fault_sweep_db(add_and_approve, check_added, &a) > 20);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, rows_open, rows_close)
    const struct CMUnitTest tests[] = {
        CASE(test_version__is_numbered_and_named_within_its_group),
        CASE(test_version__is_found_by_each_of_its_names),
        CASE(test_version__keeps_what_it_was_given),
        CASE(test_version__a_token_sent_twice_makes_one),
        CASE(test_version__bad_fields_are_refused),
        CASE(test_version__newest_approved_is_the_highest_number),
        CASE(test_version__approval_is_told_once),
        CASE(test_version__properties_are_merged_and_dropped),
        CASE(test_version__a_number_is_never_given_twice),
        CASE(test_group__is_made_listed_and_removed),
        CASE(test_list__orders_filters_and_pages),
        CASE(test_version__is_whole_or_absent_when_calls_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
