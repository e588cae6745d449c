/* train_head.c: see train_head.h. */
#include "cli/train_head.h"

#include "cli/metrics_json.h"

#include <stdio.h>
#include <string.h>

/* Chosen on CR and SST-2 (docs/learning.md): with the 1 that is usual elsewhere a few dozen examples
 * of unequal classes give the larger class always; below 0.1, thousands are overfitted. */
static const double penalty_default = 0.2;

hone_err hone_train_head_options(const char *pooling, double penalty, hone_head_options *out) {
    if (!pooling || strcmp(pooling, "mean") == 0)
        out->pooling = HONE_POOLING_MEAN;
    else if (strcmp(pooling, "first") == 0)
        out->pooling = HONE_POOLING_FIRST;
    else
        return hone_err_new(HONE_E_INVALID, "--pooling %s: expected mean or first", pooling);
    out->penalty = penalty > 0 ? penalty : penalty_default;
    return HONE_OK;
}

static hone_err print(const hone_head_result *r) {
    json_t *object = json_object();
    double embed_s = r->embed_s > 0 ? r->embed_s : 1e-9;
    if (r->has_metrics) hone_metrics_add(object, HONE_SINGLE_LABEL, &r->metrics, r->labels.names);
    json_object_set_new(object, "train_loss", json_real(r->train_loss));
    json_object_set_new(object, "steps", json_integer((json_int_t)r->steps));
    json_object_set_new(object, "seconds", json_real(r->embed_s + r->fit_s));
    json_object_set_new(object, "embed_seconds", json_real(r->embed_s));
    json_object_set_new(object, "fit_seconds", json_real(r->fit_s));
    json_object_set_new(object, "examples_per_second", json_real((double)r->examples / embed_s));
    json_object_set_new(object, "tokens_per_second", json_real((double)r->tokens / embed_s));
    return hone_metrics_print(object);
}

hone_err hone_train_head(hone_arena *arena, hone_pool *pool, const hone_head_options *options,
                         const hone_dataset *train, const hone_dataset *eval) {
    hone_head_result result;
    HONE_TRY(hone_head_train(arena, pool, options, train, eval, &result));
    fprintf(stderr, "embedded %zu texts in %.1f s; fitted in %.2f s and %zu steps%s\n",
            result.examples, result.embed_s, result.fit_s, result.steps,
            result.converged ? "" : ", which were too few to converge: a larger --penalty helps");
    fprintf(stderr, "wrote '%s'\n", options->out);
    return print(&result);
}
