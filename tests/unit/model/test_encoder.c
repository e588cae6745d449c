/* test_encoder.c: hidden states and logits are those of the transformers library.
 *
 * Goldens hold padded batches and their results; here the padding is taken out, the batch is
 * packed, and what remains is compared. The tolerance of 1e-4 is the project's promise; sums
 * in another order and another GELU formula are worth about 1e-6 here. */
#include "golden.h"

#include "model/encoder_impl.h"
#include "model/model.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const double TOLERANCE = 1e-4;

typedef struct running {
    hone_pool *pool;
    hone_model *model;
    hone_session *session;
} running;

static running start_in(hone_dtype dtype, const char *dir, size_t threads) {
    running r = {0};
    CHECK_OK(hone_pool_create(threads, &r.pool));
    CHECK_OK(hone_model_open(dir, dtype, r.pool, &r.model));
    CHECK_OK(hone_session_create(r.model, &r.session));
    return r;
}

static running start(const char *dir, size_t threads) {
    return start_in(HONE_DTYPE_F32, dir, threads);
}

static void stop(running *r) {
    hone_session_destroy(r->session);
    hone_model_close(r->model);
    hone_pool_destroy(r->pool);
}

static void compare_hidden(running *r, const golden_batch *g, const char *dir, size_t layer) {
    char name[32];
    (void)snprintf(name, sizeof name, "hidden.%zu", layer);
    const hone_tensor *want = hone_safetensors_find(g->file, name);
    if (!want) return; /* some goldens hold logits alone */
    size_t dim = hone_model_config(r->model)->hidden;
    const float *hidden = NULL;
    CHECK_OK(hone_model_hidden(r->session, r->pool, &g->pack, layer, &hidden));
    double worst = 0.0;
    for (size_t row = 0; row < g->pack.tokens; row++)
        for (size_t i = 0; i < dim; i++)
            worst = fmax(worst, fabs((double)hidden[row * dim + i] -
                                     golden_f32(want, g->padded_row[row] * dim + i)));
    if (!(worst <= TOLERANCE)) fail_msg("%s: hidden.%zu differs by %g", dir, layer, worst);
}

/* How far the worst logit is from the golden one. */
static double worst_logit(running *r, const golden_batch *g) {
    hone_logits logits;
    CHECK_OK(hone_model_forward(r->session, r->pool, &g->pack, &logits));
    const hone_tensor *want = golden_tensor(g->file, "logits");
    assert_int_equal(logits.count * logits.labels, want->count);
    double worst = 0.0;
    for (size_t i = 0; i < want->count; i++)
        worst = fmax(worst, fabs((double)logits.values[i] - golden_f32(want, i)));
    return worst;
}

static void compare(const char *dir, size_t threads) {
    char path[4200];
    (void)snprintf(path, sizeof path, "%s/cases.safetensors", dir);
    golden_batch g = golden_load(path);
    running r = start(dir, threads);
    CHECK_OK(hone_model_check(r.model, &g.pack));
    for (size_t layer = 0; layer <= hone_model_config(r.model)->layers; layer++)
        compare_hidden(&r, &g, dir, layer);
    double worst = worst_logit(&r, &g);
    if (!(worst <= TOLERANCE)) fail_msg("%s: logits differ by %g", dir, worst);
    stop(&r);
    golden_free(&g);
}

static void test_encoder__agrees_with_transformers(void **state) {
    (void)state;
    compare(GOLDEN("model/bert"), 1);
    compare(GOLDEN("model/distilbert"), 2);
}

static void test_encoder__reads_half_precision_files(void **state) {
    (void)state;
    compare(GOLDEN("model/bert-f16"), 1);
    compare(GOLDEN("model/bert-bf16"), 1);
}

static void test_encoder__agrees_with_shared_bert(void **state) {
    (void)state;
    compare(check_shared("golden/encoder/bert"), 2);
}

static void test_encoder__agrees_with_shared_distilbert(void **state) {
    (void)state;
    compare(check_shared("golden/encoder/distilbert"), 3);
}

