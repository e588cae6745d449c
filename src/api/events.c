/* events.c: see events.h.
 *
 * Each stream has a cursor, the id of the last entry it was offered. Streams that keep up are at or
 * beyond `cursor`, the thread's own, and are served together, an entry read once; a stream that
 * joined with an old Last-Event-ID catches up by itself, a batch a round, so that the bytes waiting
 * for it stay few and nobody else waits. A client that does not read is closed by the server's
 * limit, and comes back with its Last-Event-ID. */
#include "api/events.h"

#include "api/api.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "store/journal.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    STREAMS_MAX = 512,
    STREAMS_PER_USER_MAX = 32,
    BATCH = 128,
    COMMENT_EVERY_MS = 15000,
    CATCH_UP_EVERY_MS = 50,
    EVENT_MAX_BYTES = 256 << 10,
    ARENA_BYTES = 64 << 20,
};

typedef struct stream {
    hone_stream *out;
    int64_t user, session;
    hone_role role;
    int64_t cursor;
    struct stream *next;
} stream;

struct hone_events {
    hone_db *db;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Guarded by lock: */
    bool is_woken, is_stopping;
    stream *joined; /* newest first; the thread takes them over */
    size_t count;   /* of all streams; of a user's: counted below */
    struct {
        int64_t user;
        size_t count;
    } users[STREAMS_MAX];

    /* The thread's own: */
    hone_arena *arena; /* of a round */
    stream *streams;
    int64_t cursor;
    bool is_ending; /* sessions or accounts may have ended: check the streams */
    bool is_behind; /* a stream has more to catch up */
    int64_t comment_ns;
};

/* --- counting ----------------------------------------------------------------------- */

/* The place of a user, or a free one; the lock is held. There is one for each stream. */
static size_t find_place(const hone_events *events, int64_t user) {
    size_t empty = STREAMS_MAX;
    for (size_t i = 0; i < STREAMS_MAX; i++) {
        if (events->users[i].count > 0 && events->users[i].user == user) return i;
        if (events->users[i].count == 0 && empty == STREAMS_MAX) empty = i;
    }
    return empty;
}

static hone_err count_in(hone_events *events, int64_t user) {
    hone_err err = HONE_OK;
    (void)pthread_mutex_lock(&events->lock);
    size_t place = find_place(events, user);
    if (events->is_stopping)
        err = hone_err_new(HONE_E_CLOSED, "hone is stopping");
    else if (place == STREAMS_MAX || events->count >= STREAMS_MAX)
        err = hone_err_new(HONE_E_FULL, "%d event streams are open", STREAMS_MAX);
    else if (events->users[place].count >= STREAMS_PER_USER_MAX)
        err = hone_err_new(HONE_E_FULL, "this account has %d event streams open",
                           STREAMS_PER_USER_MAX);
    if (!hone_failed(err)) {
        events->count++;
        events->users[place].user = user;
        events->users[place].count++;
    }
    (void)pthread_mutex_unlock(&events->lock);
    return err;
}

static void count_out(hone_events *events, int64_t user) {
    (void)pthread_mutex_lock(&events->lock);
    size_t place = find_place(events, user);
    events->count--;
    events->users[place].count--;
    (void)pthread_mutex_unlock(&events->lock);
}

static void stream_end(hone_events *events, stream *s) {
    if (s->out) hone_stream_close(s->out);
    count_out(events, s->user);
    free(s);
}

/* End the streams that have no `out` any more. */
static void drop_closed(hone_events *events) {
    for (stream **at = &events->streams; *at;) {
        stream *s = *at;
        if (s->out) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        stream_end(events, s);
    }
}

static void push(stream *s, hone_str bytes) {
    if (!s->out || !hone_failed(hone_stream_push(s->out, bytes))) return;
    hone_stream_close(s->out);
    s->out = NULL;
}

/* --- who sees what ------------------------------------------------------------------ */

