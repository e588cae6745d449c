/* reference.h: the arithmetic of ops.h once more, in double and as the formulas are written,
 * and the tables that it is compared with. Nothing here is shared with the kernels, except
 * Philox itself, which has known answers of its own. */
#ifndef HONE_TESTS_NN_REFERENCE_H
#define HONE_TESTS_NN_REFERENCE_H

#include "numbers.h"

#include "nn/ops.h"

/* Every table that this machine runs, from the narrowest. */
static const hone_ops *tables[3];
static size_t table_count;

/* The group setup of every program: finds the tables, and says which. */
static inline int find_tables(void **state) {
    (void)state;
    static const char *const names[] = {"generic", "avx2", "avx512"};
    printf("# tables:");
    for (size_t i = 0; i < 3; i++) {
        const hone_ops *ops = hone_ops_find(names[i]);
        if (!ops) continue;
        tables[table_count++] = ops;
        printf(" %s", ops->name);
    }
    printf("\n");
    return table_count == 0;
}

#define FOR_TABLES(ops)                                                                            \
    const hone_ops *ops = NULL;                                                                    \
    for (size_t ops##_index = 0; ops##_index < table_count && (ops = tables[ops##_index]) != NULL; \
         ops##_index++)

/* got is want, as far as error allows; NaN is nothing. */
#define EXPECT(ops, got, want, error, what, row, column)                               \
    do {                                                                               \
        if (!(fabs((double)(got) - (want)) <= (error)))                                \
            fail_msg("%s: %s [%zu, %zu] is %.9g, not %.9g +- %.3g", (ops)->name, what, \
                     (size_t)(row), (size_t)(column), (double)(got), (double)(want),   \
                     (double)(error));                                                 \
    } while (0)

/* The mask at a column of a row. Groups of 128 columns take 16 counters: column e of a group
 * the lower (e < 64) or upper half of word (e / 16) % 4 of counter e % 16. Half of a word is
 * a number below 65536; the column is dropped when it is below p of that. */
static inline float ref_mask(const hone_drop *drop, uint32_t row, uint32_t high, size_t column) {
    uint32_t group = (uint32_t)(column / 128), e = column % 128;
    hone_philox four = hone_philox_at(drop->seed, (high << 16) + group * 16 + e % 16, row,
                                      drop->site, drop->step * 16 + HONE_STREAM_DROPOUT);
    uint32_t word = four.word[e / 16 % 4], number = e < 64 ? word & 0xFFFFU : word >> 16;
    return (double)number < round((double)drop->p * 65536.0) ? 0.0f : 1.0f / (1.0f - drop->p);
}

/* The mask at a column of a row that may be wide: every 1024 columns are a head of their own. */
static inline float ref_row_mask(const hone_drop *drop, uint32_t row, size_t column) {
    if (!drop) return 1.0f;
    return ref_mask(drop, row, (uint32_t)(column / 1024), column % 1024);
}

static inline double ref_gelu(double x) { return x * 0.5 * erfc(-x / sqrt(2.0)); }

static inline double ref_gelu_grad(double x) {
    return 0.5 * erfc(-x / sqrt(2.0)) + x * exp(-x * x / 2.0) / sqrt(2.0 * M_PI);
}

typedef struct ref_stats {
    double mean, rstd;
} ref_stats;

static inline ref_stats ref_row_stats(const double *sum, size_t dim, double eps) {
    double mean = 0.0, variance = 0.0;
    for (size_t i = 0; i < dim; i++) mean += sum[i] / (double)dim;
    for (size_t i = 0; i < dim; i++) variance += (sum[i] - mean) * (sum[i] - mean) / (double)dim;
    return (ref_stats){mean, 1.0 / sqrt(variance + eps)};
}

/* Attention of one head: contiguous rows; mask may be NULL. */
typedef struct ref_attention {
    size_t q_rows, kv_rows, dim;
    double scale;
    double *q, *k, *v; /* [rows, dim] */
    double *mask;      /* [q_rows, kv_rows] */
    double *probs;     /* [q_rows, kv_rows], before the mask */
    double *out;       /* [q_rows, dim] */
    double *lse;       /* [q_rows] */
    double *dout;      /* [q_rows, dim] */
    double *dq, *dk, *dv;
} ref_attention;

static inline ref_attention ref_attention_new(size_t q_rows, size_t kv_rows, size_t dim) {
    size_t q = q_rows * dim, kv = kv_rows * dim, scores = q_rows * kv_rows;
    double *at = calloc(4 * q + 4 * kv + 2 * scores + q_rows, sizeof *at);
    if (!at) fail_msg("no memory");
    ref_attention a = {.q_rows = q_rows, .kv_rows = kv_rows, .dim = dim};
    a.scale = 1.0 / sqrt((double)dim);
    a.q = at;
    a.k = a.q + q;
    a.v = a.k + kv;
    a.mask = a.v + kv;
    a.probs = a.mask + scores;
    a.out = a.probs + scores;
    a.lse = a.out + q;
    a.dout = a.lse + q_rows;
    a.dq = a.dout + q;
    a.dk = a.dq + q;
    a.dv = a.dk + kv;
    return a;
}

static inline void ref_attention_free(ref_attention *a) { free(a->q); }

static inline double ref_dot(const double *x, const double *y, size_t count) {
    double total = 0.0;
    for (size_t i = 0; i < count; i++) total += x[i] * y[i];
    return total;
}

static inline void ref_attention_run(ref_attention *a) {
    memset(a->out, 0, a->q_rows * a->dim * sizeof *a->out);
    for (size_t i = 0; i < a->q_rows; i++) {
        double *p = a->probs + i * a->kv_rows, largest = -INFINITY, total = 0.0;
        for (size_t j = 0; j < a->kv_rows; j++) {
            p[j] = a->scale * ref_dot(a->q + i * a->dim, a->k + j * a->dim, a->dim);
            largest = fmax(largest, p[j]);
        }
        for (size_t j = 0; j < a->kv_rows; j++) total += exp(p[j] - largest);
        a->lse[i] = largest + log(total);
        for (size_t j = 0; j < a->kv_rows; j++) {
            p[j] = exp(p[j] - a->lse[i]);
            double kept = p[j] * a->mask[i * a->kv_rows + j];
            for (size_t d = 0; d < a->dim; d++)
                a->out[i * a->dim + d] += kept * a->v[j * a->dim + d];
        }
    }
}

/* The gradients of the sum of dout * out, after ref_attention_run: the chain rule through the
 * softmax as its Jacobian, dS_j = P_j (dP_j - sum over l of dP_l P_l). */
static inline void ref_attention_grad(ref_attention *a) {
    size_t kv = a->kv_rows, dim = a->dim;
    memset(a->dq, 0, a->q_rows * dim * sizeof *a->dq);
    memset(a->dk, 0, 2 * kv * dim * sizeof *a->dk); /* dv follows */
    double *dprobs = calloc(kv, sizeof *dprobs);
    if (!dprobs) fail_msg("no memory");
    for (size_t i = 0; i < a->q_rows; i++) {
        const double *p = a->probs + i * kv, *mask = a->mask + i * kv, *dout = a->dout + i * dim;
        for (size_t j = 0; j < kv; j++) dprobs[j] = mask[j] * ref_dot(dout, a->v + j * dim, dim);
        double mean = ref_dot(dprobs, p, kv);
        for (size_t j = 0; j < kv; j++) {
            double dscore = a->scale * p[j] * (dprobs[j] - mean);
            for (size_t d = 0; d < dim; d++) {
                a->dq[i * dim + d] += dscore * a->k[j * dim + d];
                a->dk[j * dim + d] += dscore * a->q[i * dim + d];
                a->dv[j * dim + d] += p[j] * mask[j] * dout[d];
            }
        }
    }
    free(dprobs);
}

#endif
