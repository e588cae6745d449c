/* config.c: see config.h. A table of keys and limits per family is read into hone_config;
 * then the things that hone does not compute are refused by name.
 *
 * Absent keys have the defaults of BertConfig and DistilBertConfig (transformers 5). The
 * limits keep every product of two sizes far from overflow and a hostile file from asking
 * for more than any real model has. */
#include "model/config.h"

#include "base/file.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILE_LIMIT_BYTES = 32 << 20, /* 100,000 labels with long names */
    HIDDEN_MAX = 16384,
    INTERMEDIATE_MAX = 65536,
    LAYERS_MAX = 256,
    HEADS_MAX = 1024,
    VOCAB_MAX = 16 << 20,
    POSITIONS_MAX = 1 << 20,
    TYPES_MAX = 1024,
    LABELS_MAX = 100000,
    LABELS_DEFAULT = 2,
};

/* One size: its key, a second key that the library also takes, its limit and default. */
typedef struct size_key {
    const char *key;
    const char *alias; /* NULL where there is none */
    int64_t max;
    int64_t fallback;
    size_t field; /* offset in hone_config */
} size_key;

typedef struct number_key {
    const char *key;
    double max;
    double fallback;
    size_t field;
} number_key;

#define FIELD(name) offsetof(hone_config, name)

static const size_key BERT_SIZES[] = {
    {"vocab_size", NULL, VOCAB_MAX, 30522, FIELD(vocab)},
    {"hidden_size", NULL, HIDDEN_MAX, 768, FIELD(hidden)},
    {"num_hidden_layers", NULL, LAYERS_MAX, 12, FIELD(layers)},
    {"num_attention_heads", NULL, HEADS_MAX, 12, FIELD(heads)},
    {"intermediate_size", NULL, INTERMEDIATE_MAX, 3072, FIELD(intermediate)},
    {"max_position_embeddings", NULL, POSITIONS_MAX, 512, FIELD(positions)},
    {"type_vocab_size", NULL, TYPES_MAX, 2, FIELD(types)},
    {0},
};

static const size_key DISTILBERT_SIZES[] = {
    {"vocab_size", NULL, VOCAB_MAX, 30522, FIELD(vocab)},
    {"dim", "hidden_size", HIDDEN_MAX, 768, FIELD(hidden)},
    {"n_layers", "num_hidden_layers", LAYERS_MAX, 6, FIELD(layers)},
    {"n_heads", "num_attention_heads", HEADS_MAX, 12, FIELD(heads)},
    {"hidden_dim", NULL, INTERMEDIATE_MAX, 3072, FIELD(intermediate)},
    {"max_position_embeddings", NULL, POSITIONS_MAX, 512, FIELD(positions)},
    {0},
};

/* A dropout of 1 would drop everything and scale by infinity. */
#define DROPOUT_MAX 0.99

static const number_key BERT_NUMBERS[] = {
    {"hidden_dropout_prob", DROPOUT_MAX, 0.1, FIELD(hidden_dropout)},
    {"attention_probs_dropout_prob", DROPOUT_MAX, 0.1, FIELD(attention_dropout)},
    {"layer_norm_eps", 1.0, 1e-12, FIELD(norm_eps)},
    {"initializer_range", 10.0, 0.02, FIELD(init_std)},
    {0},
};

static const number_key DISTILBERT_NUMBERS[] = {
    {"dropout", DROPOUT_MAX, 0.1, FIELD(hidden_dropout)},
    {"attention_dropout", DROPOUT_MAX, 0.1, FIELD(attention_dropout)},
    {"seq_classif_dropout", DROPOUT_MAX, 0.2, FIELD(classifier_dropout)},
    {"initializer_range", 10.0, 0.02, FIELD(init_std)},
    {0},
};

/* DistilBERT's norms have this number in the library's code, not in the file. */
static const float DISTILBERT_NORM_EPS = 1e-12F;

/* ---- what kind of model ---- */

/* A string of config.json as terminated text; fallback where it is absent or null, and
 * CORRUPT where it is something else. */
static hone_err read_text(const json_t *raw, const char *where, const char *key,
                          const char *fallback, const char **out) {
    const json_t *value = json_object_get(raw, key);
    if (value && !json_is_null(value) && !json_is_string(value))
        return hone_err_new(HONE_E_CORRUPT, "%s: '%s' is no string", where, key);
    *out = json_is_string(value) ? json_string_value(value) : fallback;
    return HONE_OK;
}

