/* artifact.c: packing, and the cache of unpacked artifacts. unpack.c has the other way.
 *
 * The cache is a folder per content: DIR/models/<sha256 of the archive>/. A lock file beside it
 * (flock, so that a killed process holds nothing) makes the second opener wait for the first. */
#include "registry/artifact.h"

#include "base/file.h"
#include "registry/layout_impl.h"

#include <archive.h>
#include <archive_entry.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 256 << 10 };

static const int64_t weights_limit_bytes = (INT64_C(8) << 30) - 1; /* ustar's, too */

const hone_layout_file hone_layout_files[HONE_LAYOUT_FILES] = {
    {"config.json", 32 << 20, true},
    {"tokenizer_config.json", 32 << 20, false},
    {"special_tokens_map.json", 32 << 20, false},
    {"vocab.txt", 64 << 20, false},
    {"tokenizer.json", 64 << 20, false},
    {"model.safetensors", weights_limit_bytes, true},
};

const hone_layout_file *hone_layout_find(hone_str name) {
    for (size_t i = 0; i < HONE_LAYOUT_FILES; i++)
        if (hone_str_equal(name, hone_str_of(hone_layout_files[i].name)))
            return &hone_layout_files[i];
    return NULL;
}

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory for a path"); }

/* ---- packing ---- */

static hone_err tar_err(struct archive *tar, const char *path) {
    const char *why = archive_error_string(tar);
    return hone_err_new(HONE_E_IO, "write '%s': %s", path, why ? why : "unknown reason");
}

/* A header that says nothing of when, by whom or where: equal files give equal bytes. */
static hone_err push_header(struct archive *tar, const char *name, int64_t size_bytes,
                            const char *path) {
    struct archive_entry *entry = archive_entry_new();
    if (!entry) return hone_err_new(HONE_E_NOMEM, "no memory to pack '%s'", name);
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, 0644);
    archive_entry_set_size(entry, size_bytes);
    archive_entry_set_mtime(entry, 0, 0);
    hone_err err = archive_write_header(tar, entry) == ARCHIVE_OK ? HONE_OK : tar_err(tar, path);
    archive_entry_free(entry);
    return err;
}

static hone_err push_bytes(struct archive *tar, int fd, const char *from, int64_t size_bytes,
                           const char *path) {
    char piece[PIECE_BYTES];
    int64_t done = 0;
    while (done < size_bytes) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return hone_file_err("read", from);
        if (n == 0 || n > size_bytes - done)
            return hone_err_new(HONE_E_IO, "read '%s': it changed while being read", from);
        if (archive_write_data(tar, piece, (size_t)n) != n) return tar_err(tar, path);
        done += n;
    }
    return HONE_OK;
}

static hone_err push_file(struct archive *tar, int dirfd, const char *dir,
                          const hone_layout_file *file, const char *path) {
    int fd = openat(dirfd, file->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT && !file->is_required) return HONE_OK;
    if (fd < 0 && errno == ENOENT)
        return hone_err_new(HONE_E_NOT_FOUND, "no %s in '%s'", file->name, dir);
    if (fd < 0) return hone_file_err("open", file->name);
    struct stat st;
    hone_err err = HONE_OK;
    if (fstat(fd, &st) != 0)
        err = hone_file_err("stat", file->name);
    else if (!S_ISREG(st.st_mode) || st.st_size > file->limit_bytes)
        err = hone_err_new(HONE_E_INVALID, "%s in '%s' is no file of at most %lld bytes",
                           file->name, dir, (long long)file->limit_bytes);
    if (!hone_failed(err)) err = push_header(tar, file->name, st.st_size, path);
    if (!hone_failed(err)) err = push_bytes(tar, fd, file->name, st.st_size, path);
    (void)close(fd); /* read-only, nothing to lose */
    return err;
}

static hone_err push_files(struct archive *tar, const char *dir, const char *path) {
    int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0)
        return hone_err_new(HONE_E_NOT_FOUND, "no model folder '%s': %s", dir, strerror(errno));
    hone_err err = HONE_OK;
    for (size_t i = 0; i < HONE_LAYOUT_FILES && !hone_failed(err); i++)
        err = push_file(tar, dirfd, dir, &hone_layout_files[i], path);
    (void)close(dirfd); /* read-only, nothing to lose */
    return err;
}

static hone_err pack_to(int fd, const char *dir, const char *path) {
    struct archive *tar = archive_write_new();
    if (!tar) return hone_err_new(HONE_E_NOMEM, "no memory to pack '%s'", dir);
    hone_err err = HONE_OK;
    if (archive_write_set_format_ustar(tar) != ARCHIVE_OK ||
        archive_write_add_filter_gzip(tar) != ARCHIVE_OK ||
        archive_write_set_options(tar, "gzip:compression-level=0,gzip:!timestamp") != ARCHIVE_OK ||
        archive_write_open_fd(tar, fd) != ARCHIVE_OK)
        err = tar_err(tar, path);
    if (!hone_failed(err)) err = push_files(tar, dir, path);
    if (!hone_failed(err) && archive_write_close(tar) != ARCHIVE_OK) err = tar_err(tar, path);
    (void)archive_write_free(tar); /* closed, or the error matters more */
    if (!hone_failed(err) && fsync(fd) != 0) err = hone_file_err("sync", path);
    return err;
}

