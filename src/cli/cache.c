/* cache.c: see cache.h. The lock is flock's: it goes with the process, however that ends.
 * The lock's file stays, because deleting it would let two processes lock two files. */
#include "cli/cache.h"

#include "base/env.h"
#include "base/file.h"
#include "cli/checkpoint.h"
#include "model/model.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory for a path"); }

/* The folder and what to put behind it; false when nothing says where the cache is. */
static bool find_root(const char *flag, const char **folder, const char **below) {
    const char *own = flag ? flag : hone_env("HONE_CACHE");
    const char *shared = hone_env("XDG_CACHE_HOME");
    const char *home = hone_env("HOME");
    *folder = own ? own : shared ? shared : home;
    *below = own ? "" : shared ? "/hone" : "/.cache/hone";
    return *folder != NULL;
}

hone_err hone_cache_root(hone_arena *arena, const char *flag, const char **out) {
    const char *folder = NULL, *below = NULL;
    if (!find_root(flag, &folder, &below))
        return hone_err_new(HONE_E_INVALID,
                            "no folder for the cache: give --cache DIR, or set HONE_CACHE");
    size_t size_bytes = strlen(folder) + strlen(below) + 1;
    char *path = hone_arena_alloc(arena, size_bytes, 1);
    if (!path) return no_memory();
    (void)snprintf(path, size_bytes, "%s%s", folder, below);
    *out = path;
    return HONE_OK;
}

const char *hone_cache_packed(char path[HONE_CACHE_PATH_SIZE]) {
    const char *own = hone_env("HONE_PACK_CACHE");
    if (own) return strcmp(own, "off") == 0 ? NULL : own;
    const char *folder = NULL, *below = NULL;
    if (!find_root(NULL, &folder, &below)) return NULL;
    int len = snprintf(path, HONE_CACHE_PATH_SIZE, "%s%s/packed", folder, below);
    return len > 0 && len < HONE_CACHE_PATH_SIZE ? path : NULL;
}

hone_err hone_cache_open(hone_arena *arena, const char *root, const char *kind, const char *name,
                         const char *version, hone_cache_entry *out) {
    char partial[300], lock[300];
    if (snprintf(partial, sizeof partial, ".%s.partial", version) >= (int)sizeof partial ||
        snprintf(lock, sizeof lock, ".%s.lock", version) >= (int)sizeof lock)
        return hone_err_new(HONE_E_INVALID, "the name '%s' is too long", version);
    const char *parent = hone_path_join(arena, root, kind);
    if (parent) parent = hone_path_join(arena, parent, name);
    if (!parent) return no_memory();
    hone_cache_entry entry = {.dir = hone_path_join(arena, parent, version),
                              .partial = hone_path_join(arena, parent, partial),
                              .lock = hone_path_join(arena, parent, lock),
                              .lock_fd = -1};
    if (!entry.dir || !entry.partial || !entry.lock) return no_memory();
    *out = entry;
    return HONE_OK;
}

static hone_err take_lock(hone_cache_entry *entry) {
    int fd = open(entry->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return hone_file_err("create", entry->lock);
    int rc = flock(fd, LOCK_EX | LOCK_NB);
    if (rc != 0 && errno == EWOULDBLOCK) {
        fprintf(stderr, "another hone is fetching '%s': waiting for it\n", entry->dir);
        do rc = flock(fd, LOCK_EX);
        while (rc != 0 && errno == EINTR);
    }
    if (rc != 0) {
        hone_err err = hone_file_err("lock", entry->lock);
        (void)close(fd); /* nothing was written */
        return err;
    }
    entry->lock_fd = fd;
    return HONE_OK;
}

hone_err hone_cache_begin(hone_cache_entry *entry) {
    HONE_TRY(hone_folder_make(entry->partial, 0755));
    HONE_TRY(take_lock(entry));
    /* The one who held the lock may have renamed it. */
    return hone_folder_make(entry->partial, 0755);
}

static bool is_ours(const char *name) {
    return hone_checkpoint_file_find(hone_str_of(name)) || strcmp(name, HONE_SUMS_NAME) == 0;
}

/* Delete from a folder the files that an entry has, or those that it has not. */
static hone_err clear(const char *path, bool ours) {
    DIR *dir = opendir(path);
    if (!dir) return hone_file_err("open", path);
    hone_err err = HONE_OK;
    for (const struct dirent *entry; !hone_failed(err) && (entry = readdir(dir));) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
        if (is_ours(name) != ours) continue;
        if (unlinkat(dirfd(dir), name, 0) != 0) err = hone_file_err("clear", path);
    }
    (void)closedir(dir); /* nothing to lose */
    return err;
}

hone_err hone_cache_commit(hone_arena *arena, hone_cache_entry *entry) {
    HONE_TRY(clear(entry->partial, false));
    HONE_TRY(hone_checkpoint_save_sums(arena, entry->partial)); /* and fsync the folder */
    if (hone_file_exists(entry->dir)) {
        HONE_TRY(clear(entry->dir, true));
        if (rmdir(entry->dir) != 0) return hone_file_err("replace", entry->dir);
    }
    if (rename(entry->partial, entry->dir) != 0) return hone_file_err("rename to", entry->dir);
    return hone_folder_sync_above(entry->dir);
}

void hone_cache_close(hone_cache_entry *entry) {
    if (entry->lock_fd < 0) return;
    (void)rmdir(entry->partial); /* only when nothing has come, for a mistyped name */
    (void)close(entry->lock_fd); /* the lock goes with it */
    entry->lock_fd = -1;
}
