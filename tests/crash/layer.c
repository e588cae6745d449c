/* layer.c: a disk that forgets. Loaded into a program (LD_PRELOAD), it notes how to take back every
 * change below one folder until the program syncs it. After kill -9, which by itself loses
 * nothing, `undo` takes back what was not synced: what a power cut may do.
 *
 *     HONE_CRASH_DIR=/path/data LD_PRELOAD=build/tests/crash/libcrash_layer.so hone serve ...
 *     kill -9 ...; build/tests/crash/undo /path/data; start again
 *
 * The folder need not exist yet, its parent must; the notes lie beside it, in /path/data.crash
 * (undo_log.h). Child processes are noted too, for they inherit the environment.
 *
 * The model. fsync and fdatasync of a file keep its bytes and size, not its name; fsync of a folder
 * keeps the names in it: files and folders made, renamed into it, deleted. A rename is one step and
 * belongs to the folder it goes to. All else is lost, newest first: the harshest of the outcomes that
 * a power cut may have. Not modelled: that later writes survive when earlier ones do not; writes
 * through shared maps (SQLite's -shm file, which is made anew after a crash) and by stdio.
 *
 * fsync does not wait for the real disk here: the notes decide what is there afterwards.
 *
 * A change is made with the log locked against all threads and processes, and its note is written
 * before it. Killed between the two, undo takes back something that was not done, which changes
 * nothing. */
#include "undo_log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static char root[UNDO_PATH_MAX / 2];       /* the folder, absolute; empty: nothing is noted */
static char notes[UNDO_PATH_MAX / 2 + 16]; /* root.crash */
static int log_fd = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned gone_count; /* guarded by lock */

static void die(const char *what) {
    char text[256];
    int len = snprintf(text, sizeof text, "crash layer: %s: %s\n", what, strerror(errno));
    if (len > 0) (void)syscall(SYS_write, 2, text, (size_t)len);
    abort(); /* a note that is missing would make the test a lie */
}

/* "dir/name" of a path whose folder exists, without links; false when it does not. */
static bool absolute(int at, const char *path, char out[UNDO_PATH_MAX]) {
    char joined[UNDO_PATH_MAX], folder[PATH_MAX], real[PATH_MAX], link[64];
    joined[0] = '\0';
    if (path[0] != '/' && at != AT_FDCWD) {
        (void)snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        ssize_t n = readlink(link, joined, sizeof joined - 1);
        if (n < 0) return false;
        joined[n] = '\0';
    } else if (path[0] != '/' && !getcwd(joined, sizeof joined)) {
        return false;
    }
    int len = snprintf(folder, sizeof folder, "%s%s%s", joined, joined[0] ? "/" : "", path);
    if (len <= 0 || (size_t)len >= sizeof folder) return false;
    while (len > 1 && folder[len - 1] == '/') folder[--len] = '\0';
    char *slash = strrchr(folder, '/');
    if (!slash) return false;
    *slash = '\0';
    if (!realpath(folder[0] ? folder : "/", real)) return false;
    len = snprintf(out, UNDO_PATH_MAX, "%s/%s", strcmp(real, "/") == 0 ? "" : real, slash + 1);
    return len > 0 && len < UNDO_PATH_MAX;
}

static bool is_below_root(const char *path) {
    size_t len = strlen(root);
    return len > 0 && strncmp(path, root, len) == 0 && path[len] == '/';
}

/* Is fd a file or folder of ours (root itself too)? */
static bool is_ours(int fd, struct stat *st) {
    char link[64], path[UNDO_PATH_MAX];
    if (log_fd < 0 || fd < 0 || fstat(fd, st) != 0) return false;
    if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode)) return false;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return false;
    path[n] = '\0';
    return (is_below_root(path) || strcmp(path, root) == 0) && st->st_nlink > 0;
}

__attribute__((constructor)) static void start(void) {
    const char *dir = getenv("HONE_CRASH_DIR");
    char path[UNDO_PATH_MAX];
    if (!dir || !*dir) return;
    if (!absolute(AT_FDCWD, dir, path) || strlen(path) + 16 > sizeof root) die(dir);
    (void)snprintf(root, sizeof root, "%s", path);
    (void)snprintf(notes, sizeof notes, "%s.crash", root);
    (void)syscall(SYS_mkdirat, AT_FDCWD, notes, 0700);
    (void)snprintf(path, sizeof path, "%s/log", notes);
    log_fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC,
                          0600);
    if (log_fd < 0) die(path);
}

