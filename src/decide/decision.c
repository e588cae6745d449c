/* decision.c: see decision.h. */
#include "decide/decision.h"

#include "base/philox.h"
#include "decide/scores.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

static const double threshold_default = 0.7;

hone_policy hone_policy_default(hone_str flow) {
    return (hone_policy){.threshold = threshold_default, .audit = 0.0, .flow = flow};
}

/* Plain decimals only: strtod alone would take "nan", "0x1p-1" and " 1". */
static bool parse_share(hone_str text, double *out) {
    enum { LONGEST = 31 };
    char digits[LONGEST + 1] = {0}, *end = NULL;
    if (text.len == 0 || text.len > LONGEST) return false;
    for (size_t i = 0; i < text.len; i++) {
        digits[i] = text.ptr[i];
        if (digits[i] != '.' && (digits[i] < '0' || digits[i] > '9')) return false;
    }
    double value = strtod(digits, &end);
    if (end != digits + text.len || value > 1.0) return false;
    *out = value;
    return true;
}

hone_err hone_policy_set(hone_policy *policy, hone_str tag, hone_str value) {
    double *share = NULL;
    if (hone_str_equal(tag, HONE_S(HONE_TAG_THRESHOLD))) share = &policy->threshold;
    if (hone_str_equal(tag, HONE_S(HONE_TAG_AUDIT))) share = &policy->audit;
    if (!share || parse_share(value, share)) return HONE_OK;
    return hone_err_new(HONE_E_INVALID,
                        "tag '%.*s' of flow '%.*s' is '%.*s', expected a number from 0 to 1",
                        HONE_ARG(tag), HONE_ARG(policy->flow), HONE_ARG(value));
}

/* FNV-1a: http://www.isthe.com/chongo/tech/comp/fnv. Philox mixes what it leaves unmixed. */
static uint64_t hash(hone_str s) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < s.len; i++) h = (h ^ (unsigned char)s.ptr[i]) * UINT64_C(0x100000001b3);
    return h;
}

bool hone_policy_draws(const hone_policy *policy, hone_str text) {
    enum { STREAM_AUDIT = 0x61756474 }; /* "audt": apart from the streams of training */
    uint64_t h = hash(text);
    hone_philox drawn = hone_philox_at(hash(policy->flow), (uint32_t)h, (uint32_t)(h >> 32),
                                       (uint32_t)text.len, STREAM_AUDIT);
    uint64_t bits = ((uint64_t)drawn.word[0] << 32 | drawn.word[1]) >> 11;
    return (double)bits * 0x1p-53 < policy->audit; /* [0, 1): share 0 never, share 1 always */
}

hone_decision hone_decision_of(const hone_policy *policy, hone_str label, double score,
                               hone_str text) {
    hone_decision d = {.label = label, .confidence = score};
    if (!(score >= policy->threshold)) /* also when it is no number */
        d.reason = HONE_REASON_UNSURE;
    else if (hone_policy_draws(policy, text))
        d.reason = HONE_REASON_AUDIT;
    d.action = d.reason == HONE_REASON_NONE ? HONE_ACCEPT : HONE_ASK;
    return d;
}

/* The largest softmax without the others: 1 / sum exp(z - max). */
static double confidence_of(const float *logits, size_t count, size_t best) {
    double total = 0.0;
    if (hone_scoring_default(count) == HONE_SCORE_SIGMOID)
        return 1.0 / (1.0 + exp(-(double)logits[0]));
    for (size_t i = 0; i < count; i++) total += exp((double)logits[i] - (double)logits[best]);
    return 1.0 / total;
}

hone_decision hone_decision_make(const hone_policy *policy, const float *logits,
                                 const char *const *names, size_t count, hone_str text) {
    assert(count >= 1);
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (logits[i] > logits[best]) best = i;
    hone_decision d = hone_decision_of(policy, hone_str_of(names[best]),
                                       confidence_of(logits, count, best), text);
    d.index = best;
    return d;
}

const char *hone_reason_format(hone_reason reason) {
    switch (reason) {
    case HONE_REASON_NONE:
        return "none";
    case HONE_REASON_UNSURE:
        return "unsure";
    case HONE_REASON_AUDIT:
        return "audit";
    }
    return "none";
}
