/* adamw.c: see adamw.h. Bound by memory: 28 bytes a parameter pass through, so plain loops
 * that the compiler turns into SIMD are as fast as anything. */
#include "nn/adamw.h"

#include <math.h>

enum { NORM_PIECE = 64 * 1024, LANES = 8 };

/* The factors of one step, worked out once in double. */
typedef struct adamw_step {
    const hone_adamw_args *args;
    float keep;  /* 1 - lr * weight_decay */
    float scale; /* of the gradient */
    float rate1; /* 1 - beta1 */
    float rate2; /* 1 - beta2 */
    float beta2;
    float step_size;  /* lr / (1 - beta1^step) */
    float root_scale; /* 1 / sqrt(1 - beta2^step) */
    float eps;
} adamw_step;

static void step_span(void *ctx, size_t index, size_t worker) {
    (void)worker;
    const adamw_step s = *(const adamw_step *)ctx;
    const hone_adamw_span *span = &s.args->spans[index];
    float *restrict value = s.args->values + span->offset;
    float *restrict m = s.args->m + span->offset;
    float *restrict v = s.args->v + span->offset;
    const float *restrict grad = s.args->grads + span->offset;
    const float keep = span->decays ? s.keep : 1.0F;
    for (size_t i = 0; i < span->count; i++) {
        float g = grad[i] * s.scale;
        m[i] += s.rate1 * (g - m[i]);
        v[i] = s.beta2 * v[i] + s.rate2 * g * g;
        value[i] = keep * value[i] - s.step_size * m[i] / (sqrtf(v[i]) * s.root_scale + s.eps);
    }
}

void hone_adamw_step(hone_pool *pool, const hone_adamw_args *a) {
    double bias1 = 1 - pow(a->beta1, (double)a->step), bias2 = 1 - pow(a->beta2, (double)a->step);
    adamw_step s = {
        .args = a,
        .keep = (float)(1 - a->lr * a->weight_decay),
        .scale = (float)a->grad_scale,
        .rate1 = (float)(1 - a->beta1),
        .rate2 = (float)(1 - a->beta2),
        .beta2 = (float)a->beta2,
        .step_size = (float)(a->lr / bias1),
        .root_scale = (float)(1 / sqrt(bias2)),
        .eps = (float)a->eps,
    };
    hone_pool_run(pool, a->span_count, step_span, &s);
}

typedef struct norm_work {
    const float *x;
    size_t count;
    double *partials;
} norm_work;

/* Several lanes, because one sum of doubles would wait for itself at every element. */
static void norm_piece(void *ctx, size_t index, size_t worker) {
    (void)worker;
    const norm_work *w = ctx;
    size_t begin = index * NORM_PIECE;
    size_t end = w->count - begin < NORM_PIECE ? w->count : begin + NORM_PIECE;
    double lanes[LANES] = {0}, sum = 0;
    size_t i = begin;
    for (; i + LANES <= end; i += LANES)
        for (size_t j = 0; j < LANES; j++) lanes[j] += (double)w->x[i + j] * (double)w->x[i + j];
    for (; i < end; i++) sum += (double)w->x[i] * (double)w->x[i];
    for (size_t j = 0; j < LANES; j++) sum += lanes[j];
    w->partials[index] = sum;
}

size_t hone_norm_partials(size_t count) { return (count + NORM_PIECE - 1) / NORM_PIECE; }

// NOLINTNEXTLINE(readability-non-const-parameter): partials is written, through w
double hone_norm(hone_pool *pool, const float *x, size_t count, double *partials) {
    norm_work w = {x, count, partials};
    size_t pieces = hone_norm_partials(count);
    hone_pool_run(pool, pieces, norm_piece, &w);
    double sum = 0;
    for (size_t i = 0; i < pieces; i++) sum += partials[i];
    return sqrt(sum);
}
