/* params.c: see params.h. Two tables, one per family, say every name; the rest walks them.
 *
 * Not done here: making a head of another size than the file's, which is the tuner's. */
#include "model/params.h"

#include "base/philox.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OFFSET_MULTIPLE = 16, /* floats: one cache line, one AVX-512 register */
    NAME_CAP = 128,       /* of a candidate in a file; longer than hone_param.name */
};

/* The names of a family; a layer's are prefix, layer, its number and its own name. */
typedef struct family_names {
    const char *prefix; /* that a file of the bare encoder leaves out */
    const char *layer;
    const char *layer_names[HONE_LAYER_SLOTS / 2];
    const char *pool;
} family_names;

static const family_names BERT_NAMES = {
    .prefix = "bert.",
    .layer = "encoder.layer.",
    .layer_names = {"attention.self.query", "attention.self.key", "attention.self.value",
                    "attention.output.dense", "attention.output.LayerNorm", "intermediate.dense",
                    "output.dense", "output.LayerNorm"},
    .pool = "bert.pooler.dense",
};

static const family_names DISTILBERT_NAMES = {
    .prefix = "distilbert.",
    .layer = "transformer.layer.",
    .layer_names = {"attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin",
                    "sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm"},
    .pool = "pre_classifier",
};

/* ---- what the model has ---- */

/* Shape and place of one tensor; rows 0 makes it a vector. */
static hone_err place(hone_params *params, hone_param *p, size_t rows, size_t columns) {
    p->rank = rows ? 2 : 1;
    p->dims[0] = (int64_t)(rows ? rows : columns);
    p->dims[1] = (int64_t)(rows ? columns : 0);
    p->decays = rows > 0;
    p->offset = params->total;
    size_t end = 0;
    if (__builtin_mul_overflow(rows ? rows : 1, columns, &p->count) ||
        __builtin_add_overflow(params->total, p->count, &end) ||
        end > (size_t)INT64_MAX / sizeof(float) - OFFSET_MULTIPLE)
        return hone_err_new(HONE_E_INVALID, "the model that config.json asks for is too large");
    params->total = (end + OFFSET_MULTIPLE - 1) / OFFSET_MULTIPLE * OFFSET_MULTIPLE;
    return HONE_OK;
}

static hone_err add_embeddings(hone_params *params, const hone_config *c, const family_names *f) {
    const struct {
        const char *name;
        size_t rows;
    } tables[] = {{"word_embeddings", c->vocab},
                  {"position_embeddings", c->positions},
                  {"token_type_embeddings", c->types}};
    for (size_t i = 0; i < 3; i++) {
        hone_param *p = &params->items[HONE_WORD_EMB + i];
        if (tables[i].rows == 0) { /* DistilBERT's types */
            p->offset = params->total;
            continue;
        }
        (void)snprintf(p->name, sizeof p->name, "%sembeddings.%s.weight", f->prefix,
                       tables[i].name);
        HONE_TRY(place(params, p, tables[i].rows, c->hidden));
    }
    for (size_t i = 0; i < 2; i++) {
        hone_param *p = &params->items[HONE_EMB_NORM_W + i];
        (void)snprintf(p->name, sizeof p->name, "%sembeddings.LayerNorm.%s", f->prefix,
                       i ? "bias" : "weight");
        HONE_TRY(place(params, p, 0, c->hidden));
    }
    return HONE_OK;
}

/* A pair of weight [rows, columns] and bias [rows], or of a norm's two vectors. */
static hone_err add_pair(hone_params *params, size_t index, const char *stem, size_t rows,
                         size_t columns) {
    hone_param *weight = &params->items[index], *bias = &params->items[index + 1];
    (void)snprintf(weight->name, sizeof weight->name, "%s.weight", stem);
    (void)snprintf(bias->name, sizeof bias->name, "%s.bias", stem);
    HONE_TRY(place(params, weight, rows, columns));
    return place(params, bias, 0, rows ? rows : columns);
}

static hone_err add_layer(hone_params *params, const hone_config *c, const family_names *f,
                          size_t layer) {
    for (size_t slot = 0; slot < HONE_LAYER_SLOTS; slot += 2) {
        char stem[NAME_CAP];
        (void)snprintf(stem, sizeof stem, "%s%s%zu.%s", f->prefix, f->layer, layer,
                       f->layer_names[slot / 2]);
        bool is_norm = slot == HONE_NORM1_W || slot == HONE_NORM2_W;
        size_t rows = is_norm ? 0 : slot == HONE_UP_W ? c->intermediate : c->hidden;
        size_t columns = slot == HONE_DOWN_W ? c->intermediate : c->hidden;
        HONE_TRY(
            add_pair(params, hone_params_layer(layer, (hone_layer_slot)slot), stem, rows, columns));
    }
    return HONE_OK;
}

