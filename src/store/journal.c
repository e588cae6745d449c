/* journal.c: see journal.h. Entries are rows that nobody changes or deletes. */
#include "store/journal.h"

#include "base/clock.h"
#include "store/db_impl.h"

#include <assert.h>
#include <stdlib.h>

static const char *const steps[] = {
    "CREATE TABLE journal ("
    "  id INTEGER PRIMARY KEY,"
    "  when_ms INTEGER NOT NULL,"
    "  kind TEXT NOT NULL,"
    "  subject TEXT NOT NULL,"
    "  actor TEXT NOT NULL,"
    "  detail TEXT NOT NULL"
    ") STRICT;"
    "CREATE INDEX journal_subject ON journal (subject, id);",
};

hone_err hone_journal_migrate(hone_db *db) {
    return hone_db_migrate(db, "journal", steps, sizeof steps / sizeof steps[0]);
}

hone_err hone_journal_append(hone_tx *tx, const char *actor, const char *kind, const char *subject,
                             json_t *detail) {
    assert(tx->kind == HONE_TX_WRITE);
    char *text = detail ? json_dumps(detail, JSON_COMPACT) : NULL;
    bool is_lost = detail && !text;
    json_decref(detail);
    if (is_lost) return hone_err_new(HONE_E_NOMEM, "no memory for an entry of the journal");
    hone_err err = hone_tx_exec(
        tx, "INSERT INTO journal (when_ms, kind, subject, actor, detail) VALUES (?, ?, ?, ?, ?)",
        "izzzz", hone_now_ms(), kind, subject, actor, text ? text : "{}");
    free(text);
    if (!hone_failed(err)) tx->has_entries = true;
    return err;
}

/* Copy one column into the arena; NULL at its limit. */
static bool copy_str(hone_arena *arena, const hone_rows *rows, int column, hone_str *out) {
    hone_str s = hone_rows_str(rows, column);
    *out = (hone_str){hone_arena_strdup(arena, s), s.len};
    return out->ptr != NULL;
}

static hone_err copy_entry(hone_arena *arena, const hone_rows *rows, hone_entry *out) {
    out->id = hone_rows_int(rows, 0);
    out->when_ms = hone_rows_int(rows, 1);
    if (copy_str(arena, rows, 2, &out->kind) && copy_str(arena, rows, 3, &out->subject) &&
        copy_str(arena, rows, 4, &out->actor) && copy_str(arena, rows, 5, &out->detail))
        return HONE_OK;
    return hone_err_new(HONE_E_NOMEM, "no memory for an entry of the journal");
}

static hone_err read_in(hone_tx *tx, hone_arena *arena, int64_t after, size_t limit,
                        hone_entry **out, size_t *count) {
    hone_entry *entries = hone_arena_alloc(arena, limit, sizeof *entries);
    if (!entries) return hone_err_new(HONE_E_NOMEM, "no memory for %zu entries", limit);
    hone_rows rows;
    HONE_TRY(hone_rows_open(tx, &rows,
                            "SELECT id, when_ms, kind, subject, actor, detail FROM journal"
                            " WHERE id > ? ORDER BY id LIMIT ?",
                            "ii", after, (int64_t)limit));
    size_t n = 0;
    bool more = false;
    hone_err err;
    while (!hone_failed(err = hone_rows_next(&rows, &more)) && more) {
        err = copy_entry(arena, &rows, &entries[n]);
        if (hone_failed(err)) break;
        n++;
    }
    hone_rows_close(&rows);
    if (hone_failed(err)) return err;
    *out = entries;
    *count = n;
    return HONE_OK;
}

hone_err hone_journal_read(hone_db *db, hone_arena *arena, int64_t after, size_t limit,
                           hone_entry **out, size_t *count) {
    assert(limit > 0);
    hone_tx *tx = NULL;
    HONE_TRY(hone_tx_begin(db, HONE_TX_READ, &tx));
    hone_err err = read_in(tx, arena, after, limit, out, count);
    hone_tx_abort(tx);
    return err;
}

hone_err hone_journal_last(hone_db *db, int64_t *out) {
    hone_tx *tx = NULL;
    HONE_TRY(hone_tx_begin(db, HONE_TX_READ, &tx));
    hone_err err = hone_tx_int(tx, out, "SELECT coalesce(max(id), 0) FROM journal", "");
    hone_tx_abort(tx);
    return err;
}

hone_err hone_journal_watch(hone_db *db, void (*fn)(void *arg), void *arg) {
    (void)pthread_mutex_lock(&db->watch_lock);
    bool has_room = db->watcher_count < WATCHERS_MAX;
    if (has_room) db->watchers[db->watcher_count++] = (hone_watcher){fn, arg};
    (void)pthread_mutex_unlock(&db->watch_lock);
    if (has_room) return HONE_OK;
    return hone_err_new(HONE_E_FULL, "the journal has %d watchers already", WATCHERS_MAX);
}

void hone_journal_unwatch(hone_db *db, void (*fn)(void *arg), void *arg) {
    (void)pthread_mutex_lock(&db->watch_lock);
    for (size_t i = 0; i < db->watcher_count; i++) {
        if (db->watchers[i].fn != fn || db->watchers[i].arg != arg) continue;
        db->watchers[i] = db->watchers[--db->watcher_count];
        break;
    }
    (void)pthread_mutex_unlock(&db->watch_lock);
}

void hone_journal_wake(hone_db *db) {
    (void)pthread_mutex_lock(&db->watch_lock);
    for (size_t i = 0; i < db->watcher_count; i++) db->watchers[i].fn(db->watchers[i].arg);
    (void)pthread_mutex_unlock(&db->watch_lock);
}