/* --- notes -------------------------------------------------------------------------- */

static void enter(void) {
    (void)pthread_mutex_lock(&lock);
    while (flock(log_fd, LOCK_EX) != 0)
        if (errno != EINTR) die("lock");
}

/* The caller's errno is that of the change. */
static void leave(void) {
    int saved = errno;
    (void)flock(log_fd, LOCK_UN);
    (void)pthread_mutex_unlock(&lock);
    errno = saved;
}

/* Append a note in one write; a killed process leaves it whole or cut, and undo drops a cut one. */
static void note(undo_note n, const char *path, const char *other, const char *gone,
                 const char *bytes) {
    n.magic = UNDO_MAGIC;
    n.path_size = path ? (uint32_t)strlen(path) : 0;
    n.other_size = other ? (uint32_t)strlen(other) : 0;
    n.gone_size = gone ? (uint32_t)strlen(gone) : 0;
    size_t size = sizeof n + n.path_size + n.other_size + n.gone_size + n.bytes_size;
    char *text = malloc(size), *at = text;
    if (!text) die("memory");
    memcpy(at, &n, sizeof n);
    at += sizeof n;
    const struct {
        const char *ptr;
        uint32_t size;
    } parts[] = {
        {path, n.path_size}, {other, n.other_size}, {gone, n.gone_size}, {bytes, n.bytes_size}};
    for (size_t i = 0; i < 4; i++) {
        if (parts[i].size) memcpy(at, parts[i].ptr, parts[i].size);
        at += parts[i].size;
    }
    if (syscall(SYS_write, log_fd, text, size) != (long)size) die("write a note");
    free(text);
}

/* The file's bytes in [offset, offset + size) and its size, before they change. */
static void note_bytes(int fd, const struct stat *st, int64_t offset, int64_t size) {
    char from[64], to[UNDO_PATH_MAX];
    int64_t end = offset + size < st->st_size ? offset + size : st->st_size;
    undo_note n = {
        .kind = UNDO_BYTES, .inode = st->st_ino, .offset = offset, .old_size = st->st_size};
    char *old = NULL;
    if (end > offset) {
        n.bytes_size = (uint32_t)(end - offset);
        old = malloc(n.bytes_size);
        /* fd may be open for writing only. */
        (void)snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
        int reader = (int)syscall(SYS_openat, AT_FDCWD, from, O_RDONLY | O_CLOEXEC);
        if (!old || reader < 0 || pread(reader, old, n.bytes_size, offset) != n.bytes_size)
            die("read what was there");
        (void)syscall(SYS_close, reader);
    }
    (void)snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
    (void)snprintf(to, sizeof to, "%s/ino-%llu", notes, (unsigned long long)st->st_ino);
    if (syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) != 0 &&
        errno != EEXIST)
        die("keep a file");
    note(n, NULL, NULL, NULL, old);
    free(old);
}

static uint64_t parent_of(const char *path) {
    char folder[UNDO_PATH_MAX];
    struct stat st;
    (void)snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = '\0';
    return stat(folder, &st) == 0 ? st.st_ino : 0;
}

/* Keep what path names; gone is its name in the notes, empty when path names nothing. A folder
 * cannot have two names: only empty ones are replaced or removed, so one is made anew. */
static void keep(const char *path, char gone[64]) {
    char to[UNDO_PATH_MAX];
    struct stat st;
    gone[0] = '\0';
    if (lstat(path, &st) != 0) return;
    (void)snprintf(gone, 64, "gone-%ld-%u", (long)getpid(), gone_count++);
    (void)snprintf(to, sizeof to, "%s/%s", notes, gone);
    long rc = S_ISDIR(st.st_mode) ? syscall(SYS_mkdirat, AT_FDCWD, to, 0700)
                                  : syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, to, 0);
    if (rc != 0) die("keep what goes");
}

/* --- bytes -------------------------------------------------------------------------- */

static int64_t position_of(int fd, const struct stat *st) {
    if (fcntl(fd, F_GETFL) & O_APPEND) return st->st_size;
    return lseek(fd, 0, SEEK_CUR);
}

