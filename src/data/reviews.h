/* reviews.h: what reviewers said, as examples to train on.
 *
 *     output.json of a loop --read, by rules--> text, label | why it is left out
 *     all of them --settle--> one label a text: the newest's | why it is left out
 *     with a sample --merge--> training set, each reviewed text `weight` times
 *
 * A loop's reviewers vote; most votes win and a tie leaves the loop out. An answer on the list
 * of ignored ones ("Not Clear") is a vote like any other: where it wins, or where it is the
 * newest word on a text, the text is left out. A document that does not fit the rules is left
 * out with its reason: one broken file stops nothing.
 *
 * Ownership: everything lives in the arena that it was read into.
 */
#ifndef HONE_DATA_REVIEWS_H
#define HONE_DATA_REVIEWS_H

#include "data/dataset.h"
#include "data/sample.h"

#include <jansson.h>

enum { HONE_REVIEW_BYTES_MAX = 8 * 1024 * 1024 }; /* of one document */

typedef enum hone_review_fate {
    HONE_REVIEW_MERGED,
    HONE_REVIEW_BROKEN,     /* does not fit the rules */
    HONE_REVIEW_IGNORED,    /* the answer is one that is left out */
    HONE_REVIEW_TIED,       /* reviewers disagree */
    HONE_REVIEW_UNKNOWN,    /* the answer is no label of the data set */
    HONE_REVIEW_SUPERSEDED, /* a newer answer on the same text */
    HONE_REVIEW_HELD_OUT,   /* the text is in the test set */
    HONE_REVIEW_FATES
} hone_review_fate;

/* "merged", "broken", ... for reports. */
const char *hone_review_fate_name(hone_review_fate fate);

/* Where a document has its text and its label. Pointers are JSON pointers (RFC 6901). */
typedef struct hone_review_rules {
    const char *text;          /* into the document; NULL = "/inputContent/taskObject" */
    const char *const *labels; /* into each answerContent, the first that is there; ends with
                                  NULL. NULL = "/category/label", "/category/labels" */
    const json_t *label_map;   /* {"Positive": "pos"}: answers as labels, new ones too; or NULL */
    const json_t *ignored;     /* ["Not Clear"]: answers, whatever their case; or NULL for that */
    hone_labels known;         /* of the data set: an answer is also matched whatever its case */
} hone_review_rules;

/* INVALID for a pointer, map or list that is none; where names them. */
HONE_NODISCARD hone_err hone_review_rules_check(const hone_review_rules *rules, const char *where);

typedef struct hone_review {
    const char *source; /* the document's name */
    const char *loop;   /* humanLoopName; "" where there is none */
    hone_str text, key; /* empty for a broken one */
    hone_str label;     /* of those merged */
    size_t answers;
    int64_t when_ms; /* the newest submissionTime */
    hone_review_fate fate;
    const char *reason; /* one line; "" for those merged */
} hone_review;

/* Read one document. Only NOMEM fails. */
HONE_NODISCARD hone_err hone_review_read(hone_arena *arena, hone_str bytes, const char *source,
                                         const hone_review_rules *rules, hone_review *out);

/* Decide between reviews of one text, and keep the test set's texts out. Independent of the
 * order of reviews: where times are equal, the source that sorts last wins. */
HONE_NODISCARD hone_err hone_reviews_settle(hone_arena *arena, hone_review *reviews, size_t count,
                                            const hone_textset *held_out);

typedef struct hone_merge {
    hone_dataset train;
    size_t replaced; /* records of the sample that a review of the same text took the place of */
    size_t added;    /* records that reviews became: merged reviews * weight */
} hone_merge;

/* The sample's training records without those that were reviewed, then every merged review
 * `weight` times. weight 0: the sample as it is. */
HONE_NODISCARD hone_err hone_reviews_merge(hone_arena *arena, const hone_dataset *sample,
                                           const hone_review *reviews, size_t count, size_t weight,
                                           hone_merge *out);

#endif
