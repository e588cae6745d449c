/* file.c: see file.h. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

hone_err hone_file_err(const char *doing, const char *path) {
    if (errno == ENOSPC || errno == EDQUOT)
        return hone_err_new(HONE_E_FULL, "%s '%s': no space left on the disk", doing, path);
    hone_code code = errno == ENOENT || errno == ENOTDIR ? HONE_E_NOT_FOUND : HONE_E_IO;
    return hone_err_new(code, "%s '%s': %s", doing, path, strerror(errno));
}

/* Open a regular file to read and tell its size. */
static hone_err open_regular(const char *path, int *fd, size_t *size_bytes) {
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe would wait for a writer */
    if (*fd < 0) return hone_file_err("open", path);
    struct stat st;
    hone_err err = HONE_OK;
    if (fstat(*fd, &st) != 0)
        err = hone_file_err("stat", path);
    else if (!S_ISREG(st.st_mode))
        err = hone_err_new(HONE_E_INVALID, "'%s' is no file", path);
    if (hone_failed(err)) {
        (void)close(*fd); /* read-only, nothing to lose */
        return err;
    }
    *size_bytes = (size_t)st.st_size;
    return HONE_OK;
}

hone_err hone_map_open(const char *path, hone_map *out) {
    int fd = -1;
    size_t size_bytes = 0;
    HONE_TRY(open_regular(path, &fd, &size_bytes));
    void *ptr = NULL;
    hone_err err = HONE_OK;
    if (size_bytes > 0) {
        ptr = mmap(NULL, size_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (ptr == MAP_FAILED) err = hone_file_err("map", path);
    }
    (void)close(fd); /* the map stays */
    if (hone_failed(err)) return err;
    out->bytes = (hone_str){ptr, size_bytes};
    return HONE_OK;
}

/* madvise and munmap take a pointer to mutable memory although they do not write it. */
static void *map_address(const hone_map *map) {
    return (void *)(uintptr_t)map->bytes.ptr; /* NOLINT(performance-no-int-to-ptr) */
}

void hone_map_close(hone_map *map) {
    if (map->bytes.ptr) (void)munmap(map_address(map), map->bytes.len);
    map->bytes = (hone_str){NULL, 0};
}

void hone_map_release(const hone_map *map) {
    if (map->bytes.ptr) (void)madvise(map_address(map), map->bytes.len, MADV_DONTNEED);
}

static hone_err read_all(int fd, const char *path, char *ptr, size_t size_bytes) {
    size_t got = 0;
    while (got < size_bytes) {
        ssize_t n = read(fd, ptr + got, size_bytes - got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return hone_file_err("read", path);
        if (n == 0) return hone_err_new(HONE_E_IO, "read '%s': it shrank while being read", path);
        got += (size_t)n;
    }
    return HONE_OK;
}

hone_err hone_file_load(hone_arena *arena, const char *path, size_t limit_bytes, hone_str *out) {
    int fd = -1;
    size_t size_bytes = 0;
    HONE_TRY(open_regular(path, &fd, &size_bytes));
    char *ptr = NULL;
    hone_err err;
    if (size_bytes > limit_bytes)
        err = hone_err_new(HONE_E_FULL, "'%s' has %zu bytes, at most %zu are read", path,
                           size_bytes, limit_bytes);
    else if (!(ptr = hone_arena_alloc(arena, size_bytes + 1, 1)))
        err = hone_err_new(HONE_E_NOMEM, "no memory for the %zu bytes of '%s'", size_bytes, path);
    else
        err = read_all(fd, path, ptr, size_bytes);
    (void)close(fd); /* read-only, nothing to lose */
    if (hone_failed(err)) return err;
    *out = (hone_str){ptr, size_bytes};
    return HONE_OK;
}

char *hone_path_join(hone_arena *arena, const char *dir, const char *name) {
    size_t size_bytes = strlen(dir) + strlen(name) + 2;
    char *path = hone_arena_alloc(arena, size_bytes, 1);
    if (path) (void)snprintf(path, size_bytes, "%s/%s", dir, name);
    return path;
}

bool hone_file_exists(const char *path) { return access(path, F_OK) == 0; }

hone_err hone_folder_make(const char *path, unsigned mode) {
    char part[4096];
    size_t len = strlen(path);
    if (len >= sizeof part) return hone_err_new(HONE_E_INVALID, "the path '%s' is too long", path);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, mode) == 0 || errno == EEXIST) continue;
        return hone_file_err("make folder", part);
    }
    return HONE_OK;
}