/* model_type, or for the oldest files the first architecture, decides. */
static hone_err read_family(const json_t *raw, const char *where, hone_family *out) {
    const char *type = NULL;
    HONE_TRY(read_text(raw, where, "model_type", NULL, &type));
    const char *architecture = json_string_value(
        json_array_get(json_object_get(raw, "architectures"), 0));
    if (!type && !architecture)
        return hone_err_new(HONE_E_INVALID,
                            "%s: neither 'model_type' nor 'architectures' says what "
                            "model this is",
                            where);
    hone_str name = hone_str_of(type ? type : architecture);
    if (type ? strcmp(type, "bert") == 0 : hone_str_has_prefix(name, HONE_S("Bert")))
        *out = HONE_BERT;
    else if (type ? strcmp(type, "distilbert") == 0
                  : hone_str_has_prefix(name, HONE_S("DistilBert")))
        *out = HONE_DISTILBERT;
    else
        return hone_err_new(HONE_E_INVALID, "%s: model '%s' is neither bert nor distilbert", where,
                            name.ptr);
    return HONE_OK;
}

/* key, when it is there, must be the one value that hone computes. */
static hone_err require_text(const json_t *raw, const char *where, const char *key,
                             const char *only) {
    const char *value = NULL;
    HONE_TRY(read_text(raw, where, key, only, &value));
    if (strcmp(value, only) != 0)
        return hone_err_new(HONE_E_INVALID, "%s: '%s' is '%s', hone computes only '%s'", where, key,
                            value, only);
    return HONE_OK;
}

static hone_err require_false(const json_t *raw, const char *where, const char *key) {
    bool value = false;
    HONE_TRY(hone_json_bool(raw, where, key, false, &value));
    if (value)
        return hone_err_new(HONE_E_INVALID, "%s: '%s' is true: a decoder, hone runs encoders only",
                            where, key);
    return HONE_OK;
}

static hone_err check_supported(const json_t *raw, const char *where, hone_family family) {
    HONE_TRY(require_text(raw, where, family == HONE_BERT ? "hidden_act" : "activation", "gelu"));
    HONE_TRY(require_text(raw, where, "position_embedding_type", "absolute"));
    HONE_TRY(require_false(raw, where, "is_decoder"));
    HONE_TRY(require_false(raw, where, "add_cross_attention"));
    if (json_object_size(json_object_get(raw, "pruned_heads")) > 0)
        return hone_err_new(HONE_E_INVALID, "%s: 'pruned_heads' is set, hone has no pruned heads",
                            where);
    return HONE_OK;
}

/* ---- sizes and numbers ---- */

static hone_err read_sizes(const json_t *raw, const char *where, const size_key *keys,
                           hone_config *out) {
    for (const size_key *k = keys; k->key; k++) {
        const json_t *value = json_object_get(raw, k->key);
        const char *key = k->alias && (!value || json_is_null(value)) ? k->alias : k->key;
        int64_t n = 0;
        HONE_TRY(hone_json_int(raw, where, key, 1, k->max, k->fallback, &n));
        size_t size = (size_t)n;
        memcpy((char *)out + k->field, &size, sizeof size);
    }
    assert(out->heads > 0); /* the least that every table allows */
    if (out->hidden % out->heads != 0)
        return hone_err_new(HONE_E_CORRUPT,
                            "%s: a hidden size of %zu is not divisible by %zu attention heads",
                            where, out->hidden, out->heads);
    return HONE_OK;
}

static hone_err read_numbers(const json_t *raw, const char *where, const number_key *keys,
                             hone_config *out) {
    for (const number_key *k = keys; k->key; k++) {
        double x = 0.0;
        HONE_TRY(hone_json_number(raw, where, k->key, 0.0, k->max, k->fallback, &x));
        float number = (float)x;
        memcpy((char *)out + k->field, &number, sizeof number);
    }
    return HONE_OK;
}

