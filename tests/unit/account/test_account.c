/* test_account.c: every proof of who one is works for whom it was given to, as long as it should,
 * and for nobody else; every way of being wrong looks the same.
 *
 * Time is fixed and moved by hand. */
#include "check.h"

#include "account/account.h"
#include "base/clock.h"
#include "base/file.h"
#include "store/journal.h"

#include <ctype.h>
#include <pthread.h>
#include <sys/stat.h>

#define MINUTE 60000LL
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define START  1795500000000LL

static char dir[64];
static hone_db *db;
static hone_accounts *accounts;
static hone_arena *arena;
static hone_caller admin;
static char password[64]; /* of admin */

/* The value of a line of DIR/credentials. */
static const char *credential(const char *name) {
    char path[96];
    hone_str text;
    (void)snprintf(path, sizeof path, "%s/credentials", dir);
    CHECK_OK(hone_file_load(arena, path, 4096, &text));
    char *at = strstr(text.ptr, name);
    if (!at || strncmp(at + strlen(name), " = ", 3) != 0) return NULL;
    at += strlen(name) + 3;
    return hone_arena_strdup(arena, (hone_str){at, strcspn(at, "\n")});
}

static int set_up(void **state) {
    (void)state;
    hone_now_fix_ms(START);
    (void)snprintf(dir, sizeof dir, "%s", check_tmpdir());
    CHECK_OK(hone_arena_create(16 << 20, &arena));
    CHECK_OK(hone_db_open(dir, &db));
    CHECK_OK(hone_accounts_open(dir, db, "http://127.0.0.1:8080", &accounts));
    hone_str secret;
    CHECK_OK(hone_accounts_find_key(accounts, arena, hone_str_of(credential("aws_access_key_id")),
                                    &admin, &secret));
    assert_string_equal(secret.ptr, credential("aws_secret_access_key"));
    (void)snprintf(password, sizeof password, "%s", credential("hone_portal_password"));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    hone_accounts_close(accounts);
    hone_db_close(db);
    hone_arena_destroy(arena);
    check_rmtree(dir);
    hone_now_fix_ms(0);
    return 0;
}

static hone_tx *begin(hone_tx_kind kind) {
    hone_tx *tx = NULL;
    CHECK_OK(hone_tx_begin(db, kind, &tx));
    return tx;
}

static hone_err invite(const char *email, hone_role role, const char *team, const char **token) {
    hone_tx *tx = begin(HONE_TX_WRITE);
    return hone_tx_finish(tx, hone_accounts_invite(accounts, tx, arena, &admin, hone_str_of(email),
                                                   role, hone_str_of(team), token));
}

static hone_err accept(const char *token, const char *name, const char *secret,
                       const char **session, hone_caller *out) {
    return hone_accounts_accept(accounts, arena, hone_str_of(token), hone_str_of(name),
                                hone_str_of(secret), session, out);
}

static hone_err login(const char *name, const char *secret, const char **token, hone_caller *out) {
    return hone_accounts_login(accounts, arena, hone_str_of(name), hone_str_of(secret), token, out);
}

static hone_err find_session(const char *token, hone_caller *out) {
    return hone_accounts_find_session(accounts, arena, hone_str_of(token), out);
}

/* ann, a reviewer in the team crew, with the password "correct horse". */
static const char *make_ann(hone_caller *out) {
    const char *token = NULL, *session = NULL;
    CHECK_OK(invite("ann@example.com", HONE_REVIEWER, "crew", &token));
    CHECK_OK(accept(token, "ann", "correct horse", &session, out));
    return session;
}

