/* folder.h: the output of a run: a complete Hugging Face folder, or nothing.
 *
 *     config.json, model.safetensors, and the base's tokenizer files as they are
 */
#ifndef HONE_TRAIN_FOLDER_H
#define HONE_TRAIN_FOLDER_H

#include "base/arena.h"
#include "base/err.h"
#include "model/config.h"
#include "model/params.h"

/* Could a folder be made at path? CONFLICT when something else stands there, IO. To be asked
 * before hours of training. */
HONE_NODISCARD hone_err hone_folder_check(const char *path);

/* Copy base's tokenizer files into the folder `to`, which is in the making. */
HONE_NODISCARD hone_err hone_folder_copy_tokenizer(hone_arena *arena, const char *base,
                                                   const char *to);

/* Make the folder at path, with the tokenizer files of base. IO, also for a full disk: then
 * nothing is left behind. */
HONE_NODISCARD hone_err hone_folder_save(const char *path, const char *base,
                                         const hone_config *config, const hone_params *params,
                                         const float *values);

#endif
