/* test_optimizer.c: the golden recipe of PyTorch, step by step, with hone's own optimiser and
 * schedule. Per tensor, norm of the difference over norm of the reference at most 1e-4; biases
 * of keys apart, whose true gradient is zero. The norm of a gradient shrinks as the fit
 * improves while its error does not, so it is held to 1e-3. */
#include "unit/model/golden.h"

#include "train/optimizer.h"
#include "train/schedule.h"

#include <jansson.h>
#include <math.h>
#include <unistd.h>

static const double TOLERANCE = 1e-4, NORM_TOLERANCE = 1e-3;

static bool is_key_bias(const char *name) {
    return strstr(name, "key.bias") || strstr(name, "k_lin.bias");
}

static void compare(hone_tuner *tuner, const char *path) {
    hone_safetensors *file = NULL;
    CHECK_OK(hone_safetensors_open(path, &file));
    const hone_params *params = hone_tuner_params(tuner);
    for (size_t i = 0; i < params->count; i++) {
        const hone_param *p = &params->items[i];
        if (p->rank == 0 || is_key_bias(p->name)) continue;
        const hone_tensor *want = golden_tensor(file, p->name);
        double gap = 0, norm = 0;
        for (size_t j = 0; j < p->count; j++) {
            double x = (double)hone_tuner_values(tuner)[p->offset + j], y = golden_f32(want, j);
            gap += (x - y) * (x - y);
            norm += y * y;
        }
        if (!(sqrt(gap) <= TOLERANCE * sqrt(norm)))
            fail_msg("%s of %s: relative difference %g", p->name, path, sqrt(gap / norm));
    }
    hone_safetensors_close(file);
}

static double number(const json_t *recipe, const char *key) {
    return json_number_value(json_object_get(recipe, key));
}

static void check_near(double got, double want, double tolerance, const char *what, size_t step) {
    if (!(fabs(got - want) <= tolerance * fabs(want)))
        fail_msg("%s of step %zu is %.8g, expected %.8g", what, step, got, want);
}

/* Take every step of the recipe in dir. */
static void follow(const char *dir, const char *model_dir, size_t threads) {
    char path[4200];
    hone_arena *arena = NULL;
    hone_pool *pool = NULL;
    hone_config config = {0};
    hone_tuner *tuner = NULL;
    hone_optimizer optimizer;
    CHECK_OK(hone_arena_create((size_t)256 << 20, &arena));
    CHECK_OK(hone_pool_create(threads, &pool));
    CHECK_OK(hone_config_load(model_dir, &config));
    CHECK_OK(hone_tuner_create(model_dir, config, &(hone_tuner_options){.seed = 1}, &tuner));
    CHECK_OK(hone_optimizer_init(arena, tuner, &optimizer));

    (void)snprintf(path, sizeof path, "%s/batch.safetensors", dir);
    golden_batch batch = golden_load(path);
    int32_t labels[64];
    for (size_t i = 0; i < batch.pack.sequences; i++)
        labels[i] = (int32_t)golden_i64(golden_tensor(batch.file, "labels"), i);
    (void)snprintf(path, sizeof path, "%s/losses.json", dir);
    json_error_t error;
    json_t *recipe = json_load_file(path, 0, &error);
    assert_non_null(recipe);

    size_t warmup = (size_t)number(recipe, "warmup_steps");
    size_t total = (size_t)number(recipe, "total_steps");
    const json_t *losses = json_object_get(recipe, "losses");
    const json_t *norms = json_object_get(recipe, "grad_norms_before_clipping");
    for (size_t step = 1; step <= json_array_size(losses); step++) {
        double loss = 0, norm = 0, count = (double)batch.pack.sequences;
        hone_tuner_zero_grads(tuner, pool);
        CHECK_OK(hone_tuner_backward(tuner, pool, &batch.pack, (hone_targets){labels, NULL},
                                     (hone_tune_step){.weight = (float)(1 / count)}, &loss));
        hone_optimizer_step how = {
            .lr = number(recipe, "lr") * hone_schedule_factor(step - 1, warmup, total),
            .weight_decay = number(recipe, "weight_decay"),
            .clip = number(recipe, "clip_norm"),
            .step = step,
        };
        CHECK_OK(hone_optimizer_run(&optimizer, pool, how, &norm));
        check_near(loss / count, json_number_value(json_array_get(losses, step - 1)), TOLERANCE,
                   "loss", step);
        check_near(norm, json_number_value(json_array_get(norms, step - 1)), NORM_TOLERANCE, "norm",
                   step);
        (void)snprintf(path, sizeof path, "%s/after%zu.safetensors", dir, step);
        if (access(path, R_OK) == 0) compare(tuner, path);
    }
    json_decref(recipe);
    golden_free(&batch);
    hone_tuner_destroy(tuner);
    hone_pool_destroy(pool);
    hone_arena_destroy(arena);
}

static void test_optimizer__bert_follows_pytorch(void **state) {
    (void)state;
    follow(GOLDEN("train/bert"), GOLDEN("model/bert"), 2);
}

static void test_optimizer__distilbert_follows_pytorch(void **state) {
    (void)state;
    follow(GOLDEN("train/distilbert"), GOLDEN("model/distilbert"), 1);
}

static void follow_shared(const char *name, size_t threads) {
    char dir[4096];
    (void)snprintf(dir, sizeof dir, "%s", check_shared(name));
    follow(dir, dir, threads);
}

static void test_optimizer__shared_bert_follows_pytorch(void **state) {
    (void)state;
    follow_shared("golden/train/bert", 1);
}

static void test_optimizer__shared_distilbert_follows_pytorch(void **state) {
    (void)state;
    follow_shared("golden/train/distilbert", 2);
}

static void test_optimizer__refuses_what_is_not_finite(void **state) {
    (void)state;
    hone_arena *arena = NULL;
    hone_pool *pool = NULL;
    hone_config config = {0};
    hone_tuner *tuner = NULL;
    hone_optimizer optimizer;
    double norm = 0;
    CHECK_OK(hone_arena_create((size_t)16 << 20, &arena));
    CHECK_OK(hone_pool_create(1, &pool));
    CHECK_OK(hone_config_load(GOLDEN("model/bert"), &config));
    CHECK_OK(
        hone_tuner_create(GOLDEN("model/bert"), config, &(hone_tuner_options){.seed = 1}, &tuner));
    CHECK_OK(hone_optimizer_init(arena, tuner, &optimizer));
    float before = hone_tuner_values(tuner)[5];
    hone_tuner_grads(tuner)[optimizer.count - 1] = NAN;
    hone_optimizer_step step = {.lr = 1, .clip = 1, .step = 12};
    CHECK_FAILS(hone_optimizer_run(&optimizer, pool, step, &norm), HONE_E_INVALID,
                "the gradient of step 12 is not finite");
    assert_true(hone_tuner_values(tuner)[5] == before);
    hone_tuner_destroy(tuner);
    hone_pool_destroy(pool);
    hone_arena_destroy(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_optimizer__bert_follows_pytorch),
        cmocka_unit_test(test_optimizer__distilbert_follows_pytorch),
        cmocka_unit_test(test_optimizer__shared_bert_follows_pytorch),
        cmocka_unit_test(test_optimizer__shared_distilbert_follows_pytorch),
        cmocka_unit_test(test_optimizer__refuses_what_is_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