/* detail.team of a task's entry, in the arena; empty when there is none. */
static hone_str team_of(hone_arena *arena, const hone_entry *entry) {
    json_t *detail = NULL;
    hone_str team = {NULL, 0};
    if (!hone_str_has_prefix(entry->kind, HONE_S("task."))) return team;
    if (hone_failed(hone_json_parse(entry->detail, "detail", &detail))) return team;
    hone_str name = hone_json_str(json_object_get(detail, "team"));
    team = (hone_str){hone_arena_strdup(arena, name), name.len};
    json_decref(detail);
    return team.ptr ? team : (hone_str){NULL, 0};
}

static bool may_see(hone_tx *tx, const stream *s, hone_str team) {
    if (s->role >= HONE_ENGINEER) return true;
    return team.len > 0 && hone_accounts_is_in_team(tx, s->user, team);
}

/* One event; the parts of an entry hold no line ends but escaped ones. */
static void format_event(hone_buf *out, const hone_entry *entry) {
    out->len = 0;
    hone_buf_printf(out, "id: %lld\nevent: %.*s\ndata: {\"id\": %lld, \"when\": %lld, \"kind\": ",
                    (long long)entry->id, HONE_ARG(entry->kind), (long long)entry->id,
                    (long long)entry->when_ms);
    hone_json_push_str(out, entry->kind);
    hone_buf_push(out, HONE_S(", \"subject\": "));
    hone_json_push_str(out, entry->subject);
    hone_buf_push(out, HONE_S(", \"detail\": "));
    hone_buf_push(out, entry->detail);
    hone_buf_push(out, HONE_S("}\n\n"));
}

/* Offer an entry to the streams that `only` names (NULL: all that keep up). */
static void offer(hone_events *events, hone_tx *tx, const hone_entry *entry, hone_buf *text,
                  stream *only) {
    hone_str team = team_of(events->arena, entry);
    format_event(text, entry);
    if (hone_failed(hone_buf_err(text))) {
        hone_log("event=journal.skipped entry=%lld", (long long)entry->id);
        hone_buf_done(text);
        hone_buf_init(text, EVENT_MAX_BYTES);
        return;
    }
    for (stream *s = only ? only : events->streams; s; s = only ? NULL : s->next) {
        if (s->cursor >= entry->id || (!only && s->cursor < events->cursor)) continue;
        if (may_see(tx, s, team)) push(s, hone_buf_str(text));
    }
}

/* --- rounds ------------------------------------------------------------------------- */

static bool ends_somebody(const hone_entry *entry) {
    return hone_str_equal(entry->kind, HONE_S("session.ended")) ||
           hone_str_equal(entry->kind, HONE_S("user.disabled"));
}

/* Read a batch after `after`, and offer it. Entries and memberships are read in one transaction
 * after the other: who just joined a team may see an entry of a moment before. */
static hone_err serve_batch(hone_events *events, int64_t after, stream *only, size_t *count) {
    hone_entry *entries = NULL;
    hone_tx *tx = NULL;
    hone_buf text;
    hone_arena_reset(events->arena);
    HONE_TRY(hone_journal_read(events->db, events->arena, after, BATCH, &entries, count));
    if (*count == 0) return HONE_OK;
    HONE_TRY(hone_tx_begin(events->db, HONE_TX_READ, &tx));
    hone_buf_init(&text, EVENT_MAX_BYTES);
    for (size_t i = 0; i < *count; i++) {
        if (!only && ends_somebody(&entries[i])) events->is_ending = true;
        offer(events, tx, &entries[i], &text, only);
    }
    hone_buf_done(&text);
    hone_tx_abort(tx);

    int64_t last = entries[*count - 1].id;
    for (stream *s = only ? only : events->streams; s; s = only ? NULL : s->next) {
        if (!only && s->cursor < events->cursor) continue;
        if (s->cursor < last) s->cursor = last;
    }
    if (!only) events->cursor = last;
    return HONE_OK;
}

