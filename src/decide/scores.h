/* scores.h: logits -> what the labels score, as the Hugging Face pipelines do.
 */
#ifndef HONE_DECIDE_SCORES_H
#define HONE_DECIDE_SCORES_H

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>

typedef enum hone_scoring {
    HONE_SCORE_SOFTMAX, /* probabilities of labels that exclude each other */
    HONE_SCORE_SIGMOID, /* each label's own probability */
    HONE_SCORE_NONE,    /* the logits themselves */
} hone_scoring;

/* What suits a model of so many labels when nobody says: softmax, and sigmoid for a single one. */
hone_scoring hone_scoring_default(size_t labels);

/* "softmax", "sigmoid", "none". INVALID. */
HONE_NODISCARD hone_err hone_scoring_parse(hone_str text, hone_scoring *out);

/* out[i] = the score of label i, for count >= 1 labels. In double, from the largest logit down,
 * so that no exponential overflows. */
void hone_scores(hone_scoring scoring, const float *logits, size_t count, double *out);

/* The index of the largest value; the first of equals. NaN is below everything. */
size_t hone_scores_best(const double *scores, size_t count);

#endif
