/* db.c: the database file, its connections, and transactions on them. See db.h; the statements
 * that run inside a transaction are in statement.c.
 *
 * One connection writes. SQLite allows one writer at a time anyway; waiting for it on a condition
 * of ours, instead of polling the file's lock, hands the connection on the moment it is free, and
 * the writer's prepared statements and page cache stay warm. Readers take a connection from a
 * pool and see a snapshot, for WAL keeps the old pages until they end.
 *
 * A commit returns when the log is on the disk (synchronous=FULL). The folder is synced once, after
 * the files have been made, so that their names last too. */
#include "store/db.h"

#include "base/clock.h"
#include "base/file.h"
#include "store/db_impl.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { WAIT_MAX_MS = 10000 };

/* Whether this thread is in a transaction: only for the assertion that it begins no second one,
 * which could wait for itself for ever. */
static _Thread_local bool is_in_tx;

/* --- errors ------------------------------------------------------------------------- */

static hone_err constraint_err(sqlite3 *sql, int extended) {
    bool exists = extended == SQLITE_CONSTRAINT_UNIQUE ||
                  extended == SQLITE_CONSTRAINT_PRIMARYKEY ||
                  extended == SQLITE_CONSTRAINT_FOREIGNKEY || extended == SQLITE_CONSTRAINT_ROWID;
    return hone_err_new(exists ? HONE_E_CONFLICT : HONE_E_INVALID, "%s", sqlite3_errmsg(sql));
}

static bool is_disk_full(sqlite3 *sql, int rc) {
    int code = sqlite3_system_errno(sql);
    return rc == SQLITE_FULL || (rc == SQLITE_IOERR && (code == ENOSPC || code == EDQUOT));
}

hone_err hone_db_err(sqlite3 *sql, int rc, const char *doing) {
    int extended = sqlite3_extended_errcode(sql);
    rc &= 0xFF;
    if (rc == SQLITE_NOMEM) return hone_err_new(HONE_E_NOMEM, "no memory for the database");
    if (is_disk_full(sql, rc))
        return hone_err_new(HONE_E_FULL, "no space left on the disk for the database");
    if (rc == SQLITE_CONSTRAINT) return constraint_err(sql, extended);
    if (rc == SQLITE_BUSY || rc == SQLITE_LOCKED)
        return hone_err_new(HONE_E_FULL, "the database is busy: %s", sqlite3_errmsg(sql));
    if (rc == SQLITE_TOOBIG)
        return hone_err_new(HONE_E_INVALID, "a value is too large for the database");
    hone_code code = rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB ? HONE_E_CORRUPT : HONE_E_IO;
    return hone_err_new(code, "%s: %s (%d)", doing, sqlite3_errmsg(sql), extended);
}

static hone_err no_memory(void) {
    return hone_err_new(HONE_E_NOMEM, "no memory for a database connection");
}

/* --- connections -------------------------------------------------------------------- */

static void connection_close(hone_tx *tx) {
    if (!tx) return;
    hone_tx_drop_statements(tx);
    (void)sqlite3_finalize(tx->undo);
    (void)sqlite3_close(tx->sql); /* no statement is left that could refuse it */
    free(tx);
}

static hone_err run_text(sqlite3 *sql, const char *text, const char *doing) {
    int rc = sqlite3_exec(sql, text, NULL, NULL, NULL);
    return rc == SQLITE_OK ? HONE_OK : hone_db_err(sql, rc, doing);
}

