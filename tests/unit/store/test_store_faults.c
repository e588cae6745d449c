/* test_store_faults.c: the n-th allocation, write, fsync or rename fails, for every n, also inside
 * SQLite: nothing leaks, no half of a change stays, and the next try works.
 *
 * After each run the database is looked at: a failed change left nothing, one that succeeded is
 * whole. Leaks are found by the address sanitizer at the end. */
#include "check.h"
#include "fault.h"

#include "store/journal.h"
#include "store/objects.h"
#include "store/tags.h"

#include <dirent.h>

static char dir[64];
static hone_db *db;
static hone_objects *objects;
static hone_arena *arena;

static const char *const steps[] = {
    "CREATE TABLE pair (id INTEGER PRIMARY KEY, n INTEGER NOT NULL, text TEXT NOT NULL) STRICT"};

static int set_up(void **state) {
    (void)state;
    (void)snprintf(dir, sizeof dir, "%s", check_tmpdir());
    CHECK_OK(hone_arena_create(4 << 20, &arena));
    CHECK_OK(hone_db_open(dir, &db));
    CHECK_OK(hone_db_migrate(db, "pairs", steps, 1));
    CHECK_OK(hone_tags_open(db));
    CHECK_OK(hone_objects_open(dir, db, &objects));
    hone_tx *tx = NULL;
    CHECK_OK(hone_tx_begin(db, HONE_TX_WRITE, &tx));
    CHECK_OK(hone_tx_finish(tx, hone_objects_bucket_create(objects, tx, HONE_S("data"))));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    hone_objects_close(objects);
    hone_db_close(db);
    hone_arena_destroy(arena);
    check_rmtree(dir);
    return 0;
}

static int64_t number(const char *sql) {
    hone_tx *tx = NULL;
    int64_t n = -1;
    CHECK_OK(hone_tx_begin(db, HONE_TX_READ, &tx));
    CHECK_OK(hone_tx_int(tx, &n, sql, ""));
    hone_tx_abort(tx);
    return n;
}

/* --- open --------------------------------------------------------------------------- */

typedef struct opening {
    char dir[96];
    int run;
    bool is_new; /* a new folder each time, or the same one again */
} opening;

static hone_err open_and_close(void *ctx) {
    opening *o = ctx;
    hone_db *other = NULL;
    HONE_TRY(hone_db_open(o->dir, &other));
    hone_db_close(other);
    return HONE_OK;
}

/* Whatever happened, the folder can be opened now. */
static void check_opened(void *ctx, hone_err err) {
    opening *o = ctx;
    if (hone_failed(err)) CHECK_OK(open_and_close(o));
    if (o->is_new) (void)snprintf(o->dir, sizeof o->dir, "%s/new-%d", dir, ++o->run);
}

static void test_open__fails_cleanly_at_every_step(void **state) {
    (void)state;
    opening o = {.run = 0};
    (void)snprintf(o.dir, sizeof o.dir, "%s/old", dir);
    assert_true(fault_sweep_db(open_and_close, check_opened, &o) > 100); /* with SQLite's */
    o.is_new = true;
    assert_true(fault_sweep_db(open_and_close, check_opened, &o) > 100);
}

static hone_err open_objects(void *ctx) {
    (void)ctx;
    hone_objects *again = NULL;
    HONE_TRY(hone_objects_open(dir, db, &again));
    hone_objects_close(again);
    return HONE_OK;
}

/* --- a change with its journal entry ------------------------------------------------ */

static hone_err add_in(hone_tx *tx) {
    HONE_TRY(hone_tx_exec(tx, "INSERT INTO pair (n, text) VALUES (?, ?)", "iz", (int64_t)1, "one"));
    HONE_TRY(hone_tx_exec(tx, "INSERT INTO pair (n, text) VALUES (?, ?)", "iz", (int64_t)2, "two"));
    json_t *tags = json_pack("[{s:s, s:s}]", "Key", "k", "Value", "v");
    hone_err err = hone_tags_add(tx, "arn:x", tags);
    json_decref(tags);
    HONE_TRY(err);
    return hone_journal_append(tx, "system", "pair.created", "pair/1",
                               json_pack("{s:s}", "a", "b"));
}

static hone_err add(void *ctx) {
    (void)ctx;
    hone_tx *tx = NULL;
    HONE_TRY(hone_tx_begin(db, HONE_TX_WRITE, &tx));
    return hone_tx_finish(tx, add_in(tx));
}

static void check_added(void *ctx, hone_err err) {
    int64_t *before = ctx; /* pairs of rows */
    *before += !hone_failed(err);
    assert_int_equal(number("SELECT count(*) FROM pair WHERE n = 1"), *before);
    assert_int_equal(number("SELECT count(*) FROM pair WHERE n = 2"), *before);
    assert_int_equal(number("SELECT count(*) FROM journal"), *before);
}

static void test_tx__all_or_nothing_at_every_step(void **state) {
    (void)state;
    int64_t pairs = 0;
    /* Warm statements allocate little: sweep a fresh connection, and then a warm one. */
    size_t cold = fault_sweep_db(add, check_added, &pairs);
    size_t warm = fault_sweep_db(add, check_added, &pairs);
    assert_true(cold > warm && warm > 3);
    hone_db_close(db);
    db = NULL;
    CHECK_OK(hone_db_open(dir, &db)); /* and it is what the disk has */
    assert_int_equal(number("SELECT count(*) FROM pair"), 2 * pairs);
}

/* --- reading ------------------------------------------------------------------------ */

