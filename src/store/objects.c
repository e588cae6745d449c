/* objects.c: the rows of the object store: buckets, and which file is what key. The files are
 * stage.c's.
 *
 * A replaced or deleted file is unlinked once the transaction is through. A reader that found the
 * row before may come too late to open it: it looks again, and finds the new row. */
#include "store/objects.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/utf8.h"
#include "store/db_impl.h"
#include "store/objects_impl.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const steps[] = {
    "CREATE TABLE bucket ("
    "  name TEXT PRIMARY KEY,"
    "  created_ms INTEGER NOT NULL"
    ") STRICT, WITHOUT ROWID;"
    "CREATE TABLE object ("
    "  bucket TEXT NOT NULL REFERENCES bucket (name),"
    "  key TEXT NOT NULL,"
    "  file TEXT NOT NULL UNIQUE,"
    "  size_bytes INTEGER NOT NULL,"
    "  modified_ms INTEGER NOT NULL,"
    "  etag TEXT NOT NULL,"
    "  sha256 TEXT NOT NULL,"
    "  content_type TEXT NOT NULL,"
    "  meta TEXT NOT NULL,"
    "  PRIMARY KEY (bucket, key)"
    ") STRICT, WITHOUT ROWID;",
};

#define COLUMNS "bucket, key, file, size_bytes, modified_ms, etag, sha256, content_type, meta"

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory for an object"); }

hone_err hone_objects_open(const char *dir, hone_db *db, hone_objects **out) {
    hone_objects *objects = calloc(1, sizeof *objects);
    if (!objects) return no_memory();
    objects->db = db;
    hone_err err = HONE_OK;
    if (asprintf(&objects->dir, "%s/objects", dir) < 0) {
        objects->dir = NULL;
        err = no_memory();
    }
    if (!hone_failed(err)) err = hone_objects_make_folders(objects);
    if (!hone_failed(err))
        err = hone_db_migrate(db, "objects", steps, sizeof steps / sizeof steps[0]);
    if (!hone_failed(err)) err = hone_objects_sweep(objects);
    if (hone_failed(err)) {
        hone_objects_close(objects);
        return err;
    }
    *out = objects;
    return HONE_OK;
}

void hone_objects_close(hone_objects *objects) {
    if (!objects) return;
    free(objects->dir);
    free(objects);
}

/* --- names -------------------------------------------------------------------------- */

static bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

static bool looks_like_address(hone_str name) {
    int dots = 0;
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '.')
            dots++;
        else if (!isdigit((unsigned char)name.ptr[i]))
            return false;
    }
    return dots == 3;
}

/* S3's rules for general purpose buckets. */
static hone_err check_bucket(hone_str name) {
    bool is_good = name.len >= 3 && name.len <= HONE_BUCKET_MAX && is_lower_or_digit(name.ptr[0]) &&
                   is_lower_or_digit(name.ptr[name.len - 1]) && !looks_like_address(name) &&
                   !hone_str_has_prefix(name, HONE_S("xn--")) &&
                   !hone_str_has_suffix(name, HONE_S("-s3alias"));
    for (size_t i = 0; is_good && i < name.len; i++) {
        char c = name.ptr[i];
        is_good = is_lower_or_digit(c) || c == '-' || (c == '.' && name.ptr[i - 1] != '.');
    }
    if (is_good) return HONE_OK;
    return hone_err_new(HONE_E_INVALID,
                        "'%.*s' is no bucket name: 3 to 63 lower-case letters, digits, hyphens "
                        "and single dots, a letter or digit at both ends",
                        HONE_ARG(name));
}

static hone_err check_key(hone_str key) {
    if (key.len == 0 || key.len > HONE_KEY_MAX)
        return hone_err_new(HONE_E_INVALID, "a key has 1 to %d bytes, this one has %zu",
                            HONE_KEY_MAX, key.len);
    if (memchr(key.ptr, '\0', key.len) || hone_utf8_check(key) != key.len)
        return hone_err_new(HONE_E_INVALID, "key '%.*s' is no UTF-8 text", HONE_ARG(key));
    return HONE_OK;
}

hone_err hone_s3_uri_parse(hone_str uri, hone_str *bucket, hone_str *key) {
    const hone_str scheme = HONE_S("s3://");
    if (!hone_str_has_prefix(uri, scheme))
        return hone_err_new(HONE_E_INVALID, "'%.*s' is no s3://bucket/key", HONE_ARG(uri));
    hone_str rest = {uri.ptr + scheme.len, uri.len - scheme.len};
    const char *slash = memchr(rest.ptr, '/', rest.len);
    hone_str name = {rest.ptr, slash ? (size_t)(slash - rest.ptr) : rest.len};
    HONE_TRY(check_bucket(name));
    *bucket = name;
    *key = slash ? (hone_str){slash + 1, rest.len - name.len - 1}
                 : (hone_str){rest.ptr + rest.len, 0};
    return HONE_OK;
}

