/* sessions.c: login, and the cookies that follow from it.
 *
 * Each attempt is noted before the password is looked at and forgotten when it was right: many at
 * once cannot try more passwords than one after the other. A name that nobody has is treated as
 * one that somebody has, in words, in time and in being locked. */
#include "account/account_impl.h"
#include "base/clock.h"
#include "store/journal.h"

#include <stdio.h>

#define MINUTES_MS 60000LL
#define HOURS_MS   (60LL * MINUTES_MS)

#define IDLE_MAX_MS    (12LL * HOURS_MS)
#define SESSION_MAX_MS (7LL * 24 * HOURS_MS)
#define LOCK_MS        (15LL * MINUTES_MS)

enum { ATTEMPTS_MAX = 10 };

hone_err hone_session_insert(hone_tx *tx, hone_arena *arena, int64_t user, const char **token,
                             hone_caller *out) {
    char text[HONE_TOKEN_SIZE], actor[HONE_USER_NAME_MAX + 16], subject[32];
    int64_t now_ms = hone_now_ms();
    hone_token_make(text);
    hone_token_hash hash = hone_token_digest(hone_str_of(text));
    HONE_TRY(hone_tx_exec(
        tx, "INSERT INTO session (user, token, created_ms, seen_ms) VALUES (?, ?, ?, ?)", "ibii",
        user, hone_token_str(&hash), now_ms, now_ms));
    out->session = hone_tx_insert_id(tx);
    HONE_TRY(hone_tx_exec(tx, "UPDATE user SET seen_ms = ? WHERE id = ?", "ii", now_ms, user));
    out->csrf = hone_token_csrf(arena, hone_str_of(text));
    *token = hone_arena_strdup(arena, hone_str_of(text));
    sodium_memzero(text, sizeof text);
    if (!out->csrf || !*token) return hone_account_no_memory();
    (void)snprintf(actor, sizeof actor, "user/%s", out->name);
    (void)snprintf(subject, sizeof subject, "session/%lld", (long long)out->session);
    return hone_journal_append(tx, actor, "session.started", subject, NULL);
}

/* --- login -------------------------------------------------------------------------- */

/* Who logs in. A name that nobody has: user 0, no hash. */
typedef struct person {
    int64_t user;
    char counted[HONE_EMAIL_MAX + 1]; /* the name that attempts are counted under */
    char hash[crypto_pwhash_STRBYTES];
} person;

