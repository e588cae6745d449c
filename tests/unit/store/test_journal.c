/* test_journal.c: an entry is there when, and only when, its transaction is; watchers are woken
 * once it can be read. */
#include "check.h"

#include "base/clock.h"
#include "store/journal.h"

static char dir[64];
static hone_db *db;
static hone_arena *arena;

static int set_up(void **state) {
    (void)state;
    (void)snprintf(dir, sizeof dir, "%s", check_tmpdir());
    CHECK_OK(hone_db_open(dir, &db));
    CHECK_OK(hone_arena_create(1 << 20, &arena));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    hone_arena_destroy(arena);
    hone_db_close(db);
    check_rmtree(dir);
    hone_now_fix_ms(0);
    return 0;
}

static hone_tx *begin(void) {
    hone_tx *tx = NULL;
    CHECK_OK(hone_tx_begin(db, HONE_TX_WRITE, &tx));
    return tx;
}

static void append(const char *subject) {
    hone_tx *tx = begin();
    CHECK_OK(hone_journal_append(tx, "user/ann", "task.answered", subject, NULL));
    CHECK_OK(hone_tx_commit(tx));
}

static void test_journal__entries_come_back_in_order(void **state) {
    (void)state;
    int64_t last = -1;
    CHECK_OK(hone_journal_last(db, &last));
    assert_int_equal(last, 0);
    hone_now_fix_ms(1795500000123);
    hone_tx *tx = begin();
    CHECK_OK(hone_journal_append(tx, "user/ann", "task.answered", "task/42",
                                 json_pack("{s:s, s:i}", "flow", "sentiment", "seconds", 3)));
    CHECK_OK(hone_journal_append(tx, "system", "loop.completed", "loop/x", NULL));
    CHECK_OK(hone_tx_commit(tx));

    hone_entry *entries = NULL;
    size_t count = 0;
    CHECK_OK(hone_journal_read(db, arena, 0, 10, &entries, &count));
    assert_int_equal(count, 2);
    assert_int_equal(entries[0].when_ms, 1795500000123);
    assert_string_equal(entries[0].kind.ptr, "task.answered");
    assert_string_equal(entries[0].subject.ptr, "task/42");
    assert_string_equal(entries[0].actor.ptr, "user/ann");
    assert_string_equal(entries[0].detail.ptr, "{\"flow\":\"sentiment\",\"seconds\":3}");
    assert_string_equal(entries[1].detail.ptr, "{}");
    CHECK_OK(hone_journal_last(db, &last));
    assert_int_equal(last, entries[1].id);

    CHECK_OK(hone_journal_read(db, arena, 0, 1, &entries, &count));
    assert_int_equal(count, 1);
    CHECK_OK(hone_journal_read(db, arena, entries[0].id, 10, &entries, &count));
    assert_int_equal(count, 1);
    assert_string_equal(entries[0].subject.ptr, "loop/x");
    CHECK_OK(hone_journal_read(db, arena, last, 10, &entries, &count));
    assert_int_equal(count, 0);
}

static void test_journal__aborted_entry_never_was(void **state) {
    (void)state;
    hone_tx *tx = begin();
    CHECK_OK(hone_journal_append(tx, "system", "loop.started", "loop/x", json_object()));
    hone_tx_abort(tx);
    hone_entry *entries = NULL;
    size_t count = 7;
    CHECK_OK(hone_journal_read(db, arena, 0, 10, &entries, &count));
    assert_int_equal(count, 0);
}

static void bump(void *arg) { ++*(int *)arg; }

static void test_watch__wakes_for_commits_with_entries_only(void **state) {
    (void)state;
    int woken = 0;
    CHECK_OK(hone_journal_watch(db, bump, &woken));
    append("task/1");
    assert_int_equal(woken, 1);
    hone_tx *tx = begin();
    CHECK_OK(hone_journal_append(tx, "system", "loop.started", "loop/x", NULL));
    hone_tx_abort(tx);
    CHECK_OK(hone_tx_commit(begin()));
    assert_int_equal(woken, 1);
    hone_journal_unwatch(db, bump, &woken);
    append("task/2");
    assert_int_equal(woken, 1);
}

static void test_watch__limit(void **state) {
    (void)state;
    int woken[8] = {0}, ninth = 0;
    for (int i = 0; i < 8; i++) CHECK_OK(hone_journal_watch(db, bump, &woken[i]));
    CHECK_FAILS(hone_journal_watch(db, bump, &ninth), HONE_E_FULL, "8 watchers");
    hone_journal_unwatch(db, bump, &woken[3]);
    CHECK_OK(hone_journal_watch(db, bump, &ninth));
    append("task/1");
    for (int i = 0; i < 8; i++) assert_int_equal(woken[i], i == 3 ? 0 : 1);
    assert_int_equal(ninth, 1);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_journal__entries_come_back_in_order),
        CASE(test_journal__aborted_entry_never_was),
        CASE(test_watch__wakes_for_commits_with_entries_only),
        CASE(test_watch__limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
