/* test_lora.c: adapters' losses and gradients are those of peft and PyTorch, adapters of every
 * linear layer and the head; and what no library says: names, first values, the sum.
 *
 * Per tensor: norm of the difference over norm of the reference at most 1e-4, as for whole
 * weights. The goldens are of tools/make_lora_goldens.py. */
#include "golden.h"

#include "model/tuner.h"
#include "model/values.h"

#include <jansson.h>
#include <math.h>

static const double TOLERANCE = 1e-4;

typedef struct setup {
    hone_pool *pool;
    hone_tuner *tuner;
    golden_batch batch;
    int32_t labels[64];
} setup;

static setup start(const char *model_dir, const char *batch_path, size_t threads,
                   const hone_tuner_options *options) {
    setup s = {0};
    hone_config config = {0};
    CHECK_OK(hone_config_load(model_dir, &config));
    CHECK_OK(hone_pool_create(threads, &s.pool));
    CHECK_OK(hone_tuner_create(model_dir, config, options, &s.tuner));
    s.batch = golden_load(batch_path);
    for (size_t i = 0; i < s.batch.pack.sequences; i++)
        s.labels[i] = (int32_t)golden_i64(golden_tensor(s.batch.file, "labels"), i);
    return s;
}

static void stop(setup *s) {
    golden_free(&s->batch);
    hone_tuner_destroy(s->tuner);
    hone_pool_destroy(s->pool);
}

static double backward(setup *s, hone_tune_step step) {
    double loss = 0;
    step.weight = 1.0F / (float)s->batch.pack.sequences;
    CHECK_OK(hone_tuner_backward(s->tuner, s->pool, &s->batch.pack, (hone_targets){s->labels, NULL},
                                 step, &loss));
    return loss * (double)step.weight;
}

