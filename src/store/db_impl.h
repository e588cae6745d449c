/* db_impl.h: what the files of store/ know of a database beyond db.h.
 *
 *     hone_db --- writer connection, lent to one HONE_TX_WRITE at a time
 *          `---- readers: a pool that grows to READERS_MAX
 *
 * A hone_tx is a connection together with the transaction that runs on it: a thread that begins
 * one has the connection for itself until the end.
 */
#ifndef HONE_STORE_DB_IMPL_H
#define HONE_STORE_DB_IMPL_H

#include "store/db.h"

#include <pthread.h>
#include <sqlite3.h>

enum { STATEMENTS_MAX = 128, READERS_MAX = 32, WATCHERS_MAX = 8 };

/* A prepared statement that waits for its next use. */
typedef struct hone_statement {
    sqlite3_stmt *stmt; /* NULL = a free place */
    uint64_t hash;      /* of its SQL */
    uint64_t used;      /* the connection's clock when it was last taken */
    bool is_busy;
} hone_statement;

/* Called once the transaction has ended. */
typedef void hone_tx_end_fn(void *arg, bool committed);

typedef struct hone_tx_end {
    hone_tx_end_fn *fn;
    void *arg;
    struct hone_tx_end *next;
} hone_tx_end;

struct hone_tx {
    hone_db *db;
    sqlite3 *sql;
    sqlite3_stmt *undo; /* ROLLBACK, ready for when there is no memory to prepare it */
    hone_tx *next_idle;

    /* The statements of the connection; they outlive its transactions. */
    hone_statement statements[STATEMENTS_MAX];
    uint64_t clock;

    /* The transaction. */
    hone_tx_kind kind;
    bool is_open;
    bool has_entries; /* of the journal */
    int64_t changes, insert_id;
    hone_tx_end *ends; /* newest first */
};

typedef struct hone_watcher {
    void (*fn)(void *arg);
    void *arg;
} hone_watcher;

struct hone_db {
    char *dir, *path;
    int lock_fd;

    pthread_mutex_t lock;
    pthread_cond_t freed; /* a connection came back */
    /* Guarded by lock: */
    hone_tx *writer; /* NULL while lent */
    hone_tx *idle;   /* readers not lent */
    size_t reader_count;

    pthread_mutex_t watch_lock;
    /* Guarded by watch_lock, which is held while the watchers are called: */
    hone_watcher watchers[WATCHERS_MAX];
    size_t watcher_count;
};

/* What SQLite says, in our words. doing: a clause such as "commit". */
hone_err hone_db_err(sqlite3 *sql, int rc, const char *doing);

/* Call fn(arg, committed) when tx has ended, in the order of the calls. NOMEM: then nothing was
 * noted. fn must not use the database. */
HONE_NODISCARD hone_err hone_tx_at_end(hone_tx *tx, hone_tx_end_fn *fn, void *arg);

/* Drop the connection's statements, before it is closed. */
void hone_tx_drop_statements(hone_tx *tx);

/* The journal's tables, and the call of everybody who watches it. */
hone_err hone_journal_migrate(hone_db *db);
void hone_journal_wake(hone_db *db);

#endif
