/* definition.c: see definition.h. What each type's arguments must hold is in arguments.c. */
#include "pipeline/definition.h"

#include "base/json.h"
#include "pipeline/arguments_impl.h"
#include "pipeline/expression.h"

#include <strings.h>

#define VERSION "2020-12-01"

enum { NAME_BYTES_MAX = 256 };

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory for a pipeline"); }

static void release_json(void *value) { json_decref(value); }

const char *hone_step_type_name(hone_step_type type) {
    static const char *const names[] = {"Processing", "Training", "RegisterModel"};
    return names[type];
}

/* object[key] as a name; where says of what. Letters, digits, '-', '_' and, for parameters, more
 * is allowed by the wire, but nobody uses more. */
static hone_err read_name(const json_t *object, const char *where, size_t index, const char **out) {
    hone_str name = hone_json_str(json_object_get(object, "Name"));
    bool good = name.len > 0 && name.len <= NAME_BYTES_MAX;
    for (size_t i = 0; good && i < name.len; i++) {
        char c = name.ptr[i];
        good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_';
    }
    if (!good)
        return hone_err_new(HONE_E_INVALID,
                            "%s[%zu].Name: expected letters, digits, '-' and '_', at most %d",
                            where, index, NAME_BYTES_MAX);
    *out = name.ptr;
    return HONE_OK;
}

/* --- parameters --------------------------------------------------------------------- */

static bool has_type(const json_t *value, hone_value_type type) {
    switch (type) {
    case HONE_VALUE_STRING:
        return json_is_string(value) && json_string_length(value) <= HONE_PARAMETER_BYTES_MAX;
    case HONE_VALUE_INTEGER:
        return json_is_integer(value);
    case HONE_VALUE_FLOAT:
        return json_is_number(value);
    case HONE_VALUE_BOOLEAN:
        return json_is_boolean(value);
    }
    return false;
}

static const struct {
    const char *name;
    hone_value_type type;
} value_types[] = {{"String", HONE_VALUE_STRING},
                   {"Integer", HONE_VALUE_INTEGER},
                   {"Float", HONE_VALUE_FLOAT},
                   {"Boolean", HONE_VALUE_BOOLEAN}};

static const char *value_type_name(hone_value_type type) { return value_types[type].name; }

static bool is_among(const json_t *list, const json_t *value) {
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach(list, i, item) if (json_equal(item, value)) return true;
    return false;
}

static hone_err read_parameter(const json_t *from, size_t index, hone_parameter *out) {
    hone_parameter p = {.name = NULL};
    HONE_TRY(read_name(from, "Parameters", index, &p.name));
    hone_str type = hone_json_str(json_object_get(from, "Type"));
    bool known = false;
    for (size_t i = 0; i < sizeof value_types / sizeof value_types[0]; i++) {
        if (!hone_str_equal(type, hone_str_of(value_types[i].name))) continue;
        p.type = value_types[i].type;
        known = true;
    }
    if (!known)
        return hone_err_new(HONE_E_INVALID,
                            "parameter '%s': type '%.*s' is none of String, Integer, Float, "
                            "Boolean",
                            p.name, HONE_ARG(type));
    p.allowed = json_object_get(from, "EnumValues");
    if (p.allowed && !json_is_array(p.allowed))
        return hone_err_new(HONE_E_INVALID, "parameter '%s': EnumValues is no array", p.name);
    p.fallback = json_object_get(from, "DefaultValue");
    if (json_is_null(p.fallback)) p.fallback = NULL;
    if (p.fallback && !has_type(p.fallback, p.type))
        return hone_err_new(HONE_E_INVALID, "parameter '%s': its DefaultValue is no %.*s", p.name,
                            HONE_ARG(type));
    if (p.fallback && p.allowed && !is_among(p.allowed, p.fallback))
        return hone_err_new(HONE_E_INVALID,
                            "parameter '%s': its DefaultValue is none of its EnumValues", p.name);
    *out = p;
    return HONE_OK;
}

static const hone_parameter *find_parameter(const hone_definition *d, hone_str name) {
    for (size_t i = 0; i < d->parameter_count; i++)
        if (hone_str_equal(hone_str_of(d->parameters[i].name), name)) return &d->parameters[i];
    return NULL;
}

