/* batcher.c: see batcher.h.
 *
 *     lock: line of queries --take--> the batch's slices (query, texts from..to)
 *              `--too late--> finish with FULL
 *     no lock: ids side by side -> forward -> logits to their queries -> finish of the whole ones
 *
 * A query is on the line, or in the batch, or both: partly taken, it is put back at the end of
 * the line only once its slice is through, so no other thread ever sees it half done. */
#include "serve/batcher.h"

#include "base/clock.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH_TOKENS = 2048,
    QUEUE_QUERIES = 1024,
    QUEUE_TOKENS = 1 << 20,
    SLICES_MAX = 512,
};

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
    size_t mates;       /* queries that the last batch answered */
    int64_t free_at_ns; /* when the batch that runs is likely to be through */
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

/* Take those that should have begun by now off the line. */
static hone_query *take_late(hone_batcher *b, int64_t now_ns) {
    line rest = {NULL, NULL}, late = {NULL, NULL};
    hone_query *next = NULL;
    for (hone_query *q = b->waiting.first; q; q = next) {
        next = q->next;
        bool is_late = q->taken == 0 && q->until_ns <= now_ns;
        line_push(is_late ? &late : &rest, q);
        b->load.queries -= is_late;
        b->load.tokens -= is_late ? q->tokens : 0;
    }
    b->waiting = rest;
    return late.first;
}

/* ---- how long it takes ---- */

/* Too high a reckoning refuses for nothing: nothing is assumed before a model's first batch. */
static double ns_per_token(const hone_query *q) {
    const hone_pace *pace = hone_deployment_pace(q->deployment);
    return pace->tokens > 0 ? pace->ns / pace->tokens : 0;
}

/* A batch of the whole budget makes what was before count for half, one of a few tokens for nearly
 * all: those are slow, and say little of what is to be expected under load. */
static void note_pace(hone_batcher *b, hone_deployment *d, size_t tokens, int64_t took_ns) {
    hone_pace *pace = hone_deployment_pace(d);
    double budget = (double)b->options.batch_tokens, keep = budget / (budget + (double)tokens);
    pace->ns = keep * pace->ns + (double)took_ns;
    pace->tokens = keep * pace->tokens + (double)tokens;
}

/* In how many ns a query that comes now is likely to begin. Each of those that wait gets its share
 * of the batches until then: at most as much as this one's first text needs. */
static int64_t reckon_wait_ns(const hone_batcher *b, const hone_query *query, int64_t now_ns) {
    double wait_ns = b->free_at_ns > now_ns ? (double)(b->free_at_ns - now_ns) : 0;
    size_t first = text_tokens(query, 0);
    for (const hone_query *q = b->waiting.first; q; q = q->next) {
        size_t ahead = left_tokens(q) < first ? left_tokens(q) : first;
        wait_ns += (double)ahead * ns_per_token(q);
    }
    return (int64_t)wait_ns;
}

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
 * taken whatever its length. The tokens of them all. */
static size_t take_batch(hone_batcher *b) {
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
    return used;
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

static hone_err run_batch(hone_batcher *b, const hone_pack *pack) {
    hone_logits logits;
    hone_session *session = hone_deployment_session(b->slices[0].query->deployment);
    HONE_TRY(hone_model_forward(session, b->pool, pack, &logits));
    const float *row = logits.values;
    for (size_t i = 0; i < b->slice_count; i++) {
        const slice *s = &b->slices[i];
        size_t floats = (s->to - s->from) * logits.labels;
        memcpy(s->query->logits + s->from * logits.labels, row, floats * sizeof *row);
        row += floats;
    }
    return HONE_OK;
}

/* Answer queries, failed or not: one by one, for each may be gone once it is answered. */
static void finish_all(hone_query *const *queries, size_t count, hone_err err) {
    char msg[256]; /* the callbacks may make errors of their own, and err's words would go */
    (void)snprintf(msg, sizeof msg, "%s", err.msg ? err.msg : "");
    if (err.msg) err.msg = msg;
    for (size_t i = 0; i < count; i++) queries[i]->finish(queries[i], err);
}

/* Answer the whole queries, put the others back on the line. err failed the whole batch. */
static void finish_batch(hone_batcher *b, int64_t took_ns, hone_err err) {
    hone_query *whole[SLICES_MAX];
    size_t count = 0, tokens = 0;
    pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < b->slice_count; i++) {
        const slice *s = &b->slices[i];
        bool is_whole = hone_failed(err) || s->to == s->query->count;
        size_t before = left_tokens(s->query);
        s->query->taken = is_whole ? s->query->count : s->to;
        tokens += before - left_tokens(s->query);
        if (is_whole)
            whole[count++] = s->query;
        else
            line_push(&b->waiting, s->query);
    }
    if (!hone_failed(err)) note_pace(b, b->slices[0].query->deployment, tokens, took_ns);
    b->load.tokens -= tokens;
    b->load.queries -= count;
    b->load.batches++;
    b->load.answered += count;
    b->mates = count;
    b->free_at_ns = 0;
    pthread_mutex_unlock(&b->lock);
    finish_all(whole, count, err);
}