static hone_err read_shape(const json_t *raw, const char *where, hone_config *out) {
    bool bert = out->family == HONE_BERT;
    HONE_TRY(read_sizes(raw, where, bert ? BERT_SIZES : DISTILBERT_SIZES, out));
    HONE_TRY(read_numbers(raw, where, bert ? BERT_NUMBERS : DISTILBERT_NUMBERS, out));
    if (!bert) {
        out->norm_eps = DISTILBERT_NORM_EPS;
        return HONE_OK;
    }
    double dropout = 0.0;
    HONE_TRY(hone_json_number(raw, where, "classifier_dropout", 0.0, DROPOUT_MAX,
                              (double)out->hidden_dropout, &dropout));
    out->classifier_dropout = (float)dropout;
    return HONE_OK;
}

/* ---- labels ---- */

static void free_names(char **names, size_t count) {
    for (size_t i = 0; names && i < count; i++) free(names[i]);
    free(names);
}

/* "17" is 17; SIZE_MAX for anything but a number below limit, written shortest. */
static size_t id_of(const char *key, size_t limit) {
    size_t id = 0;
    for (const char *c = key; *c; c++) {
        if (*c < '0' || *c > '9') return SIZE_MAX;
        id = id * 10 + (size_t)(*c - '0');
        if (id >= limit) return SIZE_MAX;
    }
    return key[0] == '\0' || (key[0] == '0' && key[1] != '\0') ? SIZE_MAX : id;
}

/* A label's name as text; some files number their labels with plain integers. */
static char *name_of(const json_t *value) {
    char *name = NULL;
    if (json_is_integer(value))
        return asprintf(&name, "%lld", (long long)json_integer_value(value)) < 0 ? NULL : name;
    hone_str s = hone_json_str(value);
    return strndup(s.ptr, s.len);
}

/* names[id] of every entry of id2label. */
static hone_err read_names(json_t *id2label, const char *where, size_t count, char **names) {
    const char *key;
    const json_t *value;
    json_object_foreach(id2label, key, value) {
        size_t id = id_of(key, count);
        hone_str text = hone_json_str(value);
        if (id == SIZE_MAX)
            return hone_err_new(HONE_E_CORRUPT, "%s: 'id2label' names id '%s', expected 0 to %zu",
                                where, key, count - 1);
        if (!json_is_integer(value) && (!json_is_string(value) || memchr(text.ptr, '\0', text.len)))
            return hone_err_new(HONE_E_CORRUPT, "%s: 'id2label' has no text for id %s", where, key);
        if (!(names[id] = name_of(value)))
            return hone_err_new(HONE_E_NOMEM, "no memory for %zu labels", count);
    }
    return HONE_OK;
}

/* The names LABEL_<id>, as the library makes them where a file has only a number. */
static hone_err make_names(size_t count, char **names) {
    for (size_t i = 0; i < count; i++)
        if (asprintf(&names[i], "LABEL_%zu", i) < 0) {
            names[i] = NULL;
            return hone_err_new(HONE_E_NOMEM, "no memory for %zu labels", count);
        }
    return HONE_OK;
}

/* id2label where it is, else num_labels, else 2: the library's order. */
static hone_err read_labels(const json_t *raw, const char *where, hone_config *out) {
    json_t *id2label = json_object_get(raw, "id2label");
    bool named = id2label && !json_is_null(id2label);
    if (named && !json_is_object(id2label))
        return hone_err_new(HONE_E_CORRUPT, "%s: 'id2label' is no object", where);
    int64_t count = (int64_t)json_object_size(id2label);
    if (!named)
        HONE_TRY(hone_json_int(raw, where, "num_labels", 1, LABELS_MAX, LABELS_DEFAULT, &count));
    if (count < 1 || count > LABELS_MAX)
        return hone_err_new(HONE_E_CORRUPT, "%s: 'id2label' names %lld labels, expected 1 to %d",
                            where, (long long)count, LABELS_MAX);
    out->labels = (size_t)count;
    out->label_names = calloc(out->labels, sizeof *out->label_names);
    if (!out->label_names)
        return hone_err_new(HONE_E_NOMEM, "no memory for %zu labels", out->labels);
    return named ? read_names(id2label, where, out->labels, out->label_names)
                 : make_names(out->labels, out->label_names);
}

static hone_err check_problem(const char *where, hone_problem problem, size_t labels) {
    if (problem == HONE_SINGLE_LABEL && labels < 2)
        return hone_err_new(HONE_E_INVALID,
                            "%s: a single-label classifier needs 2 labels or more, it has %zu",
                            where, labels);
    if (problem == HONE_REGRESSION && labels != 1)
        return hone_err_new(HONE_E_INVALID, "%s: regression has 1 output, 'id2label' names %zu",
                            where, labels);
    return HONE_OK;
}

