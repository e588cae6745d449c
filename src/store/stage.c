/* stage.c: the files of the object store: written whole, hashed on the way, swept at start.
 *
 * A staged file is written under its own random name at once. Nothing refers to it until a row
 * does, and the row is committed after file and folder have been synced: that commit is what
 * makes the object appear, so a temporary name and a rename would add nothing. */
#include "base/file.h"
#include "base/id.h"
#include "store/objects_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 256 << 10 };

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory for an object"); }

char *hone_objects_path(const hone_objects *objects, const char *id) {
    char *path = NULL;
    if (asprintf(&path, "%s/%.2s/%s", objects->dir, id, id) < 0) return NULL;
    return path;
}

/* --- hashes ------------------------------------------------------------------------- */

typedef struct hashes {
    gnutls_hash_hd_t md5, sha256;
    int code; /* the first failure; 0 = none */
} hashes;

static hone_err hashes_init(hashes *h) {
    *h = (hashes){0};
    h->code = gnutls_hash_init(&h->md5, GNUTLS_DIG_MD5);
    if (h->code == 0) h->code = gnutls_hash_init(&h->sha256, GNUTLS_DIG_SHA256);
    if (h->code == 0) return HONE_OK;
    if (h->md5) gnutls_hash_deinit(h->md5, NULL);
    return hone_err_new(h->code == GNUTLS_E_MEMORY_ERROR ? HONE_E_NOMEM : HONE_E_IO,
                        "cannot hash an object: %s", gnutls_strerror(h->code));
}

static void hashes_add(hashes *h, hone_str bytes) {
    if (h->code == 0 && bytes.len > 0) h->code = gnutls_hash(h->md5, bytes.ptr, bytes.len);
    if (h->code == 0 && bytes.len > 0) h->code = gnutls_hash(h->sha256, bytes.ptr, bytes.len);
}

static void format_hex(const unsigned char *bytes, size_t count, char *out) {
    for (size_t i = 0; i < count; i++) (void)sprintf(out + 2 * i, "%02x", bytes[i]);
}

/* Write the sums to out and free the state. */
static hone_err hashes_done(hashes *h, hone_staged *out) {
    unsigned char md5[16], sha256[32];
    gnutls_hash_deinit(h->md5, md5);
    gnutls_hash_deinit(h->sha256, sha256);
    if (h->code != 0)
        return hone_err_new(HONE_E_IO, "cannot hash an object: %s", gnutls_strerror(h->code));
    format_hex(md5, sizeof md5, out->etag);
    format_hex(sha256, sizeof sha256, out->sha256);
    return HONE_OK;
}

/* --- writing ------------------------------------------------------------------------ */

/* Where the bytes of an object come from: memory, or a file that is read piece by piece. */
typedef struct source {
    hone_str bytes;
    int fd; /* -1 = bytes */
    const char *path;
    char *piece;
} source;

/* The next piece; empty at the end. */
static hone_err source_next(source *from, hone_str *out) {
    if (from->fd < 0) {
        *out = from->bytes;
        from->bytes = (hone_str){NULL, 0};
        return HONE_OK;
    }
    ssize_t n = 0;
    do n = read(from->fd, from->piece, PIECE_BYTES);
    while (n < 0 && errno == EINTR);
    if (n < 0) return hone_file_err("read", from->path);
    *out = (hone_str){from->piece, (size_t)n};
    return HONE_OK;
}

/* Hash everything of from and write it to fd, unless that is negative. */
static hone_err pump(source *from, int fd, const char *path, hone_staged *out) {
    hashes h;
    HONE_TRY(hashes_init(&h));
    hone_err err;
    hone_str piece = {NULL, 0};
    out->size_bytes = 0;
    while (!hone_failed(err = source_next(from, &piece)) && piece.len > 0) {
        hashes_add(&h, piece);
        if (fd >= 0 && !hone_fd_write(fd, piece)) err = hone_file_err("write", path);
        if (hone_failed(err)) break;
        out->size_bytes += (int64_t)piece.len;
    }
    hone_err hashed = hashes_done(&h, out);
    return hone_failed(err) ? err : hashed;
}

/* Write a new file at path, synced with its folder; nothing is left of it on failure. */
static hone_err write_new(const char *path, source *from, hone_staged *out) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return hone_file_err("create", path);
    hone_err err = pump(from, fd, path, out);
    if (!hone_failed(err) && fsync(fd) != 0) err = hone_file_err("sync", path);
    if (close(fd) != 0 && !hone_failed(err)) err = hone_file_err("write", path);
    if (!hone_failed(err)) err = hone_folder_sync_above(path);
    if (hone_failed(err)) (void)unlink(path); /* the error matters more */
    return err;
}

hone_err hone_objects_stage(hone_objects *objects, hone_str bytes, hone_staged *out) {
    hone_staged staged;
    hone_id_make(staged.id);
    char *path = hone_objects_path(objects, staged.id);
    if (!path) return no_memory();
    source from = {.bytes = bytes, .fd = -1};
    hone_err err = write_new(path, &from, &staged);
    free(path);
    if (!hone_failed(err)) *out = staged;
    return err;
}

