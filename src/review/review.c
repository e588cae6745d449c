/* review.c: the tables, the thread that ends what is due, and the repair at start. */
#include "review/review.h"

#include "base/clock.h"
#include "review/answers_impl.h"
#include "review/loops_impl.h"
#include "review/rows_impl.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    SWEEP_EVERY_MS = 500,
    SWEEP_BATCH = 200,
    SWEEP_ARENA_BYTES = 16 << 20,
    REPAIR_ARENA_BYTES = 128 << 20,
    REPAIR_BATCH = 1000,
};

static const char *const steps[] = {
    "CREATE TABLE review_team ("
    "  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, arn TEXT NOT NULL,"
    "  description TEXT NOT NULL, fields TEXT NOT NULL,"
    "  created_ms INTEGER NOT NULL, modified_ms INTEGER NOT NULL) STRICT;"

    "CREATE TABLE review_task_ui ("
    "  id INTEGER PRIMARY KEY, name TEXT NOT NULL, arn TEXT NOT NULL,"
    "  content TEXT NOT NULL, sha256 TEXT NOT NULL,"
    "  created_ms INTEGER NOT NULL, deleted_ms INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE UNIQUE INDEX review_task_ui_name ON review_task_ui (name) WHERE deleted_ms = 0;"

    "CREATE TABLE review_flow ("
    "  id INTEGER PRIMARY KEY, name TEXT NOT NULL, arn TEXT NOT NULL, status TEXT NOT NULL,"
    "  team TEXT NOT NULL, ui INTEGER NOT NULL REFERENCES review_task_ui (id),"
    "  title TEXT NOT NULL, description TEXT NOT NULL, task_count INTEGER NOT NULL,"
    "  lifetime_s INTEGER NOT NULL, time_limit_s INTEGER NOT NULL,"
    "  bucket TEXT NOT NULL, prefix TEXT NOT NULL, fields TEXT NOT NULL,"
    "  created_ms INTEGER NOT NULL, deleted_ms INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE UNIQUE INDEX review_flow_name ON review_flow (name) WHERE deleted_ms = 0;"

    "CREATE TABLE review_loop ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, arn TEXT NOT NULL,"
    "  flow INTEGER NOT NULL REFERENCES review_flow (id), status TEXT NOT NULL,"
    "  is_open INTEGER NOT NULL, input TEXT NOT NULL, attributes TEXT NOT NULL,"
    "  failure_code TEXT NOT NULL DEFAULT '', failure_reason TEXT NOT NULL DEFAULT '',"
    "  output_uri TEXT NOT NULL DEFAULT '', created_ms INTEGER NOT NULL,"
    "  expires_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL DEFAULT 0) STRICT;"
    "CREATE INDEX review_loop_flow ON review_loop (flow, id);"
    "CREATE INDEX review_loop_open ON review_loop (is_open, expires_ms);"

    /* AUTOINCREMENT: a deleted task's number is never another's, nor is the lease for it. */
    "CREATE TABLE review_task ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  loop INTEGER NOT NULL REFERENCES review_loop (id), state TEXT NOT NULL,"
    "  is_open INTEGER NOT NULL, user INTEGER NOT NULL DEFAULT 0, lease TEXT,"
    "  lease_until_ms INTEGER NOT NULL DEFAULT 0, accepted_ms INTEGER NOT NULL DEFAULT 0,"
    "  created_ms INTEGER NOT NULL) STRICT;"
    "CREATE INDEX review_task_loop ON review_task (loop, id);"
    "CREATE INDEX review_task_open ON review_task (id) WHERE is_open = 1;"
    "CREATE INDEX review_task_leased ON review_task (lease_until_ms) WHERE state = 'leased';"

    "CREATE TABLE review_decline ("
    "  loop INTEGER NOT NULL REFERENCES review_loop (id), user INTEGER NOT NULL,"
    "  PRIMARY KEY (loop, user)) STRICT, WITHOUT ROWID;"

    "CREATE TABLE review_answer ("
    "  id INTEGER PRIMARY KEY, task INTEGER NOT NULL UNIQUE REFERENCES review_task (id),"
    "  user INTEGER NOT NULL, worker TEXT NOT NULL, issuer TEXT NOT NULL,"
    "  content TEXT NOT NULL, accepted_ms INTEGER NOT NULL,"
    "  submitted_ms INTEGER NOT NULL, seconds REAL NOT NULL) STRICT;",

    /* The team of a task's flow, which never changes: a queue is found in the index alone. */
    "ALTER TABLE review_task ADD COLUMN team TEXT NOT NULL DEFAULT '';"
    "UPDATE review_task SET team = (SELECT f.team FROM review_loop l"
    "  JOIN review_flow f ON f.id = l.flow WHERE l.id = review_task.loop);"
    "DROP INDEX review_task_open;"
    "CREATE INDEX review_task_open ON review_task (id, team) WHERE is_open = 1;",
};

