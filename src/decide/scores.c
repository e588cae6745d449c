/* scores.c: see scores.h. */
#include "decide/scores.h"

#include <assert.h>
#include <math.h>

hone_scoring hone_scoring_default(size_t labels) {
    return labels == 1 ? HONE_SCORE_SIGMOID : HONE_SCORE_SOFTMAX;
}

hone_err hone_scoring_parse(hone_str text, hone_scoring *out) {
    static const char *const names[] = {
        [HONE_SCORE_SOFTMAX] = "softmax",
        [HONE_SCORE_SIGMOID] = "sigmoid",
        [HONE_SCORE_NONE] = "none",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (hone_str_equal(text, hone_str_of(names[i]))) {
            *out = (hone_scoring)i;
            return HONE_OK;
        }
    return hone_err_new(HONE_E_INVALID, "'%.*s' is none of softmax, sigmoid, none", HONE_ARG(text));
}

static void softmax(const float *logits, size_t count, double *out) {
    double top = (double)logits[0], total = 0.0;
    for (size_t i = 1; i < count; i++) top = fmax(top, (double)logits[i]);
    for (size_t i = 0; i < count; i++) total += out[i] = exp((double)logits[i] - top);
    for (size_t i = 0; i < count; i++) out[i] /= total;
}

void hone_scores(hone_scoring scoring, const float *logits, size_t count, double *out) {
    assert(count >= 1);
    switch (scoring) {
    case HONE_SCORE_SOFTMAX:
        softmax(logits, count, out);
        break;
    case HONE_SCORE_SIGMOID:
        for (size_t i = 0; i < count; i++) out[i] = 1.0 / (1.0 + exp(-(double)logits[i]));
        break;
    case HONE_SCORE_NONE:
        for (size_t i = 0; i < count; i++) out[i] = (double)logits[i];
        break;
    }
}

size_t hone_scores_best(const double *scores, size_t count) {
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (scores[i] > scores[best] || (isnan(scores[best]) && !isnan(scores[i]))) best = i;
    return best;
}
