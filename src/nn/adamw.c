/* adamw.c: see adamw.h. Bound by memory: 28 bytes a parameter pass through, so plain loops
 * that the compiler turns into SIMD are as fast as anything. */
#include "nn/adamw.h"

#include <math.h>

enum { NORM_PIECE = 64 * 1024, LANES = 8 };

/* The end of those floats from `at` on that are used like it, or of all of them. */
static size_t run_end(const hone_used_rows *rows, size_t at, size_t end, bool *is_used) {
    *is_used = true;
    if (at >= rows->count * rows->width) return end;
    size_t row = at / rows->width, first = row;
    *is_used = rows->used[row] != 0;
    while (row < rows->count && row * rows->width < end && rows->used[row] == rows->used[first])
        row++;
    return row * rows->width < end ? row * rows->width : end;
}

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

static void step_run(const adamw_step *step, size_t first, size_t count, float keep) {
    const adamw_step s = *step;
    float *restrict value = s.args->values + first;
    float *restrict m = s.args->m + first;
    float *restrict v = s.args->v + first;
    const float *restrict grad = s.args->grads + first;
    for (size_t i = 0; i < count; i++) {
        float g = grad[i] * s.scale;
        m[i] += s.rate1 * (g - m[i]);
        v[i] = s.beta2 * v[i] + s.rate2 * g * g;
        value[i] = keep * value[i] - s.step_size * m[i] / (sqrtf(v[i]) * s.root_scale + s.eps);
    }
}

static void step_span(void *ctx, size_t index, size_t worker) {
    (void)worker;
    const adamw_step *s = ctx;
    const hone_adamw_span *span = &s->args->spans[index];
    const float keep = span->decays ? s->keep : 1.0F;
    size_t end = span->offset + span->count, next = end;
    for (size_t at = span->offset; at < end; at = next) {
        bool moves = true;
        next = run_end(&s->args->moving, at, end, &moves);
        if (moves)
            step_run(s, at, next - at, keep);
        else
            for (size_t i = at; i < next; i++) s->args->values[i] *= keep;
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
    hone_used_rows rows;
    double *partials;
} norm_work;

/* Several lanes, because one sum of doubles would wait for itself at every element. */
static void norm_piece(void *ctx, size_t index, size_t worker) {
    (void)worker;
    const norm_work *w = ctx;
    size_t begin = index * NORM_PIECE;
    size_t end = w->count - begin < NORM_PIECE ? w->count : begin + NORM_PIECE;
    double lanes[LANES] = {0}, sum = 0;
    size_t next = end;
    for (size_t i = begin; i < end; i = next) {
        bool is_used = true;
        next = run_end(&w->rows, i, end, &is_used);
        if (!is_used) continue;
        for (; i + LANES <= next; i += LANES)
            for (size_t j = 0; j < LANES; j++)
                lanes[j] += (double)w->x[i + j] * (double)w->x[i + j];
        for (; i < next; i++) sum += (double)w->x[i] * (double)w->x[i];
    }
    for (size_t j = 0; j < LANES; j++) sum += lanes[j];
    w->partials[index] = sum;
}

size_t hone_norm_partials(size_t count) { return (count + NORM_PIECE - 1) / NORM_PIECE; }

// NOLINTNEXTLINE(readability-non-const-parameter): partials is written, through w
double hone_norm(hone_pool *pool, const float *x, size_t count, hone_used_rows rows,
                 double *partials) {
    norm_work w = {x, count, rows, partials};
    size_t pieces = hone_norm_partials(count);
    hone_pool_run(pool, pieces, norm_piece, &w);
    double sum = 0;
    for (size_t i = 0; i < pieces; i++) sum += partials[i];
    return sqrt(sum);
}