/* A rounded input or weight is off by half of 1/255 or 1/127 of its range, which makes the worst
 * logit of bert's golden 0.0045 wrong: four times that is room for other kernels between the
 * products. A logit as near as f32's would not have been through int8 at all. */
static void test_encoder__int8_is_near(void **state) {
    (void)state;
    static const char *const dirs[] = {GOLDEN("model/bert"), GOLDEN("model/distilbert")};
    for (size_t i = 0; i < 2; i++) {
        char path[4200];
        (void)snprintf(path, sizeof path, "%s/cases.safetensors", dirs[i]);
        golden_batch g = golden_load(path);
        running r = start_in(HONE_DTYPE_INT8, dirs[i], 2);
        assert_int_equal(hone_model_dtype(r.model), HONE_DTYPE_INT8);
        double worst = worst_logit(&r, &g);
        if (!(worst <= 0.02 && worst > TOLERANCE / 10.0))
            fail_msg("%s: int8 logits differ by %g", dirs[i], worst);
        stop(&r);
        golden_free(&g);
    }
}

/* A batch long enough for many tiles, its sequences of every length. */
static hone_pack long_batch(size_t positions, int32_t *ids, int32_t *starts) {
    enum { SEQUENCES = 90 };
    starts[0] = 0;
    for (int32_t i = 0; i < SEQUENCES; i++)
        starts[i + 1] = starts[i] + 1 + (i * 7) % (int32_t)positions;
    for (int32_t t = 0; t < starts[SEQUENCES]; t++) ids[t] = 1 + (t * 31) % 90;
    return (hone_pack){(size_t)starts[SEQUENCES], SEQUENCES, ids, NULL, starts};
}

/* The logits of the first `sequences` of it, to *out; how many. */
static size_t logits_of(hone_dtype dtype, size_t sequences, size_t threads, float *out) {
    static int32_t ids[90 * 128], starts[91];
    running r = start_in(dtype, GOLDEN("model/distilbert"), threads);
    hone_pack batch = long_batch(hone_model_config(r.model)->positions, ids, starts);
    batch.sequences = sequences;
    batch.tokens = (size_t)starts[sequences];
    hone_logits logits;
    CHECK_OK(hone_model_forward(r.session, r.pool, &batch, &logits));
    size_t count = logits.count * logits.labels;
    memcpy(out, logits.values, count * sizeof *out);
    stop(&r);
    return count;
}

static void check_threads(hone_dtype dtype, size_t sequences) {
    static float first[90 * 8], other[90 * 8];
    size_t count = logits_of(dtype, sequences, 1, first);
    for (size_t threads = 3; threads <= 7; threads += 2) {
        assert_int_equal(logits_of(dtype, sequences, threads, other), count);
        assert_memory_equal(first, other, count * sizeof *first);
    }
}

/* Of tiles, and of rows so few that their products are shared out. */
static void test_encoder__threads_do_not_change_a_bit(void **state) {
    (void)state;
    static const size_t sequences[] = {90, 3, 1};
    for (size_t i = 0; i < sizeof sequences / sizeof sequences[0]; i++) {
        check_threads(HONE_DTYPE_F32, sequences[i]);
        check_threads(HONE_DTYPE_INT8, sequences[i]);
    }
}

static void test_encoder__a_sequence_does_not_see_its_neighbours(void **state) {
    (void)state;
    static int32_t ids[90 * 128], starts[91];
    running r = start(GOLDEN("model/bert"), 2);
    hone_pack batch = long_batch(hone_model_config(r.model)->positions, ids, starts);
    hone_logits logits;
    CHECK_OK(hone_model_forward(r.session, r.pool, &batch, &logits));
    size_t labels = logits.labels;
    float *together = calloc(batch.sequences * labels, sizeof *together);
    memcpy(together, logits.values, batch.sequences * labels * sizeof *together);
    for (size_t i = 0; i < batch.sequences; i++) {
        int32_t own[2] = {0, starts[i + 1] - starts[i]};
        hone_pack alone = {(size_t)own[1], 1, ids + starts[i], NULL, own};
        CHECK_OK(hone_model_forward(r.session, r.pool, &alone, &logits));
        for (size_t l = 0; l < labels; l++)
            assert_true(fabsf(logits.values[l] - together[i * labels + l]) < 2e-5F);
    }
    free(together);
    stop(&r);
}

