/* checkpoint.h: the files that make up a model folder, as hone pulls them.
 *
 * Only these names are ever written, whatever a repository or an archive holds.
 */
#ifndef HONE_CLI_CHECKPOINT_H
#define HONE_CLI_CHECKPOINT_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HONE_CONFIG_NAME  "config.json"
#define HONE_WEIGHTS_NAME "model.safetensors"

typedef struct hone_checkpoint_file {
    const char *name;
    int64_t limit_bytes; /* more is refused: no real model of this kind has it */
    bool is_required;
} hone_checkpoint_file;

/* In the order of fetching: what tells most about a mistake first, the weights last. */
enum { HONE_CHECKPOINT_FILES = 6 };
extern const hone_checkpoint_file hone_checkpoint_files[HONE_CHECKPOINT_FILES];

/* The entry of that name; NULL when it is none of ours. */
const hone_checkpoint_file *hone_checkpoint_file_find(hone_str name);

/* DIR/config.json describes a model that hone runs. what names the model in messages. */
HONE_NODISCARD hone_err hone_checkpoint_check_config(hone_arena *arena, const char *dir,
                                                     const char *what);

/* DIR has tokenizer.json or vocab.txt. NOT_FOUND. */
HONE_NODISCARD hone_err hone_checkpoint_check_tokenizer(hone_arena *arena, const char *dir,
                                                        const char *what);

/* DIR is a model folder: config, tokenizer and weights are there. NOT_FOUND names what is
 * missing. The weights are not read. */
HONE_NODISCARD hone_err hone_checkpoint_check(hone_arena *arena, const char *dir, const char *what);

/* DIR/model.safetensors has this SHA-256. CORRUPT. */
HONE_NODISCARD hone_err hone_checkpoint_check_sha256(hone_arena *arena, const char *dir,
                                                     const char *sha256);

/* DIR/SHA256SUMS (model/model.h): the SHA-256 of each of the model's files there. What is in hone's
 * cache has one; what a user calls their own gets none. Saved as sha256sum writes it. */
HONE_NODISCARD hone_err hone_checkpoint_save_sums(hone_arena *arena, const char *dir);

/* The files are those that SHA256SUMS tells of; nothing to compare where there is none. CORRUPT. */
HONE_NODISCARD hone_err hone_checkpoint_check_sums(hone_arena *arena, const char *dir);

/* Copy the model folder from to the folder to, which appears whole or not at all. */
HONE_NODISCARD hone_err hone_checkpoint_copy(hone_arena *arena, const char *from, const char *to);

#endif
