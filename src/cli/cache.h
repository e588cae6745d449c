/* cache.h: a folder of the cache, which appears when it is whole.
 *
 *     ROOT/KIND/NAME/.VERSION.lock      held while fetching, by one process at a time
 *     ROOT/KIND/NAME/.VERSION.partial/  files as they come; a broken fetch goes on from here
 *     ROOT/KIND/NAME/VERSION/           .partial and its SHA256SUMS, renamed by commit
 *
 *     open --> is it whole? --> begin (lock, make .partial) --> fetch --> commit --> close
 *
 * KIND, NAME and VERSION are single names that the caller has checked: no '/', no dot first.
 * ROOT is --cache, else $HONE_CACHE, $XDG_CACHE_HOME/hone or ~/.cache/hone.
 */
#ifndef HONE_CLI_CACHE_H
#define HONE_CLI_CACHE_H

#include "base/arena.h"
#include "base/err.h"

typedef struct hone_cache_entry {
    const char *dir;     /* VERSION/, there or not */
    const char *partial; /* .VERSION.partial/, there after begin */
    const char *lock;
    int lock_fd; /* -1 while not held */
} hone_cache_entry;

/* flag is --cache or NULL. INVALID when nothing says where the cache is. */
HONE_NODISCARD hone_err hone_cache_root(hone_arena *arena, const char *flag, const char **out);

/* The folder for packed weights (model/packed.h), in path or the environment: $HONE_PACK_CACHE,
 * else ROOT/packed. NULL when that is "off", or nothing says where the cache is. */
enum { HONE_CACHE_PATH_SIZE = 4096 };
const char *hone_cache_packed(char path[HONE_CACHE_PATH_SIZE]);

/* The paths of an entry, in the arena. Touches no file. */
HONE_NODISCARD hone_err hone_cache_open(hone_arena *arena, const char *root, const char *kind,
                                        const char *name, const char *version,
                                        hone_cache_entry *out);

/* Make the folders and take the lock, waiting for another process that holds it; it may
 * have made the entry whole meanwhile. IO. */
HONE_NODISCARD hone_err hone_cache_begin(hone_cache_entry *entry);

/* partial becomes dir, with the sums of its files (cli/checkpoint.h); a damaged folder that stands
 * there goes. Files in partial that are no part of a checkpoint are deleted first. IO. */
HONE_NODISCARD hone_err hone_cache_commit(hone_arena *arena, hone_cache_entry *entry);

/* Give the lock back. What is in partial stays for the next time. */
void hone_cache_close(hone_cache_entry *entry);

#endif