static void test_model__opening_twice_shares_the_weights(void **state) {
    (void)state;
    hone_pool *pool = NULL;
    hone_model *one = NULL, *two = NULL, *other = NULL;
    CHECK_OK(hone_pool_create(1, &pool));
    CHECK_OK(hone_model_open(GOLDEN("model/bert"), HONE_DTYPE_F32, pool, &one));
    CHECK_OK(hone_model_open(GOLDEN("model/../model/bert/"), HONE_DTYPE_F32, pool, &two));
    CHECK_OK(hone_model_open(GOLDEN("model/bert"), HONE_DTYPE_INT8, pool, &other));
    assert_ptr_equal(one, two);
    assert_ptr_not_equal(one, other); /* packed in another dtype */
    hone_model_close(other);
    hone_model_close(one);
    assert_true(hone_model_config(two)->hidden > 0);
    hone_model_close(two);
    hone_pool_destroy(pool);
}

/* A folder of this config.json whose weights are a link to those of the golden model. */
static void link_model(const char *dir, const char *name, const char *label, char *out,
                       size_t out_bytes) {
    hone_config c;
    const char *const names[] = {label, "b", "c"};
    char weights[512];
    (void)snprintf(out, out_bytes, "%s/%s", dir, name);
    assert_int_equal(mkdir(out, 0700), 0);
    CHECK_OK(hone_config_load(GOLDEN("model/bert"), &c));
    assert_true(c.labels <= 3);
    CHECK_OK(hone_config_set_labels(&c, HONE_SINGLE_LABEL, names, c.labels));
    CHECK_OK(hone_config_save(&c, out));
    hone_config_done(&c);
    (void)snprintf(weights, sizeof weights, "%s/model.safetensors", out);
    char *target = realpath(GOLDEN("model/bert/model.safetensors"), NULL);
    assert_int_equal(symlink(target, weights), 0);
    free(target);
}

static void test_model__linked_weights_keep_the_labels_of_each_folder(void **state) {
    (void)state;
    char one_dir[256], two_dir[256], *dir = check_tmpdir();
    hone_pool *pool = NULL;
    hone_model *one = NULL, *two = NULL;
    link_model(dir, "one", "good", one_dir, sizeof one_dir);
    link_model(dir, "two", "kind", two_dir, sizeof two_dir);
    CHECK_OK(hone_pool_create(1, &pool));
    CHECK_OK(hone_model_open(one_dir, HONE_DTYPE_F32, pool, &one));
    CHECK_OK(hone_model_open(two_dir, HONE_DTYPE_F32, pool, &two));
    assert_string_equal(hone_model_config(one)->label_names[0], "good");
    assert_string_equal(hone_model_config(two)->label_names[0], "kind");
    hone_model_close(one);
    hone_model_close(two);
    hone_pool_destroy(pool);
    check_rmtree(dir);
}

/* Logits of some tokens by the model of dir, whose packed weights are kept in kept. */
static bool answer(const char *dir, const char *kept, hone_dtype dtype, float logits[3]) {
    static const int32_t ids[] = {2, 9, 5, 31, 7, 3}, starts[] = {0, 6};
    hone_pool *pool = NULL;
    hone_model *model = NULL;
    hone_session *session = NULL;
    hone_logits found;
    CHECK_OK(hone_pool_create(2, &pool));
    CHECK_OK(hone_model_open_kept(dir, dtype, kept, pool, &model));
    CHECK_OK(hone_session_create(model, &session));
    CHECK_OK(hone_model_forward(session, pool, &(hone_pack){6, 1, ids, NULL, starts}, &found));
    assert_true(found.labels <= 3);
    memcpy(logits, found.values, found.labels * sizeof *logits);
    CHECK_OK(hone_model_keep(model));
    bool is_kept = hone_model_is_kept(model);
    hone_session_destroy(session);
    hone_model_close(model);
    hone_pool_destroy(pool);
    return is_kept;
}

