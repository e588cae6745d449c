/* batcher.c: see batcher.h.
 *
 *     lanes, one thread each:   pick --> run --> finish --> pick ...
 *
 *     pick    one lane at a time: wait for queries, and a little for their mates; take a batch
 *     run     no lock: ids side by side -> forward -> logits to their queries
 *     finish  whole queries are answered, the others put back on the line
 *
 * A lane that has picked for all cores goes on being the one that picks until it has finished, so
 * that nobody else runs meanwhile.
 *
 * A query is on the line, or in a batch, or both: partly taken, it is put back at the end of
 * the line only once its slice is through, so no other thread ever sees it half done. */
#include "serve/batcher.h"

#include "base/clock.h"
#include "serve/batch.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH_TOKENS = 2048,
    QUEUE_QUERIES = 1024,
    QUEUE_TOKENS = 1 << 20,
    LEAST_TOKENS = 128, /* what a batch takes, if it is there: kernels do not get better above */
};

_Static_assert((int)HONE_BATCHER_LANES_MAX <= (int)HONE_DEPLOYMENT_SESSIONS_MAX,
               "a session for each lane");

typedef struct lane {
    struct hone_batcher *batcher;
    size_t index;
    pthread_t thread;
    bool has_thread;
    hone_pool *pool; /* its share of the cores; NULL: all of them are */
    hone_batch batch;
    bool is_wide;    /* the batch runs on all cores */
    size_t mates;    /* queries that its last batch answered */
    int64_t free_ns; /* when its batch is likely to be through; guarded by the batcher's lock */
} lane;

struct hone_batcher {
    hone_batcher_options options;
    hone_pool *all; /* all cores */
    lane lanes[HONE_BATCHER_LANES_MAX];
    size_t lane_count;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* for the lane that picks: a query arrived, or stopping */
    pthread_cond_t turn;    /* nobody picks */
    /* Guarded by lock: */
    hone_line waiting;
    hone_batcher_load load;
    bool has_picker;
    size_t running; /* lanes that have a batch */
    bool is_crowd;  /* when the last batch ended, others waited or ran */
    bool stopping;
};

/* Take those that should have begun by now off the line. */
static hone_query *take_late(hone_batcher *b, int64_t now_ns) {
    hone_line rest = {NULL, NULL, 0}, late = {NULL, NULL, 0};
    hone_query *next = NULL;
    for (hone_query *q = b->waiting.first; q; q = next) {
        next = q->next;
        bool is_late = q->taken == 0 && q->until_ns <= now_ns;
        hone_line_push(is_late ? &late : &rest, q);
        b->load.queries -= is_late;
        b->load.tokens -= is_late ? q->tokens : 0;
    }
    b->waiting = rest;
    return late.first;
}

/* ---- how long it takes ---- */

/* With all cores at work. Too high a reckoning refuses for nothing: nothing is assumed before a
 * model's first batch. */
static double ns_per_token(const hone_query *q) {
    const hone_pace *pace = hone_deployment_pace(q->deployment);
    return pace->tokens > 0 ? pace->ns / pace->tokens : 0;
}

/* What a lane's own cores need for what all of them do in one nanosecond. */
static double slowness(const lane *l) { return l->is_wide ? 1.0 : (double)l->batcher->lane_count; }

/* A batch of the whole budget makes what was before count for half, one of a few tokens for nearly
 * all: those are slow, and say little of what is to be expected under load. */
static void note_pace(hone_batcher *b, hone_deployment *d, size_t tokens, double took_ns) {
    hone_pace *pace = hone_deployment_pace(d);
    double budget = (double)b->options.batch_tokens, keep = budget / (budget + (double)tokens);
    pace->ns = keep * pace->ns + took_ns;
    pace->tokens = keep * pace->tokens + (double)tokens;
}

/* What the batches that run still need, if all cores were at them. */
static double busy_ns(const hone_batcher *b, int64_t now_ns) {
    double ns = 0;
    for (size_t i = 0; i < b->lane_count; i++) {
        const lane *l = &b->lanes[i];
        if (l->free_ns > now_ns) ns += (double)(l->free_ns - now_ns) / slowness(l);
    }
    return ns;
}

/* In how many ns a query that comes now is likely to begin. Each of those that wait gets its share
 * of the batches until then: at most as much as this one's first text needs. */
static int64_t reckon_wait_ns(const hone_batcher *b, const hone_query *query, int64_t now_ns) {
    double wait_ns = busy_ns(b, now_ns);
    size_t first = (size_t)(query->starts[1] - query->starts[0]);
    for (const hone_query *q = b->waiting.first; q; q = q->next) {
        size_t left = hone_query_left(q), ahead = left < first ? left : first;
        wait_ns += (double)ahead * ns_per_token(q);
    }
    return (int64_t)wait_ns;
}

