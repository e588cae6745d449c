/* test_attention.c: attention and its gradient, of every table that this machine runs, are
 * their formulas in double: every length up to 40 and two longer, odd dimensions, rows apart,
 * all queries or the first alone, with and without dropout, and scores out of all proportion.
 *
 * The reference's gradients are held to central differences of its own loss, the kernels' to
 * the reference. What lies between two rows is NaN, and so is scratch at first: a kernel that
 * reads them shows it, and one that writes between the rows is caught. */
#include "reference.h"

static const hone_drop DROP = {.p = 0.3f, .seed = 0xFEDCBA9876543210, .step = 5, .site = 0x20011};
enum { DROP_ROW = 1000, DROP_HEAD = 11 };

/* A matrix whose rows are `stride` apart, NaN between them. */
typedef struct rows {
    size_t count, dim, stride;
    float *at;
} rows;

static size_t rows_floats(const rows *r) { return (r->count - 1) * r->stride + r->dim; }

static rows rows_new(size_t count, size_t dim, size_t stride) {
    rows r = {count, dim, stride, NULL};
    r.at = new_floats(rows_floats(&r));
    return r;
}

/* Random rows in (-size, size). */
static rows rows_random(size_t count, size_t dim, size_t stride, uint64_t seed, float size) {
    rows r = rows_new(count, dim, stride);
    float *x = new_random(count * dim, seed);
    for (size_t i = 0; i < count * dim; i++) r.at[i / dim * stride + i % dim] = x[i] * size;
    free(x);
    return r;
}

static void rows_to_double(const rows *r, double *out) {
    for (size_t i = 0; i < r->count * r->dim; i++)
        out[i] = (double)r->at[i / r->dim * r->stride + i % r->dim];
}

/* One head: what goes in, the reference's answers, and how exact the kernel can be. */
typedef struct head {
    ref_attention ref;
    rows q, k, v, dout;
    const hone_drop *drop;
    double score_error; /* of any score, before the softmax */
} head;

/* The values of q, k, v and dout in (-1, 1), but q in (-4, 4): scores differ by a few units. */
static head head_new(size_t q_rows, size_t kv_rows, size_t dim, const hone_drop *drop) {
    head h = {.ref = ref_attention_new(q_rows, kv_rows, dim), .drop = drop};
    h.q = rows_random(q_rows, dim, dim + 3, dim + kv_rows, 4.0f);
    h.k = rows_random(kv_rows, dim, dim + 5, dim + kv_rows + 1000, 1.0f);
    h.v = rows_random(kv_rows, dim, dim + 5, dim + kv_rows + 2000, 1.0f);
    h.dout = rows_random(q_rows, dim, dim + 3, dim + kv_rows + 3000, 1.0f);
    h.score_error = sum_error(dim, 4.0 * (double)dim) * h.ref.scale;
    return h;
}

static void head_free(head *h) {
    ref_attention_free(&h->ref);
    free(h->q.at);
    free(h->k.at);
    free(h->v.at);
    free(h->dout.at);
}

/* The reference's answers for what is in q, k, v and dout now. */
static void head_solve(head *h) {
    ref_attention *a = &h->ref;
    rows_to_double(&h->q, a->q);
    rows_to_double(&h->k, a->k);
    rows_to_double(&h->v, a->v);
    rows_to_double(&h->dout, a->dout);
    for (size_t i = 0; i < a->q_rows; i++)
        for (size_t j = 0; j < a->kv_rows; j++)
            a->mask[i * a->kv_rows + j] =
                h->drop ? (double)ref_mask(h->drop, DROP_ROW + (uint32_t)i, DROP_HEAD, j) : 1.0;
    ref_attention_run(a);
    ref_attention_grad(a);
}

/* How far results may be off. A probability's relative error is that of exp at both ends of
 * the quotient (4e-7 covers its polynomial), of twice a score, and of the sum over keys;
 * backward it is made again from the kept log-sum, a float, too. */