static hone_err read_parameters(hone_arena *arena, const json_t *document, hone_definition *d) {
    const json_t *list = json_object_get(document, "Parameters");
    if (!list || json_is_null(list)) return HONE_OK;
    if (!json_is_array(list)) return hone_err_new(HONE_E_INVALID, "Parameters is no array");
    size_t count = json_array_size(list);
    if (count > HONE_PARAMETERS_MAX)
        return hone_err_new(HONE_E_INVALID, "%zu parameters: at most %d", count,
                            HONE_PARAMETERS_MAX);
    hone_parameter *parameters = hone_arena_alloc(arena, count + 1, sizeof *parameters);
    if (!parameters) return no_memory();
    d->parameters = parameters;
    for (size_t i = 0; i < count; i++) {
        hone_parameter *p = &parameters[i];
        HONE_TRY(read_parameter(json_array_get(list, i), i, p));
        if (find_parameter(d, hone_str_of(p->name)))
            return hone_err_new(HONE_E_INVALID, "parameter '%s' is there twice", p->name);
        d->parameter_count++;
    }
    return HONE_OK;
}

/* Text as a value of the type; NULL when it is none. */
static json_t *value_of(hone_str text, hone_value_type type) {
    char copy[64];
    if (type == HONE_VALUE_STRING) return json_stringn(text.ptr, text.len);
    if (text.len == 0 || text.len >= sizeof copy) return NULL;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (type == HONE_VALUE_BOOLEAN) {
        if (strcasecmp(copy, "true") == 0) return json_true();
        return strcasecmp(copy, "false") == 0 ? json_false() : NULL;
    }
    json_t *number = json_loadb(copy, text.len, JSON_DECODE_ANY, NULL);
    if (type == HONE_VALUE_INTEGER && json_is_integer(number)) return number;
    if (type == HONE_VALUE_FLOAT && json_is_number(number)) return number;
    json_decref(number);
    return NULL;
}

static hone_err set_given(const hone_definition *d, const json_t *given, json_t *values) {
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach(given, i, item) {
        hone_str name = hone_json_str(json_object_get(item, "Name"));
        const json_t *from = json_object_get(item, "Value");
        const hone_parameter *p = find_parameter(d, name);
        if (!p)
            return hone_err_new(HONE_E_INVALID, "the pipeline has no parameter '%.*s'",
                                HONE_ARG(name));
        hone_str text = hone_json_str(from);
        if (!json_is_string(from) || text.len > HONE_PARAMETER_BYTES_MAX)
            return hone_err_new(HONE_E_INVALID,
                                "parameter '%s': expected a string of at most %d bytes", p->name,
                                HONE_PARAMETER_BYTES_MAX);
        json_t *value = value_of(text, p->type);
        if (!value)
            return hone_err_new(HONE_E_INVALID, "parameter '%s': '%.*s' is no %s", p->name,
                                HONE_ARG(text), value_type_name(p->type));
        bool bad = p->allowed && !is_among(p->allowed, value);
        if (json_object_set_new(values, p->name, value) != 0) return no_memory();
        if (bad)
            return hone_err_new(HONE_E_INVALID, "parameter '%s': '%.*s' is not one of its values",
                                p->name, HONE_ARG(text));
    }
    return HONE_OK;
}

hone_err hone_parameters_resolve(const hone_definition *definition, const json_t *given,
                                 json_t **out) {
    if (given && !json_is_array(given))
        return hone_err_new(HONE_E_INVALID, "PipelineParameters is no array");
    json_t *values = json_object();
    hone_err err = values ? set_given(definition, given, values) : no_memory();
    for (size_t i = 0; i < definition->parameter_count && !hone_failed(err); i++) {
        const hone_parameter *p = &definition->parameters[i];
        if (json_object_get(values, p->name)) continue;
        if (!p->fallback)
            err = hone_err_new(HONE_E_INVALID, "parameter '%s' has no default: give its value",
                               p->name);
        else if (json_object_set_new(values, p->name, json_deep_copy(p->fallback)) != 0)
            err = no_memory();
    }
    if (hone_failed(err)) {
        json_decref(values);
        return err;
    }
    *out = values;
    return HONE_OK;
}

/* --- steps -------------------------------------------------------------------------- */

