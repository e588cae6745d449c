/* test_tags.c: the wire's form goes in and comes out; its limits hold. */
#include "check.h"

#include "store/tags.h"

static char dir[64];
static hone_db *db;
static hone_tx *tx;

static int set_up(void **state) {
    (void)state;
    (void)snprintf(dir, sizeof dir, "%s", check_tmpdir());
    CHECK_OK(hone_db_open(dir, &db));
    CHECK_OK(hone_tags_open(db));
    CHECK_OK(hone_tx_begin(db, HONE_TX_WRITE, &tx));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    hone_tx_abort(tx);
    hone_db_close(db);
    check_rmtree(dir);
    return 0;
}

static hone_err add(const char *arn, const char *json) {
    json_t *tags = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(tags);
    hone_err err = hone_tags_add(tx, arn, tags);
    json_decref(tags);
    return err;
}

static void assert_tags(const char *arn, const char *want) {
    json_t *tags = NULL;
    CHECK_OK(hone_tags_list(tx, arn, &tags));
    char *text = json_dumps(tags, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, want);
    free(text);
    json_decref(tags);
}

static void test_tags__added_listed_replaced_removed(void **state) {
    (void)state;
    hone_arena *arena = NULL;
    hone_str value;
    CHECK_OK(hone_arena_create(4096, &arena));
    CHECK_OK(hone_tags_add(tx, "arn:x", NULL));
    assert_tags("arn:x", "[]");
    CHECK_OK(add("arn:x", "[{\"Key\":\"b\",\"Value\":\"1\"},{\"Key\":\"a\",\"Value\":\"\"}]"));
    CHECK_OK(add("arn:y", "[{\"Key\":\"b\",\"Value\":\"other\"}]"));
    CHECK_OK(add("arn:x", "[{\"Key\":\"b\",\"Value\":\"2\"}]"));
    assert_tags("arn:x", "[{\"Key\":\"a\",\"Value\":\"\"},{\"Key\":\"b\",\"Value\":\"2\"}]");
    CHECK_OK(hone_tags_find(tx, arena, "arn:x", "b", &value));
    assert_string_equal(value.ptr, "2");
    CHECK_FAILS(hone_tags_find(tx, arena, "arn:x", "c", &value), HONE_E_NOT_FOUND, "no tag 'c'");
    json_t *keys = json_pack("[s, s]", "b", "never there");
    CHECK_OK(hone_tags_remove(tx, "arn:x", keys));
    json_decref(keys);
    assert_tags("arn:x", "[{\"Key\":\"a\",\"Value\":\"\"}]");
    CHECK_OK(hone_tags_drop(tx, "arn:x"));
    assert_tags("arn:x", "[]");
    assert_tags("arn:y", "[{\"Key\":\"b\",\"Value\":\"other\"}]");
    hone_arena_destroy(arena);
}

static void test_tags__bad_ones_are_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "{}",
        "[1]",
        "[{\"Key\":\"a\"}]",
        "[{\"Key\":\"\",\"Value\":\"\"}]",
        "[{\"Key\":1,\"Value\":\"\"}]",
        "[{\"Key\":\"AWS:x\",\"Value\":\"\"}]",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_FAILS(add("x", bad[i]), HONE_E_INVALID, "");
    json_t *keys = json_pack("[i]", 1);
    CHECK_FAILS(hone_tags_remove(tx, "x", keys), HONE_E_INVALID, "text");
    CHECK_FAILS(hone_tags_remove(tx, "x", NULL), HONE_E_INVALID, "no list");
    json_decref(keys);
}

/* n tags named from start on. */
static hone_err add_many(int start, int n) {
    json_t *tags = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(
            tags, json_pack("{s:o, s:s}", "Key", json_sprintf("k%d", start + i), "Value", "v"));
    hone_err err = hone_tags_add(tx, "arn:many", tags);
    json_decref(tags);
    return err;
}

/* A key and a value of so many two-byte characters. */
static hone_err add_sized(size_t key_chars, size_t value_chars) {
    char key[600] = "", value[600] = "";
    for (size_t i = 0; i < key_chars; i++) memcpy(key + 2 * i, "\xC3\xA9", 3);
    for (size_t i = 0; i < value_chars; i++) memcpy(value + 2 * i, "\xC3\xA9", 3);
    json_t *tags = json_pack("[{s:s, s:s}]", "Key", key, "Value", value);
    hone_err err = hone_tags_add(tx, "arn:sized", tags);
    json_decref(tags);
    return err;
}

static void test_tags__limits(void **state) {
    (void)state;
    CHECK_FAILS(add_many(0, 51), HONE_E_INVALID, "more than 50");
    CHECK_OK(add_many(0, 50));
    CHECK_OK(add_many(0, 50));
    CHECK_FAILS(add_many(50, 1), HONE_E_INVALID, "more than 50");
    CHECK_OK(add_sized(128, 256));
    CHECK_FAILS(add_sized(129, 1), HONE_E_INVALID, "1 to 128 characters");
    CHECK_FAILS(add_sized(1, 257), HONE_E_INVALID, "256 characters");
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_tags__added_listed_replaced_removed),
        CASE(test_tags__bad_ones_are_refused),
        CASE(test_tags__limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
