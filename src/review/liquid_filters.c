/* liquid_filters.c: what stands behind a '|'. A filter replaces *value; text that it makes lies in
 * the arena and, unless it was made for HTML, is escaped when it is put out. */
#include "base/utf8.h"
#include "review/liquid.h"
#include "review/liquid_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TRUNCATE_DEFAULT = 50 };

static hone_err text_arg(lq_run *run, const lq_value *args, size_t count, size_t index,
                         hone_str fallback, hone_str *out) {
    *out = fallback;
    return index < count ? hone_lq_to_text(run, &args[index], out) : HONE_OK;
}

static hone_err take_html(lq_run *run, hone_buf *buf, lq_value *value) {
    HONE_TRY(hone_lq_take(run, buf, value));
    value->is_html = true;
    return HONE_OK;
}

/* ---- HTML and JSON ---- */

static hone_err escape_text(lq_run *run, lq_value *value, bool once) {
    hone_str text;
    hone_buf buf;
    HONE_TRY(hone_lq_to_text(run, value, &text));
    hone_buf_init(&buf, HONE_LIQUID_OUTPUT_MAX);
    hone_lq_push_escaped(&buf, text, once);
    return take_html(run, &buf, value);
}

static hone_err f_escape(lq_run *run, const lq_value *args, size_t count, lq_value *value) {
    (void)args, (void)count;
    return value->is_html ? HONE_OK : escape_text(run, value, false);
}

static hone_err f_escape_once(lq_run *run, const lq_value *args, size_t count, lq_value *value) {
    (void)args, (void)count;
    return escape_text(run, value, true);
}

static hone_err f_skip_autoescape(lq_run *run, const lq_value *args, size_t count,
                                  lq_value *value) {
    hone_str text;
    (void)args, (void)count;
    HONE_TRY(hone_lq_to_text(run, value, &text));
    *value = hone_lq_text(text);
    value->is_html = true;
    return HONE_OK;
}

static hone_err f_to_json(lq_run *run, const lq_value *args, size_t count, lq_value *value) {
    hone_buf buf;
    (void)args, (void)count;
    if (value->kind == LQ_TEXT) HONE_TRY(hone_lq_work(run, value->as.text.len));
    hone_buf_init(&buf, HONE_LIQUID_OUTPUT_MAX);
    hone_lq_push_json(&buf, value);
    return hone_lq_take(run, &buf, value);
}

static hone_err f_newline_to_br(lq_run *run, const lq_value *args, size_t count, lq_value *value) {
    hone_str text;
    hone_buf buf;
    (void)args, (void)count;
    if (!value->is_html) HONE_TRY(escape_text(run, value, false));
    HONE_TRY(hone_lq_to_text(run, value, &text));
    hone_buf_init(&buf, HONE_LIQUID_OUTPUT_MAX);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\n') hone_buf_push(&buf, HONE_S("<br />"));
        hone_buf_push_char(&buf, text.ptr[i]);
    }
    return take_html(run, &buf, value);
}

/* ---- letters ---- */

/* Latin, Greek and Cyrillic letters, where the two cases lie in regular rows. */
static int32_t to_upper(int32_t c) {
    if (c >= 'a' && c <= 'z') return c - 32;
    if (c < 0x80) return c;
    if (c >= 0xE0 && c <= 0xFE && c != 0xF7) return c - 32;
    if (c >= 0x3B1 && c <= 0x3C9 && c != 0x3C2) return c - 32;
    if (c >= 0x430 && c <= 0x44F) return c - 32;
    if (c >= 0x450 && c <= 0x45F) return c - 80;
    bool odd_is_lower = (c >= 0x100 && c <= 0x137 && c != 0x131) || (c >= 0x14A && c <= 0x177);
    bool even_is_lower = (c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E);
    if ((odd_is_lower && c % 2 == 1) || (even_is_lower && c % 2 == 0)) return c - 1;
    return c;
}

static int32_t to_lower(int32_t c) {
    if (c >= 'A' && c <= 'Z') return c + 32;
    if (c < 0x80) return c;
    if (c >= 0xC0 && c <= 0xDE && c != 0xD7) return c + 32;
    if (c >= 0x391 && c <= 0x3A9 && c != 0x3A2) return c + 32;
    if (c >= 0x410 && c <= 0x42F) return c + 32;
    if (c >= 0x400 && c <= 0x40F) return c + 80;
    bool even_is_upper = (c >= 0x100 && c <= 0x137 && c != 0x130) || (c >= 0x14A && c <= 0x177);
    bool odd_is_upper = (c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E);
    if ((even_is_upper && c % 2 == 0) || (odd_is_upper && c % 2 == 1)) return c + 1;
    return c;
}