hone_err hone_review_migrate(hone_db *db) {
    return hone_db_migrate(db, "review", steps, sizeof steps / sizeof steps[0]);
}

/* ---- what is due ---- */

/* Without a look first, every tick would make the writers wait. */
static hone_err is_due(hone_db *db, bool *out) {
    hone_tx *tx = NULL;
    int64_t due = 0, now_ms = hone_now_ms();
    HONE_TRY(hone_tx_begin(db, HONE_TX_READ, &tx));
    hone_err err = hone_tx_int(
        tx, &due,
        "SELECT EXISTS (SELECT 1 FROM review_task WHERE state = 'leased' AND lease_until_ms <= ?)"
        " OR EXISTS (SELECT 1 FROM review_loop l WHERE l.is_open = 1 AND l.expires_ms <= ?"
        " AND NOT EXISTS (SELECT 1 FROM review_task t WHERE t.loop = l.id AND t.state = 'leased'))",
        "ii", now_ms, now_ms);
    hone_tx_abort(tx);
    *out = due != 0;
    return err;
}

static hone_err sweep_batch(hone_tx *tx, hone_arena *arena, bool *more) {
    size_t leases = 0, loops = 0;
    HONE_TRY(hone_loops_end_leases(tx, arena, SWEEP_BATCH, &leases));
    HONE_TRY(hone_loops_expire(tx, arena, SWEEP_BATCH, &loops));
    *more = leases == SWEEP_BATCH || loops == SWEEP_BATCH;
    return HONE_OK;
}

static hone_err sweep_in(hone_db *db, hone_arena *arena) {
    for (bool more = true; more; hone_arena_reset(arena)) {
        hone_tx *tx = NULL;
        HONE_TRY(hone_tx_begin(db, HONE_TX_WRITE, &tx));
        HONE_TRY(hone_tx_finish(tx, sweep_batch(tx, arena, &more)));
    }
    return HONE_OK;
}

hone_err hone_review_sweep(hone_db *db) {
    hone_arena *arena = NULL;
    bool due = false;
    HONE_TRY(is_due(db, &due));
    if (!due) return HONE_OK;
    HONE_TRY(hone_arena_create(SWEEP_ARENA_BYTES, &arena));
    hone_err err = sweep_in(db, arena);
    hone_arena_destroy(arena);
    return err;
}

/* ---- repair ---- */

/* Is the output of loop there, row and file? */
static hone_err has_output(hone_objects *objects, hone_tx *tx, hone_arena *arena,
                           const hone_loop *loop, bool *out) {
    hone_str bucket, key;
    hone_object object;
    HONE_TRY(hone_s3_uri_parse(hone_str_of(loop->output_uri), &bucket, &key));
    hone_err err = hone_objects_find(objects, tx, arena, bucket, key, &object);
    *out = !hone_failed(err) && hone_file_exists(object.path);
    return err.code == HONE_E_NOT_FOUND ? HONE_OK : err;
}

typedef struct batch {
    int64_t ids[REPAIR_BATCH];
    size_t count;
} batch;

/* The completed loops with id > after, up to a batch of them. */
static hone_err list_completed(hone_tx *tx, int64_t after, batch *out) {
    hone_rows rows;
    bool more = false;
    out->count = 0;
    hone_err err = hone_rows_open(tx, &rows,
                                  "SELECT id FROM review_loop WHERE id > ? AND status = 'Completed'"
                                  " ORDER BY id LIMIT ?",
                                  "ii", after, (int64_t)REPAIR_BATCH);
    while (!hone_failed(err) && !hone_failed(err = hone_rows_next(&rows, &more)) && more &&
           out->count < REPAIR_BATCH)
        out->ids[out->count++] = hone_rows_int(&rows, 0);
    hone_rows_close(&rows);
    return err;
}

/* Those of the batch whose output is missing. */
static hone_err find_missing(hone_objects *objects, hone_tx *tx, hone_arena *arena, int64_t after,
                             batch *missing, int64_t *last) {
    batch all;
    missing->count = 0;
    HONE_TRY(list_completed(tx, after, &all));
    for (size_t i = 0; i < all.count; i++) {
        hone_loop loop;
        bool is_there = false;
        hone_arena_reset(arena);
        HONE_TRY(hone_loop_get(tx, arena, all.ids[i], &loop));
        HONE_TRY(has_output(objects, tx, arena, &loop, &is_there));
        if (!is_there) missing->ids[missing->count++] = all.ids[i];
    }
    *last = all.count > 0 ? all.ids[all.count - 1] : 0;
    return HONE_OK;
}