static void test_open__first_start_makes_admin_and_credentials(void **state) {
    (void)state;
    struct stat st;
    char path[96];
    (void)snprintf(path, sizeof path, "%s/credentials", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    (void)snprintf(path, sizeof path, "%s/secret.key", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_string_equal(credential("endpoint_url"), "http://127.0.0.1:8080");
    const char *key_id = credential("aws_access_key_id");
    assert_int_equal(strlen(key_id), 20);
    assert_int_equal(strncmp(key_id, "HONE", 4), 0);
    for (const char *p = key_id; *p; p++)
        assert_true(isupper((unsigned char)*p) || isdigit((unsigned char)*p));
    assert_int_equal(strlen(credential("aws_secret_access_key")), 40);
    assert_string_equal(admin.name, "admin");
    assert_int_equal(admin.role, HONE_ADMIN);
    assert_int_equal(strlen(admin.worker), 16);
    const char *token = NULL;
    hone_caller caller;
    CHECK_OK(login("admin", credential("hone_portal_password"), &token, &caller));
    assert_int_equal(caller.user, admin.user);
}

static void test_open__second_start_keeps_everything(void **state) {
    (void)state;
    char key_id[32];
    hone_caller caller;
    hone_str secret;
    (void)snprintf(key_id, sizeof key_id, "%s", credential("aws_access_key_id"));
    hone_accounts_close(accounts);
    CHECK_OK(hone_accounts_open(dir, db, NULL, &accounts));
    assert_string_equal(credential("aws_access_key_id"), key_id);
    CHECK_OK(hone_accounts_find_key(accounts, arena, hone_str_of(key_id), &caller, &secret));
    assert_string_equal(caller.worker, admin.worker);
    hone_user *users = NULL;
    size_t count = 0;
    CHECK_OK(hone_accounts_list(accounts, arena, &users, &count));
    assert_int_equal(count, 1);
}

static void test_open__lost_secret_key_is_told(void **state) {
    (void)state;
    char path[96], other[96];
    hone_accounts_close(accounts);
    accounts = NULL;
    (void)snprintf(path, sizeof path, "%s/secret.key", dir);
    (void)snprintf(other, sizeof other, "%s/away", dir);
    assert_int_equal(rename(path, other), 0);
    CHECK_FAILS(hone_accounts_open(dir, db, NULL, &accounts), HONE_E_CORRUPT, "secret.key");
    assert_null(accounts);
    CHECK_OK(hone_file_save(path, HONE_S("not hex\n")));
    CHECK_FAILS(hone_accounts_open(dir, db, NULL, &accounts), HONE_E_CORRUPT, "hex digits");
    static const char wrong[] = "00000000000000000000000000000000"
                                "00000000000000000000000000000000\n";
    CHECK_OK(hone_file_save(path, hone_str_of(wrong)));
    CHECK_OK(hone_accounts_open(dir, db, NULL, &accounts));
    hone_caller caller;
    hone_str secret;
    CHECK_FAILS(hone_accounts_find_key(accounts, arena,
                                       hone_str_of(credential("aws_access_key_id")), &caller,
                                       &secret),
                HONE_E_CORRUPT, "does not open");
}

static void test_credentials__endpoint_is_brought_up_to_date(void **state) {
    (void)state;
    char path[96];
    hone_str before, after;
    (void)snprintf(path, sizeof path, "%s/credentials", dir);
    CHECK_OK(hone_accounts_note_endpoint(dir, "http://127.0.0.1:9", "eu-north-1"));
    assert_string_equal(credential("endpoint_url"), "http://127.0.0.1:9");
    assert_string_equal(credential("region"), "eu-north-1");
    assert_string_equal(credential("hone_portal_password"), password);
    CHECK_OK(hone_file_load(arena, path, 4096, &before));
    CHECK_OK(hone_accounts_note_endpoint(dir, "http://127.0.0.1:9", "eu-north-1"));
    CHECK_OK(hone_file_load(arena, path, 4096, &after));
    assert_string_equal(before.ptr, after.ptr);
    CHECK_OK(hone_file_save(path, HONE_S("# mine\n[default]\nregion=x\nendpoint_urls = y\n"
                                         "[other]\nregion = z")));
    CHECK_OK(hone_accounts_note_endpoint(dir, "u", "r"));
    CHECK_OK(hone_file_load(arena, path, 4096, &after));
    assert_string_equal(after.ptr, "# mine\n[default]\nendpoint_url = u\nregion = r\n"
                                   "endpoint_urls = y\n[other]\nregion = z\n");
    assert_int_equal(unlink(path), 0);
    CHECK_OK(hone_accounts_note_endpoint(dir, "u", "r"));
    assert_int_equal(access(path, F_OK), -1);
}

static void test_bearer__both_forms_and_nothing_else(void **state) {
    (void)state;
    const char *id = credential("aws_access_key_id"), *secret = credential("aws_secret_access_key");
    char token[128];
    hone_caller caller;
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(token, sizeof token, i == 0 ? "hone_%s_%s" : "%s:%s", id, secret);
        CHECK_OK(hone_accounts_find_bearer(accounts, arena, hone_str_of(token), &caller));
        assert_string_equal(caller.name, "admin");
        assert_int_equal(caller.session, 0);
        assert_null(caller.csrf);
        token[strlen(token) - 1] ^= 1;
        CHECK_FAILS(hone_accounts_find_bearer(accounts, arena, hone_str_of(token), &caller),
                    HONE_E_NOT_FOUND, "not valid");
        token[strlen(token) - 1] = '\0';
        CHECK_FAILS(hone_accounts_find_bearer(accounts, arena, hone_str_of(token), &caller),
                    HONE_E_NOT_FOUND, "not valid");
    }
    static const char *const bad[] = {"", "hone_", "hone__", ":", "x", "hone_HONE_x", "HONEX:"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_FAILS(hone_accounts_find_bearer(accounts, arena, hone_str_of(bad[i]), &caller),
                    HONE_E_NOT_FOUND, "not valid");
    CHECK_FAILS(hone_accounts_find_bearer(accounts, arena, (hone_str){NULL, 0}, &caller),
                HONE_E_NOT_FOUND, "not valid");
}

static void test_invitation__once_and_for_a_week(void **state) {
    (void)state;
    const char *token = NULL, *session = NULL;
    hone_caller ann;
    hone_invitation invitation;
    CHECK_OK(invite("ann@example.com", HONE_REVIEWER, "crew", &token));
    CHECK_OK(hone_accounts_find_invitation(accounts, arena, hone_str_of(token), &invitation));
    assert_string_equal(invitation.email, "ann@example.com");
    assert_string_equal(invitation.team, "crew");
    assert_int_equal(invitation.role, HONE_REVIEWER);
    assert_int_equal(invitation.expires_ms, START + 7 * DAY);
    CHECK_FAILS(accept(token, "ann", "short", &session, &ann), HONE_E_INVALID, "8 characters");
    CHECK_FAILS(accept(token, "-ann", "correct horse", &session, &ann), HONE_E_INVALID, "'-ann'");
    CHECK_FAILS(accept(token, "ADMIN", "correct horse", &session, &ann), HONE_E_CONFLICT, "taken");
    CHECK_OK(accept(token, "ann", "correct horse", &session, &ann));
    assert_string_equal(ann.email, "ann@example.com");
    CHECK_OK(find_session(session, &ann));
    CHECK_FAILS(accept(token, "bob", "correct horse", &session, &ann), HONE_E_NOT_FOUND, "used");
    CHECK_FAILS(hone_accounts_find_invitation(accounts, arena, hone_str_of(token), &invitation),
                HONE_E_NOT_FOUND, "used");
    CHECK_FAILS(invite("ANN@example.com", HONE_REVIEWER, "crew", &token), HONE_E_CONFLICT,
                "has an account");
    CHECK_OK(invite("bob@example.com", HONE_ENGINEER, "", &token));
    hone_now_fix_ms(START + 7 * DAY - 1);
    CHECK_OK(hone_accounts_find_invitation(accounts, arena, hone_str_of(token), &invitation));
    hone_now_fix_ms(START + 7 * DAY);
    CHECK_FAILS(accept(token, "bob", "correct horse", &session, &ann), HONE_E_NOT_FOUND, "expired");

    hone_tx *tx = begin(HONE_TX_READ);
    assert_true(hone_accounts_is_in_team(tx, ann.user, HONE_S("crew")));
    assert_false(hone_accounts_is_in_team(tx, ann.user, HONE_S("other")));
    hone_tx_abort(tx);
}

static void test_invitation__two_links_one_address(void **state) {
    (void)state;
    const char *first = NULL, *second = NULL, *session = NULL;
    hone_caller ann;
    CHECK_OK(invite("ann@example.com", HONE_REVIEWER, "", &first));
    CHECK_OK(invite("ann@example.com", HONE_REVIEWER, "", &second));
    CHECK_OK(accept(first, "ann", "correct horse", &session, &ann));
    CHECK_FAILS(accept(second, "ann2", "correct horse", &session, &ann), HONE_E_CONFLICT,
                "has an account");
}

static void test_invitation__addresses(void **state) {
    (void)state;
    static const char *const bad[] = {"",      "ann",           "@x",   "ann@",       "a@b@c",
                                      "a b@c", "a@b\r\nBcc: x", "a@b>", "\xC3\xA9@x", "a,b@c"};
    const char *token = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_FAILS(invite(bad[i], HONE_REVIEWER, "", &token), HONE_E_INVALID, "no e-mail");
    CHECK_OK(invite("o'hara+x@localhost", HONE_REVIEWER, "", &token));
}

static void test_session__lives_and_ends(void **state) {
    (void)state;
    hone_caller ann, again;
    const char *session = make_ann(&ann), *other = NULL;
    assert_int_equal(strlen(session), 43);
    assert_non_null(ann.csrf);
    assert_int_equal(ann.role, HONE_REVIEWER);
    CHECK_OK(login("ANN@Example.com", "correct horse", &other, &again));
    assert_int_equal(again.user, ann.user);
    assert_true(hone_accounts_csrf_is(&ann, hone_str_of(ann.csrf)));
    assert_false(hone_accounts_csrf_is(&ann, hone_str_of(again.csrf)));
    assert_false(hone_accounts_csrf_is(&ann, (hone_str){NULL, 0}));
    assert_false(hone_accounts_csrf_is(&admin, (hone_str){"", 0})); /* a key has none */
    assert_int_not_equal(again.session, ann.session);
    assert_string_not_equal(again.csrf, ann.csrf);

    for (int64_t ms = START; ms < START + 7 * DAY; ms += 11 * HOUR) { /* never idle for 12 h */
        hone_now_fix_ms(ms);
        CHECK_OK(find_session(session, &again));
        assert_string_equal(again.csrf, ann.csrf);
    }
    CHECK_FAILS(find_session(other, &again), HONE_E_NOT_FOUND, "ended"); /* idle */
    hone_now_fix_ms(START + 7 * DAY);
    CHECK_FAILS(find_session(session, &again), HONE_E_NOT_FOUND, "ended");
}

static void test_session__idle_limit_is_exact(void **state) {
    (void)state;
    hone_caller ann;
    const char *session = make_ann(&ann);
    hone_now_fix_ms(START + 12 * HOUR);
    CHECK_FAILS(find_session(session, &ann), HONE_E_NOT_FOUND, "ended");
    hone_now_fix_ms(START + 12 * HOUR - 1);
    CHECK_OK(find_session(session, &ann));
}

static void test_session__logout_ends_this_one(void **state) {
    (void)state;
    hone_caller ann, again;
    const char *session = make_ann(&ann), *other = NULL;
    CHECK_OK(login("ann", "correct horse", &other, &again));
    CHECK_OK(hone_accounts_logout(accounts, &ann));
    CHECK_OK(hone_accounts_logout(accounts, &ann));
    CHECK_FAILS(find_session(session, &ann), HONE_E_NOT_FOUND, "ended");
    CHECK_OK(find_session(other, &again));
    CHECK_FAILS(find_session("", &again), HONE_E_NOT_FOUND, "ended");
}

static void test_login__wrong_name_and_wrong_password_look_alike(void **state) {
    (void)state;
    const char *token = NULL;
    hone_caller caller;
    char longest[2000];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    static const char words[] = "name or password is wrong";
    hone_err known = login("admin", "wrong", &token, &caller);
    hone_err unknown = login("nobody", "wrong", &token, &caller);
    assert_int_equal(known.code, HONE_E_NOT_FOUND);
    assert_string_equal(known.msg, words);
    assert_int_equal(unknown.code, HONE_E_NOT_FOUND);
    assert_string_equal(unknown.msg, words);
    CHECK_FAILS(login("admin", "", &token, &caller), HONE_E_NOT_FOUND, words);
    CHECK_FAILS(login("admin", longest, &token, &caller), HONE_E_NOT_FOUND, words);
    CHECK_FAILS(login(longest, longest, &token, &caller), HONE_E_NOT_FOUND, words);
    CHECK_FAILS(login("", "", &token, &caller), HONE_E_NOT_FOUND, words);
    assert_null(token);
}

static void test_login__ten_failures_lock_the_name(void **state) {
    (void)state;
    const char *token = NULL;
    hone_caller caller;
    (void)make_ann(&caller);
    for (int i = 0; i < 10; i++) {
        const char *name = i % 2 ? "ann" : "ann@example.com"; /* one account, one count */
        CHECK_FAILS(login(name, "wrong", &token, &caller), HONE_E_NOT_FOUND, "wrong");
        CHECK_FAILS(login("nobody", "wrong", &token, &caller), HONE_E_NOT_FOUND, "wrong");
    }
    CHECK_FAILS(login("ann", "correct horse", &token, &caller), HONE_E_FULL, "too many");
    CHECK_FAILS(login("nobody", "wrong", &token, &caller), HONE_E_FULL, "too many");
    CHECK_OK(login("admin", password, &token, &caller));
    hone_now_fix_ms(START + 15 * MINUTE - 1);
    CHECK_FAILS(login("ann", "correct horse", &token, &caller), HONE_E_FULL, "too many");
    hone_now_fix_ms(START + 15 * MINUTE);
    CHECK_OK(login("ann", "correct horse", &token, &caller));
}

static void test_login__success_forgets_the_failures(void **state) {
    (void)state;
    const char *token = NULL;
    hone_caller caller;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 9; i++)
            CHECK_FAILS(login("admin", "wrong", &token, &caller), HONE_E_NOT_FOUND, "wrong");
        CHECK_OK(login("admin", password, &token, &caller));
    }
}

