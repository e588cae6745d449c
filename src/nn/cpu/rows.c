/* rows.c: what happens to one row after the other: norms, GELU, dropout, sums. */
#include "nn/cpu/table_impl.h"
#include "nn/cpu/vec.h"

enum { MASK_CHUNK = 1024 }; /* floats of mask made at a time; a multiple of MASK_GROUP */

/* The whole vectors of count floats; i is left where the rest begins. */
// NOLINTBEGIN(bugprone-macro-parentheses): a name that is declared cannot have them
#define FOR_VECTORS(i, count)      \
    size_t i = 0, n_##i = (count); \
    for (; i + LANES <= n_##i; i += LANES)
// NOLINTEND(bugprone-macro-parentheses)

/* x * mask + residual (each optional) into sum. */
static void drop_and_add(const hone_norm_args *a, size_t row, float *sum) {
    const float *x = a->x + row * a->dim;
    const float *residual = a->residual ? a->residual + row * a->dim : NULL;
    float mask[MASK_CHUNK];
    for (size_t at = 0; at < a->dim; at += MASK_CHUNK) {
        size_t count = a->dim - at < MASK_CHUNK ? a->dim - at : MASK_CHUNK;
        if (a->drop)
            vec_mask(mask, count, a->drop->p, a->drop->seed, a->drop->step, a->drop->site,
                     a->drop_row + (uint32_t)row, (uint32_t)(at / MASK_CHUNK));
        FOR_VECTORS(i, count) {
            vec v = vec_load(x + at + i);
            if (a->drop) v *= vec_load(mask + i);
            if (residual) v += vec_load(residual + at + i);
            vec_store(sum + at + i, v);
        }
        for (; i < count; i++) {
            float v = x[at + i];
            if (a->drop) v *= mask[i];
            sum[at + i] = residual ? v + residual[at + i] : v;
        }
    }
}

/* Mean and 1 / sqrt(variance + eps) of a row; two passes, as the variance by the difference
 * of squares loses digits. */
static void row_stats(const float *row, size_t dim, float eps, float *mean, float *rstd) {
    vec total = {0};
    FOR_VECTORS(i, dim) total += vec_load(row + i);
    float rest = 0.0F;
    for (; i < dim; i++) rest += row[i];
    *mean = (vec_sum(total) + rest) / (float)dim;

    vec squares = {0};
    FOR_VECTORS(j, dim) {
        vec d = vec_load(row + j) - *mean;
        squares += d * d;
    }
    rest = 0.0F;
    for (; j < dim; j++) rest += (row[j] - *mean) * (row[j] - *mean);
    *rstd = 1.0F / sqrtf((vec_sum(squares) + rest) / (float)dim + eps);
}

static void norm(const hone_norm_args *a) {
    for (size_t row = 0; row < a->rows; row++) {
        float *out = a->out + row * a->dim;
        float *plain = a->plain ? a->plain + row * a->dim : NULL;
        const float *sum = a->x + row * a->dim;
        if (a->residual || a->drop || a->sum) {
            float *kept = a->sum ? a->sum + row * a->dim : out;
            drop_and_add(a, row, kept);
            sum = kept;
        }
        float mean, rstd;
        row_stats(sum, a->dim, a->eps, &mean, &rstd);
        FOR_VECTORS(i, a->dim) {
            vec n = (vec_load(sum + i) - mean) * rstd;
            if (plain) vec_store(plain + i, n);
            vec_store(out + i, n * vec_load(a->weight + i) + vec_load(a->bias + i));
        }
        for (; i < a->dim; i++) {
            float n = (sum[i] - mean) * rstd;
            if (plain) plain[i] = n;
            out[i] = n * a->weight[i] + a->bias[i];
        }
        if (a->stats) {
            a->stats[2 * row] = mean;
            a->stats[2 * row + 1] = rstd;
        }
    }
}

static void norm_grad_row(const hone_norm_grad_args *a, size_t row) {
    const float *sum = a->sum + row * a->dim, *dout = a->dout + row * a->dim;
    float *dsum = a->dsum + row * a->dim;
    float mean = a->stats[2 * row], rstd = a->stats[2 * row + 1];
    vec g_total = {0}, gn_total = {0};
    float g_rest = 0.0F, gn_rest = 0.0F;
    FOR_VECTORS(i, a->dim) {
        vec d = vec_load(dout + i), n = (vec_load(sum + i) - mean) * rstd;
        vec g = d * vec_load(a->weight + i);
        g_total += g;
        gn_total += g * n;
        vec_store(a->dweight + i, vec_load(a->dweight + i) + d * n);
        vec_store(a->dbias + i, vec_load(a->dbias + i) + d);
    }
    /* Sums apart from stores: else the compiler sums in one way where pointers are far from each
     * other and in another where they are near, and bits would depend on addresses. */
    for (size_t r = i; r < a->dim; r++) {
        float n = (sum[r] - mean) * rstd, g = dout[r] * a->weight[r];
        g_rest += g;
        gn_rest += g * n;
    }
    for (; i < a->dim; i++) {
        a->dweight[i] += dout[i] * ((sum[i] - mean) * rstd);
        a->dbias[i] += dout[i];
    }
    float g_mean = (vec_sum(g_total) + g_rest) / (float)a->dim;
    float gn_mean = (vec_sum(gn_total) + gn_rest) / (float)a->dim;
    FOR_VECTORS(j, a->dim) {
        vec n = (vec_load(sum + j) - mean) * rstd;
        vec g = vec_load(dout + j) * vec_load(a->weight + j);
        vec_store(dsum + j, (g - g_mean - n * gn_mean) * rstd);
    }
    for (; j < a->dim; j++) {
        float n = (sum[j] - mean) * rstd;
        dsum[j] = (dout[j] * a->weight[j] - g_mean - n * gn_mean) * rstd;
    }
}

static void norm_grad(const hone_norm_grad_args *a) {
    for (size_t row = 0; row < a->rows; row++) norm_grad_row(a, row);
}

/* Phi(x) and, for the gradient, the density phi(x) = exp(-x^2/2) / sqrt(2 pi).
 *
 *     1 - Phi(|x|) = (a1 t + ... + a5 t^5) exp(-x^2/2) / 2,   t = 1 / (1 + p |x| / sqrt 2)
 *
 * Source: Abramowitz & Stegun 7.1.26, absolute error below 1.5e-7. */
ALWAYS_INLINE vec normal_cdf(vec x, vec *density) {
    vec magnitude = (vec)((veci)x & 0x7FFFFFFF);
    vec t = 1.0F / (magnitude * (0.3275911F * 0.70710678F) + 1.0F);
    vec bell = vec_exp(x * x * -0.5F);
    vec poly = t * 1.061405429F - 1.453152027F;
    poly = poly * t + 1.421413741F;
    poly = poly * t - 0.284496736F;
    poly = poly * t + 0.254829592F;
    vec tail = poly * t * bell * 0.5F;
    *density = bell * 0.39894228F;
    return vec_select(x < 0.0F, tail, 1.0F - tail);
}

static void gelu(float *out, const float *x, size_t count) {
    vec density;
    FOR_VECTORS(i, count) {
        vec v = vec_load(x + i);
        vec_store(out + i, v * normal_cdf(v, &density));
    }
    if (i == count) return;
    vec v = vec_load_some(x + i, count - i);
    vec_store_some(out + i, v * normal_cdf(v, &density), count - i);
}

static void gelu_grad(float *grad, float *act, const float *x, size_t count) {
    vec density;
    FOR_VECTORS(i, count) {
        vec v = vec_load(x + i), cdf = normal_cdf(v, &density);
        vec_store(act + i, v * cdf);
        vec_store(grad + i, vec_load(grad + i) * (cdf + v * density));
    }
    if (i == count) return;
    vec v = vec_load_some(x + i, count - i), cdf = normal_cdf(v, &density);
    vec g = vec_load_some(grad + i, count - i);
    vec_store_some(act + i, v * cdf, count - i);
    vec_store_some(grad + i, g * (cdf + v * density), count - i);
}

static void dropout(float *x, size_t rows, size_t dim, const hone_drop *drop, uint32_t drop_row) {
    float mask[MASK_CHUNK];
    for (size_t row = 0; row < rows; row++)
        for (size_t at = 0; at < dim; at += MASK_CHUNK) {
            size_t count = dim - at < MASK_CHUNK ? dim - at : MASK_CHUNK;
            float *p = x + row * dim + at;
            vec_mask(mask, count, drop->p, drop->seed, drop->step, drop->site,
                     drop_row + (uint32_t)row, (uint32_t)(at / MASK_CHUNK));
            for (size_t i = 0; i < count; i++) p[i] *= mask[i];
        }
}

static void add(float *out, const float *a, const float *b, size_t count) {
    FOR_VECTORS(i, count) vec_store(out + i, vec_load(a + i) + vec_load(b + i));
    for (; i < count; i++) out[i] = a[i] + b[i];
}

static void column_sum(float *out, const float *x, size_t rows, size_t dim, size_t stride) {
    for (size_t row = 0; row < rows; row++) add(out, out, x + row * stride, dim);
}

static float dot(const float *a, const float *b, size_t count) {
    vec total = {0};
    FOR_VECTORS(i, count) total += vec_load(a + i) * vec_load(b + i);
    float rest = 0.0F;
    for (; i < count; i++) rest += a[i] * b[i];
    return vec_sum(total) + rest;
}

const hone_ops HONE_TABLE = {
    .name = HONE_ISA_NAME,
    .norm = norm,
    .norm_grad = norm_grad,
    .gelu = gelu,
    .gelu_grad = gelu_grad,
    .attention = HONE_ATTENTION(attention),
    .attention_grad = HONE_ATTENTION(attention_grad),
    .attention_scratch = HONE_ATTENTION(attention_scratch),
    .dropout = dropout,
    .add = add,
    .column_sum = column_sum,
    .dot = dot,
};
