/* artifact.h: model folders as model.tar.gz objects, and back.
 *
 *     folder --pack--> model.tar.gz (an object) --open--> DIR/models/<sha256>/ (unpacked once)
 *
 * Unpacking is for hostile archives: only regular files of known names at the root (or one folder
 * deep, as some training scripts write them), no links, no absolute paths, no "..", at most 16
 * files and 8 GiB in all. The folder appears whole or not at all.
 *
 * Threads: any; two openers of one artifact unpack it once.
 */
#ifndef HONE_REGISTRY_ARTIFACT_H
#define HONE_REGISTRY_ARTIFACT_H

#include "base/arena.h"
#include "store/objects.h"

/* Write the model folder dir as a gzip'd tar to path (fast compression: weights hardly shrink).
 * The same folder gives the same bytes. */
HONE_NODISCARD hone_err hone_artifact_pack(const char *dir, const char *path);

/* Unpack the archive at path into the folder out, which appears whole. CORRUPT, INVALID. */
HONE_NODISCARD hone_err hone_artifact_unpack(const char *path, const char *out);

/* The model folder of the object at uri, in models_dir; *dir lives in the arena. NOT_FOUND. */
HONE_NODISCARD hone_err hone_artifact_open(hone_objects *objects, hone_arena *arena,
                                           const char *models_dir, hone_str uri, const char **dir);

#endif
