/* packed.c: see packed.h.
 *
 *     offset 0   magic            8 bytes
 *            8   size of the weights
 *           16   sum of the weights
 *           24   length of the key
 *           32   sum of the head: what stands before it, and the key
 *           40   key
 *
 * Numbers are 64 bits, little endian. The sum of the weights is one over the sums of pieces, so
 * that all cores share the reading.
 *
 * Nothing is synced to the disk: what a crash leaves unwritten, the sums find. */
#include "model/packed.h"

#include "base/hash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum {
    PATH_SIZE = 4096,
    SUM_AT = 32,
    KEY_AT = 40,
    PIECE_BYTES = 1 << 20,
    LEFT_BEHIND_S = 3600, /* a file that was begun so long ago is nobody's */
};

static const char magic[8] = "honepk1";
static const char suffix[] = ".packed";
static const char begun[] = ".packed-"; /* within the name of a file that is being written */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format and this file are both LE");

static hone_err path_of(const char *dir, hone_str key, const char *ending, char out[PATH_SIZE]) {
    unsigned long long name = hone_hash(0, key);
    int len = snprintf(out, PATH_SIZE, "%s/%016llx%s", dir, name, ending);
    if (len > 0 && len < PATH_SIZE) return HONE_OK;
    return hone_err_new(HONE_E_INVALID, "the path '%s' is too long", dir);
}

/* ---- sums ---- */

typedef struct summing {
    hone_str bytes;
    uint64_t *sums; /* one a piece */
} summing;

static size_t pieces_of(size_t size_bytes) { return (size_bytes + PIECE_BYTES - 1) / PIECE_BYTES; }

static void sum_piece(void *ctx, size_t index, size_t worker) {
    const summing *s = ctx;
    size_t at = index * PIECE_BYTES, left = s->bytes.len - at;
    (void)worker;
    s->sums[index] = hone_hash(
        index, (hone_str){s->bytes.ptr + at, left < PIECE_BYTES ? left : PIECE_BYTES});
}

/* pool NULL = on this thread alone */
static hone_err sum_of(hone_str bytes, hone_pool *pool, uint64_t *out) {
    size_t pieces = pieces_of(bytes.len);
    summing s = {bytes, calloc(pieces + 1, sizeof *s.sums)};
    if (!s.sums) return hone_err_new(HONE_E_NOMEM, "no memory for checksums");
    if (pool) hone_pool_run(pool, pieces, sum_piece, &s);
    for (size_t i = 0; i < pieces && !pool; i++) sum_piece(&s, i, 0);
    *out = hone_hash(0, (hone_str){(const char *)s.sums, pieces * sizeof *s.sums});
    free(s.sums);
    return HONE_OK;
}

static uint64_t head_sum(const char *head, hone_str key) {
    return hone_hash(hone_hash(0, (hone_str){head, SUM_AT}), key);
}

/* ---- reading ---- */

static uint64_t number_at(const char *head, size_t at) {
    uint64_t value;
    memcpy(&value, head + at, sizeof value);
    return value;
}

hone_err hone_packed_parse(hone_str file, hone_str key, hone_str *weights, uint64_t *sum) {
    if (file.len < HONE_PACKED_HEAD_BYTES || memcmp(file.ptr, magic, sizeof magic) != 0)
        return hone_err_new(HONE_E_CORRUPT, "it does not begin as packed weights do");
    uint64_t key_len = number_at(file.ptr, 24);
    if (key_len > HONE_PACKED_KEY_MAX)
        return hone_err_new(HONE_E_CORRUPT, "its key has %llu bytes", (unsigned long long)key_len);
    hone_str own = {file.ptr + KEY_AT, (size_t)key_len};
    if (number_at(file.ptr, SUM_AT) != head_sum(file.ptr, own))
        return hone_err_new(HONE_E_CORRUPT, "the sum of its head is wrong");
    if (number_at(file.ptr, 8) != file.len - HONE_PACKED_HEAD_BYTES)
        return hone_err_new(HONE_E_CORRUPT, "it was cut");
    if (!hone_str_equal(own, key)) return hone_err_new(HONE_E_NOT_FOUND, "it holds other weights");
    *weights = (hone_str){file.ptr + HONE_PACKED_HEAD_BYTES, file.len - HONE_PACKED_HEAD_BYTES};
    *sum = number_at(file.ptr, 16);
    return HONE_OK;
}

/* Is it a file that only this user can have written? */
static hone_err check_file(int fd, const char *path, size_t size_bytes) {
    struct stat st;
    if (fstat(fd, &st) != 0) return hone_file_err("stat", path);
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return hone_err_new(HONE_E_INVALID, "'%s' is no file that this user alone may write", path);
    if (st.st_size != (off_t)(size_bytes + HONE_PACKED_HEAD_BYTES))
        return hone_err_new(HONE_E_CORRUPT, "'%s' has another size", path);
    return HONE_OK;
}

static hone_err check_bytes(hone_str file, hone_str key, hone_pool *pool, hone_str *weights) {
    uint64_t sum = 0, stated = 0;
    HONE_TRY(hone_packed_parse(file, key, weights, &stated));
    HONE_TRY(sum_of(*weights, pool, &sum));
    if (sum == stated) return HONE_OK;
    return hone_err_new(HONE_E_CORRUPT, "the sum of its weights is wrong");
}

