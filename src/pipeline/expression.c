/* expression.c: see expression.h. */
#include "pipeline/expression.h"

#include "base/buf.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    JOINED_BYTES_MAX = 64 * 1024, /* of one Std:Join */
    KEY_BYTES_MAX = 256,          /* of one part of a path */
};

static hone_err too_deep(void) {
    return hone_err_new(HONE_E_INVALID, "the document is nested more than %d deep",
                        HONE_EXPRESSION_DEPTH_MAX);
}

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory for a document"); }

/* The one key of an expression and its value; NULL when value stands for itself. */
static const char *expression_key(const json_t *value, const json_t **argument) {
    if (!json_is_object(value) || json_object_size(value) != 1) return NULL;
    void *first = json_object_iter(hone_json_loose(value));
    const char *key = json_object_iter_key(first);
    if (strcmp(key, "Get") != 0 && strncmp(key, "Std:", 4) != 0) return NULL;
    *argument = json_object_iter_value(first);
    return key;
}

bool hone_is_expression(const json_t *value) {
    const json_t *argument = NULL;
    return expression_key(value, &argument) != NULL;
}

/* --- references --------------------------------------------------------------------- */

static hone_err bad_reference(hone_str text) {
    return hone_err_new(HONE_E_INVALID,
                        "'%.*s' refers to nothing: expected Parameters.NAME, Execution.NAME or "
                        "Steps.NAME.PROPERTY",
                        HONE_ARG(text));
}

static hone_err parse_reference(hone_str text, hone_reference *out) {
    static const struct {
        const char *prefix;
        int kind;
    } kinds[] = {{"Parameters.", HONE_REF_PARAMETER},
                 {"Execution.", HONE_REF_EXECUTION},
                 {"Steps.", HONE_REF_STEP}};
    if (text.len > 1024 || (text.len > 0 && memchr(text.ptr, '\0', text.len)))
        return hone_err_new(HONE_E_INVALID, "a reference is too long, or holds a NUL");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        hone_str prefix = hone_str_of(kinds[i].prefix);
        if (!hone_str_has_prefix(text, prefix)) continue;
        hone_str rest = {text.ptr + prefix.len, text.len - prefix.len};
        hone_reference r = {.kind = HONE_REF_PARAMETER, .name = rest, .path = {"", 0}};
        if (kinds[i].kind == HONE_REF_EXECUTION) r.kind = HONE_REF_EXECUTION;
        if (kinds[i].kind == HONE_REF_STEP) {
            const char *dot = rest.len ? memchr(rest.ptr, '.', rest.len) : NULL;
            if (!dot) return bad_reference(text);
            r.kind = HONE_REF_STEP;
            r.name.len = (size_t)(dot - rest.ptr);
            r.path = (hone_str){dot + 1, rest.len - r.name.len - 1};
            if (r.path.len == 0) return bad_reference(text);
        }
        if (r.name.len == 0) return bad_reference(text);
        *out = r;
        return HONE_OK;
    }
    return bad_reference(text);
}

static hone_err check_join(const json_t *join, const json_t **values, hone_str *on) {
    *values = json_object_get(join, "Values");
    const json_t *separator = json_object_get(join, "On");
    if (!json_is_object(join) || !json_is_array(*values) ||
        (separator && !json_is_string(separator)))
        return hone_err_new(HONE_E_INVALID,
                            "Std:Join: expected {\"On\": string, \"Values\": [...]}");
    *on = hone_json_str(separator);
    return HONE_OK;
}