static void *guess(void *arg) {
    hone_arena *own = NULL;
    const char *token = NULL;
    hone_caller caller;
    (void)arg;
    if (hone_failed(hone_arena_create(1 << 20, &own))) return NULL;
    hone_err err = hone_accounts_login(accounts, own, HONE_S("admin"), HONE_S("wrong"), &token,
                                       &caller);
    hone_arena_destroy(own);
    return err.code == HONE_E_NOT_FOUND ? &accounts : NULL; /* not NULL: the password was tried */
}

static void test_login__many_at_once_try_no_more_passwords(void **state) {
    (void)state;
    enum { THREADS = 24 };
    pthread_t threads[THREADS];
    int tried = 0;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, guess, NULL), 0);
    for (int i = 0; i < THREADS; i++) {
        void *was_tried = NULL;
        assert_int_equal(pthread_join(threads[i], &was_tried), 0);
        tried += was_tried != NULL;
    }
    assert_in_range(tried, 1, 10);
}

static void test_disable__ends_sessions_and_keys_for_good(void **state) {
    (void)state;
    hone_caller ann, caller;
    const char *session = make_ann(&ann), *key_id = NULL, *secret = NULL, *token = NULL;
    hone_str found;
    CHECK_OK(hone_accounts_key_create(accounts, arena, &ann, HONE_S("ann"), &key_id, &secret));
    CHECK_OK(hone_accounts_find_key(accounts, arena, hone_str_of(key_id), &caller, &found));
    assert_string_equal(found.ptr, secret);
    CHECK_OK(hone_accounts_disable(accounts, &admin, HONE_S("ann"), true));
    CHECK_FAILS(find_session(session, &caller), HONE_E_NOT_FOUND, "ended");
    CHECK_FAILS(hone_accounts_find_key(accounts, arena, hone_str_of(key_id), &caller, &found),
                HONE_E_NOT_FOUND, "no key");
    CHECK_FAILS(login("ann", "correct horse", &token, &caller), HONE_E_NOT_FOUND, "wrong");
    CHECK_FAILS(hone_accounts_key_create(accounts, arena, &admin, HONE_S("ann"), &key_id, &secret),
                HONE_E_INVALID, "disabled");
    CHECK_OK(hone_accounts_disable(accounts, &admin, HONE_S("ann"), false));
    CHECK_FAILS(find_session(session, &caller), HONE_E_NOT_FOUND, "ended");
    CHECK_OK(login("ann", "correct horse", &token, &caller));
    CHECK_FAILS(hone_accounts_disable(accounts, &admin, HONE_S("admin"), true), HONE_E_INVALID,
                "own");
    CHECK_FAILS(hone_accounts_disable(accounts, &admin, HONE_S("bob"), true), HONE_E_NOT_FOUND,
                "'bob'");
}