static const char *join(const char *dir, const char *name) {
    static char path[4200];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* The golden's name of a trained tensor: adapters have it already. */
static const hone_tensor *golden_of(const hone_safetensors *file, const hone_param *p) {
    char name[256];
    bool is_adapter = strstr(p->name, ".lora_") != NULL;
    (void)snprintf(name, sizeof name, "%s%s", is_adapter ? "" : "base_model.model.", p->name);
    return golden_tensor(file, name);
}

static void take_values(hone_tuner *tuner, const char *path) {
    hone_safetensors *file = NULL;
    const hone_trained *trained = hone_tuner_trained(tuner);
    CHECK_OK(hone_safetensors_open(path, &file));
    assert_int_equal(hone_safetensors_count(file), trained->count); /* the same are trained */
    for (size_t i = 0; i < trained->count; i++) {
        const hone_tensor *t = golden_of(file, &trained->items[i]);
        assert_int_equal(t->count, trained->items[i].count);
        hone_tensor_to_f32(t, hone_tuner_values(tuner) + trained->items[i].offset);
    }
    hone_tuner_changed(tuner);
    hone_safetensors_close(file);
}

static void compare(hone_tuner *tuner, const char *path) {
    hone_safetensors *file = NULL;
    const hone_trained *trained = hone_tuner_trained(tuner);
    CHECK_OK(hone_safetensors_open(path, &file));
    for (size_t i = 0; i < trained->count; i++) {
        const hone_param *p = &trained->items[i];
        const hone_tensor *want = golden_of(file, p);
        const float *grad = hone_tuner_grads(tuner) + (p->offset - trained->first);
        double gap = 0, norm = 0;
        for (size_t j = 0; j < p->count; j++) {
            double y = golden_f32(want, j), d = (double)grad[j] - y;
            gap += d * d;
            norm += y * y;
        }
        if (!(sqrt(gap) <= TOLERANCE * sqrt(norm)))
            fail_msg("%s of %s: relative difference %g", p->name, path, sqrt(gap / norm));
    }
    hone_safetensors_close(file);
}

/* dropout: so little that nothing is dropped, but adapters are computed beside the weights. */
static void follow(const char *dir, const char *model_dir, const char *batch, size_t threads,
                   bool recompute, double dropout) {
    hone_tuner_options options = {
        .seed = 1,
        .recompute = recompute,
        .lora = {.rank = 3, .alpha = 7.5, .dropout = dropout, .targets = "all-linear"},
    };
    setup s = start(model_dir, batch, threads, &options);
    json_error_t error;
    json_t *said = json_load_file(join(dir, "loss.json"), 0, &error);
    double want = json_number_value(json_object_get(said, "loss"));
    json_decref(said);
    (void)backward(&s, (hone_tune_step){0}); /* of other values: nothing of them may stay */
    take_values(s.tuner, join(dir, "adapter.safetensors"));
    hone_tuner_zero_grads(s.tuner, s.pool);
    double loss = backward(&s, (hone_tune_step){.dropout = dropout > 0});
    if (!(fabs(loss - want) <= TOLERANCE * want))
        fail_msg("%s: loss is %.8g, expected %.8g", dir, loss, want);
    compare(s.tuner, join(dir, "grads.safetensors"));
    stop(&s);
}

static void test_lora__bert_follows_peft(void **state) {
    (void)state;
    for (size_t threads = 1; threads <= 3; threads++)
        follow(GOLDEN("train/lora-bert"), GOLDEN("model/bert"),
               GOLDEN("train/bert/batch.safetensors"), threads, threads == 2,
               threads == 1 ? 0 : 1e-12);
}

static void test_lora__distilbert_follows_peft(void **state) {
    (void)state;
    for (size_t threads = 1; threads <= 3; threads++)
        follow(GOLDEN("train/lora-distilbert"), GOLDEN("model/distilbert"),
               GOLDEN("train/distilbert/batch.safetensors"), threads, threads == 2,
               threads == 1 ? 0 : 1e-12);
}

/* At the beginning B is 0 and A uniform within 1 / sqrt(in): the model is the base. */
static void test_lora__begins_as_the_base(void **state) {
    (void)state;
    hone_tuner_options options = {.seed = 3, .lora = {.rank = 8, .alpha = 16}};
    setup s = start(GOLDEN("model/bert"), GOLDEN("train/bert/batch.safetensors"), 1, &options);
    setup whole = start(GOLDEN("model/bert"), GOLDEN("train/bert/batch.safetensors"), 1,
                        &(hone_tuner_options){.seed = 3});
    assert_true(backward(&s, (hone_tune_step){0}) == backward(&whole, (hone_tune_step){0}));
    const hone_trained *trained = hone_tuner_trained(s.tuner);
    size_t adapters = 0;
    for (size_t i = 0; i < trained->count; i++) {
        const hone_param *p = &trained->items[i];
        const float *values = hone_tuner_values(s.tuner) + p->offset;
        double most = 0, sum = 0;
        if (!strstr(p->name, ".lora_")) continue;
        for (size_t j = 0; j < p->count; j++) {
            most = fmax(most, fabs((double)values[j]));
            sum += (double)values[j];
        }
        double bound = 1 / sqrt((double)p->dims[1]);
        bool is_a = strstr(p->name, "lora_A") != NULL;
        if (is_a && !(most <= bound && most > 0.9 * bound && fabs(sum) < 0.2 * bound * 256))
            fail_msg("%s: largest %g of %g, sum %g", p->name, most, bound, sum);
        if (!is_a && most != 0) fail_msg("%s is not 0", p->name);
        adapters++;
    }
    assert_int_equal(adapters, 2 * 2 * 2); /* layers, targets, A and B */
    stop(&s);
    stop(&whole);
}

/* The gradient is that of the very masks of the forward pass: the loss moves by g.d when what is
 * trained moves by a small d. In float this holds to some per cent. */
static void test_lora__dropout_gradient_matches_finite_differences(void **state) {
    (void)state;
    const char *const models[][2] = {
        {GOLDEN("model/bert"), GOLDEN("train/bert/batch.safetensors")},
        {GOLDEN("model/distilbert"), GOLDEN("train/distilbert/batch.safetensors")}};
    for (size_t m = 0; m < 2; m++) {
        hone_tuner_options options = {
            .seed = 1, .lora = {3, 6, 0.3, "all-linear"}, .recompute = m == 1};
        setup s = start(models[m][0], models[m][1], 2, &options);
        const char *adapter = m ? GOLDEN("train/lora-distilbert/adapter.safetensors")
                                : GOLDEN("train/lora-bert/adapter.safetensors");
        take_values(s.tuner, adapter);
        const hone_trained *trained = hone_tuner_trained(s.tuner);
        size_t count = trained->total - trained->first;
        float *values = hone_tuner_values(s.tuner) + trained->first;
        double *was = calloc(count, sizeof *was), *grad = calloc(count, sizeof *grad), norm = 0;
        hone_tune_step step = {.dropout = true, .seed = 7, .step = 3};
        hone_tuner_zero_grads(s.tuner, s.pool);
        (void)backward(&s, step);
        for (size_t i = 0; i < count; i++) {
            was[i] = (double)values[i];
            grad[i] = (double)hone_tuner_grads(s.tuner)[i];
            norm += grad[i] * grad[i];
        }
        double h = 5e-4 / sqrt(norm), loss[2];
        for (int side = 0; side < 2; side++) {
            for (size_t i = 0; i < count; i++)
                values[i] = (float)(was[i] + (side ? h : -h) * grad[i]);
            hone_tuner_changed(s.tuner);
            loss[side] = backward(&s, step);
        }
        double ratio = (loss[1] - loss[0]) / (2 * h * norm);
        if (!(fabs(ratio - 1) < 0.01)) fail_msg("%s: rose by %g of what was said", adapter, ratio);
        free(was);
        free(grad);
        stop(&s);
    }
}

static void test_lora__merge_is_the_sum(void **state) {
    (void)state;
    enum { OUT = 5, IN = 7, RANK = 2 };
    float weight[OUT * IN], a[RANK * IN], b[OUT * RANK], merged[OUT * IN];
    float *scratch = hone_values_alloc(hone_lora_merge_floats(OUT, RANK));
    assert_non_null(scratch);
    for (int i = 0; i < OUT * IN; i++) weight[i] = 0.01F * (float)i;
    for (int i = 0; i < RANK * IN; i++) a[i] = 0.5F - 0.1F * (float)i;
    for (int i = 0; i < OUT * RANK; i++) b[i] = 0.3F * (float)(i % 4) - 0.2F;
    hone_lora_merge(weight, a, b, 2.0F, OUT, IN, RANK, merged, scratch);
    for (size_t i = 0; i < OUT; i++)
        for (size_t j = 0; j < IN; j++) {
            double want = (double)weight[i * IN + j];
            for (size_t k = 0; k < RANK; k++)
                want += 2.0 * (double)b[i * RANK + k] * (double)a[k * IN + j];
            assert_true(fabs((double)merged[i * IN + j] - want) < 1e-6);
        }
    free(scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lora__bert_follows_peft),
        cmocka_unit_test(test_lora__distilbert_follows_peft),
        cmocka_unit_test(test_lora__begins_as_the_base),
        cmocka_unit_test(test_lora__dropout_gradient_matches_finite_differences),
        cmocka_unit_test(test_lora__merge_is_the_sum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
