/* statement.c: SQL inside a transaction: prepared once per connection, values bound, rows read.
 *
 * A connection keeps its last STATEMENTS_MAX statements by the hash of their text. One that is
 * in use (a query whose rows are still being read) is not lent twice: the second use gets a
 * statement of its own, dropped afterwards. */
#include "store/db_impl.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

/* FNV-1a: the texts are ours, nobody picks collisions; they are compared anyway. */
static uint64_t hash_of(const char *text) {
    uint64_t hash = 14695981039346656037u;
    for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return hash;
}

void hone_tx_drop_statements(hone_tx *tx) {
    for (size_t i = 0; i < STATEMENTS_MAX; i++) {
        (void)sqlite3_finalize(tx->statements[i].stmt);
        tx->statements[i] = (hone_statement){0};
    }
}

/* The statement with this text that nobody uses, or NULL. */
static hone_statement *find_kept(hone_tx *tx, const char *text, uint64_t hash) {
    for (size_t i = 0; i < STATEMENTS_MAX; i++) {
        hone_statement *s = &tx->statements[i];
        if (s->stmt && s->hash == hash && !s->is_busy && strcmp(sqlite3_sql(s->stmt), text) == 0)
            return s;
    }
    return NULL;
}

/* A free place, or that of the statement not used for longest; NULL when all are in use. */
static hone_statement *find_place(hone_tx *tx) {
    hone_statement *oldest = NULL;
    for (size_t i = 0; i < STATEMENTS_MAX; i++) {
        hone_statement *s = &tx->statements[i];
        if (!s->stmt) return s;
        if (!s->is_busy && (!oldest || s->used < oldest->used)) oldest = s;
    }
    return oldest;
}

static hone_err prepare(hone_tx *tx, const char *text, sqlite3_stmt **out) {
    uint64_t hash = hash_of(text);
    hone_statement *kept = find_kept(tx, text, hash);
    if (!kept) {
        sqlite3_stmt *stmt = NULL;
        const char *rest = NULL;
        int rc = sqlite3_prepare_v3(tx->sql, text, -1, SQLITE_PREPARE_PERSISTENT, &stmt, &rest);
        if (rc != SQLITE_OK) return hone_db_err(tx->sql, rc, "prepare a statement");
        assert(stmt && *rest == '\0'); /* one statement, no more */
        kept = find_place(tx);
        if (!kept) {
            *out = stmt;
            return HONE_OK;
        }
        (void)sqlite3_finalize(kept->stmt);
        *kept = (hone_statement){.stmt = stmt, .hash = hash};
    }
    kept->is_busy = true;
    kept->used = ++tx->clock;
    *out = kept->stmt;
    return HONE_OK;
}

static void put_away(hone_tx *tx, sqlite3_stmt *stmt) {
    for (size_t i = 0; i < STATEMENTS_MAX; i++) {
        hone_statement *s = &tx->statements[i];
        if (s->stmt != stmt) continue;
        (void)sqlite3_reset(stmt); /* repeats the error of the last step, which was told */
        (void)sqlite3_clear_bindings(stmt);
        s->is_busy = false;
        return;
    }
    (void)sqlite3_finalize(stmt);
}

static int bind_str(sqlite3_stmt *stmt, int place, hone_str s) {
    return sqlite3_bind_text64(stmt, place, s.ptr, s.len, SQLITE_TRANSIENT, SQLITE_UTF8);
}

static int bind_blob(sqlite3_stmt *stmt, int place, hone_str s) {
    return sqlite3_bind_blob64(stmt, place, s.ptr, s.len, SQLITE_TRANSIENT);
}

/* Values are copied: a query's rows may outlive the strings it was opened with.
 * NOLINTBEGIN(clang-analyzer-valist.Uninitialized): it loses sight of the caller's va_start. */
static hone_err bind_all(hone_tx *tx, sqlite3_stmt *stmt, const char *types, va_list ap) {
    assert((size_t)sqlite3_bind_parameter_count(stmt) == strlen(types));
    int rc = SQLITE_OK;
    for (int place = 1; types[place - 1] && rc == SQLITE_OK; place++) {
        const char *text = NULL;
        switch (types[place - 1]) {
        case 's':
            rc = bind_str(stmt, place, va_arg(ap, hone_str));
            break;
        case 'b':
            rc = bind_blob(stmt, place, va_arg(ap, hone_str));
            break;
        case 'i':
            rc = sqlite3_bind_int64(stmt, place, va_arg(ap, int64_t));
            break;
        case 'f':
            rc = sqlite3_bind_double(stmt, place, va_arg(ap, double));
            break;
        case 'z':
            text = va_arg(ap, const char *);
            rc = sqlite3_bind_text(stmt, place, text, -1, SQLITE_TRANSIENT);
            break;
        default:
            assert(false); /* a letter of types is none of s z i f b */
        }
    }
    return rc == SQLITE_OK ? HONE_OK : hone_db_err(tx->sql, rc, "bind a value");
}
/* NOLINTEND(clang-analyzer-valist.Uninitialized) */

/* After a full disk and the like SQLite has rolled back, and each statement would now be a
 * transaction of its own: nothing may run any more. */