static void test_keys__belong_to_somebody_and_are_few(void **state) {
    (void)state;
    hone_caller ann, caller;
    hone_str found;
    (void)make_ann(&ann);
    const char *ids[20], *secret = NULL;
    for (int i = 0; i < 20; i++)
        CHECK_OK(hone_accounts_key_create(accounts, arena, &ann, HONE_S("ann"), &ids[i], &secret));
    CHECK_FAILS(hone_accounts_key_create(accounts, arena, &ann, HONE_S("ann"), &ids[0], &secret),
                HONE_E_FULL, "20 keys");
    const char *id_of_admin = credential("aws_access_key_id");
    CHECK_FAILS(hone_accounts_key_delete(accounts, &ann, hone_str_of(id_of_admin)),
                HONE_E_NOT_FOUND, id_of_admin);
    CHECK_OK(hone_accounts_key_delete(accounts, &ann, hone_str_of(ids[0])));
    CHECK_OK(hone_accounts_find_key(accounts, arena, hone_str_of(ids[1]), &caller, &found));
    CHECK_OK(hone_accounts_find_key(accounts, arena, hone_str_of(ids[1]), &caller, &found));
    assert_string_equal(caller.name, "ann"); /* also from memory */
    CHECK_OK(hone_accounts_key_delete(accounts, &admin, hone_str_of(ids[1])));
    CHECK_FAILS(hone_accounts_key_delete(accounts, &ann, hone_str_of(ids[0])), HONE_E_NOT_FOUND,
                ids[0]);
    CHECK_FAILS(hone_accounts_find_key(accounts, arena, hone_str_of(ids[1]), &caller, &found),
                HONE_E_NOT_FOUND, "no key");
    CHECK_OK(hone_accounts_find_key(accounts, arena, hone_str_of(ids[2]), &caller, &found));
    assert_string_equal(caller.name, "ann");
}

