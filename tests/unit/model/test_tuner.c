/* test_tuner.c: losses, gradients and trained weights are those of PyTorch.
 *
 * The golden recipe is run here with an AdamW written as plainly as possible, in double, so
 * that what is tested is the gradient. Per tensor: norm of the difference over norm of the
 * reference at most 1e-4. The gradient of a key's bias is zero in truth (softmax ignores a
 * constant), so it is held to 1e-7 in itself and left out of trained weights, where AdamW
 * blows the noise up to a full step. */
#include "golden.h"

#include "model/tuner.h"
#include "nn/product.h"

#include <jansson.h>
#include <math.h>

static const double TOLERANCE = 1e-4;

typedef struct training {
    hone_pool *pool;
    hone_tuner *tuner;
    golden_batch batch;
    hone_targets targets;
    int32_t *labels;
    float *numbers;
    double *m, *v, *values; /* [total] the optimiser's state, in double */
    json_t *recipe;
} training;

static const char *join(const char *dir, const char *name) {
    static char path[4200];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static training start_with(const char *dir, const char *model_dir, size_t threads,
                           const hone_tuner_options *options) {
    training t = {0};
    hone_config config = {0};
    CHECK_OK(hone_config_load(model_dir, &config));
    CHECK_OK(hone_pool_create(threads, &t.pool));
    CHECK_OK(hone_tuner_create(model_dir, config, options, &t.tuner));
    t.batch = golden_load(join(dir, "batch.safetensors"));
    const hone_tensor *want = golden_tensor(t.batch.file, "labels");
    t.labels = calloc(want->count, sizeof *t.labels);
    t.numbers = calloc(want->count, sizeof *t.numbers);
    for (size_t i = 0; i < want->count; i++) {
        if (want->dtype == HONE_F32)
            t.numbers[i] = (float)golden_f32(want, i);
        else
            t.labels[i] = (int32_t)golden_i64(want, i);
    }
    t.targets = (hone_targets){t.labels, t.numbers};
    size_t total = hone_tuner_params(t.tuner)->total;
    t.m = calloc(total, sizeof *t.m);
    t.v = calloc(total, sizeof *t.v);
    t.values = calloc(total, sizeof *t.values);
    for (size_t i = 0; i < total; i++) t.values[i] = (double)hone_tuner_values(t.tuner)[i];
    json_error_t error;
    t.recipe = json_load_file(join(dir, "losses.json"), 0, &error);
    assert_non_null(t.recipe);
    return t;
}

static training start(const char *dir, const char *model_dir, size_t threads) {
    return start_with(dir, model_dir, threads, &(hone_tuner_options){.seed = 1});
}

static void stop(training *t) {
    json_decref(t->recipe);
    golden_free(&t->batch);
    free(t->labels);
    free(t->numbers);
    free(t->m);
    free(t->v);
    free(t->values);
    hone_tuner_destroy(t->tuner);
    hone_pool_destroy(t->pool);
}

/* The mean loss; the gradient is in the tuner. */
static double backward(training *t) {
    double loss = 0.0;
    double sequences = (double)t->batch.pack.sequences;
    hone_tuner_zero_grads(t->tuner, t->pool);
    CHECK_OK(hone_tuner_check(t->tuner, &t->batch.pack));
    CHECK_OK(hone_tuner_backward(t->tuner, t->pool, &t->batch.pack, t->targets,
                                 (hone_tune_step){.weight = (float)(1.0 / sequences)}, &loss));
    return loss / sequences;
}

static bool is_key_bias(const char *name) {
    return strstr(name, "key.bias") || strstr(name, "k_lin.bias");
}

/* values of every parameter against the tensors of a file. */
static void compare(const training *t, const float *values, const char *path, bool gradients) {
    hone_safetensors *file = NULL;
    CHECK_OK(hone_safetensors_open(path, &file));
    const hone_params *params = hone_tuner_params(t->tuner);
    for (size_t i = 0; i < params->count; i++) {
        const hone_param *p = &params->items[i];
        const hone_tensor *want = p->rank ? hone_safetensors_find(file, p->name) : NULL;
        if (!want) continue; /* PyTorch made no gradient */
        double gap = 0.0, norm = 0.0, most = 0.0;
        for (size_t j = 0; j < p->count; j++) {
            double x = (double)values[p->offset + j], y = golden_f32(want, j);
            gap += (x - y) * (x - y);
            norm += y * y;
            most = fmax(most, fabs(x));
        }
        if (is_key_bias(p->name)) {
            if (gradients && most > 1e-7) fail_msg("%s: %g should be 0", p->name, most);
            continue;
        }
        if (!(sqrt(gap) <= TOLERANCE * sqrt(norm)))
            fail_msg("%s of %s: relative difference %g", p->name, path, sqrt(gap / norm));
    }
    hone_safetensors_close(file);
}

/* torch.optim.AdamW after clip_grad_norm_, the learning rate as the library's linear schedule
 * gives it to step (from 1). */
static void adamw(training *t, int step) {
    const hone_params *params = hone_tuner_params(t->tuner);
    const float *grads = hone_tuner_grads(t->tuner);
    double squares = 0.0;
    for (size_t i = 0; i < params->total; i++) squares += (double)grads[i] * (double)grads[i];
    double clip = fmin(1.0, 1.0 / (sqrt(squares) + 1e-6));
    int at = step - 1, warmup = 3, total = 30;
    double lr = 5e-4 *
                (at < warmup ? (double)at / warmup : (double)(total - at) / (total - warmup));
    double c1 = 1.0 - pow(0.9, step), c2 = 1.0 - pow(0.999, step);
    for (size_t p = 0; p < params->count; p++) {
        const hone_param *param = &params->items[p];
        for (size_t i = param->offset; i < param->offset + param->count; i++) {
            double g = (double)grads[i] * clip;
            if (param->decays) t->values[i] *= 1.0 - lr * 0.01;
            t->m[i] = 0.9 * t->m[i] + 0.1 * g;
            t->v[i] = 0.999 * t->v[i] + 0.001 * g * g;
            t->values[i] -= lr * (t->m[i] / c1) / (sqrt(t->v[i] / c2) + 1e-8);
            hone_tuner_values(t->tuner)[i] = (float)t->values[i];
        }
    }
    hone_tuner_changed(t->tuner);
}

static void follow(const char *dir, const char *model_dir, size_t threads) {
    training t = start(dir, model_dir, threads);
    const json_t *losses = json_object_get(t.recipe, "losses");
    for (int step = 1; step <= (int)json_array_size(losses); step++) {
        double loss = backward(&t);
        double want = json_number_value(json_array_get(losses, (size_t)step - 1));
        if (!(fabs(loss - want) <= TOLERANCE * fabs(want)))
            fail_msg("%s: loss of step %d is %.8g, expected %.8g", dir, step, loss, want);
        if (step == 1) compare(&t, hone_tuner_grads(t.tuner), join(dir, "grads.safetensors"), true);
        adamw(&t, step);
        char name[32];
        (void)snprintf(name, sizeof name, "after%d.safetensors", step);
        if (access(join(dir, name), R_OK) == 0)
            compare(&t, hone_tuner_values(t.tuner), join(dir, name), false);
    }
    stop(&t);
}

static void test_tuner__bert_follows_pytorch(void **state) {
    (void)state;
    follow(GOLDEN("train/bert"), GOLDEN("model/bert"), 1);
}

static void test_tuner__distilbert_follows_pytorch(void **state) {
    (void)state;
    follow(GOLDEN("train/distilbert"), GOLDEN("model/distilbert"), 2);
}

static void test_tuner__regression_follows_pytorch(void **state) {
    (void)state;
    follow(GOLDEN("train/regression"), GOLDEN("train/regression"), 1);
}

static void follow_shared(const char *name, size_t threads) {
    char dir[4096];
    (void)snprintf(dir, sizeof dir, "%s", check_shared(name));
    follow(dir, dir, threads);
}

static void test_tuner__shared_bert_follows_pytorch(void **state) {
    (void)state;
    follow_shared("golden/train/bert", 2);
}

static void test_tuner__shared_distilbert_follows_pytorch(void **state) {
    (void)state;
    follow_shared("golden/train/distilbert", 3);
}

/* Two micro-batches add up to the batch; each weighs 1 / all sequences. */
static void test_tuner__micro_batches_add_up(void **state) {
    (void)state;
    training t = start(GOLDEN("train/bert"), GOLDEN("model/bert"), 1);
    size_t total = hone_tuner_params(t.tuner)->total;
    (void)backward(&t);
    float *whole = calloc(total, sizeof *whole);
    memcpy(whole, hone_tuner_grads(t.tuner), total * sizeof *whole);
    const hone_pack *all = &t.batch.pack;
    size_t half = all->sequences / 2, cut = (size_t)all->starts[half];
    int32_t *late = calloc(all->sequences + 1, sizeof *late);
    for (size_t i = half; i <= all->sequences; i++)
        late[i - half] = all->starts[i] - all->starts[half];
    hone_pack one = {cut, half, all->ids, all->types, all->starts};
    hone_pack two = {all->tokens - cut, all->sequences - half, all->ids + cut, all->types + cut,
                     late};
    hone_tune_step step = {.weight = 1.0F / (float)all->sequences};
    double loss = 0.0;
    hone_tuner_zero_grads(t.tuner, t.pool);
    CHECK_OK(hone_tuner_backward(t.tuner, t.pool, &one, t.targets, step, &loss));
    hone_targets rest = {t.labels + half, NULL};
    CHECK_OK(hone_tuner_backward(t.tuner, t.pool, &two, rest, step, &loss));
    double gap = 0.0, norm = 0.0;
    for (size_t i = 0; i < total; i++) {
        double d = (double)hone_tuner_grads(t.tuner)[i] - (double)whole[i];
        gap += d * d;
        norm += (double)whole[i] * (double)whole[i];
    }
    assert_true(sqrt(gap / norm) < 1e-6);
    free(late);
    free(whole);
    stop(&t);
}

/* With dropout, the gradient is that of the very masks of the forward pass: the loss moves by
 * g.d when the weights move by a small d. In float this holds to some per cent. */
static void test_tuner__dropout_gradient_matches_finite_differences(void **state) {
    (void)state;
    training t = start(GOLDEN("train/bert"), GOLDEN("model/bert"), 2);
    hone_config *config = (hone_config *)(uintptr_t)hone_tuner_config(t.tuner);
    config->hidden_dropout = config->attention_dropout = config->classifier_dropout = 0.2F;
    size_t total = hone_tuner_params(t.tuner)->total;
    float *values = hone_tuner_values(t.tuner);
    hone_tune_step step = {.weight = 1.0F, .dropout = true, .seed = 7, .step = 3};
    double loss = 0.0, lower = 0.0, upper = 0.0, slope = 0.0;
    hone_tuner_zero_grads(t.tuner, t.pool);
    CHECK_OK(hone_tuner_backward(t.tuner, t.pool, &t.batch.pack, t.targets, step, &loss));
    float *direction = calloc(total, sizeof *direction);
    memcpy(direction, hone_tuner_grads(t.tuner), total * sizeof *direction);
    double norm = 0.0;
    for (size_t i = 0; i < total; i++) norm += (double)direction[i] * (double)direction[i];
    double h = 2e-3 / sqrt(norm);
    slope = norm * 2.0 * h;
    for (size_t i = 0; i < total; i++) values[i] = (float)(t.values[i] + h * (double)direction[i]);
    hone_tuner_changed(t.tuner);
    CHECK_OK(hone_tuner_backward(t.tuner, t.pool, &t.batch.pack, t.targets, step, &upper));
    for (size_t i = 0; i < total; i++) values[i] = (float)(t.values[i] - h * (double)direction[i]);
    hone_tuner_changed(t.tuner);
    CHECK_OK(hone_tuner_backward(t.tuner, t.pool, &t.batch.pack, t.targets, step, &lower));
    if (!(fabs((upper - lower) / slope - 1.0) < 0.01))
        fail_msg("loss rose by %g, the gradient said %g", upper - lower, slope);
    free(direction);
    stop(&t);
}

/* The gradient, with dropout, bit for bit, for any number of threads. */
static void test_tuner__threads_do_not_change_a_bit(void **state) {
    (void)state;
    float *first = NULL;
    for (size_t threads = 1; threads <= 7; threads += 3) {
        training t = start(GOLDEN("train/distilbert"), GOLDEN("model/distilbert"), threads);
        hone_config *config = (hone_config *)(uintptr_t)hone_tuner_config(t.tuner);
        config->hidden_dropout = config->attention_dropout = config->classifier_dropout = 0.1F;
        size_t bytes = hone_tuner_params(t.tuner)->total * sizeof(float);
        hone_tune_step step = {.weight = 1.0F, .dropout = true, .seed = 7, .step = 3};
        double loss = 0.0;
        hone_tuner_zero_grads(t.tuner, t.pool);
        CHECK_OK(hone_tuner_backward(t.tuner, t.pool, &t.batch.pack, t.targets, step, &loss));
        if (!first) {
            first = malloc(bytes);
            memcpy(first, hone_tuner_grads(t.tuner), bytes);
        } else {
            assert_memory_equal(first, hone_tuner_grads(t.tuner), bytes);
        }
        stop(&t);
    }
    free(first);
}

/* The gradient of a batch is the same after a longer one has left its rows behind it. */
static void test_tuner__what_another_batch_left_changes_no_bit(void **state) {
    (void)state;
    training t = start(GOLDEN("train/distilbert"), GOLDEN("model/distilbert"), 2);
    size_t bytes = hone_tuner_params(t.tuner)->total * sizeof(float);
    float *first = malloc(bytes);
    assert_non_null(first);
    const hone_pack all = t.batch.pack;
    hone_pack part = all;
    do part.tokens = (size_t)all.starts[--part.sequences];
    while (part.sequences > 1 && part.tokens % HONE_TILE_UNIT == 0);
    assert_true(part.tokens % HONE_TILE_UNIT != 0); /* else no row lies behind its last */
    t.batch.pack = part;
    (void)backward(&t);
    memcpy(first, hone_tuner_grads(t.tuner), bytes);
    t.batch.pack = all;
    (void)backward(&t);
    t.batch.pack = part;
    (void)backward(&t);
    assert_memory_equal(first, hone_tuner_grads(t.tuner), bytes);
    free(first);
    stop(&t);
}

/* The gradient of two different parts with dropout, as a step adds them up. */
static void step_of_two(training *t) {
    hone_config *config = (hone_config *)(uintptr_t)hone_tuner_config(t->tuner);
    config->hidden_dropout = config->attention_dropout = config->classifier_dropout = 0.1F;
    hone_tune_step step = {.weight = 1.0F, .dropout = true, .seed = 7, .step = 3};
    const hone_pack *all = &t->batch.pack;
    hone_pack half = *all;
    half.sequences = all->sequences / 2;
    half.tokens = (size_t)all->starts[half.sequences];
    double loss = 0.0;
    hone_tuner_zero_grads(t->tuner, t->pool);
    CHECK_OK(hone_tuner_backward(t->tuner, t->pool, all, t->targets, step, &loss));
    step.micro = 1;
    CHECK_OK(hone_tuner_backward(t->tuner, t->pool, &half, t->targets, step, &loss));
}

/* Frozen layers and recomputation change memory and time, not a bit of a gradient that is made. */
static void same_gradient(const char *dir, const char *model_dir) {
    training whole = start(dir, model_dir, 1);
    size_t total = hone_tuner_params(whole.tuner)->total;
    size_t layers = hone_tuner_config(whole.tuner)->layers;
    assert_int_equal(hone_tuner_trained(whole.tuner)->first, 0);
    step_of_two(&whole);
    for (size_t frozen = 0; frozen <= layers; frozen++)
        for (int recompute = 0; recompute < 2; recompute++) {
            hone_tuner_options options = {
                .seed = 1, .frozen_layers = frozen, .recompute = recompute == 1};
            training t = start_with(dir, model_dir, 1 + frozen, &options);
            const hone_trained *trained = hone_tuner_trained(t.tuner);
            const hone_param *first =
                &hone_tuner_params(t.tuner)->items[hone_params_layer(frozen, HONE_Q_W)];
            assert_int_equal(trained->first, frozen ? first->offset : 0);
            assert_int_equal(trained->total, total);
            step_of_two(&t);
            assert_memory_equal(hone_tuner_grads(t.tuner),
                                hone_tuner_grads(whole.tuner) + trained->first,
                                (total - trained->first) * sizeof(float));
            stop(&t);
        }
    stop(&whole);
}

static void test_tuner__frozen_and_recomputed_gradients_are_the_same(void **state) {
    (void)state;
    same_gradient(GOLDEN("train/bert"), GOLDEN("model/bert"));
    same_gradient(GOLDEN("train/distilbert"), GOLDEN("model/distilbert"));
}

static void test_tuner__freezes_no_more_layers_than_there_are(void **state) {
    (void)state;
    hone_config config = {0};
    hone_tuner *tuner = NULL;
    CHECK_OK(hone_config_load(GOLDEN("model/bert"), &config));
    hone_tuner_options options = {.frozen_layers = config.layers + 1};
    CHECK_FAILS(hone_tuner_create(GOLDEN("model/bert"), config, &options, &tuner), HONE_E_INVALID,
                "layers to freeze");
}

static void test_tuner__other_labels_get_a_new_head(void **state) {
    (void)state;
    const char *const names[] = {"a", "b", "c", "d", "e"};
    hone_config config = {0};
    hone_tuner *tuner = NULL;
    CHECK_OK(hone_config_load(GOLDEN("model/bert"), &config));
    CHECK_OK(hone_config_set_labels(&config, HONE_SINGLE_LABEL, names, 5));
    CHECK_OK(
        hone_tuner_create(GOLDEN("model/bert"), config, &(hone_tuner_options){.seed = 1}, &tuner));
    assert_true(hone_tuner_has_new_head(tuner));
    assert_int_equal(hone_tuner_config(tuner)->labels, 5);
    hone_tuner_destroy(tuner);
}

static void test_tuner__a_head_grows_by_new_labels(void **state) {
    (void)state;
    const char *names[8];
    hone_config config = {0}, more = {0};
    hone_tuner *old = NULL, *new = NULL;
    CHECK_OK(hone_config_load(GOLDEN("model/bert"), &config));
    CHECK_OK(hone_config_load(GOLDEN("model/bert"), &more));
    size_t count = config.labels;
    for (size_t i = 0; i < count; i++) names[i] = config.label_names[i];
    names[count] = "another";
    CHECK_OK(hone_config_set_labels(&more, HONE_SINGLE_LABEL, names, count + 1));
    CHECK_OK(
        hone_tuner_create(GOLDEN("model/bert"), config, &(hone_tuner_options){.seed = 1}, &old));
    CHECK_OK(hone_tuner_create(GOLDEN("model/bert"), more, &(hone_tuner_options){.seed = 1}, &new));
    assert_false(hone_tuner_has_new_head(new));
    for (int slot = HONE_HEAD_W; slot <= HONE_HEAD_B; slot++) {
        const hone_params *a = hone_tuner_params(old), *b = hone_tuner_params(new);
        const hone_param *p = &a->items[hone_params_head(a, (hone_head_slot)slot)];
        const hone_param *q = &b->items[hone_params_head(b, (hone_head_slot)slot)];
        assert_int_equal(q->count, p->count / count * (count + 1));
        assert_memory_equal(hone_tuner_values(old) + p->offset, hone_tuner_values(new) + q->offset,
                            p->count * sizeof(float));
    }
    const hone_params *b = hone_tuner_params(new);
    const hone_param *w = &b->items[hone_params_head(b, HONE_HEAD_W)];
    const float *row = hone_tuner_values(new) + w->offset + (size_t)w->dims[1] * count;
    float most = 0;
    for (int64_t i = 0; i < w->dims[1]; i++) most = fmaxf(most, fabsf(row[i]));
    assert_true(most > 0 && most < 1); /* drawn, not left 0 */
    hone_tuner_destroy(old);
    hone_tuner_destroy(new);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tuner__bert_follows_pytorch),
        cmocka_unit_test(test_tuner__distilbert_follows_pytorch),
        cmocka_unit_test(test_tuner__regression_follows_pytorch),
        cmocka_unit_test(test_tuner__shared_bert_follows_pytorch),
        cmocka_unit_test(test_tuner__shared_distilbert_follows_pytorch),
        cmocka_unit_test(test_tuner__micro_batches_add_up),
        cmocka_unit_test(test_tuner__dropout_gradient_matches_finite_differences),
        cmocka_unit_test(test_tuner__threads_do_not_change_a_bit),
        cmocka_unit_test(test_tuner__what_another_batch_left_changes_no_bit),
        cmocka_unit_test(test_tuner__frozen_and_recomputed_gradients_are_the_same),
        cmocka_unit_test(test_tuner__freezes_no_more_layers_than_there_are),
        cmocka_unit_test(test_tuner__other_labels_get_a_new_head),
        cmocka_unit_test(test_tuner__a_head_grows_by_new_labels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
