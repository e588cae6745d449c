/* test_ops.c: every kernel that works on rows (norm, GELU, sums), of every table that this
 * machine runs, is its formula in double, at odd sizes and for extreme numbers; gradients are
 * the central differences of the formula, too.
 *
 * Dropout has test_dropout.c, attention test_attention.c. */
#include "reference.h"

#include <float.h>

static const size_t DIMS[] = {1, 3, 7, 8, 12, 31, 64, 100, 384, 768, 1030, 2500};
static const size_t ROWS[] = {0, 1, 5, 25};
enum { DIM_COUNT = sizeof DIMS / sizeof DIMS[0], ROW_COUNT = sizeof ROWS / sizeof ROWS[0] };

static void test_tables__are_found_by_name(void **state) {
    (void)state;
    assert_non_null(hone_ops_find("generic"));
    assert_null(hone_ops_find("sse9"));
    assert_null(hone_ops_find(""));
    assert_ptr_equal(hone_ops_best(), tables[table_count - 1]); /* the widest */
    FOR_TABLES(ops) assert_ptr_equal(hone_ops_find(ops->name), ops);
}

/* -------------------------------------------------------------------------- sums */

static void check_sums(const hone_ops *ops, size_t dim) {
    float *a = new_random(dim, 1), *b = new_random(dim, 2), *out = new_floats(dim);
    double dot = 0.0, magnitude = 0.0;
    for (size_t i = 0; i < dim; i++) {
        dot += (double)a[i] * (double)b[i];
        magnitude += fabs((double)a[i] * (double)b[i]);
    }
    EXPECT(ops, ops->dot(a, b, dim), dot, sum_error(dim, magnitude), "dot", 0, dim);
    ops->add(out, a, b, dim);
    for (size_t i = 0; i < dim; i++) assert_true(out[i] == a[i] + b[i]);
    memcpy(out, a, dim * sizeof *out); /* out may be either */
    ops->add(out, out, b, dim);
    for (size_t i = 0; i < dim; i++) assert_true(out[i] == a[i] + b[i]);
    ops->add(b, a, b, dim);
    assert_true(same_bits(out, b, dim));
    free(a);
    free(b);
    free(out);
}

static void check_column_sum(const hone_ops *ops, size_t rows, size_t dim) {
    const size_t stride = dim + 3, count = rows ? (rows - 1) * stride + dim : 0;
    float *x = new_random(count, dim), *out = new_random(dim, 3), *before = new_random(dim, 3);
    for (size_t i = 0; i < count; i++)
        if (i % stride >= dim) x[i] = NAN;
    ops->column_sum(out, x, rows, dim, stride);
    for (size_t i = 0; i < dim; i++) {
        double want = (double)before[i], magnitude = fabs(want);
        for (size_t row = 0; row < rows; row++) {
            want += (double)x[row * stride + i];
            magnitude += fabs((double)x[row * stride + i]);
        }
        EXPECT(ops, out[i], want, sum_error(rows, magnitude), "column_sum", rows, i);
    }
    free(x);
    free(out);
    free(before);
}

static void test_sums__are_sums(void **state) {
    (void)state;
    FOR_TABLES(ops) {
        for (size_t dim = 0; dim <= 70; dim++) check_sums(ops, dim);
        for (size_t d = 0; d < DIM_COUNT; d++) {
            check_sums(ops, DIMS[d]);
            for (size_t r = 0; r < ROW_COUNT; r++) check_column_sum(ops, ROWS[r], DIMS[d]);
        }
    }
}

/* -------------------------------------------------------------------------- GELU */

/* The formula behind the kernel is within 7.5e-8 of Phi, so x Phi within 2.2e-7 for negative x
 * (worst at -3.1); for positive x the rounding of 1 - tail, and that of x Phi, add a unit in the
 * last place. The gradient is Phi itself around 0, where the terms of the polynomial cancel and
 * their rounding shows: 3.0e-7 there, measured on four million numbers. */
static double gelu_error(double value) { return 2.2e-7 + 2.0 * UNIT * fabs(value); }
static const double GELU_GRAD_ERROR = 3.5e-7;