hone_err hone_folder_sync(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return hone_file_err("open", path);
    hone_err err = fsync(fd) == 0 ? HONE_OK : hone_file_err("sync", path);
    (void)close(fd); /* read-only, nothing to lose */
    return err;
}

hone_err hone_folder_sync_above(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash) return hone_folder_sync(".");
    char *parent = strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (!parent) return hone_err_new(HONE_E_NOMEM, "no memory for a path");
    hone_err err = hone_folder_sync(parent);
    free(parent);
    return err;
}

bool hone_fd_write(int fd, hone_str bytes) {
    for (size_t done = 0; done < bytes.len;) {
        ssize_t n = write(fd, bytes.ptr + done, bytes.len - done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        done += (size_t)n;
    }
    return true;
}

static hone_err copy_bytes(int in, int out, const char *to) {
    enum { PIECE_BYTES = 16 << 20 };
    for (;;) {
        ssize_t n = sendfile(out, in, NULL, PIECE_BYTES);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return hone_file_err("write", to);
        if (n == 0) break;
    }
    return fsync(out) == 0 ? HONE_OK : hone_file_err("sync", to);
}

hone_err hone_file_copy(const char *from, const char *to, unsigned mode) {
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0) return hone_file_err("open", from);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    hone_err err = out < 0 ? hone_file_err("create", to) : copy_bytes(in, out, to);
    if (out >= 0 && close(out) != 0 && !hone_failed(err)) err = hone_file_err("write", to);
    (void)close(in); /* read-only, nothing to lose */
    return err;
}

static int make_file(const char *path) {
    return open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
}

static int make_folder(const char *path) { return mkdir(path, 0777); }

/* Make a file or a folder under a new name beside path. The name is ours and not one of
 * mkstemp's, so that the umask decides who may read what hone writes. */
static hone_err make_beside(const char *path, int (*make)(const char *path), char **name,
                            int *made) {
    enum { NAMES_MAX = 100 }; /* taken by threads of ours, or left by a killed process */
    for (int n = 0; n < NAMES_MAX; n++) {
        char *candidate = NULL;
        if (asprintf(&candidate, "%s.tmp-%ld-%d", path, (long)getpid(), n) < 0)
            return hone_err_new(HONE_E_NOMEM, "no memory for a path");
        *made = make(candidate);
        if (*made >= 0) {
            *name = candidate;
            return HONE_OK;
        }
        free(candidate);
        if (errno != EEXIST) break;
    }
    return hone_file_err("create", path);
}

hone_err hone_file_save(const char *path, hone_str bytes) {
    return hone_file_save_parts(path, &bytes, 1);
}

hone_err hone_file_save_parts(const char *path, const hone_str *parts, size_t count) {
    char *temporary = NULL;
    int fd = -1;
    HONE_TRY(make_beside(path, make_file, &temporary, &fd));
    hone_err err = HONE_OK;
    for (size_t i = 0; i < count && !hone_failed(err); i++)
        if (!hone_fd_write(fd, parts[i])) err = hone_file_err("write", path);
    if (!hone_failed(err) && fsync(fd) != 0) err = hone_file_err("sync", path);
    if (close(fd) != 0 && !hone_failed(err)) err = hone_file_err("write", path);
    if (!hone_failed(err) && rename(temporary, path) != 0) err = hone_file_err("rename to", path);
    if (hone_failed(err))
        (void)unlink(temporary); /* the error matters more */
    else
        err = hone_folder_sync_above(path);
    free(temporary);
    return err;
}