/* Flip a byte of every file in dir. */
static void damage_all(const char *dir) {
    DIR *folder = opendir(dir);
    assert_non_null(folder);
    for (const struct dirent *e; (e = readdir(folder));) {
        if (e->d_name[0] == '.') continue;
        char byte;
        int fd = openat(dirfd(folder), e->d_name, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(pread(fd, &byte, 1, 5000), 1);
        byte = (char)~byte;
        assert_int_equal(pwrite(fd, &byte, 1, 5000), 1);
        (void)close(fd);
    }
    (void)closedir(folder);
}

static void test_model__kept_weights_answer_the_same(void **state) {
    (void)state;
    static const char *const dirs[] = {GOLDEN("model/bert"), GOLDEN("model/bert-f16"),
                                       GOLDEN("model/distilbert"), GOLDEN("model/encoder-only")};
    char *kept = check_tmpdir();
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        float first[3] = {0}, second[3] = {0};
        assert_false(answer(dirs[i], kept, HONE_DTYPE_F32, first));
        assert_true(answer(dirs[i], kept, HONE_DTYPE_F32, second));
        assert_memory_equal(first, second, sizeof first);
        damage_all(kept);
        assert_false(answer(dirs[i], kept, HONE_DTYPE_F32, second));
        assert_memory_equal(first, second, sizeof first);
        assert_true(answer(dirs[i], kept, HONE_DTYPE_F32, second)); /* made again */
        assert_memory_equal(first, second, sizeof first);
    }
    check_rmtree(kept);
}

/* One case for each dtype that has kernels: another's packed weights are never taken. */
static void test_model__each_dtype_keeps_its_own(void **state) {
    (void)state;
    char *kept = check_tmpdir();
    for (int dtype = 0; dtype < HONE_DTYPE_COUNT; dtype++) {
        hone_shapes shapes;
        hone_config c;
        CHECK_OK(hone_config_load(GOLDEN("model/bert"), &c));
        hone_err err = hone_shapes_create(&c, (hone_dtype)dtype, &shapes);
        hone_config_done(&c);
        if (hone_failed(err)) continue;
        hone_shapes_done(&shapes);
        float first[3] = {0}, second[3] = {0};
        assert_false(answer(GOLDEN("model/bert"), kept, (hone_dtype)dtype, first));
        assert_true(answer(GOLDEN("model/bert"), kept, (hone_dtype)dtype, second));
        assert_memory_equal(first, second, sizeof first);
    }
    check_rmtree(kept);
}

static void copy_file(const char *from, const char *to) {
    char command[1024];
    (void)snprintf(command, sizeof command, "cp '%s' '%s'", from, to);
    assert_int_equal(system(command), 0);
}

/* Until the file's times have an age that keeping asks for. */
static void await_keeping(const char *dir, const char *kept) {
    float logits[3];
    while (!answer(dir, kept, HONE_DTYPE_F32, logits)) continue;
}

static void test_model__changed_weights_are_packed_anew(void **state) {
    (void)state;
    char dir[256], weights[512], *top = check_tmpdir(), kept[256];
    float before[3] = {0}, after[3] = {0};
    link_model(top, "model", "good", dir, sizeof dir);
    (void)snprintf(kept, sizeof kept, "%s/kept", top);
    (void)snprintf(weights, sizeof weights, "%s/model.safetensors", dir);
    assert_int_equal(unlink(weights), 0);
    copy_file(GOLDEN("model/bert/model.safetensors"), weights);
    await_keeping(dir, kept);
    assert_true(answer(dir, kept, HONE_DTYPE_F32, before));

    struct stat st;
    assert_int_equal(stat(weights, &st), 0);
    int fd = open(weights, O_RDWR | O_CLOEXEC);
    float value = 0.5F;
    /* In place, of the same size and with the same modification time: as rsync and tar do. */
    assert_int_equal(pwrite(fd, &value, sizeof value, st.st_size - 4), sizeof value);
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    assert_int_equal(futimens(fd, times), 0);
    (void)close(fd);
    assert_false(answer(dir, kept, HONE_DTYPE_F32, after));
    check_rmtree(top);
}