static void check_gelu(const hone_ops *ops, const float *x, size_t count) {
    float *out = new_floats(count), *act = new_floats(count), *grad = new_random(count, 4);
    float *dout = new_random(count, 4);
    ops->gelu(out, x, count);
    ops->gelu_grad(grad, act, x, count);
    for (size_t i = 0; i < count; i++) {
        double want = ref_gelu((double)x[i]), slope = ref_gelu_grad((double)x[i]);
        EXPECT(ops, out[i], want, gelu_error(want), "gelu", count, i);
        EXPECT(ops, grad[i], (double)dout[i] * slope, GELU_GRAD_ERROR, "gelu_grad", count, i);
        EXPECT(ops, act[i], want, gelu_error(want), "gelu again", count, i);
    }
    memcpy(act, x, count * sizeof *act); /* in place */
    ops->gelu(act, act, count);
    assert_true(same_bits(act, out, count));
    float *again = new_random(count, 4);
    memcpy(act, x, count * sizeof *act);
    ops->gelu_grad(again, act, act, count);
    assert_true(same_bits(again, grad, count));
    assert_true(same_bits(act, out, count));
    free(out);
    free(act);
    free(grad);
    free(dout);
    free(again);
}

static void test_gelu__is_the_exact_one(void **state) {
    (void)state;
    enum { SWEEP = 200001 };
    float *sweep = new_floats(SWEEP);
    for (size_t i = 0; i < SWEEP; i++) sweep[i] = (float)((double)i * 2e-4 - 20.0);
    FOR_TABLES(ops) {
        check_gelu(ops, sweep, SWEEP);
        for (size_t count = 0; count <= 70; count++) {
            float *few = new_random(count, count);
            for (size_t i = 0; i < count; i++) few[i] *= 4.0f;
            check_gelu(ops, few, count);
            free(few);
        }
    }
    free(sweep);
}

/* The slope of the formula itself, by central differences: error h^2 / 6 f''' = 1e-11. */
static void test_gelu__reference_slope_is_its_difference(void **state) {
    (void)state;
    const double h = 1e-5;
    for (double x = -8.0; x <= 8.0; x += 0.01) {
        double slope = (ref_gelu(x + h) - ref_gelu(x - h)) / (2.0 * h);
        assert_true(fabs(slope - ref_gelu_grad(x)) <= 1e-9);
    }
}

static void test_gelu__of_extreme_numbers(void **state) {
    (void)state;
    const float x[] = {0.0f,   -0.0f,  20.0f,   -20.0f,  1e4f,     -1e4f,     1e20f,
                       -1e20f, 1e-40f, -1e-40f, FLT_MIN, -FLT_MIN, 0x1p-149f, FLT_MAX};
    enum { COUNT = sizeof x / sizeof x[0] };
    FOR_TABLES(ops) {
        float out[COUNT], act[COUNT], grad[COUNT];
        for (size_t i = 0; i < COUNT; i++) grad[i] = 1.0f;
        ops->gelu(out, x, COUNT);
        for (size_t i = 0; i < COUNT; i++) {
            double want = ref_gelu((double)x[i]);
            EXPECT(ops, out[i], want, gelu_error(want), "gelu", 0, i);
        }
        assert_true(out[2] == 20.0f && out[4] == 1e4f && out[13] == FLT_MAX);
        assert_true(out[3] <= 0.0f && out[3] > -1e-37f);
        ops->gelu_grad(grad, act, x, COUNT - 1); /* at FLT_MAX, e^-87 is not small enough */
        for (size_t i = 0; i + 1 < COUNT; i++)
            EXPECT(ops, grad[i], ref_gelu_grad((double)x[i]), GELU_GRAD_ERROR, "gelu_grad", 0, i);
        float nan = NAN, infinite = INFINITY;
        ops->gelu(out, &nan, 1);
        assert_true(isnan(out[0]));
        ops->gelu(out, &infinite, 1);
        assert_true(isinf(out[0]));
    }
}

/* -------------------------------------------------------------------------- norm */

enum { EPS_EXPONENT = -40 }; /* 2^-40 is about BERT's 1e-12, and a float */

/* A norm's arguments, and what they come to in double. */
typedef struct norm_case {
    size_t rows, dim;
    float *x, *residual, *weight, *bias, *dout;
    const hone_drop *drop;
    uint32_t drop_row;
    double *sum;         /* [rows, dim] */
    ref_stats *stats;    /* [rows] */
    double *mean_errors; /* [rows]: how far a mean may be off */
} norm_case;