typedef struct errors {
    double out, lse, dq, dk, dv;
} errors;

static double largest(const double *x, size_t count) {
    double most = 0.0;
    for (size_t i = 0; i < count; i++) most = fmax(most, fabs(x[i]));
    return most;
}

static errors errors_of(const head *h) {
    const ref_attention *a = &h->ref;
    size_t q = a->q_rows * a->dim, kv = a->kv_rows * a->dim;
    double v = largest(a->v, kv), lse = largest(a->lse, a->q_rows), column = 0.0;
    double keep = h->drop ? 1.0 / (1.0 - (double)h->drop->p) : 1.0;
    for (size_t j = 0; j < a->kv_rows; j++) {
        double total = 0.0; /* what all queries give to a key */
        for (size_t i = 0; i < a->q_rows; i++) total += a->probs[i * a->kv_rows + j];
        column = fmax(column, total);
    }
    double sums = sum_error(a->kv_rows, 1.0), prob = 2.0 * h->score_error + 4e-7;
    double again = prob + sums + 2.0 * UNIT * lse;
    double dprob = keep * v * largest(a->dout, q) * (double)a->dim; /* at most */
    double dscore = a->scale * dprob * 4.0 * (again + sum_error(a->dim, 1.0));
    double q_sums = sum_error(a->q_rows, 1.0);
    return (errors){
        .out = keep * v * (prob + 2.0 * sums),
        .lse = prob + sums + 2.0 * UNIT * lse,
        .dq = largest(a->k, kv) * (dscore + 2.0 * a->scale * dprob * sums),
        .dk = largest(a->q, q) * column * (dscore + 2.0 * a->scale * dprob * q_sums),
        .dv = largest(a->dout, q) * column * keep * (again + q_sums),
    };
}

static void check_rows(const hone_ops *ops, const head *h, const char *what, const rows *got,
                       const double *want, double error) {
    for (size_t i = 0; i < rows_floats(got); i++) {
        size_t row = i / got->stride, column = i % got->stride;
        double x = (double)got->at[i];
        if (column >= got->dim) {
            if (!isnan(x)) fail_msg("%s: %s was written between its rows", ops->name, what);
        } else if (!(fabs(x - want[row * got->dim + column]) <= error)) {
            fail_msg("%s: %zu x %zu x %zu%s: %s[%zu, %zu] is %.9g, not %.9g +- %.3g", ops->name,
                     h->ref.q_rows, h->ref.kv_rows, h->ref.dim, h->drop ? " with dropout" : "",
                     what, row, column, x, want[row * got->dim + column], error);
        }
    }
}

static hone_attention_args args_of(const head *h, rows *out, rows *lse, float *scratch) {
    return (hone_attention_args){
        .q_rows = h->ref.q_rows,
        .kv_rows = h->ref.kv_rows,
        .dim = h->ref.dim,
        .scale = (float)h->ref.scale,
        .q = h->q.at,
        .q_stride = h->q.stride,
        .k = h->k.at,
        .v = h->v.at,
        .kv_stride = h->k.stride,
        .out = out->at,
        .lse = lse ? lse->at : NULL,
        .drop = h->drop,
        .drop_row = DROP_ROW,
        .drop_head = DROP_HEAD,
        .scratch = scratch,
    };
}

static void check_grad(const hone_ops *ops, const head *h, rows *out, rows *lse, errors error) {
    const ref_attention *a = &h->ref;
    rows dq = rows_new(a->q_rows, a->dim, h->q.stride);
    rows dk = rows_new(a->kv_rows, a->dim, h->k.stride), dv = rows_new(dk.count, dk.dim, dk.stride);
    float *scratch = new_floats(ops->attention_scratch(a->kv_rows, a->dim, 1));
    ops->attention_grad(&(hone_attention_grad_args){
        .fwd = args_of(h, out, lse, scratch),
        .dout = h->dout.at,
        .dq = dq.at,
        .dk = dk.at,
        .dv = dv.at,
    });
    check_rows(ops, h, "dq", &dq, a->dq, error.dq);
    check_rows(ops, h, "dk", &dk, a->dk, error.dk);
    check_rows(ops, h, "dv", &dv, a->dv, error.dv);
    free(scratch);
    free(dq.at);
    free(dk.at);
    free(dv.at);
}

