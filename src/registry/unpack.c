/* unpack.c: model.tar.gz -> folder. The archive is read twice: once to find the folder in it
 * that holds the model (in archives of ours the first entry answers that), once to take its
 * files. Nothing that the archive says of sizes or names is believed. */
#include "registry/artifact.h"

#include "base/file.h"
#include "registry/layout_impl.h"

#include <archive.h>
#include <archive_entry.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { ENTRIES_MAX = 4096, PIECE_BYTES = 256 << 10, PATH_BYTES_MAX = 1024 };

/* Of all entries together, those passed over included: what a bomb may make us inflate. */
static const int64_t total_limit_bytes = INT64_C(16) << 30;

/* An archive being read, and the path in its messages. */
typedef struct reader {
    struct archive *tar;
    const char *path;
    size_t entries;
    int64_t total_bytes;
} reader;

/* A regular file of the archive: "DIR/NAME" or "NAME", borrowed until the next one. */
typedef struct item {
    hone_str dir; /* without '/'; empty for the root */
    hone_str name;
    bool is_deep; /* below the top folder */
} item;

static hone_err tar_err(const reader *r) {
    const char *why = archive_error_string(r->tar);
    return hone_err_new(HONE_E_CORRUPT, "no readable model.tar.gz: %s",
                        why ? why : "unknown reason");
}

static hone_err reader_open(reader *r, const char *path) {
    *r = (reader){.tar = archive_read_new(), .path = path};
    if (!r->tar) return hone_err_new(HONE_E_NOMEM, "no memory to unpack '%s'", path);
    if (archive_read_support_filter_gzip(r->tar) != ARCHIVE_OK ||
        archive_read_support_format_tar(r->tar) != ARCHIVE_OK)
        return tar_err(r);
    if (archive_read_open_filename(r->tar, path, PIECE_BYTES) != ARCHIVE_OK) return tar_err(r);
    return HONE_OK;
}

static void reader_close(reader *r) {
    if (r->tar) (void)archive_read_free(r->tar); /* only read */
    r->tar = NULL;
}

/* The part of path up to the next '/', and the rest behind it. */
static hone_str take_part(hone_str *path) {
    const char *slash = path->len ? memchr(path->ptr, '/', path->len) : NULL;
    hone_str part = {path->ptr, slash ? (size_t)(slash - path->ptr) : path->len};
    size_t used = part.len + (slash != NULL);
    *path = (hone_str){path->ptr + used, path->len - used};
    return part;
}

/* Split path, in which empty parts and "." mean nothing and ".." is not allowed. */
static hone_err split(hone_str path, item *out) {
    if (path.len == 0 || path.len > PATH_BYTES_MAX || path.ptr[0] == '/')
        return hone_err_new(HONE_E_CORRUPT, "entry '%.*s' has no relative path of at most %d bytes",
                            HONE_ARG(path), PATH_BYTES_MAX);
    hone_str rest = path;
    *out = (item){{"", 0}, {"", 0}, false};
    while (rest.len > 0) {
        hone_str part = take_part(&rest);
        if (part.len == 0 || hone_str_equal(part, HONE_S("."))) continue;
        if (hone_str_equal(part, HONE_S("..")))
            return hone_err_new(HONE_E_CORRUPT, "entry '%.*s' leads out of the archive",
                                HONE_ARG(path));
        out->is_deep |= out->dir.len > 0;
        out->dir = out->name;
        out->name = part;
    }
    return HONE_OK;
}

/* The next regular file; *more = false at the end. Folders are passed over. */
static hone_err reader_next(reader *r, item *out, bool *more) {
    for (;;) {
        struct archive_entry *entry = NULL;
        int rc = archive_read_next_header(r->tar, &entry);
        *more = rc != ARCHIVE_EOF;
        if (!*more) return HONE_OK;
        if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN) return tar_err(r);
        if (++r->entries > ENTRIES_MAX)
            return hone_err_new(HONE_E_FULL, "the archive has more than %d entries", ENTRIES_MAX);
        const char *path = archive_entry_pathname(entry);
        int64_t size_bytes = archive_entry_size(entry);
        HONE_TRY(split(path ? hone_str_of(path) : (hone_str){"", 0}, out));
        if (archive_entry_hardlink(entry) || archive_entry_symlink(entry) ||
            (archive_entry_filetype(entry) != AE_IFREG &&
             archive_entry_filetype(entry) != AE_IFDIR))
            return hone_err_new(HONE_E_CORRUPT, "entry '%s' is a link or device", path);
        if (size_bytes < 0 || size_bytes > total_limit_bytes - r->total_bytes)
            return hone_err_new(HONE_E_FULL, "the archive holds more than %lld bytes",
                                (long long)total_limit_bytes);
        r->total_bytes += size_bytes;
        if (archive_entry_filetype(entry) == AE_IFREG && out->name.len > 0) return HONE_OK;
    }
}

