/* native.c: see native.h. Both maps are read by one table of names and places. */
#include "pipeline/native.h"

#include "base/json.h"
#include "pipeline/expression.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { REVIEW_WEIGHT_MAX = 1000, POINTERS_MAX = 16, TEXT_BYTES_MAX = 64 * 1024 };

typedef enum kind { TEXT, SIZE, NUMBER, SEED, OBJECT, LIST, POINTERS, UNUSED } kind;

typedef struct setting {
    const char *name;
    kind kind;
    void *out; /* const char *, size_t, double, uint64_t, json_t *, json_t *, const char ** */
    double min, max;
} setting;

typedef struct reader {
    hone_arena *arena;
    const char *step;
    const setting *settings;
    size_t count;
} reader;

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory for settings"); }

static void release_json(void *value) { json_decref(value); }

/* The value as text; a string that is JSON-quoted without its quotes. */
static hone_err text_of(hone_arena *arena, const json_t *value, const char **out) {
    char number[40];
    hone_str text = hone_json_str(value);
    json_t *inner = NULL;
    if (json_is_integer(value)) {
        (void)snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        text = hone_str_of(number);
    } else if (json_is_real(value)) {
        (void)snprintf(number, sizeof number, "%.17g", json_real_value(value));
        text = hone_str_of(number);
    } else if (json_is_boolean(value)) {
        text = json_is_true(value) ? HONE_S("true") : HONE_S("false");
    } else if (!json_is_string(value)) {
        return hone_err_new(HONE_E_INVALID, "it is neither string nor number");
    }
    if (text.len > TEXT_BYTES_MAX || (text.len > 0 && memchr(text.ptr, '\0', text.len)))
        return hone_err_new(HONE_E_INVALID, "it is too long, or holds a NUL");
    if (text.len >= 2 && text.ptr[0] == '"') {
        inner = json_loadb(text.ptr, text.len, JSON_DECODE_ANY, NULL);
        if (json_is_string(inner)) text = hone_json_str(inner);
    }
    *out = hone_arena_strdup(arena, text);
    json_decref(inner);
    return *out ? HONE_OK : no_memory();
}

static hone_err read_number(const char *text, const setting *s, bool whole, double *out) {
    char *end = NULL;
    double x = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || !isfinite(x) || (whole && x != floor(x)))
        return hone_err_new(HONE_E_INVALID, "'%.60s' is no %snumber", text, whole ? "whole " : "");
    if (x < s->min || x > s->max)
        return hone_err_new(HONE_E_INVALID, "%.60s is not in %g to %g", text, s->min, s->max);
    *out = x;
    return HONE_OK;
}

static hone_err read_seed(const char *text, uint64_t *out) {
    char *end = NULL;
    errno = 0;
    unsigned long long x = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0)
        return hone_err_new(HONE_E_INVALID, "'%.60s' is no whole number from 0", text);
    *out = x;
    return HONE_OK;
}

static hone_err read_json(hone_arena *arena, const char *text, bool list, json_t **out) {
    json_t *value = json_loads(text, 0, NULL);
    if (!value || json_is_array(value) != list) {
        json_decref(value);
        return hone_err_new(HONE_E_INVALID, "it is no JSON %s", list ? "array" : "object");
    }
    HONE_TRY(hone_arena_defer(arena, release_json, value));
    *out = value;
    return HONE_OK;
}

/* "/category/label,/category/labels" */
static hone_err read_pointers(hone_arena *arena, const char *text, const char ***out) {
    const char **list = hone_arena_alloc(arena, POINTERS_MAX + 1, sizeof *list);
    if (!list) return no_memory();
    size_t count = 0;
    for (const char *at = text;; at++) {
        const char *comma = strchrnul(at, ',');
        if (count == POINTERS_MAX)
            return hone_err_new(HONE_E_INVALID, "more than %d pointers", POINTERS_MAX);
        list[count] = hone_arena_strdup(arena, (hone_str){at, (size_t)(comma - at)});
        if (!list[count++]) return no_memory();
        at = comma;
        if (*at == '\0') break;
    }
    *out = list;
    return HONE_OK;
}

