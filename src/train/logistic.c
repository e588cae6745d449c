/* logistic.c: see logistic.h. L-BFGS (Nocedal & Wright, Numerical Optimization, algorithm 7.4)
 * with a line search that halves until the objective falls enough (Armijo). The objective is
 * strictly convex in W, so curvature is positive up to rounding; a pair that is not is left out.
 *
 * The unknowns are one flat vector: [classes, dim] of W, then [classes] of b. */
#include "train/logistic.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum {
    CHUNKS_MAX = 64,
    CHUNK_ROWS_MIN = 32,
    PARTIALS_MAX = 1 << 24, /* numbers in all chunks: 128 MiB */
    PAIRS = 10,             /* of steps and changes of the gradient that are remembered */
    STEPS_MAX = 2000,       /* evaluations; a few dozen are usual */
    HALVINGS_MAX = 30,
};
static const double gradient_max = 1e-6; /* largest element per row, at the optimum */
static const double armijo = 1e-4;

typedef struct fitting {
    const hone_logistic_data *data;
    hone_pool *pool;
    double penalty;
    size_t unknowns;
    size_t chunks, chunk_rows;
    const double *w; /* where the objective is being evaluated */
    double *partial; /* [chunks, unknowns + 1]: gradient and loss of each chunk */
    double *scores;  /* [chunks, classes] */
    size_t steps;
    double loss; /* sum over the rows of the last evaluation */
} fitting;

typedef struct pair {
    double *s, *y; /* [unknowns] */
    double rho;    /* 1 / s.y */
} pair;

