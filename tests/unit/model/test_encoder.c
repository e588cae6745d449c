/* test_encoder.c: hidden states and logits are those of the transformers library.
 *
 * Goldens hold padded batches and their results; here the padding is taken out, the batch is
 * packed, and what remains is compared. The tolerance of 1e-4 is the project's promise; sums
 * in another order and another GELU formula are worth about 1e-5 here. */
#include "check.h"

#include "model/model.h"
#include "model/safetensors.h"

#include <math.h>
#include <unistd.h>

static const double TOLERANCE = 1e-4;

typedef struct cases {
    hone_safetensors *file;
    size_t batch, width; /* of the padded matrices */
    hone_pack pack;
    int32_t *ids, *types, *starts;
    size_t *padded_row; /* [tokens]: where a packed row is in the padded matrix */
} cases;

static int64_t at_i64(const hone_tensor *t, size_t index) {
    int64_t value;
    memcpy(&value, (const char *)t->data + 8 * index, 8);
    return value;
}

static double at_f32(const hone_tensor *t, size_t index) {
    float value;
    memcpy(&value, (const char *)t->data + 4 * index, 4);
    return (double)value;
}

static const hone_tensor *tensor(const cases *c, const char *name) {
    const hone_tensor *t = hone_safetensors_find(c->file, name);
    if (!t) fail_msg("golden has no %s", name);
    return t;
}

static cases load_cases(const char *path) {
    cases c = {0};
    CHECK_OK(hone_safetensors_open(path, &c.file));
    const hone_tensor *ids = tensor(&c, "ids"), *mask = tensor(&c, "mask");
    const hone_tensor *types = tensor(&c, "types");
    c.batch = (size_t)ids->dims[0];
    c.width = (size_t)ids->dims[1];
    size_t most = c.batch * c.width, tokens = 0;
    c.ids = calloc(most, sizeof *c.ids);
    c.types = calloc(most, sizeof *c.types);
    c.starts = calloc(c.batch + 1, sizeof *c.starts);
    c.padded_row = calloc(most, sizeof *c.padded_row);
    for (size_t b = 0; b < c.batch; b++) {
        for (size_t i = b * c.width; i < (b + 1) * c.width; i++) {
            if (at_i64(mask, i) == 0) continue;
            c.ids[tokens] = (int32_t)at_i64(ids, i);
            c.types[tokens] = (int32_t)at_i64(types, i);
            c.padded_row[tokens++] = i;
        }
        c.starts[b + 1] = (int32_t)tokens;
    }
    c.pack = (hone_pack){tokens, c.batch, c.ids, c.types, c.starts};
    return c;
}

static void free_cases(cases *c) {
    free(c->ids);
    free(c->types);
    free(c->starts);
    free(c->padded_row);
    hone_safetensors_close(c->file);
}

static double worst_hidden(const cases *c, size_t layer, const float *hidden, size_t dim) {
    char name[32];
    (void)snprintf(name, sizeof name, "hidden.%zu", layer);
    const hone_tensor *want = tensor(c, name);
    double worst = 0.0;
    for (size_t row = 0; row < c->pack.tokens; row++)
        for (size_t i = 0; i < dim; i++)
            worst = fmax(worst, fabs((double)hidden[row * dim + i] -
                                     at_f32(want, c->padded_row[row] * dim + i)));
    return worst;
}

static void compare(const char *dir, size_t threads) {
    char path[512];
    (void)snprintf(path, sizeof path, "%s/cases.safetensors", dir);
    cases c = load_cases(path);
    hone_pool *pool = NULL;
    hone_model *model = NULL;
    hone_session *session = NULL;
    CHECK_OK(hone_pool_create(threads, &pool));
    CHECK_OK(hone_model_open(dir, pool, &model));
    CHECK_OK(hone_session_create(model, &session));
    CHECK_OK(hone_model_check(model, &c.pack));
    const hone_config *config = hone_model_config(model);
    for (size_t layer = 0; layer <= config->layers; layer++) {
        const float *hidden = NULL;
        CHECK_OK(hone_model_hidden(session, pool, &c.pack, layer, &hidden));
        double worst = worst_hidden(&c, layer, hidden, config->hidden);
        if (!(worst <= TOLERANCE)) fail_msg("%s: hidden.%zu differs by %g", dir, layer, worst);
    }
    hone_logits logits;
    CHECK_OK(hone_model_forward(session, pool, &c.pack, &logits));
    const hone_tensor *want = tensor(&c, "logits");
    double worst = 0.0;
    assert_int_equal(logits.count * logits.labels, want->count);
    for (size_t i = 0; i < want->count; i++)
        worst = fmax(worst, fabs((double)logits.values[i] - at_f32(want, i)));
    printf("# %s: logits differ by %.2g\n", dir, worst);
    if (!(worst <= TOLERANCE)) fail_msg("%s: logits differ by %g", dir, worst);
    hone_session_destroy(session);
    hone_model_close(model);
    hone_pool_destroy(pool);
    free_cases(&c);
}

static void test_encoder__shared(void **state) {
    (void)state;
    compare("/work/shared/golden/encoder/bert", 2);
    compare("/work/shared/golden/encoder/distilbert", 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_encoder__shared)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
