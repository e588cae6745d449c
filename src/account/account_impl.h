/* account_impl.h: what the files of account/ share.
 *
 *     users.c        open, people, teams          sessions.c     login, cookies
 *     keys.c         API keys                     invitations.c  links
 *     secrets.c      tokens, passwords, private files    credentials.c  DIR/credentials
 *     key_cache.c    the keys that were used last
 */
#ifndef HONE_ACCOUNT_ACCOUNT_IMPL_H
#define HONE_ACCOUNT_ACCOUNT_IMPL_H

#include "account/account.h"

#include <pthread.h>
#include <sodium.h>

enum {
    HONE_TOKEN_SIZE = 44,     /* 32 random bytes in base64url, and the terminator */
    HONE_KEY_ID_SIZE = 21,    /* "HONE" and 16 of base32 */
    HONE_SECRET_SIZE = 41,    /* 40 letters and digits */
    HONE_USER_NAME_MAX = 63,  /* bytes */
    HONE_EMAIL_MAX = 254,     /* bytes */
    HONE_PASSWORD_MAX = 1024, /* bytes */
    HONE_PASSWORD_MIN = 8,    /* characters */
    HONE_SEEN_EVERY_MS = 60000,
    HONE_CACHED_KEYS = 64,
};

/* A key, and whose it is, in memory. */
typedef struct hone_cached_key {
    char id[HONE_KEY_ID_SIZE]; /* "" = a free place */
    char secret[HONE_SECRET_SIZE];
    char name[HONE_USER_NAME_MAX + 1], email[HONE_EMAIL_MAX + 1];
    char worker[17]; /* 16 hex digits */
    int64_t user, seen_ms;
    hone_role role;
} hone_cached_key;

struct hone_accounts {
    hone_db *db;
    unsigned char key[crypto_secretbox_KEYBYTES]; /* of DIR/secret.key */

    pthread_mutex_t lock;
    pthread_cond_t freed;
    /* Guarded by lock: */
    int hashing, waiting; /* threads that hash a password, or wait to */

    pthread_mutex_t cache_lock;
    /* Guarded by cache_lock: */
    uint64_t generation; /* how often the cache was cleared */
    hone_cached_key cache[HONE_CACHED_KEYS];
};

/* --- secrets.c ---------------------------------------------------------------------- */

typedef struct hone_token_hash {
    unsigned char bytes[crypto_hash_sha256_BYTES];
} hone_token_hash;

/* A new secret for a cookie or a link, and what is kept of it. */
void hone_token_make(char out[HONE_TOKEN_SIZE]);
hone_token_hash hone_token_digest(hone_str token);
hone_str hone_token_str(const hone_token_hash *hash); /* its bytes, to be bound as a blob */

/* What the page of a session repeats: made of the cookie's value, which it does not reveal. */
char *hone_token_csrf(hone_arena *arena, hone_str token);

/* count random characters of the alphabet, and a terminator. */
void hone_random_text(char *out, size_t count, const char *alphabet);

/* Hash a password, or compare it with a hash; NULL = nobody's, which takes the same time and is
 * never equal. A few run at a time, for each takes 64 MiB; FULL when too many wait. NOMEM. */
HONE_NODISCARD hone_err hone_password_hash(hone_accounts *accounts, hone_str password,
                                           char out[crypto_pwhash_STRBYTES]);
HONE_NODISCARD hone_err hone_password_check(hone_accounts *accounts, const char *hash,
                                            hone_str password, bool *is_equal);
/* INVALID for one that is too short or long, or has a NUL. */
HONE_NODISCARD hone_err hone_password_is_good(hone_str password);

/* Replace path by bytes in one step, fsynced, mode 0600. FULL, IO. */
HONE_NODISCARD hone_err hone_private_save(const char *path, hone_str bytes);
/* The key of DIR/secret.key; made when there is none and may_make. CORRUPT. */
HONE_NODISCARD hone_err hone_secret_key_load(const char *dir, bool may_make,
                                             unsigned char out[crypto_secretbox_KEYBYTES]);

/* --- rows --------------------------------------------------------------------------- */

#define HONE_CALLER_COLUMNS "u.id, u.name, u.email, u.worker, u.role"
/* The row of a query that starts with these columns of `user u`. */
HONE_NODISCARD hone_err hone_caller_copy(hone_arena *arena, const hone_rows *rows,
                                         hone_caller *out);

HONE_NODISCARD hone_err hone_user_insert(hone_tx *tx, hone_str name, hone_str email, hone_role role,
                                         const char *password_hash, const char *actor,
                                         int64_t *user);
/* A new session of the caller: fills out->session and out->csrf. */
HONE_NODISCARD hone_err hone_session_insert(hone_tx *tx, hone_arena *arena, int64_t user,
                                            const char **token, hone_caller *out);
/* key_id, secret: HONE_KEY_ID_SIZE and HONE_SECRET_SIZE bytes. */
HONE_NODISCARD hone_err hone_key_insert(hone_accounts *accounts, hone_tx *tx, int64_t user,
                                        const char *actor, char *key_id, char *secret);

/* Note that the user was here, once a minute at most; nothing depends on it, so that a failure
 * is no error. Call outside a transaction. */
void hone_user_touch(hone_accounts *accounts, int64_t user, int64_t session, int64_t seen_ms);

/* --- key_cache.c -------------------------------------------------------------------- */

/* A copy of what is kept of a key; the generation in any case. */
bool hone_key_cache_find(hone_accounts *accounts, hone_str key_id, hone_cached_key *out,
                         uint64_t *generation);
/* Keep what was read from the database since the cache was asked. */
void hone_key_cache_keep(hone_accounts *accounts, hone_str key_id, const hone_caller *caller,
                         hone_str secret, int64_t seen_ms, uint64_t generation);
/* After the commit of whatever ends a key. */
void hone_key_cache_clear(hone_accounts *accounts);

/* "user/ann" in the arena; NULL at its limit. */
char *hone_actor(hone_arena *arena, const hone_caller *caller);

static inline hone_err hone_account_no_memory(void) {
    return hone_err_new(HONE_E_NOMEM, "no memory for an account");
}

#endif