hone_err hone_packed_open(const char *dir, hone_str key, size_t size_bytes, hone_pool *pool,
                          hone_map *map, hone_str *weights) {
    char path[PATH_SIZE];
    size_t len = size_bytes + HONE_PACKED_HEAD_BYTES;
    HONE_TRY(path_of(dir, key, suffix, path));
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return hone_file_err("open", path);
    void *ptr = NULL;
    hone_err err = check_file(fd, path, size_bytes);
    if (!hone_failed(err)) {
        ptr = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
        if (ptr == MAP_FAILED) err = hone_file_err("map", path);
    }
    if (!hone_failed(err)) {
        hone_map mapped = {{ptr, len}};
        err = check_bytes(mapped.bytes, key, pool, weights);
        if (hone_failed(err))
            hone_map_close(&mapped);
        else
            *map = mapped;
        (void)futimens(fd, NULL); /* used just now; only the order of deleting depends on it */
    }
    (void)close(fd); /* the map stays */
    return err;
}

/* ---- writing ---- */

static void put_number(char *head, size_t at, uint64_t value) {
    memcpy(head + at, &value, sizeof value);
}

static hone_err write_file(int fd, const char *path, hone_str key, hone_str weights) {
    char head[HONE_PACKED_HEAD_BYTES] = {0};
    uint64_t sum = 0;
    HONE_TRY(sum_of(weights, NULL, &sum));
    memcpy(head, magic, sizeof magic);
    put_number(head, 8, weights.len);
    put_number(head, 16, sum);
    put_number(head, 24, key.len);
    put_number(head, SUM_AT, head_sum(head, key));
    memcpy(head + KEY_AT, key.ptr, key.len);
    bool done = hone_fd_write(fd, (hone_str){head, sizeof head}) && hone_fd_write(fd, weights);
    return done ? HONE_OK : hone_file_err("write", path);
}

/* A full disk harms others more than packing harms us. */
static hone_err check_room(const char *dir, size_t size_bytes) {
    struct statvfs disk;
    if ((int64_t)size_bytes > HONE_PACKED_FOLDER_BYTES)
        return hone_err_new(HONE_E_FULL, "packed weights of %zu bytes are not kept", size_bytes);
    if (statvfs(dir, &disk) != 0) return hone_file_err("stat", dir);
    if ((uint64_t)disk.f_bavail * disk.f_frsize / 4 < size_bytes)
        return hone_err_new(HONE_E_FULL, "little room in '%s'", dir);
    return HONE_OK;
}

/* What a look into the folder finds. */
typedef struct survey {
    int64_t bytes; /* all files of ours */
    char oldest[NAME_MAX + 1];
    struct timespec used; /* oldest's */
} survey;

static bool is_before(struct timespec a, struct timespec b) {
    return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

/* Deletes what was begun and left; keep is never the oldest. */
static survey look(DIR *dir, const char *keep) {
    survey found = {0};
    rewinddir(dir);
    for (const struct dirent *e; (e = readdir(dir));) {
        struct stat st;
        hone_str name = hone_str_of(e->d_name);
        bool is_begun = strstr(e->d_name, begun) != NULL;
        if (!is_begun && !hone_str_has_suffix(name, hone_str_of(suffix))) continue;
        if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (is_begun && st.st_mtim.tv_sec + LEFT_BEHIND_S < time(NULL) &&
            unlinkat(dirfd(dir), e->d_name, 0) == 0)
            continue;
        found.bytes += st.st_size;
        if (is_begun || strcmp(e->d_name, keep) == 0) continue;
        if (found.oldest[0] && !is_before(st.st_mtim, found.used)) continue;
        memcpy(found.oldest, e->d_name, name.len + 1);
        found.used = st.st_mtim;
    }
    return found;
}

/* Delete the files longest unused until the others keep within the limit. */
static void sweep(const char *path, const char *keep) {
    DIR *dir = opendir(path);
    if (!dir) return;
    for (;;) {
        survey found = look(dir, keep);
        if (found.bytes <= HONE_PACKED_FOLDER_BYTES || !found.oldest[0]) break;
        if (unlinkat(dirfd(dir), found.oldest, 0) != 0 && errno != ENOENT) break;
    }
    (void)closedir(dir);
}

hone_err hone_packed_save(const char *dir, hone_str key, hone_str weights) {
    char path[PATH_SIZE], temporary[PATH_SIZE];
    if (key.len > HONE_PACKED_KEY_MAX) return hone_err_new(HONE_E_INVALID, "the key is too long");
    HONE_TRY(path_of(dir, key, suffix, path));
    HONE_TRY(path_of(dir, key, ".packed-XXXXXX", temporary));
    HONE_TRY(hone_folder_make(dir, 0700));
    HONE_TRY(check_room(dir, weights.len));
    int fd = mkostemp(temporary, O_CLOEXEC); /* for this user's eyes alone: 0600 */
    if (fd < 0) return hone_file_err("create", temporary);
    hone_err err = write_file(fd, temporary, key, weights);
    if (close(fd) != 0 && !hone_failed(err)) err = hone_file_err("write", temporary);
    if (!hone_failed(err) && rename(temporary, path) != 0) err = hone_file_err("rename to", path);
    if (hone_failed(err))
        (void)unlink(temporary); /* the error matters more */
    else
        sweep(dir, path + strlen(dir) + 1);
    return err;
}
