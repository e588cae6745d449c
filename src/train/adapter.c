/* adapter.c: saving an adapter; see adapter.h. merging is in adapter_merge.c. */
#include "train/adapter.h"

#include "base/file.h"
#include "base/json.h"
#include "train/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Module paths relative to the layer, as target_modules wants them when every layer is meant.
 * "output.dense" alone would name the attention's, too. */
static const char *short_name(hone_family family, hone_lora_slot slot) {
    static const char *const names[][HONE_LORA_SLOTS] = {
        [HONE_BERT] = {"query", "key", "value", "attention.output.dense", "intermediate.dense",
                       NULL},
        [HONE_DISTILBERT] = {"q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"},
    };
    return names[family][slot];
}

static bool has_slot(const hone_lora *lora, hone_lora_slot slot) {
    return (lora->slots >> slot & 1U) != 0;
}

/* Can the layers that have adapters be named by the ends of their paths? */
static bool is_short(const hone_config *config, const hone_lora *lora) {
    if (lora->first_layer > 0) return false;
    return config->family == HONE_DISTILBERT || !has_slot(lora, HONE_LORA_DOWN);
}

static json_t *describe_targets(const hone_tuner *tuner) {
    const hone_config *config = hone_tuner_config(tuner);
    const hone_params *params = hone_tuner_params(tuner);
    const hone_lora *lora = hone_tuner_lora(tuner);
    json_t *list = json_array();
    bool shortly = is_short(config, lora);
    for (size_t layer = lora->first_layer; layer < (shortly ? 1 : config->layers); layer++)
        for (unsigned i = 0; i < HONE_LORA_SLOTS; i++) {
            hone_lora_slot slot = (hone_lora_slot)i;
            if (!has_slot(lora, slot)) continue;
            const char *name = params->items[hone_lora_weight(layer, slot)].name;
            json_array_append_new(list, shortly
                                            ? json_string(short_name(config->family, slot))
                                            : json_stringn(name, strlen(name) - strlen(".weight")));
        }
    return list;
}

static json_t *describe_saved(const hone_tuner *tuner) {
    const hone_params *params = hone_tuner_params(tuner);
    size_t pool = hone_params_head(params, HONE_POOL_W);
    json_t *list = json_array();
    if (params->items[pool].offset >= hone_tuner_trained(tuner)->first)
        json_array_append_new(list, json_string(hone_tuner_config(tuner)->family == HONE_BERT
                                                    ? "pooler"
                                                    : "pre_classifier"));
    json_array_append_new(list, json_string("classifier"));
    return list;
}

static hone_err save_config(const char *path, const char *base, const hone_tuner *tuner) {
    const hone_lora *lora = hone_tuner_lora(tuner);
    json_t *object = json_pack(
        "{s:s, s:s, s:b, s:b, s:b, s:f, s:f, s:o, s:s, s:I, s:o, s:s, s:b}",
        "base_model_name_or_path", base, "bias", "none", "fan_in_fan_out", 0, "inference_mode", 1,
        "init_lora_weights", 1, "lora_alpha", lora->alpha, "lora_dropout", (double)lora->dropout,
        "modules_to_save", describe_saved(tuner), "peft_type", "LORA", "r", (json_int_t)lora->rank,
        "target_modules", describe_targets(tuner), "task_type", "SEQ_CLS", "use_rslora", 0);
    if (!object) return hone_err_new(HONE_E_NOMEM, "no memory to describe the adapter");
    hone_err err = hone_json_save(path, object);
    json_decref(object);
    return err;
}

static hone_err save_tensors(hone_arena *arena, const char *path, hone_tuner *tuner) {
    const hone_trained *trained = hone_tuner_trained(tuner);
    const float *values = hone_tuner_values(tuner);
    hone_tensor_out *tensors = hone_arena_alloc(arena, trained->count, sizeof *tensors);
    if (!tensors) return hone_err_new(HONE_E_NOMEM, "no memory for a table of tensors");
    for (size_t i = 0; i < trained->count; i++) {
        const hone_param *p = &trained->items[i];
        char name[sizeof p->name + 32];
        bool is_model = i < trained->count - hone_tuner_params(tuner)->extra;
        (void)snprintf(name, sizeof name, "%s%s", is_model ? "base_model.model." : "", p->name);
        tensors[i] = (hone_tensor_out){.name = hone_arena_strdup(arena, hone_str_of(name)),
                                       .rank = p->rank,
                                       .data = values + p->offset};
        memcpy(tensors[i].dims, p->dims, sizeof p->dims);
        if (!tensors[i].name) return hone_err_new(HONE_E_NOMEM, "no memory for a name");
    }
    return hone_safetensors_save(path, tensors, trained->count);
}

static hone_err fill(hone_arena *arena, const char *dir, const char *base, hone_tuner *tuner) {
    const char *config = hone_path_join(arena, dir, "adapter_config.json");
    const char *weights = hone_path_join(arena, dir, "adapter_model.safetensors");
    if (!config || !weights) return hone_err_new(HONE_E_NOMEM, "no memory for a path");
    HONE_TRY(hone_folder_copy_tokenizer(arena, base, dir));
    HONE_TRY(hone_config_save(hone_tuner_config(tuner), dir));
    HONE_TRY(save_config(config, base, tuner));
    return save_tensors(arena, weights, tuner);
}

hone_err hone_adapter_save(const char *path, const char *base, hone_tuner *tuner) {
    hone_newdir dir;
    hone_arena *arena = NULL;
    HONE_TRY(hone_newdir_begin(path, &dir));
    hone_err err = hone_arena_create((size_t)1 << 30, &arena);
    if (!hone_failed(err)) err = fill(arena, dir.path, base, tuner);
    hone_arena_destroy(arena);
    if (!hone_failed(err)) return hone_newdir_commit(&dir);
    hone_newdir_abort(&dir);
    return hone_err_wrap(err, "save '%s'", path);
}
