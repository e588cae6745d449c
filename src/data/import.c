/* import.c: bytes -> UTF-8 (source.c) -> rows (table.c) or JSON lines -> records. */
#include "data/import.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "data/source.h"
#include "data/table.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* A gigabyte of compressed text is 3 or 4 of text: memory is the limit that counts. */
static const size_t file_bytes_max = (size_t)4 << 30;

/* One import under way. */
typedef struct import {
    hone_arena *arena;
    const char *name;
    hone_str text_column, label_column;
    hone_buf records; /* of hone_record */
} import;

static void release_buf(void *buf) { hone_buf_done(buf); }

static bool is_blank(hone_str s) {
    for (size_t i = 0; i < s.len; i++)
        if (!isspace((unsigned char)s.ptr[i])) return false;
    return true;
}

static hone_err add_record(import *in, hone_record r) {
    if (is_blank(r.text))
        return hone_err_new(HONE_E_CORRUPT, "'%s' line %zu: the text is empty", in->name, r.line);
    if (is_blank(r.label))
        return hone_err_new(HONE_E_CORRUPT, "'%s' line %zu: the label is empty", in->name, r.line);
    if (r.text.len > HONE_TEXT_BYTES_MAX)
        return hone_err_new(HONE_E_FULL, "'%s' line %zu: the text has %zu bytes, at most %d",
                            in->name, r.line, r.text.len, HONE_TEXT_BYTES_MAX);
    if (r.label.len > HONE_LABEL_BYTES_MAX)
        return hone_err_new(HONE_E_FULL, "'%s' line %zu: the label has %zu bytes, at most %d",
                            in->name, r.line, r.label.len, HONE_LABEL_BYTES_MAX);
    if (memchr(r.label.ptr, '\0', r.label.len))
        return hone_err_new(HONE_E_CORRUPT, "'%s' line %zu: the label holds a NUL", in->name,
                            r.line);
    hone_buf_push(&in->records, (hone_str){(const char *)&r, sizeof r});
    if (in->records.failed == HONE_E_FULL)
        return hone_err_new(HONE_E_FULL, "'%s' has more than %d records", in->name,
                            HONE_RECORDS_MAX);
    return hone_buf_err(&in->records);
}

/* --- delimited files ---------------------------------------------------------------- */

static hone_err no_such_column(const import *in, hone_str column, const hone_row *row) {
    char found[256];
    size_t used = 0;
    found[0] = '\0';
    for (size_t i = 0; i < row->count && used < sizeof found; i++)
        used += (size_t)snprintf(found + used, sizeof found - used, "%s'%.*s'", i ? ", " : "",
                                 (int)(row->fields[i].len > 60 ? 60 : row->fields[i].len),
                                 row->fields[i].ptr);
    return hone_err_new(HONE_E_INVALID, "'%s' has no column '%.*s', only %s%s", in->name,
                        HONE_ARG(column), found, used < sizeof found ? "" : "...");
}

static hone_err find_column(const import *in, const hone_row *header, hone_str column,
                            size_t *out) {
    size_t found = header->count;
    for (size_t i = 0; i < header->count; i++) {
        if (!hone_str_equal(header->fields[i], column)) continue;
        if (found < header->count)
            return hone_err_new(HONE_E_INVALID, "'%s' has two columns '%.*s'", in->name,
                                HONE_ARG(column));
        found = i;
    }
    if (found == header->count) return no_such_column(in, column, header);
    *out = found;
    return HONE_OK;
}

/* Is column a number, and which? */
static bool column_number(hone_str column, size_t *out) {
    size_t number = 0;
    if (column.len == 0 || column.len > 4) return false;
    for (size_t i = 0; i < column.len; i++) {
        if (column.ptr[i] < '0' || column.ptr[i] > '9') return false;
        number = number * 10 + (size_t)(column.ptr[i] - '0');
    }
    *out = number;
    return true;
}

/* Which columns of the file are text and label; *has_header tells whether row is one. */
static hone_err find_columns(const import *in, const hone_row *row, size_t *text, size_t *label,
                             bool *has_header) {
    bool text_numbered = column_number(in->text_column, text);
    bool label_numbered = column_number(in->label_column, label);
    if (text_numbered != label_numbered)
        return hone_err_new(HONE_E_INVALID,
                            "columns '%.*s' and '%.*s': give both names, or both numbers from 0",
                            HONE_ARG(in->text_column), HONE_ARG(in->label_column));
    *has_header = !text_numbered;
    if (*has_header) {
        HONE_TRY(find_column(in, row, in->text_column, text));
        return find_column(in, row, in->label_column, label);
    }
    size_t last = *text > *label ? *text : *label;
    if (last >= row->count)
        return hone_err_new(HONE_E_INVALID, "'%s' has no column %zu: its first row has %zu",
                            in->name, last, row->count);
    return HONE_OK;
}