/* The file that a pull leaves says more than sizes and times. */
static void test_model__weights_of_other_sums_are_packed_anew(void **state) {
    (void)state;
    char dir[256], sums[512], *top = check_tmpdir(), kept[256];
    float logits[3];
    link_model(top, "model", "good", dir, sizeof dir);
    (void)snprintf(kept, sizeof kept, "%s/kept", top);
    (void)snprintf(sums, sizeof sums, "%s/" HONE_SUMS_NAME, dir);
    CHECK_OK(hone_file_save(sums, HONE_S("one")));
    await_keeping(dir, kept);
    CHECK_OK(hone_file_save(sums, HONE_S("two")));
    assert_false(answer(dir, kept, HONE_DTYPE_F32, logits));
    assert_true(answer(dir, kept, HONE_DTYPE_F32, logits));
    check_rmtree(top);
}

static void test_model__headless_encoder_gets_a_new_head(void **state) {
    (void)state;
    running r = start(GOLDEN("model/encoder-only"), 1);
    int32_t ids[3] = {1, 2, 3}, starts[2] = {0, 3};
    hone_logits logits;
    CHECK_OK(hone_model_forward(r.session, r.pool, &(hone_pack){3, 1, ids, NULL, starts}, &logits));
    for (size_t i = 0; i < logits.labels; i++) assert_true(isfinite(logits.values[i]));
    stop(&r);
}

static void test_model__bad_batches_are_refused(void **state) {
    (void)state;
    running r = start(GOLDEN("model/bert"), 1);
    int32_t ids[200] = {0}, types[200] = {0}, starts[3] = {0, 2, 200};
    ids[1] = 1 << 20;
    hone_pack batch = {200, 2, ids, types, starts};
    CHECK_FAILS(hone_model_check(r.model, &batch), HONE_E_INVALID, "sequence 0: token id 1048576");
    ids[1] = -1;
    CHECK_FAILS(hone_model_check(r.model, &batch), HONE_E_INVALID, "token id -1");
    ids[1] = 0;
    CHECK_FAILS(hone_model_check(r.model, &batch), HONE_E_INVALID, "sequence 1 has 198 tokens");
    starts[2] = 4;
    batch.tokens = 4;
    types[3] = 2;
    CHECK_FAILS(hone_model_check(r.model, &batch), HONE_E_INVALID, "token type 2");
    starts[1] = 0;
    CHECK_FAILS(hone_model_check(r.model, &batch), HONE_E_INVALID, "sequence 0 has no tokens");
    batch.sequences = 0;
    CHECK_FAILS(hone_model_check(r.model, &batch), HONE_E_INVALID, "empty batch");
    stop(&r);
}

static void test_model__a_missing_folder_is_named(void **state) {
    (void)state;
    hone_pool *pool = NULL;
    hone_model *model = NULL;
    CHECK_OK(hone_pool_create(1, &pool));
    CHECK_FAILS(hone_model_open("/no/such/folder", HONE_DTYPE_F32, pool, &model), HONE_E_NOT_FOUND,
                "/no/such/folder");
    assert_null(model);
    hone_pool_destroy(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoder__agrees_with_transformers),
        cmocka_unit_test(test_encoder__reads_half_precision_files),
        cmocka_unit_test(test_encoder__agrees_with_shared_bert),
        cmocka_unit_test(test_encoder__agrees_with_shared_distilbert),
        cmocka_unit_test(test_encoder__int8_is_near),
        cmocka_unit_test(test_encoder__threads_do_not_change_a_bit),
        cmocka_unit_test(test_encoder__a_sequence_does_not_see_its_neighbours),
        cmocka_unit_test(test_model__opening_twice_shares_the_weights),
        cmocka_unit_test(test_model__linked_weights_keep_the_labels_of_each_folder),
        cmocka_unit_test(test_model__kept_weights_answer_the_same),
        cmocka_unit_test(test_model__each_dtype_keeps_its_own),
        cmocka_unit_test(test_model__changed_weights_are_packed_anew),
        cmocka_unit_test(test_model__weights_of_other_sums_are_packed_anew),
        cmocka_unit_test(test_model__headless_encoder_gets_a_new_head),
        cmocka_unit_test(test_model__bad_batches_are_refused),
        cmocka_unit_test(test_model__a_missing_folder_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