static hone_err read_problem(const json_t *raw, const char *where, hone_config *out) {
    const char *type = NULL;
    HONE_TRY(read_text(raw, where, "problem_type", NULL, &type));
    if (!type)
        out->problem = out->labels > 1 ? HONE_SINGLE_LABEL : HONE_REGRESSION;
    else if (strcmp(type, "single_label_classification") == 0)
        out->problem = HONE_SINGLE_LABEL;
    else if (strcmp(type, "regression") == 0)
        out->problem = HONE_REGRESSION;
    else
        return hone_err_new(HONE_E_INVALID,
                            "%s: 'problem_type' is '%s', hone does "
                            "'single_label_classification' and 'regression'",
                            where, type);
    return check_problem(where, out->problem, out->labels);
}

/* ---- the whole file ---- */

static hone_err read_config(const char *where, hone_config *out) {
    HONE_TRY(read_family(out->raw, where, &out->family));
    HONE_TRY(check_supported(out->raw, where, out->family));
    HONE_TRY(read_shape(out->raw, where, out));
    HONE_TRY(read_labels(out->raw, where, out));
    return read_problem(out->raw, where, out);
}

/* Takes raw over, also on failure. */
static hone_err config_from(json_t *raw, const char *where, hone_config *out) {
    hone_config config = {.raw = raw};
    hone_err err = read_config(where, &config);
    if (hone_failed(err)) {
        hone_config_done(&config);
        return err;
    }
    *out = config;
    return HONE_OK;
}

hone_err hone_config_parse(hone_str bytes, const char *where, hone_config *out) {
    if (bytes.len > FILE_LIMIT_BYTES)
        return hone_err_new(HONE_E_CORRUPT, "%s: %zu bytes, at most %d are read", where, bytes.len,
                            FILE_LIMIT_BYTES);
    json_t *raw = NULL;
    HONE_TRY(hone_json_parse(bytes, where, &raw));
    return config_from(raw, where, out);
}

static bool has_file(const char *dir, const char *name) {
    char *path = NULL;
    if (asprintf(&path, "%s/%s", dir, name) < 0) return false;
    bool found = hone_file_exists(path);
    free(path);
    return found;
}

hone_err hone_config_refuse_adapter(const char *dir) {
    if (has_file(dir, "model.safetensors") || !has_file(dir, "adapter_config.json")) return HONE_OK;
    return hone_err_new(HONE_E_INVALID,
                        "'%s' is an adapter, no model: add it to its base with 'hone merge'", dir);
}

hone_err hone_config_load(const char *dir, hone_config *out) {
    char *path = NULL;
    if (!hone_file_exists(dir))
        return hone_err_new(HONE_E_NOT_FOUND, "there is no folder '%s'", dir);
    if (asprintf(&path, "%s/config.json", dir) < 0)
        return hone_err_new(HONE_E_NOMEM, "no memory for a path");
    json_t *raw = NULL;
    hone_err err = hone_json_load(path, FILE_LIMIT_BYTES, &raw);
    if (!hone_failed(err)) err = config_from(raw, path, out);
    free(path);
    return err;
}

void hone_config_done(hone_config *config) {
    free_names(config->label_names, config->labels);
    json_decref(config->raw);
    *config = (hone_config){0};
}

/* ---- changing and saving ---- */

/* object[key] = value, taken over; false when memory ran out. */
static bool put(json_t *object, const char *key, json_t *value) {
    return value && json_object_set_new(object, key, value) == 0;
}

/* id2label and label2id. A label that is no UTF-8, or the same as another, is INVALID. */
static hone_err put_names(json_t *raw, const char *const *names, size_t count) {
    json_t *id2label = json_object(), *label2id = json_object();
    hone_err err = HONE_OK;
    bool ok = id2label && label2id;
    for (size_t i = 0; ok && i < count && !hone_failed(err); i++) {
        char id[24];
        (void)snprintf(id, sizeof id, "%zu", i);
        json_t *name = json_string(names[i]);
        if (!name)
            err = hone_err_new(HONE_E_INVALID, "label %zu is no valid UTF-8", i);
        else if (json_object_get(label2id, names[i]))
            err = hone_err_new(HONE_E_INVALID, "label '%s' is named twice", names[i]);
        ok = put(id2label, id, name) && put(label2id, names[i], json_integer((json_int_t)i));
    }
    ok = ok && json_object_set(raw, "id2label", id2label) == 0 &&
         json_object_set(raw, "label2id", label2id) == 0;
    json_decref(id2label);
    json_decref(label2id);
    return ok || hone_failed(err) ? err : hone_err_new(HONE_E_NOMEM, "no memory for the labels");
}

