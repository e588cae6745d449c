/* test_account_faults.c: the n-th allocation or disk write fails, for every n: nothing leaks, nobody
 * is let in by it, and of a change all is there or nothing. Calls that hash passwords are left
 * out, for each run of them takes a tenth of a second; they are made of the same parts. */
#include "check.h"
#include "fault.h"

#include "account/account.h"
#include "base/file.h"

static char dir[64];
static hone_db *db;
static hone_accounts *accounts;
static hone_arena *arena;  /* of the whole test */
static hone_arena *of_run; /* of one run */
static hone_caller admin;
static const char *session; /* of admin */
static char bearer[128];

static const char *credential(const char *text, const char *name) {
    const char *at = strstr(text, name);
    assert_non_null(at);
    at += strlen(name) + 3;
    return hone_arena_strdup(arena, (hone_str){at, strcspn(at, "\n")});
}

static int set_up(void **state) {
    (void)state;
    char path[96];
    hone_str text;
    (void)snprintf(dir, sizeof dir, "%s", check_tmpdir());
    CHECK_OK(hone_arena_create(4 << 20, &arena));
    CHECK_OK(hone_arena_create(4 << 20, &of_run));
    CHECK_OK(hone_db_open(dir, &db));
    CHECK_OK(hone_accounts_open(dir, db, NULL, &accounts));
    (void)snprintf(path, sizeof path, "%s/credentials", dir);
    CHECK_OK(hone_file_load(arena, path, 4096, &text));
    (void)snprintf(bearer, sizeof bearer, "hone_%s_%s", credential(text.ptr, "aws_access_key_id"),
                   credential(text.ptr, "aws_secret_access_key"));
    CHECK_OK(hone_accounts_login(accounts, arena, HONE_S("admin"),
                                 hone_str_of(credential(text.ptr, "hone_portal_password")),
                                 &session, &admin));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    hone_accounts_close(accounts);
    hone_db_close(db);
    hone_arena_destroy(of_run);
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

static void check_nothing(void *ctx, hone_err err) {
    (void)ctx;
    (void)err;
}

/* --- proofs ------------------------------------------------------------------------- */

static hone_err find_session(void *ctx) {
    (void)ctx;
    hone_caller caller = {0};
    hone_arena_reset(of_run);
    hone_err err = hone_accounts_find_session(accounts, of_run, hone_str_of(session), &caller);
    if (!hone_failed(err)) assert_string_equal(caller.csrf, admin.csrf);
    return err;
}

static hone_err find_bearer(void *ctx) {
    (void)ctx;
    hone_caller caller = {0};
    hone_arena_reset(of_run);
    hone_err err = hone_accounts_find_bearer(accounts, of_run, hone_str_of(bearer), &caller);
    if (!hone_failed(err)) assert_int_equal(caller.user, admin.user);
    return err;
}

/* A wrong proof stays wrong, whatever fails on the way. */
static hone_err find_wrong(void *ctx) {
    (void)ctx;
    hone_caller caller = {0};
    hone_arena_reset(of_run);
    bearer[strlen(bearer) - 1] ^= 1;
    hone_err one = hone_accounts_find_bearer(accounts, of_run, hone_str_of(bearer), &caller);
    hone_err two = hone_accounts_find_session(accounts, of_run, HONE_S("never"), &caller);
    bearer[strlen(bearer) - 1] ^= 1;
    assert_true(hone_failed(one) && hone_failed(two));
    assert_int_equal(caller.user, 0);
    if (one.code != HONE_E_NOT_FOUND) return one;
    return two.code == HONE_E_NOT_FOUND ? HONE_OK : two;
}

static void test_proofs__hold_at_every_step(void **state) {
    (void)state;
    assert_true(fault_sweep_db(find_session, check_nothing, NULL) > 3);
    assert_true(fault_sweep_db(find_bearer, check_nothing, NULL) > 3);
    assert_true(fault_sweep_db(find_wrong, check_nothing, NULL) > 3);
}

/* --- changes ------------------------------------------------------------------------ */

static hone_err invite(void *ctx) {
    (void)ctx;
    hone_tx *tx = NULL;
    const char *token = NULL;
    hone_arena_reset(of_run);
    HONE_TRY(hone_tx_begin(db, HONE_TX_WRITE, &tx));
    return hone_tx_finish(tx, hone_accounts_invite(accounts, tx, of_run, &admin, HONE_S("a@b"),
                                                   HONE_REVIEWER, HONE_S("crew"), &token));
}

static void check_invited(void *ctx, hone_err err) {
    int64_t *count = ctx;
    *count += !hone_failed(err);
    assert_int_equal(number("SELECT count(*) FROM invitation"), *count);
    assert_int_equal(number("SELECT count(*) FROM journal WHERE kind = 'invitation.created'"),
                     *count);
}

static hone_err make_key(void *ctx) {
    (void)ctx;
    const char *key_id = NULL, *secret = NULL;
    hone_arena_reset(of_run);
    hone_err err = hone_accounts_key_create(accounts, of_run, &admin, HONE_S("admin"), &key_id,
                                            &secret);
    assert_true(hone_failed(err) || (key_id && secret));
    return err;
}

static void check_key(void *ctx, hone_err err) {
    (void)ctx;
    int64_t want = hone_failed(err) ? 1 : 2; /* the first start's, and this one */
    assert_int_equal(number("SELECT count(*) FROM access_key"), want);
    hone_tx *tx = NULL;
    CHECK_OK(hone_tx_begin(db, HONE_TX_WRITE, &tx));
    CHECK_OK(hone_tx_finish(
        tx, hone_tx_exec(tx,
                         "DELETE FROM access_key WHERE id <> (SELECT substr(subject, 5) FROM"
                         " journal WHERE kind = 'key.created' ORDER BY id LIMIT 1)",
                         "")));
}

static void test_changes__all_or_nothing_at_every_step(void **state) {
    (void)state;
    int64_t count = 0;
    assert_true(fault_sweep_db(invite, check_invited, &count) > 3);
    assert_true(fault_sweep_db(make_key, check_key, NULL) > 3);
}

static hone_err list(void *ctx) {
    (void)ctx;
    hone_user *users = NULL;
    size_t count = 0;
    hone_arena_reset(of_run);
    hone_err err = hone_accounts_list(accounts, of_run, &users, &count);
    if (!hone_failed(err)) assert_int_equal(count, 1);
    return err;
}

static hone_err note_endpoint(void *ctx) {
    static int port;
    char url[64];
    (void)ctx;
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d", ++port);
    return hone_accounts_note_endpoint(dir, url, "us-east-1");
}

/* The file with the only copy of the password is whole, old or new. */
static void check_credentials(void *ctx, hone_err err) {
    (void)ctx;
    (void)err;
    char path[96];
    hone_str text;
    (void)snprintf(path, sizeof path, "%s/credentials", dir);
    hone_arena_reset(of_run);
    CHECK_OK(hone_file_load(of_run, path, 4096, &text));
    assert_non_null(strstr(text.ptr, "hone_portal_password = "));
    assert_non_null(strstr(text.ptr, "aws_secret_access_key = "));
    (void)snprintf(path, sizeof path, "%s/credentials.new", dir);
    assert_false(hone_file_exists(path));
}

static void test_lists_and_files__fail_cleanly_at_every_step(void **state) {
    (void)state;
    assert_true(fault_sweep_db(list, check_nothing, NULL) > 0);
    assert_true(fault_sweep_db(note_endpoint, check_credentials, NULL) >= 5);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_proofs__hold_at_every_step),
        CASE(test_changes__all_or_nothing_at_every_step),
        CASE(test_lists_and_files__fail_cleanly_at_every_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