static norm_case norm_case_new(size_t rows, size_t dim, bool has_residual, const hone_drop *drop) {
    const size_t count = rows * dim;
    norm_case c = {.rows = rows, .dim = dim, .drop = drop, .drop_row = 7};
    c.x = new_random(count, dim);
    c.dout = new_random(count, dim + 1);
    c.weight = new_random(dim, dim + 2);
    c.bias = new_random(dim, dim + 3);
    if (has_residual) c.residual = new_random(count, dim + 4);
    c.sum = calloc(count + 1, sizeof *c.sum);
    c.stats = calloc(rows + 1, sizeof *c.stats);
    c.mean_errors = calloc(rows + 1, sizeof *c.mean_errors);
    return c;
}

/* From x, residual and drop: the sum and its statistics. */
static void norm_case_solve(norm_case *c) {
    for (size_t row = 0; row < c->rows; row++) {
        double magnitude = 0.0;
        for (size_t i = 0, at = row * c->dim; i < c->dim; i++, at++) {
            c->sum[at] = (double)c->x[at];
            c->sum[at] *= (double)ref_row_mask(c->drop, c->drop_row + (uint32_t)row, i);
            if (c->residual) c->sum[at] += (double)c->residual[at];
            magnitude += fabs(c->sum[at]) + 2.0 * fabs((double)c->x[at]);
        }
        c->mean_errors[row] = sum_error(c->dim, magnitude) / (double)c->dim;
        c->stats[row] = ref_row_stats(c->sum + row * c->dim, c->dim, ldexp(1.0, EPS_EXPONENT));
    }
}

static void norm_case_done(norm_case *c) {
    free(c->x);
    free(c->residual);
    free(c->weight);
    free(c->bias);
    free(c->dout);
    free(c->sum);
    free(c->stats);
    free(c->mean_errors);
}

static hone_norm_args norm_args(const norm_case *c, float *sum, float *stats, float *out) {
    return (hone_norm_args){
        .rows = c->rows,
        .dim = c->dim,
        .x = c->x,
        .residual = c->residual,
        .drop = c->drop,
        .drop_row = c->drop_row,
        .weight = c->weight,
        .bias = c->bias,
        .eps = ldexpf(1.0f, EPS_EXPONENT),
        .sum = sum,
        .stats = stats,
        .out = out,
    };
}

/* How far a normalised value may be off: by the mean's error and a rounding of the sum before
 * the division, by the root's relative error after it. */
static double normal_error(const norm_case *c, size_t row, size_t i) {
    double sum = c->sum[row * c->dim + i], rstd = c->stats[row].rstd;
    double before = c->mean_errors[row] + 4.0 * UNIT * fabs(sum);
    return rstd * before + sum_error(c->dim, 1.0) * fabs((sum - c->stats[row].mean) * rstd);
}

static void check_norm_out(const hone_ops *ops, const norm_case *c, const float *out) {
    for (size_t row = 0; row < c->rows; row++)
        for (size_t i = 0; i < c->dim; i++) {
            double weight = (double)c->weight[i], bias = (double)c->bias[i];
            double n = (c->sum[row * c->dim + i] - c->stats[row].mean) * c->stats[row].rstd;
            EXPECT(ops, out[row * c->dim + i], n * weight + bias,
                   fabs(weight) * normal_error(c, row, i) + 2.0 * UNIT * fabs(bias), "norm", row,
                   i);
        }
}