static hone_err read_type(const json_t *from, const char *name, hone_step_type *out) {
    hone_str type = hone_json_str(json_object_get(from, "Type"));
    for (int i = HONE_STEP_PROCESSING; i <= HONE_STEP_REGISTER; i++) {
        if (!hone_str_equal(type, hone_str_of(hone_step_type_name((hone_step_type)i)))) continue;
        *out = (hone_step_type)i;
        return HONE_OK;
    }
    return hone_err_new(HONE_E_INVALID,
                        "step '%s': type '%.*s' is not supported: Processing, Training and "
                        "RegisterModel are",
                        name, HONE_ARG(type));
}

static hone_err read_step(const json_t *from, size_t index, hone_step_def *out) {
    hone_step_def s = {.name = NULL};
    HONE_TRY(read_name(from, "Steps", index, &s.name));
    HONE_TRY(read_type(from, s.name, &s.type));
    s.arguments = json_object_get(from, "Arguments");
    if (!json_is_object(s.arguments))
        return hone_err_new(HONE_E_INVALID, "step '%s': it has no Arguments", s.name);
    s.retries = json_object_get(from, "RetryPolicies");
    if (json_is_null(s.retries)) s.retries = NULL;
    if (s.retries) HONE_TRY(hone_retries_check(s.retries, s.name));
    s.display = hone_json_str(json_object_get(from, "DisplayName")).ptr;
    s.description = hone_json_str(json_object_get(from, "Description")).ptr;
    *out = s;
    return HONE_OK;
}

static size_t find_step(const hone_step_def *steps, size_t count, hone_str name) {
    size_t i = 0;
    while (i < count && !hone_str_equal(hone_str_of(steps[i].name), name)) i++;
    return i;
}

/* The references of one step, being read. */
typedef struct linking {
    const hone_definition *definition;
    hone_step_def *steps;
    size_t index; /* of the step */
    bool *waits;  /* [step_count]: for whom */
} linking;

static hone_err link_reference(void *ctx, const hone_reference *r) {
    static const char *const members[] = {"PipelineName",        "PipelineArn",
                                          "PipelineExecutionId", "PipelineExecutionArn",
                                          "StartDateTime",       "CurrentDateTime"};
    linking *l = ctx;
    if (r->kind == HONE_REF_PARAMETER) {
        if (find_parameter(l->definition, r->name)) return HONE_OK;
        return hone_err_new(HONE_E_INVALID, "there is no parameter '%.*s'", HONE_ARG(r->name));
    }
    if (r->kind == HONE_REF_EXECUTION) {
        for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
            if (hone_str_equal(r->name, hone_str_of(members[i]))) return HONE_OK;
        return hone_err_new(HONE_E_INVALID, "there is no 'Execution.%.*s'", HONE_ARG(r->name));
    }
    size_t other = find_step(l->steps, l->definition->step_count, r->name);
    if (other == l->definition->step_count)
        return hone_err_new(HONE_E_INVALID, "there is no step '%.*s'", HONE_ARG(r->name));
    if (other == l->index) return hone_err_new(HONE_E_INVALID, "it refers to itself");
    l->waits[other] = true;
    return hone_property_check(&l->steps[other], r->path);
}

static hone_err link_depends(linking *l, const json_t *list) {
    size_t i = 0;
    json_t *item = NULL;
    if (!list || json_is_null(list)) return HONE_OK;
    if (!json_is_array(list)) return hone_err_new(HONE_E_INVALID, "DependsOn is no array");
    json_array_foreach(list, i, item) {
        hone_str name = hone_json_str(item);
        size_t other = find_step(l->steps, l->definition->step_count, name);
        if (other == l->definition->step_count)
            return hone_err_new(HONE_E_INVALID, "DependsOn: there is no step '%.*s'",
                                HONE_ARG(name));
        if (other == l->index) return hone_err_new(HONE_E_INVALID, "DependsOn: it names itself");
        l->waits[other] = true;
    }
    return HONE_OK;
}

static hone_err link_step(hone_arena *arena, linking *l, const json_t *from) {
    hone_step_def *step = &l->steps[l->index];
    memset(l->waits, 0, l->definition->step_count * sizeof *l->waits);
    hone_err err = hone_expressions_walk(step->arguments, link_reference, l);
    if (!hone_failed(err)) err = link_depends(l, json_object_get(from, "DependsOn"));
    if (hone_failed(err)) return hone_err_wrap(err, "step '%s'", step->name);
    size_t *needs = hone_arena_alloc(arena, l->definition->step_count, sizeof *needs);
    if (!needs) return no_memory();
    for (size_t i = 0; i < l->definition->step_count; i++)
        if (l->waits[i]) needs[step->needs_count++] = i;
    step->needs = needs;
    return hone_arguments_check(arena, step);
}