static hone_err read_value(const reader *in, const setting *s, const json_t *value) {
    const char *text = NULL;
    double number = 0;
    HONE_TRY(text_of(in->arena, value, &text));
    switch (s->kind) {
    case TEXT:
        *(const char **)s->out = text;
        return HONE_OK;
    case SIZE:
        HONE_TRY(read_number(text, s, true, &number));
        *(size_t *)s->out = (size_t)number;
        return HONE_OK;
    case NUMBER:
        return read_number(text, s, false, s->out);
    case SEED:
        return read_seed(text, s->out);
    case OBJECT:
        return read_json(in->arena, text, false, s->out);
    case LIST:
        return read_json(in->arena, text, true, s->out);
    case POINTERS:
        return read_pointers(in->arena, text, s->out);
    case UNUSED:
        return HONE_OK;
    }
    return HONE_OK;
}

static hone_err unknown(const reader *in, const char *name) {
    char known[600];
    size_t used = 0;
    for (size_t i = 0; i < in->count && used < sizeof known; i++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "",
                                 in->settings[i].name);
    return hone_err_new(HONE_E_INVALID, "step '%s': setting '%.100s' is none of %s", in->step, name,
                        known);
}

static hone_err read_settings(const reader *in, const json_t *map) {
    const char *name = NULL;
    json_t *value = NULL, *from = hone_json_loose(map);
    if (map && !json_is_object(map))
        return hone_err_new(HONE_E_INVALID, "step '%s': its settings are no JSON object", in->step);
    json_object_foreach(from, name, value) {
        const setting *found = NULL;
        for (size_t i = 0; i < in->count; i++)
            if (strcmp(in->settings[i].name, name) == 0) found = &in->settings[i];
        if (!found && strncmp(name, "sagemaker_", strlen("sagemaker_")) == 0) continue;
        if (!found) return unknown(in, name);
        if (hone_is_expression(value)) continue;
        hone_err err = read_value(in, found, value);
        if (hone_failed(err)) return hone_err_wrap(err, "step '%s': %s", in->step, name);
    }
    return HONE_OK;
}

/* The empty text means what an absent one does: a pipeline's parameters have no "none". */
static const char *or_null(const char *text) { return text && *text ? text : NULL; }

hone_err hone_processing_read(hone_arena *arena, const json_t *environment, const char *step,
                              hone_processing *out) {
    hone_processing p = {.sample = {.train = 5000, .test = 1000, .seed = 42}, .review_weight = 3};
    json_t *map = NULL, *ignored = NULL;
    const char **labels = NULL;
    const setting settings[] = {
        {"TrainSamples", SIZE, &p.sample.train, 0, HONE_RECORDS_MAX},
        {"TestSamples", SIZE, &p.sample.test, 0, HONE_RECORDS_MAX},
        {"Seed", SEED, &p.sample.seed, 0, 0},
        {"ReviewWeight", SIZE, &p.review_weight, 0, REVIEW_WEIGHT_MAX},
        {"TextPointer", TEXT, &p.rules.text, 0, 0},
        {"LabelPointers", POINTERS, &labels, 0, 0},
        {"LabelMap", OBJECT, &map, 0, 0},
        {"IgnoredAnswers", LIST, &ignored, 0, 0},
        {"TextColumn", TEXT, &p.import.text_column, 0, 0},
        {"LabelColumn", TEXT, &p.import.label_column, 0, 0},
        {"Encoding", TEXT, &p.import.encoding, 0, 0},
        {"Delimiter", TEXT, &p.import.delimiter, 0, 0},
    };
    reader in = {arena, step, settings, sizeof settings / sizeof settings[0]};
    HONE_TRY(read_settings(&in, environment));
    p.rules.text = or_null(p.rules.text);
    p.rules.labels = labels && labels[0][0] ? labels : NULL;
    p.rules.label_map = map;
    p.rules.ignored = ignored;
    p.import.text_column = or_null(p.import.text_column);
    p.import.label_column = or_null(p.import.label_column);
    p.import.encoding = or_null(p.import.encoding);
    p.import.delimiter = or_null(p.import.delimiter);
    p.import.delimiter_at = "Delimiter";
    char where[128];
    (void)snprintf(where, sizeof where, "step '%.100s'", step);
    HONE_TRY(hone_review_rules_check(&p.rules, where));
    *out = p;
    return HONE_OK;
}

