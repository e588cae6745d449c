/* Goal: every weight of a checkpoint is found under any of its names, nothing wrong is let
 * through, and a new head is drawn as the library draws one.
 *
 * Method: the reference checkpoints of tests/golden/model, and copies of them in which one
 * tensor has another name, another shape, another value, or is gone. */
#include "check.h"

#include "base/file.h"
#include "model/params.h"

#include <math.h>

/* A checkpoint taken apart, so that a test can change it, save it and look again. */
typedef struct fixture {
    hone_config config;
    hone_params params;
    hone_safetensors *file;
    hone_tensor_out *out; /* every tensor of the file as floats, names and data owned */
    size_t count;
    const hone_tensor **found;
    char path[128]; /* where the changed copy goes */
    char *dir;
} fixture;

static void fixture_init(fixture *f, const char *dir) {
    char path[600];
    (void)snprintf(path, sizeof path, "%s/model.safetensors", dir);
    *f = (fixture){.dir = check_tmpdir()};
    (void)snprintf(f->path, sizeof f->path, "%s/model.safetensors", f->dir);
    CHECK_OK(hone_config_load(dir, &f->config));
    CHECK_OK(hone_params_create(&f->config, &f->params));
    CHECK_OK(hone_safetensors_open(path, &f->file));
    f->found = calloc(f->params.count, sizeof *f->found);
    f->count = hone_safetensors_count(f->file);
    f->out = calloc(f->count + 1, sizeof *f->out);
    for (size_t i = 0; i < f->count; i++) {
        const hone_tensor *t = hone_safetensors_get(f->file, i);
        float *data = malloc(t->count * sizeof *data);
        hone_tensor_to_f32(t, data);
        f->out[i] = (hone_tensor_out){.name = strdup(t->name), .rank = t->rank, .data = data};
        memcpy(f->out[i].dims, t->dims, sizeof t->dims);
    }
}

static void fixture_done(fixture *f) {
    for (size_t i = 0; i < f->count; i++) {
        free((void *)(uintptr_t)f->out[i].name);
        free((void *)(uintptr_t)f->out[i].data);
    }
    free(f->out);
    free(f->found);
    hone_safetensors_close(f->file);
    hone_params_done(&f->params);
    hone_config_done(&f->config);
    check_rmtree(f->dir);
}

