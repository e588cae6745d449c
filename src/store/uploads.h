/* uploads.h: large objects that come in parts, in any order, over many requests.
 *
 *     begin -> part 1, 2, ... (again replaces) -> complete: one staged file | abort
 *
 * DIR/uploads/<id>/ holds upload.json (what the object will be) and a synced file for each part. An
 * upload that is neither completed nor aborted goes after a week, at the next begin.
 *
 * Threads: any. Parts of one upload may come side by side; one completes it, or none. */
#ifndef HONE_STORE_UPLOADS_H
#define HONE_STORE_UPLOADS_H

#include "base/id.h"
#include "store/objects.h"

enum { HONE_PARTS_MAX = 10000 };

typedef struct hone_upload {
    char id[HONE_ID_SIZE];
    hone_str bucket, key, content_type, meta; /* in the arena it was asked with */
    int64_t begun_ms;
} hone_upload;

/* bucket, key, content_type and meta are taken from what; its id is made. IO, FULL. */
HONE_NODISCARD hone_err hone_uploads_begin(hone_objects *objects, hone_upload *what);
/* NOT_FOUND: `no upload 'ID'`. */
HONE_NODISCARD hone_err hone_uploads_find(hone_objects *objects, hone_arena *arena, hone_str id,
                                          hone_upload *out);
/* Uploads that have begun, by id, at most limit. */
HONE_NODISCARD hone_err hone_uploads_list(hone_objects *objects, hone_arena *arena, size_t limit,
                                          hone_upload **out, size_t *count);

typedef struct hone_part {
    int64_t number;
    char etag[HONE_ETAG_SIZE];
    int64_t size_bytes, modified_ns;
} hone_part;

/* Take a staged file over as a part; it is given up on failure. NOT_FOUND, INVALID. */
HONE_NODISCARD hone_err hone_uploads_put(hone_objects *objects, const hone_upload *upload,
                                         int64_t number, const hone_staged *staged);
/* The parts there are, by number. */
HONE_NODISCARD hone_err hone_uploads_parts(hone_objects *objects, hone_arena *arena,
                                           const hone_upload *upload, hone_part **out,
                                           size_t *count);
/* Join the parts to one staged file and end the upload. INVALID when a part is not there, with
 * the tag it had; NOT_FOUND when somebody else was first. On failure it goes on. */
HONE_NODISCARD hone_err hone_uploads_complete(hone_objects *objects, const hone_upload *upload,
                                              const hone_part *parts, size_t count,
                                              hone_staged *out);
HONE_NODISCARD hone_err hone_uploads_abort(hone_objects *objects, const hone_upload *upload);

#endif