static void test_users__listed_with_teams_and_last_seen(void **state) {
    (void)state;
    hone_caller ann;
    const char *session = make_ann(&ann);
    hone_tx *tx = begin(HONE_TX_WRITE);
    CHECK_OK(hone_accounts_team_add(tx, ann.user, HONE_S("another")));
    CHECK_OK(hone_accounts_team_add(tx, ann.user, HONE_S("another")));
    CHECK_FAILS(hone_accounts_team_add(tx, 999, HONE_S("another")), HONE_E_CONFLICT, "FOREIGN");
    CHECK_OK(hone_tx_commit(tx));
    hone_now_fix_ms(START + 59999);
    CHECK_OK(find_session(session, &ann));
    hone_user *users = NULL;
    hone_str *teams = NULL;
    size_t count = 0;
    CHECK_OK(hone_accounts_list(accounts, arena, &users, &count));
    assert_int_equal(count, 2);
    assert_string_equal(users[0].name, "admin");
    assert_string_equal(users[0].teams, "");
    assert_string_equal(users[1].name, "ann");
    assert_string_equal(users[1].teams, "another,crew");
    assert_int_equal(users[1].created_ms, START);
    assert_int_equal(users[1].seen_ms, START); /* noted once a minute */
    hone_now_fix_ms(START + 60000);
    CHECK_OK(find_session(session, &ann));
    CHECK_OK(hone_accounts_list(accounts, arena, &users, &count));
    assert_int_equal(users[1].seen_ms, START + 60000);

    tx = begin(HONE_TX_WRITE);
    CHECK_OK(hone_accounts_teams(tx, arena, ann.user, &teams, &count));
    assert_int_equal(count, 2);
    assert_string_equal(teams[0].ptr, "another");
    CHECK_OK(hone_accounts_team_remove(tx, ann.user, HONE_S("another")));
    CHECK_OK(hone_accounts_team_drop(tx, HONE_S("crew")));
    CHECK_OK(hone_accounts_teams(tx, arena, ann.user, &teams, &count));
    assert_int_equal(count, 0);
    CHECK_OK(hone_tx_commit(tx));
}