static void check_norm(const hone_ops *ops, norm_case *c) {
    const size_t count = c->rows * c->dim;
    float *sum = new_floats(count), *out = new_floats(count), *stats = new_floats(2 * c->rows);
    float *alias = new_floats(count);
    hone_norm_args args = norm_args(c, sum, stats, out);
    norm_case_solve(c);
    ops->norm(&args);
    check_norm_out(ops, c, out);
    for (size_t row = 0; row < c->rows; row++) {
        for (size_t i = 0, at = row * c->dim; i < c->dim; i++, at++)
            EXPECT(ops, sum[at], c->sum[at],
                   2.0 * UNIT * (fabs(c->sum[at]) + 2.0 * fabs((double)c->x[at])), "sum", row, i);
        EXPECT(ops, stats[2 * row], c->stats[row].mean, c->mean_errors[row], "mean", row, 0);
    }
    /* keeping nothing, and each place that may be another, change no bit */
    args.sum = args.stats = NULL;
    args.out = alias;
    ops->norm(&args);
    assert_true(same_bits(alias, out, count));
    memcpy(alias, c->x, count * sizeof *alias);
    args.x = args.out = alias;
    ops->norm(&args);
    assert_true(same_bits(alias, out, count));
    if (c->residual) {
        memcpy(alias, c->residual, count * sizeof *alias);
        args.x = c->x;
        args.residual = args.out = alias;
        ops->norm(&args);
        assert_true(same_bits(alias, out, count));
    }
    /* the norm alone changes no bit of the rest */
    args = norm_args(c, NULL, NULL, alias);
    args.plain = new_floats(count);
    ops->norm(&args);
    assert_true(same_bits(alias, out, count));
    for (size_t row = 0; row < c->rows; row++)
        for (size_t i = 0, at = row * c->dim; i < c->dim; i++, at++)
            EXPECT(ops, args.plain[at], (c->sum[at] - c->stats[row].mean) * c->stats[row].rstd,
                   normal_error(c, row, i), "plain", row, i);
    free(args.plain);
    args = norm_args(c, alias, stats, new_floats(count));
    memcpy(alias, c->x, count * sizeof *alias);
    args.x = alias; /* sum may be x */
    ops->norm(&args);
    assert_true(same_bits(alias, sum, count));
    assert_true(same_bits(args.out, out, count));
    free(args.out);
    free(sum);
    free(out);
    free(stats);
    free(alias);
}

static const hone_drop DROP = {.p = 0.3f, .seed = 0x123456789ABCDEF, .step = 11, .site = 0x50021};

static void test_norm__is_its_formula(void **state) {
    (void)state;
    FOR_TABLES(ops)
    for (size_t d = 0; d < DIM_COUNT; d++)
        for (size_t r = 0; r < ROW_COUNT; r++)
            for (int flags = 0; flags < 4; flags++) {
                norm_case c = norm_case_new(ROWS[r], DIMS[d], flags & 1, flags & 2 ? &DROP : NULL);
                check_norm(ops, &c);
                norm_case_done(&c);
            }
}

/* Sums that floats hold exactly leave nothing to round: out is the bias, to the bit. A row with
 * one huge element is an ordinary row. */
static void test_norm__of_extreme_rows(void **state) {
    (void)state;
    static const float levels[] = {0.0f, 1.0f, -0.5f, 1e4f, -1e4f, 0x1p-140f};
    FOR_TABLES(ops)
    for (size_t d = 0; d < DIM_COUNT; d++) {
        const size_t dim = DIMS[d];
        norm_case c = norm_case_new(1, dim, false, NULL);
        float *out = new_floats(dim);
        hone_norm_args args = norm_args(&c, NULL, NULL, out);
        for (size_t level = 0; level < sizeof levels / sizeof levels[0]; level++) {
            for (size_t i = 0; i < dim; i++) c.x[i] = levels[level];
            ops->norm(&args);
            for (size_t i = 0; i < dim; i++) assert_true(out[i] == c.bias[i]);
        }
        fill_random(c.x, dim, 1);
        c.x[dim / 2] = 1e6f;
        norm_case_solve(&c);
        ops->norm(&args);
        check_norm_out(ops, &c, out);
        c.x[dim / 2] = NAN;
        ops->norm(&args);
        for (size_t i = 0; i < dim; i++) assert_true(isnan(out[i]));
        free(out);
        norm_case_done(&c);
    }
}

/* The loss whose gradients are asked: the sum of dout * norm(mask * x + residual). */
static double norm_loss(const norm_case *c, const double *x, const double *weight,
                        const double *bias, double *sum) {
    double loss = 0.0;
    for (size_t row = 0; row < c->rows; row++) {
        for (size_t i = 0, at = row * c->dim; i < c->dim; i++, at++)
            sum[i] = x[at] * (double)ref_row_mask(c->drop, c->drop_row + (uint32_t)row, i) +
                     (c->residual ? (double)c->residual[at] : 0.0);
        ref_stats s = ref_row_stats(sum, c->dim, ldexp(1.0, EPS_EXPONENT));
        for (size_t i = 0, at = row * c->dim; i < c->dim; i++, at++)
            loss += (double)c->dout[at] * ((sum[i] - s.mean) * s.rstd * weight[i] + bias[i]);
    }
    return loss;
}

