/* columns.h: rows of text in columns, for a terminal.
 *
 *     GROUP      VERSION  STATUS
 *     sentiment        2  Approved
 *
 * Text that came from elsewhere is shown on one line: control characters become '?'.
 *
 * Lifetime: cells are copied into the arena; the table is dropped with it.
 */
#ifndef HONE_CLI_CLIENT_COLUMNS_H
#define HONE_CLI_CLIENT_COLUMNS_H

#include "base/arena.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { HONE_COLUMNS_MAX = 10 };

typedef struct hone_columns {
    hone_arena *arena;
    const char *const *titles; /* [columns]; one that begins with '>' is for numbers */
    size_t columns;
    size_t count, cap;  /* rows */
    const char **cells; /* [count * columns] */
    bool failed;        /* the arena is full; said by print */
} hone_columns;

/* titles ends with NULL and outlives the table. */
void hone_columns_init(hone_columns *table, hone_arena *arena, const char *const *titles);

/* Begin a row, then give its cells from left to right. */
void hone_columns_row(hone_columns *table);
void hone_columns_cell(hone_columns *table, size_t column, const char *fmt, ...) HONE_PRINTF(3, 4);

/* To stdout; a table without rows prints `none` instead. NOMEM. */
HONE_NODISCARD hone_err hone_columns_print(const hone_columns *table, const char *none);

enum { HONE_WHEN_SIZE = 24 };
/* Seconds since 1970 as "2026-11-24 06:02:59", UTC; "-" for none. */
void hone_when_format(double seconds, char out[HONE_WHEN_SIZE]);

/* Seconds as "0:42" or "1:02:03". */
void hone_span_format(double seconds, char out[HONE_WHEN_SIZE]);

#endif