static void check_table(const hone_ops *ops, const head *h) {
    const ref_attention *a = &h->ref;
    errors error = errors_of(h);
    rows out = rows_new(a->q_rows, a->dim, h->q.stride), lse = rows_new(a->q_rows, 1, 1);
    rows again = rows_new(a->q_rows, a->dim, h->q.stride);
    float *scratch = new_floats(ops->attention_scratch(a->kv_rows, a->dim, 0));
    hone_attention_args args = args_of(h, &out, &lse, scratch);
    ops->attention(&args);
    check_rows(ops, h, "out", &out, a->out, error.out);
    check_rows(ops, h, "lse", &lse, a->lse, error.lse);
    args = args_of(h, &again, NULL, scratch); /* lse not kept, scratch used before */
    ops->attention(&args);
    assert_true(same_bits(out.at, again.at, rows_floats(&out)));
    check_grad(ops, h, &out, &lse, error);
    free(scratch);
    free(out.at);
    free(again.at);
    free(lse.at);
}

static void check_head(head *h) {
    head_solve(h);
    for (size_t t = 0; t < table_count; t++) check_table(tables[t], h);
}

static void check_lengths(const hone_drop *drop) {
    static const size_t dims[] = {1, 12, 32, 64, 65};
    for (size_t d = 0; d < sizeof dims / sizeof dims[0]; d++)
        for (size_t kv_rows = 1; kv_rows <= 130; kv_rows++) {
            if (kv_rows > 40 && kv_rows != 65 && kv_rows != 130) continue;
            for (int all = 0; all < 2; all++) {
                head h = head_new(all ? kv_rows : 1, kv_rows, dims[d], drop);
                check_head(&h);
                head_free(&h);
            }
        }
}

static void test_attention__is_its_formula(void **state) {
    (void)state;
    check_lengths(NULL);
}

static void test_attention__with_dropout_is_its_formula(void **state) {
    (void)state;
    check_lengths(&DROP);
}

/* The chain rule as the reference writes it against (L(x + h) - L(x - h)) / 2h, L = sum of
 * dout * out: with h = 1e-5 either error, h^2 L''' and 1e-15 L / h, is below 1e-8. */
static void check_difference(size_t q_rows, size_t kv_rows, size_t dim, const hone_drop *drop) {
    const double h = 1e-5;
    head whole = head_new(q_rows, kv_rows, dim, drop);
    head_solve(&whole);
    ref_attention *a = &whole.ref;
    const size_t q = q_rows * dim, kv = kv_rows * dim;
    double *grads = calloc(q + 2 * kv, sizeof *grads); /* dq, dk, dv lie behind each other */
    memcpy(grads, a->dq, (q + 2 * kv) * sizeof *grads);
    for (size_t i = 0; i < q + 2 * kv; i++) { /* so do q, k and v */
        double kept = a->q[i], loss[2];
        for (int side = 0; side < 2; side++) {
            a->q[i] = side ? kept - h : kept + h;
            ref_attention_run(a);
            loss[side] = ref_dot(a->dout, a->out, q);
        }
        a->q[i] = kept;
        double difference = (loss[0] - loss[1]) / (2.0 * h);
        if (!(fabs(difference - grads[i]) <= 1e-7))
            fail_msg("%zu x %zu x %zu: gradient %zu is %.9g, its difference %.9g", q_rows, kv_rows,
                     dim, i, grads[i], difference);
    }
    free(grads);
    head_free(&whole);
}

static void test_attention__reference_gradient_is_its_difference(void **state) {
    (void)state;
    static const size_t dims[] = {1, 3, 12}, lengths[] = {1, 2, 5, 13};
    for (size_t d = 0; d < 3; d++)
        for (size_t n = 0; n < 4; n++)
            for (int flags = 0; flags < 4; flags++)
                check_difference(flags & 1 ? lengths[n] : 1, lengths[n], dims[d],
                                 flags & 2 ? &DROP : NULL);
}

