/* users.c: the rows of people and their teams, and the first start. See account.h. */
#include "account/account_impl.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/realm.h"
#include "store/journal.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const steps[] = {
    "CREATE TABLE user ("
    "  id INTEGER PRIMARY KEY,"
    "  name TEXT NOT NULL UNIQUE COLLATE NOCASE,"
    "  email TEXT NOT NULL UNIQUE COLLATE NOCASE,"
    "  worker TEXT NOT NULL UNIQUE,"
    "  role TEXT NOT NULL,"
    "  password TEXT NOT NULL," /* argon2id */
    "  created_ms INTEGER NOT NULL,"
    "  seen_ms INTEGER NOT NULL," /* 0 = never */
    "  is_disabled INTEGER NOT NULL DEFAULT 0"
    ") STRICT;"
    "CREATE TABLE session ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT," /* an id is never given to another session */
    "  user INTEGER NOT NULL REFERENCES user (id),"
    "  token BLOB NOT NULL UNIQUE," /* SHA-256 */
    "  created_ms INTEGER NOT NULL,"
    "  seen_ms INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX session_user ON session (user);"
    "CREATE TABLE access_key ("
    "  id TEXT PRIMARY KEY,"
    "  user INTEGER NOT NULL REFERENCES user (id),"
    "  nonce BLOB NOT NULL,"
    "  secret BLOB NOT NULL," /* crypto_secretbox under DIR/secret.key */
    "  created_ms INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX access_key_user ON access_key (user);"
    "CREATE TABLE invitation ("
    "  id INTEGER PRIMARY KEY,"
    "  token BLOB NOT NULL UNIQUE," /* SHA-256 */
    "  email TEXT NOT NULL,"
    "  role TEXT NOT NULL,"
    "  team TEXT NOT NULL," /* '' = none */
    "  created_ms INTEGER NOT NULL,"
    "  expires_ms INTEGER NOT NULL,"
    "  used_ms INTEGER NOT NULL DEFAULT 0"
    ") STRICT;"
    "CREATE TABLE member ("
    "  team TEXT NOT NULL,"
    "  user INTEGER NOT NULL REFERENCES user (id),"
    "  PRIMARY KEY (team, user)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX member_user ON member (user);"
    "CREATE TABLE login_attempt ("
    "  name TEXT NOT NULL,"
    "  when_ms INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX login_attempt_name ON login_attempt (name);"
    "CREATE INDEX login_attempt_when ON login_attempt (when_ms);",
};

/* --- roles and rows ----------------------------------------------------------------- */

static const char *const role_names[] = {
    [HONE_REVIEWER] = "reviewer", [HONE_ENGINEER] = "engineer", [HONE_ADMIN] = "admin"};

const char *hone_role_format(hone_role role) { return role_names[role]; }

hone_err hone_role_parse(hone_str text, hone_role *out) {
    for (size_t i = 0; i < sizeof role_names / sizeof role_names[0]; i++) {
        if (!hone_str_equal(text, hone_str_of(role_names[i]))) continue;
        *out = (hone_role)i;
        return HONE_OK;
    }
    return hone_err_new(HONE_E_INVALID, "'%.*s' is no role: reviewer, engineer or admin",
                        HONE_ARG(text));
}

hone_err hone_caller_copy(hone_arena *arena, const hone_rows *rows, hone_caller *out) {
    hone_caller caller = {.user = hone_rows_int(rows, 0)};
    caller.name = hone_arena_strdup(arena, hone_rows_str(rows, 1));
    caller.email = hone_arena_strdup(arena, hone_rows_str(rows, 2));
    caller.worker = hone_arena_strdup(arena, hone_rows_str(rows, 3));
    if (!caller.name || !caller.email || !caller.worker) return hone_account_no_memory();
    HONE_TRY(hone_role_parse(hone_rows_str(rows, 4), &caller.role));
    *out = caller;
    return HONE_OK;
}

char *hone_actor(hone_arena *arena, const hone_caller *caller) {
    char text[HONE_USER_NAME_MAX + 16];
    if (caller->user == 0) return hone_arena_strdup(arena, HONE_S("system"));
    (void)snprintf(text, sizeof text, "user/%s", caller->name);
    return hone_arena_strdup(arena, hone_str_of(text));
}

static void touch_in(hone_tx *tx, int64_t user, int64_t session, int64_t now_ms) {
    hone_err err = hone_tx_exec(tx, "UPDATE user SET seen_ms = ? WHERE id = ?", "ii", now_ms, user);
    if (!hone_failed(err) && session)
        err = hone_tx_exec(tx, "UPDATE session SET seen_ms = ? WHERE id = ?", "ii", now_ms,
                           session);
    err = hone_tx_finish(tx, err);
    (void)err; /* the note is not worth a failed request */
}

