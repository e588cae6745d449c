/* artifact.h: model folders as model.tar.gz objects, and back.
 *
 *     folder --pack--> model.tar.gz (an object) --open--> DIR/models/<sha256>/ (unpacked once)
 *
 * Unpacking is for hostile archives. Only files of names that make up a model folder are ever
 * written, and only those that lie in one folder: the archive's root or, where that has no
 * config.json, the one folder at its top that has. Other files are passed over, as training
 * scripts leave much beside a model (checkpoints/, code/). Links, devices, absolute paths and
 * ".." are refused, and so is what exceeds the limits on entries and on bytes in all. The
 * folder appears whole or not at all.
 *
 * Threads: any; two openers of one artifact, also in two processes, unpack it once.
 */
#ifndef HONE_REGISTRY_ARTIFACT_H
#define HONE_REGISTRY_ARTIFACT_H

#include "base/arena.h"
#include "store/objects.h"

/* Write the model folder dir as a gzip'd tar to path, which appears whole. Stored, not
 * compressed: float weights shrink by 7 % in twenty times the time. The same files give the
 * same bytes. NOT_FOUND when dir is no model folder. */
HONE_NODISCARD hone_err hone_artifact_pack(const char *dir, const char *path);

/* Unpack the archive at path into the folder out, which appears whole. CORRUPT names what the
 * archive breaks, NOT_FOUND what a model folder lacks, FULL a limit. */
HONE_NODISCARD hone_err hone_artifact_unpack(const char *path, const char *out);

/* The model folder of the object at uri, in models_dir, which is made when it is not there;
 * *dir lives in the arena. The caller has no transaction open. NOT_FOUND. */
HONE_NODISCARD hone_err hone_artifact_open(hone_objects *objects, hone_arena *arena,
                                           const char *models_dir, hone_str uri, const char **dir);

/* Delete from models_dir what killed processes left half unpacked, and the folders whose names are
 * none of keep: they are unpacked again when somebody wants them. Nobody else has models_dir open. */
void hone_artifact_sweep(const char *models_dir, const char *const *keep, size_t count);

#endif
