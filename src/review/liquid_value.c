/* liquid_value.c: what values are, how they compare and how they are put out. */
#include "base/utf8.h"
#include "review/json_text.h"
#include "review/liquid.h"
#include "review/liquid_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_TEXT_MAX = 40, ENTITY_MAX = 10 };

lq_value hone_lq_text(hone_str text) { return (lq_value){.kind = LQ_TEXT, .as.text = text}; }
lq_value hone_lq_int(int64_t integer) { return (lq_value){.kind = LQ_INT, .as.integer = integer}; }

lq_value hone_lq_of_json(const json_t *json) {
    if (!json) return (lq_value){0};
    switch (json_typeof(json)) {
    case JSON_NULL:
        return (lq_value){0};
    case JSON_TRUE:
        return (lq_value){.kind = LQ_BOOL, .as.truth = true};
    case JSON_FALSE:
        return (lq_value){.kind = LQ_BOOL};
    case JSON_INTEGER:
        return hone_lq_int(json_integer_value(json));
    case JSON_REAL:
        return (lq_value){.kind = LQ_REAL, .as.real = json_real_value(json)};
    case JSON_STRING:
        return hone_lq_text((hone_str){json_string_value(json), json_string_length(json)});
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    return (lq_value){.kind = LQ_JSON, .as.json = json};
}

static bool is_true(const lq_value *v) {
    return v->kind != LQ_NIL && (v->kind != LQ_BOOL || v->as.truth);
}

bool hone_lq_is_blank(const lq_value *v) {
    if (v->kind == LQ_JSON || v->kind == LQ_LIST || v->kind == LQ_TEXT)
        return hone_lq_count(v) == 0;
    return !is_true(v) || v->kind == LQ_EMPTY;
}

bool hone_lq_number(const lq_value *v, double *out) {
    char text[NUMBER_TEXT_MAX] = {0}, *end = text;
    switch (v->kind) {
    case LQ_INT:
        *out = (double)v->as.integer;
        return true;
    case LQ_REAL:
        *out = v->as.real;
        return true;
    case LQ_TEXT:
        if (v->as.text.len == 0 || v->as.text.len >= sizeof text) return false;
        memcpy(text, v->as.text.ptr, v->as.text.len);
        *out = strtod(text, &end);
        return *end == '\0' && isfinite(*out);
    case LQ_NIL:
    case LQ_BOOL:
    case LQ_JSON:
    case LQ_LIST:
    case LQ_RANGE:
    case LQ_LOOP:
    case LQ_EMPTY:
        break;
    }
    return false;
}

static size_t count_characters(hone_str s) {
    size_t count = 0, bytes = 0;
    for (size_t at = 0; at < s.len; at += bytes, count++) (void)hone_utf8_next(s, at, &bytes);
    return count;
}

size_t hone_lq_count(const lq_value *v) {
    switch (v->kind) {
    case LQ_TEXT:
        return count_characters(v->as.text);
    case LQ_JSON:
        return json_is_array(v->as.json) ? json_array_size(v->as.json)
                                         : json_object_size(v->as.json);
    case LQ_LIST:
        return v->as.list.count;
    case LQ_RANGE:
        return v->as.range.to < v->as.range.from
                   ? 0
                   : (size_t)((uint64_t)v->as.range.to - (uint64_t)v->as.range.from) + 1;
    case LQ_NIL:
    case LQ_BOOL:
    case LQ_INT:
    case LQ_REAL:
    case LQ_LOOP:
    case LQ_EMPTY:
        break;
    }
    return 0;
}

bool hone_lq_is_sequence(const lq_value *v) {
    return v->kind == LQ_LIST || v->kind == LQ_RANGE ||
           (v->kind == LQ_JSON && json_is_array(v->as.json));
}

lq_value hone_lq_item(const lq_value *v, size_t index) {
    if (!hone_lq_is_sequence(v) || index >= hone_lq_count(v)) return (lq_value){0};
    if (v->kind == LQ_LIST) return v->as.list.items[index];
    if (v->kind == LQ_RANGE) return hone_lq_int(v->as.range.from + (int64_t)index);
    return hone_lq_of_json(json_array_get(v->as.json, index));
}

/* An object as a list of [key, value]. */
static hone_err pairs_of(lq_run *run, const json_t *object, lq_value *out) {
    union { /* jansson's iterators want a json_t *, and do not change it */
        const json_t *fixed;
        json_t *loose;
    } same = {object};
    size_t count = json_object_size(object), i = 0;
    lq_value *pairs = NULL, *halves = NULL;
    HONE_TRY(hone_lq_work(run, count * LQ_WORK_BYTES));
    HONE_TRY(hone_lq_alloc(run, count, sizeof *pairs, &pairs));
    HONE_TRY(hone_lq_alloc(run, 2 * count, sizeof *halves, &halves));
    for (void *at = json_object_iter(same.loose); at; at = json_object_iter_next(same.loose, at)) {
        halves[2 * i] = hone_lq_text(
            (hone_str){json_object_iter_key(at), json_object_iter_key_len(at)});
        halves[2 * i + 1] = hone_lq_of_json(json_object_iter_value(at));
        pairs[i] = (lq_value){.kind = LQ_LIST, .as.list = {halves + 2 * i, 2}};
        i++;
    }
    *out = (lq_value){.kind = LQ_LIST, .as.list = {pairs, count}};
    return HONE_OK;
}

hone_err hone_lq_sequence(lq_run *run, const lq_value *value, lq_value *out) {
    if (hone_lq_is_sequence(value) || value->kind == LQ_NIL || value->kind == LQ_EMPTY) {
        *out = *value;
        return HONE_OK;
    }
    if (value->kind == LQ_JSON) return pairs_of(run, value->as.json, out);
    lq_value *one = NULL; /* anything else is a list of itself */
    HONE_TRY(hone_lq_alloc(run, 1, sizeof *one, &one));
    *one = *value;
    *out = (lq_value){.kind = LQ_LIST, .as.list = {one, 1}};
    return HONE_OK;
}

/* ---- text ---- */

void hone_lq_push_json(hone_buf *out, const lq_value *v) {
    switch (v->kind) {
    case LQ_NIL:
    case LQ_LOOP:
    case LQ_EMPTY:
        hone_buf_push(out, HONE_S("null"));
        break;
    case LQ_BOOL:
        hone_buf_push(out, v->as.truth ? HONE_S("true") : HONE_S("false"));
        break;
    case LQ_INT:
        hone_buf_printf(out, "%lld", (long long)v->as.integer);
        break;
    case LQ_REAL:
        hone_json_text_push_real(out, v->as.real);
        break;
    case LQ_TEXT:
        hone_json_text_push_str(out, v->as.text, HONE_JSON_IN_HTML);
        break;
    case LQ_JSON:
        hone_json_text_push(out, v->as.json, HONE_JSON_IN_HTML);
        break;
    case LQ_RANGE:
        hone_buf_printf(out, "\"%lld..%lld\"", (long long)v->as.range.from,
                        (long long)v->as.range.to);
        break;
    case LQ_LIST:
        hone_buf_push_char(out, '[');
        for (size_t i = 0; i < v->as.list.count && out->failed == HONE_E_NONE; i++) {
            if (i > 0) hone_buf_push_char(out, ',');
            hone_lq_push_json(out, &v->as.list.items[i]);
        }
        hone_buf_push_char(out, ']');
        break;
    }
}

hone_err hone_lq_to_text(lq_run *run, const lq_value *v, hone_str *out) {
    lq_value text = {0};
    hone_buf buf;
    if (v->kind == LQ_TEXT) {
        *out = v->as.text;
        return hone_lq_work(run, out->len);
    }
    *out = (hone_str){"", 0};
    if (v->kind == LQ_NIL || v->kind == LQ_EMPTY || v->kind == LQ_LOOP) return HONE_OK;
    hone_buf_init(&buf, HONE_LIQUID_OUTPUT_MAX);
    if (v->kind == LQ_RANGE)
        hone_buf_printf(&buf, "%lld..%lld", (long long)v->as.range.from, (long long)v->as.range.to);
    else
        hone_lq_push_json(&buf, v);
    HONE_TRY(hone_lq_take(run, &buf, &text));
    *out = text.as.text;
    return hone_lq_work(run, out->len);
}

/* How many bytes of s are an entity such as &lt; or &#39; at its start; 0 = none. */
static size_t entity_len(hone_str s) {
    for (size_t i = 1; i < s.len && i <= ENTITY_MAX; i++) {
        char c = s.ptr[i];
        if (c == ';') return i > 1 ? i + 1 : 0;
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && !(c == '#' && i == 1)) return 0;
    }
    return 0;
}