static void push_code_point(hone_buf *buf, int32_t c) {
    if (c < 0x80) {
        hone_buf_push_char(buf, (char)c);
    } else { /* to_upper and to_lower change letters of two bytes only */
        hone_buf_push_char(buf, (char)(0xC0 | (c >> 6)));
        hone_buf_push_char(buf, (char)(0x80 | (c & 0x3F)));
    }
}

/* count characters through fn; the rest stays as it is. */
static hone_err map_letters(lq_run *run, lq_value *value, int32_t (*fn)(int32_t), size_t count) {
    hone_str text;
    hone_buf buf;
    HONE_TRY(hone_lq_to_text(run, value, &text));
    hone_buf_init(&buf, HONE_LIQUID_OUTPUT_MAX);
    for (size_t at = 0, bytes = 0, i = 0; at < text.len; at += bytes, i++) {
        int32_t c = hone_utf8_next(text, at, &bytes);
        int32_t mapped = c >= 0 && i < count ? fn(c) : c;
        if (mapped == c)
            hone_buf_push(&buf, (hone_str){text.ptr + at, bytes});
        else
            push_code_point(&buf, mapped);
    }
    return hone_lq_take(run, &buf, value);
}

static hone_err f_upcase(lq_run *run, const lq_value *args, size_t count, lq_value *value) {
    (void)args, (void)count;
    return map_letters(run, value, to_upper, SIZE_MAX);
}

static hone_err f_downcase(lq_run *run, const lq_value *args, size_t count, lq_value *value) {
    (void)args, (void)count;
    return map_letters(run, value, to_lower, SIZE_MAX);
}

static hone_err f_capitalize(lq_run *run, const lq_value *args, size_t count, lq_value *value) {
    HONE_TRY(f_downcase(run, args, count, value));
    return map_letters(run, value, to_upper, 1);
}

/* ---- text ---- */

static hone_err join_two(lq_run *run, hone_str a, hone_str b, lq_value *value) {
    hone_buf buf;
    hone_buf_init(&buf, HONE_LIQUID_OUTPUT_MAX);
    hone_buf_push(&buf, a);
    hone_buf_push(&buf, b);
    return hone_lq_take(run, &buf, value);
}

static hone_err f_append(lq_run *run, const lq_value *args, size_t count, lq_value *value) {
    hone_str text, more;
    HONE_TRY(hone_lq_to_text(run, value, &text));
    HONE_TRY(text_arg(run, args, count, 0, HONE_S(""), &more));
    return join_two(run, text, more, value);
}

static hone_err f_prepend(lq_run *run, const lq_value *args, size_t count, lq_value *value) {
    hone_str text, more;
    HONE_TRY(hone_lq_to_text(run, value, &text));
    HONE_TRY(text_arg(run, args, count, 0, HONE_S(""), &more));
    return join_two(run, more, text, value);
}

static hone_err f_replace(lq_run *run, const lq_value *args, size_t count, lq_value *value) {
    hone_str text, old, fresh;
    hone_buf buf;
    HONE_TRY(hone_lq_to_text(run, value, &text));
    HONE_TRY(text_arg(run, args, count, 0, HONE_S(""), &old));
    HONE_TRY(text_arg(run, args, count, 1, HONE_S(""), &fresh));
    hone_buf_init(&buf, HONE_LIQUID_OUTPUT_MAX);
    while (old.len > 0 && text.len > 0) {
        const char *at = memmem(text.ptr, text.len, old.ptr, old.len);
        if (!at) break;
        size_t before = (size_t)(at - text.ptr);
        hone_buf_push(&buf, (hone_str){text.ptr, before});
        hone_buf_push(&buf, fresh);
        text = (hone_str){at + old.len, text.len - before - old.len};
    }
    hone_buf_push(&buf, text);
    return hone_lq_take(run, &buf, value);
}

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static hone_err strip_text(lq_run *run, lq_value *value, bool left, bool right) {
    hone_str text;
    HONE_TRY(hone_lq_to_text(run, value, &text));
    while (left && text.len > 0 && is_space(text.ptr[0]))
        text = (hone_str){text.ptr + 1, text.len - 1};
    while (right && text.len > 0 && is_space(text.ptr[text.len - 1])) text.len--;
    *value = hone_lq_text(text);
    return HONE_OK;
}

static hone_err f_strip(lq_run *run, const lq_value *args, size_t count, lq_value *value) {
    (void)args, (void)count;
    return strip_text(run, value, true, true);
}

static hone_err f_lstrip(lq_run *run, const lq_value *args, size_t count, lq_value *value) {
    (void)args, (void)count;
    return strip_text(run, value, true, false);
}

