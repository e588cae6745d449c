/* adapter_merge.c: an adapter added to its base; adapter.h says what is believed of it.
 *
 *     every tensor of the file is A or B of a layer, or takes the place of one of the model's:
 *     anything else, or anything missing, and nothing is made */
#include "train/adapter.h"

#include "base/file.h"
#include "base/json.h"
#include "model/values.h"
#include "train/folder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_LIMIT_BYTES = 4 << 20, NAME_CAP = 256 };

static const char prefix[] = "base_model.model.";
static const char a_suffix[] = ".lora_A.weight", b_suffix[] = ".lora_B.weight";

/* --- adapter_config.json -------------------------------------------------------------- */

/* Absent, null or empty: what stands there changes how an adapter is computed. */
static hone_err expect_empty(const json_t *object, const char *where, const char *key) {
    const json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value) || json_is_false(value)) return HONE_OK;
    if (json_is_object(value) && json_object_size(value) == 0) return HONE_OK;
    if (json_is_array(value) && json_array_size(value) == 0) return HONE_OK;
    return hone_err_new(HONE_E_INVALID, "%s: '%s' is not supported", where, key);
}

static hone_err expect_word(const json_t *object, const char *where, const char *key,
                            const char *word) {
    const json_t *value = json_object_get(object, key);
    if (json_is_string(value) && hone_str_equal(hone_json_str(value), hone_str_of(word)))
        return HONE_OK;
    return hone_err_new(HONE_E_INVALID, "%s: '%s' is not \"%s\"", where, key, word);
}

static hone_err read_config(const json_t *object, const char *where, hone_adapter_config *out) {
    static const char *const empty[] = {"rank_pattern",
                                        "alpha_pattern",
                                        "fan_in_fan_out",
                                        "use_dora",
                                        "lora_bias",
                                        "megatron_config",
                                        "use_qalora",
                                        "arrow_config",
                                        "alora_invocation_tokens",
                                        "use_bdlora",
                                        "trainable_token_indices",
                                        "target_parameters",
                                        "layer_replication"};
    int64_t rank = 0;
    bool rslora = false;
    hone_adapter_config config = {0};
    HONE_TRY(expect_word(object, where, "peft_type", "LORA"));
    if (json_object_get(object, "bias")) HONE_TRY(expect_word(object, where, "bias", "none"));
    for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++)
        HONE_TRY(expect_empty(object, where, empty[i]));
    HONE_TRY(hone_json_int(object, where, "r", 1, HONE_LORA_RANK_MAX, 8, &rank));
    HONE_TRY(hone_json_number(object, where, "lora_alpha", 0, 1e6, 8, &config.alpha));
    HONE_TRY(hone_json_bool(object, where, "use_rslora", false, &rslora));
    config.rank = (size_t)rank;
    config.scale = config.alpha / (rslora ? sqrt((double)rank) : (double)rank);
    *out = config;
    return HONE_OK;
}

hone_err hone_adapter_parse(hone_str bytes, const char *where, hone_adapter_config *out) {
    json_t *object = NULL;
    HONE_TRY(hone_json_parse(bytes, where, &object));
    hone_err err = read_config(object, where, out);
    json_decref(object);
    return err;
}

/* --- the tensors ---------------------------------------------------------------------- */

typedef struct merge {
    const char *base, *dir;
    hone_arena *arena;
    hone_adapter_config adapter;
    hone_safetensors *file; /* owned */
    hone_config config;     /* owned */
    hone_params params;     /* owned */
    float *values;          /* owned */
    bool made_head[HONE_HEAD_SLOTS];
    size_t merged; /* weights */
} merge;

/* The parameter of that name; NULL when the model has none. */
static const hone_param *find_param(const merge *m, hone_str name) {
    for (size_t i = 0; i < m->params.count; i++)
        if (m->params.items[i].rank > 0 &&
            hone_str_equal(hone_str_of(m->params.items[i].name), name))
            return &m->params.items[i];
    return NULL;
}

static hone_err check(const hone_tensor *t, size_t rows, size_t columns) {
    hone_param expected = {.rank = 2, .dims = {(int64_t)rows, (int64_t)columns}};
    return hone_param_check(&expected, t, "adapter and base ask");
}

