/* attention.c: one head of one sequence, forward and backward.
 *
 * Every product has the same inner kernel: MICRO_ROWS rows of A times a panel of B that is
 * two vectors wide, kept in registers over the whole depth. B is packed into such panels
 * first: K^T with a key per column, V with a dimension per column, and so on.
 *
 *     panel p of B:   [depth][2 * LANES]      columns beyond the end are 0
 *
 * Forward, a block of query rows at a time:   S = q K^T;  P = softmax(scale S);  out = P V
 * Backward: P again from the kept log-sum (Dao et al. 2022, section 3.1), then
 *     dP = dout V^T;  dS = scale P (dP - rowsum(dout * out));  dq = dS K;  dk = dS^T q;
 *     dv = P^T dout       with dropout's mask on P and dP where the forward pass had it. */
#include "nn/cpu/table_impl.h"
#include "nn/cpu/vec.h"

enum { PANEL = 2 * LANES, BLOCK_ROWS = 4 * MICRO_ROWS };

static size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

/* c[rows, PANEL] = sum over k of a[i * row_step + k * k_step] * b[k]; rows is a constant. */
ALWAYS_INLINE void micro(const int rows, size_t depth, const float *a, size_t row_step,
                         size_t k_step, const float *b, float *c, size_t c_stride, size_t columns) {
    vec lo[MICRO_ROWS], hi[MICRO_ROWS];
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) lo[i] = hi[i] = (vec){0};
    for (size_t k = 0; k < depth; k++) {
        vec b_lo = vec_load(b + k * PANEL), b_hi = vec_load(b + k * PANEL + LANES);
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
            vec x = vec_all(a[(size_t)i * row_step + k * k_step]);
            lo[i] += x * b_lo;
            hi[i] += x * b_hi;
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        float *row = c + (size_t)i * c_stride;
        if (columns >= PANEL) {
            vec_store(row, lo[i]);
            vec_store(row + LANES, hi[i]);
        } else {
            float whole[PANEL];
            vec_store(whole, lo[i]);
            vec_store(whole + LANES, hi[i]);
            memcpy(row, whole, columns * sizeof *row);
        }
    }
}

/* A matrix read with any steps between rows and along the depth. */
typedef struct operand {
    const float *ptr;
    size_t row_step, k_step;
} operand;

/* c[rows, columns] = a b, b in panels of `depth` rows. */
static void multiply(size_t rows, size_t columns, size_t depth, operand a, const float *b, float *c,
                     size_t c_stride) {
    for (size_t col = 0; col < columns; col += PANEL) {
        const float *panel = b + col * depth;
        size_t wide = columns - col;
        size_t i = 0;
        for (; i + MICRO_ROWS <= rows; i += MICRO_ROWS)
            micro(MICRO_ROWS, depth, a.ptr + i * a.row_step, a.row_step, a.k_step, panel,
                  c + i * c_stride + col, c_stride, wide);
        for (; i + 2 <= rows; i += 2)
            micro(2, depth, a.ptr + i * a.row_step, a.row_step, a.k_step, panel,
                  c + i * c_stride + col, c_stride, wide);
        if (i < rows)
            micro(1, depth, a.ptr + i * a.row_step, a.row_step, a.k_step, panel,
                  c + i * c_stride + col, c_stride, wide);
    }
}

/* LANES rows of x at k turned, into a panel; rows beyond the end are 0. */
ALWAYS_INLINE void pack_block(float *to, const float *from, size_t stride, size_t rows) {
    vec block[LANES];
    for (size_t j = 0; j < LANES; j++) {
        block[j] = j < rows ? vec_load(from + j * stride) : (vec){0};
        __builtin_prefetch(from + (j + LANES) * stride);
    }
    vec_transpose(block);
    for (size_t j = 0; j < LANES; j++) vec_store(to + j * PANEL, block[j]);
}

/* x[rows, dim] as B with a column per row of x (its transpose): depth dim. A block of LANES rows
 * and dimensions is turned at a time. */
static void pack_rows(float *panels, const float *x, size_t stride, size_t rows, size_t dim) {
    for (size_t first = 0; first < round_up(rows, PANEL); first += LANES) {
        float *to = panels + first / PANEL * PANEL * dim + first % PANEL;
        const float *from = x + first * stride;
        size_t some = first < rows ? rows - first : 0, k = 0;
        if (some >= LANES)
            for (; k + LANES <= dim; k += LANES)
                pack_block(to + k * PANEL, from + k, stride, LANES);
        for (; k + LANES <= dim; k += LANES) pack_block(to + k * PANEL, from + k, stride, some);
        for (; k < dim; k++)
            for (size_t j = 0; j < LANES; j++)
                to[k * PANEL + j] = j < some ? from[j * stride + k] : 0.0F;
    }
}

