/* beside.c: see beside_impl.h. */
#include "model/beside_impl.h"

#include <string.h>

/* A or scale * B^T as the chunk at hand has it: [rank, width], rows stride apart. */
typedef struct narrow {
    const float *values;
    size_t width, stride;
} narrow;

static narrow narrow_of(const hone_pass *pass, hone_beside_place at, hone_lora_slot wide,
                        const float *values, int64_t stride) {
    bool is_wide = at.slot == wide;
    size_t width = is_wide ? pass->weights->shapes->chunk : pass->weights->config->hidden;
    return (narrow){values + (is_wide ? at.chunk * width : 0), width, (size_t)stride};
}

static narrow matrix_a(const hone_pass *pass, hone_beside_place at) {
    const hone_weights *w = pass->weights;
    size_t index = hone_lora_index(pass->beside->lora, w->params, at.layer, at.slot);
    return narrow_of(pass, at, HONE_LORA_DOWN, w->plain[index], w->params->items[index].dims[1]);
}

static narrow matrix_bt(const hone_pass *pass, hone_beside_place at) {
    const hone_param *weight = &pass->weights->params->items[hone_lora_weight(at.layer, at.slot)];
    return narrow_of(pass, at, HONE_LORA_UP, pass->beside->bt[at.layer * HONE_LORA_SLOTS + at.slot],
                     weight->dims[0]);
}

/* z = m row */
static void narrow_row(const hone_ops *ops, narrow m, size_t rank, const float *row, float *z) {
    for (size_t k = 0; k < rank; k++) z[k] = ops->dot(m.values + k * m.stride, row, m.width);
}

/* row += m^T z */
static void widen_row(narrow m, size_t rank, const float *restrict z, float *restrict row) {
    for (size_t k = 0; k < rank; k++) {
        const float *restrict from = m.values + k * m.stride;
        for (size_t i = 0; i < m.width; i++) row[i] += z[k] * from[i];
    }
}

static bool is_there(const hone_pass *pass, hone_beside_place at) {
    return pass->beside && hone_lora_has(pass->beside->lora, at.layer, at.slot);
}

void hone_beside_drop(const hone_pass *pass, hone_beside_place at, size_t first, size_t rows,
                      float *x) {
    if (!pass->dropout) return;
    hone_drop_kind kind = (hone_drop_kind)(HONE_DROP_ADAPTER + (int)at.slot);
    hone_drop drop = {pass->beside->lora->dropout, pass->dropout->seed, pass->dropout->step,
                      hone_drop_site(kind, at.layer, pass->dropout->micro)};
    /* The chunks' rows are numbered one chunk after the other. */
    size_t before = at.slot == HONE_LORA_DOWN
                        ? at.chunk * hone_padded_rows(hone_pass_rows(pass, at.layer))
                        : 0;
    pass->weights->ops->dropout(x, rows, matrix_a(pass, at).width, &drop,
                                (uint32_t)(before + first));
}

void hone_beside_forward(const hone_pass *pass, hone_beside_place at, const hone_tile *t,
                         const float *x, float *y, float *scratch) {
    if (!is_there(pass, at)) return;
    const hone_ops *ops = pass->weights->ops;
    narrow a = matrix_a(pass, at), bt = matrix_bt(pass, at);
    size_t rank = pass->beside->lora->rank;
    float *row = scratch, *z = scratch + a.width;
    for (size_t i = 0; i < t->rows; i++) {
        memcpy(row, x + i * a.width, a.width * sizeof *row);
        hone_beside_drop(pass, at, t->first + i, 1, row);
        narrow_row(ops, a, rank, row, z);
        widen_row(bt, rank, z, y + i * bt.width);
    }
}

void hone_beside_backward(const hone_pass *pass, hone_beside_place at, const hone_tile *t,
                          const float *dy, float *dx, float *scratch) {
    if (!is_there(pass, at)) return;
    const hone_ops *ops = pass->weights->ops;
    narrow a = matrix_a(pass, at), bt = matrix_bt(pass, at);
    size_t rank = pass->beside->lora->rank;
    float *row = scratch, *u = scratch + a.width;
    for (size_t i = 0; i < t->rows; i++) {
        narrow_row(ops, bt, rank, dy + i * bt.width, u);
        memset(row, 0, a.width * sizeof *row);
        widen_row(a, rank, u, row);
        hone_beside_drop(pass, at, t->first + i, 1, row);
        ops->add(dx + i * a.width, dx + i * a.width, row, a.width);
    }
}