static hone_err connection_set_up(sqlite3 *sql) {
    /* Nothing of ours needs what these switch off, and a damaged file could use it. */
    (void)sqlite3_db_config(sql, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(sql, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    (void)sqlite3_db_config(sql, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    (void)sqlite3_db_config(sql, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    (void)sqlite3_busy_timeout(sql, WAIT_MAX_MS); /* a person with the sqlite3 shell */
    return run_text(sql,
                    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                    "PRAGMA temp_store=MEMORY; PRAGMA journal_size_limit=67108864;",
                    "open the database");
}

static hone_err connection_open(hone_db *db, hone_tx **out) {
    hone_tx *tx = calloc(1, sizeof *tx);
    if (!tx) return no_memory();
    tx->db = db;
    int rc = sqlite3_open_v2(db->path, &tx->sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    hone_err err;
    if (!tx->sql)
        err = no_memory();
    else if (rc != SQLITE_OK)
        err = hone_db_err(tx->sql, rc, "open the database");
    else
        err = connection_set_up(tx->sql);
    if (!hone_failed(err)) {
        rc = sqlite3_prepare_v2(tx->sql, "ROLLBACK", -1, &tx->undo, NULL);
        if (rc != SQLITE_OK) err = hone_db_err(tx->sql, rc, "open the database");
    }
    if (hone_failed(err)) {
        connection_close(tx);
        return hone_err_wrap(err, "'%s'", db->path);
    }
    *out = tx;
    return HONE_OK;
}

static struct timespec deadline_after(int64_t wait_ms) {
    int64_t ns = hone_clock_ns() + wait_ms * 1000000;
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

/* Take the writer, or a reader that is idle; a new reader when there may be one more (*out NULL
 * then). Called with the lock held. */
static bool take(hone_db *db, hone_tx_kind kind, hone_tx **out) {
    *out = kind == HONE_TX_WRITE ? db->writer : db->idle;
    if (*out && kind == HONE_TX_WRITE) db->writer = NULL;
    if (*out && kind == HONE_TX_READ) db->idle = (*out)->next_idle;
    if (*out) return true;
    if (kind == HONE_TX_WRITE || db->reader_count == READERS_MAX) return false;
    db->reader_count++;
    return true;
}

static hone_err lend(hone_db *db, hone_tx_kind kind, hone_tx **out) {
    struct timespec deadline = deadline_after(WAIT_MAX_MS);
    (void)pthread_mutex_lock(&db->lock);
    bool taken = false;
    for (int rc = 0; !(taken = take(db, kind, out)) && rc != ETIMEDOUT;)
        rc = pthread_cond_timedwait(&db->freed, &db->lock, &deadline);
    (void)pthread_mutex_unlock(&db->lock);
    if (!taken)
        return hone_err_new(HONE_E_FULL, "the database is busy: no turn within %d s",
                            WAIT_MAX_MS / 1000);
    if (*out) return HONE_OK;

    hone_err err = connection_open(db, out);
    if (!hone_failed(err)) return HONE_OK;
    (void)pthread_mutex_lock(&db->lock);
    db->reader_count--;
    (void)pthread_cond_signal(&db->freed);
    (void)pthread_mutex_unlock(&db->lock);
    return err;
}

static void give_back(hone_tx *tx) {
    hone_db *db = tx->db;
    (void)pthread_mutex_lock(&db->lock);
    if (tx->kind == HONE_TX_WRITE) {
        db->writer = tx;
    } else {
        tx->next_idle = db->idle;
        db->idle = tx;
    }
    (void)pthread_cond_broadcast(&db->freed); /* readers and writers wait for different ones */
    (void)pthread_mutex_unlock(&db->lock);
}

/* --- opening ------------------------------------------------------------------------ */

/* Who has the folder, for the message; 0 when the file does not say. */
static long lock_owner(int fd) {
    char text[24] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    return n > 0 ? strtol(text, NULL, 10) : 0;
}

/* The number only helps the message: when it cannot be written, the message says 0. */
static void note_owner(int fd) {
    char text[24];
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)len, 0) != len) return;
}

/* A lock that the kernel drops with the process. Children do not inherit it (O_CLOEXEC). */
static hone_err lock_folder(hone_db *db) {
    char *path = NULL;
    if (asprintf(&path, "%s/lock", db->dir) < 0) return no_memory();
    hone_err err = HONE_OK;
    db->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (db->lock_fd < 0) {
        err = hone_file_err("open", path);
    } else if (flock(db->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        err = errno == EWOULDBLOCK
                  ? hone_err_new(HONE_E_CONFLICT, "another hone (process %ld) uses '%s'",
                                 lock_owner(db->lock_fd), db->dir)
                  : hone_file_err("lock", path);
    } else {
        note_owner(db->lock_fd);
    }
    free(path);
    return err;
}

/* Make an empty file that only its owner reads; SQLite gives its log the same mode. */
static hone_err make_private(const char *path) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return hone_file_err("open", path);
    (void)close(fd); /* nothing was written */
    return HONE_OK;
}

static hone_err init_sync(hone_db *db) {
    pthread_condattr_t monotonic;
    if (pthread_mutex_init(&db->lock, NULL) != 0) return no_memory();
    (void)pthread_mutex_init(&db->watch_lock, NULL); /* a plain mutex cannot fail on Linux */
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&db->freed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    return HONE_OK;
}

static hone_err open_files(hone_db *db) {
    HONE_TRY(hone_folder_make(db->dir, 0700));
    HONE_TRY(lock_folder(db));
    HONE_TRY(make_private(db->path));
    HONE_TRY(connection_open(db, &db->writer));
    HONE_TRY(run_text(db->writer->sql,
                      "CREATE TABLE IF NOT EXISTS migration"
                      " (room TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT",
                      "open the database"));
    HONE_TRY(hone_journal_migrate(db));
    return hone_folder_sync(db->dir);
}

hone_err hone_db_open(const char *dir, hone_db **out) {
    assert(dir);
    hone_db *db = calloc(1, sizeof *db);
    if (!db) return no_memory();
    db->lock_fd = -1;
    hone_err err = init_sync(db);
    if (hone_failed(err)) {
        free(db);
        return err;
    }
    db->dir = strdup(dir);
    if (!db->dir || asprintf(&db->path, "%s/hone.db", dir) < 0) {
        db->path = NULL;
        err = no_memory();
    } else {
        err = open_files(db);
    }
    if (hone_failed(err)) {
        hone_db_close(db);
        return err;
    }
    *out = db;
    return HONE_OK;
}

void hone_db_close(hone_db *db) {
    if (!db) return;
    for (hone_tx *tx = db->idle, *next; tx; tx = next) {
        next = tx->next_idle;
        connection_close(tx);
    }
    connection_close(db->writer);
    if (db->lock_fd >= 0) (void)close(db->lock_fd); /* and the lock with it */
    (void)pthread_cond_destroy(&db->freed);
    (void)pthread_mutex_destroy(&db->watch_lock);
    (void)pthread_mutex_destroy(&db->lock);
    free(db->path);
    free(db->dir);
    free(db);
}

/* --- migrations --------------------------------------------------------------------- */

static hone_err migrate_in(hone_tx *tx, const char *room, const char *const *steps, size_t count) {
    int64_t version = 0;
    hone_err err = hone_tx_int(tx, &version, "SELECT version FROM migration WHERE room = ?", "z",
                               room);
    if (hone_failed(err) && err.code != HONE_E_NOT_FOUND) return err;
    if (version < 0 || (uint64_t)version > count)
        return hone_err_new(HONE_E_INVALID,
                            "'%s' was written by a newer hone: its tables of %s have version "
                            "%lld, this hone knows %zu",
                            tx->db->path, room, (long long)version, count);
    for (size_t i = (size_t)version; i < count; i++) {
        err = run_text(tx->sql, steps[i], "migrate the database");
        if (hone_failed(err)) return hone_err_wrap(err, "step %zu of %s", i + 1, room);
    }
    if ((size_t)version == count) return HONE_OK;
    return hone_tx_exec(tx, "INSERT OR REPLACE INTO migration (room, version) VALUES (?, ?)", "zi",
                        room, (int64_t)count);
}

hone_err hone_db_migrate(hone_db *db, const char *room, const char *const *steps, size_t count) {
    hone_tx *tx = NULL;
    HONE_TRY(hone_tx_begin(db, HONE_TX_WRITE, &tx));
    return hone_tx_finish(tx, migrate_in(tx, room, steps, count));
}

/* --- transactions ------------------------------------------------------------------- */

/* A deferred transaction takes its snapshot with its first read: read something at once. */
static const char *const begin_sql[] = {
    [HONE_TX_READ] = "BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1",
    [HONE_TX_WRITE] = "BEGIN IMMEDIATE",
};

/* The transaction is over: tell those who wait for its end, and pass the connection on. */
static void end(hone_tx *tx, bool committed) {
    hone_db *db = tx->db;
    hone_tx_end *first = NULL;
    for (hone_tx_end *e = tx->ends, *next; e; e = next) { /* oldest first again */
        next = e->next;
        e->next = first;
        first = e;
    }
    bool wakes = committed && tx->has_entries;
    tx->ends = NULL;
    tx->is_open = false;
    is_in_tx = false;
    give_back(tx);
    for (hone_tx_end *next; first; first = next) {
        next = first->next;
        first->fn(first->arg, committed);
        free(first);
    }
    if (wakes) hone_journal_wake(db);
}

static void roll_back(hone_tx *tx) {
    /* Some errors make SQLite roll back by itself; then there is nothing to do. A ROLLBACK
     * cannot fail otherwise: it only forgets pages, and it is prepared already. */
    if (sqlite3_get_autocommit(tx->sql)) return;
    (void)sqlite3_step(tx->undo);
    (void)sqlite3_reset(tx->undo);
}

hone_err hone_tx_begin(hone_db *db, hone_tx_kind kind, hone_tx **out) {
    assert(!is_in_tx);
    hone_tx *tx = NULL;
    HONE_TRY(lend(db, kind, &tx));
    tx->kind = kind;
    hone_err err = run_text(tx->sql, begin_sql[kind], "begin a transaction");
    if (hone_failed(err)) {
        roll_back(tx);
        give_back(tx);
        return err;
    }
    is_in_tx = true;
    tx->is_open = true;
    tx->has_entries = false;
    tx->changes = tx->insert_id = 0;
    *out = tx;
    return HONE_OK;
}

hone_err hone_tx_commit(hone_tx *tx) {
    assert(tx->is_open);
    hone_err err;
    if (sqlite3_get_autocommit(tx->sql))
        err = hone_err_new(HONE_E_IO, "the transaction was taken back after an error");
    else
        err = run_text(tx->sql, "COMMIT", "commit");
    if (hone_failed(err)) roll_back(tx);
    end(tx, !hone_failed(err));
    return err;
}

void hone_tx_abort(hone_tx *tx) {
    if (!tx) return;
    assert(tx->is_open);
    roll_back(tx);
    end(tx, false);
}

hone_err hone_tx_finish(hone_tx *tx, hone_err err) {
    if (!hone_failed(err)) return hone_tx_commit(tx);
    hone_tx_abort(tx);
    return err;
}

hone_err hone_tx_at_end(hone_tx *tx, hone_tx_end_fn *fn, void *arg) {
    hone_tx_end *e = malloc(sizeof *e);
    if (!e) return hone_err_new(HONE_E_NOMEM, "no memory for a transaction");
    *e = (hone_tx_end){.fn = fn, .arg = arg, .next = tx->ends};
    tx->ends = e;
    return HONE_OK;
}