/* -------------------------------------------------------------------------- extreme scores */

/* Scores that are exact: all but the first dimension of q and k are 0. scale is a power of 2. */
static head head_of_scores(size_t kv_rows, float (*score)(size_t row, size_t key),
                           const hone_drop *drop) {
    const size_t dim = 16;
    head h = head_new(kv_rows, kv_rows, dim, drop);
    for (size_t i = 0; i < kv_rows; i++)
        for (size_t d = 0; d < dim; d++) h.q.at[i * h.q.stride + d] = d == i % dim ? 4.0f : 0.0f;
    for (size_t j = 0; j < kv_rows; j++)
        for (size_t d = 0; d < dim; d++) h.k.at[j * h.k.stride + d] = score(d, j);
    h.score_error = 0.0;
    return h;
}

static float score_equal(size_t row, size_t key) {
    (void)key;
    return (float)row - 3.0f;
}
static float score_alternating(size_t row, size_t key) { return (row + key) % 3 ? -1e4f : 1e4f; }
static float score_all_low(size_t row, size_t key) {
    (void)key;
    return row % 2 ? -1e4f : -9999.0f;
}
static float score_one_huge(size_t row, size_t key) { return key == row % 4 ? 1e4f : 0.25f; }
static float score_steep(size_t row, size_t key) { return 12.0f * (float)key - (float)row; }

static void test_attention__of_extreme_scores(void **state) {
    (void)state;
    float (*const scores[])(size_t, size_t) = {score_equal, score_alternating, score_all_low,
                                               score_one_huge, score_steep};
    static const size_t lengths[] = {4, 7, 31, 33, 70};
    for (size_t s = 0; s < sizeof scores / sizeof scores[0]; s++)
        for (size_t n = 0; n < sizeof lengths / sizeof lengths[0]; n++)
            for (int drop = 0; drop < 2; drop++) {
                head h = head_of_scores(lengths[n], scores[s], drop ? &DROP : NULL);
                check_head(&h);
                head_free(&h);
            }
}

/* Where a score is 1e4 above the others, its value is the output, to the bit. */
static void test_attention__huge_score_takes_all(void **state) {
    (void)state;
    head h = head_of_scores(40, score_one_huge, NULL);
    rows out = rows_new(40, 16, h.q.stride);
    for (size_t t = 0; t < table_count; t++) {
        float *scratch = new_floats(tables[t]->attention_scratch(40, 16, 0));
        hone_attention_args args = args_of(&h, &out, NULL, scratch);
        tables[t]->attention(&args);
        for (size_t i = 0; i < 40; i++)
            assert_true(same_bits(out.at + i * out.stride, h.v.at + i % 16 % 4 * h.v.stride, 16));
        free(scratch);
    }
    free(out.at);
    head_free(&h);
}

/* A query that is not a number spoils its own row, and no other. */
static void test_attention__not_a_number_stays_in_its_row(void **state) {
    (void)state;
    for (size_t t = 0; t < table_count; t++) {
        head h = head_new(37, 37, 12, NULL);
        h.q.at[20 * h.q.stride + 5] = NAN;
        rows out = rows_new(37, 12, h.q.stride);
        float *scratch = new_floats(tables[t]->attention_scratch(37, 12, 0));
        hone_attention_args args = args_of(&h, &out, NULL, scratch);
        tables[t]->attention(&args);
        for (size_t i = 0; i < 37 * 12; i++)
            assert_int_equal(isnan(out.at[i / 12 * out.stride + i % 12]) != 0, i / 12 == 20);
        free(scratch);
        free(out.at);
        head_free(&h);
    }
}

/* -------------------------------------------------------------------------- dropout */

enum { KEYS = 256 };

