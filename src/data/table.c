/* table.c: see table.h. A field is found by its end; only a field with doubled quotes is
 * copied. */
#include "data/table.h"

/* Where the line that holds `at` ends: at its LF, or at the end of the text; or so far away
 * that the row is refused. */
static size_t line_end(hone_str text, size_t at) {
    size_t left = text.len - at;
    if (left > HONE_ROW_BYTES_MAX) left = HONE_ROW_BYTES_MAX + 1;
    const char *lf = memchr(text.ptr + at, '\n', left);
    return lf ? (size_t)(lf - text.ptr) : at + left;
}

/* s[at] is the end of a row: LF, CR LF, or the end of the text. */
static bool is_row_end(hone_str s, size_t at) {
    if (at == s.len || s.ptr[at] == '\n') return true;
    return s.ptr[at] == '\r' && (at + 1 == s.len || s.ptr[at + 1] == '\n');
}

/* raw without one quote of every pair. */
static hone_err undouble(hone_arena *arena, hone_str raw, hone_str *out) {
    char *copy = hone_arena_alloc(arena, raw.len, 1);
    if (!copy) return hone_err_new(HONE_E_NOMEM, "no memory for a field of %zu bytes", raw.len);
    size_t len = 0;
    for (size_t i = 0; i < raw.len; i++) {
        copy[len++] = raw.ptr[i];
        if (raw.ptr[i] == '"') i++;
    }
    *out = (hone_str){copy, len};
    return HONE_OK;
}

/* The field behind the quote at table->at; leaves at behind the closing quote. */
static hone_err quoted_field(hone_table *table, hone_arena *arena, size_t row_start,
                             hone_str *out) {
    hone_str s = table->text;
    size_t opened_line = table->line, start = table->at + 1, at = start;
    bool doubled = false;
    for (;;) {
        const char *quote = at < s.len ? memchr(s.ptr + at, '"', s.len - at) : NULL;
        size_t end = quote ? (size_t)(quote - s.ptr) : s.len;
        for (; at < end; at++) table->line += s.ptr[at] == '\n';
        if (!quote)
            return hone_err_new(HONE_E_CORRUPT,
                                "'%s' line %zu: a quote opens here and is never closed",
                                table->name, opened_line);
        if (end - row_start > HONE_ROW_BYTES_MAX)
            return hone_err_new(
                HONE_E_FULL, "'%s' line %zu: a quoted field has more than %d bytes: is it closed?",
                table->name, opened_line, HONE_ROW_BYTES_MAX);
        if (end + 1 == s.len || s.ptr[end + 1] != '"') break;
        doubled = true;
        at += 2;
    }
    table->at = at + 1;
    hone_str raw = {s.ptr + start, at - start};
    if (doubled) return undouble(arena, raw, out);
    *out = raw;
    return HONE_OK;
}

/* The field up to the next delimiter or row end; end is where the line ends. */
static hone_str plain_field(hone_table *table, size_t end) {
    hone_str s = table->text;
    size_t start = table->at;
    if (end > start && is_row_end(s, end) && s.ptr[end - 1] == '\r') end--;
    const char *next = memchr(s.ptr + start, table->delimiter, end - start);
    table->at = next ? (size_t)(next - s.ptr) : end;
    return (hone_str){s.ptr + start, table->at - start};
}

/* The field at table->at, which is left at what follows it. */
static hone_err next_field(hone_table *table, hone_arena *arena, size_t row_start, hone_str *out) {
    hone_str s = table->text;
    if (!table->quoted || table->at == s.len || s.ptr[table->at] != '"') {
        *out = plain_field(table, line_end(s, table->at));
        return HONE_OK;
    }
    HONE_TRY(quoted_field(table, arena, row_start, out));
    if (is_row_end(s, table->at) || s.ptr[table->at] == table->delimiter) return HONE_OK;
    return hone_err_new(HONE_E_CORRUPT, "'%s' line %zu: a closing quote is followed by more text",
                        table->name, table->line);
}

static void skip_empty_lines(hone_table *table) {
    while (table->at < table->text.len && is_row_end(table->text, table->at)) {
        table->at = line_end(table->text, table->at);
        table->at += table->at < table->text.len;
        table->line++;
    }
}

hone_err hone_table_next(hone_table *table, hone_arena *arena, hone_row *row, bool *more) {
    hone_str s = table->text;
    skip_empty_lines(table);
    *more = table->at < s.len;
    if (!*more) return HONE_OK;

    size_t start = table->at;
    row->line = table->line;
    row->count = 0;
    for (;;) {
        if (row->count == HONE_COLUMNS_MAX)
            return hone_err_new(HONE_E_FULL, "'%s' line %zu has more than %d columns", table->name,
                                row->line, HONE_COLUMNS_MAX);
        HONE_TRY(next_field(table, arena, start, &row->fields[row->count++]));
        if (table->at - start > HONE_ROW_BYTES_MAX)
            return hone_err_new(HONE_E_FULL, "'%s' line %zu has more than %d bytes", table->name,
                                row->line, HONE_ROW_BYTES_MAX);
        if (is_row_end(s, table->at)) break;
        table->at++; /* the delimiter */
    }
    table->at = line_end(s, table->at);
    table->at += table->at < s.len;
    table->line++;
    return HONE_OK;
}