/* The kernel's own way: norm, its gradient, then dropout's mask on what goes to x. dweight and
 * dbias are added to what is there (1 everywhere). */
static void norm_grads(const hone_ops *ops, const norm_case *c, float *dx, float *dweight,
                       float *dbias) {
    const size_t count = c->rows * c->dim;
    float *sum = new_floats(count), *stats = new_floats(2 * c->rows), *out = new_floats(count);
    hone_norm_args args = norm_args(c, sum, stats, out);
    ops->norm(&args);
    for (size_t i = 0; i < c->dim; i++) dweight[i] = dbias[i] = 1.0f;
    hone_norm_grad_args grad = {.rows = c->rows,
                                .dim = c->dim,
                                .sum = sum,
                                .stats = stats,
                                .weight = c->weight,
                                .dout = c->dout,
                                .dsum = out,
                                .dweight = dweight,
                                .dbias = dbias};
    ops->norm_grad(&grad);
    memcpy(dx, c->dout, count * sizeof *dx); /* dsum may be dout */
    grad.dout = grad.dsum = dx;
    float *again = new_random(2 * c->dim, 1);
    grad.dweight = again;
    grad.dbias = again + c->dim;
    ops->norm_grad(&grad);
    assert_true(same_bits(dx, out, count));
    if (c->drop) ops->dropout(dx, c->rows, c->dim, c->drop, c->drop_row);
    free(again);
    free(sum);
    free(stats);
    free(out);
}

/* The gradient kernel's formula in double: dsum, and what is added to dweight. */
static void ref_norm_grad(const norm_case *c, double *dsum, double *dweight) {
    memset(dweight, 0, c->dim * sizeof *dweight);
    for (size_t row = 0; row < c->rows; row++) {
        double g_mean = 0.0, gn_mean = 0.0, rstd = c->stats[row].rstd;
        for (int pass = 0; pass < 2; pass++)
            for (size_t i = 0, at = row * c->dim; i < c->dim; i++, at++) {
                double n = (c->sum[at] - c->stats[row].mean) * rstd;
                double g = (double)c->dout[at] * (double)c->weight[i];
                if (pass == 0) {
                    g_mean += g / (double)c->dim;
                    gn_mean += g * n / (double)c->dim;
                    dweight[i] += (double)c->dout[at] * n;
                } else {
                    dsum[at] = rstd * (g - g_mean - n * gn_mean);
                }
            }
    }
}

/* The largest rstd and normalised value of a case: what an error of a gradient grows with. */
static double norm_steepness(const norm_case *c, double *rstd_max) {
    double n_max = 1.0;
    *rstd_max = 0.0;
    for (size_t row = 0; row < c->rows; row++) {
        *rstd_max = fmax(*rstd_max, c->stats[row].rstd);
        for (size_t i = 0; i < c->dim; i++)
            n_max = fmax(
                n_max, fabs((c->sum[row * c->dim + i] - c->stats[row].mean) * c->stats[row].rstd));
    }
    return n_max;
}

/* Two means over a row and a few roundings, of terms up to rstd * n^2. */
static void check_norm_grad(const hone_ops *ops, norm_case *c) {
    const size_t count = c->rows * c->dim;
    float *dx = new_floats(count), *dweight = new_floats(c->dim), *dbias = new_floats(c->dim);
    double *dsum = calloc(count + 1, sizeof *dsum), *want = calloc(c->dim, sizeof *want);
    double rstd_max = 0.0;
    norm_case_solve(c);
    ref_norm_grad(c, dsum, want);
    norm_grads(ops, c, dx, dweight, dbias);
    double n_max = norm_steepness(c, &rstd_max);
    double n_error = sum_error(c->dim, 1.0) * (1.0 + rstd_max) * n_max;
    for (size_t row = 0; row < c->rows; row++)
        for (size_t i = 0, at = row * c->dim; i < c->dim; i++, at++) {
            double mask = (double)ref_row_mask(c->drop, c->drop_row + (uint32_t)row, i);
            EXPECT(ops, dx[at], dsum[at] * mask, rstd_max * n_max * n_error * 2.0, "dx", row, i);
        }
    for (size_t i = 0; i < c->dim; i++) {
        double db = 1.0, rows = (double)c->rows;
        for (size_t row = 0; row < c->rows; row++) db += (double)c->dout[row * c->dim + i];
        EXPECT(ops, dweight[i], want[i] + 1.0, sum_error(c->rows, 1.0 + rows) + rows * n_error,
               "dweight", 0, i);
        EXPECT(ops, dbias[i], db, sum_error(c->rows, 1.0 + rows), "dbias", 0, i);
    }
    free(dx);
    free(dweight);
    free(dbias);
    free(dsum);
    free(want);
}

