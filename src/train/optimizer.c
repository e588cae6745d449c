/* optimizer.c: see optimizer.h. */
#include "train/optimizer.h"

#include <math.h>

enum { SPAN_FLOATS = 64 * 1024 }; /* a piece of work: a few tens of microseconds */

static const double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;

static size_t count_spans(const hone_trained *trained) {
    size_t count = 0;
    for (size_t i = 0; i < trained->count; i++)
        count += (trained->items[i].count + SPAN_FLOATS - 1) / SPAN_FLOATS;
    return count;
}

static void add_spans(hone_optimizer *o, const hone_param *p, size_t first) {
    for (size_t at = 0; at < p->count; at += SPAN_FLOATS) {
        size_t count = p->count - at < SPAN_FLOATS ? p->count - at : SPAN_FLOATS;
        o->spans[o->span_count++] = (hone_adamw_span){p->offset - first + at, count, p->decays};
    }
}

hone_err hone_optimizer_init(hone_arena *arena, hone_tuner *tuner, hone_optimizer *out) {
    const hone_trained *trained = hone_tuner_trained(tuner);
    size_t count = trained->total - trained->first, rows = 0;
    (void)hone_tuner_used_rows(tuner, &rows);
    hone_optimizer o = {
        .tuner = tuner,
        .m = hone_arena_alloc(arena, count, sizeof *o.m),
        .v = hone_arena_alloc(arena, count, sizeof *o.v),
        .count = count,
        .moving = hone_arena_alloc(arena, rows + 1, sizeof *o.moving),
        .rows = rows,
        .spans = hone_arena_alloc(arena, count_spans(trained), sizeof *o.spans),
        .partials = hone_arena_alloc(arena, hone_norm_partials(count), sizeof *o.partials),
    };
    if (!o.m || !o.v || !o.moving || !o.spans || !o.partials)
        return hone_err_new(HONE_E_NOMEM, "no memory to train %zu parameters", count);
    for (size_t i = 0; i < trained->count; i++)
        if (trained->items[i].rank > 0) add_spans(&o, &trained->items[i], trained->first);
    *out = o;
    return HONE_OK;
}

/* Before the first step moments are 0, or those of a checkpoint. */
static void find_moving(hone_optimizer *o, size_t width) {
    if (o->is_moving_known) return;
    for (size_t i = 0; i < o->rows * width; i++)
        if (o->m[i] != 0.0F || o->v[i] != 0.0F) o->moving[i / width] = 1;
    o->is_moving_known = true;
}

hone_err hone_optimizer_run(hone_optimizer *o, hone_pool *pool, hone_optimizer_step step,
                            double *norm) {
    const float *grads = hone_tuner_grads(o->tuner);
    size_t rows = 0, width = (size_t)hone_tuner_config(o->tuner)->hidden;
    const uint8_t *used = hone_tuner_used_rows(o->tuner, &rows);
    *norm = hone_norm(pool, grads, o->count, (hone_used_rows){used, rows, width}, o->partials);
    if (!isfinite(*norm))
        return hone_err_new(HONE_E_INVALID,
                            "the gradient of step %llu is not finite: a lower learning rate or a "
                            "longer warm-up may help",
                            (unsigned long long)step.step);
    find_moving(o, width);
    for (size_t i = 0; i < rows; i++) o->moving[i] |= used[i];
    hone_adamw_args args = {
        .values = hone_tuner_values(o->tuner) + hone_tuner_trained(o->tuner)->first,
        .m = o->m,
        .v = o->v,
        .grads = grads,
        .spans = o->spans,
        .span_count = o->span_count,
        .moving = {o->moving, rows, width},
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
