/* test_db.c: transactions keep what they promise: all or nothing, snapshots, one writer, and
 * errors that a caller can act on. Durability is the crash tests' business. */
#include "check.h"

#include "base/file.h"
#include "store/db.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char dir[64];
static hone_db *db;

static const char *const steps[] = {
    "CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT UNIQUE, size REAL, bytes BLOB) STRICT;"
    "CREATE TABLE part (id INTEGER PRIMARY KEY, thing INTEGER NOT NULL REFERENCES thing (id),"
    " place INTEGER CHECK (place > 0)) STRICT;",
    "ALTER TABLE thing ADD COLUMN colour TEXT",
};

static int set_up(void **state) {
    (void)state;
    (void)snprintf(dir, sizeof dir, "%s", check_tmpdir());
    CHECK_OK(hone_db_open(dir, &db));
    CHECK_OK(hone_db_migrate(db, "things", steps, 1));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    hone_db_close(db);
    check_rmtree(dir);
    return 0;
}

static hone_tx *begin(hone_tx_kind kind) {
    hone_tx *tx = NULL;
    CHECK_OK(hone_tx_begin(db, kind, &tx));
    return tx;
}

static hone_err add(hone_tx *tx, const char *name) {
    return hone_tx_exec(tx, "INSERT INTO thing (name) VALUES (?)", "z", name);
}

static int64_t count_in(hone_tx *tx) {
    int64_t n = -1;
    CHECK_OK(hone_tx_int(tx, &n, "SELECT count(*) FROM thing", ""));
    return n;
}

static int64_t count(void) {
    hone_tx *tx = begin(HONE_TX_READ);
    int64_t n = count_in(tx);
    hone_tx_abort(tx);
    return n;
}

static void test_db__folder_is_private_and_locked(void **state) {
    (void)state;
    char path[128];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/hone.db", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    hone_db *second = NULL;
    CHECK_FAILS(hone_db_open(dir, &second), HONE_E_CONFLICT, dir);
    (void)snprintf(path, sizeof path, "process %ld", (long)getpid());
    CHECK_FAILS(hone_db_open(dir, &second), HONE_E_CONFLICT, path);
    assert_null(second);
}

