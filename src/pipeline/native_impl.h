/* native_impl.h: what the child's files share. */
#ifndef HONE_PIPELINE_NATIVE_IMPL_H
#define HONE_PIPELINE_NATIVE_IMPL_H

#include "base/arena.h"
#include "base/err.h"
#include "pipeline/native_job.h"

#include <jansson.h>

/* One job under way. */
typedef struct hone_native {
    hone_arena *arena; /* the job's */
    const char *folder;
    const char *step; /* for messages */
    json_t *spec;     /* job.json */
    json_t *files;    /* in/files.json: input -> [{"path", "uri", "sha256", "bytes"}] */
    json_t *result;   /* result.json in the making */
    hone_model_fn *find_model;
    void *ctx;
} hone_native;

/* "FOLDER/name" in the arena; NULL at its limit. */
char *hone_native_path(const hone_native *job, const char *name);

/* A line of progress: share in [0, 1]; loss and left_s below 0 = not known. */
void hone_native_progress(const hone_native *job, double share, double loss, double left_s,
                          const char *message);

/* out/NAME will be the object at uri. */
HONE_NODISCARD hone_err hone_native_output(const hone_native *job, const char *path,
                                           const char *uri);

/* uri + "/" + name, in the arena; NULL at its limit. */
char *hone_native_uri(const hone_native *job, const char *uri, const char *name);

/* The files of an input; an empty array when it has none. Borrowed. */
const json_t *hone_native_files(const hone_native *job, const char *input);

HONE_NODISCARD hone_err hone_native_process(hone_native *job);
HONE_NODISCARD hone_err hone_native_train(hone_native *job);

#endif
