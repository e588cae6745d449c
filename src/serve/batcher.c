/* batcher.c: see batcher.h.
 *
 *     lock: line of queries --take--> the batch's slices (query, texts from..to)
 *     no lock: ids side by side -> forward -> logits to their queries -> finish of the whole ones
 *
 * A query is on the line, or in the batch, or both: partly taken, it is put back at the end of
 * the line only once its slice is through, so no other thread ever sees it half done. */
#include "serve/batcher.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_TOKENS = 2048, QUEUE_QUERIES = 1024, QUEUE_TOKENS = 1 << 20, SLICES_MAX = 512 };

/* Texts [from, to) of a query. */
typedef struct slice {
    hone_query *query;
    size_t from, to;
} slice;

typedef struct line {
    hone_query *first, *last;
} line;

struct hone_batcher {
    hone_batcher_options options;
    hone_pool *pool;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a query arrived, or stopping */
    /* Guarded by lock: */
    line waiting;
    hone_batcher_load load;
    bool stopping;
    /* The thread's own: */
    slice slices[SLICES_MAX];
    size_t slice_count;
    int32_t *ids; /* [batch_tokens or the longest text] */
    size_t ids_cap;
    int32_t *starts; /* [texts of the batch + 1] */
    size_t starts_cap;
};

/* ---- the line ---- */

static void line_push(line *l, hone_query *q) {
    q->next = NULL;
    if (l->last)
        l->last->next = q;
    else
        l->first = q;
    l->last = q;
}

static size_t text_tokens(const hone_query *q, size_t text) {
    return (size_t)(q->starts[text + 1] - q->starts[text]);
}

static size_t left_tokens(const hone_query *q) { return q->tokens - (size_t)q->starts[q->taken]; }

/* ---- a batch ---- */

/* How many queries of this deployment wait, as far as a batch has slices for. */
static size_t count_mates(const hone_batcher *b, const hone_deployment *d) {
    size_t count = 0;
    for (const hone_query *q = b->waiting.first; q && count < SLICES_MAX; q = q->next)
        count += q->deployment == d;
    return count;
}

/* Extend the slice by texts of its query while they fit into room tokens; how many they took. */
static size_t extend(slice *s, size_t room) {
    size_t used = 0;
    while (s->to < s->query->count && used + text_tokens(s->query, s->to) <= room) {
        used += text_tokens(s->query, s->to);
        s->to++;
    }
    return used;
}

/* Take the queries of the first one's deployment off the line, each with a slice of its texts:
 * first equal shares, then what still fits in the order of the line. The first text of all is
 * taken whatever its length. */
static void take_batch(hone_batcher *b) {
    const hone_deployment *d = b->waiting.first->deployment;
    size_t budget = b->options.batch_tokens, share = budget / count_mates(b, d), used = 0;
    line rest = {NULL, NULL};
    hone_query *next = NULL;
    b->slice_count = 0;
    for (hone_query *q = b->waiting.first; q; q = next) {
        next = q->next;
        slice s = {q, q->taken, q->taken};
        bool is_ours = q->deployment == d && b->slice_count < SLICES_MAX && used < budget;
        size_t room = share < budget - used ? share : budget - used;
        if (is_ours) used += extend(&s, room);
        if (is_ours && s.to == s.from && (used == 0 || text_tokens(q, s.to) <= budget - used))
            used += text_tokens(q, s.to++); /* longer than its share */
        if (s.to > s.from)
            b->slices[b->slice_count++] = s;
        else
            line_push(&rest, q);
    }
    b->waiting = rest;
    for (size_t i = 0; i < b->slice_count && used < budget; i++)
        used += extend(&b->slices[i], budget - used);
}

static bool grow(int32_t **array, size_t *cap, size_t wanted) {
    if (wanted <= *cap) return true;
    int32_t *bigger = realloc(*array, wanted * sizeof *bigger);
    if (!bigger) return false;
    *array = bigger;
    *cap = wanted;
    return true;
}

/* The batch's texts side by side. */
static hone_err pack_batch(hone_batcher *b, hone_pack *out) {
    size_t tokens = 0, texts = 0;
    for (size_t i = 0; i < b->slice_count; i++) {
        const slice *s = &b->slices[i];
        tokens += (size_t)(s->query->starts[s->to] - s->query->starts[s->from]);
        texts += s->to - s->from;
    }
    if (!grow(&b->ids, &b->ids_cap, tokens) || !grow(&b->starts, &b->starts_cap, texts + 1))
        return hone_err_new(HONE_E_NOMEM, "no memory for a batch of %zu tokens", tokens);
    size_t at = 0, text = 0;
    b->starts[0] = 0;
    for (size_t i = 0; i < b->slice_count; i++) {
        const slice *s = &b->slices[i];
        const int32_t *starts = s->query->starts;
        size_t count = (size_t)(starts[s->to] - starts[s->from]);
        memcpy(b->ids + at, s->query->ids + starts[s->from], count * sizeof *b->ids);
        for (size_t t = s->from; t < s->to; t++)
            b->starts[++text] = (int32_t)at + starts[t + 1] - starts[s->from];
        at += count;
    }
    *out = (hone_pack){tokens, texts, b->ids, NULL, b->starts};
    return HONE_OK;
}