static void test_db__child_process_does_not_keep_the_lock(void **state) {
    (void)state;
    pid_t child = fork();
    if (child == 0) (void)execlp("sleep", "sleep", "60", (char *)NULL);
    hone_db_close(db);
    /* Until exec has closed the child's copy, the lock is still held. */
    hone_err err;
    do err = hone_db_open(dir, &db);
    while (err.code == HONE_E_CONFLICT);
    CHECK_OK(err);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void test_db__rubbish_and_missing_places_are_refused(void **state) {
    (void)state;
    char other[96], path[128];
    hone_db *rubbish = NULL;
    (void)snprintf(other, sizeof other, "%s/hone.db/below", dir); /* a file */
    CHECK_FAILS(hone_db_open(other, &rubbish), HONE_E_NOT_FOUND, "hone.db/below");
    (void)snprintf(other, sizeof other, "%s/rubbish", dir);
    (void)snprintf(path, sizeof path, "%s/hone.db", other);
    assert_int_equal(mkdir(other, 0700), 0);
    char text[4096];
    memset(text, 'x', sizeof text);
    CHECK_OK(hone_file_save(path, (hone_str){text, sizeof text}));
    CHECK_FAILS(hone_db_open(other, &rubbish), HONE_E_CORRUPT, "not a database");
    assert_null(rubbish);
}

static void test_migrate__runs_each_step_once_and_refuses_the_future(void **state) {
    (void)state;
    CHECK_OK(hone_db_migrate(db, "things", steps, 1));
    CHECK_OK(hone_db_migrate(db, "things", steps, 2));
    hone_db_close(db);
    CHECK_OK(hone_db_open(dir, &db));
    CHECK_OK(hone_db_migrate(db, "things", steps, 2));
    CHECK_FAILS(hone_db_migrate(db, "things", steps, 1), HONE_E_INVALID, "newer hone");
}

static void test_migrate__failed_step_changes_nothing(void **state) {
    (void)state;
    const char *const bad[] = {steps[0], "CREATE TABLE ok (id INTEGER); CREATE TABLE thing (id)"};
    CHECK_FAILS(hone_db_migrate(db, "things", bad, 2), HONE_E_IO, "step 2 of things");
    hone_tx *tx = begin(HONE_TX_READ);
    int64_t n = -1;
    CHECK_OK(hone_tx_int(tx, &n, "SELECT count(*) FROM sqlite_schema WHERE name = ?", "z", "ok"));
    assert_int_equal(n, 0);
    hone_tx_abort(tx);
    CHECK_OK(hone_db_migrate(db, "things", steps, 2));
}

static void test_tx__commit_keeps_and_abort_forgets(void **state) {
    (void)state;
    hone_tx *tx = begin(HONE_TX_WRITE);
    CHECK_OK(add(tx, "a"));
    assert_int_equal(hone_tx_changes(tx), 1);
    assert_int_equal(hone_tx_insert_id(tx), 1);
    CHECK_OK(hone_tx_commit(tx));
    tx = begin(HONE_TX_WRITE);
    CHECK_OK(add(tx, "b"));
    hone_tx_abort(tx);
    hone_tx_abort(NULL);
    assert_int_equal(count(), 1);
}

static void test_tx__values_come_back_as_they_went(void **state) {
    (void)state;
    hone_tx *tx = begin(HONE_TX_WRITE);
    hone_str with_nul = HONE_S("a\0b"), none = {NULL, 0};
    CHECK_OK(hone_tx_exec(tx, "INSERT INTO thing (id, name, size, bytes) VALUES (?, ?, ?, ?)",
                          "isfb", INT64_MIN, with_nul, 0.1, with_nul));
    CHECK_OK(hone_tx_exec(tx, "INSERT INTO thing (id, name, bytes) VALUES (?, ?, ?)", "isz",
                          INT64_MAX, HONE_S(""), NULL));
    CHECK_OK(
        hone_tx_exec(tx, "INSERT INTO thing (id, name) VALUES (?, ?)", "is", (int64_t)0, none));
    hone_rows rows;
    bool more = false;
    CHECK_OK(hone_rows_open(tx, &rows, "SELECT id, name, size, bytes FROM thing ORDER BY id", ""));
    CHECK_OK(hone_rows_next(&rows, &more));
    assert_true(more && hone_rows_int(&rows, 0) == INT64_MIN && hone_rows_real(&rows, 2) == 0.1);
    assert_true(hone_str_equal(hone_rows_str(&rows, 1), with_nul));
    assert_true(hone_str_equal(hone_rows_str(&rows, 3), with_nul));
    CHECK_OK(hone_rows_next(&rows, &more));
    assert_true(more && hone_rows_int(&rows, 0) == 0 && hone_rows_is_null(&rows, 1));
    assert_null(hone_rows_str(&rows, 1).ptr);
    CHECK_OK(hone_rows_next(&rows, &more));
    assert_true(more && hone_rows_int(&rows, 0) == INT64_MAX && !hone_rows_is_null(&rows, 1));
    assert_true(hone_rows_str(&rows, 1).ptr && hone_rows_str(&rows, 1).len == 0);
    assert_true(hone_rows_is_null(&rows, 2) && hone_rows_is_null(&rows, 3));
    CHECK_OK(hone_rows_next(&rows, &more));
    assert_false(more);
    hone_rows_close(&rows);
    hone_rows_close(&rows);
    hone_tx_abort(tx);
}

static void test_tx__one_value_or_not_found(void **state) {
    (void)state;
    hone_arena *arena = NULL;
    CHECK_OK(hone_arena_create(4096, &arena));
    hone_tx *tx = begin(HONE_TX_WRITE);
    CHECK_OK(add(tx, "a"));
    hone_str name = {NULL, 0};
    CHECK_OK(hone_tx_str(tx, arena, &name, "SELECT name FROM thing WHERE id = ?", "i", (int64_t)1));
    assert_string_equal(name.ptr, "a");
    int64_t id = 7;
    CHECK_FAILS(hone_tx_int(tx, &id, "SELECT id FROM thing WHERE name = ?", "z", "b"),
                HONE_E_NOT_FOUND, "no row");
    assert_int_equal(id, 7);
    hone_tx_abort(tx);
    hone_arena_destroy(arena);
}

static void test_tx__broken_constraints_have_a_code_and_leave_the_rest(void **state) {
    (void)state;
    hone_tx *tx = begin(HONE_TX_WRITE);
    CHECK_OK(add(tx, "a"));
    CHECK_FAILS(add(tx, "a"), HONE_E_CONFLICT, "thing.name");
    CHECK_FAILS(hone_tx_exec(tx, "INSERT INTO thing (id) VALUES (1)", ""), HONE_E_CONFLICT,
                "thing.id");
    CHECK_FAILS(hone_tx_exec(tx, "INSERT INTO part (thing) VALUES (99)", ""), HONE_E_CONFLICT,
                "FOREIGN KEY");
    CHECK_FAILS(hone_tx_exec(tx, "INSERT INTO part (thing, place) VALUES (1, 0)", ""),
                HONE_E_INVALID, "CHECK");
    CHECK_OK(hone_tx_commit(tx));
    assert_int_equal(count(), 1);
}

static bool next(hone_rows *rows) {
    bool more = false;
    CHECK_OK(hone_rows_next(rows, &more));
    return more;
}

static void test_rows__same_query_may_run_inside_itself(void **state) {
    (void)state;
    hone_tx *tx = begin(HONE_TX_WRITE);
    for (char name[2] = "a"; name[0] <= 'c'; name[0]++) CHECK_OK(add(tx, name));
    static const char query[] = "SELECT name FROM thing ORDER BY name";
    hone_rows outer, inner;
    int pairs = 0;
    CHECK_OK(hone_rows_open(tx, &outer, query, ""));
    while (next(&outer)) {
        CHECK_OK(hone_rows_open(tx, &inner, query, ""));
        while (next(&inner)) pairs++;
        hone_rows_close(&inner);
    }
    hone_rows_close(&outer);
    hone_tx_abort(tx);
    assert_int_equal(pairs, 9);
}

static void test_rows__more_statements_than_are_kept(void **state) {
    (void)state;
    hone_tx *tx = begin(HONE_TX_READ);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 300; i++) {
            char sql[64];
            int64_t n = -1;
            (void)snprintf(sql, sizeof sql, "SELECT %d", i);
            CHECK_OK(hone_tx_int(tx, &n, sql, ""));
            assert_int_equal(n, i);
        }
    }
    hone_tx_abort(tx);
}