static hone_err f_rstrip(lq_run *run, const lq_value *args, size_t count, lq_value *value) {
    (void)args, (void)count;
    return strip_text(run, value, false, true);
}

/* The first characters of text. */
static hone_str cut(hone_str text, size_t characters) {
    size_t at = 0, bytes = 0;
    for (; at < text.len && characters > 0; at += bytes, characters--)
        (void)hone_utf8_next(text, at, &bytes);
    return (hone_str){text.ptr, at};
}

static hone_err f_truncate(lq_run *run, const lq_value *args, size_t count, lq_value *value) {
    hone_str text, dots;
    double limit = TRUNCATE_DEFAULT;
    HONE_TRY(hone_lq_to_text(run, value, &text));
    HONE_TRY(text_arg(run, args, count, 1, HONE_S("..."), &dots));
    if (count > 0 && !hone_lq_number(&args[0], &limit))
        return hone_lq_err(run, "truncate: the length is no number");
    lq_value as_text = hone_lq_text(text), as_dots = hone_lq_text(dots);
    size_t room = limit > 0 && limit < 1e9 ? (size_t)limit : limit > 0 ? SIZE_MAX : 0;
    size_t tail = hone_lq_count(&as_dots);
    if (hone_lq_count(&as_text) <= room) {
        *value = as_text;
        return HONE_OK;
    }
    return join_two(run, cut(text, room > tail ? room - tail : 0), dots, value);
}

/* ---- lists ---- */

static hone_err f_size(lq_run *run, const lq_value *args, size_t count, lq_value *value) {
    (void)args, (void)count;
    if (value->kind == LQ_TEXT) HONE_TRY(hone_lq_work(run, value->as.text.len));
    *value = hone_lq_int((int64_t)hone_lq_count(value));
    return HONE_OK;
}

static hone_err f_first(lq_run *run, const lq_value *args, size_t count, lq_value *value) {
    (void)args, (void)count, (void)run;
    *value = hone_lq_item(value, 0);
    return HONE_OK;
}

static hone_err f_last(lq_run *run, const lq_value *args, size_t count, lq_value *value) {
    (void)args, (void)count, (void)run;
    *value = hone_lq_item(value, hone_lq_count(value) - 1);
    return HONE_OK;
}

static hone_err f_join(lq_run *run, const lq_value *args, size_t count, lq_value *value) {
    hone_str glue;
    hone_buf buf;
    hone_err err = HONE_OK;
    HONE_TRY(text_arg(run, args, count, 0, HONE_S(" "), &glue));
    if (!hone_lq_is_sequence(value)) return HONE_OK;
    hone_buf_init(&buf, HONE_LIQUID_OUTPUT_MAX);
    for (size_t i = 0; i < hone_lq_count(value) && !hone_failed(err); i++) {
        lq_value item = hone_lq_item(value, i);
        hone_str text = {0};
        err = hone_lq_work(run, glue.len + 1);
        if (!hone_failed(err)) err = hone_lq_to_text(run, &item, &text);
        if (i > 0) hone_buf_push(&buf, glue);
        hone_buf_push(&buf, text);
        if (!hone_failed(err)) err = hone_buf_err(&buf);
    }
    if (!hone_failed(err)) return hone_lq_take(run, &buf, value);
    hone_buf_done(&buf);
    return err;
}

/* How many parts the text has: separators and one; each character when there is none. */
static size_t count_parts(hone_str text, hone_str glue) {
    lq_value whole = hone_lq_text(text);
    if (glue.len == 0) return hone_lq_count(&whole);
    size_t count = 1;
    for (const char *at; text.len > 0 && (at = memmem(text.ptr, text.len, glue.ptr, glue.len));
         count++) {
        size_t used = (size_t)(at - text.ptr) + glue.len;
        text = (hone_str){text.ptr + used, text.len - used};
    }
    return count;
}

static hone_err f_split(lq_run *run, const lq_value *args, size_t count, lq_value *value) {
    hone_str text, glue;
    lq_value *items = NULL;
    HONE_TRY(hone_lq_to_text(run, value, &text));
    HONE_TRY(text_arg(run, args, count, 0, HONE_S(" "), &glue));
    size_t parts = text.len > 0 ? count_parts(text, glue) : 0;
    HONE_TRY(hone_lq_work(run, parts * LQ_WORK_BYTES));
    HONE_TRY(hone_lq_alloc(run, parts, sizeof *items, &items));
    for (size_t i = 0; i < parts; i++) {
        const char *at = glue.len && text.len ? memmem(text.ptr, text.len, glue.ptr, glue.len)
                                              : NULL;
        size_t len = glue.len == 0 ? cut(text, 1).len : at ? (size_t)(at - text.ptr) : text.len;
        items[i] = hone_lq_text((hone_str){text.ptr, len});
        len += at ? glue.len : 0;
        text = (hone_str){text.ptr + len, text.len - len};
    }
    while (parts > 0 && items[parts - 1].as.text.len == 0) parts--; /* as Ruby's split */
    *value = (lq_value){.kind = LQ_LIST, .as.list = {items, parts}};
    return HONE_OK;
}

