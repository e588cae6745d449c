/* toolkit.h: the words of the Hugging Face inference toolkit: its requests and its answers.
 *
 *     {"inputs": "text"}                            [{"label": ..., "score": ...}]
 *     {"inputs": ["text", ...]}                     [{...}, ...]: one a text
 *     ... "parameters": {"top_k": n | null}         the n best, or all, of the one text; for a list a
 *                                                   list of such lists
 *     ... {"return_all_scores": true}               all, in the order of the labels, a list a text
 *     ... {"function_to_apply": "softmax" | "sigmoid" | "none"}
 *     text/plain: the body is the text
 */
#ifndef HONE_API_TOOLKIT_H
#define HONE_API_TOOLKIT_H

#include "base/arena.h"
#include "base/buf.h"
#include "decide/scores.h"

#include <jansson.h>
#include <stdbool.h>

enum { HONE_TOOLKIT_TEXTS_MAX = 4096 };

typedef struct hone_toolkit_call {
    hone_arena *arena;
    const hone_str *texts; /* [count], borrowed from the body, in the arena */
    size_t count;
    json_t *body; /* owned: holds the texts of a large body; NULL when they lie in the arena */
    bool is_list; /* inputs was one */
    bool has_top_k, all_scores, has_scoring;
    size_t top_k; /* 0 = all */
    hone_scoring scoring;
} hone_toolkit_call;

/* INVALID names what is wrong with the request. out is to be done with, also on failure. */
HONE_NODISCARD hone_err hone_toolkit_parse(hone_arena *arena, hone_str content_type, hone_str body,
                                           hone_toolkit_call *out);
void hone_toolkit_done(hone_toolkit_call *call);

typedef struct hone_toolkit_labels {
    const char *const *names; /* [count] */
    size_t count;             /* at least 1 */
    bool is_regression;
} hone_toolkit_labels;

/* Append the answer for logits [call->count, labels->count]. The texts are not needed any more.
 * CORRUPT for logits that are no numbers. */
HONE_NODISCARD hone_err hone_toolkit_format(const hone_toolkit_call *call,
                                            const hone_toolkit_labels *labels, const float *logits,
                                            hone_buf *out);

#endif