static hone_err read_rows(import *in, hone_table table) {
    hone_row *row = hone_arena_alloc(in->arena, 1, sizeof *row);
    if (!row) return hone_err_new(HONE_E_NOMEM, "no memory for a row");
    bool more = false, has_header = false;
    size_t text = 0, label = 0;
    HONE_TRY(hone_table_next(&table, in->arena, row, &more));
    if (!more) return HONE_OK;
    HONE_TRY(find_columns(in, row, &text, &label, &has_header));

    size_t columns = row->count;
    if (has_header) HONE_TRY(hone_table_next(&table, in->arena, row, &more));
    while (more) {
        if (row->count != columns)
            return hone_err_new(HONE_E_CORRUPT, "'%s' line %zu has %zu column%s, the first row %zu",
                                in->name, row->line, row->count, row->count == 1 ? "" : "s",
                                columns);
        HONE_TRY(add_record(in, (hone_record){row->fields[text], row->fields[label], row->line}));
        HONE_TRY(hone_table_next(&table, in->arena, row, &more));
    }
    return HONE_OK;
}

/* --- JSON lines --------------------------------------------------------------------- */

static hone_err copy_str(import *in, hone_str s, hone_str *out) {
    char *copy = hone_arena_strdup(in->arena, s);
    if (!copy) return hone_err_new(HONE_E_NOMEM, "no memory for the text of '%s'", in->name);
    *out = (hone_str){copy, s.len};
    return HONE_OK;
}

/* The shortest decimal that reads back as x. */
static void format_real(double x, char *out, size_t size_bytes) {
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(out, size_bytes, "%.*g", digits, x);
        if (strtod(out, NULL) == x) return;
    }
}

/* A label as JSON writes it, without quotes. INVALID for null, a list or an object. */
static hone_err json_label(import *in, const json_t *value, size_t line, hone_str *out) {
    char text[40];
    switch (json_typeof(value)) {
    case JSON_STRING:
        return copy_str(in, hone_json_str(value), out);
    case JSON_INTEGER:
        (void)snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
        return copy_str(in, hone_str_of(text), out);
    case JSON_REAL:
        format_real(json_real_value(value), text, sizeof text);
        return copy_str(in, hone_str_of(text), out);
    case JSON_TRUE:
        return copy_str(in, HONE_S("true"), out);
    case JSON_FALSE:
        return copy_str(in, HONE_S("false"), out);
    case JSON_NULL:
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    return hone_err_new(HONE_E_CORRUPT,
                        "'%s' line %zu: label '%.*s' is neither string, number nor boolean",
                        in->name, line, HONE_ARG(in->label_column));
}

static hone_err no_such_key(const import *in, hone_str column, json_t *object, size_t line) {
    char found[256];
    size_t used = 0;
    found[0] = '\0';
    for (void *i = json_object_iter(object); i && used < sizeof found;
         i = json_object_iter_next(object, i))
        used += (size_t)snprintf(found + used, sizeof found - used, "%s'%.60s'", used ? ", " : "",
                                 json_object_iter_key(i));
    return hone_err_new(HONE_E_INVALID, "'%s' line %zu has no key '%.*s', only %s%s", in->name,
                        line, HONE_ARG(column), found, used < sizeof found ? "" : "...");
}

static hone_err add_object(import *in, json_t *object, size_t line) {
    const json_t *text = json_object_getn(object, in->text_column.ptr, in->text_column.len);
    const json_t *label = json_object_getn(object, in->label_column.ptr, in->label_column.len);
    if (!text) return no_such_key(in, in->text_column, object, line);
    if (!label) return no_such_key(in, in->label_column, object, line);
    if (!json_is_string(text))
        return hone_err_new(HONE_E_CORRUPT, "'%s' line %zu: '%.*s' is no string", in->name, line,
                            HONE_ARG(in->text_column));
    hone_record record = {.line = line};
    HONE_TRY(copy_str(in, hone_json_str(text), &record.text));
    HONE_TRY(json_label(in, label, line, &record.label));
    return add_record(in, record);
}

static hone_err read_objects(import *in, hone_str text) {
    size_t line = 0;
    for (size_t at = 0; at < text.len;) {
        const char *lf = memchr(text.ptr + at, '\n', text.len - at);
        hone_str bytes = {text.ptr + at, (lf ? (size_t)(lf - text.ptr) : text.len) - at};
        at += bytes.len + 1;
        line++;
        if (is_blank(bytes)) continue;
        if (bytes.len > HONE_ROW_BYTES_MAX)
            return hone_err_new(HONE_E_FULL, "'%s' line %zu has %zu bytes, at most %d", in->name,
                                line, bytes.len, HONE_ROW_BYTES_MAX);
        char where[256];
        (void)snprintf(where, sizeof where, "'%.200s' line %zu", in->name, line);
        json_t *object = NULL;
        HONE_TRY(hone_json_parse(bytes, where, &object));
        hone_err err = add_object(in, object, line);
        json_decref(object);
        HONE_TRY(err);
    }
    return HONE_OK;
}

/* --- formats ------------------------------------------------------------------------ */

typedef struct format {
    bool is_json;
    char delimiter;
} format;

static hone_err parse_delimiter(const char *text, char *out) {
    if (strcmp(text, "tab") == 0 || strcmp(text, "\\t") == 0) text = "\t";
    unsigned char c = (unsigned char)text[0];
    if (c == 0 || c >= 0x80 || text[1] != '\0' || strchr("\"\r\n", c))
        return hone_err_new(HONE_E_INVALID, "delimiter '%s': expected one character, or tab", text);
    *out = (char)c;
    return HONE_OK;
}

static hone_err find_format(const char *name, const hone_import_options *options, format *out) {
    static const struct {
        const char *suffix;
        format format;
    } formats[] = {
        {".jsonl", {true, 0}},  {".json", {true, 0}},    {".ndjson", {true, 0}},
        {".csv", {false, ','}}, {".tsv", {false, '\t'}},
    };
    hone_str stem = hone_str_of(name);
    if (hone_str_has_suffix(stem, HONE_S(".gz"))) stem.len -= strlen(".gz");
    *out = (format){false, 0};
    if (options->delimiter) return parse_delimiter(options->delimiter, &out->delimiter);
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (!hone_str_has_suffix(stem, hone_str_of(formats[i].suffix))) continue;
        *out = formats[i].format;
        return HONE_OK;
    }
    const char *at = options->delimiter_at;
    return hone_err_new(HONE_E_INVALID,
                        "'%s': its name ends in none of .jsonl, .csv, .tsv (.gz)%s%s%s", name,
                        at ? ", and no " : "", at ? at : "", at ? " is given" : "");
}