/* ---- pick ---- */

/* Wait for a query, and then a little for those that may follow it. The lock is held. */
static void await_queries(hone_batcher *b, const lane *l) {
    while (!b->waiting.first && !b->stopping) pthread_cond_wait(&b->changed, &b->lock);
    if (b->options.delay_us <= 0) return;
    int64_t until_ns = hone_clock_ns() + 1000 * b->options.delay_us;
    const struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
    while (b->waiting.queries < l->mates && !b->stopping)
        if (pthread_cond_timedwait(&b->changed, &b->lock, &until) != 0) return;
}

/* All cores for one batch: a lone query, or one so much larger than the others that lanes of their
 * own could not share them out. The lock is held. */
static bool should_be_wide(const hone_batcher *b, const hone_batch_demand *demand) {
    if (b->lane_count == 1) return true;
    if (b->running > 0) return false;
    bool is_lopsided = demand->largest * b->lane_count > demand->tokens &&
                       demand->tokens >= LEAST_TOKENS;
    return is_lopsided || (demand->queries == 1 && !b->is_crowd);
}

/* Tokens for a lane that is not alone: as many as let it end with the others, those that are idle
 * and those that run. The lock is held. */
static size_t budget_of(const hone_batcher *b, const hone_batch_demand *demand, double pace_ns,
                        int64_t now_ns) {
    double running = pace_ns > 0 ? busy_ns(b, now_ns) / pace_ns : 0; /* tokens */
    size_t least = b->running + 1 < b->lane_count ? 1 : LEAST_TOKENS;
    size_t share = (size_t)ceil(((double)demand->tokens + running) / (double)b->lane_count);
    if (share < least) share = least;
    return share < b->options.batch_tokens ? share : b->options.batch_tokens;
}

/* The lock is held, and something waits. */
static void take_batch(lane *l, int64_t now_ns) {
    hone_batcher *b = l->batcher;
    const hone_batch_demand demand = hone_batch_demand_of(&b->waiting);
    double pace_ns = ns_per_token(b->waiting.first);
    l->is_wide = should_be_wide(b, &demand);
    size_t budget = l->is_wide ? b->options.batch_tokens : budget_of(b, &demand, pace_ns, now_ns);
    hone_batch_take(&l->batch, &b->waiting, &demand, budget);
    l->free_ns = now_ns + (int64_t)(pace_ns * slowness(l) * (double)l->batch.tokens);
    b->running++;
}

/* Let the next lane pick. The lock is held. */
static void pass_on(hone_batcher *b) {
    b->has_picker = false;
    pthread_cond_signal(&b->turn);
}

/* Answer queries, failed or not: one by one, for each may be gone once it is answered. */
static void finish_all(hone_query *const *queries, size_t count, hone_err err) {
    char msg[256]; /* the callbacks may make errors of their own, and err's words would go */
    (void)snprintf(msg, sizeof msg, "%s", err.msg ? err.msg : "");
    if (err.msg) err.msg = msg;
    for (size_t i = 0; i < count; i++) queries[i]->finish(queries[i], err);
}

static void refuse_late(hone_query *late) {
    while (late) {
        hone_query *q = late;
        late = q->next;
        finish_all(&q, 1, hone_err_new(HONE_E_FULL, "the request had no turn in time: try again"));
    }
}

/* The next batch of the lane, possibly of none; false at the end. */
static bool pick(lane *l) {
    hone_batcher *b = l->batcher;
    pthread_mutex_lock(&b->lock);
    while (b->has_picker) pthread_cond_wait(&b->turn, &b->lock);
    b->has_picker = true;
    await_queries(b, l);
    bool is_over = !b->waiting.first;
    int64_t now_ns = hone_clock_ns();
    hone_query *late = take_late(b, now_ns);
    l->batch.count = 0;
    if (b->waiting.first) take_batch(l, now_ns);
    if (l->batch.count == 0 || !l->is_wide) pass_on(b);
    pthread_mutex_unlock(&b->lock);
    refuse_late(late);
    return !is_over;
}

/* ---- run and finish ---- */

/* The lane's batch is through, with so many queries answered. The lock is held. */
static void note_end(lane *l, size_t answered) {
    hone_batcher *b = l->batcher;
    l->free_ns = 0;
    l->mates = answered;
    b->running--;
    b->is_crowd = b->running > 0 || b->waiting.first;
    if (!l->is_wide) {
        if (b->waiting.first) pthread_cond_signal(&b->changed); /* a part that was put back */
        return;
    }
    for (size_t i = 0; i < b->lane_count; i++) b->lanes[i].mates = answered; /* any may be next */
    pass_on(b);
}

