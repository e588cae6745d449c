/* checkpoint.h: what a killed run needs to go on to the same bytes, in one file.
 *
 *     [ magic | fingerprint | sizes of the sections | section | section | ... ]
 *
 * The file appears whole or not at all. It says which run it belongs to: the same options,
 * data, base and build, or it is refused, naming what differs. It is read by the machine that
 * wrote it, so numbers are as the machine has them.
 */
#ifndef HONE_TRAIN_CHECKPOINT_H
#define HONE_TRAIN_CHECKPOINT_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { HONE_SECTIONS_MAX = 8 };

/* What decides a run's result, a hash of each. */
typedef struct hone_fingerprint {
    uint64_t options;
    uint64_t train; /* tokens and targets */
    uint64_t eval;  /* 0 without */
    uint64_t base;  /* weights before the first step, and label names */
    uint64_t build; /* version and instruction set */
} hone_fingerprint;

/* Add bytes to a hash that began as 0. Not cryptographic: it finds mistakes, not enemies. */
uint64_t hone_hash_add(uint64_t hash, const void *ptr, size_t size_bytes);

/* A run of the caller's memory that is written, or filled. */
typedef struct hone_section {
    void *ptr;
    size_t size_bytes;
} hone_section;

/* IO, also for a full disk. count <= HONE_SECTIONS_MAX */
HONE_NODISCARD hone_err hone_checkpoint_save(const char *path, const hone_fingerprint *fingerprint,
                                             const hone_section *sections, size_t count);

/* Would load fill these sections? */
HONE_NODISCARD hone_err hone_checkpoint_fits(const char *path, const hone_fingerprint *fingerprint,
                                             const hone_section *sections, size_t count);

/* Fill sections from the file; untouched on failure. NOT_FOUND when there is none, CONFLICT
 * when it belongs to another run, CORRUPT. */
HONE_NODISCARD hone_err hone_checkpoint_load(const char *path, const hone_fingerprint *fingerprint,
                                             const hone_section *sections, size_t count);

#endif