static hone_err walk(const json_t *value, hone_reference_fn *fn, void *ctx, int depth) {
    const json_t *argument = NULL, *values = NULL;
    const char *key = expression_key(value, &argument);
    if (depth > HONE_EXPRESSION_DEPTH_MAX) return too_deep();
    if (key && strcmp(key, "Get") == 0) {
        hone_reference reference;
        if (!json_is_string(argument))
            return hone_err_new(HONE_E_INVALID, "Get: expected a string");
        HONE_TRY(parse_reference(hone_json_str(argument), &reference));
        return fn(ctx, &reference);
    }
    if (key && strcmp(key, "Std:Join") == 0) {
        hone_str on;
        HONE_TRY(check_join(argument, &values, &on));
        return walk(values, fn, ctx, depth + 1);
    }
    if (key)
        return hone_err_new(HONE_E_INVALID, "function '%s' is not supported: only Std:Join is",
                            key);
    size_t i = 0;
    json_t *item = NULL, *object = hone_json_loose(value);
    json_array_foreach(value, i, item) HONE_TRY(walk(item, fn, ctx, depth + 1));
    json_object_foreach(object, key, item) HONE_TRY(walk(item, fn, ctx, depth + 1));
    return HONE_OK;
}

hone_err hone_expressions_walk(const json_t *value, hone_reference_fn *fn, void *ctx) {
    return walk(value, fn, ctx, 0);
}

/* --- paths -------------------------------------------------------------------------- */

/* The element of an array of objects whose ...Name member is name. */
static const json_t *find_named(const json_t *array, hone_str name) {
    size_t i = 0;
    json_t *item = NULL, *member = NULL;
    const char *key = NULL;
    json_array_foreach(array, i, item) json_object_foreach(
        item, key, member) if (hone_str_has_suffix(hone_str_of(key), HONE_S("Name")) &&
                               hone_str_equal(hone_json_str(member), name)) return item;
    return NULL;
}

/* What the part in brackets picks: ['x'] or [0]. */
static const json_t *pick(const json_t *value, hone_str part) {
    if (part.len >= 2 && part.ptr[0] == '\'' && part.ptr[part.len - 1] == '\'') {
        hone_str name = {part.ptr + 1, part.len - 2};
        if (json_is_object(value)) return json_object_getn(value, name.ptr, name.len);
        return find_named(value, name);
    }
    size_t index = 0;
    if (part.len == 0 || part.len > 6) return NULL;
    for (size_t i = 0; i < part.len; i++) {
        if (part.ptr[i] < '0' || part.ptr[i] > '9') return NULL;
        index = index * 10 + (size_t)(part.ptr[i] - '0');
    }
    return json_array_get(value, index);
}

/* Follow "A.B['x'].C" into value; NULL when it leads nowhere. */
static const json_t *follow(const json_t *value, hone_str path) {
    size_t at = 0;
    while (value && at < path.len) {
        size_t end = at;
        if (path.ptr[at] == '[') {
            const char *close = memchr(path.ptr + at, ']', path.len - at);
            if (!close) return NULL;
            end = (size_t)(close - path.ptr);
            value = pick(value, (hone_str){path.ptr + at + 1, end - at - 1});
            at = end + 1;
        } else {
            while (end < path.len && path.ptr[end] != '.' && path.ptr[end] != '[') end++;
            if (end == at || end - at > KEY_BYTES_MAX) return NULL;
            value = json_object_getn(value, path.ptr + at, end - at);
            at = end;
        }
        if (at < path.len && path.ptr[at] == '.') at++;
    }
    return value;
}

/* --- values ------------------------------------------------------------------------- */

static hone_err resolve(const json_t *value, const hone_scope *scope, int depth, json_t **out);

static hone_err resolve_get(const json_t *argument, const hone_scope *scope, json_t **out) {
    hone_reference r;
    hone_str text = hone_json_str(argument);
    const json_t *found = NULL;
    HONE_TRY(parse_reference(text, &r));
    switch (r.kind) {
    case HONE_REF_PARAMETER:
        found = json_object_getn(scope->parameters, r.name.ptr, r.name.len);
        break;
    case HONE_REF_EXECUTION:
        found = json_object_getn(scope->execution, r.name.ptr, r.name.len);
        break;
    case HONE_REF_STEP:
        found = json_object_getn(scope->steps, r.name.ptr, r.name.len);
        if (found) found = follow(found, r.path);
        break;
    }
    if (!found) return hone_err_new(HONE_E_INVALID, "'%.*s' has no value", HONE_ARG(text));
    *out = json_deep_copy(found);
    return *out ? HONE_OK : no_memory();
}