static hone_err run_batch(hone_batcher *b) {
    hone_pack pack;
    hone_logits logits;
    HONE_TRY(pack_batch(b, &pack));
    hone_session *session = hone_deployment_session(b->slices[0].query->deployment);
    HONE_TRY(hone_model_forward(session, b->pool, &pack, &logits));
    const float *row = logits.values;
    for (size_t i = 0; i < b->slice_count; i++) {
        const slice *s = &b->slices[i];
        size_t floats = (s->to - s->from) * logits.labels;
        memcpy(s->query->logits + s->from * logits.labels, row, floats * sizeof *row);
        row += floats;
    }
    return HONE_OK;
}

/* Answer the whole queries, put the others back on the line. err failed the whole batch. */
static void finish_batch(hone_batcher *b, hone_err err) {
    size_t whole = 0, tokens = 0;
    pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < b->slice_count; i++) {
        slice *s = &b->slices[i];
        bool is_whole = hone_failed(err) || s->to == s->query->count;
        size_t before = left_tokens(s->query);
        s->query->taken = is_whole ? s->query->count : s->to;
        tokens += before - left_tokens(s->query);
        if (is_whole)
            b->slices[whole++] = *s;
        else
            line_push(&b->waiting, s->query);
    }
    b->load.tokens -= tokens;
    b->load.queries -= whole;
    b->load.batches++;
    b->load.answered += whole;
    pthread_mutex_unlock(&b->lock);
    char msg[256]; /* the callbacks may make errors of their own, and err's words would go */
    (void)snprintf(msg, sizeof msg, "%s", err.msg ? err.msg : "");
    if (err.msg) err.msg = msg;
    for (size_t i = 0; i < whole; i++) b->slices[i].query->finish(b->slices[i].query, err);
}

static void *run(void *arg) {
    hone_batcher *b = arg;
    for (;;) {
        pthread_mutex_lock(&b->lock);
        while (!b->waiting.first && !b->stopping) pthread_cond_wait(&b->changed, &b->lock);
        bool is_done = !b->waiting.first;
        if (!is_done) take_batch(b);
        pthread_mutex_unlock(&b->lock);
        if (is_done) return NULL;
        finish_batch(b, run_batch(b));
    }
}

/* ---- doors ---- */

hone_err hone_batcher_create(const hone_batcher_options *options, hone_batcher **out) {
    hone_batcher *b = calloc(1, sizeof *b);
    if (!b) return hone_err_new(HONE_E_NOMEM, "no memory for a batcher");
    b->options = *options;
    if (b->options.batch_tokens == 0) b->options.batch_tokens = BATCH_TOKENS;
    if (b->options.queue_queries == 0) b->options.queue_queries = QUEUE_QUERIES;
    if (b->options.queue_tokens == 0) b->options.queue_tokens = QUEUE_TOKENS;
    pthread_mutex_init(&b->lock, NULL);   /* default attributes: cannot fail on */
    pthread_cond_init(&b->changed, NULL); /* the platforms we support */
    hone_err err = hone_pool_create(options->threads, &b->pool);
    if (!hone_failed(err)) {
        b->has_thread = pthread_create(&b->thread, NULL, run, b) == 0;
        if (!b->has_thread) err = hone_err_new(HONE_E_NOMEM, "no thread for the batcher");
    }
    if (hone_failed(err))
        hone_batcher_destroy(b);
    else
        *out = b;
    return err;
}

void hone_batcher_destroy(hone_batcher *batcher) {
    hone_batcher *b = batcher;
    if (!b) return;
    pthread_mutex_lock(&b->lock);
    b->stopping = true;
    pthread_cond_signal(&b->changed);
    pthread_mutex_unlock(&b->lock);
    if (b->has_thread) (void)pthread_join(b->thread, NULL); /* our own, joined once */
    assert(!b->waiting.first);
    hone_pool_destroy(b->pool);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
    free(b->starts);
    free(b->ids);
    free(b);
}

hone_err hone_batcher_push(hone_batcher *batcher, hone_query *query) {
    hone_batcher *b = batcher;
    hone_err err = HONE_OK;
    pthread_mutex_lock(&b->lock);
    size_t queries = b->load.queries, tokens = b->load.tokens;
    if (b->stopping) {
        err = hone_err_new(HONE_E_CLOSED, "the server is stopping");
    } else if (queries >= b->options.queue_queries ||
               (queries > 0 && tokens + query->tokens > b->options.queue_tokens)) {
        err = hone_err_new(HONE_E_FULL, "%zu requests with %zu tokens are waiting: try again",
                           queries, tokens);
    } else {
        line_push(&b->waiting, query);
        b->load.queries++;
        b->load.tokens += query->tokens;
        pthread_cond_signal(&b->changed);
    }
    pthread_mutex_unlock(&b->lock);
    return err;
}

size_t hone_batcher_threads(const hone_batcher *batcher) {
    return hone_pool_threads(batcher->pool);
}

hone_batcher_load hone_batcher_read(hone_batcher *batcher) {
    pthread_mutex_lock(&batcher->lock);
    hone_batcher_load load = batcher->load;
    pthread_mutex_unlock(&batcher->lock);
    return load;
}