/* x[rows, dim] as B with a column per dimension: depth rows. */
static void pack_dims(float *panels, const float *x, size_t stride, size_t rows, size_t dim) {
    for (size_t d = 0; d < dim; d += PANEL) {
        float *panel = panels + d * rows;
        size_t wide = dim - d < PANEL ? dim - d : PANEL;
        for (size_t r = 0; r < rows; r++) {
            float *to = panel + r * PANEL;
            const float *from = x + r * stride + d;
            if (wide == PANEL) {
                vec_store(to, vec_load(from));
                vec_store(to + LANES, vec_load(from + LANES));
                continue;
            }
            memset(to, 0, PANEL * sizeof *to);
            memcpy(to, from, wide * sizeof *to);
        }
    }
}

/* Ask for what will be read of x[rows, dim]: rows are pages apart, where no hardware looks ahead. */
static void fetch(const float *x, size_t stride, size_t rows, size_t dim) {
    enum { LINE = 16 }; /* floats */
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < dim; k += LINE) __builtin_prefetch(x + r * stride + k, 0, 2);
}

/* scores[rows, padded] -> exp(scale * score - offset), offset the row's maximum. The padded
 * columns become 0. Gives each row's sum and maximum. */
static void softmax_rows(float *scores, size_t rows, size_t columns, size_t padded, float scale,
                         float *sums, float *maxima) {
    for (size_t i = 0; i < rows; i++) {
        float *row = scores + i * padded;
        for (size_t j = columns; j < padded; j++) row[j] = -INFINITY;
        vec largest = vec_load(row);
        for (size_t j = LANES; j < padded; j += LANES)
            largest = vec_max(largest, vec_load(row + j));
        float maximum = vec_largest(largest) * scale;
        vec total = {0};
        for (size_t j = 0; j < padded; j += LANES) {
            vec e = vec_exp(vec_load(row + j) * scale - maximum);
            vec_store(row + j, e);
            total += e;
        }
        /* e^-inf came out as e^-87, which no sum above 1 notices */
        memset(row + columns, 0, (padded - columns) * sizeof *row);
        sums[i] = vec_sum(total);
        maxima[i] = maximum;
    }
}

ALWAYS_INLINE void mask_row(const hone_attention_args *a, size_t row, float *mask) {
    vec_mask(mask, a->kv_rows, a->drop->p, a->drop->seed, a->drop->step, a->drop->site,
             a->drop_row + (uint32_t)row, a->drop_head);
}

static void multiply_in_place(float *x, const float *mask, size_t padded) {
    for (size_t j = 0; j < padded; j += LANES)
        vec_store(x + j, vec_load(x + j) * vec_load(mask + j));
}

/* scratch: K^T panels | V panels | scores of a block | mask */
void HONE_ATTENTION(attention)(const hone_attention_args *a) {
    size_t padded = round_up(a->kv_rows, PANEL), dim_padded = round_up(a->dim, PANEL);
    float *keys = a->scratch;
    float *values = keys + padded * a->dim;
    float *scores = values + a->kv_rows * dim_padded;
    float *mask = scores + BLOCK_ROWS * padded;
    fetch(a->k, a->kv_stride, a->kv_rows, a->dim);
    fetch(a->v, a->kv_stride, a->kv_rows, a->dim);
    fetch(a->q, a->q_stride, a->q_rows, a->dim);
    pack_rows(keys, a->k, a->kv_stride, a->kv_rows, a->dim);
    pack_dims(values, a->v, a->kv_stride, a->kv_rows, a->dim);

    for (size_t first = 0; first < a->q_rows; first += BLOCK_ROWS) {
        size_t rows = a->q_rows - first < BLOCK_ROWS ? a->q_rows - first : BLOCK_ROWS;
        float sums[BLOCK_ROWS], maxima[BLOCK_ROWS];
        operand q = {a->q + first * a->q_stride, a->q_stride, 1};
        multiply(rows, padded, a->dim, q, keys, scores, padded);
        softmax_rows(scores, rows, a->kv_rows, padded, a->scale, sums, maxima);
        for (size_t i = 0; i < rows; i++) {
            float *row = scores + i * padded;
            vec inverse = vec_all(1.0F / sums[i]);
            for (size_t j = 0; j < padded; j += LANES)
                vec_store(row + j, vec_load(row + j) * inverse);
            if (a->drop) {
                mask_row(a, first + i, mask);
                multiply_in_place(row, mask, padded);
            }
            if (a->lse) a->lse[first + i] = maxima[i] + logf(sums[i]);
        }
        operand p = {scores, padded, 1};
        multiply(rows, a->dim, a->kv_rows, p, values, a->out + first * a->q_stride, a->q_stride);
    }
}

