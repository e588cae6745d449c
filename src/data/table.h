/* table.h: rows of a delimited text, one at a time.
 *
 *     a,b               quoted:    RFC 4180: "a field", "with ""quotes"", or a line end"
 *     c,"d ""e"""       unquoted:  a quote is a character like any other (tsv, as GLUE has it)
 *
 * A row ends at LF or CR LF. Lines that are wholly empty are passed over.
 */
#ifndef HONE_DATA_TABLE_H
#define HONE_DATA_TABLE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    HONE_COLUMNS_MAX = 256,
    HONE_ROW_BYTES_MAX = 4 * 1024 * 1024, /* an unclosed quote shall not swallow the file */
};

typedef struct hone_table {
    hone_str text;
    const char *name; /* for messages */
    char delimiter;
    bool quoted;
    size_t at;   /* the next row starts here, */
    size_t line; /* on this line, from 1 */
} hone_table;

typedef struct hone_row {
    size_t line; /* where it began */
    size_t count;
    hone_str fields[HONE_COLUMNS_MAX]; /* borrowed from the text, or in the arena */
} hone_row;

static inline hone_table hone_table_of(hone_str text, const char *name, char delimiter,
                                       bool quoted) {
    return (hone_table){
        .text = text, .name = name, .delimiter = delimiter, .quoted = quoted, .line = 1};
}

/* The next row, or *more = false at the end. CORRUPT for a quote that is never closed (naming
 * the line where it opened) or is followed by something; FULL above the limits; NOMEM. */
HONE_NODISCARD hone_err hone_table_next(hone_table *table, hone_arena *arena, hone_row *row,
                                        bool *more);

#endif