static hone_err push_scalar(hone_buf *text, const json_t *value) {
    if (json_is_string(value))
        hone_buf_push(text, hone_json_str(value));
    else if (json_is_integer(value))
        hone_buf_printf(text, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        hone_buf_printf(text, "%.15g", json_real_value(value));
    else if (json_is_boolean(value))
        hone_buf_push(text, json_is_true(value) ? HONE_S("true") : HONE_S("false"));
    else
        return hone_err_new(HONE_E_INVALID, "Std:Join: a value is neither string nor number");
    return HONE_OK;
}

static hone_err join(hone_buf *text, const json_t *values, hone_str on, const hone_scope *scope,
                     int depth) {
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach(values, i, item) {
        json_t *part = NULL;
        if (i > 0) hone_buf_push(text, on);
        HONE_TRY(resolve(item, scope, depth, &part));
        hone_err err = push_scalar(text, part);
        json_decref(part);
        HONE_TRY(err);
    }
    hone_err err = hone_buf_err(text);
    return hone_failed(err) ? hone_err_wrap(err, "Std:Join") : HONE_OK;
}

static hone_err resolve_join(const json_t *argument, const hone_scope *scope, int depth,
                             json_t **out) {
    const json_t *values = NULL;
    hone_str on;
    hone_buf text;
    HONE_TRY(check_join(argument, &values, &on));
    hone_buf_init(&text, JOINED_BYTES_MAX);
    hone_err err = join(&text, values, on, scope, depth + 1);
    if (!hone_failed(err)) {
        *out = json_stringn(text.ptr ? text.ptr : "", text.len);
        if (!*out) err = no_memory();
    }
    hone_buf_done(&text);
    return err;
}

static hone_err resolve_array(const json_t *value, const hone_scope *scope, int depth,
                              json_t *array) {
    size_t i = 0;
    json_t *item = NULL, *copy = NULL;
    json_array_foreach(value, i, item) {
        HONE_TRY(resolve(item, scope, depth, &copy));
        if (json_array_append_new(array, copy) != 0) return no_memory();
    }
    return HONE_OK;
}

static hone_err resolve_object(const json_t *value, const hone_scope *scope, int depth,
                               json_t *object) {
    const char *key = NULL;
    json_t *item = NULL, *copy = NULL, *from = hone_json_loose(value);
    json_object_foreach(from, key, item) {
        HONE_TRY(resolve(item, scope, depth, &copy));
        if (json_object_set_new(object, key, copy) != 0) return no_memory();
    }
    return HONE_OK;
}

static hone_err resolve(const json_t *value, const hone_scope *scope, int depth, json_t **out) {
    const json_t *argument = NULL;
    const char *key = expression_key(value, &argument);
    if (depth > HONE_EXPRESSION_DEPTH_MAX) return too_deep();
    if (key && strcmp(key, "Get") == 0) return resolve_get(argument, scope, out);
    if (key && strcmp(key, "Std:Join") == 0) return resolve_join(argument, scope, depth, out);
    if (key) return hone_err_new(HONE_E_INVALID, "function '%s' is not supported", key);
    hone_err err = HONE_OK;
    json_t *copy = NULL;
    if (json_is_array(value)) {
        copy = json_array();
        err = copy ? resolve_array(value, scope, depth + 1, copy) : no_memory();
    } else if (json_is_object(value)) {
        copy = json_object();
        err = copy ? resolve_object(value, scope, depth + 1, copy) : no_memory();
    } else {
        copy = json_deep_copy(value);
        if (!copy) err = no_memory();
    }
    if (hone_failed(err)) {
        json_decref(copy);
        return err;
    }
    *out = copy;
    return HONE_OK;
}

hone_err hone_expressions_resolve(const json_t *value, const hone_scope *scope, json_t **out) {
    return resolve(value, scope, 0, out);
}