/* A second thread that begins, does something and ends. */
typedef struct helper {
    void (*run)(void);
    pthread_t thread;
} helper;

static void *helper_main(void *arg) {
    ((helper *)arg)->run();
    return NULL;
}

static void in_thread(void (*run)(void)) {
    helper h = {.run = run};
    assert_int_equal(pthread_create(&h.thread, NULL, helper_main, &h), 0);
    assert_int_equal(pthread_join(h.thread, NULL), 0);
}

static void add_x(void) {
    hone_tx *tx = begin(HONE_TX_WRITE);
    CHECK_OK(add(tx, "x"));
    CHECK_OK(hone_tx_commit(tx));
}

static void test_tx__reader_sees_the_state_at_its_begin(void **state) {
    (void)state;
    hone_tx *tx = begin(HONE_TX_READ);
    in_thread(add_x); /* and the writer does not wait for the reader */
    assert_int_equal(count_in(tx), 0);
    hone_tx_abort(tx);
    assert_int_equal(count(), 1);
}

enum { THREADS = 8, ROUNDS = 25 };

/* A thread's result is a void *. */
static void *said(const char *what) { return (void *)(uintptr_t)what; }

static void *count_up(void *arg) {
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        hone_tx *tx = NULL;
        int64_t n = 0;
        if (hone_failed(hone_tx_begin(db, HONE_TX_WRITE, &tx))) return said("begin");
        if (hone_failed(hone_tx_int(tx, &n, "SELECT count(*) FROM thing", "")))
            return said("count");
        if (hone_failed(hone_tx_exec(tx, "INSERT INTO thing (id) VALUES (?)", "i", n + 1)))
            return said("insert"); /* another writer was in between */
        if (hone_failed(hone_tx_commit(tx))) return said("commit");
    }
    return NULL;
}

static void test_tx__writers_follow_one_another(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, NULL), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        if (failed) fail_msg("a writer failed to %s", (char *)failed);
    }
    assert_int_equal(count(), THREADS * ROUNDS);
}

static atomic_int readers_at_work;

static void *read_while_others_do(void *arg) {
    hone_tx *tx = NULL;
    if (hone_failed(hone_tx_begin(db, HONE_TX_READ, &tx))) return said("begin");
    atomic_fetch_add(&readers_at_work, 1);
    (void)pthread_barrier_wait(arg);
    hone_tx_abort(tx);
    return NULL;
}

static void test_tx__many_read_at_once(void **state) {
    (void)state;
    enum { READERS = 24 };
    pthread_barrier_t barrier;
    pthread_t threads[READERS];
    atomic_store(&readers_at_work, 0);
    assert_int_equal(pthread_barrier_init(&barrier, NULL, READERS), 0);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_while_others_do, &barrier), 0);
    for (int i = 0; i < READERS; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    (void)pthread_barrier_destroy(&barrier);
    assert_int_equal(atomic_load(&readers_at_work), READERS);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_db__folder_is_private_and_locked),
        CASE(test_db__child_process_does_not_keep_the_lock),
        CASE(test_db__rubbish_and_missing_places_are_refused),
        CASE(test_migrate__runs_each_step_once_and_refuses_the_future),
        CASE(test_migrate__failed_step_changes_nothing),
        CASE(test_tx__commit_keeps_and_abort_forgets),
        CASE(test_tx__values_come_back_as_they_went),
        CASE(test_tx__one_value_or_not_found),
        CASE(test_tx__broken_constraints_have_a_code_and_leave_the_rest),
        CASE(test_rows__same_query_may_run_inside_itself),
        CASE(test_rows__more_statements_than_are_kept),
        CASE(test_tx__reader_sees_the_state_at_its_begin),
        CASE(test_tx__writers_follow_one_another),
        CASE(test_tx__many_read_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
