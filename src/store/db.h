/* db.h: rows: one SQLite database, read and changed in transactions.
 *
 *     open -> migrate (each room its own tables) -> tx begin -> exec, rows -> commit | abort
 *
 * WAL mode, synchronous=FULL: what a commit acknowledged is on the disk. Writers follow one
 * another; readers see the state at their begin and wait for nobody.
 *
 * Every change is made in a HONE_TX_WRITE transaction, which may also append to the journal
 * (journal.h): what happened and the trace of it are committed together or not at all.
 *
 * SQL is a literal; values are always bound, never printed into it:
 *
 *     HONE_TRY(hone_tx_exec(tx, "UPDATE task SET state = ?, lease_ms = ? WHERE id = ?", "sii",
 *                           HONE_S("leased"), until_ms, id));
 *
 * with one letter for each value:  s hone_str (ptr NULL = NULL)   z const char * (NULL = NULL)
 *                                  i int64_t   f double   b hone_str as a blob
 *
 * Threads: a database belongs to all, a transaction and its rows to one thread. A thread has at
 * most one transaction at a time (asserted): functions that change rows take the caller's.
 */
#ifndef HONE_STORE_DB_H
#define HONE_STORE_DB_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hone_db hone_db;
typedef struct hone_tx hone_tx;

/* Open or make DIR/hone.db and lock DIR for this process. CONFLICT when another process has it:
 * the message names DIR. IO, CORRUPT. */
HONE_NODISCARD hone_err hone_db_open(const char *dir, hone_db **out);
void hone_db_close(hone_db *db);

/* Bring a room's tables to the newest form: steps[i] is the SQL from version i to i + 1. Steps
 * that ran are remembered by room and never run again, so a step is never edited, only added.
 * INVALID when the database is newer than the program. */
HONE_NODISCARD hone_err hone_db_migrate(hone_db *db, const char *room, const char *const *steps,
                                        size_t count);

typedef enum hone_tx_kind { HONE_TX_READ, HONE_TX_WRITE } hone_tx_kind;

/* FULL when the writer before has not ended within 10 s. */
HONE_NODISCARD hone_err hone_tx_begin(hone_db *db, hone_tx_kind kind, hone_tx **out);
/* Ends tx, also on failure, when nothing was changed. IO names a full disk as such (FULL). */
HONE_NODISCARD hone_err hone_tx_commit(hone_tx *tx);
/* Takes everything back and ends tx. NULL is allowed. */
void hone_tx_abort(hone_tx *tx);
/* Commit when err is none; else take everything back and hand err on:
 *
 *     HONE_TRY(hone_tx_begin(db, HONE_TX_WRITE, &tx));
 *     return hone_tx_finish(tx, rename_in(tx, ...)); */
HONE_NODISCARD hone_err hone_tx_finish(hone_tx *tx, hone_err err);

/* Run a statement that gives no rows. CONFLICT when it breaks a UNIQUE, PRIMARY KEY or FOREIGN
 * KEY constraint, so that the caller can say what exists already. */
HONE_NODISCARD hone_err hone_tx_exec(hone_tx *tx, const char *sql, const char *types, ...);
int64_t hone_tx_changes(const hone_tx *tx);   /* rows that the last exec changed */
int64_t hone_tx_insert_id(const hone_tx *tx); /* rowid that the last exec inserted */

/* The rows of a query, one at a time:
 *
 *     hone_rows rows;
 *     HONE_TRY(hone_rows_open(tx, &rows, "SELECT id, name FROM team WHERE ...", "i", id));
 *     while (!hone_failed(err = hone_rows_next(&rows, &more)) && more) ... hone_rows_str(&rows, 1)
 *     hone_rows_close(&rows);
 *
 * Strings are borrowed until the next call on the same rows; text has a NUL behind it. */
typedef struct hone_rows {
    void *stmt;
    hone_tx *tx;
} hone_rows;

HONE_NODISCARD hone_err hone_rows_open(hone_tx *tx, hone_rows *rows, const char *sql,
                                       const char *types, ...);
HONE_NODISCARD hone_err hone_rows_next(hone_rows *rows, bool *more);
void hone_rows_close(hone_rows *rows); /* also after a failed open */

int64_t hone_rows_int(const hone_rows *rows, int column);  /* 0 for NULL */
double hone_rows_real(const hone_rows *rows, int column);  /* 0 for NULL */
hone_str hone_rows_str(const hone_rows *rows, int column); /* {NULL, 0} for NULL */
bool hone_rows_is_null(const hone_rows *rows, int column);

/* One value of the first row. NOT_FOUND when there is no row; the message is only "no row", so
 * wrap or replace it. The string is copied into the arena. */
HONE_NODISCARD hone_err hone_tx_int(hone_tx *tx, int64_t *out, const char *sql, const char *types,
                                    ...);
HONE_NODISCARD hone_err hone_tx_str(hone_tx *tx, hone_arena *arena, hone_str *out, const char *sql,
                                    const char *types, ...);

#endif