EXPORT ssize_t write(int fd, const void *bytes, size_t size) {
    struct stat st;
    if (!is_ours(fd, &st)) return syscall(SYS_write, fd, bytes, size);
    enter();
    if (fstat(fd, &st) == 0) note_bytes(fd, &st, position_of(fd, &st), (int64_t)size);
    ssize_t n = syscall(SYS_write, fd, bytes, size);
    leave();
    return n;
}

EXPORT ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
    struct stat st;
    if (!is_ours(fd, &st)) return syscall(SYS_pwrite64, fd, bytes, size, at);
    enter();
    if (fstat(fd, &st) == 0) note_bytes(fd, &st, at, (int64_t)size);
    ssize_t n = syscall(SYS_pwrite64, fd, bytes, size, at);
    leave();
    return n;
}

EXPORT ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
    return pwrite64(fd, bytes, size, at);
}

static int64_t total_of(const struct iovec *parts, int count) {
    int64_t size = 0;
    for (int i = 0; i < count; i++) size += (int64_t)parts[i].iov_len;
    return size;
}

EXPORT ssize_t writev(int fd, const struct iovec *parts, int count) {
    struct stat st;
    if (!is_ours(fd, &st)) return syscall(SYS_writev, fd, parts, count);
    enter();
    if (fstat(fd, &st) == 0) note_bytes(fd, &st, position_of(fd, &st), total_of(parts, count));
    ssize_t n = syscall(SYS_writev, fd, parts, count);
    leave();
    return n;
}

EXPORT ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
    struct stat st;
    if (!is_ours(fd, &st)) return syscall(SYS_pwritev, fd, parts, count, at, 0);
    enter();
    if (fstat(fd, &st) == 0) note_bytes(fd, &st, at, total_of(parts, count));
    ssize_t n = syscall(SYS_pwritev, fd, parts, count, at, 0);
    leave();
    return n;
}

EXPORT ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    return pwritev64(fd, parts, count, at);
}

EXPORT ssize_t copy_file_range(int in, off64_t *in_at, int out, off64_t *out_at, size_t size,
                               unsigned flags) {
    struct stat st;
    if (!is_ours(out, &st))
        return syscall(SYS_copy_file_range, in, in_at, out, out_at, size, flags);
    enter();
    if (fstat(out, &st) == 0)
        note_bytes(out, &st, out_at ? *out_at : position_of(out, &st), (int64_t)size);
    ssize_t n = syscall(SYS_copy_file_range, in, in_at, out, out_at, size, flags);
    leave();
    return n;
}

EXPORT ssize_t sendfile64(int out, int in, off64_t *in_at, size_t size) {
    struct stat st;
    if (!is_ours(out, &st)) return syscall(SYS_sendfile, out, in, in_at, size);
    enter();
    if (fstat(out, &st) == 0) note_bytes(out, &st, position_of(out, &st), (int64_t)size);
    ssize_t n = syscall(SYS_sendfile, out, in, in_at, size);
    leave();
    return n;
}

EXPORT ssize_t sendfile(int out, int in, off_t *in_at, size_t size) {
    return sendfile64(out, in, in_at, size);
}

EXPORT int ftruncate64(int fd, off64_t size) {
    struct stat st;
    if (!is_ours(fd, &st)) return (int)syscall(SYS_ftruncate, fd, size);
    enter();
    if (fstat(fd, &st) == 0) note_bytes(fd, &st, size, INT64_MAX - size);
    int rc = (int)syscall(SYS_ftruncate, fd, size);
    leave();
    return rc;
}

EXPORT int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

static int sync_fd(int fd, long real) {
    struct stat st;
    if (!is_ours(fd, &st)) return (int)syscall(real, fd);
    enter();
    note((undo_note){.kind = UNDO_SYNCED, .inode = st.st_ino}, NULL, NULL, NULL, NULL);
    leave();
    return 0;
}

EXPORT int fsync(int fd) { return sync_fd(fd, SYS_fsync); }

EXPORT int fdatasync(int fd) { return sync_fd(fd, SYS_fdatasync); }

/* --- names -------------------------------------------------------------------------- */

