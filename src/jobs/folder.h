/* folder.h: the folder of a job, as the server sees it.
 */
#ifndef HONE_JOBS_FOLDER_H
#define HONE_JOBS_FOLDER_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <jansson.h>
#include <stdbool.h>

/* Make DIR/jobs/<id> with in/, out/ and job.json = spec, all of it on the disk. IO, FULL. */
HONE_NODISCARD hone_err hone_job_folder_make(const char *folder, const json_t *spec);

/* Delete what only the work needed: all but job.json, result.json, log.txt, progress.jsonl. */
void hone_job_folder_trim(const char *folder);

/* Delete the folder and all that is in it. */
void hone_job_folder_remove(const char *folder);

bool hone_job_folder_has_result(const char *folder);

/* The last line of log.txt that says anything, cut to size: what a child complained of. */
void hone_job_folder_last_words(const char *folder, char *out, size_t size);

/* The last whole line of folder/name, in the arena; empty when there is none. */
HONE_NODISCARD hone_err hone_job_folder_last_line(hone_arena *arena, const char *folder,
                                                  const char *name, hone_str *out);

#endif