static void refuse_late(hone_query *late) {
    while (late) {
        hone_query *q = late;
        late = q->next;
        finish_all(&q, 1, hone_err_new(HONE_E_FULL, "the request had no turn in time: try again"));
    }
}

/* Wait for a query, and then a little for those that may follow it. The lock is held. */
static void await_queries(hone_batcher *b) {
    while (!b->waiting.first && !b->stopping) pthread_cond_wait(&b->changed, &b->lock);
    if (b->options.delay_us <= 0) return;
    int64_t until_ns = hone_clock_ns() + 1000 * b->options.delay_us;
    const struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
    while (b->load.queries < b->mates && b->load.tokens < b->options.batch_tokens && !b->stopping)
        if (pthread_cond_timedwait(&b->changed, &b->lock, &until) != 0) return;
}

/* The next batch in b->slices, possibly of none; false at the end. */
static bool next_batch(hone_batcher *b, int64_t *begin_ns) {
    pthread_mutex_lock(&b->lock);
    await_queries(b);
    bool is_over = !b->waiting.first;
    int64_t now_ns = hone_clock_ns();
    hone_query *late = take_late(b, now_ns);
    b->slice_count = 0;
    if (b->waiting.first) {
        double cost = ns_per_token(b->waiting.first) * (double)take_batch(b);
        b->free_at_ns = now_ns + (int64_t)cost;
    }
    pthread_mutex_unlock(&b->lock);
    refuse_late(late);
    *begin_ns = hone_clock_ns();
    return !is_over;
}

static void *run(void *arg) {
    hone_batcher *b = arg;
    for (int64_t begin_ns; next_batch(b, &begin_ns);) {
        hone_pack pack;
        if (b->slice_count == 0) continue; /* all that waited were late */
        hone_err err = pack_batch(b, &pack);
        if (!hone_failed(err)) err = run_batch(b, &pack);
        finish_batch(b, hone_clock_ns() - begin_ns, err);
    }
    return NULL;
}

/* ---- doors ---- */

hone_err hone_batcher_create(const hone_batcher_options *options, hone_batcher **out) {
    hone_batcher *b = calloc(1, sizeof *b);
    if (!b) return hone_err_new(HONE_E_NOMEM, "no memory for a batcher");
    b->options = *options;
    if (b->options.batch_tokens == 0) b->options.batch_tokens = BATCH_TOKENS;
    if (b->options.queue_queries == 0) b->options.queue_queries = QUEUE_QUERIES;
    if (b->options.queue_tokens == 0) b->options.queue_tokens = QUEUE_TOKENS;
    if (b->options.patience_ms == 0) b->options.patience_ms = HONE_BATCHER_PATIENCE_MS;
    if (b->options.delay_us == 0) b->options.delay_us = HONE_BATCHER_DELAY_US;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic); /* none of these can fail on the platforms we support */
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
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

/* May the query wait? The lock is held. */
static hone_err admit(const hone_batcher *b, const hone_query *query, int64_t patience_ms,
                      int64_t now_ns) {
    size_t queries = b->load.queries, tokens = b->load.tokens;
    if (b->stopping) return hone_err_new(HONE_E_CLOSED, "the server is stopping");
    if (queries >= b->options.queue_queries ||
        (queries > 0 && tokens + query->tokens > b->options.queue_tokens))
        return hone_err_new(HONE_E_FULL, "%zu requests with %zu tokens are waiting: try again",
                            queries, tokens);
    int64_t wait_ms = reckon_wait_ns(b, query, now_ns) / 1000000;
    if (wait_ms > patience_ms)
        return hone_err_new(HONE_E_FULL, "%zu requests are waiting, for some %lld ms: try again",
                            queries, (long long)wait_ms);
    return HONE_OK;
}

hone_err hone_batcher_push(hone_batcher *batcher, hone_query *query) {
    hone_batcher *b = batcher;
    int64_t now_ns = hone_clock_ns(), patience_ms = b->options.patience_ms;
    if (query->patience_ms > 0 && query->patience_ms < patience_ms)
        patience_ms = query->patience_ms;
    pthread_mutex_lock(&b->lock);
    hone_err err = admit(b, query, patience_ms, now_ns);
    if (!hone_failed(err)) {
        query->until_ns = now_ns + patience_ms * 1000000;
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
