/* listing.c: see listing.h. */
#include "cli/client/listing.h"

#include "base/utf8.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { CELL_BYTES_MAX = 512 };

void hone_listing_init(hone_listing *listing, hone_arena *arena, const char *const *titles) {
    *listing = (hone_listing){.arena = arena, .titles = titles};
    while (titles[listing->columns]) listing->columns++;
    assert(listing->columns <= HONE_LISTING_COLUMNS_MAX);
}

void hone_listing_row(hone_listing *listing) {
    if (listing->failed) return;
    if (listing->count == listing->cap) {
        size_t cap = listing->cap ? 2 * listing->cap : 16;
        const char **cells = hone_arena_alloc(listing->arena, cap * listing->columns,
                                              sizeof *cells);
        listing->failed = !cells;
        if (!cells) return;
        if (listing->count)
            memcpy(cells, listing->cells, listing->count * listing->columns * sizeof *cells);
        listing->cells = cells;
        listing->cap = cap;
    }
    for (size_t i = 0; i < listing->columns; i++)
        listing->cells[listing->count * listing->columns + i] = "";
    listing->count++;
}

void hone_listing_cell(hone_listing *listing, size_t column, const char *fmt, ...) {
    char text[CELL_BYTES_MAX];
    if (listing->failed) return;
    assert(listing->count > 0);
    assert(column < listing->columns);
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args); /* a longer cell is cut */
    va_end(args);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127) *c = '?';
    const char *kept = hone_arena_strdup(listing->arena, hone_str_of(text));
    listing->failed = !kept;
    if (kept) listing->cells[(listing->count - 1) * listing->columns + column] = kept;
}

/* Code points: what a terminal shows of most scripts. */
static size_t width(const char *text) {
    hone_str s = hone_str_of(text);
    size_t n = 0, bytes = 0;
    for (size_t at = 0; at < s.len; at += bytes, n++) (void)hone_utf8_next(s, at, &bytes);
    return n;
}

static const char *title(const hone_listing *listing, size_t column) {
    const char *text = listing->titles[column];
    return *text == '>' ? text + 1 : text;
}

static void print_line(const hone_listing *listing, const size_t *widths,
                       const char *const *cells) {
    for (size_t i = 0; i < listing->columns; i++) {
        const char *text = cells ? cells[i] : title(listing, i);
        int gap = (int)(widths[i] - width(text));
        bool is_last = i + 1 == listing->columns;
        if (*listing->titles[i] == '>')
            printf("%*s%s", gap, "", text);
        else
            printf("%s%*s", text, is_last ? 0 : gap, "");
        fputs(is_last ? "\n" : "  ", stdout);
    }
}

hone_err hone_listing_print(const hone_listing *listing, const char *none) {
    size_t widths[HONE_LISTING_COLUMNS_MAX] = {0};
    if (listing->failed) return hone_err_new(HONE_E_NOMEM, "no memory for a list");
    if (listing->count == 0) {
        puts(none);
        return HONE_OK;
    }
    for (size_t i = 0; i < listing->columns; i++) {
        widths[i] = width(title(listing, i));
        for (size_t r = 0; r < listing->count; r++) {
            size_t w = width(listing->cells[r * listing->columns + i]);
            if (w > widths[i]) widths[i] = w;
        }
    }
    print_line(listing, widths, NULL);
    for (size_t r = 0; r < listing->count; r++)
        print_line(listing, widths, listing->cells + r * listing->columns);
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
