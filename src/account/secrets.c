/* secrets.c: what may not be guessed, read or timed: tokens, passwords, and the files with keys.
 *
 * A token has 256 random bits, so a fast hash of it is enough to keep. A password has few, so its
 * hash is made slow and large (argon2id, 64 MiB, three passes: about 0.1 s). */
#include "account/account_impl.h"
#include "base/file.h"
#include "base/id.h"
#include "base/utf8.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PASSES = 3,
    MEMORY_BYTES = 64 << 20,
    HASHING_MAX = 2,
    WAITING_MAX = 8,
};

/* --- tokens ------------------------------------------------------------------------- */

void hone_token_make(char out[HONE_TOKEN_SIZE]) {
    unsigned char bytes[32];
    _Static_assert(HONE_TOKEN_SIZE == sodium_base64_ENCODED_LEN(
                                          sizeof bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING),
                   "a token's size");
    hone_random_bytes(bytes, sizeof bytes);
    (void)sodium_bin2base64(out, HONE_TOKEN_SIZE, bytes, sizeof bytes,
                            sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(bytes, sizeof bytes);
}

hone_token_hash hone_token_digest(hone_str token) {
    hone_token_hash hash;
    (void)crypto_hash_sha256(hash.bytes, (const unsigned char *)token.ptr, token.len);
    return hash;
}

hone_str hone_token_str(const hone_token_hash *hash) {
    return (hone_str){(const char *)hash->bytes, sizeof hash->bytes};
}

char *hone_token_csrf(hone_arena *arena, hone_str token) {
    static const char label[] = "hone csrf";
    crypto_hash_sha256_state state;
    unsigned char sum[crypto_hash_sha256_BYTES];
    char text[2 * sizeof sum + 1];
    (void)crypto_hash_sha256_init(&state);
    (void)crypto_hash_sha256_update(&state, (const unsigned char *)label, sizeof label);
    (void)crypto_hash_sha256_update(&state, (const unsigned char *)token.ptr, token.len);
    (void)crypto_hash_sha256_final(&state, sum);
    (void)sodium_bin2hex(text, sizeof text, sum, sizeof sum);
    return hone_arena_strdup(arena, (hone_str){text, 32});
}

void hone_random_text(char *out, size_t count, const char *alphabet) {
    uint32_t size = (uint32_t)strlen(alphabet);
    for (size_t i = 0; i < count; i++) out[i] = alphabet[randombytes_uniform(size)];
    out[count] = '\0';
}

/* --- passwords ---------------------------------------------------------------------- */

hone_err hone_password_is_good(hone_str password) {
    size_t chars = 0, bytes = 0;
    for (size_t at = 0; at < password.len; at += bytes, chars++)
        (void)hone_utf8_next(password, at, &bytes);
    if (chars < HONE_PASSWORD_MIN)
        return hone_err_new(HONE_E_INVALID, "a password has %d characters or more",
                            HONE_PASSWORD_MIN);
    if (password.len > HONE_PASSWORD_MAX)
        return hone_err_new(HONE_E_INVALID, "a password has at most %d bytes", HONE_PASSWORD_MAX);
    if (memchr(password.ptr, '\0', password.len))
        return hone_err_new(HONE_E_INVALID, "a password has no NUL in it");
    return HONE_OK;
}

/* Wait for a turn. Refused when the queue is long: a flood of logins must not occupy every
 * worker of the server. */
static hone_err hashing_begin(hone_accounts *accounts) {
    hone_err err = HONE_OK;
    (void)pthread_mutex_lock(&accounts->lock);
    if (accounts->hashing >= HASHING_MAX && accounts->waiting >= WAITING_MAX) {
        err = hone_err_new(HONE_E_FULL, "too many people log in at once: try again in a moment");
    } else {
        accounts->waiting++;
        while (accounts->hashing >= HASHING_MAX)
            (void)pthread_cond_wait(&accounts->freed, &accounts->lock);
        accounts->waiting--;
        accounts->hashing++;
    }
    (void)pthread_mutex_unlock(&accounts->lock);
    return err;
}

static void hashing_end(hone_accounts *accounts) {
    (void)pthread_mutex_lock(&accounts->lock);
    accounts->hashing--;
    (void)pthread_cond_signal(&accounts->freed);
    (void)pthread_mutex_unlock(&accounts->lock);
}

hone_err hone_password_hash(hone_accounts *accounts, hone_str password,
                            char out[crypto_pwhash_STRBYTES]) {
    HONE_TRY(hashing_begin(accounts));
    int rc = crypto_pwhash_str_alg(out, password.ptr, password.len, PASSES, MEMORY_BYTES,
                                   crypto_pwhash_ALG_ARGON2ID13);
    hashing_end(accounts);
    return rc == 0 ? HONE_OK : hone_err_new(HONE_E_NOMEM, "no memory to hash a password");
}

/* The hash of a password that was thrown away, at the cost that the real ones have. */
static const char nobody[] = "$argon2id$v=19$m=65536,t=3,p=1$PQtLTLKOhOb7XbH4kVQ8UQ"
                             "$9WXxqegTgUb5X4hUY13CbCIKtS5gtq8jxyYBSncLMOI";

hone_err hone_password_check(hone_accounts *accounts, const char *hash, hone_str password,
                             bool *is_equal) {
    bool is_somebody = hash != NULL;
    HONE_TRY(hashing_begin(accounts));
    int rc = crypto_pwhash_str_verify(is_somebody ? hash : nobody, password.ptr, password.len);
    hashing_end(accounts);
    *is_equal = rc == 0 && is_somebody;
    return HONE_OK;
}

/* --- files that only their owner reads ---------------------------------------------- */

static hone_err write_synced(int fd, const char *path, hone_str bytes) {
    if (!hone_fd_write(fd, bytes)) return hone_file_err("write", path);
    return fsync(fd) == 0 ? HONE_OK : hone_file_err("sync", path);
}

/* base/file.h leaves the mode to the umask; here nobody else may read it at any instant. */
hone_err hone_private_save(const char *path, hone_str bytes) {
    char *temporary = NULL;
    if (asprintf(&temporary, "%s.new", path) < 0) return hone_account_no_memory();
    (void)unlink(temporary); /* left by a killed process; may have any mode */
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    hone_err err = fd < 0 ? hone_file_err("create", path) : write_synced(fd, path, bytes);
    if (fd >= 0 && close(fd) != 0 && !hone_failed(err)) err = hone_file_err("write", path);
    if (!hone_failed(err) && rename(temporary, path) != 0) err = hone_file_err("rename to", path);
    if (hone_failed(err))
        (void)unlink(temporary); /* the error matters more */
    else
        err = hone_folder_sync_above(path);
    free(temporary);
    return err;
}

static hone_err key_make(const char *path, unsigned char *out) {
    unsigned char key[crypto_secretbox_KEYBYTES];
    char text[2 * sizeof key + 2];
    hone_random_bytes(key, sizeof key);
    (void)sodium_bin2hex(text, sizeof text, key, sizeof key);
    text[2 * sizeof key] = '\n';
    hone_err err = hone_private_save(path, (hone_str){text, 2 * sizeof key + 1});
    if (!hone_failed(err)) memcpy(out, key, sizeof key);
    sodium_memzero(text, sizeof text);
    sodium_memzero(key, sizeof key);
    return err;
}

static hone_err key_read(const char *path, unsigned char *out) {
    hone_map map;
    size_t len = 0;
    HONE_TRY(hone_map_open(path, &map));
    bool is_good = sodium_hex2bin(out, crypto_secretbox_KEYBYTES, map.bytes.ptr, map.bytes.len,
                                  "\n", &len, NULL) == 0 &&
                   len == crypto_secretbox_KEYBYTES;
    hone_map_close(&map);
    if (is_good) return HONE_OK;
    return hone_err_new(HONE_E_CORRUPT, "'%s' is no key of %d hex digits", path,
                        2 * crypto_secretbox_KEYBYTES);
}

hone_err hone_secret_key_load(const char *dir, bool may_make,
                              unsigned char out[crypto_secretbox_KEYBYTES]) {
    char *path = NULL;
    if (asprintf(&path, "%s/secret.key", dir) < 0) return hone_account_no_memory();
    hone_err err = key_read(path, out);
    if (err.code == HONE_E_NOT_FOUND && may_make) err = key_make(path, out);
    if (err.code == HONE_E_NOT_FOUND)
        err = hone_err_new(HONE_E_CORRUPT,
                           "'%s' is missing, and with it the API keys cannot be read: put it back",
                           path);
    free(path);
    return err;
}