static hone_err f_default(lq_run *run, const lq_value *args, size_t count, lq_value *value) {
    (void)run, (void)count;
    if (hone_lq_is_blank(value)) *value = args[0];
    return HONE_OK;
}

/* ---- numbers ---- */

typedef double arithmetic_fn(double a, double b);

static double add(double a, double b) { return a + b; }
static double subtract(double a, double b) { return a - b; }
static double multiply(double a, double b) { return a * b; }
static double divide(double a, double b) { return a / b; }
static double modulo(double a, double b) { return a - b * floor(a / b); }

/* Both as numbers, text included, and what is none as 0. Whole numbers stay whole. */
static hone_err arithmetic(lq_run *run, const lq_value *arg, lq_value *value, const char *name,
                           arithmetic_fn *fn, bool divides) {
    double a = 0, b = 0;
    bool is_whole = value->kind == LQ_INT && arg->kind == LQ_INT;
    if (!hone_lq_number(value, &a)) a = 0;
    if (!hone_lq_number(arg, &b)) b = 0;
    if (divides && b == 0) return hone_lq_err(run, "%s: division by zero", name);
    double result = fn(a, b);
    if (is_whole && divides) result = floor(result);
    if (!isfinite(result)) return hone_lq_err(run, "%s: the result is too large", name);
    if (is_whole && fabs(result) < 9e15)
        *value = hone_lq_int((int64_t)result);
    else
        *value = (lq_value){.kind = LQ_REAL, .as.real = result};
    return HONE_OK;
}

#define ARITHMETIC(name, fn, divides)                                                            \
    static hone_err f_##name(lq_run *run, const lq_value *args, size_t count, lq_value *value) { \
        (void)count;                                                                             \
        return arithmetic(run, args, value, #name, fn, divides);                                 \
    }
ARITHMETIC(plus, add, false)
ARITHMETIC(minus, subtract, false)
ARITHMETIC(times, multiply, false)
ARITHMETIC(divided_by, divide, true)
ARITHMETIC(modulo, modulo, true)
#undef ARITHMETIC

static hone_err f_round(lq_run *run, const lq_value *args, size_t count, lq_value *value) {
    double number = 0, digits = 0;
    (void)run;
    if (!hone_lq_number(value, &number)) number = 0;
    if (count > 0 && !hone_lq_number(&args[0], &digits)) digits = 0;
    digits = digits < 0 ? 0 : digits > 15 ? 15 : floor(digits);
    double unit = pow(10, digits), rounded = round(number * unit) / unit;
    if (digits == 0 && fabs(rounded) < 9e15)
        *value = hone_lq_int((int64_t)rounded);
    else
        *value = (lq_value){.kind = LQ_REAL, .as.real = isfinite(rounded) ? rounded : number};
    return HONE_OK;
}

const lq_filter_def *hone_lq_filter_find(hone_str name) {
    static const lq_filter_def filters[] = {
        {"append", f_append, 1, 1},
        {"capitalize", f_capitalize, 0, 0},
        {"default", f_default, 1, 1},
        {"divided_by", f_divided_by, 1, 1},
        {"downcase", f_downcase, 0, 0},
        {"escape", f_escape, 0, 0},
        {"escape_once", f_escape_once, 0, 0},
        {"first", f_first, 0, 0},
        {"join", f_join, 0, 1},
        {"last", f_last, 0, 0},
        {"lstrip", f_lstrip, 0, 0},
        {"minus", f_minus, 1, 1},
        {"modulo", f_modulo, 1, 1},
        {"newline_to_br", f_newline_to_br, 0, 0},
        {"plus", f_plus, 1, 1},
        {"prepend", f_prepend, 1, 1},
        {"remove", f_replace, 1, 1},
        {"replace", f_replace, 2, 2},
        {"round", f_round, 0, 1},
        {"rstrip", f_rstrip, 0, 0},
        {"size", f_size, 0, 0},
        {"skip_autoescape", f_skip_autoescape, 0, 0},
        {"split", f_split, 1, 1},
        {"strip", f_strip, 0, 0},
        {"times", f_times, 1, 1},
        {"to_json", f_to_json, 0, 0},
        {"truncate", f_truncate, 0, 2},
        {"upcase", f_upcase, 0, 0},
    };
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++)
        if (hone_str_equal(name, hone_str_of(filters[i].name))) return &filters[i];
    return NULL;
}