static hone_err serve_all(hone_events *events) {
    size_t count = 0;
    do HONE_TRY(serve_batch(events, events->cursor, NULL, &count));
    while (count == BATCH);
    events->is_behind = false;
    for (stream *s = events->streams; s; s = s->next) {
        if (!s->out || s->cursor >= events->cursor) continue;
        HONE_TRY(serve_batch(events, s->cursor, s, &count));
        if (s->cursor < events->cursor) events->is_behind = true;
    }
    return HONE_OK;
}

/* Close the streams whose session or account has ended. */
static hone_err check_streams(hone_events *events) {
    hone_tx *tx = NULL;
    HONE_TRY(hone_tx_begin(events->db, HONE_TX_READ, &tx));
    for (stream *s = events->streams; s; s = s->next) {
        if (!s->out || hone_accounts_is_current(tx, s->user, s->session)) continue;
        hone_stream_close(s->out);
        s->out = NULL;
    }
    hone_tx_abort(tx);
    events->is_ending = false;
    return HONE_OK;
}

static void comment(hone_events *events) {
    int64_t now_ns = hone_clock_ns();
    if (now_ns < events->comment_ns) return;
    events->comment_ns = now_ns + COMMENT_EVERY_MS * 1000000LL;
    events->is_ending = true; /* a session may have run out */
    for (stream *s = events->streams; s; s = s->next) push(s, HONE_S(": still here\n\n"));
}

static void round_of(hone_events *events) {
    hone_err err = serve_all(events);
    comment(events);
    if (!hone_failed(err) && events->is_ending) err = check_streams(events);
    if (hone_failed(err)) {
        /* The entries stay where they are: the next round reads them. */
        hone_log("event=events.failed error=%s", err.msg);
        events->is_behind = true;
    }
    drop_closed(events);
}

/* --- the thread --------------------------------------------------------------------- */

static void wake(void *arg) {
    hone_events *events = arg;
    (void)pthread_mutex_lock(&events->lock);
    events->is_woken = true;
    (void)pthread_cond_signal(&events->changed);
    (void)pthread_mutex_unlock(&events->lock);
}

/* Sleep until there is something to do; take over who joined. False: stop. */
static bool await(hone_events *events) {
    int64_t until_ns = events->comment_ns;
    int64_t soon_ns = hone_clock_ns() + CATCH_UP_EVERY_MS * 1000000LL;
    if (events->is_behind && soon_ns < until_ns) until_ns = soon_ns;
    struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
    (void)pthread_mutex_lock(&events->lock);
    for (int rc = 0; !events->is_woken && !events->is_stopping && rc != ETIMEDOUT;)
        rc = pthread_cond_timedwait(&events->changed, &events->lock, &until);
    events->is_woken = false;
    while (events->joined) {
        stream *s = events->joined;
        events->joined = s->next;
        s->next = events->streams;
        events->streams = s;
    }
    bool goes_on = !events->is_stopping;
    (void)pthread_mutex_unlock(&events->lock);
    return goes_on;
}

static void *thread_main(void *arg) {
    hone_events *events = arg;
    while (await(events)) round_of(events);
    while (events->streams) {
        stream *s = events->streams;
        events->streams = s->next;
        stream_end(events, s);
    }
    return NULL;
}

static void events_free(hone_events *events) {
    hone_arena_destroy(events->arena);
    (void)pthread_cond_destroy(&events->changed);
    (void)pthread_mutex_destroy(&events->lock);
    free(events);
}

