/* json_text.c: see json_text.h. */
#include "review/json_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REAL_TEXT_SIZE = 40, DIGITS_SURE = 15, DIGITS_EXACT = 17 };

void hone_json_text_push_real(hone_buf *out, double real) {
    char text[REAL_TEXT_SIZE];
    if (!isfinite(real)) real = 0; /* JSON has no such number, so none comes from it */
    for (int digits = DIGITS_SURE; digits <= DIGITS_EXACT; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, real);
        if (strtod(text, NULL) == real) break;
    }
    hone_buf_push(out, hone_str_of(text));
    if (!strpbrk(text, ".e")) hone_buf_push(out, HONE_S(".0"));
}

static void push_char(hone_buf *out, unsigned char c, hone_json_style style) {
    if (c == '"' || c == '\\')
        hone_buf_printf(out, "\\%c", c);
    else if (c == '\n')
        hone_buf_push(out, HONE_S("\\n"));
    else if (c < 0x20 || c == 0x7F || (c == '<' && style == HONE_JSON_IN_HTML))
        hone_buf_printf(out, "\\u%04x", c);
    else
        hone_buf_push_char(out, (char)c);
}

void hone_json_text_push_str(hone_buf *out, hone_str s, hone_json_style style) {
    hone_buf_push_char(out, '"');
    for (size_t i = 0; i < s.len; i++) push_char(out, (unsigned char)s.ptr[i], style);
    hone_buf_push_char(out, '"');
}

static void push_array(hone_buf *out, const json_t *array, hone_json_style style) {
    hone_buf_push_char(out, '[');
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (i > 0) hone_buf_push_char(out, ',');
        hone_json_text_push(out, json_array_get(array, i), style);
    }
    hone_buf_push_char(out, ']');
}

static void push_object(hone_buf *out, json_t *object, hone_json_style style) {
    bool is_first = true;
    hone_buf_push_char(out, '{');
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
        hone_str key = {json_object_iter_key(at), json_object_iter_key_len(at)};
        if (!is_first) hone_buf_push_char(out, ',');
        is_first = false;
        hone_json_text_push_str(out, key, style);
        hone_buf_push_char(out, ':');
        hone_json_text_push(out, json_object_iter_value(at), style);
    }
    hone_buf_push_char(out, '}');
}

void hone_json_text_push(hone_buf *out, const json_t *value, hone_json_style style) {
    union { /* jansson's iterators want a json_t *, and do not change it */
        const json_t *fixed;
        json_t *loose;
    } same = {value};
    switch (json_typeof(value)) {
    case JSON_NULL:
        hone_buf_push(out, HONE_S("null"));
        break;
    case JSON_TRUE:
        hone_buf_push(out, HONE_S("true"));
        break;
    case JSON_FALSE:
        hone_buf_push(out, HONE_S("false"));
        break;
    case JSON_INTEGER:
        hone_buf_printf(out, "%lld", (long long)json_integer_value(value));
        break;
    case JSON_REAL:
        hone_json_text_push_real(out, json_real_value(value));
        break;
    case JSON_STRING:
        hone_json_text_push_str(
            out, (hone_str){json_string_value(value), json_string_length(value)}, style);
        break;
    case JSON_ARRAY:
        push_array(out, value, style);
        break;
    case JSON_OBJECT:
        push_object(out, same.loose, style);
        break;
    }
}