void hone_user_touch(hone_accounts *accounts, int64_t user, int64_t session, int64_t seen_ms) {
    int64_t now_ms = hone_now_ms();
    hone_tx *tx = NULL;
    if (now_ms - seen_ms < HONE_SEEN_EVERY_MS) return;
    hone_err err = hone_tx_begin(accounts->db, HONE_TX_WRITE, &tx);
    if (!hone_failed(err)) touch_in(tx, user, session, now_ms);
}

hone_err hone_user_insert(hone_tx *tx, hone_str name, hone_str email, hone_role role,
                          const char *password_hash, const char *actor, int64_t *user) {
    if (!hone_name_is_valid(name, HONE_USER_NAME_MAX, false))
        return hone_err_new(HONE_E_INVALID,
                            "'%.*s' is no user name: 1 to %d letters, digits and inner hyphens",
                            HONE_ARG(name), HONE_USER_NAME_MAX);
    int64_t taken = 0;
    HONE_TRY(hone_tx_int(tx, &taken, "SELECT count(*) FROM user WHERE name = ?", "s", name));
    if (taken) return hone_err_new(HONE_E_CONFLICT, "name '%.*s' is taken", HONE_ARG(name));
    char worker[17], subject[HONE_USER_NAME_MAX + 16];
    hone_random_text(worker, sizeof worker - 1, "0123456789abcdef");
    hone_err err = hone_tx_exec(tx,
                                "INSERT INTO user (name, email, worker, role, password, created_ms,"
                                " seen_ms) VALUES (?, ?, ?, ?, ?, ?, 0)",
                                "sszzzi", name, email, worker, hone_role_format(role),
                                password_hash, hone_now_ms());
    if (err.code == HONE_E_CONFLICT)
        return hone_err_new(HONE_E_CONFLICT, "'%.*s' has an account already", HONE_ARG(email));
    HONE_TRY(err);
    *user = hone_tx_insert_id(tx);
    (void)snprintf(subject, sizeof subject, "user/%.*s", HONE_ARG(name));
    return hone_journal_append(tx, actor, "user.created", subject,
                               json_pack("{s:s}", "role", hone_role_format(role)));
}

/* --- the first start ---------------------------------------------------------------- */

typedef struct first_start {
    char password[25], key_id[HONE_KEY_ID_SIZE], secret[HONE_SECRET_SIZE];
} first_start;

static hone_err save_credentials(const char *dir, const char *endpoint_url,
                                 const first_start *first) {
    char *path = NULL, *text = NULL;
    int len = asprintf(&text,
                       "[default]\n"
                       "aws_access_key_id = %s\n"
                       "aws_secret_access_key = %s\n"
                       "%s%s%s"
                       "hone_portal_user = admin\n"
                       "hone_portal_password = %s\n",
                       first->key_id, first->secret, endpoint_url ? "endpoint_url = " : "",
                       endpoint_url ? endpoint_url : "", endpoint_url ? "\n" : "", first->password);
    if (len < 0) return hone_account_no_memory();
    hone_err err = HONE_OK;
    if (asprintf(&path, "%s/credentials", dir) < 0) {
        path = NULL;
        err = hone_account_no_memory();
    }
    if (!hone_failed(err)) err = hone_private_save(path, (hone_str){text, (size_t)len});
    free(path);
    sodium_memzero(text, (size_t)len);
    free(text);
    return err;
}

/* The file is saved before the commit: killed in between, the next start finds no user, does all
 * of this again and replaces the file. The other way round nobody would know the password. */
static hone_err make_admin_in(hone_accounts *accounts, hone_tx *tx, const char *dir,
                              const char *endpoint_url, const char *hash, first_start *first) {
    int64_t users = 0, admin = 0;
    HONE_TRY(hone_tx_int(tx, &users, "SELECT count(*) FROM user", ""));
    if (users > 0) return HONE_OK;
    HONE_TRY(hone_user_insert(tx, HONE_S("admin"), HONE_S("admin@localhost"), HONE_ADMIN, hash,
                              "system", &admin));
    HONE_TRY(hone_key_insert(accounts, tx, admin, "system", first->key_id, first->secret));
    return save_credentials(dir, endpoint_url, first);
}

static hone_err make_admin(hone_accounts *accounts, const char *dir, const char *endpoint_url) {
    first_start first;
    char hash[crypto_pwhash_STRBYTES];
    hone_tx *tx = NULL;
    hone_random_text(first.password, sizeof first.password - 1,
                     "abcdefghijkmnpqrstuvwxyz23456789"); /* none that look alike */
    hone_err err = hone_password_hash(accounts, hone_str_of(first.password), hash);
    if (!hone_failed(err)) err = hone_tx_begin(accounts->db, HONE_TX_WRITE, &tx);
    if (!hone_failed(err))
        err = hone_tx_finish(tx, make_admin_in(accounts, tx, dir, endpoint_url, hash, &first));
    sodium_memzero(&first, sizeof first);
    return err;
}