/* Nothing that would let its reader in is in the database's files. */
static void test_database__holds_no_secret_in_the_clear(void **state) {
    (void)state;
    hone_caller ann;
    const char *invitation = NULL, *session = make_ann(&ann), *key_id = NULL, *secret = NULL;
    CHECK_OK(invite("bob@example.com", HONE_REVIEWER, "", &invitation));
    CHECK_OK(hone_accounts_key_create(accounts, arena, &ann, HONE_S("ann"), &key_id, &secret));
    const char *const secrets[] = {invitation,      session,
                                   secret,          password,
                                   "correct horse", credential("aws_secret_access_key")};
    static const char *const files[] = {"hone.db", "hone.db-wal"};
    size_t seen = 0;
    for (size_t f = 0; f < 2; f++) {
        char path[96];
        hone_map map;
        (void)snprintf(path, sizeof path, "%s/%s", dir, files[f]);
        CHECK_OK(hone_map_open(path, &map));
        for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
            assert_null(memmem(map.bytes.ptr, map.bytes.len, secrets[i], strlen(secrets[i])));
        seen += memmem(map.bytes.ptr, map.bytes.len, key_id, strlen(key_id)) != NULL;
        hone_map_close(&map);
    }
    assert_true(seen > 0); /* the rows were there to be searched */
}