hone_err hone_events_start(hone_db *db, hone_events **out) {
    hone_events *events = calloc(1, sizeof *events);
    if (!events) return hone_err_new(HONE_E_NOMEM, "no memory for event streams");
    pthread_condattr_t monotonic;
    events->db = db;
    events->comment_ns = hone_clock_ns() + COMMENT_EVERY_MS * 1000000LL;
    (void)pthread_mutex_init(&events->lock, NULL); /* plain ones cannot fail on Linux */
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&events->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    hone_err err = hone_arena_create(ARENA_BYTES, &events->arena);
    if (!hone_failed(err)) err = hone_journal_last(db, &events->cursor);
    if (!hone_failed(err)) err = hone_journal_watch(db, wake, events);
    if (!hone_failed(err) && pthread_create(&events->thread, NULL, thread_main, events) != 0) {
        hone_journal_unwatch(db, wake, events);
        err = hone_err_new(HONE_E_NOMEM, "no thread for event streams");
    }
    if (hone_failed(err))
        events_free(events);
    else
        *out = events;
    return err;
}

void hone_events_stop(hone_events *events) {
    if (!events) return;
    hone_journal_unwatch(events->db, wake, events);
    (void)pthread_mutex_lock(&events->lock);
    events->is_stopping = true;
    (void)pthread_cond_signal(&events->changed);
    (void)pthread_mutex_unlock(&events->lock);
    (void)pthread_join(events->thread, NULL);
    events_free(events);
}

/* --- joining ------------------------------------------------------------------------ */

/* Where the stream starts: Last-Event-ID, which the browser repeats; else ?after; else now. */
static hone_err read_start(const hone_call *call, int64_t *out) {
    hone_str text = hone_request_header(call->request, "last-event-id");
    int64_t last = 0, start = 0;
    HONE_TRY(hone_journal_last(call->app->db, &last));
    *out = last;
    if (text.len == 0 && !hone_request_query(call->request, "after", &text)) return HONE_OK;
    bool is_number = text.len > 0 && text.len <= 18;
    for (size_t i = 0; i < text.len && is_number; i++) {
        is_number = text.ptr[i] >= '0' && text.ptr[i] <= '9';
        start = start * 10 + (text.ptr[i] - '0');
    }
    if (!is_number) return hone_err_new(HONE_E_INVALID, "'%.*s' is no event's id", HONE_ARG(text));
    if (start < last) *out = start; /* beyond the last: of another data folder */
    return HONE_OK;
}

static void join(hone_events *events, stream *s) {
    (void)pthread_mutex_lock(&events->lock);
    bool is_late = events->is_stopping;
    if (!is_late) {
        s->next = events->joined;
        events->joined = s;
        events->is_woken = true;
        (void)pthread_cond_signal(&events->changed);
    }
    (void)pthread_mutex_unlock(&events->lock);
    if (is_late) stream_end(events, s);
}

/* On failure nothing was answered yet. */
static hone_err open_stream(const hone_call *call, hone_exchange *exchange) {
    hone_events *events = call->app->events;
    int64_t start = 0;
    if (!hone_str_equal(call->request->method, HONE_S("GET")))
        return hone_err_new(HONE_E_NOT_FOUND, "the event stream is a GET");
    HONE_TRY(read_start(call, &start));
    HONE_TRY(count_in(events, call->caller->user));
    stream *s = calloc(1, sizeof *s);
    hone_err err = s ? HONE_OK : hone_err_new(HONE_E_NOMEM, "no memory for an event stream");
    if (!hone_failed(err)) {
        *s = (stream){.user = call->caller->user,
                      .session = call->caller->session,
                      .role = call->caller->role,
                      .cursor = start};
        err = hone_exchange_stream(exchange, &s->out);
    }
    if (hone_failed(err)) {
        count_out(events, call->caller->user);
        free(s);
        return err;
    }
    push(s, HONE_S(": hone\nretry: 1000\n\n"));
    join(events, s);
    return HONE_OK;
}

void hone_api_events(const hone_call *call, hone_exchange *exchange) {
    hone_err err = open_stream(call, exchange);
    if (hone_failed(err)) hone_reply_error(exchange, HONE_OWN, err);
}