hone_err hone_import_bytes(hone_arena *arena, hone_str bytes, const char *name,
                           const hone_import_options *options, hone_dataset *out) {
    format kind = {false, 0};
    hone_encoding encoding = HONE_ENCODING_ANY, found = HONE_ENCODING_UTF8;
    hone_str text = {NULL, 0};
    HONE_TRY(find_format(name, options, &kind));
    if (options->encoding) HONE_TRY(hone_encoding_parse(options->encoding, &encoding));
    HONE_TRY(hone_source_decode(arena, bytes, name, encoding, &text, &found));
    if (is_blank(text)) return hone_err_new(HONE_E_CORRUPT, "'%s' is empty", name);

    import *in = hone_arena_alloc(arena, 1, sizeof *in);
    char *kept_name = hone_arena_strdup(arena, hone_str_of(name));
    if (!in || !kept_name) return hone_err_new(HONE_E_NOMEM, "no memory to read '%s'", name);
    in->arena = arena;
    in->name = kept_name;
    in->text_column = hone_str_of(options->text_column ? options->text_column : "text");
    in->label_column = hone_str_of(options->label_column ? options->label_column : "label");
    hone_buf_init(&in->records, HONE_RECORDS_MAX * sizeof(hone_record));
    HONE_TRY(hone_arena_defer(arena, release_buf, &in->records));

    if (kind.is_json)
        HONE_TRY(read_objects(in, text));
    else
        HONE_TRY(
            read_rows(in, hone_table_of(text, kept_name, kind.delimiter, kind.delimiter != '\t')));
    size_t count = in->records.len / sizeof(hone_record);
    if (count == 0)
        return hone_err_new(HONE_E_CORRUPT, "'%s' has a header and no rows below it", name);
    *out = (hone_dataset){
        .name = kept_name,
        .count = count,
        .records = (const void *)in->records.ptr,
        .recognised = found == HONE_ENCODING_UTF8 || encoding != HONE_ENCODING_ANY
                          ? NULL
                          : hone_encoding_name(found),
    };
    return HONE_OK;
}

hone_err hone_import_file(hone_arena *arena, const char *path, const hone_import_options *options,
                          hone_dataset *out) {
    format kind = {false, 0};
    hone_str bytes = {NULL, 0};
    hone_err err = find_format(path, options, &kind); /* before a long file is read */
    if (hone_failed(err) && !hone_file_exists(path))
        return hone_err_new(HONE_E_NOT_FOUND, "there is no file '%s'", path);
    HONE_TRY(err);
    HONE_TRY(hone_source_load(arena, path, file_bytes_max, &bytes));
    return hone_import_bytes(arena, bytes, path, options, out);
}