hone_err hone_training_read(hone_arena *arena, const json_t *hyperparameters, const char *step,
                            hone_training *out) {
    hone_training t = {
        .model_name = "", .start_from = "base", .group = "", .run = hone_run_defaults()};
    hone_run_options *r = &t.run;
    hone_run_options adapters = hone_run_lora_defaults();
    hone_lora_options *lora = &adapters.lora;
    const char *mode = "full", *dtype = "f32";
    double warmup = -1, lr = -1;
    r->checkpoint_s = 30; /* a job is killed more often than a command that somebody watches */
    const setting settings[] = {
        {"epochs", SIZE, &r->epochs, 1, 10000},
        {"train_batch_size", SIZE, &r->batch_size, 1, 65535},
        {"eval_batch_size", UNUSED, NULL, 0, 0}, /* batches are cut by tokens */
        {"model_name", TEXT, &t.model_name, 0, 0},
        {"learning_rate", NUMBER, &lr, 0, 10},
        {"warmup_steps", NUMBER, &warmup, 0, UINT32_MAX},
        {"weight_decay", NUMBER, &r->weight_decay, 0, 10},
        {"dropout", NUMBER, &r->dropout, -1, 0.99},
        {"max_length", SIZE, &r->max_length, 1, 1 << 20},
        {"mode", TEXT, &mode, 0, 0},
        {"dtype", TEXT, &dtype, 0, 0},
        {"freeze_layers", SIZE, &r->frozen_layers, 0, 256},
        {"lora_rank", SIZE, &lora->rank, 1, HONE_LORA_RANK_MAX},
        {"lora_alpha", NUMBER, &lora->alpha, 0, 1e6},
        {"lora_targets", TEXT, &lora->targets, 0, 0},
        {"patience", SIZE, &r->patience, 0, 10000},
        {"seed", SEED, &r->seed, 0, 0},
        {"checkpoint_seconds", SIZE, &r->checkpoint_s, 0, 1 << 20},
        {"checkpoint_steps", SIZE, &r->checkpoint_steps, 0, UINT32_MAX},
        {"start_from", TEXT, &t.start_from, 0, 0},
        {"model_package_group", TEXT, &t.group, 0, 0},
        {"text_column", TEXT, &t.import.text_column, 0, 0},
        {"label_column", TEXT, &t.import.label_column, 0, 0},
    };
    reader in = {arena, step, settings, sizeof settings / sizeof settings[0]};
    HONE_TRY(read_settings(&in, hyperparameters));
    t.has_warmup = warmup >= 0;
    if (t.has_warmup) r->warmup = warmup;
    if (strcmp(mode, "lora") == 0) {
        lora->targets = or_null(lora->targets);
        r->lora = *lora;
        r->merge = true; /* a version is a whole model */
        r->lr = adapters.lr;
    } else if (strcmp(mode, "full") != 0) {
        return hone_err_new(HONE_E_INVALID, "step '%s': mode '%.100s': expected full or lora", step,
                            mode);
    }
    if (lr >= 0) r->lr = lr;
    hone_err err = hone_dtype_parse(dtype, &r->dtype);
    if (hone_failed(err)) return hone_err_wrap(err, "step '%s'", step);
    if (r->dtype == HONE_DTYPE_INT8)
        return hone_err_new(HONE_E_INVALID, "step '%s': dtype int8: training is in f32 or bf16",
                            step);
    bool is_arn = hone_str_has_prefix(hone_str_of(t.start_from), HONE_S("arn:"));
    if (strcmp(t.start_from, "base") != 0 && strcmp(t.start_from, "approved") != 0 && !is_arn)
        return hone_err_new(HONE_E_INVALID,
                            "step '%s': start_from '%.100s': expected base, approved or the ARN of "
                            "a model package",
                            step, t.start_from);
    t.import.text_column = or_null(t.import.text_column);
    t.import.label_column = or_null(t.import.label_column);
    *out = t;
    return HONE_OK;
}