static hone_err add_all(hone_params *params, const hone_config *c) {
    const family_names *f = c->family == HONE_BERT ? &BERT_NAMES : &DISTILBERT_NAMES;
    HONE_TRY(add_embeddings(params, c, f));
    for (size_t layer = 0; layer < c->layers; layer++) HONE_TRY(add_layer(params, c, f, layer));
    HONE_TRY(
        add_pair(params, hone_params_head(params, HONE_POOL_W), f->pool, c->hidden, c->hidden));
    return add_pair(params, hone_params_head(params, HONE_HEAD_W), "classifier", c->labels,
                    c->hidden);
}

hone_err hone_params_create(const hone_config *config, hone_params *out) {
    hone_params params = {
        .count = HONE_EMBED_SLOTS + config->layers * HONE_LAYER_SLOTS + HONE_HEAD_SLOTS,
    };
    params.items = calloc(params.count, sizeof *params.items);
    if (!params.items)
        return hone_err_new(HONE_E_NOMEM, "no memory for a table of %zu tensors", params.count);
    hone_err err = add_all(&params, config);
    if (hone_failed(err)) {
        hone_params_done(&params);
        return err;
    }
    *out = params;
    return HONE_OK;
}

void hone_params_done(hone_params *params) {
    free(params->items);
    *params = (hone_params){0};
}

hone_err hone_params_append(hone_params *params, const char *name, size_t rows, size_t columns) {
    size_t index = params->count + params->extra;
    hone_param *items = realloc(params->items, (index + 1) * sizeof *items);
    if (!items)
        return hone_err_new(HONE_E_NOMEM, "no memory for a table of %zu tensors", index + 1);
    params->items = items;
    items[index] = (hone_param){0};
    assert(strlen(name) < sizeof items[index].name);
    (void)snprintf(items[index].name, sizeof items[index].name, "%s", name);
    HONE_TRY(place(params, &items[index], rows, columns));
    params->extra++;
    return HONE_OK;
}

/* ---- finding them in a file ---- */

/* Old checkpoints, converted from TensorFlow, call a norm's weight gamma and its bias beta. */
static bool old_norm_name(const char *name, char old[static NAME_CAP]) {
    static const char *const pairs[][2] = {{"LayerNorm.weight", "LayerNorm.gamma"},
                                           {"LayerNorm.bias", "LayerNorm.beta"},
                                           {"layer_norm.weight", "layer_norm.gamma"},
                                           {"layer_norm.bias", "layer_norm.beta"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (!hone_str_has_suffix(hone_str_of(name), hone_str_of(pairs[i][0]))) continue;
        size_t stem = strlen(name) - strlen(pairs[i][0]);
        (void)snprintf(old, NAME_CAP, "%.*s%s", (int)stem, name, pairs[i][1]);
        return true;
    }
    return false;
}

/* The tensor of that name, with or without the family's prefix, new name or old. */
static const hone_tensor *look_up(const hone_safetensors *file, const char *name) {
    const hone_tensor *t = hone_safetensors_find(file, name);
    const char *bare = name;
    if (hone_str_has_prefix(hone_str_of(name), HONE_S("bert."))) bare = name + strlen("bert.");
    if (hone_str_has_prefix(hone_str_of(name), HONE_S("distilbert.")))
        bare = name + strlen("distilbert.");
    if (!t && bare != name) t = hone_safetensors_find(file, bare);

    char old[NAME_CAP];
    if (t || !old_norm_name(name, old)) return t;
    t = hone_safetensors_find(file, old);
    return t ? t : hone_safetensors_find(file, old + (bare - name));
}

/* A float is not finite when its exponent is all ones: adding one to the exponent carries
 * into the sign's place. Or-ed over the tensor, so that the loop has no branch. */
static bool is_finite_f32(const char *data, size_t count) {
    uint32_t carry = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, data + i * sizeof bits, sizeof bits);
        carry |= (bits & 0x7F800000u) + 0x00800000u;
    }
    return !(carry & 0x80000000u);
}

/* The same for 16-bit floats; exponent is the mask of their exponent. */
static bool is_finite_16(const char *data, size_t count, uint32_t exponent) {
    uint32_t carry = 0, one = exponent & (~exponent + 1);
    for (size_t i = 0; i < count; i++) {
        uint16_t bits;
        memcpy(&bits, data + i * sizeof bits, sizeof bits);
        carry |= (bits & exponent) + one;
    }
    return !(carry & 0x8000u);
}

static bool is_finite_tensor(const hone_tensor *t) {
    if (t->dtype == HONE_F32) return is_finite_f32(t->data, t->count);
    return is_finite_16(t->data, t->count, t->dtype == HONE_F16 ? 0x7C00u : 0x7F80u);
}

static void format_shape(const int64_t *dims, size_t rank, char out[static 192]) {
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < rank; i++)
        len += (size_t)snprintf(out + len, 192 - len, "%s%lld", i ? "," : "", (long long)dims[i]);
}

