/* sample.h: which records are trained on and which are held back, drawn by seed.
 *
 *     one pool:   shuffled; the first are the test set, the next the training set
 *     two pools:  each is shuffled and cut by itself
 *
 * A text of the test set is never in the training set, also where the source has it twice: it
 * is passed over and counted. Two texts are the same when they differ in white space alone.
 */
#ifndef HONE_DATA_SAMPLE_H
#define HONE_DATA_SAMPLE_H

#include "data/dataset.h"

#include <stdbool.h>

/* Texts to ask for, each as hone_text_key makes it. */
typedef struct hone_textset {
    size_t count;
    const hone_str *keys; /* sorted bytewise, different */
} hone_textset;

/* The text without white space around it and with one space between words; borrowed from text
 * where nothing changes. ptr is NULL at the arena's limit. */
hone_str hone_text_key(hone_arena *arena, hone_str text);

HONE_NODISCARD hone_err hone_textset_create(hone_arena *arena, const hone_dataset *dataset,
                                            hone_textset *out);
bool hone_textset_has(const hone_textset *set, hone_str key);

typedef struct hone_sample_options {
    size_t train, test; /* records at most; 0 = all (of one pool: four fifths and one) */
    uint64_t seed;
} hone_sample_options;

typedef struct hone_sample {
    hone_dataset train, test;
    size_t leaks; /* records passed over because their text is in the test set */
} hone_sample;

/* Several files as one data set; count >= 1. */
HONE_NODISCARD hone_err hone_dataset_join(hone_arena *arena, const hone_dataset *parts,
                                          size_t count, hone_dataset *out);

/* From one pool. Where it holds fewer records than asked for, the test set gets its share of
 * them. INVALID when there are fewer than two. */
HONE_NODISCARD hone_err hone_sample_split(hone_arena *arena, const hone_dataset *pool,
                                          hone_sample_options options, hone_sample *out);

/* From a pool each. INVALID when nothing is left to train on. */
HONE_NODISCARD hone_err hone_sample_pair(hone_arena *arena, const hone_dataset *train,
                                         const hone_dataset *test, hone_sample_options options,
                                         hone_sample *out);

/* Save as JSON lines {"text": ..., "label": ...}, in one step. FULL, IO. */
HONE_NODISCARD hone_err hone_dataset_save(const hone_dataset *dataset, const char *path);

#endif