/* In a fixed order that vector units can follow: the compiler may not reorder a sum. */
static double dot(const double *a, const double *b, size_t count) {
    enum { LANES = 8 };
    double lanes[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (size_t j = 0; j < LANES; j++) lanes[j] += a[i + j] * b[i + j];
    for (; i < count; i++) sum += a[i] * b[i];
    for (size_t j = 0; j < LANES; j++) sum += lanes[j];
    return sum;
}

static double dot_float(const double *a, const float *b, size_t count) {
    enum { LANES = 8 };
    double lanes[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (size_t j = 0; j < LANES; j++) lanes[j] += a[i + j] * (double)b[i + j];
    for (; i < count; i++) sum += a[i] * (double)b[i];
    for (size_t j = 0; j < LANES; j++) sum += lanes[j];
    return sum;
}

static void add_scaled(double *to, double factor, const double *from, size_t count) {
    for (size_t i = 0; i < count; i++) to[i] += factor * from[i];
}

/* Turn scores into probabilities; returns the log of their sum of exponentials. */
static double softmax(double *scores, size_t count) {
    double max = scores[0], sum = 0;
    for (size_t i = 1; i < count; i++) max = fmax(max, scores[i]);
    for (size_t i = 0; i < count; i++) sum += exp(scores[i] - max);
    double log_sum = max + log(sum);
    for (size_t i = 0; i < count; i++) scores[i] = exp(scores[i] - log_sum);
    return log_sum;
}

/* The gradient and loss of a chunk's rows. */
static void chunk_piece(void *ctx, size_t index, size_t worker) {
    const fitting *f = ctx;
    const hone_logistic_data *d = f->data;
    size_t begin = index * f->chunk_rows, end = begin + f->chunk_rows;
    double *gradient = f->partial + index * (f->unknowns + 1);
    double *bias_gradient = gradient + d->classes * d->dim, *loss = gradient + f->unknowns;
    double *scores = f->scores + index * d->classes;
    (void)worker;
    memset(gradient, 0, (f->unknowns + 1) * sizeof *gradient);
    for (size_t i = begin; i < end && i < d->count; i++) {
        const float *x = d->x + i * d->dim;
        for (size_t k = 0; k < d->classes; k++)
            scores[k] = dot_float(f->w + k * d->dim, x, d->dim) + f->w[d->classes * d->dim + k];
        double right = scores[d->labels[i]];
        *loss += softmax(scores, d->classes) - right;
        scores[d->labels[i]] -= 1;
        for (size_t k = 0; k < d->classes; k++) {
            double *g = gradient + k * d->dim;
            for (size_t j = 0; j < d->dim; j++) g[j] += scores[k] * (double)x[j];
            bias_gradient[k] += scores[k];
        }
    }
}

/* The objective and its gradient at w. */
static double evaluate(fitting *f, const double *w, double *gradient) {
    size_t weights = f->data->classes * f->data->dim;
    f->w = w;
    f->steps++;
    hone_pool_run(f->pool, f->chunks, chunk_piece, f);
    memset(gradient, 0, f->unknowns * sizeof *gradient);
    f->loss = 0;
    for (size_t c = 0; c < f->chunks; c++) {
        const double *part = f->partial + c * (f->unknowns + 1);
        add_scaled(gradient, 1, part, f->unknowns);
        f->loss += part[f->unknowns];
    }
    add_scaled(gradient, f->penalty, w, weights);
    return f->loss + f->penalty / 2 * dot(w, w, weights);
}

/* -H g by the two loops over the pairs, the newest last. */
static void find_direction(const pair *pairs, size_t count, const double *g, size_t n, double *d) {
    double alpha[PAIRS];
    for (size_t i = 0; i < n; i++) d[i] = -g[i];
    for (size_t i = count; i-- > 0;) {
        alpha[i] = pairs[i].rho * dot(pairs[i].s, d, n);
        add_scaled(d, -alpha[i], pairs[i].y, n);
    }
    if (count > 0) {
        const pair *newest = &pairs[count - 1];
        double scale = 1 / (newest->rho * dot(newest->y, newest->y, n));
        for (size_t i = 0; i < n; i++) d[i] *= scale;
    }
    for (size_t i = 0; i < count; i++)
        add_scaled(d, alpha[i] - pairs[i].rho * dot(pairs[i].y, d, n), pairs[i].s, n);
}

/* Remember a step and how the gradient changed; the oldest pair makes room. */
static void remember(pair *pairs, size_t *count, const double *w, const double *w_new,
                     const double *g, const double *g_new, size_t n) {
    if (*count == PAIRS) {
        pair oldest = pairs[0];
        memmove(pairs, pairs + 1, (PAIRS - 1) * sizeof *pairs);
        pairs[--*count] = oldest;
    }
    pair *p = &pairs[*count];
    for (size_t i = 0; i < n; i++) {
        p->s[i] = w_new[i] - w[i];
        p->y[i] = g_new[i] - g[i];
    }
    double sy = dot(p->s, p->y, n);
    if (!(sy > 0)) return;
    p->rho = 1 / sy;
    ++*count;
}

static double largest(const double *values, size_t count) {
    double max = 0;
    for (size_t i = 0; i < count; i++) max = fmax(max, fabs(values[i]));
    return max;
}

/* The vectors of a run, each [unknowns]. */
typedef struct vectors {
    double *w, *w_new, *g, *g_new, *direction;
    pair pairs[PAIRS];
} vectors;

static bool allocate(hone_arena *arena, fitting *f, vectors *v) {
    double **const all[] = {&v->w, &v->w_new, &v->g, &v->g_new, &v->direction};
    bool ok = true;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        ok = (*all[i] = hone_arena_alloc(arena, f->unknowns, sizeof(double))) && ok;
    for (size_t i = 0; i < PAIRS; i++) {
        ok = (v->pairs[i].s = hone_arena_alloc(arena, f->unknowns, sizeof(double))) && ok;
        ok = (v->pairs[i].y = hone_arena_alloc(arena, f->unknowns, sizeof(double))) && ok;
    }
    f->partial = hone_arena_alloc(arena, f->chunks, (f->unknowns + 1) * sizeof(double));
    f->scores = hone_arena_alloc(arena, f->chunks, f->data->classes * sizeof(double));
    return ok && f->partial && f->scores;
}

/* Go along the direction as far as the objective falls enough; false where it no longer does:
 * that is the optimum, to rounding. */
static bool search_line(fitting *f, vectors *v, double *value, bool is_first) {
    size_t n = f->unknowns;
    double slope = dot(v->g, v->direction, n);
    double step = is_first ? 1 / fmax(1, sqrt(dot(v->g, v->g, n))) : 1;
    for (size_t i = 0; i < HALVINGS_MAX; i++) {
        memcpy(v->w_new, v->w, n * sizeof *v->w);
        add_scaled(v->w_new, step, v->direction, n);
        double found = evaluate(f, v->w_new, v->g_new);
        if (found <= *value + armijo * step * slope && found < *value) {
            *value = found;
            return true;
        }
        step /= 2;
    }
    return false;
}

/* From 0 to the optimum, which is left in v->w. */
static bool descend(fitting *f, vectors *v) {
    size_t n = f->unknowns, count = 0;
    double value = evaluate(f, v->w, v->g);
    while (largest(v->g, n) > gradient_max * (double)f->data->count) {
        if (f->steps >= STEPS_MAX) return false;
        find_direction(v->pairs, count, v->g, n, v->direction);
        if (!search_line(f, v, &value, count == 0)) break;
        remember(v->pairs, &count, v->w, v->w_new, v->g, v->g_new, n);
        double *w = v->w, *g = v->g;
        v->w = v->w_new;
        v->g = v->g_new;
        v->w_new = w;
        v->g_new = g;
    }
    return true;
}

/* A function of the data's shape alone, and few enough for their gradients to fit. */
static void choose_chunks(fitting *f) {
    size_t rows = f->data->count, most = PARTIALS_MAX / (f->unknowns + 1);
    if (most > CHUNKS_MAX) most = CHUNKS_MAX;
    if (most < 1) most = 1;
    f->chunk_rows = (rows + most - 1) / most;
    if (f->chunk_rows < CHUNK_ROWS_MIN) f->chunk_rows = CHUNK_ROWS_MIN;
    f->chunks = (rows + f->chunk_rows - 1) / f->chunk_rows;
}

hone_err hone_logistic_fit(hone_arena *arena, hone_pool *pool, const hone_logistic_data *data,
                           double penalty, hone_logistic *out) {
    assert(data->count > 0 && data->dim > 0 && data->classes > 0);
    assert(penalty > 0);
    fitting f = {.data = data, .pool = pool, .unknowns = data->classes * (data->dim + 1)};
    /* Of two classes each holds half of the difference, whose square is twice both's. */
    f.penalty = data->classes == 2 ? 2 * penalty : penalty;
    choose_chunks(&f);
    vectors v;
    if (!allocate(arena, &f, &v))
        return hone_err_new(HONE_E_NOMEM, "no memory to fit %zu classes of %zu dimensions",
                            data->classes, data->dim);
    bool converged = descend(&f, &v);
    (void)evaluate(&f, v.w, v.g); /* the line search may have looked elsewhere last */
    *out = (hone_logistic){.dim = data->dim,
                           .classes = data->classes,
                           .weight = v.w,
                           .bias = v.w + data->classes * data->dim,
                           .steps = f.steps,
                           .loss = f.loss / (double)data->count,
                           .converged = converged};
    return HONE_OK;
}

void hone_logistic_apply(const hone_logistic *fit, const float *x, float *out) {
    for (size_t k = 0; k < fit->classes; k++)
        out[k] = (float)(dot_float(fit->weight + k * fit->dim, x, fit->dim) + fit->bias[k]);
}