static void set_counted(person *p, hone_str name) {
    size_t len = name.len < HONE_EMAIL_MAX ? name.len : HONE_EMAIL_MAX;
    for (size_t i = 0; i < len; i++) {
        char c = name.ptr[i];
        p->counted[i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    p->counted[len] = '\0';
}

static hone_err find_person(hone_tx *tx, hone_str name, person *out) {
    hone_rows rows;
    bool more = false;
    *out = (person){0};
    set_counted(out, name);
    HONE_TRY(hone_rows_open(tx, &rows,
                            "SELECT id, name, password FROM user"
                            " WHERE (name = ?1 OR email = ?1) AND is_disabled = 0",
                            "s", name));
    hone_err err = hone_rows_next(&rows, &more);
    if (!hone_failed(err) && more) {
        out->user = hone_rows_int(&rows, 0);
        set_counted(out, hone_rows_str(&rows, 1));
        (void)snprintf(out->hash, sizeof out->hash, "%.*s", HONE_ARG(hone_rows_str(&rows, 2)));
    }
    hone_rows_close(&rows);
    return err;
}

/* Note an attempt; FULL when there were too many. */
static hone_err attempt_in(hone_tx *tx, hone_str name, person *out) {
    int64_t now_ms = hone_now_ms(), count = 0;
    HONE_TRY(find_person(tx, name, out));
    HONE_TRY(
        hone_tx_exec(tx, "DELETE FROM login_attempt WHERE when_ms <= ?", "i", now_ms - LOCK_MS));
    HONE_TRY(hone_tx_int(tx, &count, "SELECT count(*) FROM login_attempt WHERE name = ?", "z",
                         out->counted));
    if (count >= ATTEMPTS_MAX)
        return hone_err_new(HONE_E_FULL, "too many failed logins: try again in %lld minutes",
                            LOCK_MS / MINUTES_MS);
    return hone_tx_exec(tx, "INSERT INTO login_attempt (name, when_ms) VALUES (?, ?)", "zi",
                        out->counted, now_ms);
}

static hone_err load_caller(hone_tx *tx, hone_arena *arena, int64_t user, hone_caller *out) {
    hone_rows rows;
    bool more = false;
    HONE_TRY(hone_rows_open(tx, &rows,
                            "SELECT " HONE_CALLER_COLUMNS " FROM user u"
                            " WHERE u.id = ? AND u.is_disabled = 0",
                            "i", user));
    hone_err err = hone_rows_next(&rows, &more);
    if (!hone_failed(err) && !more) err = hone_err_new(HONE_E_NOT_FOUND, "the account is disabled");
    if (!hone_failed(err)) err = hone_caller_copy(arena, &rows, out);
    hone_rows_close(&rows);
    return err;
}

/* The password was right. */
static hone_err enter_in(hone_tx *tx, hone_arena *arena, const person *p, const char **token,
                         hone_caller *out) {
    int64_t now_ms = hone_now_ms();
    HONE_TRY(hone_tx_exec(tx, "DELETE FROM login_attempt WHERE name = ?", "z", p->counted));
    HONE_TRY(hone_tx_exec(tx, "DELETE FROM session WHERE seen_ms <= ? OR created_ms <= ?", "ii",
                          now_ms - IDLE_MAX_MS, now_ms - SESSION_MAX_MS));
    HONE_TRY(load_caller(tx, arena, p->user, out));
    return hone_session_insert(tx, arena, p->user, token, out);
}

hone_err hone_accounts_login(hone_accounts *accounts, hone_arena *arena, hone_str name,
                             hone_str password, const char **token, hone_caller *out) {
    person p;
    hone_tx *tx = NULL;
    bool is_right = false;
    hone_caller caller = {0};
    HONE_TRY(hone_tx_begin(accounts->db, HONE_TX_WRITE, &tx));
    HONE_TRY(hone_tx_finish(tx, attempt_in(tx, name, &p)));
    bool is_possible = password.len <= HONE_PASSWORD_MAX;
    hone_err err = hone_password_check(accounts, p.user ? p.hash : NULL,
                                       is_possible ? password : HONE_S(""), &is_right);
    sodium_memzero(p.hash, sizeof p.hash);
    HONE_TRY(err);
    if (!is_right || !is_possible)
        return hone_err_new(HONE_E_NOT_FOUND, "name or password is wrong");
    HONE_TRY(hone_tx_begin(accounts->db, HONE_TX_WRITE, &tx));
    HONE_TRY(hone_tx_finish(tx, enter_in(tx, arena, &p, token, &caller)));
    *out = caller;
    return HONE_OK;
}

/* --- cookies ------------------------------------------------------------------------ */

static hone_err find_in(hone_tx *tx, hone_arena *arena, hone_str token, hone_caller *out,
                        int64_t *seen_ms) {
    hone_rows rows;
    bool more = false;
    hone_caller caller = {0};
    int64_t now_ms = hone_now_ms();
    hone_token_hash hash = hone_token_digest(token);
    HONE_TRY(hone_rows_open(tx, &rows,
                            "SELECT " HONE_CALLER_COLUMNS ", s.seen_ms, s.id"
                            " FROM session s JOIN user u ON u.id = s.user"
                            " WHERE s.token = ? AND s.seen_ms > ? AND s.created_ms > ?"
                            " AND u.is_disabled = 0",
                            "bii", hone_token_str(&hash), now_ms - IDLE_MAX_MS,
                            now_ms - SESSION_MAX_MS));
    hone_err err = hone_rows_next(&rows, &more);
    if (!hone_failed(err) && !more)
        err = hone_err_new(HONE_E_NOT_FOUND, "the session has ended: log in again");
    if (!hone_failed(err)) err = hone_caller_copy(arena, &rows, &caller);
    if (!hone_failed(err)) {
        *seen_ms = hone_rows_int(&rows, 5);
        caller.session = hone_rows_int(&rows, 6);
        caller.csrf = hone_token_csrf(arena, token);
        if (!caller.csrf) err = hone_account_no_memory();
    }
    hone_rows_close(&rows);
    if (!hone_failed(err)) *out = caller;
    return err;
}

hone_err hone_accounts_find_session(hone_accounts *accounts, hone_arena *arena, hone_str token,
                                    hone_caller *out) {
    hone_tx *tx = NULL;
    int64_t seen_ms = 0;
    HONE_TRY(hone_tx_begin(accounts->db, HONE_TX_READ, &tx));
    hone_err err = find_in(tx, arena, token, out, &seen_ms);
    hone_tx_abort(tx);
    if (!hone_failed(err)) hone_user_touch(accounts, out->user, out->session, seen_ms);
    return err;
}

bool hone_accounts_csrf_is(const hone_caller *caller, hone_str sent) {
    if (!caller->csrf || sent.len != strlen(caller->csrf)) return false;
    return sodium_memcmp(caller->csrf, sent.ptr, sent.len) == 0;
}

bool hone_accounts_is_current(hone_tx *tx, int64_t user, int64_t session) {
    int64_t one = 0, now_ms = hone_now_ms();
    hone_err err = hone_tx_int(tx, &one, "SELECT 1 FROM user WHERE id = ? AND is_disabled = 0", "i",
                               user);
    if (!hone_failed(err) && session)
        err = hone_tx_int(tx, &one,
                          "SELECT 1 FROM session WHERE id = ? AND user = ? AND created_ms > ?"
                          " AND seen_ms > ?",
                          "iiii", session, user, now_ms - SESSION_MAX_MS, now_ms - IDLE_MAX_MS);
    return !hone_failed(err);
}

static hone_err logout_in(hone_tx *tx, const hone_caller *caller) {
    char actor[HONE_USER_NAME_MAX + 16], subject[32];
    HONE_TRY(hone_tx_exec(tx, "DELETE FROM session WHERE id = ? AND user = ?", "ii",
                          caller->session, caller->user));
    if (hone_tx_changes(tx) == 0) return HONE_OK; /* twice is no error */
    (void)snprintf(actor, sizeof actor, "user/%s", caller->name);
    (void)snprintf(subject, sizeof subject, "session/%lld", (long long)caller->session);
    return hone_journal_append(tx, actor, "session.ended", subject, NULL);
}

hone_err hone_accounts_logout(hone_accounts *accounts, const hone_caller *caller) {
    hone_tx *tx = NULL;
    HONE_TRY(hone_tx_begin(accounts->db, HONE_TX_WRITE, &tx));
    return hone_tx_finish(tx, logout_in(tx, caller));
}
