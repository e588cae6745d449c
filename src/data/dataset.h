/* dataset.h: labelled texts, and the ways of seeing their labels as ids or numbers.
 *
 *     file --import.h--> hone_dataset --> labels: sorted names | ids for given names | numbers
 *
 * A record keeps its label as it was written; whether "1" is a class or a number is decided
 * by whoever trains. Each remembers its line, so that a message can point at it.
 *
 * Ownership: everything lives in the arena that the data set was loaded into.
 * Start reading at import.h for how files become data sets.
 */
#ifndef HONE_DATA_DATASET_H
#define HONE_DATA_DATASET_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

enum {
    HONE_LABELS_MAX = 10000,           /* different labels of one data set */
    HONE_LABEL_BYTES_MAX = 1024,       /* of one label */
    HONE_TEXT_BYTES_MAX = 1024 * 1024, /* of one text */
    HONE_RECORDS_MAX = 20000000,
};

typedef struct hone_record {
    hone_str text;  /* UTF-8, not blank */
    hone_str label; /* UTF-8, not empty, no NUL in it */
    size_t line;    /* of its file, from 1: where the record began */
} hone_record;

typedef struct hone_dataset {
    const char *name; /* of the file, for messages */
    size_t count;     /* >= 1 */
    const hone_record *records;
    const char *recognised; /* the encoding, where nobody named it and it is not UTF-8; else NULL */
} hone_dataset;

typedef struct hone_labels {
    size_t count;
    const char *const *names; /* [count], terminated */
} hone_labels;

/* The different labels, sorted bytewise. FULL above HONE_LABELS_MAX, NOMEM. */
HONE_NODISCARD hone_err hone_dataset_labels(hone_arena *arena, const hone_dataset *dataset,
                                            hone_labels *out);

/* Every record's index in labels. Where labels are the default LABEL_0, LABEL_1, ... of a
 * model that was never told names, a record may say 0, 1, ... INVALID names the first label
 * that is not there, and its line.  *out [dataset->count] */
HONE_NODISCARD hone_err hone_dataset_ids(hone_arena *arena, const hone_dataset *dataset,
                                         hone_labels labels, int32_t **out);

/* Every record's label as a number, for regression. INVALID names what is no finite number,
 * and its line.  *out [dataset->count] */
HONE_NODISCARD hone_err hone_dataset_numbers(hone_arena *arena, const hone_dataset *dataset,
                                             float **out);

#endif