static hone_err check_form(const hone_param *p, const hone_tensor *t, const char *who) {
    if (t->rank != p->rank || memcmp(t->dims, p->dims, p->rank * sizeof *p->dims) != 0) {
        char is[192], expected[192];
        format_shape(t->dims, t->rank, is);
        format_shape(p->dims, p->rank, expected);
        return hone_err_new(HONE_E_CORRUPT, "weight '%s' is [%s], %s for [%s]", t->name, is, who,
                            expected);
    }
    if (t->dtype != HONE_F32 && t->dtype != HONE_F16 && t->dtype != HONE_BF16)
        return hone_err_new(HONE_E_CORRUPT, "weight '%s' is not of type F32, F16 or BF16", t->name);
    return HONE_OK;
}

static hone_err check_finite(const hone_tensor *t) {
    if (is_finite_tensor(t)) return HONE_OK;
    return hone_err_new(HONE_E_CORRUPT, "weight '%s' holds a value that is not finite", t->name);
}

hone_err hone_param_check(const hone_param *p, const hone_tensor *t, const char *who) {
    HONE_TRY(check_form(p, t, who));
    return check_finite(t);
}

/* What may be missing: the classifier whole, and then what stands before it, whole too. */
static hone_err check_head(const hone_params *params, const hone_tensor **found) {
    size_t pool = hone_params_head(params, HONE_POOL_W);
    size_t head = hone_params_head(params, HONE_HEAD_W);
    bool has_head = found[head] || found[head + 1];
    bool has_pool = found[pool] || found[pool + 1];
    for (size_t i = pool; i < params->count; i++)
        if (!found[i] && (i < head ? has_pool || has_head : has_head))
            return hone_err_new(HONE_E_NOT_FOUND, "weight '%s' is missing", params->items[i].name);
    return HONE_OK;
}

hone_err hone_params_match(const hone_params *params, const hone_safetensors *file,
                           const hone_tensor **found) {
    size_t first_head = hone_params_head(params, HONE_POOL_W);
    for (size_t i = 0; i < params->count; i++) {
        const hone_param *p = &params->items[i];
        found[i] = p->rank ? look_up(file, p->name) : NULL;
        if (p->rank && !found[i] && i < first_head)
            return hone_err_new(HONE_E_NOT_FOUND, "weight '%s' is missing", p->name);
        if (found[i]) HONE_TRY(check_form(p, found[i], "config.json asks"));
    }
    return check_head(params, found);
}

hone_err hone_params_find(const hone_params *params, const hone_safetensors *file,
                          const hone_tensor **found) {
    HONE_TRY(hone_params_match(params, file, found));
    for (size_t i = 0; i < params->count; i++)
        if (found[i]) HONE_TRY(check_finite(found[i]));
    return HONE_OK;
}

/* ---- a new head, and saving ---- */

/* Two normal numbers from two uniform ones (Box & Muller 1958). */
static void box_muller(uint32_t a, uint32_t b, float std, float out[static 2]) {
    const double two_pi = 6.283185307179586;
    double radius = (double)std * sqrt(-2.0 * log((double)hone_philox_unit(a)));
    double angle = two_pi * (double)hone_philox_unit(b);
    out[0] = (float)(radius * cos(angle));
    out[1] = (float)(radius * sin(angle));
}

void hone_params_init(const hone_params *params, size_t index, float init_std, uint64_t seed,
                      float *out) {
    assert(index < params->count);
    const hone_param *p = &params->items[index];
    if (p->rank < 2) {
        memset(out, 0, p->count * sizeof *out);
        return;
    }
    for (size_t i = 0; i < p->count; i += 4) {
        size_t block = i / 4;
        hone_philox r = hone_philox_at(seed, (uint32_t)block, (uint32_t)(block >> 32),
                                       (uint32_t)index, HONE_STREAM_HEAD_INIT);
        float four[4];
        box_muller(r.word[0], r.word[1], init_std, four);
        box_muller(r.word[2], r.word[3], init_std, four + 2);
        size_t left = p->count - i < 4 ? p->count - i : 4;
        memcpy(out + i, four, left * sizeof *out);
    }
}

hone_err hone_params_save(const hone_params *params, const float *values, const char *dir) {
    hone_tensor_out *tensors = calloc(params->count, sizeof *tensors);
    char *path = NULL;
    if (!tensors || asprintf(&path, "%s/model.safetensors", dir) < 0) {
        free(tensors);
        return hone_err_new(HONE_E_NOMEM, "no memory to save '%s'", dir);
    }
    size_t count = 0;
    for (size_t i = 0; i < params->count; i++) {
        const hone_param *p = &params->items[i];
        if (p->rank == 0) continue;
        hone_tensor_out *t = &tensors[count++];
        *t = (hone_tensor_out){.name = p->name, .rank = p->rank, .data = values + p->offset};
        memcpy(t->dims, p->dims, sizeof p->dims);
    }
    hone_err err = hone_safetensors_save(path, tensors, count);
    free(path);
    free(tensors);
    return err;
}