/* --- changing ----------------------------------------------------------------------- */

/* The file of a row that has gone: an owned path. */
static void remove_file(void *arg, bool committed) {
    if (committed) (void)unlink(arg); /* else the next start's sweep finds it */
    free(arg);
}

/* When the key has a file other than `kept`, have it removed once tx is through. */
static hone_err retire(hone_objects *objects, hone_tx *tx, hone_str bucket, hone_str key,
                       const char *kept) {
    hone_rows rows;
    bool more = false;
    char *path = NULL;
    HONE_TRY(hone_rows_open(tx, &rows,
                            "SELECT file FROM object WHERE bucket = ? AND key = ? AND file <> ?",
                            "ssz", bucket, key, kept));
    hone_err err = hone_rows_next(&rows, &more);
    if (!hone_failed(err) && more) {
        path = hone_objects_path(objects, hone_rows_str(&rows, 0).ptr);
        if (!path) err = no_memory();
    }
    hone_rows_close(&rows);
    if (path) {
        err = hone_tx_at_end(tx, remove_file, path);
        if (hone_failed(err)) free(path);
    }
    return err;
}

hone_err hone_objects_link(hone_objects *objects, hone_tx *tx, const hone_object_put *put) {
    int64_t created_ms = 0;
    HONE_TRY(check_key(put->key));
    HONE_TRY(hone_objects_bucket_find(tx, put->bucket, &created_ms));
    HONE_TRY(retire(objects, tx, put->bucket, put->key, put->staged->id));
    hone_str type = put->content_type.len ? put->content_type : HONE_S("binary/octet-stream");
    hone_str meta = put->meta.len ? put->meta : HONE_S("{}");
    const hone_staged *staged = put->staged;
    /* No INSERT OR REPLACE: a file that has a name already would silently lose it. */
    return hone_tx_exec(tx,
                        "INSERT INTO object (" COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                        " ON CONFLICT (bucket, key) DO UPDATE SET file = excluded.file,"
                        " size_bytes = excluded.size_bytes, modified_ms = excluded.modified_ms,"
                        " etag = excluded.etag, sha256 = excluded.sha256,"
                        " content_type = excluded.content_type, meta = excluded.meta",
                        "ssziizzss", put->bucket, put->key, staged->id, staged->size_bytes,
                        hone_now_ms(), staged->etag, staged->sha256, type, meta);
}

hone_err hone_objects_put(hone_objects *objects, hone_str bucket, hone_str key, hone_str bytes,
                          const char *content_type) {
    hone_staged staged;
    HONE_TRY(hone_objects_stage(objects, bytes, &staged));
    hone_object_put put = {.bucket = bucket, .key = key, .staged = &staged};
    if (content_type) put.content_type = hone_str_of(content_type);
    hone_tx *tx = NULL;
    hone_err err = hone_tx_begin(objects->db, HONE_TX_WRITE, &tx);
    if (!hone_failed(err)) err = hone_objects_link(objects, tx, &put);
    if (!hone_failed(err)) return hone_tx_commit(tx);
    hone_tx_abort(tx);
    hone_objects_unstage(objects, &staged);
    return err;
}

hone_err hone_objects_delete(hone_objects *objects, hone_tx *tx, hone_str bucket, hone_str key) {
    HONE_TRY(retire(objects, tx, bucket, key, ""));
    return hone_tx_exec(tx, "DELETE FROM object WHERE bucket = ? AND key = ?", "ss", bucket, key);
}

/* --- reading ------------------------------------------------------------------------ */

static bool copy_str(hone_arena *arena, hone_str s, hone_str *out) {
    *out = (hone_str){hone_arena_strdup(arena, s), s.len};
    return out->ptr != NULL;
}

static void copy_sum(char *out, size_t size, hone_str sum) {
    (void)snprintf(out, size, "%.*s", HONE_ARG(sum));
}

