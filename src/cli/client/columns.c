/* columns.c: see columns.h. */
#include "cli/client/columns.h"

#include "base/utf8.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { CELL_BYTES_MAX = 512 };

void hone_columns_init(hone_columns *table, hone_arena *arena, const char *const *titles) {
    *table = (hone_columns){.arena = arena, .titles = titles};
    while (titles[table->columns]) table->columns++;
    assert(table->columns <= HONE_COLUMNS_MAX);
}

void hone_columns_row(hone_columns *table) {
    if (table->failed) return;
    if (table->count == table->cap) {
        size_t cap = table->cap ? 2 * table->cap : 16;
        const char **cells = hone_arena_alloc(table->arena, cap * table->columns, sizeof *cells);
        table->failed = !cells;
        if (!cells) return;
        if (table->count)
            memcpy(cells, table->cells, table->count * table->columns * sizeof *cells);
        table->cells = cells;
        table->cap = cap;
    }
    for (size_t i = 0; i < table->columns; i++)
        table->cells[table->count * table->columns + i] = "";
    table->count++;
}

void hone_columns_cell(hone_columns *table, size_t column, const char *fmt, ...) {
    char text[CELL_BYTES_MAX];
    if (table->failed) return;
    assert(table->count > 0);
    assert(column < table->columns);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args); /* a longer cell is cut */
    va_end(args);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127) *c = '?';
    const char *kept = hone_arena_strdup(table->arena, hone_str_of(text));
    table->failed = !kept;
    if (kept) table->cells[(table->count - 1) * table->columns + column] = kept;
}

/* Code points: what a terminal shows of most scripts. */
static size_t width(const char *text) {
    hone_str s = hone_str_of(text);
    size_t n = 0, bytes = 0;
    for (size_t at = 0; at < s.len; at += bytes, n++) (void)hone_utf8_next(s, at, &bytes);
    return n;
}

static const char *title(const hone_columns *table, size_t column) {
    const char *text = table->titles[column];
    return *text == '>' ? text + 1 : text;
}

static void print_line(const hone_columns *table, const size_t *widths, const char *const *cells) {
    for (size_t i = 0; i < table->columns; i++) {
        const char *text = cells ? cells[i] : title(table, i);
        int gap = (int)(widths[i] - width(text));
        bool is_last = i + 1 == table->columns;
        if (*table->titles[i] == '>')
            printf("%*s%s", gap, "", text);
        else
            printf("%s%*s", text, is_last ? 0 : gap, "");
        fputs(is_last ? "\n" : "  ", stdout);
    }
}

hone_err hone_columns_print(const hone_columns *table, const char *none) {
    size_t widths[HONE_COLUMNS_MAX] = {0};
    if (table->failed) return hone_err_new(HONE_E_NOMEM, "no memory for a list");
    if (table->count == 0) {
        puts(none);
        return HONE_OK;
    }
    for (size_t i = 0; i < table->columns; i++) {
        widths[i] = width(title(table, i));
        for (size_t r = 0; r < table->count; r++) {
            size_t w = width(table->cells[r * table->columns + i]);
            if (w > widths[i]) widths[i] = w;
        }
    }
    print_line(table, widths, NULL);
    for (size_t r = 0; r < table->count; r++)
        print_line(table, widths, table->cells + r * table->columns);
    return HONE_OK;
}

void hone_when_format(double seconds, char out[HONE_WHEN_SIZE]) {
    struct tm utc;
    time_t whole = (time_t)seconds;
    if (!(seconds > 0.0 && seconds < 1e11) || !gmtime_r(&whole, &utc))
        (void)snprintf(out, HONE_WHEN_SIZE, "-");
    else
        (void)strftime(out, HONE_WHEN_SIZE, "%Y-%m-%d %H:%M:%S", &utc);
}

void hone_span_format(double seconds, char out[HONE_WHEN_SIZE]) {
    if (!(seconds >= 0.0 && seconds < 1e9)) seconds = 0.0;
    long whole = (long)seconds;
    if (whole < 3600)
        (void)snprintf(out, HONE_WHEN_SIZE, "%ld:%02ld", whole / 60, whole % 60);
    else
        (void)snprintf(out, HONE_WHEN_SIZE, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60,
                       whole % 60);
}
