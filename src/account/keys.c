/* keys.c: API keys. A SigV4 signature can only be checked with the secret itself, so it is kept,
 * encrypted: who reads the database alone cannot sign. */
#include "account/account_impl.h"
#include "base/clock.h"
#include "base/id.h"
#include "store/journal.h"

#include <stdio.h>
#include <stdlib.h>

enum { KEYS_PER_USER_MAX = 20, BOX_BYTES = HONE_SECRET_SIZE - 1 + crypto_secretbox_MACBYTES };

hone_err hone_key_insert(hone_accounts *accounts, hone_tx *tx, int64_t user, const char *actor,
                         char *key_id, char *secret) {
    int64_t count = 0;
    HONE_TRY(hone_tx_int(tx, &count, "SELECT count(*) FROM access_key WHERE user = ?", "i", user));
    if (count >= KEYS_PER_USER_MAX)
        return hone_err_new(HONE_E_FULL, "a user has at most %d keys: delete one",
                            KEYS_PER_USER_MAX);
    /* What the AWS clients take: 20 characters of base32, and 40. */
    memcpy(key_id, "HONE", 4);
    hone_random_text(key_id + 4, HONE_KEY_ID_SIZE - 5, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
    hone_random_text(secret, HONE_SECRET_SIZE - 1,
                     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
    unsigned char nonce[crypto_secretbox_NONCEBYTES], box[BOX_BYTES];
    hone_random_bytes(nonce, sizeof nonce);
    (void)crypto_secretbox_easy(box, (const unsigned char *)secret, HONE_SECRET_SIZE - 1, nonce,
                                accounts->key); /* cannot fail with these sizes */
    HONE_TRY(hone_tx_exec(tx,
                          "INSERT INTO access_key (id, user, nonce, secret, created_ms)"
                          " VALUES (?, ?, ?, ?, ?)",
                          "zibbi", key_id, user, (hone_str){(char *)nonce, sizeof nonce},
                          (hone_str){(char *)box, sizeof box}, hone_now_ms()));
    char subject[HONE_KEY_ID_SIZE + 8];
    (void)snprintf(subject, sizeof subject, "key/%s", key_id);
    return hone_journal_append(tx, actor, "key.created", subject,
                               json_pack("{s:I}", "user", (json_int_t)user));
}

static hone_err open_box(hone_accounts *accounts, hone_arena *arena, hone_str nonce, hone_str box,
                         hone_str *secret) {
    unsigned char text[HONE_SECRET_SIZE] = {0};
    if (nonce.len != crypto_secretbox_NONCEBYTES || box.len != BOX_BYTES ||
        crypto_secretbox_open_easy(text, (const unsigned char *)box.ptr, box.len,
                                   (const unsigned char *)nonce.ptr, accounts->key) != 0)
        return hone_err_new(HONE_E_CORRUPT, "secret.key does not open the keys of this database");
    char *copy = hone_arena_strdup(arena, (hone_str){(char *)text, HONE_SECRET_SIZE - 1});
    sodium_memzero(text, sizeof text);
    if (!copy) return hone_account_no_memory();
    *secret = (hone_str){copy, HONE_SECRET_SIZE - 1};
    return HONE_OK;
}

static hone_err find_in(hone_accounts *accounts, hone_tx *tx, hone_arena *arena, hone_str key_id,
                        hone_caller *out, hone_str *secret, int64_t *seen_ms) {
    hone_rows rows;
    bool more = false;
    hone_caller caller = {0};
    hone_str text = {NULL, 0};
    HONE_TRY(hone_rows_open(tx, &rows,
                            "SELECT " HONE_CALLER_COLUMNS ", u.seen_ms, k.nonce, k.secret"
                            " FROM access_key k JOIN user u ON u.id = k.user"
                            " WHERE k.id = ? AND u.is_disabled = 0",
                            "s", key_id));
    hone_err err = hone_rows_next(&rows, &more);
    if (!hone_failed(err) && !more)
        err = hone_err_new(HONE_E_NOT_FOUND, "no key '%.*s'", HONE_ARG(key_id));
    if (!hone_failed(err)) err = hone_caller_copy(arena, &rows, &caller);
    if (!hone_failed(err))
        err = open_box(accounts, arena, hone_rows_str(&rows, 6), hone_rows_str(&rows, 7), &text);
    if (!hone_failed(err)) {
        *seen_ms = hone_rows_int(&rows, 5);
        *out = caller;
        *secret = text;
    }
    hone_rows_close(&rows);
    return err;
}

static hone_err copy_cached(hone_arena *arena, const hone_cached_key *k, hone_caller *out,
                            hone_str *secret) {
    hone_caller caller = {.user = k->user,
                          .name = hone_arena_strdup(arena, hone_str_of(k->name)),
                          .email = hone_arena_strdup(arena, hone_str_of(k->email)),
                          .worker = hone_arena_strdup(arena, hone_str_of(k->worker)),
                          .role = k->role};
    const char *text = hone_arena_strdup(arena, hone_str_of(k->secret));
    if (!caller.name || !caller.email || !caller.worker || !text) return hone_account_no_memory();
    *out = caller;
    *secret = hone_str_of(text);
    return HONE_OK;
}

/* As hone_accounts_find_key, but the user was not necessarily here. */
static hone_err find_quietly(hone_accounts *accounts, hone_arena *arena, hone_str key_id,
                             hone_caller *out, hone_str *secret, int64_t *seen_ms) {
    hone_tx *tx = NULL;
    hone_cached_key cached;
    uint64_t generation = 0;
    if (hone_key_cache_find(accounts, key_id, &cached, &generation)) {
        *seen_ms = cached.seen_ms;
        hone_err err = copy_cached(arena, &cached, out, secret);
        sodium_memzero(&cached, sizeof cached);
        return err;
    }
    HONE_TRY(hone_tx_begin(accounts->db, HONE_TX_READ, &tx));
    hone_err err = find_in(accounts, tx, arena, key_id, out, secret, seen_ms);
    hone_tx_abort(tx);
    if (!hone_failed(err))
        hone_key_cache_keep(accounts, key_id, out, *secret, *seen_ms, generation);
    return err;
}

/* The key's user was here. What is kept of the key says so, too, or each request would write. */
static void touch(hone_accounts *accounts, hone_str key_id, const hone_caller *caller,
                  hone_str secret, int64_t seen_ms) {
    hone_cached_key cached;
    uint64_t generation = 0;
    int64_t now_ms = hone_now_ms();
    if (now_ms - seen_ms < HONE_SEEN_EVERY_MS) return;
    if (hone_key_cache_find(accounts, key_id, &cached, &generation))
        hone_key_cache_keep(accounts, key_id, caller, secret, now_ms, generation);
    sodium_memzero(&cached, sizeof cached);
    hone_user_touch(accounts, caller->user, 0, seen_ms);
}

hone_err hone_accounts_find_key(hone_accounts *accounts, hone_arena *arena, hone_str key_id,
                                hone_caller *out, hone_str *secret) {
    int64_t seen_ms = 0;
    HONE_TRY(find_quietly(accounts, arena, key_id, out, secret, &seen_ms));
    touch(accounts, key_id, out, *secret, seen_ms);
    return HONE_OK;
}

/* "hone_KEYID_SECRET" or "KEYID:SECRET". */
static bool split_bearer(hone_str token, hone_str *key_id, hone_str *secret) {
    const hone_str prefix = HONE_S("hone_");
    char between = ':';
    if (hone_str_has_prefix(token, prefix)) {
        token = (hone_str){token.ptr + prefix.len, token.len - prefix.len};
        between = '_';
    }
    const char *at = token.len ? memchr(token.ptr, between, token.len) : NULL;
    if (!at) return false;
    *key_id = (hone_str){token.ptr, (size_t)(at - token.ptr)};
    *secret = (hone_str){at + 1, token.len - key_id->len - 1};
    return true;
}

hone_err hone_accounts_find_bearer(hone_accounts *accounts, hone_arena *arena, hone_str token,
                                   hone_caller *out) {
    hone_str key_id, given, secret = {NULL, 0};
    hone_caller caller;
    int64_t seen_ms = 0;
    hone_err refused = hone_err_new(HONE_E_NOT_FOUND, "the bearer token is not valid");
    if (!split_bearer(token, &key_id, &given)) return refused;
    hone_err err = find_quietly(accounts, arena, key_id, &caller, &secret, &seen_ms);
    if (err.code == HONE_E_NOT_FOUND) return refused;
    HONE_TRY(err);
    if (given.len != secret.len || sodium_memcmp(given.ptr, secret.ptr, secret.len) != 0)
        return refused;
    touch(accounts, key_id, &caller, secret, seen_ms);
    *out = caller;
    return HONE_OK;
}

static hone_err create_in(hone_accounts *accounts, hone_tx *tx, const char *actor, hone_str user,
                          char *key_id, char *secret) {
    int64_t id = 0, disabled = 0;
    HONE_TRY(hone_accounts_find_user(tx, user, &id));
    HONE_TRY(hone_tx_int(tx, &disabled, "SELECT is_disabled FROM user WHERE id = ?", "i", id));
    if (disabled)
        return hone_err_new(HONE_E_INVALID, "the account '%.*s' is disabled", HONE_ARG(user));
    return hone_key_insert(accounts, tx, id, actor, key_id, secret);
}

hone_err hone_accounts_key_create(hone_accounts *accounts, hone_arena *arena, const hone_caller *by,
                                  hone_str user, const char **key_id, const char **secret) {
    char *id = hone_arena_alloc(arena, HONE_KEY_ID_SIZE, 1);
    char *text = hone_arena_alloc(arena, HONE_SECRET_SIZE, 1);
    char *actor = hone_actor(arena, by);
    hone_tx *tx = NULL;
    if (!id || !text || !actor) return hone_account_no_memory();
    HONE_TRY(hone_tx_begin(accounts->db, HONE_TX_WRITE, &tx));
    HONE_TRY(hone_tx_finish(tx, create_in(accounts, tx, actor, user, id, text)));
    *key_id = id;
    *secret = text;
    return HONE_OK;
}

static hone_err delete_in(hone_tx *tx, const hone_caller *by, hone_str key_id) {
    HONE_TRY(hone_tx_exec(tx, "DELETE FROM access_key WHERE id = ? AND (user = ? OR ?)", "sii",
                          key_id, by->user, (int64_t)(by->role == HONE_ADMIN)));
    if (hone_tx_changes(tx) == 0)
        return hone_err_new(HONE_E_NOT_FOUND, "no key '%.*s'", HONE_ARG(key_id));
    char subject[HONE_KEY_ID_SIZE + 8], actor[HONE_USER_NAME_MAX + 16];
    (void)snprintf(subject, sizeof subject, "key/%.*s", HONE_ARG(key_id));
    (void)snprintf(actor, sizeof actor, "user/%s", by->name);
    return hone_journal_append(tx, actor, "key.deleted", subject, NULL);
}

hone_err hone_accounts_key_delete(hone_accounts *accounts, const hone_caller *by, hone_str key_id) {
    hone_tx *tx = NULL;
    HONE_TRY(hone_tx_begin(accounts->db, HONE_TX_WRITE, &tx));
    hone_err err = hone_tx_finish(tx, delete_in(tx, by, key_id));
    hone_key_cache_clear(accounts); /* also after a failure, which may have come too late */
    return err;
}