static float *floats_of(hone_arena *arena, const hone_tensor *t) {
    float *out = hone_arena_alloc(arena, t->count, sizeof *out);
    if (out) hone_tensor_to_f32(t, out);
    return out;
}

/* The weight that module, the path without its prefix and end, has; only linear layers do. */
static const hone_param *find_weight(const merge *m, hone_str module) {
    char name[NAME_CAP];
    if (module.len + sizeof ".weight" > sizeof name) return NULL;
    (void)snprintf(name, sizeof name, "%.*s.weight", HONE_ARG(module));
    const hone_param *p = find_param(m, hone_str_of(name));
    return p && p->rank == 2 && p >= m->params.items + HONE_EMBED_SLOTS ? p : NULL;
}

static hone_err unknown(const hone_tensor *t) {
    return hone_err_new(HONE_E_INVALID, "tensor '%s' belongs to nothing that the base has",
                        t->name);
}

/* A of module, with the B that must be beside it, to the weight. */
static hone_err add_adapter(merge *m, const hone_tensor *a, hone_str module) {
    const hone_param *weight = find_weight(m, module);
    if (!weight) return unknown(a);
    char name[NAME_CAP + sizeof prefix + sizeof b_suffix];
    (void)snprintf(name, sizeof name, "%s%.*s%s", prefix, HONE_ARG(module), b_suffix);
    const hone_tensor *b = hone_safetensors_find(m->file, name);
    if (!b) return hone_err_new(HONE_E_NOT_FOUND, "tensor '%s' is missing", name);
    size_t out = (size_t)weight->dims[0], in = (size_t)weight->dims[1], rank = m->adapter.rank;
    HONE_TRY(check(a, rank, in));
    HONE_TRY(check(b, out, rank));
    float *floats_a = floats_of(m->arena, a), *floats_b = floats_of(m->arena, b);
    float *scratch = hone_arena_alloc(m->arena, hone_lora_merge_floats(out, rank), sizeof *scratch);
    float *sum = hone_arena_alloc(m->arena, out, in * sizeof *sum);
    if (!floats_a || !floats_b || !scratch || !sum)
        return hone_err_new(HONE_E_NOMEM, "no memory to add up '%s'", weight->name);
    float *to = m->values + weight->offset;
    hone_lora_merge(to, floats_a, floats_b, (float)m->adapter.scale, out, in, rank, sum, scratch);
    memcpy(to, sum, weight->count * sizeof *to);
    hone_arena_reset(m->arena);
    m->merged++;
    return HONE_OK;
}

/* A tensor that was trained whole: what PEFT calls modules to save. */
static hone_err replace(merge *m, const hone_tensor *t, hone_str name) {
    const hone_param *p = find_param(m, name);
    if (!p) return unknown(t);
    HONE_TRY(hone_param_check(p, t, "the base asks"));
    hone_tensor_to_f32(t, m->values + p->offset);
    size_t index = (size_t)(p - m->params.items), head = hone_params_head(&m->params, HONE_POOL_W);
    if (index >= head) m->made_head[index - head] = false;
    return HONE_OK;
}

static hone_err apply(merge *m, const hone_tensor *t) {
    hone_str name = hone_str_of(t->name);
    if (!hone_str_has_prefix(name, hone_str_of(prefix))) return unknown(t);
    name.ptr += sizeof prefix - 1;
    name.len -= sizeof prefix - 1;
    hone_str module = {name.ptr, name.len - (sizeof a_suffix - 1)};
    if (hone_str_has_suffix(name, hone_str_of(a_suffix))) return add_adapter(m, t, module);
    if (!hone_str_has_suffix(name, hone_str_of(b_suffix))) return replace(m, t, name);
    /* Its A brings it along, and must be there. */
    char other[NAME_CAP + sizeof prefix + sizeof a_suffix];
    (void)snprintf(other, sizeof other, "%s%.*s%s", prefix, HONE_ARG(module), a_suffix);
    if (hone_safetensors_find(m->file, other)) return HONE_OK;
    return hone_err_new(HONE_E_NOT_FOUND, "tensor '%s' is missing", other);
}

