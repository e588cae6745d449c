/* test_logistic.c: what makes a fit the optimum, computed here by plain loops: the gradient of
 * the objective is 0 there, and no step aside lowers it. Data are drawn from Philox. */
#include "train/logistic.h"

#include "base/philox.h"
#include "check.h"

#include <math.h>
#include <string.h>

enum { ROWS_MAX = 300, DIM_MAX = 21, CLASSES_MAX = 5 };

typedef struct example {
    size_t count, dim, classes;
    double penalty;
} example;

static const example EXAMPLES[] = {
    {300, 21, 2, 1.0}, {300, 7, 5, 0.5}, {40, 21, 3, 0.01}, {2, 3, 2, 1.0}, {33, 1, 2, 10.0},
};
enum { EXAMPLES_COUNT = sizeof EXAMPLES / sizeof EXAMPLES[0] };

static float x[ROWS_MAX * DIM_MAX];
static int32_t labels[ROWS_MAX];

/* Classes that overlap: each moves the mean of one element. */
static hone_logistic_data draw(const example *e) {
    for (size_t i = 0; i < e->count; i++) {
        labels[i] = (int32_t)(i % e->classes);
        for (size_t j = 0; j < e->dim; j++) {
            hone_philox r = hone_philox_at(7, (uint32_t)i, (uint32_t)j, 0, 0);
            float shift = j == (size_t)labels[i] % e->dim ? 0.5F : 0.0F;
            x[i * e->dim + j] = hone_philox_unit(r.word[0]) - 0.5F + shift;
        }
    }
    return (hone_logistic_data){e->count, e->dim, e->classes, x, labels};
}

/* The objective as the header has it; of two classes their difference is penalised. */
static double objective(const hone_logistic_data *d, double penalty, const double *w,
                        const double *b) {
    double sum = 0;
    for (size_t i = 0; i < d->count; i++) {
        double z[CLASSES_MAX], total = 0;
        for (size_t k = 0; k < d->classes; k++) {
            z[k] = b[k];
            for (size_t j = 0; j < d->dim; j++)
                z[k] += w[k * d->dim + j] * (double)d->x[i * d->dim + j];
        }
        for (size_t k = 0; k < d->classes; k++) total += exp(z[k]);
        sum += log(total) - z[d->labels[i]];
    }
    if (d->classes == 2)
        for (size_t j = 0; j < d->dim; j++)
            sum += penalty / 2 * (w[d->dim + j] - w[j]) * (w[d->dim + j] - w[j]);
    for (size_t j = 0; d->classes > 2 && j < d->classes * d->dim; j++)
        sum += penalty / 2 * w[j] * w[j];
    return sum;
}

static hone_logistic fit(hone_arena *arena, size_t threads, const hone_logistic_data *data,
                         double penalty) {
    hone_pool *pool = NULL;
    hone_logistic out;
    CHECK_OK(hone_pool_create(threads, &pool));
    CHECK_OK(hone_logistic_fit(arena, pool, data, penalty, &out));
    hone_pool_destroy(pool);
    return out;
}

static void test_fit__is_where_the_objective_is_flat_and_lowest(void **state) {
    (void)state;
    for (size_t i = 0; i < EXAMPLES_COUNT; i++) {
        const example *e = &EXAMPLES[i];
        hone_logistic_data data = draw(e);
        hone_arena *arena = NULL;
        CHECK_OK(hone_arena_create((size_t)1 << 26, &arena));
        hone_logistic out = fit(arena, 2, &data, e->penalty);
        assert_true(out.converged);
        double w[CLASSES_MAX * DIM_MAX], b[CLASSES_MAX];
        memcpy(w, out.weight, e->classes * e->dim * sizeof *w);
        memcpy(b, out.bias, e->classes * sizeof *b);
        double best = objective(&data, e->penalty, w, b);
        for (size_t j = 0; j < e->classes * (e->dim + 1); j++) {
            double *p = j < e->classes * e->dim ? &w[j] : &b[j - e->classes * e->dim];
            const double step = 1e-3, at = *p;
            *p = at + step;
            double above = objective(&data, e->penalty, w, b);
            *p = at - step;
            double below = objective(&data, e->penalty, w, b);
            *p = at;
            /* The fit stops at a slope of 1e-6 a row; a step aside costs more than that gives. */
            double slope_max = 2e-6 * (double)e->count;
            if (fmin(above, below) < best - step * slope_max ||
                fabs(above - below) / (2 * step) > slope_max)
                fail_msg("example %zu, unknown %zu: %.12g %.12g %.12g", i, j, below, best, above);
        }
        hone_arena_destroy(arena);
    }
}

static void test_fit__threads_do_not_change_a_bit(void **state) {
    (void)state;
    const example e = {300, 21, 3, 0.1};
    hone_logistic_data data = draw(&e);
    hone_arena *arena = NULL;
    CHECK_OK(hone_arena_create((size_t)1 << 26, &arena));
    hone_logistic one = fit(arena, 1, &data, e.penalty);
    for (size_t threads = 2; threads < 8; threads += 3) {
        hone_logistic many = fit(arena, threads, &data, e.penalty);
        assert_memory_equal(one.weight, many.weight, e.classes * e.dim * sizeof(double));
        assert_memory_equal(one.bias, many.bias, e.classes * sizeof(double));
        assert_int_equal(one.steps, many.steps);
    }
    hone_arena_destroy(arena);
}

static void test_fit__a_class_without_rows_gets_no_say(void **state) {
    (void)state;
    const example e = {60, 4, 2, 1.0};
    hone_logistic_data data = draw(&e);
    data.classes = 3; /* of which the last never occurs */
    hone_arena *arena = NULL;
    CHECK_OK(hone_arena_create((size_t)1 << 26, &arena));
    hone_logistic out = fit(arena, 2, &data, e.penalty);
    for (size_t i = 0; i < data.count; i++) {
        float z[3];
        hone_logistic_apply(&out, data.x + i * data.dim, z);
        assert_true(z[2] < z[0] && z[2] < z[1]);
        assert_true(isfinite(z[2]));
    }
    hone_arena_destroy(arena);
}

static void test_fit__names_what_does_not_fit_in_memory(void **state) {
    (void)state;
    hone_logistic_data data = draw(&EXAMPLES[0]);
    hone_arena *arena = NULL;
    hone_pool *pool = NULL;
    hone_logistic out;
    CHECK_OK(hone_arena_create(1024, &arena));
    CHECK_OK(hone_pool_create(1, &pool));
    CHECK_FAILS(hone_logistic_fit(arena, pool, &data, 1, &out), HONE_E_NOMEM, "2 classes");
    hone_pool_destroy(pool);
    hone_arena_destroy(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fit__is_where_the_objective_is_flat_and_lowest),
        cmocka_unit_test(test_fit__threads_do_not_change_a_bit),
        cmocka_unit_test(test_fit__a_class_without_rows_gets_no_say),
        cmocka_unit_test(test_fit__names_what_does_not_fit_in_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
