/* objects.h: s3://bucket/key names for bytes that lie in files.
 *
 *     bytes | file --stage--> DIR/objects/ab/<id> (fsynced) --link, in a tx--> bucket, key
 *
 * A key never becomes a path: the file is named by a random id and the row says which. A staged
 * file that nobody links is an orphan, swept at the next start. Objects are never changed:
 * linking a key again replaces its row, and the old file goes once the transaction is through.
 *
 * Because link is part of the caller's transaction, an object and the rows that speak of it
 * appear together. The journal is the caller's too: only they know who did it.
 *
 * Threads: any. Functions without a tx begin their own: not to be called within one.
 */
#ifndef HONE_STORE_OBJECTS_H
#define HONE_STORE_OBJECTS_H

#include "base/file.h"
#include "store/db.h"

typedef struct hone_objects hone_objects;

enum { HONE_ETAG_SIZE = 33, HONE_KEY_MAX = 1024, HONE_BUCKET_MAX = 63 };

/* Migrates its tables, sweeps orphans. The database outlives it. */
HONE_NODISCARD hone_err hone_objects_open(const char *dir, hone_db *db, hone_objects **out);
void hone_objects_close(hone_objects *objects);

typedef struct hone_staged {
    char id[33];
    char etag[HONE_ETAG_SIZE]; /* MD5 in hex, without quotes */
    char sha256[65];
    int64_t size_bytes;
} hone_staged;

/* Bytes on the disk, not yet named. FULL for a full disk, IO. */
HONE_NODISCARD hone_err hone_objects_stage(hone_objects *objects, hone_str bytes, hone_staged *out);
/* The same of a file, which is copied (or moved, when it lies on the same disk and take is set). */
HONE_NODISCARD hone_err hone_objects_stage_file(hone_objects *objects, const char *path, bool take,
                                                hone_staged *out);

/* Give up a staged file that was not linked, instead of leaving it to the next start. Not after a
 * commit that failed: a disk that refused the last fsync may yet have kept the rows. */
void hone_objects_unstage(hone_objects *objects, const hone_staged *staged);

/* Where an object lies and what is known of it. Strings live in the arena it was asked with. */
typedef struct hone_object {
    hone_str bucket, key;
    const char *path; /* of the file; it stays while the object is not replaced */
    int64_t size_bytes, modified_ms;
    char etag[HONE_ETAG_SIZE];
    char sha256[65];
    hone_str content_type; /* "binary/octet-stream" when none was given */
    hone_str meta;         /* JSON object of x-amz-meta-*, "{}" when there is none */
} hone_object;

typedef struct hone_object_put {
    hone_str bucket, key;
    const hone_staged *staged;
    hone_str content_type; /* empty = binary/octet-stream */
    hone_str meta;         /* JSON object; empty = {} */
} hone_object_put;

/* Name a staged file, once, within tx. NOT_FOUND for no such bucket, INVALID for a bad key (not
 * 1 to 1024 bytes of UTF-8 without NUL). */
HONE_NODISCARD hone_err hone_objects_link(hone_objects *objects, hone_tx *tx,
                                          const hone_object_put *put);
/* stage + a transaction of its own + link. */
HONE_NODISCARD hone_err hone_objects_put(hone_objects *objects, hone_str bucket, hone_str key,
                                         hone_str bytes, const char *content_type);

/* NOT_FOUND: `no object 's3://bucket/key'`. */
HONE_NODISCARD hone_err hone_objects_find(hone_objects *objects, hone_tx *tx, hone_arena *arena,
                                          hone_str bucket, hone_str key, hone_object *out);
/* Open it for reading: the descriptor keeps the bytes even when the key is replaced meanwhile. */
HONE_NODISCARD hone_err hone_objects_open_fd(hone_objects *objects, hone_arena *arena,
                                             hone_str bucket, hone_str key, hone_object *out,
                                             int *fd);
/* The whole object in the arena; FULL above limit_bytes. */
HONE_NODISCARD hone_err hone_objects_load(hone_objects *objects, hone_arena *arena, hone_str bucket,
                                          hone_str key, size_t limit_bytes, hone_str *out);

/* Deleting what is not there is no error, as in S3. */
HONE_NODISCARD hone_err hone_objects_delete(hone_objects *objects, hone_tx *tx, hone_str bucket,
                                            hone_str key);

/* Up to limit objects whose key has prefix and is > after, in bytewise order, in the arena. */
HONE_NODISCARD hone_err hone_objects_list(hone_objects *objects, hone_tx *tx, hone_arena *arena,
                                          hone_str bucket, hone_str prefix, hone_str after,
                                          size_t limit, hone_object **out, size_t *count);

/* CONFLICT when it exists; INVALID for a name that S3 would not take. */
HONE_NODISCARD hone_err hone_objects_bucket_create(hone_objects *objects, hone_tx *tx,
                                                   hone_str name);
/* CONFLICT when it is not empty, NOT_FOUND. */
HONE_NODISCARD hone_err hone_objects_bucket_delete(hone_objects *objects, hone_tx *tx,
                                                   hone_str name);
HONE_NODISCARD hone_err hone_objects_bucket_find(hone_tx *tx, hone_str name, int64_t *created_ms);

typedef struct hone_bucket {
    hone_str name;
    int64_t created_ms;
} hone_bucket;
/* All buckets, by name, in the arena. */
HONE_NODISCARD hone_err hone_objects_buckets(hone_tx *tx, hone_arena *arena, hone_bucket **out,
                                             size_t *count);

/* "s3://bucket/key/with/slashes" -> its parts, borrowed from uri; key may be empty. INVALID. */
HONE_NODISCARD hone_err hone_s3_uri_parse(hone_str uri, hone_str *bucket, hone_str *key);

#endif