static bool is_ready(const hone_step_def *step, const size_t *places, size_t none) {
    for (size_t i = 0; i < step->needs_count; i++)
        if (places[step->needs[i]] == none) return false;
    return true;
}

/* Put the steps in an order in which they can run; those that could run together keep the
 * document's order. INVALID for a cycle. */
static hone_err order_steps(hone_arena *arena, hone_definition *d, const hone_step_def *steps) {
    size_t count = d->step_count, placed = 0;
    hone_step_def *sorted = hone_arena_alloc(arena, count, sizeof *sorted);
    size_t *places = hone_arena_alloc(arena, count, sizeof *places);
    if (!sorted || !places) return no_memory();
    for (size_t i = 0; i < count; i++) places[i] = count;
    while (placed < count) {
        size_t before = placed, stuck = count;
        for (size_t i = 0; i < count; i++) {
            if (places[i] < count) continue;
            stuck = i;
            if (!is_ready(&steps[i], places, count)) continue;
            places[i] = placed;
            sorted[placed++] = steps[i];
        }
        if (placed == before)
            return hone_err_new(HONE_E_INVALID, "step '%s' waits, through others, for itself",
                                steps[stuck].name);
    }
    for (size_t i = 0; i < count; i++) {
        size_t *needs = hone_arena_alloc(arena, sorted[i].needs_count + 1, sizeof *needs);
        if (!needs) return no_memory();
        for (size_t j = 0; j < sorted[i].needs_count; j++) needs[j] = places[sorted[i].needs[j]];
        sorted[i].needs = needs;
    }
    d->steps = sorted;
    return HONE_OK;
}

static hone_err read_steps(hone_arena *arena, const json_t *document, hone_definition *d) {
    const json_t *list = json_object_get(document, "Steps");
    size_t count = json_array_size(list);
    if (!json_is_array(list) || count == 0)
        return hone_err_new(HONE_E_INVALID, "Steps: expected an array of one step or more");
    if (count > HONE_STEPS_MAX)
        return hone_err_new(HONE_E_INVALID, "%zu steps: at most %d", count, HONE_STEPS_MAX);
    hone_step_def *steps = hone_arena_alloc(arena, count, sizeof *steps);
    linking l = {.definition = d, .steps = steps};
    l.waits = hone_arena_alloc(arena, count, sizeof *l.waits);
    if (!steps || !l.waits) return no_memory();
    for (size_t i = 0; i < count; i++) {
        HONE_TRY(read_step(json_array_get(list, i), i, &steps[i]));
        if (find_step(steps, i, hone_str_of(steps[i].name)) < i)
            return hone_err_new(HONE_E_INVALID, "step '%s' is there twice", steps[i].name);
    }
    d->step_count = count;
    for (l.index = 0; l.index < count; l.index++)
        HONE_TRY(link_step(arena, &l, json_array_get(list, l.index)));
    return order_steps(arena, d, steps);
}

hone_err hone_definition_parse(hone_arena *arena, hone_str bytes, hone_definition *out) {
    json_t *document = NULL;
    hone_definition d = {.document = NULL};
    if (bytes.len > HONE_DEFINITION_BYTES_MAX)
        return hone_err_new(HONE_E_INVALID, "the pipeline definition has %zu bytes, at most %d",
                            bytes.len, HONE_DEFINITION_BYTES_MAX);
    hone_err err = hone_json_parse(bytes, "the pipeline definition", &document);
    if (err.code == HONE_E_CORRUPT) err.code = HONE_E_INVALID;
    if (hone_failed(err)) return err;
    HONE_TRY(hone_arena_defer(arena, release_json, document));
    hone_str version = hone_json_str(json_object_get(document, "Version"));
    if (!hone_str_equal(version, HONE_S(VERSION)))
        return hone_err_new(HONE_E_INVALID, "the pipeline definition's Version is '%.*s', not '%s'",
                            HONE_ARG(version), VERSION);
    d.document = document;
    HONE_TRY(read_parameters(arena, document, &d));
    HONE_TRY(read_steps(arena, document, &d));
    *out = d;
    return HONE_OK;
}