static hone_err read_pairs(void *ctx) {
    (void)ctx;
    hone_tx *tx = NULL;
    hone_rows rows;
    bool more = false;
    int64_t sum = 0;
    HONE_TRY(hone_tx_begin(db, HONE_TX_READ, &tx));
    hone_err err = hone_rows_open(tx, &rows, "SELECT n, text FROM pair WHERE n > ? AND text > ?",
                                  "iz", (int64_t)0, "a");
    while (!hone_failed(err) && !hone_failed(err = hone_rows_next(&rows, &more)) && more)
        sum += hone_rows_int(&rows, 0);
    hone_rows_close(&rows);
    hone_tx_abort(tx);
    if (!hone_failed(err)) assert_int_equal(sum, 3);
    return err;
}

static hone_err read_journal(void *ctx) {
    (void)ctx;
    hone_entry *entries = NULL;
    size_t count = 0;
    hone_arena_reset(arena);
    HONE_TRY(hone_journal_read(db, arena, 0, 10, &entries, &count));
    assert_int_equal(count, 1);
    return HONE_OK;
}

static hone_err list_tags(void *ctx) {
    (void)ctx;
    hone_tx *tx = NULL;
    json_t *tags = NULL;
    HONE_TRY(hone_tx_begin(db, HONE_TX_READ, &tx));
    hone_err err = hone_tags_list(tx, "arn:x", &tags);
    hone_tx_abort(tx);
    if (!hone_failed(err)) assert_int_equal(json_array_size(tags), 1);
    json_decref(tags);
    return err;
}

static void check_nothing(void *ctx, hone_err err) {
    (void)ctx;
    (void)err;
}

static void test_reads__fail_cleanly_at_every_step(void **state) {
    (void)state;
    CHECK_OK(add(NULL));
    assert_true(fault_sweep_db(read_pairs, check_nothing, NULL) > 0);
    assert_true(fault_sweep_db(read_journal, check_nothing, NULL) > 0);
    assert_true(fault_sweep_db(list_tags, check_nothing, NULL) > 0);
}

/* --- objects ------------------------------------------------------------------------ */

static size_t count_files(void) {
    size_t count = 0;
    for (int i = 0; i < 256; i++) {
        char path[96];
        (void)snprintf(path, sizeof path, "%s/objects/%02x", dir, i);
        DIR *folder = opendir(path);
        assert_non_null(folder);
        for (const struct dirent *entry; (entry = readdir(folder));)
            count += entry->d_name[0] != '.';
        (void)closedir(folder);
    }
    return count;
}

/* Replace s3://data/k by the next of many texts. */
typedef struct putting {
    int run, current; /* which text is tried, which one is there; -1 = none */
} putting;

static hone_err put_next(void *ctx) {
    putting *p = ctx;
    char text[32];
    (void)snprintf(text, sizeof text, "text %d", p->run);
    return hone_objects_put(objects, HONE_S("data"), HONE_S("k"), hone_str_of(text), NULL);
}

/* The key has the old text or the new one, whole; and there is no file too many, but for those
 * that a failed commit leaves to the next start. */
static void check_put(void *ctx, hone_err err) {
    putting *p = ctx;
    char want[32];
    hone_str found = {NULL, 0};
    if (!hone_failed(err)) p->current = p->run;
    p->run++;
    (void)snprintf(want, sizeof want, "text %d", p->current);
    hone_arena_reset(arena);
    if (p->current < 0) {
        CHECK_FAILS(hone_objects_load(objects, arena, HONE_S("data"), HONE_S("k"), 99, &found),
                    HONE_E_NOT_FOUND, "no object");
        return;
    }
    CHECK_OK(hone_objects_load(objects, arena, HONE_S("data"), HONE_S("k"), 99, &found));
    assert_string_equal(found.ptr, want);
}

static void test_put__old_or_new_at_every_step(void **state) {
    (void)state;
    putting p = {.run = 0, .current = -1};
    (void)fault_sweep_db(put_next, check_put, &p);
    (void)fault_sweep_db(put_next, check_put, &p);
    hone_objects_close(objects);
    objects = NULL;
    CHECK_OK(hone_objects_open(dir, db, &objects));
    assert_int_equal(count_files(), 1);
    p.run = p.current;
    check_put(&p, HONE_OK);
}

typedef struct taking {
    char path[96];
    hone_staged staged;
} taking;

static hone_err take(void *ctx) {
    taking *t = ctx;
    return hone_objects_stage_file(objects, t->path, true, &t->staged);
}

/* Staged, or where it was: never lost, never both. */
static void check_taken(void *ctx, hone_err err) {
    taking *t = ctx;
    size_t files = count_files();
    bool is_there = access(t->path, F_OK) == 0;
    assert_int_equal(is_there, hone_failed(err));
    assert_int_equal(files, !hone_failed(err));
    if (hone_failed(err)) return;
    assert_string_equal(t->staged.etag, "900150983cd24fb0d6963f7d28e17f72");
    hone_objects_unstage(objects, &t->staged);
    FILE *file = fopen(t->path, "w");
    assert_non_null(file);
    assert_true(fputs("abc", file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_objects__open_fails_cleanly_at_every_step(void **state) {
    (void)state;
    assert_true(fault_sweep_db(open_objects, check_nothing, NULL) > 256); /* a path a folder */
}

static void test_stage_file__here_or_there_at_every_step(void **state) {
    (void)state;
    taking t;
    (void)snprintf(t.path, sizeof t.path, "%s/file", dir);
    FILE *file = fopen(t.path, "w");
    assert_non_null(file);
    assert_true(fputs("abc", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_true(fault_sweep_db(take, check_taken, &t) >= 5);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_open__fails_cleanly_at_every_step),
        CASE(test_tx__all_or_nothing_at_every_step),
        CASE(test_reads__fail_cleanly_at_every_step),
        CASE(test_put__old_or_new_at_every_step),
        CASE(test_objects__open_fails_cleanly_at_every_step),
        CASE(test_stage_file__here_or_there_at_every_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