static hone_err count_rows(hone_db *db, int64_t *users, int64_t *keys) {
    hone_tx *tx = NULL;
    HONE_TRY(hone_tx_begin(db, HONE_TX_READ, &tx));
    hone_err err = hone_tx_int(tx, users, "SELECT count(*) FROM user", "");
    if (!hone_failed(err)) err = hone_tx_int(tx, keys, "SELECT count(*) FROM access_key", "");
    hone_tx_abort(tx);
    return err;
}

static hone_err open_all(hone_accounts *accounts, const char *dir, const char *endpoint_url) {
    int64_t users = 0, keys = 0;
    if (sodium_init() < 0) return hone_err_new(HONE_E_IO, "libsodium does not start");
    HONE_TRY(hone_db_migrate(accounts->db, "account", steps, sizeof steps / sizeof steps[0]));
    HONE_TRY(count_rows(accounts->db, &users, &keys));
    HONE_TRY(hone_secret_key_load(dir, keys == 0, accounts->key));
    return users == 0 ? make_admin(accounts, dir, endpoint_url) : HONE_OK;
}

hone_err hone_accounts_open(const char *dir, hone_db *db, const char *endpoint_url,
                            hone_accounts **out) {
    hone_accounts *accounts = calloc(1, sizeof *accounts);
    if (!accounts) return hone_account_no_memory();
    accounts->db = db;
    (void)pthread_mutex_init(&accounts->lock, NULL); /* plain ones cannot fail on Linux */
    (void)pthread_cond_init(&accounts->freed, NULL);
    (void)pthread_mutex_init(&accounts->cache_lock, NULL);
    hone_err err = open_all(accounts, dir, endpoint_url);
    if (hone_failed(err))
        hone_accounts_close(accounts);
    else
        *out = accounts;
    return err;
}

void hone_accounts_close(hone_accounts *accounts) {
    if (!accounts) return;
    sodium_memzero(accounts->key, sizeof accounts->key);
    sodium_memzero(accounts->cache, sizeof accounts->cache);
    (void)pthread_mutex_destroy(&accounts->cache_lock);
    (void)pthread_cond_destroy(&accounts->freed);
    (void)pthread_mutex_destroy(&accounts->lock);
    free(accounts);
}

/* --- people ------------------------------------------------------------------------- */

hone_err hone_accounts_find_user(hone_tx *tx, hone_str name, int64_t *user) {
    hone_err err = hone_tx_int(tx, user, "SELECT id FROM user WHERE name = ?", "s", name);
    if (err.code == HONE_E_NOT_FOUND)
        return hone_err_new(HONE_E_NOT_FOUND, "no user '%.*s'", HONE_ARG(name));
    return err;
}

static hone_err copy_user(hone_arena *arena, const hone_rows *rows, hone_user *out) {
    out->id = hone_rows_int(rows, 0);
    out->name = hone_arena_strdup(arena, hone_rows_str(rows, 1));
    out->email = hone_arena_strdup(arena, hone_rows_str(rows, 2));
    out->created_ms = hone_rows_int(rows, 4);
    out->seen_ms = hone_rows_int(rows, 5);
    out->is_disabled = hone_rows_int(rows, 6) != 0;
    out->teams = hone_arena_strdup(arena, hone_rows_str(rows, 7));
    if (!out->name || !out->email || !out->teams) return hone_account_no_memory();
    return hone_role_parse(hone_rows_str(rows, 3), &out->role);
}

static const char users_sql[] =
    "SELECT id, name, email, role, created_ms, seen_ms, is_disabled,"
    " coalesce((SELECT group_concat(team, ',') FROM"
    "  (SELECT team FROM member WHERE member.user = user.id ORDER BY team)), '')"
    " FROM user ORDER BY name";

static hone_err list_in(hone_tx *tx, hone_arena *arena, hone_user **out, size_t *count) {
    int64_t n = 0;
    HONE_TRY(hone_tx_int(tx, &n, "SELECT count(*) FROM user", ""));
    hone_user *users = hone_arena_alloc(arena, (size_t)n + 1, sizeof *users);
    if (!users) return hone_account_no_memory();
    hone_rows rows;
    bool more = false;
    hone_err err;
    HONE_TRY(hone_rows_open(tx, &rows, users_sql, ""));
    for (hone_user *next = users; !hone_failed(err = hone_rows_next(&rows, &more)) && more; next++)
        if (hone_failed(err = copy_user(arena, &rows, next))) break;
    hone_rows_close(&rows);
    if (hone_failed(err)) return err;
    *out = users;
    *count = (size_t)n;
    return HONE_OK;
}