/* The places of the backward pass in its scratch. */
typedef struct backward {
    size_t padded;
    float *keys_by_row, *values_by_row; /* panels with a key per column */
    float *dims;                        /* panels with a dimension per column: K, q, dout in turn */
    float *probs;                       /* [q_rows, padded]: after dropout */
    float *dscores;                     /* [q_rows, padded] */
    float *mask;
} backward;

static backward lay_out(const hone_attention_args *a) {
    backward b = {.padded = round_up(a->kv_rows, PANEL), .keys_by_row = a->scratch};
    b.values_by_row = b.keys_by_row + b.padded * a->dim;
    b.dims = b.values_by_row + b.padded * a->dim;
    b.probs = b.dims + a->kv_rows * round_up(a->dim, PANEL);
    b.dscores = b.probs + a->q_rows * b.padded;
    b.mask = b.dscores + a->q_rows * b.padded;
    return b;
}

/* From scores and dP of one row: P after dropout, and dS. `both` = rowsum(dout * out). */
static void score_grad_row(const hone_attention_args *a, const backward *b, size_t i, float both) {
    float *p = b->probs + i * b->padded, *ds = b->dscores + i * b->padded;
    if (a->drop) mask_row(a, i, b->mask);
    for (size_t j = 0; j < b->padded; j += LANES) {
        vec prob = vec_exp(vec_load(p + j) * a->scale - a->lse[i]);
        vec mask = a->drop ? vec_load(b->mask + j) : vec_all(1.0F);
        vec_store(ds + j, prob * (vec_load(ds + j) * mask - both) * a->scale);
        vec_store(p + j, prob * mask);
    }
}

static float row_dot(const float *x, const float *y, size_t count) {
    vec total = {0};
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) total += vec_load(x + i) * vec_load(y + i);
    float rest = 0.0F;
    for (; i < count; i++) rest += x[i] * y[i];
    return vec_sum(total) + rest;
}

void HONE_ATTENTION(attention_grad)(const hone_attention_grad_args *g) {
    const hone_attention_args *a = &g->fwd;
    backward b = lay_out(a);
    fetch(a->k, a->kv_stride, a->kv_rows, a->dim);
    fetch(a->v, a->kv_stride, a->kv_rows, a->dim);
    fetch(a->q, a->q_stride, a->q_rows, a->dim);
    fetch(g->dout, a->q_stride, a->q_rows, a->dim);
    fetch(a->out, a->q_stride, a->q_rows, a->dim);
    pack_rows(b.keys_by_row, a->k, a->kv_stride, a->kv_rows, a->dim);
    pack_rows(b.values_by_row, a->v, a->kv_stride, a->kv_rows, a->dim);
    operand q = {a->q, a->q_stride, 1}, dout = {g->dout, a->q_stride, 1};
    multiply(a->q_rows, b.padded, a->dim, q, b.keys_by_row, b.probs, b.padded);
    multiply(a->q_rows, b.padded, a->dim, dout, b.values_by_row, b.dscores, b.padded);
    for (size_t i = 0; i < a->q_rows; i++)
        score_grad_row(a, &b, i,
                       row_dot(g->dout + i * a->q_stride, a->out + i * a->q_stride, a->dim));

    operand ds = {b.dscores, b.padded, 1};
    pack_dims(b.dims, a->k, a->kv_stride, a->kv_rows, a->dim);
    multiply(a->q_rows, a->dim, a->kv_rows, ds, b.dims, g->dq, a->q_stride);

    operand ds_t = {b.dscores, 1, b.padded}, p_t = {b.probs, 1, b.padded};
    pack_dims(b.dims, a->q, a->q_stride, a->q_rows, a->dim);
    multiply(a->kv_rows, a->dim, a->q_rows, ds_t, b.dims, g->dk, a->kv_stride);
    pack_dims(b.dims, g->dout, a->q_stride, a->q_rows, a->dim);
    multiply(a->kv_rows, a->dim, a->q_rows, p_t, b.dims, g->dv, a->kv_stride);
}

size_t HONE_ATTENTION(attention_scratch)(size_t kv_rows, size_t dim, int with_grad) {
    size_t padded = round_up(kv_rows, PANEL), dim_padded = round_up(dim, PANEL);
    size_t mask = mask_floats(padded);
    if (!with_grad) return padded * dim + kv_rows * dim_padded + BLOCK_ROWS * padded + mask;
    return 2 * padded * dim + kv_rows * dim_padded + 2 * kv_rows * padded + mask;
}
