/* decision.h: turn a model's logits into a decision, or into a question for a human.
 *
 *     logits --softmax--> confidence --threshold--> ACCEPT label | ASK (unsure)
 *                                          `-audit--> ASK (audit), a share of the sure ones
 *
 * Confident mistakes are only ever seen because of the audit. Its draw is a function of the
 * flow's name and the text: asking again gives the same answer, and no state is kept.
 *
 * Threads: any; pure functions.
 */
#ifndef HONE_DECIDE_DECISION_H
#define HONE_DECIDE_DECISION_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

/* The tags of a flow definition that make its policy. */
#define HONE_TAG_THRESHOLD "hone:threshold"
#define HONE_TAG_AUDIT     "hone:audit"

typedef struct hone_policy {
    double threshold; /* a confidence below it is asked, [0, 1] */
    double audit;     /* share of the others that is asked as well, [0, 1] */
    hone_str flow;    /* audits of two flows are drawn apart */
} hone_policy;

/* Threshold 0.7, no audit. */
hone_policy hone_policy_default(hone_str flow);

/* Take a tag into the policy; tags of other names change nothing. INVALID for a value that is
 * no number from 0 to 1, naming the tag. */
HONE_NODISCARD hone_err hone_policy_set(hone_policy *policy, hone_str tag, hone_str value);

typedef enum hone_action { HONE_ACCEPT, HONE_ASK } hone_action;

typedef enum hone_reason { HONE_REASON_NONE, HONE_REASON_UNSURE, HONE_REASON_AUDIT } hone_reason;

typedef struct hone_decision {
    size_t index;      /* of the label, where the model's labels are known; else 0 */
    hone_str label;    /* borrowed from whoever gave the names */
    double confidence; /* [0, 1] */
    hone_action action;
    hone_reason reason; /* why a human is asked */
} hone_decision;

/* The likeliest of count >= 1 labels, and what policy says of it. A confidence that is no number
 * is unsure. */
hone_decision hone_decision_make(const hone_policy *policy, const float *logits,
                                 const char *const *names, size_t count, hone_str text);

/* The same of a label and its score, as an endpoint answers them. */
hone_decision hone_decision_of(const hone_policy *policy, hone_str label, double score,
                               hone_str text);

/* Is this text among the audited share of the flow? */
bool hone_policy_draws(const hone_policy *policy, hone_str text);

const char *hone_reason_format(hone_reason reason); /* "none", "unsure", "audit" */

#endif