/* Where config.json lies: at the root, or in one folder at the top; *dir in the arena. */
static hone_err find_dir(hone_arena *arena, const char *path, hone_str *dir) {
    reader r = {0};
    item it;
    bool more = true;
    const char *found = NULL;
    bool is_twice = false;
    hone_err err = reader_open(&r, path);
    while (!hone_failed(err)) {
        err = reader_next(&r, &it, &more);
        if (hone_failed(err) || !more) break;
        if (it.is_deep || !hone_str_equal(it.name, HONE_S("config.json"))) continue;
        is_twice |= found && !hone_str_equal(it.dir, hone_str_of(found));
        found = hone_arena_strdup(arena, it.dir);
        if (!found) err = hone_err_new(HONE_E_NOMEM, "no memory to unpack '%s'", path);
        if (it.dir.len == 0) break; /* the root wins, whatever checkpoints lie beside it */
    }
    reader_close(&r);
    if (hone_failed(err)) return err;
    if (!found) return hone_err_new(HONE_E_NOT_FOUND, "the archive holds no config.json");
    if (is_twice && found[0] != '\0')
        return hone_err_new(HONE_E_CORRUPT, "the archive holds several models");
    *dir = hone_str_of(found);
    return HONE_OK;
}

static hone_err copy_data(reader *r, const hone_layout_file *file, int fd) {
    char piece[PIECE_BYTES];
    int64_t total_bytes = 0;
    for (;;) {
        la_ssize_t n = archive_read_data(r->tar, piece, sizeof piece);
        if (n == ARCHIVE_RETRY) continue;
        if (n < 0) return tar_err(r);
        if (n == 0) return HONE_OK;
        total_bytes += n;
        if (total_bytes > file->limit_bytes)
            return hone_err_new(HONE_E_FULL, "%s has more than %lld bytes", file->name,
                                (long long)file->limit_bytes);
        if (!hone_fd_write(fd, (hone_str){piece, (size_t)n}))
            return hone_file_err("write", file->name);
    }
}

static hone_err take_file(reader *r, const hone_layout_file *file, int dirfd) {
    int fd = openat(dirfd, file->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 && errno == EEXIST)
        return hone_err_new(HONE_E_CORRUPT, "the archive holds %s twice", file->name);
    if (fd < 0) return hone_file_err("create", file->name);
    hone_err err = copy_data(r, file, fd);
    if (close(fd) != 0 && !hone_failed(err)) err = hone_file_err("write", file->name);
    return err;
}

static hone_err take_files(const char *path, hone_str dir, int dirfd) {
    reader r = {0};
    item it;
    bool more = true;
    hone_err err = reader_open(&r, path);
    while (!hone_failed(err)) {
        err = reader_next(&r, &it, &more);
        if (hone_failed(err) || !more) break;
        const hone_layout_file *file = hone_layout_find(it.name);
        if (file && !it.is_deep && hone_str_equal(it.dir, dir)) err = take_file(&r, file, dirfd);
    }
    reader_close(&r);
    return err;
}

static hone_err check_complete(int dirfd) {
    for (size_t i = 0; i < HONE_LAYOUT_FILES; i++) {
        const hone_layout_file *file = &hone_layout_files[i];
        if (file->is_required && faccessat(dirfd, file->name, F_OK, 0) != 0)
            return hone_err_new(HONE_E_NOT_FOUND, "the archive holds no %s beside its config.json",
                                file->name);
    }
    return HONE_OK;
}

hone_err hone_artifact_unpack(const char *path, const char *out) {
    hone_arena *arena = NULL;
    hone_newdir dir = {0};
    hone_str folder = {"", 0};
    int dirfd = -1;
    hone_err err = hone_arena_create(ENTRIES_MAX * (size_t)PATH_BYTES_MAX, &arena);
    if (!hone_failed(err)) err = find_dir(arena, path, &folder);
    if (!hone_failed(err)) err = hone_newdir_begin(out, &dir);
    if (hone_failed(err)) goto out;
    dirfd = open(dir.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0) err = hone_file_err("open", dir.path);
    if (!hone_failed(err)) err = take_files(path, folder, dirfd);
    if (!hone_failed(err)) err = check_complete(dirfd);
    if (!hone_failed(err)) err = hone_newdir_commit(&dir); /* also syncs the files */
    hone_newdir_abort(&dir);
out:
    if (dirfd >= 0) (void)close(dirfd); /* read-only, nothing to lose */
    hone_arena_destroy(arena);
    return err;
}
