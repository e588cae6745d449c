/* uploads.c: see uploads.h.
 *
 *     DIR/uploads/<id>/upload.json
 *     DIR/uploads/<id>/00001-<etag>      a part: its number and the MD5 of its bytes
 *
 * There are no rows: a folder is the upload. Completing begins with renaming it to .<id>, which
 * one of two rivals does; nobody finds it under that name, and a failure renames it back. */
#include "store/uploads.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "store/objects_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, NAME_SIZE = 64, JSON_LIMIT_BYTES = 1 << 20, PIECE_BYTES = 256 << 10 };

static const int64_t LIFETIME_MS = (int64_t)7 * 24 * 3600 * 1000;

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory for an upload"); }

static hone_err not_there(hone_str id) {
    return hone_err_new(HONE_E_NOT_FOUND, "no upload '%.*s'", HONE_ARG(id));
}

/* DIR/uploads, or a thing in it: dir of objects is DIR/objects. */
static hone_err path_of(const hone_objects *objects, const char *mark, const char *id,
                        const char *name, char out[PATH_SIZE]) {
    int n = snprintf(out, PATH_SIZE, "%s/../uploads/%s%s%s%s", objects->dir, mark, id,
                     *name ? "/" : "", name);
    if (n < 0 || n >= PATH_SIZE) return hone_err_new(HONE_E_INVALID, "the data path is too long");
    return HONE_OK;
}

static bool is_id(hone_str id) {
    for (size_t i = 0; i < id.len; i++)
        if (!((id.ptr[i] >= '0' && id.ptr[i] <= '9') || (id.ptr[i] >= 'a' && id.ptr[i] <= 'f')))
            return false;
    return id.len == HONE_ID_SIZE - 1;
}

