/* lora.c: see lora.h. */
#include "model/lora.h"

#include "base/philox.h"
#include "base/str.h"
#include "nn/gradient.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const hone_layer_slot weights[HONE_LORA_SLOTS] = {
    HONE_Q_W, HONE_K_W, HONE_V_W, HONE_OUT_W, HONE_UP_W, HONE_DOWN_W,
};

size_t hone_lora_weight(size_t layer, hone_lora_slot slot) {
    return hone_params_layer(layer, weights[slot]);
}

static size_t bits_of(uint32_t slots) { return (size_t)__builtin_popcount(slots); }

size_t hone_lora_index(const hone_lora *lora, const hone_params *params, size_t layer,
                       hone_lora_slot slot) {
    size_t before = bits_of(lora->slots & ((1U << slot) - 1));
    return params->count + ((layer - lora->first_layer) * lora->per_layer + before) * 2;
}

/* The path of a weight's module: its name without ".weight". */
static hone_str module_of(const hone_param *weight) {
    hone_str name = hone_str_of(weight->name);
    name.len -= strlen(".weight");
    return name;
}

/* PEFT's rule: the whole path, or its end behind a dot. */
static bool is_named(hone_str module, hone_str target) {
    if (hone_str_equal(module, target)) return true;
    return hone_str_has_suffix(module, target) && module.len > target.len &&
           module.ptr[module.len - target.len - 1] == '.';
}

static uint32_t slots_named(const hone_params *params, hone_str target) {
    uint32_t found = 0;
    for (unsigned slot = 0; slot < HONE_LORA_SLOTS; slot++) {
        const hone_param *weight = &params->items[hone_lora_weight(0, (hone_lora_slot)slot)];
        if (is_named(module_of(weight), target)) found |= 1U << slot;
    }
    return found;
}

static hone_err parse_targets(const hone_params *params, const char *targets, uint32_t *slots) {
    const char *at = targets;
    *slots = 0;
    if (strcmp(targets, "all-linear") == 0) {
        *slots = (1U << HONE_LORA_SLOTS) - 1;
        return HONE_OK;
    }
    for (;;) {
        hone_str name = {at, strcspn(at, ",")};
        uint32_t found = slots_named(params, name);
        if (found == 0) {
            hone_str q = module_of(&params->items[hone_lora_weight(0, HONE_LORA_Q)]);
            return hone_err_new(HONE_E_INVALID,
                                "adapter target '%.*s': no linear layer's name ends so; one is "
                                "'%.*s'",
                                HONE_ARG(name), HONE_ARG(q));
        }
        *slots |= found;
        if (name.ptr[name.len] == '\0') return HONE_OK;
        at = name.ptr + name.len + 1;
    }
}

hone_err hone_lora_choose(const hone_config *config, const hone_params *params,
                          const hone_lora_options *o, size_t first_layer, hone_lora *out) {
    *out = (hone_lora){0};
    if (o->rank == 0) return HONE_OK;
    if (o->rank > HONE_LORA_RANK_MAX || o->rank > config->hidden)
        return hone_err_new(HONE_E_INVALID, "adapter rank is %zu, expected 1 to %zu", o->rank,
                            config->hidden < HONE_LORA_RANK_MAX ? config->hidden
                                                                : (size_t)HONE_LORA_RANK_MAX);
    if (!(o->alpha > 0 && o->alpha <= 1e6))
        return hone_err_new(HONE_E_INVALID, "adapter alpha is %g, expected above 0, at most 1e6",
                            o->alpha);
    if (!(o->dropout >= 0 && o->dropout <= 0.99))
        return hone_err_new(HONE_E_INVALID, "adapter dropout is %g, expected 0 to 0.99",
                            o->dropout);
    if (first_layer >= config->layers)
        return hone_err_new(HONE_E_INVALID, "adapters need a layer that is not frozen");
    hone_lora lora = {.rank = o->rank,
                      .alpha = o->alpha,
                      .scale = (float)(o->alpha / (double)o->rank),
                      .dropout = (float)o->dropout,
                      .slots = 1U << HONE_LORA_Q | 1U << HONE_LORA_V,
                      .first_layer = first_layer};
    if (o->targets) HONE_TRY(parse_targets(params, o->targets, &lora.slots));
    lora.per_layer = bits_of(lora.slots);
    *out = lora;
    return HONE_OK;
}

hone_err hone_lora_add(const hone_lora *lora, size_t layers, hone_params *params) {
    for (size_t layer = lora->first_layer; layer < layers; layer++)
        for (unsigned slot = 0; slot < HONE_LORA_SLOTS; slot++) {
            if (!hone_lora_has(lora, layer, (hone_lora_slot)slot)) continue;
            /* A copy: the table moves when it grows. */
            hone_param weight = params->items[hone_lora_weight(layer, (hone_lora_slot)slot)];
            hone_str module = module_of(&weight);
            char name[sizeof weight.name + 64];
            (void)snprintf(name, sizeof name, "base_model.model.%.*s.lora_A.weight",
                           HONE_ARG(module));
            HONE_TRY(hone_params_append(params, name, lora->rank, (size_t)weight.dims[1]));
            (void)snprintf(name, sizeof name, "base_model.model.%.*s.lora_B.weight",
                           HONE_ARG(module));
            HONE_TRY(hone_params_append(params, name, (size_t)weight.dims[0], lora->rank));
        }
    return HONE_OK;
}

static void init_a(const hone_param *a, size_t index, uint64_t seed, float *out) {
    double bound = 1 / sqrt((double)a->dims[1]);
    for (size_t i = 0; i < a->count; i++) {
        size_t block = i / 4;
        hone_philox r = hone_philox_at(seed, (uint32_t)block, (uint32_t)(block >> 32),
                                       (uint32_t)index, HONE_STREAM_ADAPTER_INIT);
        out[i] = (float)((2 * (double)hone_philox_unit(r.word[i % 4]) - 1) * bound);
    }
}

void hone_lora_init(const hone_lora *lora, const hone_params *params, size_t layers, uint64_t seed,
                    float *values) {
    for (size_t layer = lora->first_layer; layer < layers; layer++)
        for (unsigned slot = 0; slot < HONE_LORA_SLOTS; slot++) {
            if (!hone_lora_has(lora, layer, (hone_lora_slot)slot)) continue;
            size_t index = hone_lora_index(lora, params, layer, (hone_lora_slot)slot);
            const hone_param *a = &params->items[index], *b = a + 1;
            init_a(a, index, seed, values + a->offset);
            memset(values + b->offset, 0, b->count * sizeof *values);
        }
}

static size_t transposed_floats(size_t out, size_t rank) { return (out * rank + 15) / 16 * 16; }

size_t hone_lora_merge_floats(size_t out, size_t rank) {
    return transposed_floats(out, rank) + hone_gradient_scratch_floats();
}

void hone_lora_merge(const float *weight, const float *a, const float *b, float scale, size_t out,
                     size_t in, size_t rank, float *merged, float *scratch) {
    for (size_t i = 0; i < out; i++)
        for (size_t k = 0; k < rank; k++) scratch[k * out + i] = scale * b[i * rank + k];
    memcpy(merged, weight, out * in * sizeof *merged);
    hone_gradient_run(&(hone_gradient_args){
        .m = out,
        .n = in,
        .rows = rank,
        .a = scratch,
        .a_stride = out,
        .b = a,
        .b_stride = in,
        .accumulate = true,
        .c = merged,
        .c_stride = in,
        .scratch = scratch + transposed_floats(out, rank),
    });
}