static void test_journal__says_who_did_what(void **state) {
    (void)state;
    hone_caller ann;
    (void)make_ann(&ann);
    CHECK_OK(hone_accounts_disable(accounts, &admin, HONE_S("ann"), true));
    CHECK_OK(hone_accounts_disable(accounts, &admin, HONE_S("ann"), true)); /* changes nothing */
    hone_entry *entries = NULL;
    size_t count = 0;
    static const struct {
        const char *kind, *subject, *actor;
    } want[] = {
        {"user.created", "user/admin", "system"},
        {"key.created", NULL, "system"},
        {"invitation.created", "invitation/1", "user/admin"},
        {"user.created", "user/ann", "user/ann"},
        {"invitation.accepted", "invitation/1", "user/ann"},
        {"session.started", NULL, "user/ann"},
        {"user.disabled", "user/ann", "user/admin"},
    };
    CHECK_OK(hone_journal_read(db, arena, 0, 100, &entries, &count));
    assert_int_equal(count, sizeof want / sizeof want[0]);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(entries[i].kind.ptr, want[i].kind);
        if (want[i].subject) assert_string_equal(entries[i].subject.ptr, want[i].subject);
        assert_string_equal(entries[i].actor.ptr, want[i].actor);
    }
}

static void test_role__names(void **state) {
    (void)state;
    for (hone_role role = HONE_REVIEWER; role <= HONE_ADMIN; role++) {
        hone_role back;
        CHECK_OK(hone_role_parse(hone_str_of(hone_role_format(role)), &back));
        assert_int_equal(back, role);
    }
    hone_role role;
    CHECK_FAILS(hone_role_parse(HONE_S("Admin"), &role), HONE_E_INVALID, "'Admin'");
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_open__first_start_makes_admin_and_credentials),
        CASE(test_open__second_start_keeps_everything),
        CASE(test_open__lost_secret_key_is_told),
        CASE(test_credentials__endpoint_is_brought_up_to_date),
        CASE(test_bearer__both_forms_and_nothing_else),
        CASE(test_invitation__once_and_for_a_week),
        CASE(test_invitation__two_links_one_address),
        CASE(test_invitation__addresses),
        CASE(test_session__lives_and_ends),
        CASE(test_session__idle_limit_is_exact),
        CASE(test_session__logout_ends_this_one),
        CASE(test_login__wrong_name_and_wrong_password_look_alike),
        CASE(test_login__ten_failures_lock_the_name),
        CASE(test_login__success_forgets_the_failures),
        CASE(test_login__many_at_once_try_no_more_passwords),
        CASE(test_disable__ends_sessions_and_keys_for_good),
        CASE(test_keys__belong_to_somebody_and_are_few),
        CASE(test_users__listed_with_teams_and_last_seen),
        CASE(test_database__holds_no_secret_in_the_clear),
        CASE(test_journal__says_who_did_what),
        cmocka_unit_test(test_role__names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
