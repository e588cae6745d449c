/* native_job.h: the work of a step, as its child process does it (`hone job FOLDER`).
 *
 *     FOLDER/job.json, in/  -->  out/, log (stderr), progress.jsonl  -->  result.json
 *
 * Nothing but the folder is read, no database is opened. What is written is a function of what was
 * read: a child that was killed is started again in the same folder and ends with the same bytes.
 * When it fails, failure.json says whether another try makes sense.
 */
#ifndef HONE_PIPELINE_NATIVE_JOB_H
#define HONE_PIPELINE_NATIVE_JOB_H

#include "base/arena.h"
#include "base/err.h"

/* The folder of the base model called name, in the arena: fetched when it is not there. */
typedef hone_err hone_model_fn(void *ctx, hone_arena *arena, const char *name, const char **dir);

HONE_NODISCARD hone_err hone_native_job(const char *folder, hone_model_fn *find_model, void *ctx);

#endif
