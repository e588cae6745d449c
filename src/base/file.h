/* file.h: files as whole things: mapped, read, or replaced in one step.
 *
 * A file or folder that hone writes appears complete or not at all: the bytes go
 * to a temporary name in the same place, are fsynced, and are then renamed.
 */
#ifndef HONE_BASE_FILE_H
#define HONE_BASE_FILE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

/* "<doing> '<path>': <why>" for errno. FULL for a full disk or quota, NOT_FOUND, else IO. */
hone_err hone_file_err(const char *doing, const char *path);

/* A file mapped read-only. Shared pages: several maps of one file cost one. */
typedef struct hone_map {
    hone_str bytes;
} hone_map;

/* NOT_FOUND, IO, INVALID when it is no regular file. An empty file maps to no bytes. */
HONE_NODISCARD hone_err hone_map_open(const char *path, hone_map *out);
void hone_map_close(hone_map *map);

/* Let go of the pages in memory; a later read brings them back from the file. */
void hone_map_release(const hone_map *map);

/* The whole file in the arena, with a NUL behind it. FULL when it is larger than limit_bytes,
 * NOMEM when the arena has no room for it. */
HONE_NODISCARD hone_err hone_file_load(hone_arena *arena, const char *path, size_t limit_bytes,
                                       hone_str *out);

/* Replace path by bytes in one step, fsynced. FULL for a full disk, else IO. */
HONE_NODISCARD hone_err hone_file_save(const char *path, hone_str bytes);

/* The same of count runs of bytes, one behind the other, never joined in memory. */
HONE_NODISCARD hone_err hone_file_save_parts(const char *path, const hone_str *parts, size_t count);

/* All of bytes to an open file; false with errno when it takes no more. */
HONE_NODISCARD bool hone_fd_write(int fd, hone_str bytes);

/* A copy of a file under a new name, fsynced. What a failure leaves there is the caller's. */
HONE_NODISCARD hone_err hone_file_copy(const char *from, const char *to, unsigned mode);

/* "dir/name" in the arena; NULL at its limit. */
char *hone_path_join(hone_arena *arena, const char *dir, const char *name);

bool hone_file_exists(const char *path);

/* Make the folder and those above it that are missing. FULL for a full disk, else IO. */
HONE_NODISCARD hone_err hone_folder_make(const char *path, unsigned mode);

/* fsync a folder, so that the names in it last; and the one that path lies in. */
HONE_NODISCARD hone_err hone_folder_sync(const char *path);
HONE_NODISCARD hone_err hone_folder_sync_above(const char *path);

/* A folder in the making, beside where it will stand:
 *
 *     begin(path) -> write into .path -> commit: fsync, rename to final   | abort: delete
 *
 * A folder that stands there already is replaced when it is empty, or when it holds
 * config.json and no folders; begin and commit answer anything else with CONFLICT, so that a
 * mistyped --out deletes nobody's work. Killed while it replaces, commit leaves the old or
 * the new folder complete, beside the place. */
typedef struct hone_newdir {
    char *path;  /* write here */
    char *final; /* appears here */
} hone_newdir;

HONE_NODISCARD hone_err hone_newdir_begin(const char *final, hone_newdir *out);
HONE_NODISCARD hone_err hone_newdir_commit(hone_newdir *dir); /* frees dir, also on failure */
void hone_newdir_abort(hone_newdir *dir); /* after begin; nothing after commit or twice */

#endif