/* Open what may be new, or be emptied. */
static int open_noted(int at, const char *path, int flags, mode_t mode) {
    char full[UNDO_PATH_MAX];
    struct stat st;
    if (log_fd < 0 || !(flags & (O_CREAT | O_TRUNC)) || !absolute(at, path, full) ||
        !is_below_root(full))
        return (int)syscall(SYS_openat, at, path, flags, mode);
    enter();
    bool was_there = stat(full, &st) == 0;
    if (!was_there && (flags & O_CREAT))
        note((undo_note){.kind = UNDO_MADE, .parent = parent_of(full)}, full, NULL, NULL, NULL);
    if (was_there && (flags & O_TRUNC) && st.st_size > 0) {
        int fd = (int)syscall(SYS_openat, AT_FDCWD, full, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) note_bytes(fd, &st, 0, st.st_size);
        if (fd >= 0) (void)syscall(SYS_close, fd);
    }
    int fd = (int)syscall(SYS_openat, at, path, flags, mode);
    leave();
    return fd;
}

#define MODE_OF(flags, mode)                   \
    mode_t mode = 0;                           \
    if ((flags)&O_CREAT) {                     \
        va_list ap;                            \
        va_start(ap, flags);                   \
        (mode) = (mode_t)va_arg(ap, unsigned); \
        va_end(ap);                            \
    }

EXPORT int open64(const char *path, int flags, ...) {
    MODE_OF(flags, mode)
    return open_noted(AT_FDCWD, path, flags, mode);
}

EXPORT int open(const char *path, int flags, ...) {
    MODE_OF(flags, mode)
    return open_noted(AT_FDCWD, path, flags, mode);
}

EXPORT int openat64(int at, const char *path, int flags, ...) {
    MODE_OF(flags, mode)
    return open_noted(at, path, flags, mode);
}

EXPORT int openat(int at, const char *path, int flags, ...) {
    MODE_OF(flags, mode)
    return open_noted(at, path, flags, mode);
}

EXPORT int creat(const char *path, mode_t mode) {
    return open_noted(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

EXPORT int mkdir(const char *path, mode_t mode) {
    char full[UNDO_PATH_MAX];
    struct stat st;
    if (log_fd < 0 || !absolute(AT_FDCWD, path, full) || !is_below_root(full))
        return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    enter();
    if (lstat(full, &st) != 0)
        note((undo_note){.kind = UNDO_MADE, .parent = parent_of(full)}, full, NULL, NULL, NULL);
    int rc = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    leave();
    return rc;
}

EXPORT int link(const char *from, const char *to) {
    char full[UNDO_PATH_MAX];
    struct stat st;
    if (log_fd < 0 || !absolute(AT_FDCWD, to, full) || !is_below_root(full))
        return (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
    enter();
    if (lstat(full, &st) != 0)
        note((undo_note){.kind = UNDO_MADE, .parent = parent_of(full)}, full, NULL, NULL, NULL);
    int rc = (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
    leave();
    return rc;
}

/* One that goes out of the folder is a removal, one that comes in makes a name. */
EXPORT int rename(const char *from, const char *to) {
    char a[UNDO_PATH_MAX], b[UNDO_PATH_MAX], gone[64];
    struct stat st;
    bool is_noted = log_fd >= 0 && absolute(AT_FDCWD, from, a) && absolute(AT_FDCWD, to, b) &&
                    (is_below_root(a) || is_below_root(b)) && lstat(a, &st) == 0;
    if (!is_noted) return (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
    enter();
    if (is_below_root(b)) {
        keep(b, gone);
        note((undo_note){.kind = UNDO_MOVED, .parent = parent_of(b)}, a, b, gone, NULL);
    } else {
        keep(a, gone);
        note((undo_note){.kind = UNDO_REMOVED, .parent = parent_of(a)}, a, NULL, gone, NULL);
    }
    int rc = (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
    leave();
    return rc;
}

EXPORT int unlinkat(int at, const char *path, int flags) {
    char full[UNDO_PATH_MAX], gone[64];
    struct stat st;
    if (log_fd < 0 || !absolute(at, path, full) || !is_below_root(full) || lstat(full, &st) != 0)
        return (int)syscall(SYS_unlinkat, at, path, flags);
    enter();
    keep(full, gone);
    note((undo_note){.kind = UNDO_REMOVED, .parent = parent_of(full)}, full, NULL, gone, NULL);
    int rc = (int)syscall(SYS_unlinkat, at, path, flags);
    leave();
    return rc;
}

EXPORT int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }

EXPORT int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