/* Answer the whole queries, put the others back on the line. err failed the whole batch. */
static void finish(lane *l, int64_t took_ns, hone_err err) {
    hone_batcher *b = l->batcher;
    hone_query *whole[HONE_BATCH_SLICES_MAX];
    size_t count = 0, tokens = 0;
    pthread_mutex_lock(&b->lock);
    for (size_t i = 0; i < l->batch.count; i++) {
        const hone_slice *s = &l->batch.slices[i];
        bool is_whole = hone_failed(err) || s->to == s->query->count;
        size_t before = hone_query_left(s->query);
        s->query->taken = is_whole ? s->query->count : s->to;
        tokens += before - hone_query_left(s->query);
        if (is_whole)
            whole[count++] = s->query;
        else
            hone_line_push(&b->waiting, s->query);
    }
    if (!hone_failed(err))
        note_pace(b, l->batch.slices[0].query->deployment, tokens, (double)took_ns / slowness(l));
    b->load.tokens -= tokens;
    b->load.queries -= count;
    b->load.batches++;
    b->load.answered += count;
    note_end(l, count);
    pthread_mutex_unlock(&b->lock);
    finish_all(whole, count, err);
}

static void *run(void *arg) {
    lane *l = arg;
    while (pick(l)) {
        if (l->batch.count == 0) continue; /* all that waited were late */
        hone_session *session = hone_deployment_session(l->batch.slices[0].query->deployment,
                                                        l->index);
        int64_t begin_ns = hone_clock_ns();
        hone_err err = hone_batch_run(&l->batch, session, l->is_wide ? l->batcher->all : l->pool);
        finish(l, hone_clock_ns() - begin_ns, err);
    }
    return NULL;
}

/* ---- doors ---- */

static void init_locks(hone_batcher *b) {
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic); /* none of these can fail on the platforms we support */
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, &monotonic);
    pthread_cond_init(&b->turn, NULL);
    pthread_condattr_destroy(&monotonic);
}

static void set_defaults(hone_batcher_options *o) {
    if (o->batch_tokens == 0) o->batch_tokens = BATCH_TOKENS;
    if (o->queue_queries == 0) o->queue_queries = QUEUE_QUERIES;
    if (o->queue_tokens == 0) o->queue_tokens = QUEUE_TOKENS;
    if (o->patience_ms == 0) o->patience_ms = HONE_BATCHER_PATIENCE_MS;
    if (o->delay_us == 0) o->delay_us = HONE_BATCHER_DELAY_US;
}

/* A lane with its share of the cores; a lone one has them all. */
static hone_err start_lane(hone_batcher *b, size_t index, size_t lanes) {
    lane *l = &b->lanes[index];
    size_t threads = hone_pool_threads(b->all);
    *l = (lane){.batcher = b, .index = index};
    if (lanes > 1)
        HONE_TRY(hone_pool_create(threads / lanes + (index < threads % lanes), &l->pool));
    l->has_thread = pthread_create(&l->thread, NULL, run, l) == 0;
    return l->has_thread ? HONE_OK : hone_err_new(HONE_E_NOMEM, "no thread for the batcher");
}

hone_err hone_batcher_create(const hone_batcher_options *options, hone_batcher **out) {
    hone_batcher *b = calloc(1, sizeof *b);
    if (!b) return hone_err_new(HONE_E_NOMEM, "no memory for a batcher");
    b->options = *options;
    set_defaults(&b->options);
    init_locks(b);
    hone_err err = hone_pool_create(options->threads, &b->all);
    if (!hone_failed(err)) {
        size_t threads = hone_pool_threads(b->all);
        b->lane_count = threads < HONE_BATCHER_LANES_MAX ? threads : HONE_BATCHER_LANES_MAX;
    }
    for (size_t i = 0; i < b->lane_count && !hone_failed(err); i++)
        err = start_lane(b, i, b->lane_count);
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
    for (size_t i = 0; i < b->lane_count; i++) {
        lane *l = &b->lanes[i];
        if (l->has_thread) (void)pthread_join(l->thread, NULL); /* our own, joined once */
        hone_pool_destroy(l->pool);
        hone_batch_done(&l->batch);
    }
    assert(!b->waiting.first);
    hone_pool_destroy(b->all);
    pthread_cond_destroy(&b->turn);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
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
        hone_line_push(&b->waiting, query);
        b->load.queries++;
        b->load.tokens += query->tokens;
        pthread_cond_signal(&b->changed);
    }
    pthread_mutex_unlock(&b->lock);
    return err;
}

size_t hone_batcher_lanes(const hone_batcher *batcher) { return batcher->lane_count; }

size_t hone_batcher_threads(const hone_batcher *batcher) { return hone_pool_threads(batcher->all); }

hone_batcher_load hone_batcher_read(hone_batcher *batcher) {
    pthread_mutex_lock(&batcher->lock);
    hone_batcher_load load = batcher->load;
    pthread_mutex_unlock(&batcher->lock);
    return load;
}