/* The row that a query of COLUMNS is at. */
static hone_err copy_object(const hone_objects *objects, hone_arena *arena, const hone_rows *rows,
                            hone_object *out) {
    hone_object object = {.size_bytes = hone_rows_int(rows, 3),
                          .modified_ms = hone_rows_int(rows, 4)};
    copy_sum(object.etag, sizeof object.etag, hone_rows_str(rows, 5));
    copy_sum(object.sha256, sizeof object.sha256, hone_rows_str(rows, 6));
    char *path = hone_objects_path(objects, hone_rows_str(rows, 2).ptr);
    if (path) object.path = hone_arena_strdup(arena, hone_str_of(path));
    free(path);
    if (!object.path || !copy_str(arena, hone_rows_str(rows, 0), &object.bucket) ||
        !copy_str(arena, hone_rows_str(rows, 1), &object.key) ||
        !copy_str(arena, hone_rows_str(rows, 7), &object.content_type) ||
        !copy_str(arena, hone_rows_str(rows, 8), &object.meta))
        return no_memory();
    *out = object;
    return HONE_OK;
}

hone_err hone_objects_find(hone_objects *objects, hone_tx *tx, hone_arena *arena, hone_str bucket,
                           hone_str key, hone_object *out) {
    hone_rows rows;
    bool more = false;
    HONE_TRY(hone_rows_open(tx, &rows,
                            "SELECT " COLUMNS " FROM object WHERE bucket = ? AND key = ?", "ss",
                            bucket, key));
    hone_err err = hone_rows_next(&rows, &more);
    if (!hone_failed(err) && !more)
        err = hone_err_new(HONE_E_NOT_FOUND, "no object 's3://%.*s/%.*s'", HONE_ARG(bucket),
                           HONE_ARG(key));
    if (!hone_failed(err)) err = copy_object(objects, arena, &rows, out);
    hone_rows_close(&rows);
    return err;
}

/* Find the object and open its file. *fd stays negative, without an error, when the file went
 * between the two. */
static hone_err try_open(hone_objects *objects, hone_arena *arena, hone_str bucket, hone_str key,
                         hone_object *out, int *fd) {
    hone_tx *tx = NULL;
    HONE_TRY(hone_tx_begin(objects->db, HONE_TX_READ, &tx));
    hone_err err = hone_objects_find(objects, tx, arena, bucket, key, out);
    hone_tx_abort(tx);
    if (hone_failed(err)) return err;
    *fd = open(out->path, O_RDONLY | O_CLOEXEC);
    if (*fd >= 0 || errno == ENOENT) return HONE_OK;
    return hone_file_err("open", out->path);
}

hone_err hone_objects_open_fd(hone_objects *objects, hone_arena *arena, hone_str bucket,
                              hone_str key, hone_object *out, int *fd) {
    enum { TRIES = 100 }; /* each is lost to one more replacement of the key */
    for (int i = 0; i < TRIES; i++) {
        hone_object object;
        int opened = -1;
        HONE_TRY(try_open(objects, arena, bucket, key, &object, &opened));
        if (opened < 0) continue;
        *out = object;
        *fd = opened;
        return HONE_OK;
    }
    return hone_err_new(HONE_E_CORRUPT, "the file of 's3://%.*s/%.*s' is missing", HONE_ARG(bucket),
                        HONE_ARG(key));
}