static hone_err format_again(hone_tx *tx, hone_arena *arena, int64_t id, hone_buf *out,
                             output_place *place) {
    hone_loop loop;
    HONE_TRY(hone_loop_get(tx, arena, id, &loop));
    HONE_TRY(hone_output_place(tx, arena, &loop, place));
    return hone_output_format(tx, arena, &loop, NULL, out);
}

static hone_err make_again(hone_db *db, hone_objects *objects, hone_arena *arena, int64_t id) {
    hone_tx *tx = NULL;
    hone_buf out;
    hone_staged staged;
    output_place place;
    HONE_TRY(hone_tx_begin(db, HONE_TX_READ, &tx));
    hone_buf_init(&out, HONE_OUTPUT_BYTES_MAX);
    hone_err err = format_again(tx, arena, id, &out, &place);
    hone_tx_abort(tx);
    if (!hone_failed(err)) err = hone_objects_stage(objects, hone_buf_str(&out), &staged);
    hone_buf_done(&out);
    if (hone_failed(err)) return err;
    err = hone_tx_begin(db, HONE_TX_WRITE, &tx);
    if (!hone_failed(err)) err = hone_tx_finish(tx, hone_output_link(objects, tx, &place, &staged));
    if (hone_failed(err)) hone_objects_unstage(objects, &staged);
    return err;
}

static hone_err repair_in(hone_db *db, hone_objects *objects, hone_arena *arena, size_t *made) {
    batch missing;
    for (int64_t after = 0, last = 0;; after = last) {
        hone_tx *tx = NULL;
        HONE_TRY(hone_tx_begin(db, HONE_TX_READ, &tx));
        hone_err err = find_missing(objects, tx, arena, after, &missing, &last);
        hone_tx_abort(tx);
        if (hone_failed(err) || last == 0) return err;
        for (size_t i = 0; i < missing.count; i++) {
            hone_arena_reset(arena);
            HONE_TRY(make_again(db, objects, arena, missing.ids[i]));
            ++*made;
        }
    }
}

hone_err hone_review_repair(hone_db *db, hone_objects *objects, size_t *made) {
    hone_arena *arena = NULL;
    *made = 0;
    HONE_TRY(hone_arena_create(REPAIR_ARENA_BYTES, &arena));
    hone_err err = repair_in(db, objects, arena, made);
    hone_arena_destroy(arena);
    return err;
}

/* ---- the thread ---- */

struct hone_review_clock {
    hone_db *db;
    void (*failed)(hone_err err);
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stopped;
    bool is_stopping; /* Guarded by lock. */
};

static void wait_for_tick(hone_review_clock *review) {
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)SWEEP_EVERY_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_cond_timedwait(&review->stopped, &review->lock, &until);
}

static void *tick(void *arg) {
    hone_review_clock *review = arg;
    (void)pthread_mutex_lock(&review->lock);
    while (!review->is_stopping) {
        (void)pthread_mutex_unlock(&review->lock);
        hone_err err = hone_review_sweep(review->db);
        if (hone_failed(err) && review->failed) review->failed(err);
        (void)pthread_mutex_lock(&review->lock);
        if (!review->is_stopping) wait_for_tick(review);
    }
    (void)pthread_mutex_unlock(&review->lock);
    return NULL;
}

static hone_err start_thread(hone_review_clock *review) {
    pthread_condattr_t attr;
    (void)pthread_mutex_init(&review->lock, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&review->stopped, &attr);
    (void)pthread_condattr_destroy(&attr);
    if (pthread_create(&review->thread, NULL, tick, review) == 0) return HONE_OK;
    return hone_err_new(HONE_E_NOMEM, "no thread for the review's clock");
}

hone_err hone_review_open(hone_db *db, hone_objects *objects, void (*failed)(hone_err err),
                          hone_review_clock **out) {
    size_t made = 0;
    HONE_TRY(hone_review_migrate(db));
    hone_err repair = hone_review_repair(db, objects, &made);
    if (hone_failed(repair) && failed) /* the rows have all: a full disk must not stop the start */
        failed(hone_err_wrap(repair, "make output.json again"));
    hone_review_clock *review = calloc(1, sizeof *review);
    if (!review) return hone_review_no_memory();
    review->db = db;
    review->failed = failed;
    hone_err err = start_thread(review);
    if (hone_failed(err))
        free(review);
    else
        *out = review;
    return err;
}

void hone_review_close(hone_review_clock *review) {
    if (!review) return;
    (void)pthread_mutex_lock(&review->lock);
    review->is_stopping = true;
    (void)pthread_cond_signal(&review->stopped);
    (void)pthread_mutex_unlock(&review->lock);
    (void)pthread_join(review->thread, NULL);
    (void)pthread_cond_destroy(&review->stopped);
    (void)pthread_mutex_destroy(&review->lock);
    free(review);
}