hone_err hone_accounts_list(hone_accounts *accounts, hone_arena *arena, hone_user **out,
                            size_t *count) {
    hone_tx *tx = NULL;
    HONE_TRY(hone_tx_begin(accounts->db, HONE_TX_READ, &tx));
    hone_err err = list_in(tx, arena, out, count);
    hone_tx_abort(tx);
    return err;
}

static hone_err journal_user(hone_tx *tx, const hone_caller *by, const char *kind, int64_t user) {
    hone_rows rows;
    bool more = false;
    char subject[HONE_USER_NAME_MAX + 16] = "", actor[HONE_USER_NAME_MAX + 16];
    HONE_TRY(hone_rows_open(tx, &rows, "SELECT name FROM user WHERE id = ?", "i", user));
    hone_err err = hone_rows_next(&rows, &more);
    if (!hone_failed(err) && more)
        (void)snprintf(subject, sizeof subject, "user/%.*s", HONE_ARG(hone_rows_str(&rows, 0)));
    hone_rows_close(&rows);
    (void)snprintf(actor, sizeof actor, "user/%s", by->name);
    if (!hone_failed(err)) err = hone_journal_append(tx, actor, kind, subject, NULL);
    return err;
}

static hone_err disable_in(hone_tx *tx, const hone_caller *by, hone_str name, bool disabled) {
    int64_t user = 0;
    HONE_TRY(hone_accounts_find_user(tx, name, &user));
    if (user == by->user && disabled)
        return hone_err_new(HONE_E_INVALID, "nobody disables their own account");
    HONE_TRY(hone_tx_exec(tx, "UPDATE user SET is_disabled = ? WHERE id = ? AND is_disabled <> ?",
                          "iii", (int64_t)disabled, user, (int64_t)disabled));
    if (hone_tx_changes(tx) == 0) return HONE_OK;
    if (disabled) {
        HONE_TRY(hone_tx_exec(tx, "DELETE FROM session WHERE user = ?", "i", user));
        HONE_TRY(hone_tx_exec(tx, "DELETE FROM access_key WHERE user = ?", "i", user));
    }
    return journal_user(tx, by, disabled ? "user.disabled" : "user.enabled", user);
}

hone_err hone_accounts_disable(hone_accounts *accounts, const hone_caller *by, hone_str name,
                               bool disabled) {
    hone_tx *tx = NULL;
    HONE_TRY(hone_tx_begin(accounts->db, HONE_TX_WRITE, &tx));
    hone_err err = hone_tx_finish(tx, disable_in(tx, by, name, disabled));
    hone_key_cache_clear(accounts); /* also after a failure, which may have come too late */
    return err;
}

/* --- teams -------------------------------------------------------------------------- */

hone_err hone_accounts_team_add(hone_tx *tx, int64_t user, hone_str team) {
    return hone_tx_exec(tx,
                        "INSERT INTO member (team, user) VALUES (?, ?)"
                        " ON CONFLICT (team, user) DO NOTHING",
                        "si", team, user);
}

hone_err hone_accounts_team_remove(hone_tx *tx, int64_t user, hone_str team) {
    return hone_tx_exec(tx, "DELETE FROM member WHERE team = ? AND user = ?", "si", team, user);
}

hone_err hone_accounts_team_drop(hone_tx *tx, hone_str team) {
    return hone_tx_exec(tx, "DELETE FROM member WHERE team = ?", "s", team);
}

bool hone_accounts_is_in_team(hone_tx *tx, int64_t user, hone_str team) {
    int64_t one = 0;
    hone_err err = hone_tx_int(tx, &one, "SELECT 1 FROM member WHERE team = ? AND user = ?", "si",
                               team, user);
    return !hone_failed(err);
}

hone_err hone_accounts_teams(hone_tx *tx, hone_arena *arena, int64_t user, hone_str **out,
                             size_t *count) {
    int64_t n = 0;
    HONE_TRY(hone_tx_int(tx, &n, "SELECT count(*) FROM member WHERE user = ?", "i", user));
    hone_str *teams = hone_arena_alloc(arena, (size_t)n + 1, sizeof *teams);
    if (!teams) return hone_account_no_memory();
    hone_rows rows;
    bool more = false;
    hone_err err;
    HONE_TRY(hone_rows_open(tx, &rows, "SELECT team FROM member WHERE user = ? ORDER BY team", "i",
                            user));
    for (hone_str *next = teams; !hone_failed(err = hone_rows_next(&rows, &more)) && more; next++) {
        hone_str name = hone_rows_str(&rows, 0);
        *next = (hone_str){hone_arena_strdup(arena, name), name.len};
        if (next->ptr) continue;
        err = hone_account_no_memory();
        break;
    }
    hone_rows_close(&rows);
    if (hone_failed(err)) return err;
    *out = teams;
    *count = (size_t)n;
    return HONE_OK;
}