hone_err hone_artifact_pack(const char *dir, const char *path) {
    char *part = NULL;
    if (asprintf(&part, "%s.part", path) < 0) return no_memory();
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    hone_err err = fd < 0 ? hone_file_err("create", part) : pack_to(fd, dir, path);
    if (fd >= 0 && close(fd) != 0 && !hone_failed(err)) err = hone_file_err("write", part);
    if (!hone_failed(err) && rename(part, path) != 0) err = hone_file_err("rename to", path);
    if (hone_failed(err) && fd >= 0) (void)unlink(part); /* the error matters more */
    free(part);
    return err;
}

/* ---- the cache ---- */

/* The descriptor of the locked lock file of dir, to be closed. It is deleted by nobody: two
 * openers could then lock two files of one name. */
static hone_err lock_dir(hone_arena *arena, const char *dir, int *out) {
    size_t size_bytes = strlen(dir) + sizeof ".lock";
    char *path = hone_arena_alloc(arena, size_bytes, 1);
    if (!path) return no_memory();
    (void)snprintf(path, size_bytes, "%s.lock", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return hone_file_err("create", path);
    while (flock(fd, LOCK_EX) != 0)
        if (errno != EINTR) {
            hone_err err = hone_file_err("lock", path);
            (void)close(fd); /* nothing written */
            return err;
        }
    *out = fd;
    return HONE_OK;
}

static hone_err unpack_once(hone_arena *arena, const char *archive, const char *dir) {
    int lock = -1;
    HONE_TRY(lock_dir(arena, dir, &lock));
    hone_err err = hone_file_exists(dir) ? HONE_OK : hone_artifact_unpack(archive, dir);
    (void)close(lock); /* unlocks; nothing written */
    return err;
}

hone_err hone_artifact_open(hone_objects *objects, hone_arena *arena, const char *models_dir,
                            hone_str uri, const char **dir) {
    hone_str bucket, key;
    HONE_TRY(hone_s3_uri_parse(uri, &bucket, &key));
    hone_object object;
    int fd = -1;
    HONE_TRY(hone_objects_open_fd(objects, arena, bucket, key, &object, &fd));
    /* The open descriptor's name, as the object itself may be replaced or deleted meanwhile. */
    char archive[64];
    (void)snprintf(archive, sizeof archive, "/proc/self/fd/%d", fd);
    const char *folder = hone_path_join(arena, models_dir, object.sha256);
    hone_err err = folder ? HONE_OK : no_memory();
    if (folder && !hone_file_exists(folder)) {
        err = hone_folder_make(models_dir, 0777);
        if (!hone_failed(err)) err = unpack_once(arena, archive, folder);
    }
    (void)close(fd); /* read-only, nothing to lose */
    if (hone_failed(err)) return hone_err_wrap(err, "%.*s", HONE_ARG(uri));
    *dir = folder;
    return HONE_OK;
}

/* A flat folder and what it holds; what cannot be deleted stays. */
static void remove_folder(int models, const char *name) {
    int fd = openat(models, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (fd >= 0 && !dir) (void)close(fd); /* read-only, nothing to lose */
    if (!dir) return;
    for (const struct dirent *e; (e = readdir(dir));) (void)unlinkat(fd, e->d_name, 0);
    (void)closedir(dir);
    (void)unlinkat(models, name, AT_REMOVEDIR);
}

/* "<64 hex>" of an artifact, or "<64 hex>.tmp-PID-N", as base/file.c names a folder in the
 * making. Anything else is not ours to delete. */
static bool is_ours(const char *name, bool *half) {
    enum { SHA256_DIGITS = 64 };
    size_t digits = strspn(name, "0123456789abcdef");
    *half = strncmp(name + digits, ".tmp-", 5) == 0;
    return digits == SHA256_DIGITS && (*half || name[digits] == '\0');
}

void hone_artifact_sweep(const char *models_dir, const char *const *keep, size_t count) {
    DIR *dir = opendir(models_dir);
    if (!dir) return;
    for (const struct dirent *e; (e = readdir(dir));) {
        bool half = false, wanted = false;
        if (!is_ours(e->d_name, &half)) continue;
        for (size_t i = 0; i < count; i++) wanted |= strcmp(keep[i], e->d_name) == 0;
        if (half || !wanted) remove_folder(dirfd(dir), e->d_name);
    }
    (void)closedir(dir);
}