static void test_norm_grad__is_its_formula(void **state) {
    (void)state;
    FOR_TABLES(ops)
    for (size_t d = 0; d < DIM_COUNT; d++)
        for (size_t r = 0; r < ROW_COUNT; r++)
            for (int flags = 0; flags < 4; flags++) {
                norm_case c = norm_case_new(ROWS[r], DIMS[d], flags & 1, flags & 2 ? &DROP : NULL);
                check_norm_grad(ops, &c);
                norm_case_done(&c);
            }
}

/* A parameter of the loss, its gradient by the kernel, and what the kernel's began with. */
typedef struct varied {
    double *values;
    const float *grad;
    size_t count;
    double before;
} varied;

/* h = 1e-4 is small against sums of about 1, and large enough that the loss, good to 1e-14,
 * gives differences good to 1e-10; their own error is h^2 f''' / 6, below 1e-7 of the kernel's
 * tolerance, which is a float's with a steepness of up to 10. */
static void check_norm_difference(const hone_ops *ops, size_t dim, const hone_drop *drop) {
    const double h = 1e-4;
    norm_case c = norm_case_new(5, dim, true, drop);
    float *dx = new_floats(5 * dim), *dweight = new_floats(dim), *dbias = new_floats(dim);
    double *values = calloc(8 * dim, sizeof *values), *sum = values + 7 * dim;
    double *weight = values + 5 * dim, *bias = weight + dim;
    for (size_t i = 0; i < 5 * dim; i++) values[i] = (double)c.x[i];
    for (size_t i = 0; i < dim; i++) {
        weight[i] = (double)c.weight[i];
        bias[i] = (double)c.bias[i];
    }
    norm_grads(ops, &c, dx, dweight, dbias);
    const varied all[] = {
        {values, dx, 5 * dim, 0.0}, {weight, dweight, dim, 1.0}, {bias, dbias, dim, 1.0}};
    for (size_t v = 0; v < 3; v++)
        for (size_t i = 0; i < all[v].count; i++) {
            double *x = &all[v].values[i], kept = *x;
            *x = kept + h;
            double up = norm_loss(&c, values, weight, bias, sum);
            *x = kept - h;
            double down = norm_loss(&c, values, weight, bias, sum);
            *x = kept;
            EXPECT(ops, all[v].grad[i], (up - down) / (2.0 * h) + all[v].before, 2e-6 * 10.0,
                   "difference", v, i);
        }
    free(dx);
    free(dweight);
    free(dbias);
    free(values);
    norm_case_done(&c);
}

static void test_norm_grad__is_the_difference_of_the_loss(void **state) {
    (void)state;
    static const size_t dims[] = {3, 7, 8, 12, 31, 100};
    FOR_TABLES(ops)
    for (size_t d = 0; d < sizeof dims / sizeof dims[0]; d++) {
        check_norm_difference(ops, dims[d], NULL);
        check_norm_difference(ops, dims[d], &DROP);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables__are_found_by_name),
        cmocka_unit_test(test_sums__are_sums),
        cmocka_unit_test(test_gelu__is_the_exact_one),
        cmocka_unit_test(test_gelu__reference_slope_is_its_difference),
        cmocka_unit_test(test_gelu__of_extreme_numbers),
        cmocka_unit_test(test_norm__is_its_formula),
        cmocka_unit_test(test_norm__of_extreme_rows),
        cmocka_unit_test(test_norm_grad__is_its_formula),
        cmocka_unit_test(test_norm_grad__is_the_difference_of_the_loss),
    };
    return cmocka_run_group_tests(tests, find_tables, NULL);
}