/* Delete a folder of an upload with what is in it. */
static hone_err remove_folder(const char *path) {
    DIR *folder = opendir(path);
    if (!folder) return errno == ENOENT ? HONE_OK : hone_file_err("open folder", path);
    for (const struct dirent *e; (e = readdir(folder));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            (void)unlinkat(dirfd(folder), e->d_name, 0); /* rmdir below sees what stays */
    (void)closedir(folder);
    return rmdir(path) == 0 || errno == ENOENT ? HONE_OK : hone_file_err("remove", path);
}

/* ---- begin and find ---- */

/* What was given up long ago, and what a completion that was killed left. */
static void sweep(const hone_objects *objects, const char *root) {
    DIR *folder = opendir(root);
    if (!folder) return; /* the next begin tries again */
    for (const struct dirent *e; (e = readdir(folder));) {
        char path[PATH_SIZE];
        struct stat st;
        const char *id = e->d_name[0] == '.' ? e->d_name + 1 : e->d_name;
        if (!is_id(hone_str_of(id)) || hone_failed(path_of(objects, "", e->d_name, "", path)))
            continue;
        if (stat(path, &st) != 0 || hone_now_ms() - (int64_t)st.st_mtime * 1000 < LIFETIME_MS)
            continue;
        hone_err ignored = remove_folder(path);
        (void)ignored; /* the next begin tries again */
    }
    (void)closedir(folder);
}

static hone_err save_json(const char *path, const hone_upload *u) {
    json_t *value = json_pack(
        "{s:s%, s:s%, s:s%, s:s%, s:I}", "bucket", u->bucket.ptr, u->bucket.len, "key", u->key.ptr,
        u->key.len, "type", u->content_type.len ? u->content_type.ptr : "", u->content_type.len,
        "meta", u->meta.len ? u->meta.ptr : "{}", u->meta.len ? u->meta.len : (size_t)2, "begun_ms",
        (json_int_t)u->begun_ms);
    if (!value) return hone_err_new(HONE_E_INVALID, "the key is no UTF-8 text");
    hone_err err = hone_json_save(path, value);
    json_decref(value);
    return err;
}

hone_err hone_uploads_begin(hone_objects *objects, hone_upload *what) {
    char root[PATH_SIZE], path[PATH_SIZE], json[PATH_SIZE];
    hone_id_make(what->id);
    what->begun_ms = hone_now_ms();
    HONE_TRY(path_of(objects, "", "", "", root));
    HONE_TRY(path_of(objects, "", what->id, "", path));
    HONE_TRY(path_of(objects, "", what->id, "upload.json", json));
    HONE_TRY(hone_folder_make(root, 0700));
    sweep(objects, root);
    if (mkdir(path, 0700) != 0) return hone_file_err("make", path);
    hone_err err = save_json(json, what);
    if (!hone_failed(err)) err = hone_folder_sync(root);
    if (!hone_failed(err)) return HONE_OK;
    hone_err ignored = remove_folder(path);
    (void)ignored; /* the first error matters more; the sweep finds the folder */
    return err;
}

static hone_err copy_member(hone_arena *arena, const json_t *value, const char *key,
                            hone_str *out) {
    hone_str text = hone_json_str(json_object_get(value, key));
    *out = (hone_str){hone_arena_strdup(arena, text), text.len};
    return out->ptr ? HONE_OK : no_memory();
}

hone_err hone_uploads_find(hone_objects *objects, hone_arena *arena, hone_str id,
                           hone_upload *out) {
    char path[PATH_SIZE];
    hone_upload u = {0};
    if (!is_id(id)) return not_there(id);
    memcpy(u.id, id.ptr, id.len);
    HONE_TRY(path_of(objects, "", u.id, "upload.json", path));
    json_t *value = NULL;
    hone_err err = hone_json_load(path, JSON_LIMIT_BYTES, &value);
    if (err.code == HONE_E_NOT_FOUND) return not_there(id);
    HONE_TRY(err);
    err = copy_member(arena, value, "bucket", &u.bucket);
    if (!hone_failed(err)) err = copy_member(arena, value, "key", &u.key);
    if (!hone_failed(err)) err = copy_member(arena, value, "type", &u.content_type);
    if (!hone_failed(err)) err = copy_member(arena, value, "meta", &u.meta);
    u.begun_ms = json_integer_value(json_object_get(value, "begun_ms"));
    json_decref(value);
    if (!hone_failed(err)) *out = u;
    return err;
}

static int compare_uploads(const void *left, const void *right) {
    return strcmp(((const hone_upload *)left)->id, ((const hone_upload *)right)->id);
}

hone_err hone_uploads_list(hone_objects *objects, hone_arena *arena, size_t limit,
                           hone_upload **out, size_t *count) {
    char root[PATH_SIZE];
    hone_upload *list = hone_arena_alloc(arena, limit, sizeof *list);
    if (!list) return no_memory();
    HONE_TRY(path_of(objects, "", "", "", root));
    DIR *folder = opendir(root);
    size_t n = 0;
    hone_err err = HONE_OK;
    for (const struct dirent *e;
         folder && !hone_failed(err) && n < limit && (e = readdir(folder));) {
        err = hone_uploads_find(objects, arena, hone_str_of(e->d_name), &list[n]);
        if (err.code == HONE_E_NOT_FOUND)
            err = HONE_OK; /* no upload, or one that ended meanwhile */
        else if (!hone_failed(err))
            n++;
    }
    if (folder) (void)closedir(folder);
    if (hone_failed(err)) return err;
    if (n > 1) qsort(list, n, sizeof *list, compare_uploads);
    *out = list;
    *count = n;
    return HONE_OK;
}

/* ---- parts ---- */

/* "00001-<etag>" -> its parts. */
static bool parse_name(const char *name, hone_part *out) {
    size_t len = strlen(name);
    if (len != 5 + 1 + HONE_ETAG_SIZE - 1 || name[5] != '-') return false;
    int64_t number = 0;
    for (size_t i = 0; i < 5; i++) {
        if (name[i] < '0' || name[i] > '9') return false;
        number = number * 10 + (name[i] - '0');
    }
    out->number = number;
    memcpy(out->etag, name + 6, HONE_ETAG_SIZE);
    return true;
}

static void format_name(int64_t number, const char *etag, char out[NAME_SIZE]) {
    (void)snprintf(out, NAME_SIZE, "%05lld-%s", (long long)number, etag);
}

static int compare_parts(const void *left, const void *right) {
    const hone_part *a = left, *b = right;
    if (a->number != b->number) return a->number < b->number ? -1 : 1;
    return a->modified_ns < b->modified_ns ? -1 : a->modified_ns > b->modified_ns;
}

hone_err hone_uploads_put(hone_objects *objects, const hone_upload *upload, int64_t number,
                          const hone_staged *staged) {
    char path[PATH_SIZE], folder[PATH_SIZE], name[NAME_SIZE];
    hone_err err = HONE_OK;
    if (number < 1 || number > HONE_PARTS_MAX)
        err = hone_err_new(HONE_E_INVALID, "a part has a number from 1 to %d", HONE_PARTS_MAX);
    format_name(number, staged->etag, name);
    if (!hone_failed(err)) err = path_of(objects, "", upload->id, name, path);
    if (!hone_failed(err)) err = path_of(objects, "", upload->id, "", folder);
    char *from = hone_objects_path(objects, staged->id);
    if (!hone_failed(err) && !from) err = no_memory();
    if (!hone_failed(err) && rename(from, path) != 0)
        err = errno == ENOENT ? not_there(hone_str_of(upload->id)) : hone_file_err("move", from);
    free(from);
    if (hone_failed(err)) {
        hone_objects_unstage(objects, staged);
        return err;
    }
    /* The file system's own clock is too coarse to tell two parts of one number apart. */
    struct timespec now[2];
    (void)clock_gettime(CLOCK_REALTIME, &now[0]); /* cannot fail with this clock */
    now[1] = now[0];
    if (utimensat(AT_FDCWD, path, now, 0) != 0 && errno != ENOENT)
        return hone_file_err("date", path);
    return hone_folder_sync(folder);
}

/* Of parts with one number the newest counts; a part that was sent again leaves the older. */
static size_t drop_older(hone_part *parts, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (i + 1 == count || parts[i + 1].number != parts[i].number) parts[kept++] = parts[i];
    return kept;
}

hone_err hone_uploads_parts(hone_objects *objects, hone_arena *arena, const hone_upload *upload,
                            hone_part **out, size_t *count) {
    char path[PATH_SIZE];
    HONE_TRY(path_of(objects, "", upload->id, "", path));
    hone_part *list = hone_arena_alloc(arena, (size_t)2 * HONE_PARTS_MAX, sizeof *list);
    if (!list) return no_memory();
    DIR *folder = opendir(path);
    if (!folder) return not_there(hone_str_of(upload->id));
    size_t n = 0;
    for (const struct dirent *e; n < (size_t)2 * HONE_PARTS_MAX && (e = readdir(folder));) {
        struct stat st;
        if (!parse_name(e->d_name, &list[n]) || fstatat(dirfd(folder), e->d_name, &st, 0) != 0)
            continue;
        list[n].size_bytes = (int64_t)st.st_size;
        list[n].modified_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        n++;
    }
    (void)closedir(folder);
    if (n > 1) qsort(list, n, sizeof *list, compare_parts);
    *count = drop_older(list, n);
    *out = list;
    return HONE_OK;
}

/* ---- the end ---- */

static hone_err append_file(int to, const char *path, const char *from, char *piece) {
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return hone_file_err("open", from);
    hone_err err = HONE_OK;
    ssize_t n = 0;
    while (!hone_failed(err) && (n = read(fd, piece, PIECE_BYTES)) != 0) {
        if (n < 0 && errno == EINTR) continue;
        if (n < 0)
            err = hone_file_err("read", from);
        else if (!hone_fd_write(to, (hone_str){piece, (size_t)n}))
            err = hone_file_err("write", path);
    }
    (void)close(fd); /* read-only, nothing to lose */
    return err;
}

static hone_err join(hone_objects *objects, const hone_upload *upload, const hone_part *parts,
                     size_t count, const char *whole) {
    char *piece = malloc(PIECE_BYTES);
    if (!piece) return no_memory();
    hone_err err = HONE_OK;
    int fd = open(whole, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) err = hone_file_err("create", whole);
    for (size_t i = 0; i < count && !hone_failed(err); i++) {
        char name[NAME_SIZE], from[PATH_SIZE];
        format_name(parts[i].number, parts[i].etag, name);
        err = path_of(objects, ".", upload->id, name, from);
        if (!hone_failed(err)) err = append_file(fd, whole, from, piece);
    }
    if (fd >= 0 && close(fd) != 0 && !hone_failed(err)) err = hone_file_err("write", whole);
    free(piece);
    return err;
}

static hone_err check_parts(hone_objects *objects, const hone_upload *upload,
                            const hone_part *parts, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char name[NAME_SIZE], path[PATH_SIZE];
        struct stat st;
        format_name(parts[i].number, parts[i].etag, name);
        HONE_TRY(path_of(objects, "", upload->id, name, path));
        if (stat(path, &st) != 0)
            return hone_err_new(HONE_E_INVALID, "there is no part %lld with this tag",
                                (long long)parts[i].number);
    }
    return HONE_OK;
}