static hone_err put_labels(json_t *raw, hone_family family, hone_problem problem,
                           const char *const *names, size_t count) {
    const char *type = problem == HONE_REGRESSION ? "regression" : "single_label_classification";
    const char *architecture = family == HONE_BERT ? "BertForSequenceClassification"
                                                   : "DistilBertForSequenceClassification";
    HONE_TRY(put_names(raw, names, count));
    (void)json_object_del(raw, "num_labels"); /* id2label says it; absent is as good */
    if (!put(raw, "problem_type", json_string(type)) ||
        !put(raw, "architectures", json_pack("[s]", architecture)))
        return hone_err_new(HONE_E_NOMEM, "no memory for the labels");
    return HONE_OK;
}

/* Copies of names; NULL when memory ran out. */
static char **copy_names(const char *const *names, size_t count) {
    char **copies = calloc(count, sizeof *copies);
    for (size_t i = 0; copies && i < count; i++)
        if (!(copies[i] = strdup(names[i]))) {
            free_names(copies, i);
            return NULL;
        }
    return copies;
}

hone_err hone_config_set_labels(hone_config *config, hone_problem problem, const char *const *names,
                                size_t count) {
    if (count < 1 || count > LABELS_MAX)
        return hone_err_new(HONE_E_INVALID, "%zu labels, expected 1 to %d", count, LABELS_MAX);
    HONE_TRY(check_problem("labels", problem, count));
    json_t *raw = json_copy(config->raw); /* shallow: every key that changes is replaced whole */
    if (!raw) return hone_err_new(HONE_E_NOMEM, "no memory for the labels");
    hone_err err = put_labels(raw, config->family, problem, names, count);
    char **copies = hone_failed(err) ? NULL : copy_names(names, count);
    if (!hone_failed(err) && !copies) err = hone_err_new(HONE_E_NOMEM, "no memory for the labels");
    if (hone_failed(err)) {
        json_decref(raw);
        return err;
    }
    free_names(config->label_names, config->labels);
    json_decref(config->raw);
    config->label_names = copies;
    config->labels = count;
    config->problem = problem;
    config->raw = raw;
    return HONE_OK;
}

hone_err hone_config_set_layers(hone_config *config, size_t layers) {
    if (layers < 1 || layers > LAYERS_MAX)
        return hone_err_new(HONE_E_INVALID, "%zu layers, expected 1 to %d", layers, LAYERS_MAX);
    const char *key = config->family == HONE_BERT ? "num_hidden_layers" : "n_layers";
    if (config->family == HONE_DISTILBERT) /* its other name, which could now say otherwise */
        (void)json_object_del(config->raw, "num_hidden_layers");
    if (!put(config->raw, key, json_integer((json_int_t)layers)))
        return hone_err_new(HONE_E_NOMEM, "no memory for the number of layers");
    config->layers = layers;
    return HONE_OK;
}

/* The weights beside it are float32, whatever they were; a file may say so under the name
 * of transformers 5, of 4, or both. */
hone_err hone_config_save(const hone_config *config, const char *dir) {
    char *path = NULL;
    json_t *raw = json_copy(config->raw);
    bool has_new = json_object_get(raw, "dtype"), has_old = json_object_get(raw, "torch_dtype");
    bool ok = raw && asprintf(&path, "%s/config.json", dir) >= 0;
    if (ok && has_new) ok = put(raw, "dtype", json_string("float32"));
    if (ok && (has_old || !has_new)) ok = put(raw, "torch_dtype", json_string("float32"));
    hone_err err = ok ? hone_json_save(path, raw)
                      : hone_err_new(HONE_E_NOMEM, "no memory to save '%s'", dir);
    json_decref(raw);
    free(path);
    return err;
}
