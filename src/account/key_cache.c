/* key_cache.c: the keys that were used last, so that a request does not ask the database whose its
 * key is, nor open the secret's box.
 *
 *     find --there--> caller, secret
 *       `--not there--> the generation --the database is read--> keep, if the generation is the same
 *
 * A key that was deleted, or whose user was disabled, must not be found once that call returns. So
 * whoever does it clears the cache after its commit, which begins a new generation: what somebody
 * read before the commit is not kept after it. All changes are made by this process, which has the
 * folder for itself. A key has one place, by its name; a newer one takes it. */
#include "account/account_impl.h"

static hone_cached_key *place_of(hone_accounts *accounts, hone_str key_id) {
    size_t hash = 5381;
    for (size_t i = 0; i < key_id.len; i++) hash = hash * 33 + (unsigned char)key_id.ptr[i];
    return &accounts->cache[hash % HONE_CACHED_KEYS];
}

bool hone_key_cache_find(hone_accounts *accounts, hone_str key_id, hone_cached_key *out,
                         uint64_t *generation) {
    pthread_mutex_lock(&accounts->cache_lock);
    const hone_cached_key *k = place_of(accounts, key_id);
    bool is_there = k->id[0] != '\0' && hone_str_equal(hone_str_of(k->id), key_id);
    if (is_there) *out = *k;
    *generation = accounts->generation;
    pthread_mutex_unlock(&accounts->cache_lock);
    return is_there;
}

static bool copy(char *to, size_t size, hone_str from) {
    if (from.len >= size) return false;
    memcpy(to, from.ptr, from.len);
    to[from.len] = '\0';
    return true;
}

void hone_key_cache_keep(hone_accounts *accounts, hone_str key_id, const hone_caller *caller,
                         hone_str secret, int64_t seen_ms, uint64_t generation) {
    hone_cached_key k = {.user = caller->user, .role = caller->role, .seen_ms = seen_ms};
    bool fits = copy(k.id, sizeof k.id, key_id) &&
                copy(k.name, sizeof k.name, hone_str_of(caller->name)) &&
                copy(k.email, sizeof k.email, hone_str_of(caller->email)) &&
                copy(k.worker, sizeof k.worker, hone_str_of(caller->worker)) &&
                copy(k.secret, sizeof k.secret, secret);
    pthread_mutex_lock(&accounts->cache_lock);
    if (fits && generation == accounts->generation) *place_of(accounts, key_id) = k;
    pthread_mutex_unlock(&accounts->cache_lock);
    sodium_memzero(&k, sizeof k);
}

void hone_key_cache_clear(hone_accounts *accounts) {
    pthread_mutex_lock(&accounts->cache_lock);
    accounts->generation++;
    sodium_memzero(accounts->cache, sizeof accounts->cache);
    pthread_mutex_unlock(&accounts->cache_lock);
}