void hone_lq_push_escaped(hone_buf *out, hone_str s, bool once) {
    static const char special[] = "&<>\"'";
    static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    size_t from = 0;
    for (size_t i = 0; i < s.len; i++) {
        const char *at = s.ptr[i] ? strchr(special, s.ptr[i]) : NULL;
        if (!at) continue;
        if (once && *at == '&' && entity_len((hone_str){s.ptr + i, s.len - i}) > 0) continue;
        hone_buf_push(out, (hone_str){s.ptr + from, i - from});
        hone_buf_push(out, hone_str_of(entities[at - special]));
        from = i + 1;
    }
    hone_buf_push(out, (hone_str){s.ptr + from, s.len - from});
}

/* ---- comparison ---- */

static bool is_number(const lq_value *v) { return v->kind == LQ_INT || v->kind == LQ_REAL; }

static hone_err are_equal(lq_run *run, const lq_value *a, const lq_value *b, bool *out) {
    *out = false;
    if (a->kind == LQ_EMPTY || b->kind == LQ_EMPTY) {
        const lq_value *word = a->kind == LQ_EMPTY ? a : b, *other = word == a ? b : a;
        bool has_content = other->kind == LQ_TEXT || other->kind == LQ_JSON ||
                           other->kind == LQ_LIST || other->kind == LQ_EMPTY;
        *out = (has_content || word->as.truth) && hone_lq_is_blank(other);
    } else if (is_number(a) && is_number(b)) {
        double x = 0, y = 0;
        *out = hone_lq_number(a, &x) && hone_lq_number(b, &y) && x == y;
        if (a->kind == LQ_INT && b->kind == LQ_INT) *out = a->as.integer == b->as.integer;
    } else if (a->kind != b->kind) {
        return HONE_OK;
    } else if (a->kind == LQ_TEXT) {
        HONE_TRY(hone_lq_work(run, a->as.text.len));
        *out = hone_str_equal(a->as.text, b->as.text);
    } else if (a->kind == LQ_JSON || a->kind == LQ_LIST) {
        hone_str x, y; /* as they are put out: the same text, the same value */
        HONE_TRY(hone_lq_to_text(run, a, &x));
        HONE_TRY(hone_lq_to_text(run, b, &y));
        *out = hone_str_equal(x, y);
    } else {
        *out = a->kind == LQ_NIL || (a->kind == LQ_BOOL && a->as.truth == b->as.truth);
    }
    return HONE_OK;
}

