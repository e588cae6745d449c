/* optimizer.c: see optimizer.h. */
#include "train/optimizer.h"

#include <math.h>

enum { SPAN_FLOATS = 64 * 1024 }; /* a piece of work: a few tens of microseconds */

static const double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;

static size_t count_spans(const hone_params *params) {
    size_t count = 0;
    for (size_t i = 0; i < params->count; i++)
        count += (params->items[i].count + SPAN_FLOATS - 1) / SPAN_FLOATS;
    return count;
}

static void add_spans(hone_optimizer *o, const hone_param *p) {
    for (size_t at = 0; at < p->count; at += SPAN_FLOATS) {
        size_t count = p->count - at < SPAN_FLOATS ? p->count - at : SPAN_FLOATS;
        o->spans[o->span_count++] = (hone_adamw_span){p->offset + at, count, p->decays};
    }
}

hone_err hone_optimizer_init(hone_arena *arena, hone_tuner *tuner, hone_optimizer *out) {
    const hone_params *params = hone_tuner_params(tuner);
    hone_optimizer o = {
        .tuner = tuner,
        .m = hone_arena_alloc(arena, params->total, sizeof *o.m),
        .v = hone_arena_alloc(arena, params->total, sizeof *o.v),
        .total = params->total,
        .spans = hone_arena_alloc(arena, count_spans(params), sizeof *o.spans),
        .partials = hone_arena_alloc(arena, hone_norm_partials(params->total), sizeof *o.partials),
    };
    if (!o.m || !o.v || !o.spans || !o.partials)
        return hone_err_new(HONE_E_NOMEM, "no memory to train %zu parameters", params->total);
    for (size_t i = 0; i < params->count; i++)
        if (params->items[i].rank > 0) add_spans(&o, &params->items[i]);
    *out = o;
    return HONE_OK;
}

hone_err hone_optimizer_run(hone_optimizer *o, hone_pool *pool, hone_optimizer_step step,
                            double *norm) {
    const float *grads = hone_tuner_grads(o->tuner);
    *norm = hone_norm(pool, grads, o->total, o->partials);
    if (!isfinite(*norm))
        return hone_err_new(HONE_E_INVALID,
                            "the gradient of step %llu is not finite: a lower learning rate or a "
                            "longer warm-up may help",
                            (unsigned long long)step.step);
    hone_adamw_args args = {
        .values = hone_tuner_values(o->tuner),
        .m = o->m,
        .v = o->v,
        .grads = grads,
        .spans = o->spans,
        .span_count = o->span_count,
        .lr = step.lr,
        .beta1 = beta1,
        .beta2 = beta2,
        .eps = eps,
        .weight_decay = step.weight_decay,
        .grad_scale = hone_clip_scale(*norm, step.clip),
        .step = step.step,
    };
    hone_adamw_step(pool, &args);
    hone_tuner_changed(o->tuner);
    return HONE_OK;
}