static hone_err apply_all(merge *m) {
    for (size_t i = 0; i < hone_safetensors_count(m->file); i++)
        HONE_TRY(apply(m, hone_safetensors_get(m->file, i)));
    if (m->merged == 0) return hone_err_new(HONE_E_CORRUPT, "no tensor is one of LoRA's");
    for (size_t i = 0; i < HONE_HEAD_SLOTS; i++)
        if (m->made_head[i])
            return hone_err_new(
                HONE_E_NOT_FOUND, "neither base nor adapter has '%s'",
                m->params.items[hone_params_head(&m->params, HONE_POOL_W) + i].name);
    return HONE_OK;
}

/* --- labels ---------------------------------------------------------------------------- */

/* The adapter's own config.json names its labels, as hone writes it; without one they are the
 * base's where there are as many, else numbers. */
static hone_err name_labels(merge *m, size_t count) {
    hone_config own = {0};
    const char *path = hone_path_join(m->arena, m->dir, "config.json");
    if (!path) return hone_err_new(HONE_E_NOMEM, "no memory for a path");
    if (hone_file_exists(path)) {
        HONE_TRY(hone_config_load(m->dir, &own));
        hone_err err = HONE_OK;
        bool fits = own.labels == count;
        if (fits)
            err = hone_config_set_labels(&m->config, own.problem,
                                         (const char *const *)own.label_names, count);
        hone_config_done(&own);
        if (fits || hone_failed(err)) return err;
    }
    if (m->config.labels == count) return HONE_OK;
    const char **names = hone_arena_alloc(m->arena, count, sizeof *names);
    for (size_t i = 0; names && i < count; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "LABEL_%zu", i);
        names[i] = hone_arena_strdup(m->arena, hone_str_of(name));
        if (!names[i]) names = NULL;
    }
    if (!names) return hone_err_new(HONE_E_NOMEM, "no memory for labels");
    return hone_config_set_labels(&m->config, HONE_SINGLE_LABEL, names, count);
}

/* As many labels as the classifier that comes along has rows. */
static hone_err choose_labels(merge *m) {
    const hone_tensor *t = hone_safetensors_find(m->file, "base_model.model.classifier.weight");
    if (!t) return HONE_OK;
    /* A row that has no bytes could be there any number of times. */
    if (t->rank != 2 || t->dims[0] < 1 || t->dims[1] != (int64_t)m->config.hidden)
        return hone_err_new(HONE_E_CORRUPT, "tensor '%s' is no classifier", t->name);
    return name_labels(m, (size_t)t->dims[0]);
}

/* --- the whole ------------------------------------------------------------------------- */

static hone_err read_adapter(merge *m) {
    hone_str bytes;
    const char *config = hone_path_join(m->arena, m->dir, "adapter_config.json");
    const char *weights = hone_path_join(m->arena, m->dir, "adapter_model.safetensors");
    if (!config || !weights) return hone_err_new(HONE_E_NOMEM, "no memory for a path");
    HONE_TRY(hone_file_load(m->arena, config, CONFIG_LIMIT_BYTES, &bytes));
    HONE_TRY(hone_adapter_parse(bytes, config, &m->adapter));
    HONE_TRY(hone_safetensors_open(weights, &m->file));
    hone_err err = choose_labels(m);
    return hone_failed(err) ? hone_err_wrap(err, "%s", weights) : HONE_OK;
}

static hone_err work(merge *m, const char *out) {
    HONE_TRY(hone_folder_check(out));
    HONE_TRY(hone_config_load(m->base, &m->config));
    HONE_TRY(read_adapter(m));
    HONE_TRY(hone_params_create(&m->config, &m->params));
    HONE_TRY(hone_values_load(m->base, &m->config, &m->params, 0, &m->values, m->made_head));
    hone_arena_reset(m->arena);
    hone_err err = apply_all(m);
    if (hone_failed(err)) return hone_err_wrap(err, "%s/adapter_model.safetensors", m->dir);
    return hone_folder_save(out, m->base, &m->config, &m->params, m->values);
}

hone_err hone_adapter_merge(const char *base, const char *dir, const char *out) {
    merge m = {.base = base, .dir = dir};
    hone_err err = hone_arena_create((size_t)8 << 30, &m.arena);
    if (!hone_failed(err)) err = work(&m, out);
    free(m.values);
    hone_params_done(&m.params);
    hone_config_done(&m.config);
    hone_safetensors_close(m.file);
    hone_arena_destroy(m.arena);
    return err;
}