static hone_err contains(lq_run *run, const lq_value *whole, const lq_value *part, bool *out) {
    *out = false;
    if (whole->kind == LQ_TEXT) {
        hone_str needle;
        HONE_TRY(hone_lq_to_text(run, part, &needle));
        HONE_TRY(hone_lq_work(run, whole->as.text.len));
        *out = needle.len == 0 ||
               (whole->as.text.len > 0 &&
                memmem(whole->as.text.ptr, whole->as.text.len, needle.ptr, needle.len) != NULL);
        return HONE_OK;
    }
    if (whole->kind == LQ_JSON && json_is_object(whole->as.json)) {
        if (part->kind == LQ_TEXT)
            *out = json_object_getn(whole->as.json, part->as.text.ptr, part->as.text.len) != NULL;
        return HONE_OK;
    }
    size_t count = hone_lq_is_sequence(whole) ? hone_lq_count(whole) : 0;
    for (size_t i = 0; i < count && !*out; i++) {
        lq_value item = hone_lq_item(whole, i);
        HONE_TRY(hone_lq_work(run, 1));
        HONE_TRY(are_equal(run, &item, part, out));
    }
    return HONE_OK;
}

/* -1, 0, 1; false when the two have no order, as text and a number have none. */
static bool order_of(const lq_value *a, const lq_value *b, int *out) {
    if (is_number(a) && is_number(b)) {
        double x = 0, y = 0;
        (void)hone_lq_number(a, &x);
        (void)hone_lq_number(b, &y);
        *out = (x > y) - (x < y);
        return true;
    }
    if (a->kind != LQ_TEXT || b->kind != LQ_TEXT) return false;
    *out = hone_str_compare(a->as.text, b->as.text);
    return true;
}

hone_err hone_lq_compare(lq_run *run, lq_op op, const lq_value *a, const lq_value *b, bool *out) {
    int order = 0;
    bool has_order = false;
    *out = false;
    HONE_TRY(hone_lq_work(run, 1));
    switch (op) {
    case LQ_IS:
        *out = is_true(a);
        return HONE_OK;
    case LQ_CONTAINS:
        return contains(run, a, b, out);
    case LQ_EQ:
        return are_equal(run, a, b, out);
    case LQ_NE:
        HONE_TRY(are_equal(run, a, b, out));
        *out = !*out;
        return HONE_OK;
    case LQ_LT:
    case LQ_GT:
    case LQ_LE:
    case LQ_GE:
        break;
    }
    if (a->kind == LQ_TEXT) HONE_TRY(hone_lq_work(run, a->as.text.len));
    has_order = order_of(a, b, &order);
    *out = has_order && ((op == LQ_LT && order < 0) || (op == LQ_GT && order > 0) ||
                         (op == LQ_LE && order <= 0) || (op == LQ_GE && order >= 0));
    return HONE_OK;
}