/* Move a file to path: hash it, sync it, rename it. *moved stays false, without an error, when it
 * lies on another disk. */
static hone_err move_in(source *from, const char *path, hone_staged *out, bool *moved) {
    HONE_TRY(pump(from, -1, path, out));
    if (fchmod(from->fd, 0600) != 0 || fsync(from->fd) != 0)
        return hone_file_err("sync", from->path);
    if (rename(from->path, path) != 0) {
        if (errno != EXDEV) return hone_file_err("move", from->path);
        if (lseek(from->fd, 0, SEEK_SET) != 0) return hone_file_err("read", from->path);
        return HONE_OK;
    }
    *moved = true;
    hone_err err = hone_folder_sync_above(path);
    if (hone_failed(err)) (void)rename(path, from->path); /* as it was; the error matters more */
    return err;
}

static hone_err stage_open(source *from, const char *path, bool take, hone_staged *out) {
    struct stat st;
    if (fstat(from->fd, &st) != 0) return hone_file_err("stat", from->path);
    if (!S_ISREG(st.st_mode)) return hone_err_new(HONE_E_INVALID, "'%s' is no file", from->path);
    bool moved = false;
    if (take) HONE_TRY(move_in(from, path, out, &moved));
    if (moved) return HONE_OK;
    HONE_TRY(write_new(path, from, out));
    if (take) (void)unlink(from->path); /* a copy too many harms nobody */
    return HONE_OK;
}

hone_err hone_objects_stage_file(hone_objects *objects, const char *path, bool take,
                                 hone_staged *out) {
    hone_staged staged;
    hone_id_make(staged.id);
    char *final = hone_objects_path(objects, staged.id);
    source from = {.fd = -1, .path = path, .piece = malloc(PIECE_BYTES)};
    hone_err err = final && from.piece ? HONE_OK : no_memory();
    if (!hone_failed(err)) {
        from.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe would wait */
        err = from.fd < 0 ? hone_file_err("open", path) : stage_open(&from, final, take, &staged);
    }
    if (from.fd >= 0) (void)close(from.fd); /* read-only, nothing to lose */
    free(from.piece);
    free(final);
    if (!hone_failed(err)) *out = staged;
    return err;
}

void hone_objects_unstage(hone_objects *objects, const hone_staged *staged) {
    char *path = hone_objects_path(objects, staged->id);
    if (path) (void)unlink(path); /* else the next start's sweep finds it */
    free(path);
}

/* --- the folders -------------------------------------------------------------------- */

/* Call fn for each of the folders 00 to ff. */
static hone_err for_folders(const hone_objects *objects, hone_err (*fn)(void *arg, const char *),
                            void *arg) {
    hone_err err = HONE_OK;
    for (int i = 0; i < HONE_OBJECT_FOLDERS && !hone_failed(err); i++) {
        char *path = NULL;
        if (asprintf(&path, "%s/%02x", objects->dir, i) < 0) return no_memory();
        err = fn(arg, path);
        free(path);
    }
    return err;
}

static hone_err make_one(void *arg, const char *path) {
    (void)arg;
    return hone_folder_make(path, 0700);
}

hone_err hone_objects_make_folders(const hone_objects *objects) {
    char *last = NULL;
    if (asprintf(&last, "%s/%02x", objects->dir, HONE_OBJECT_FOLDERS - 1) < 0) return no_memory();
    bool is_made = access(last, F_OK) == 0; /* the last one: then all are, and were synced */
    hone_err err = HONE_OK;
    if (!is_made) err = hone_folder_make(objects->dir, 0700);
    if (!is_made && !hone_failed(err)) err = hone_folder_sync_above(objects->dir);
    if (!is_made && !hone_failed(err)) err = for_folders(objects, make_one, NULL);
    if (!is_made && !hone_failed(err)) err = hone_folder_sync_above(last);
    free(last);
    return err;
}

/* Delete the files of one folder that no row of the transaction `arg` names. */
static hone_err sweep_one(void *arg, const char *path) {
    DIR *folder = opendir(path);
    if (!folder) return hone_file_err("open folder", path);
    hone_err err = HONE_OK;
    for (const struct dirent *entry; !hone_failed(err) && (entry = readdir(folder));) {
        if (entry->d_name[0] == '.') continue;
        int64_t n = 0;
        err = hone_tx_int(arg, &n, "SELECT count(*) FROM object WHERE file = ?", "z",
                          entry->d_name);
        if (!hone_failed(err) && n == 0) (void)unlinkat(dirfd(folder), entry->d_name, 0);
    }
    (void)closedir(folder);
    return err;
}

/* The folder is locked for this process, and nobody has this store yet who could have staged
 * something: a file without a row is one that an earlier process left. */
hone_err hone_objects_sweep(hone_objects *objects) {
    hone_tx *tx = NULL;
    HONE_TRY(hone_tx_begin(objects->db, HONE_TX_READ, &tx));
    hone_err err = for_folders(objects, sweep_one, tx);
    hone_tx_abort(tx);
    return err;
}