static hone_tensor_out *tensor(fixture *f, const char *name) {
    for (size_t i = 0; i < f->count; i++)
        if (strcmp(f->out[i].name, name) == 0) return &f->out[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static void set_name(hone_tensor_out *t, const char *name) {
    free((void *)(uintptr_t)t->name);
    t->name = strdup(name);
}

static float *data_of(hone_tensor_out *t) { return (float *)(uintptr_t)t->data; }

/* Save the changed tensors and look for the model in them. */
static hone_err find_in_copy(fixture *f) {
    hone_safetensors_close(f->file);
    f->file = NULL;
    CHECK_OK(hone_safetensors_save(f->path, f->out, f->count));
    CHECK_OK(hone_safetensors_open(f->path, &f->file));
    return hone_params_find(&f->params, f->file, f->found);
}

static size_t missing(const fixture *f) {
    size_t count = 0;
    for (size_t i = 0; i < f->params.count; i++) count += f->params.items[i].rank && !f->found[i];
    return count;
}

/* ---- the table ---- */

static void test_params__ranges_are_aligned_and_do_not_overlap(void **state) {
    (void)state;
    static const char *const dirs[] = {GOLDEN("model/bert"), GOLDEN("model/distilbert")};
    for (size_t d = 0; d < 2; d++) {
        fixture f;
        fixture_init(&f, dirs[d]);
        size_t end = 0, decaying = 0;
        for (size_t i = 0; i < f.params.count; i++) {
            const hone_param *p = &f.params.items[i];
            assert_int_equal(p->offset % 16, 0);
            assert_true(p->offset >= end && p->offset < end + 16);
            assert_int_equal(p->count, p->rank == 0   ? 0
                                       : p->rank == 1 ? p->dims[0]
                                                      : p->dims[0] * p->dims[1]);
            end = p->offset + p->count;
            decaying += p->decays;
        }
        assert_true(f.params.total >= end && f.params.total < end + 16);
        assert_int_equal(decaying, (d == 0 ? 3 : 2) + 2 * 6 + 2);
        assert_int_equal(f.params.items[HONE_TYPE_EMB].rank, d == 0 ? 2 : 0);
        fixture_done(&f);
    }
}

static void test_params__names_are_the_library_s(void **state) {
    (void)state;
    static const char *const dirs[] = {GOLDEN("model/bert"), GOLDEN("model/distilbert"),
                                       GOLDEN("model/bert-f16"), GOLDEN("model/bert-bf16"),
                                       GOLDEN("train/regression")};
    for (size_t d = 0; d < sizeof dirs / sizeof *dirs; d++) {
        fixture f;
        fixture_init(&f, dirs[d]);
        CHECK_OK(hone_params_find(&f.params, f.file, f.found));
        size_t same = 0;
        for (size_t i = 0; i < f.params.count; i++)
            same += f.found[i] && strcmp(f.found[i]->name, f.params.items[i].name) == 0;
        assert_int_equal(same, f.count);
        assert_int_equal(missing(&f), 0);
        fixture_done(&f);
    }
}

static void test_params__slots_are_where_the_header_says(void **state) {
    (void)state;
    fixture f;
    fixture_init(&f, GOLDEN("model/bert"));
    const hone_param *items = f.params.items;
    assert_string_equal(items[HONE_POS_EMB].name, "bert.embeddings.position_embeddings.weight");
    assert_string_equal(items[HONE_EMB_NORM_B].name, "bert.embeddings.LayerNorm.bias");
    assert_string_equal(items[hone_params_layer(1, HONE_K_B)].name,
                        "bert.encoder.layer.1.attention.self.key.bias");
    assert_string_equal(items[hone_params_layer(1, HONE_NORM2_W)].name,
                        "bert.encoder.layer.1.output.LayerNorm.weight");
    const hone_param *up = &items[hone_params_layer(0, HONE_UP_W)];
    const hone_param *down = &items[hone_params_layer(0, HONE_DOWN_W)];
    assert_true(up->dims[0] == 64 && up->dims[1] == 32 && up->decays);
    assert_true(down->dims[0] == 32 && down->dims[1] == 64);
    assert_int_equal(items[hone_params_layer(0, HONE_UP_B)].dims[0], 64);
    assert_int_equal(items[hone_params_layer(0, HONE_DOWN_B)].dims[0], 32);
    assert_string_equal(items[hone_params_head(&f.params, HONE_POOL_W)].name,
                        "bert.pooler.dense.weight");
    assert_string_equal(items[hone_params_head(&f.params, HONE_HEAD_B)].name, "classifier.bias");
    fixture_done(&f);
    fixture_init(&f, GOLDEN("model/distilbert"));
    assert_string_equal(f.params.items[hone_params_layer(0, HONE_DOWN_W)].name,
                        "distilbert.transformer.layer.0.ffn.lin2.weight");
    assert_string_equal(f.params.items[hone_params_head(&f.params, HONE_POOL_B)].name,
                        "pre_classifier.bias");
    fixture_done(&f);
}

static void test_params__a_size_that_overflows_is_refused(void **state) {
    (void)state;
    hone_config huge = {.vocab = SIZE_MAX / 8, .hidden = 1 << 20, .labels = 2, .positions = 1};
    hone_params params = {0};
    CHECK_FAILS(hone_params_create(&huge, &params), HONE_E_INVALID, "too large");
    assert_null(params.items);
    hone_params_done(&params);
}

/* ---- finding ---- */

static void test_params__prefix_and_old_names_are_understood(void **state) {
    (void)state;
    static const char *const dirs[] = {GOLDEN("model/bert"), GOLDEN("model/distilbert")};
    for (size_t d = 0; d < 2; d++)
        for (int old = 0; old < 4; old++) {
            fixture f;
            fixture_init(&f, dirs[d]);
            for (size_t i = 0; i < f.count; i++) {
                char name[160];
                const char *bare = strstr(f.out[i].name, "bert.");
                (void)snprintf(name, sizeof name, "%s",
                               (old & 1) && bare ? bare + 5 : f.out[i].name);
                char *norm = strcasestr(name, "norm.");
                if ((old & 2) && norm)
                    (void)snprintf(norm + 5, 6, "%s",
                                   strcmp(norm + 5, "bias") == 0 ? "beta" : "gamma");
                set_name(&f.out[i], name);
            }
            CHECK_OK(find_in_copy(&f));
            assert_int_equal(missing(&f), 0);
            fixture_done(&f);
        }
}

static void test_params__other_tensors_are_ignored(void **state) {
    (void)state;
    fixture f;
    fixture_init(&f, GOLDEN("model/bert"));
    static const float nan_value[1] = {NAN};
    f.out[f.count] = (hone_tensor_out){"cls.predictions.bias", 1, {1}, nan_value};
    f.count++;
    hone_err err = find_in_copy(&f);
    f.count--;
    CHECK_OK(err);
    fixture_done(&f);
}

static void test_params__a_bare_encoder_has_no_head(void **state) {
    (void)state;
    fixture f;
    fixture_init(&f, GOLDEN("model/encoder-only"));
    CHECK_OK(hone_params_find(&f.params, f.file, f.found));
    assert_int_equal(missing(&f), 2);
    assert_non_null(f.found[hone_params_head(&f.params, HONE_POOL_W)]);
    assert_null(f.found[hone_params_head(&f.params, HONE_HEAD_W)]);
    assert_null(f.found[hone_params_head(&f.params, HONE_HEAD_B)]);
    fixture_done(&f);
}

/* Rename the tensors of a checkpoint's head that drop names, and look. */
static void test_params__a_head_is_missing_whole_or_not_at_all(void **state) {
    (void)state;
    const struct {
        const char *dir, *drop[5], *message;
        size_t missing;
    } cases[] = {
        {GOLDEN("model/bert"), {"classifier.weight", "classifier.bias"}, NULL, 2},
        {GOLDEN("model/bert"),
         {"classifier.weight", "classifier.bias", "bert.pooler.dense.weight",
          "bert.pooler.dense.bias"},
         NULL,
         4},
        {GOLDEN("model/distilbert"),
         {"classifier.weight", "classifier.bias", "pre_classifier.weight", "pre_classifier.bias"},
         NULL,
         4},
        {GOLDEN("model/bert"), {"classifier.bias"}, "'classifier.bias' is missing", 0},
        {GOLDEN("model/bert"), {"classifier.weight"}, "'classifier.weight' is missing", 0},
        {GOLDEN("model/bert"),
         {"bert.pooler.dense.bias"},
         "'bert.pooler.dense.bias' is missing",
         0},
        {GOLDEN("model/bert"),
         {"bert.pooler.dense.weight", "bert.pooler.dense.bias"},
         "'bert.pooler.dense.weight' is missing",
         0},
        {GOLDEN("model/distilbert"),
         {"pre_classifier.weight", "pre_classifier.bias"},
         "'pre_classifier.weight' is missing",
         0},
        {GOLDEN("model/bert"),
         {"bert.encoder.layer.1.output.dense.bias"},
         "'bert.encoder.layer.1.output.dense.bias' is missing",
         0},
        {GOLDEN("model/distilbert"),
         {"distilbert.embeddings.word_embeddings.weight"},
         "'distilbert.embeddings.word_embeddings.weight' is missing",
         0},
        {GOLDEN("model/bert"),
         {"bert.embeddings.token_type_embeddings.weight"},
         "'bert.embeddings.token_type_embeddings.weight' is missing",
         0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture f;
        fixture_init(&f, cases[i].dir);
        for (size_t n = 0; cases[i].drop[n]; n++) {
            char name[32];
            (void)snprintf(name, sizeof name, "dropped.%zu", n);
            set_name(tensor(&f, cases[i].drop[n]), name);
        }
        if (cases[i].message) {
            CHECK_FAILS(find_in_copy(&f), HONE_E_NOT_FOUND, cases[i].message);
        } else {
            CHECK_OK(find_in_copy(&f));
            assert_int_equal(missing(&f), cases[i].missing);
        }
        fixture_done(&f);
    }
}

static void test_params__a_wrong_shape_is_refused(void **state) {
    (void)state;
    const struct {
        const char *name;
        size_t rank;
        int64_t dims[3];
        const char *message;
    } cases[] = {
        {"classifier.weight", 2, {1, 32}, "is [1,32], config.json asks for [3,32]"},
        {"classifier.weight", 1, {96}, "is [96], config.json asks for [3,32]"},
        {"classifier.weight", 3, {3, 32, 1}, "is [3,32,1]"},
        {"classifier.weight", 0, {0}, "is [], config.json asks for [3,32]"},
        {"classifier.bias", 2, {1, 3}, "is [1,3], config.json asks for [3]"},
        {"bert.embeddings.position_embeddings.weight", 2, {31, 32}, "is [31,32]"},
        {"bert.encoder.layer.0.intermediate.dense.weight", 2, {32, 64}, "is [32,64]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture f;
        fixture_init(&f, GOLDEN("model/bert"));
        hone_tensor_out *t = tensor(&f, cases[i].name);
        t->rank = cases[i].rank;
        memcpy(t->dims, cases[i].dims, sizeof cases[i].dims);
        CHECK_FAILS(find_in_copy(&f), HONE_E_CORRUPT, cases[i].message);
        fixture_done(&f);
    }
}

static void test_params__values_that_are_not_finite_are_refused(void **state) {
    (void)state;
    static const char name[] = "bert.encoder.layer.1.attention.self.value.weight";
    const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    const float good[] = {3.4028235e38F, -3.4028235e38F, 1e-45F, -0.0F};
    fixture f;
    fixture_init(&f, GOLDEN("model/bert"));
    for (size_t i = 0; i < 4; i++)
        for (size_t at = 0; at < 1024; at += 1023) {
            float *data = data_of(tensor(&f, name)), before = data[at];
            data[at] = bad[i];
            CHECK_FAILS(find_in_copy(&f), HONE_E_CORRUPT, name);
            data[at] = good[i];
            CHECK_OK(find_in_copy(&f));
            data[at] = before;
        }
    fixture_done(&f);
}

/* A copy of a checkpoint's bytes in which one text, and what lies at one place, is replaced. */
static hone_err find_in_patched(const char *dir, const char *from, const char *to,
                                const char *tensor_name, const void *value, size_t size_bytes) {
    fixture f;
    fixture_init(&f, dir);
    char path[600];
    (void)snprintf(path, sizeof path, "%s/model.safetensors", dir);
    hone_map map;
    CHECK_OK(hone_map_open(path, &map));
    char *copy = malloc(map.bytes.len);
    memcpy(copy, map.bytes.ptr, map.bytes.len);
    char *at = memmem(copy, map.bytes.len, from, strlen(from));
    assert_non_null(at);
    assert_int_equal(strlen(from), strlen(to));
    memcpy(at, to, strlen(to));

    hone_safetensors *file = NULL;
    CHECK_OK(hone_safetensors_parse((hone_str){copy, map.bytes.len}, "copy", &file));
    const hone_tensor *t = hone_safetensors_find(file, tensor_name);
    assert_non_null(t);
    memcpy((void *)(uintptr_t)t->data, value, size_bytes);
    hone_err err = hone_params_find(&f.params, file, f.found);
    hone_safetensors_close(file);
    hone_map_close(&map);
    free(copy);
    fixture_done(&f);
    return err;
}

static void test_params__halves_that_are_not_finite_are_refused(void **state) {
    (void)state;
    const struct {
        const char *dir;
        uint16_t bits;
        bool ok;
    } cases[] = {
        {GOLDEN("model/bert-f16"), 0x7C00, false},  {GOLDEN("model/bert-f16"), 0xFC00, false},
        {GOLDEN("model/bert-f16"), 0x7E00, false},  {GOLDEN("model/bert-f16"), 0x7BFF, true},
        {GOLDEN("model/bert-f16"), 0xFBFF, true},   {GOLDEN("model/bert-f16"), 0x8001, true},
        {GOLDEN("model/bert-bf16"), 0x7F80, false}, {GOLDEN("model/bert-bf16"), 0xFF80, false},
        {GOLDEN("model/bert-bf16"), 0x7FC0, false}, {GOLDEN("model/bert-bf16"), 0x7F7F, true},
        {GOLDEN("model/bert-bf16"), 0xFF7F, true},  {GOLDEN("model/bert-bf16"), 0x8001, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hone_err err = find_in_patched(cases[i].dir, "\"pt\"", "\"pt\"", "classifier.bias",
                                       &cases[i].bits, sizeof cases[i].bits);
        if (cases[i].ok)
            CHECK_OK(err);
        else
            CHECK_FAILS(err, HONE_E_CORRUPT, "'classifier.bias' holds a value that is not finite");
    }
}

static void test_params__a_weight_that_is_no_float_is_refused(void **state) {
    (void)state;
    CHECK_FAILS(find_in_patched(GOLDEN("model/bert"), "LayerNorm.bias\":{\"dtype\":\"F32\"",
                                "LayerNorm.bias\":{\"dtype\":\"I32\"", "classifier.bias", "", 0),
                HONE_E_CORRUPT, "'bert.embeddings.LayerNorm.bias' is not of type F32");
}

/* ---- a new head, and saving ---- */

static void test_params__a_new_head_is_normal_and_repeatable(void **state) {
    (void)state;
    hone_config c = {.vocab = 2,
                     .hidden = 257,
                     .heads = 1,
                     .layers = 0,
                     .intermediate = 1,
                     .positions = 1,
                     .types = 1,
                     .labels = 3};
    hone_params params;
    CHECK_OK(hone_params_create(&c, &params));
    size_t pool = hone_params_head(&params, HONE_POOL_W);
    size_t count = params.items[pool].count;
    assert_int_equal(count, 257 * 257); /* no multiple of four */
    float *a = malloc(count * sizeof *a), *b = malloc(count * sizeof *b);
    hone_params_init(&params, pool, 0.02F, 7, a);
    hone_params_init(&params, pool, 0.02F, 7, b);
    assert_memory_equal(a, b, count * sizeof *a);

    double sum = 0, squares = 0, fourths = 0, neighbours = 0;
    for (size_t i = 0; i < count; i++) {
        double x = (double)a[i] / 0.02;
        sum += x;
        squares += x * x;
        fourths += x * x * x * x;
        neighbours += i ? x * (double)a[i - 1] / 0.02 : 0;
    }
    /* Five standard errors of each moment over 66,049 draws. */
    double n = (double)count, error = 5 / sqrt(n);
    assert_true(fabs(sum / n) < error);
    assert_true(fabs(squares / n - 1) < error * sqrt(2));
    assert_true(fabs(fourths / n - 3) < error * sqrt(96));
    assert_true(fabs(neighbours / n) < error);

    hone_params_init(&params, pool, 0.02F, 8, b);
    assert_memory_not_equal(a, b, 64);
    size_t head = hone_params_head(&params, HONE_HEAD_W);
    hone_params_init(&params, head, 0.02F, 7, b);
    assert_memory_not_equal(a, b, 64);
    hone_params_init(&params, head + 1, 0.02F, 7, b);
    assert_true(b[0] == 0 && b[1] == 0 && b[2] == 0);
    free(a);
    free(b);
    hone_params_done(&params);
}

static void test_params__what_is_saved_is_found_again(void **state) {
    (void)state;
    static const char *const dirs[] = {GOLDEN("model/bert"), GOLDEN("model/distilbert")};
    for (size_t d = 0; d < 2; d++) {
        fixture f;
        fixture_init(&f, dirs[d]);
        CHECK_OK(hone_params_find(&f.params, f.file, f.found));
        float *values = calloc(f.params.total, sizeof *values);
        for (size_t i = 0; i < f.params.count; i++)
            if (f.found[i]) hone_tensor_to_f32(f.found[i], values + f.params.items[i].offset);
        CHECK_OK(hone_params_save(&f.params, values, f.dir));
        hone_safetensors_close(f.file);
        CHECK_OK(hone_safetensors_open(f.path, &f.file));
        CHECK_OK(hone_params_find(&f.params, f.file, f.found));
        assert_int_equal(hone_safetensors_count(f.file), f.count);
        for (size_t i = 0; i < f.params.count; i++) {
            const hone_param *p = &f.params.items[i];
            if (p->rank)
                assert_memory_equal(f.found[i]->data, values + p->offset, p->count * sizeof(float));
        }
        free(values);
        fixture_done(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_params__ranges_are_aligned_and_do_not_overlap),
        cmocka_unit_test(test_params__names_are_the_library_s),
        cmocka_unit_test(test_params__slots_are_where_the_header_says),
        cmocka_unit_test(test_params__a_size_that_overflows_is_refused),
        cmocka_unit_test(test_params__prefix_and_old_names_are_understood),
        cmocka_unit_test(test_params__other_tensors_are_ignored),
        cmocka_unit_test(test_params__a_bare_encoder_has_no_head),
        cmocka_unit_test(test_params__a_head_is_missing_whole_or_not_at_all),
        cmocka_unit_test(test_params__a_wrong_shape_is_refused),
        cmocka_unit_test(test_params__values_that_are_not_finite_are_refused),
        cmocka_unit_test(test_params__halves_that_are_not_finite_are_refused),
        cmocka_unit_test(test_params__a_weight_that_is_no_float_is_refused),
        cmocka_unit_test(test_params__a_new_head_is_normal_and_repeatable),
        cmocka_unit_test(test_params__what_is_saved_is_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
