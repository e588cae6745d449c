/* ops.h: the arithmetic between the matrix products, on rows of a packed batch.
 *
 *     embed -> norm -> [ product ] -> attention -> [ product ] -> norm -> gelu -> ...
 *
 * One table of functions per instruction set, all compiled from the same source in cpu/, so
 * that there is one algorithm to read and test; hone_ops_best picks the widest that this
 * machine has. Results are a function of the arguments and the instruction set alone.
 *
 * Kernels cannot fail and allocate nothing: the caller checked shapes and gives scratch.
 * Matrices are row-major. Every dim may be any size >= 1.
 */
#ifndef HONE_NN_OPS_H
#define HONE_NN_OPS_H

#include <stddef.h>
#include <stdint.h>

/* Dropout as a function of place: element (row, column) at a site of a step. */
typedef struct hone_drop {
    float p; /* in [0, 1): share of elements set to 0; the others are scaled by 1 / (1 - p) */
    uint64_t seed;
    uint32_t step; /* < 2^28 */
    uint32_t site; /* hone_drop_site: no two places of a network share one */
} hone_drop;

typedef enum hone_drop_kind {
    HONE_DROP_EMBEDDING,
    HONE_DROP_ATTENTION, /* on the probabilities */
    HONE_DROP_OUT,       /* on the attention output, before the residual sum */
    HONE_DROP_DOWN,      /* on the feed-forward output, before the residual sum */
    HONE_DROP_POOLED,
    HONE_DROP_ADAPTER, /* of the first of six linear layers; the others follow */
} hone_drop_kind;

/* layer < 4096, micro (index of a micro-batch in its step) < 65536. */
static inline uint32_t hone_drop_site(hone_drop_kind kind, size_t layer, uint32_t micro) {
    return (uint32_t)kind | (uint32_t)(layer & 0xFFFU) << 4 | micro << 16;
}

/* out = norm(sum) * weight + bias with sum = dropout(x) + residual.
 * Layer normalisation (Ba et al. 2016): norm(r) = (r - mean) / sqrt(variance + eps). */
typedef struct hone_norm_args {
    size_t rows, dim;
    const float *x;             /* [rows, dim] */
    const float *residual;      /* [rows, dim]; NULL = none */
    const hone_drop *drop;      /* NULL = none */
    uint32_t drop_row;          /* row 0 of x is this row of the batch, for drop */
    const float *weight, *bias; /* [dim] */
    float eps;
    float *sum;   /* [rows, dim]; NULL = not kept; may be x */
    float *stats; /* [rows, 2]: mean, 1 / sqrt(variance + eps); NULL = not kept */
    float *plain; /* [rows, dim] norm(sum) alone; NULL = not wanted */
    float *out;   /* [rows, dim]; may be x or residual */
} hone_norm_args;

/* With n = (sum - mean) * rstd:  dsum = rstd * (g - mean(g) - n * mean(g * n)), g = dout * weight */
typedef struct hone_norm_grad_args {
    size_t rows, dim;
    const float *sum, *stats; /* as norm kept them */
    const float *weight;
    const float *dout;      /* [rows, dim] */
    float *dsum;            /* [rows, dim]; may be dout */
    float *dweight, *dbias; /* [dim]: added to */
} hone_norm_grad_args;

/* One head of one sequence: out = dropout(softmax(q k^T * scale)) v. */
typedef struct hone_attention_args {
    size_t q_rows, kv_rows, dim; /* q_rows is kv_rows, or 1 when only the first token is asked;
                                  * with drop, kv_rows <= 2^19 */
    float scale;                 /* 1 / sqrt(dim) */
    const float *q;
    size_t q_stride; /* from row to row, in floats */
    const float *k, *v;
    size_t kv_stride;
    float *out; /* [q_rows, dim], rows q_stride apart */
    float *lse; /* [q_rows]: log of the sum of exp(scores); NULL = not kept */
    const hone_drop *drop;
    uint32_t drop_row;  /* row 0 of q is this row of the batch */
    uint32_t drop_head; /* < 65536 */
    float *scratch;     /* hone_ops.attention_scratch(kv_rows, dim, with_grad) floats, aligned */
} hone_attention_args;

typedef struct hone_attention_grad_args {
    hone_attention_args fwd; /* as in the forward pass: out and lse hold its results */
    const float *dout;       /* [q_rows, dim], rows q_stride apart */
    float *dq;               /* rows q_stride apart */
    float *dk, *dv;          /* rows kv_stride apart */
} hone_attention_grad_args;

typedef struct hone_ops {
    const char *name; /* "generic", "avx2", "avx512" */

    void (*norm)(const hone_norm_args *args);
    void (*norm_grad)(const hone_norm_grad_args *args);

    /* out = x * Phi(x), Phi the normal distribution function (exact GELU, to 5e-7).
     * out may be x. */
    void (*gelu)(float *out, const float *x, size_t count);

    /* grad = grad * gelu'(x), and act = gelu(x) again, so that it need not be kept.
     * act may be x. */
    void (*gelu_grad)(float *grad, float *act, const float *x, size_t count);

    void (*attention)(const hone_attention_args *args);
    void (*attention_grad)(const hone_attention_grad_args *args);
    size_t (*attention_scratch)(size_t kv_rows, size_t dim, int with_grad);

    /* x[rows, dim] *= mask of drop; row 0 is row drop_row of the batch. */
    void (*dropout)(float *x, size_t rows, size_t dim, const hone_drop *drop, uint32_t drop_row);

    /* out = a + b; out may be either. */
    void (*add)(float *out, const float *a, const float *b, size_t count);

    /* out[dim] += sum over rows of x, rows `stride` apart. */
    void (*column_sum)(float *out, const float *x, size_t rows, size_t dim, size_t stride);

    float (*dot)(const float *a, const float *b, size_t count);
} hone_ops;

/* The widest table this machine runs. */
const hone_ops *hone_ops_best(void);

/* The table of that name; NULL when this machine cannot run it or there is none. */
const hone_ops *hone_ops_find(const char *name);

#endif