static hone_err check_usable(const hone_tx *tx) {
    assert(tx->is_open);
    if (!sqlite3_get_autocommit(tx->sql)) return HONE_OK;
    return hone_err_new(HONE_E_IO, "the transaction was taken back after an error");
}

static hone_err open_rows(hone_tx *tx, hone_rows *rows, const char *text, const char *types,
                          va_list ap) {
    *rows = (hone_rows){.tx = tx};
    HONE_TRY(check_usable(tx));
    sqlite3_stmt *stmt = NULL;
    HONE_TRY(prepare(tx, text, &stmt));
    assert(tx->kind == HONE_TX_WRITE || sqlite3_stmt_readonly(stmt));
    hone_err err = bind_all(tx, stmt, types, ap);
    if (hone_failed(err))
        put_away(tx, stmt);
    else
        rows->stmt = stmt;
    return err;
}

hone_err hone_rows_open(hone_tx *tx, hone_rows *rows, const char *sql, const char *types, ...) {
    va_list ap;
    va_start(ap, types);
    hone_err err = open_rows(tx, rows, sql, types, ap);
    va_end(ap);
    return err;
}

hone_err hone_rows_next(hone_rows *rows, bool *more) {
    int rc = sqlite3_step(rows->stmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) return hone_db_err(rows->tx->sql, rc, "read rows");
    *more = rc == SQLITE_ROW;
    return HONE_OK;
}

void hone_rows_close(hone_rows *rows) {
    if (rows->stmt) put_away(rows->tx, rows->stmt);
    rows->stmt = NULL;
}

int64_t hone_rows_int(const hone_rows *rows, int column) {
    return sqlite3_column_int64(rows->stmt, column);
}

double hone_rows_real(const hone_rows *rows, int column) {
    return sqlite3_column_double(rows->stmt, column);
}

hone_str hone_rows_str(const hone_rows *rows, int column) {
    /* The pointer first: it is what may convert a number to text. Text is terminated by
     * sqlite3_column_text only. */
    bool is_blob = sqlite3_column_type(rows->stmt, column) == SQLITE_BLOB;
    const char *ptr = is_blob ? sqlite3_column_blob(rows->stmt, column)
                              : (const char *)sqlite3_column_text(rows->stmt, column);
    size_t len = (size_t)sqlite3_column_bytes(rows->stmt, column);
    if (!ptr && !hone_rows_is_null(rows, column)) ptr = ""; /* SQLite's empty blob is NULL */
    return (hone_str){ptr, len};
}

bool hone_rows_is_null(const hone_rows *rows, int column) {
    return sqlite3_column_type(rows->stmt, column) == SQLITE_NULL;
}

hone_err hone_tx_exec(hone_tx *tx, const char *sql, const char *types, ...) {
    va_list ap;
    va_start(ap, types);
    hone_rows rows;
    hone_err err = open_rows(tx, &rows, sql, types, ap);
    va_end(ap);
    if (hone_failed(err)) return err;
    int rc = sqlite3_step(rows.stmt);
    assert(rc != SQLITE_ROW); /* hone_rows_open is for statements with rows */
    if (rc != SQLITE_DONE) err = hone_db_err(tx->sql, rc, "change the database");
    if (!hone_failed(err)) {
        tx->changes = sqlite3_changes64(tx->sql);
        tx->insert_id = sqlite3_last_insert_rowid(tx->sql);
    }
    hone_rows_close(&rows);
    return err;
}

int64_t hone_tx_changes(const hone_tx *tx) { return tx->changes; }

int64_t hone_tx_insert_id(const hone_tx *tx) { return tx->insert_id; }

/* Open a query and go to its first row. */
static hone_err first_row(hone_tx *tx, hone_rows *rows, const char *sql, const char *types,
                          va_list ap) {
    HONE_TRY(open_rows(tx, rows, sql, types, ap));
    bool more = false;
    hone_err err = hone_rows_next(rows, &more);
    if (!hone_failed(err) && !more) err = hone_err_new(HONE_E_NOT_FOUND, "no row");
    if (hone_failed(err)) hone_rows_close(rows);
    return err;
}

hone_err hone_tx_int(hone_tx *tx, int64_t *out, const char *sql, const char *types, ...) {
    va_list ap;
    va_start(ap, types);
    hone_rows rows;
    hone_err err = first_row(tx, &rows, sql, types, ap);
    va_end(ap);
    if (hone_failed(err)) return err;
    *out = hone_rows_int(&rows, 0);
    hone_rows_close(&rows);
    return HONE_OK;
}

hone_err hone_tx_str(hone_tx *tx, hone_arena *arena, hone_str *out, const char *sql,
                     const char *types, ...) {
    va_list ap;
    va_start(ap, types);
    hone_rows rows;
    hone_err err = first_row(tx, &rows, sql, types, ap);
    va_end(ap);
    if (hone_failed(err)) return err;
    hone_str value = hone_rows_str(&rows, 0);
    char *copy = value.ptr ? hone_arena_strdup(arena, value) : NULL;
    if (value.ptr && !copy)
        err = hone_err_new(HONE_E_NOMEM, "no memory for a value of %zu bytes", value.len);
    else
        *out = (hone_str){copy, value.len};
    hone_rows_close(&rows);
    return err;
}
