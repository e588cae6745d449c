/* batch.c: see batch.h. */
#include "serve/batch.h"

#include <stdlib.h>
#include <string.h>

void hone_line_push(hone_line *line, hone_query *query) {
    query->next = NULL;
    if (line->last)
        line->last->next = query;
    else
        line->first = query;
    line->last = query;
    line->queries++;
}

static size_t text_tokens(const hone_query *q, size_t text) {
    return (size_t)(q->starts[text + 1] - q->starts[text]);
}

size_t hone_query_left(const hone_query *query) {
    return query->tokens - (size_t)query->starts[query->taken];
}

/* ---- taking ---- */

hone_batch_demand hone_batch_demand_of(const hone_line *line) {
    hone_batch_demand demand = {0, 0, 0};
    for (const hone_query *q = line->first; q; q = q->next) {
        if (q->deployment != line->first->deployment) continue;
        if (demand.queries == HONE_BATCH_SLICES_MAX) break;
        size_t tokens = hone_query_left(q);
        demand.queries++;
        demand.tokens += tokens;
        if (tokens > demand.largest) demand.largest = tokens;
    }
    return demand;
}

/* Extend the slice by texts of its query while they fit into room tokens; how many they took. */
static size_t extend(hone_slice *s, size_t room) {
    size_t used = 0;
    while (s->to < s->query->count && used + text_tokens(s->query, s->to) <= room) {
        used += text_tokens(s->query, s->to);
        s->to++;
    }
    return used;
}

/* First equal shares, then what still fits in the order of the line. */
void hone_batch_take(hone_batch *batch, hone_line *line, const hone_batch_demand *demand,
                     size_t budget) {
    const hone_deployment *d = line->first->deployment;
    size_t share = budget / demand->queries, used = 0;
    hone_line rest = {NULL, NULL, 0};
    hone_query *next = NULL;
    batch->count = 0;
    for (hone_query *q = line->first; q; q = next) {
        next = q->next;
        hone_slice s = {q, q->taken, q->taken};
        bool is_ours = q->deployment == d && batch->count < HONE_BATCH_SLICES_MAX && used < budget;
        size_t room = share < budget - used ? share : budget - used;
        if (is_ours) used += extend(&s, room);
        if (is_ours && s.to == s.from && (used == 0 || text_tokens(q, s.to) <= budget - used))
            used += text_tokens(q, s.to++); /* longer than its share */
        if (s.to > s.from)
            batch->slices[batch->count++] = s;
        else
            hone_line_push(&rest, q);
    }
    *line = rest;
    for (size_t i = 0; i < batch->count && used < budget; i++)
        used += extend(&batch->slices[i], budget - used);
    batch->tokens = used;
}

/* ---- running ---- */

static bool grow(int32_t **array, size_t *cap, size_t wanted) {
    if (wanted <= *cap) return true;
    int32_t *bigger = realloc(*array, wanted * sizeof *bigger);
    if (!bigger) return false;
    *array = bigger;
    *cap = wanted;
    return true;
}

/* The batch's texts side by side. */
static hone_err pack(hone_batch *b, hone_pack *out) {
    size_t texts = 0, at = 0, text = 0;
    for (size_t i = 0; i < b->count; i++) texts += b->slices[i].to - b->slices[i].from;
    if (!grow(&b->ids, &b->ids_cap, b->tokens) || !grow(&b->starts, &b->starts_cap, texts + 1))
        return hone_err_new(HONE_E_NOMEM, "no memory for a batch of %zu tokens", b->tokens);
    b->starts[0] = 0;
    for (size_t i = 0; i < b->count; i++) {
        const hone_slice *s = &b->slices[i];
        const int32_t *starts = s->query->starts;
        size_t count = (size_t)(starts[s->to] - starts[s->from]);
        memcpy(b->ids + at, s->query->ids + starts[s->from], count * sizeof *b->ids);
        for (size_t t = s->from; t < s->to; t++)
            b->starts[++text] = (int32_t)at + starts[t + 1] - starts[s->from];
        at += count;
    }
    *out = (hone_pack){b->tokens, texts, b->ids, NULL, b->starts};
    return HONE_OK;
}

hone_err hone_batch_run(hone_batch *batch, hone_session *session, hone_pool *pool) {
    hone_pack packed;
    hone_logits logits;
    HONE_TRY(pack(batch, &packed));
    HONE_TRY(hone_model_forward(session, pool, &packed, &logits));
    const float *row = logits.values;
    for (size_t i = 0; i < batch->count; i++) {
        const hone_slice *s = &batch->slices[i];
        size_t floats = (s->to - s->from) * logits.labels;
        memcpy(s->query->logits + s->from * logits.labels, row, floats * sizeof *row);
        row += floats;
    }
    return HONE_OK;
}

void hone_batch_done(hone_batch *batch) {
    free(batch->starts);
    free(batch->ids);
}