/* mask[KEYS, KEYS] of a head, through attention: all scores are 0 and V is the identity, so
 * out is mask / KEYS, exactly, as KEYS is a power of 2. */
static void mask_through(const hone_ops *ops, const hone_drop *drop, uint32_t row, uint32_t which,
                         float *mask) {
    float *zeros = new_floats(KEYS * KEYS), *identity = new_floats(KEYS * KEYS);
    for (size_t i = 0; i < (size_t)KEYS * KEYS; i++) {
        zeros[i] = 0.0f;
        identity[i] = i / KEYS == i % KEYS ? 1.0f : 0.0f;
    }
    float *scratch = new_floats(ops->attention_scratch(KEYS, KEYS, 0));
    ops->attention(&(hone_attention_args){
        .q_rows = KEYS,
        .kv_rows = KEYS,
        .dim = KEYS,
        .scale = 1.0f,
        .q = zeros,
        .q_stride = KEYS,
        .k = zeros,
        .v = identity,
        .kv_stride = KEYS,
        .out = mask,
        .drop = drop,
        .drop_row = row,
        .drop_head = which,
        .scratch = scratch,
    });
    for (size_t i = 0; i < (size_t)KEYS * KEYS; i++) mask[i] *= KEYS;
    free(zeros);
    free(identity);
    free(scratch);
}

static void test_attention_dropout__is_the_scalar_program(void **state) {
    (void)state;
    static const uint32_t heads[] = {0, 1, 65535};
    float *mask = new_floats(KEYS * KEYS);
    for (size_t t = 0; t < table_count; t++)
        for (size_t n = 0; n < 3; n++) {
            mask_through(tables[t], &DROP, 77, heads[n], mask);
            for (size_t i = 0; i < (size_t)KEYS * KEYS; i++)
                if (mask[i] != ref_mask(&DROP, 77 + (uint32_t)(i / KEYS), heads[n], i % KEYS))
                    fail_msg("%s: head %u [%zu, %zu] is %g", tables[t]->name, heads[n], i / KEYS,
                             i % KEYS, (double)mask[i]);
        }
    free(mask);
}

/* Two coins agree with p^2 + (1 - p)^2; five standard errors of 65,536 tosses. */
static void test_attention_dropout__differs_from_head_to_head(void **state) {
    (void)state;
    const double count = (double)KEYS * KEYS, p = (double)DROP.p;
    const double want = p * p + (1.0 - p) * (1.0 - p);
    float *first = new_floats(KEYS * KEYS), *other = new_floats(KEYS * KEYS);
    mask_through(tables[0], &DROP, 0, 0, first);
    static const uint32_t others[][2] = {{0, 1}, {0, 2}, {0, 256}, {KEYS, 0}, {1, 0}};
    for (size_t n = 0; n < sizeof others / sizeof others[0]; n++) {
        mask_through(tables[0], &DROP, others[n][0], others[n][1], other);
        double agree = 0.0;
        for (size_t i = 0; i < (size_t)KEYS * KEYS; i++)
            agree += (first[i] == 0.0f) == (other[i] == 0.0f);
        if (!(fabs(agree / count - want) <= 5.0 * sqrt(want * (1.0 - want) / count)))
            fail_msg("row %u of head %u agrees with row 0 of head 0 in %g, not in %g", others[n][0],
                     others[n][1], agree / count, want);
    }
    free(first);
    free(other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention__is_its_formula),
        cmocka_unit_test(test_attention__with_dropout_is_its_formula),
        cmocka_unit_test(test_attention__reference_gradient_is_its_difference),
        cmocka_unit_test(test_attention__of_extreme_scores),
        cmocka_unit_test(test_attention__huge_score_takes_all),
        cmocka_unit_test(test_attention__not_a_number_stays_in_its_row),
        cmocka_unit_test(test_attention_dropout__is_the_scalar_program),
        cmocka_unit_test(test_attention_dropout__differs_from_head_to_head),
    };
    return cmocka_run_group_tests(tests, find_tables, NULL);
}