/* The next name in a folder, without "." and ".."; NULL at the end. */
static const char *next_name(DIR *dir) {
    const struct dirent *entry = NULL;
    do entry = readdir(dir);
    while (entry && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
    return entry ? entry->d_name : NULL;
}

/* Delete a flat folder; what cannot be deleted stays. */
static void remove_flat(const char *path) {
    DIR *dir = opendir(path);
    if (!dir) return;
    for (const char *name; (name = next_name(dir));) (void)unlinkat(dirfd(dir), name, 0);
    (void)closedir(dir);
    (void)rmdir(path);
}

/* fsync the files of a flat folder, whoever wrote them, and then the folder. */
static hone_err sync_flat(const char *path) {
    DIR *dir = opendir(path);
    if (!dir) return hone_file_err("open folder", path);
    hone_err err = HONE_OK;
    for (const char *name; !hone_failed(err) && (name = next_name(dir));) {
        int fd = openat(dirfd(dir), name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0 || fsync(fd) != 0) err = hone_file_err("sync", name);
        if (fd >= 0) (void)close(fd); /* read-only, nothing to lose */
    }
    if (!hone_failed(err) && fsync(dirfd(dir)) != 0) err = hone_file_err("sync", path);
    (void)closedir(dir);
    return err;
}

/* Nothing, an empty folder and a flat model folder may be replaced; CONFLICT otherwise. */
static hone_err check_replaceable(const char *path) {
    DIR *dir = opendir(path);
    if (!dir && errno == ENOENT) return HONE_OK;
    if (!dir && errno != ENOTDIR) return hone_file_err("open folder", path);
    bool is_empty = dir != NULL, is_model = false, is_flat = true;
    for (const char *name; dir && (name = next_name(dir));) {
        struct stat st;
        is_empty = false;
        is_model |= strcmp(name, "config.json") == 0;
        is_flat &= fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode);
    }
    if (dir) (void)closedir(dir);
    if (is_empty || (is_model && is_flat)) return HONE_OK;
    return hone_err_new(HONE_E_CONFLICT, "'%s' exists and %s: name another, or delete it", path,
                        is_model ? "holds folders of its own" : "is no model folder");
}

static void newdir_done(hone_newdir *dir) {
    free(dir->path);
    free(dir->final);
    *dir = (hone_newdir){0};
}

hone_err hone_newdir_begin(const char *final, hone_newdir *out) {
    size_t len = strlen(final);
    if (len == 0) return hone_err_new(HONE_E_INVALID, "the folder to make has no name: ''");
    while (len > 1 && final[len - 1] == '/') len--;
    /* Where a link points to: the rename must stay within one file system, and the link. */
    hone_newdir dir = {.final = realpath(final, NULL)};
    if (!dir.final) dir.final = strndup(final, len);
    if (!dir.final) return hone_err_new(HONE_E_NOMEM, "no memory for a path");
    int made = -1;
    hone_err err = check_replaceable(dir.final); /* now, not after hours of training */
    if (!hone_failed(err)) err = make_beside(dir.final, make_folder, &dir.path, &made);
    if (hone_failed(err))
        newdir_done(&dir);
    else
        *out = dir;
    return err;
}

void hone_newdir_abort(hone_newdir *dir) {
    if (!dir->path) return;
    remove_flat(dir->path);
    newdir_done(dir);
}

/* Rename path to final; a folder that stands there steps aside first, and is then deleted. */
static hone_err put_in_place(const hone_newdir *dir) {
    if (rename(dir->path, dir->final) == 0) return HONE_OK; /* nothing there, or nothing in it */
    if (errno != ENOTEMPTY && errno != EEXIST) return hone_file_err("rename to", dir->final);
    char *old = NULL;
    if (asprintf(&old, "%s.old", dir->path) < 0)
        return hone_err_new(HONE_E_NOMEM, "no memory for a path");
    hone_err err = HONE_OK;
    if (rename(dir->final, old) != 0) {
        err = hone_file_err("replace folder", dir->final);
    } else if (rename(dir->path, dir->final) != 0) {
        err = hone_file_err("rename to", dir->final);
        (void)rename(old, dir->final); /* put it back; err tells the rest */
    } else {
        remove_flat(old);
    }
    free(old);
    return err;
}

hone_err hone_newdir_commit(hone_newdir *dir) {
    hone_err err = sync_flat(dir->path);
    if (!hone_failed(err)) err = check_replaceable(dir->final);
    if (!hone_failed(err)) err = put_in_place(dir);
    if (hone_failed(err)) {
        hone_newdir_abort(dir);
        return err;
    }
    err = hone_folder_sync_above(dir->final);
    newdir_done(dir);
    return err;
}
