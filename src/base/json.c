/* json.c: see json.h. */
#include "base/json.h"

#include "base/file.h"
#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>

/* Where this thread's jansson takes its memory; NULL = where it did before. Set while a document is
 * parsed, and only then, so that nothing of an arena ever reaches free. */
static _Thread_local hone_arena *parsing_in;
static json_malloc_t system_take;
static json_free_t system_give_back;

static void *take(size_t size) {
    return parsing_in ? hone_arena_alloc(parsing_in, size, 1) : system_take(size);
}

static void give_back(void *ptr) {
    if (!parsing_in) system_give_back(ptr);
}

/* Before main: no other thread may have jansson's memory yet. */
__attribute__((constructor)) static void take_over_memory(void) {
    json_get_alloc_funcs(&system_take, &system_give_back);
    json_set_alloc_funcs(take, give_back);
}

hone_err hone_json_parse_in(hone_arena *arena, hone_str bytes, const char *where,
                            const json_t **out) {
    json_t *value = NULL;
    parsing_in = arena;
    hone_err err = hone_json_parse(bytes, where, &value);
    parsing_in = NULL;
    if (!hone_failed(err)) *out = value;
    return err;
}

hone_err hone_json_parse(hone_str bytes, const char *where, json_t **out) {
    json_error_t e;
    json_t *value = json_loadb(bytes.ptr ? bytes.ptr : "", bytes.len, JSON_ALLOW_NUL, &e);
    if (!value)
        return hone_err_new(HONE_E_CORRUPT, "%s: line %d, column %d: %s", where, e.line, e.column,
                            e.text);
    if (!json_is_object(value)) {
        json_decref(value);
        return hone_err_new(HONE_E_CORRUPT, "%s: expected a JSON object", where);
    }
    *out = value;
    return HONE_OK;
}

hone_err hone_json_load(const char *path, size_t limit_bytes, json_t **out) {
    hone_map map;
    HONE_TRY(hone_map_open(path, &map));
    hone_err err;
    if (map.bytes.len > limit_bytes)
        err = hone_err_new(HONE_E_FULL, "'%s' has %zu bytes, at most %zu are read", path,
                           map.bytes.len, limit_bytes);
    else
        err = hone_json_parse(map.bytes, path, out);
    hone_map_close(&map);
    return err;
}

hone_str hone_json_str(const json_t *string) {
    if (!json_is_string(string)) return (hone_str){"", 0};
    return (hone_str){json_string_value(string), json_string_length(string)};
}

hone_err hone_json_int(const json_t *object, const char *where, const char *key, int64_t min,
                       int64_t max, int64_t fallback, int64_t *out) {
    const json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value)) {
        *out = fallback;
        return HONE_OK;
    }
    if (!json_is_integer(value))
        return hone_err_new(HONE_E_CORRUPT, "%s: '%s' is no integer", where, key);
    int64_t n = json_integer_value(value);
    if (n < min || n > max)
        return hone_err_new(HONE_E_CORRUPT, "%s: '%s' is %lld, expected %lld to %lld", where, key,
                            (long long)n, (long long)min, (long long)max);
    *out = n;
    return HONE_OK;
}

hone_err hone_json_number(const json_t *object, const char *where, const char *key, double min,
                          double max, double fallback, double *out) {
    const json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value)) {
        *out = fallback;
        return HONE_OK;
    }
    if (!json_is_number(value))
        return hone_err_new(HONE_E_CORRUPT, "%s: '%s' is no number", where, key);
    double x = json_number_value(value);
    if (!isfinite(x) || x < min || x > max)
        return hone_err_new(HONE_E_CORRUPT, "%s: '%s' is %g, expected %g to %g", where, key, x, min,
                            max);
    *out = x;
    return HONE_OK;
}

hone_err hone_json_bool(const json_t *object, const char *where, const char *key, bool fallback,
                        bool *out) {
    const json_t *value = json_object_get(object, key);
    if (value && !json_is_null(value) && !json_is_boolean(value))
        return hone_err_new(HONE_E_CORRUPT, "%s: '%s' is neither true nor false", where, key);
    *out = value && !json_is_null(value) ? json_is_true(value) : fallback;
    return HONE_OK;
}

void hone_json_push_str(hone_buf *out, hone_str s) {
    hone_buf_push_char(out, '"');
    size_t bytes = 0;
    for (size_t at = 0; at < s.len; at += bytes) {
        int32_t c = hone_utf8_next(s, at, &bytes);
        if (c == HONE_UTF8_BAD)
            hone_buf_push(out, HONE_S("\xEF\xBF\xBD"));
        else if (c == '"' || c == '\\')
            hone_buf_printf(out, "\\%c", (char)c);
        else if (c == '\n')
            hone_buf_push(out, HONE_S("\\n"));
        else if (c < 0x20 || c == 0x7F)
            hone_buf_printf(out, "\\u%04x", (unsigned)c);
        else
            hone_buf_push(out, (hone_str){s.ptr + at, bytes});
    }
    hone_buf_push_char(out, '"');
}

hone_err hone_json_save(const char *path, const json_t *value) {
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    if (!text) return hone_err_new(HONE_E_NOMEM, "no memory to write '%s'", path);
    hone_err err = hone_file_save(path, hone_str_of(text));
    free(text);
    return err;
}