static hone_err read_whole(int fd, const hone_object *object, char *bytes) {
    for (int64_t done = 0; done < object->size_bytes;) {
        ssize_t n = read(fd, bytes + done, (size_t)(object->size_bytes - done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return hone_file_err("read", object->path);
        if (n == 0)
            return hone_err_new(HONE_E_CORRUPT, "'%s' is shorter than it was", object->path);
        done += n;
    }
    return HONE_OK;
}

hone_err hone_objects_load(hone_objects *objects, hone_arena *arena, hone_str bucket, hone_str key,
                           size_t limit_bytes, hone_str *out) {
    hone_object object;
    int fd = -1;
    HONE_TRY(hone_objects_open_fd(objects, arena, bucket, key, &object, &fd));
    hone_err err;
    size_t size_bytes = (size_t)object.size_bytes;
    char *bytes = NULL;
    if (size_bytes > limit_bytes)
        err = hone_err_new(HONE_E_FULL, "'s3://%.*s/%.*s' has %zu bytes, at most %zu are read",
                           HONE_ARG(bucket), HONE_ARG(key), size_bytes, limit_bytes);
    else if (!(bytes = hone_arena_alloc(arena, size_bytes + 1, 1)))
        err = no_memory();
    else
        err = read_whole(fd, &object, bytes);
    (void)close(fd); /* read-only, nothing to lose */
    if (!hone_failed(err)) *out = (hone_str){bytes, size_bytes};
    return err;
}

/* The first key after all that start with prefix: its last byte plus one. Keys are UTF-8, so
 * nothing of theirs is above "\xFF". */
static hone_str end_of(hone_str prefix, char bytes[HONE_KEY_MAX]) {
    size_t len = prefix.len;
    while (len > 0 && (unsigned char)prefix.ptr[len - 1] == 0xFF) len--;
    if (len == 0) return HONE_S("\xFF");
    memcpy(bytes, prefix.ptr, len);
    bytes[len - 1]++;
    return (hone_str){bytes, len};
}

hone_err hone_objects_list(hone_objects *objects, hone_tx *tx, hone_arena *arena, hone_str bucket,
                           hone_str prefix, hone_str after, size_t limit, hone_object **out,
                           size_t *count) {
    char bytes[HONE_KEY_MAX];
    hone_str end = prefix.len <= HONE_KEY_MAX ? end_of(prefix, bytes) : (hone_str){"", 0};
    hone_object *objects_found = hone_arena_alloc(arena, limit, sizeof *objects_found);
    if (!objects_found) return no_memory();
    if (!prefix.ptr) prefix.ptr = ""; /* NULL would be SQL's, which equals nothing */
    if (!after.ptr) after.ptr = "";
    hone_rows rows;
    HONE_TRY(hone_rows_open(tx, &rows,
                            "SELECT " COLUMNS " FROM object WHERE bucket = ? AND key >= ?"
                            " AND key > ? AND key < ? ORDER BY key LIMIT ?",
                            "ssssi", bucket, prefix, after, end, (int64_t)limit));
    size_t n = 0;
    bool more = false;
    hone_err err;
    while (!hone_failed(err = hone_rows_next(&rows, &more)) && more) {
        err = copy_object(objects, arena, &rows, &objects_found[n]);
        if (hone_failed(err)) break;
        n++;
    }
    hone_rows_close(&rows);
    if (hone_failed(err)) return err;
    *out = objects_found;
    *count = n;
    return HONE_OK;
}

/* --- buckets ------------------------------------------------------------------------ */

hone_err hone_objects_bucket_create(hone_objects *objects, hone_tx *tx, hone_str name) {
    (void)objects; /* a bucket is a row, no folder */
    HONE_TRY(check_bucket(name));
    hone_err err = hone_tx_exec(tx, "INSERT INTO bucket (name, created_ms) VALUES (?, ?)", "si",
                                name, hone_now_ms());
    if (err.code == HONE_E_CONFLICT)
        return hone_err_new(HONE_E_CONFLICT, "bucket '%.*s' exists", HONE_ARG(name));
    return err;
}

hone_err hone_objects_bucket_delete(hone_objects *objects, hone_tx *tx, hone_str name) {
    (void)objects;
    hone_err err = hone_tx_exec(tx, "DELETE FROM bucket WHERE name = ?", "s", name);
    if (err.code == HONE_E_CONFLICT)
        return hone_err_new(HONE_E_CONFLICT, "bucket '%.*s' is not empty", HONE_ARG(name));
    if (!hone_failed(err) && hone_tx_changes(tx) == 0)
        return hone_err_new(HONE_E_NOT_FOUND, "no bucket '%.*s'", HONE_ARG(name));
    return err;
}

hone_err hone_objects_bucket_find(hone_tx *tx, hone_str name, int64_t *created_ms) {
    hone_err err = hone_tx_int(tx, created_ms, "SELECT created_ms FROM bucket WHERE name = ?", "s",
                               name);
    if (err.code == HONE_E_NOT_FOUND)
        return hone_err_new(HONE_E_NOT_FOUND, "no bucket '%.*s'", HONE_ARG(name));
    return err;
}

static hone_err copy_buckets(hone_tx *tx, hone_arena *arena, hone_bucket *buckets) {
    hone_rows rows;
    bool more = false;
    hone_err err;
    HONE_TRY(hone_rows_open(tx, &rows, "SELECT name, created_ms FROM bucket ORDER BY name", ""));
    for (size_t n = 0; !hone_failed(err = hone_rows_next(&rows, &more)) && more; n++) {
        buckets[n].created_ms = hone_rows_int(&rows, 1);
        if (copy_str(arena, hone_rows_str(&rows, 0), &buckets[n].name)) continue;
        err = no_memory();
        break;
    }
    hone_rows_close(&rows);
    return err;
}

hone_err hone_objects_buckets(hone_tx *tx, hone_arena *arena, hone_bucket **out, size_t *count) {
    int64_t n = 0;
    HONE_TRY(hone_tx_int(tx, &n, "SELECT count(*) FROM bucket", ""));
    hone_bucket *buckets = hone_arena_alloc(arena, (size_t)n + 1, sizeof *buckets);
    if (!buckets) return no_memory();
    HONE_TRY(copy_buckets(tx, arena, buckets));
    *out = buckets;
    *count = (size_t)n;
    return HONE_OK;
}
