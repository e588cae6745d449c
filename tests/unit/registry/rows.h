/* rows.h: a database of its own for each test, with the registry's tables. */
#ifndef HONE_TESTS_REGISTRY_ROWS_H
#define HONE_TESTS_REGISTRY_ROWS_H

#include "base/clock.h"
#include "check.h"
#include "registry/models.h"
#include "store/journal.h"

static char rows_dir[64];
static hone_db *rows_db;
static hone_arena *rows_arena;
static const hone_realm rows_realm = {"eu-west-1", "123456789012"};

static inline int rows_open(void **state) {
    (void)state;
    (void)snprintf(rows_dir, sizeof rows_dir, "%s", check_tmpdir());
    CHECK_OK(hone_db_open(rows_dir, &rows_db));
    CHECK_OK(hone_registry_open(rows_db));
    CHECK_OK(hone_arena_create((size_t)32 << 20, &rows_arena));
    hone_now_fix_ms(1000);
    return 0;
}

static inline int rows_close(void **state) {
    (void)state;
    hone_now_fix_ms(0);
    hone_arena_destroy(rows_arena);
    hone_db_close(rows_db);
    check_rmtree(rows_dir);
    return 0;
}

static inline hone_tx *rows_begin(void) {
    hone_tx *tx = NULL;
    CHECK_OK(hone_tx_begin(rows_db, HONE_TX_WRITE, &tx));
    return tx;
}

/* CreateModelPackage's input, as the pipeline sends it; status NULL = not said. */
static inline json_t *rows_fields(const char *uri, const char *status) {
    json_t *fields = json_pack("{s:{s:[{s:s, s:s}]}}", "InferenceSpecification", "Containers",
                               "Image", "hone/native", "ModelDataUrl", uri);
    assert_non_null(fields);
    if (status)
        assert_int_equal(json_object_set_new(fields, "ModelApprovalStatus", json_string(status)),
                         0);
    return fields;
}

static inline hone_err rows_add(hone_tx *tx, const char *group, const char *status,
                                hone_version *out) {
    json_t *fields = rows_fields("s3://bucket/run/model.tar.gz", status);
    hone_err err = hone_registry_add(tx, rows_arena, rows_realm, "user/ann", group, fields, NULL,
                                     NULL, out);
    json_decref(fields);
    return err;
}

/* "kind subject; kind subject; ..." of the whole journal, in the arena. */
static inline const char *rows_journal(void) {
    hone_entry *entries = NULL;
    size_t count = 0;
    char *text = hone_arena_alloc(rows_arena, 1 << 16, 1);
    assert_non_null(text);
    CHECK_OK(hone_journal_read(rows_db, rows_arena, 0, 1000, &entries, &count));
    for (size_t i = 0; i < count; i++)
        (void)snprintf(text + strlen(text), (1 << 16) - strlen(text), "%.*s %.*s; ",
                       HONE_ARG(entries[i].kind), HONE_ARG(entries[i].subject));
    return text;
}

#endif