hone_err hone_uploads_complete(hone_objects *objects, const hone_upload *upload,
                               const hone_part *parts, size_t count, hone_staged *out) {
    char here[PATH_SIZE], aside[PATH_SIZE], whole[PATH_SIZE];
    HONE_TRY(path_of(objects, "", upload->id, "", here));
    HONE_TRY(path_of(objects, ".", upload->id, "", aside));
    HONE_TRY(path_of(objects, ".", upload->id, "whole", whole));
    HONE_TRY(check_parts(objects, upload, parts, count));
    if (rename(here, aside) != 0)
        return errno == ENOENT ? not_there(hone_str_of(upload->id)) : hone_file_err("move", here);
    hone_err err = join(objects, upload, parts, count, whole);
    if (!hone_failed(err)) err = hone_objects_stage_file(objects, whole, true, out);
    if (hone_failed(err)) {
        (void)unlink(whole);
        (void)rename(aside, here); /* so that the client may try again */
        return err;
    }
    hone_err ignored = remove_folder(aside);
    (void)ignored; /* the sweep finds it */
    return HONE_OK;
}

hone_err hone_uploads_abort(hone_objects *objects, const hone_upload *upload) {
    char path[PATH_SIZE];
    HONE_TRY(path_of(objects, "", upload->id, "", path));
    return remove_folder(path);
}
