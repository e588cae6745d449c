/* test_run.c: what a run promises: the same bytes for any number of threads and after a kill,
 * the best epoch's weights, a complete folder or nothing, errors before the training. */
#include "tiny.h"

#include "base/file.h"
#include "train/run.h"

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static const char *const polar[] = {"pos", "neg"};
static const char *const numbers[] = {"1.5", "-0.5"};
static const char *const defaults[] = {"LABEL_0", "LABEL_1", "LABEL_2"};

typedef struct fixture {
    const char *dir;
    char base[128], out[128], checkpoint[128];
    hone_arena *arena;
    hone_dataset train, eval;
    hone_run_options options;
    char notes[1024];
    size_t kill_at; /* step after which the process is killed; 0 = never */
} fixture;

/* Note what the run says; with kill_at, die there. */
static void hear(void *ctx, const char *sentence) {
    fixture *f = ctx;
    (void)strncat(f->notes, sentence, sizeof f->notes - strlen(f->notes) - 1);
}

static void see_step(void *ctx, const hone_run_progress *p) {
    const fixture *f = ctx;
    assert_true(isfinite(p->loss) && p->left_s >= 0 && p->tokens_per_s > 0);
    assert_true(p->step >= 1 && p->step <= p->steps && p->epoch <= p->epochs);
    if (f->kill_at && p->step == f->kill_at) (void)kill(getpid(), SIGKILL);
}

static void set_up(fixture *f) {
    *f = (fixture){.dir = check_tmpdir()};
    tiny_base(f->dir);
    (void)snprintf(f->base, sizeof f->base, "%s/base", f->dir);
    (void)snprintf(f->out, sizeof f->out, "%s/out", f->dir);
    (void)snprintf(f->checkpoint, sizeof f->checkpoint, "%s/out.checkpoint", f->dir);
    CHECK_OK(hone_arena_create((size_t)1 << 30, &f->arena));
    f->train = tiny_data(f->arena, 75, 0, polar, 2);
    f->eval = tiny_data(f->arena, 20, 1000, polar, 2);
    f->options = hone_run_defaults();
    f->options.base = f->base;
    f->options.out = f->out;
    f->options.epochs = 2;
    f->options.batch_size = 16;
    f->options.micro_tokens = 40; /* several parts a batch */
    f->options.lr = 2e-3;
    f->options.dropout = 0.1;
}

static void tear_down(fixture *f) {
    hone_arena_destroy(f->arena);
    check_rmtree(f->dir);
}

static hone_err run(fixture *f, size_t threads, bool with_eval, hone_run_result *result) {
    hone_pool *pool = NULL;
    CHECK_OK(hone_pool_create(threads, &pool));
    hone_run_watch watch = {f, see_step, NULL, hear};
    hone_err err = hone_run(f->arena, pool, &f->options, &f->train, with_eval ? &f->eval : NULL,
                            &watch, result);
    hone_pool_destroy(pool);
    return err;
}

static hone_str load(fixture *f, const char *name) {
    char path[256];
    hone_str bytes;
    (void)snprintf(path, sizeof path, "%s/%s", f->out, name);
    CHECK_OK(hone_file_load(f->arena, path, 1 << 20, &bytes));
    return bytes;
}

static size_t count_names(const char *path) {
    DIR *dir = opendir(path);
    size_t count = 0;
    assert_non_null(dir);
    for (const struct dirent *e; (e = readdir(dir));) count += e->d_name[0] != '.';
    (void)closedir(dir);
    return count;
}

static void check_same(hone_str a, hone_str b, const char *what, size_t n) {
    if (!hone_str_equal(a, b)) fail_msg("%s %zu: the weights differ", what, n);
}

static void test_run__threads_do_not_change_a_byte(void **state) {
    (void)state;
    static const size_t threads[] = {1, 2, 3, 7};
    fixture f;
    hone_run_result result;
    set_up(&f);
    hone_str first = {NULL, 0};
    for (size_t i = 0; i < 4; i++) {
        CHECK_OK(run(&f, threads[i], true, &result));
        hone_str bytes = load(&f, "model.safetensors");
        if (i == 0) first = bytes;
        check_same(first, bytes, "threads", threads[i]);
    }
    tear_down(&f);
}

static void test_run__other_seed_other_bytes(void **state) {
    (void)state;
    fixture f;
    hone_run_result result;
    set_up(&f);
    CHECK_OK(run(&f, 2, false, &result));
    hone_str first = load(&f, "model.safetensors");
    f.options.seed++;
    CHECK_OK(run(&f, 2, false, &result));
    assert_false(hone_str_equal(first, load(&f, "model.safetensors")));
    tear_down(&f);
}

/* Start the run in a process of its own that is killed after the given step. */
static void run_and_kill(fixture *f, size_t step) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        hone_run_result result;
        f->kill_at = step;
        hone_err err = run(f, 2, true, &result);
        _exit(hone_failed(err) ? 1 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* 75 texts in batches of 16: 5 steps an epoch, the last of each short. */
static void test_run__killed_and_resumed_gives_the_same_bytes(void **state) {
    (void)state;
    static const size_t steps[] = {1, 2, 4, 5, 6, 9, 10};
    fixture f;
    hone_run_result whole, result;
    set_up(&f);
    f.options.patience = 2;
    CHECK_OK(run(&f, 3, true, &whole));
    hone_str first = load(&f, "model.safetensors");
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        f.options.checkpoint_steps = 1 + i % 2; /* not every kill is right behind a checkpoint */
        run_and_kill(&f, steps[i]);
        f.notes[0] = '\0';
        CHECK_OK(run(&f, 1, true, &result));
        check_same(first, load(&f, "model.safetensors"), "killed at step", steps[i]);
        if (steps[i] > 2 && !strstr(f.notes, "resumed after step")) fail_msg("began anew");
        assert_true(result.metrics.accuracy == whole.metrics.accuracy);
        assert_true(result.metrics.classes[0].f1 == whole.metrics.classes[0].f1);
        assert_true(result.epochs[0].train_loss == whole.epochs[0].train_loss);
        assert_true(result.epochs[1].loss == whole.epochs[1].loss);
        assert_int_equal(result.kept_epoch, whole.kept_epoch);
        assert_false(hone_file_exists(f.checkpoint));
    }
    tear_down(&f);
}

/* Found out when the run is taken up, not when it is done. */
static void test_run__a_kept_epoch_that_is_gone(void **state) {
    (void)state;
    fixture f;
    hone_run_result result;
    char best[160];
    set_up(&f);
    (void)snprintf(best, sizeof best, "%s.best", f.out);
    f.options.patience = 2;
    f.options.checkpoint_steps = 1;
    run_and_kill(&f, 7);
    assert_int_equal(unlink(best), 0);
    CHECK_FAILS(run(&f, 1, true, &result), HONE_E_NOT_FOUND, "out.best");
    assert_true(hone_file_exists(f.checkpoint));
    f.options.checkpoint_steps = 0;
    assert_int_equal(unlink(f.checkpoint), 0);
    CHECK_OK(run(&f, 1, true, &result));
    assert_false(hone_file_exists(best));
    tear_down(&f);
}

static void test_run__checkpoint_of_other_options_is_refused(void **state) {
    (void)state;
    fixture f;
    hone_run_result result;
    set_up(&f);
    f.options.checkpoint_steps = 1;
    run_and_kill(&f, 3);
    f.options.lr = 1e-3;
    CHECK_FAILS(run(&f, 1, true, &result), HONE_E_CONFLICT, "a run with other options");
    f.options.lr = 2e-3;
    f.train.count--;
    CHECK_FAILS(run(&f, 1, true, &result), HONE_E_CONFLICT, "a run with other training data");
    f.train.count++;
    CHECK_FAILS(run(&f, 1, false, &result), HONE_E_CONFLICT, "a run with other evaluation data");
    CHECK_OK(run(&f, 1, true, &result));
    tear_down(&f);
}

static void test_run__learns_and_measures(void **state) {
    (void)state;
    fixture f;
    hone_run_result result;
    set_up(&f);
    f.options.epochs = 8;
    f.options.dropout = 0;
    CHECK_OK(run(&f, 2, true, &result));
    if (!(result.metrics.accuracy >= 0.9)) fail_msg("accuracy %g", result.metrics.accuracy);
    assert_true(result.epochs[7].train_loss < result.epochs[0].train_loss / 2);
    assert_int_equal(result.steps, 40);
    assert_int_equal(result.epoch_count, 8);
    assert_int_equal(result.kept_epoch, 8);
    assert_int_equal(result.metrics.count, 20);
    assert_string_equal(result.labels.names[0], "neg"); /* sorted */
    assert_true(result.examples_per_s > 0 && result.tokens_per_s > result.examples_per_s);
    assert_non_null(strstr(f.notes, "a new one"));
    tear_down(&f);
}

/* The evaluation says the opposite of the training: the first epochs are the best. */
static void test_run__patience_keeps_the_best_epoch(void **state) {
    (void)state;
    static const char *const opposite[] = {"neg", "pos"};
    fixture f;
    hone_run_result result, again;
    set_up(&f);
    f.eval = tiny_data(f.arena, 75, 0, opposite, 2);
    f.options.epochs = 12;
    f.options.dropout = 0;
    f.options.warmup = 0;
    f.options.patience = 2;
    CHECK_OK(run(&f, 2, true, &result));
    assert_true(result.epoch_count < 12);
    assert_int_equal(result.kept_epoch + 2, result.epoch_count);
    assert_true(result.metrics.accuracy == result.epochs[result.kept_epoch - 1].accuracy);
    for (size_t i = 0; i < result.epoch_count; i++)
        assert_true(result.epochs[i].accuracy <= result.metrics.accuracy);
    assert_non_null(strstr(f.notes, "stopped: no better for 2 epochs"));

    /* The saved weights are those of that epoch: trained no further, they measure the same. */
    f.options.base = f.out;
    f.options.epochs = 1;
    f.options.lr = 0;
    f.options.patience = 0;
    CHECK_OK(run(&f, 2, true, &again));
    assert_true(again.metrics.loss == result.metrics.loss);
    tear_down(&f);
}

static void test_run__parts_add_up_to_the_batch(void **state) {
    (void)state;
    fixture f;
    hone_run_result parts, whole;
    set_up(&f);
    f.options.dropout = 0;
    CHECK_OK(run(&f, 2, true, &parts));
    f.options.micro_tokens = 4096;
    CHECK_OK(run(&f, 2, true, &whole));
    assert_true(fabs(parts.metrics.loss - whole.metrics.loss) < 1e-4);
    assert_true(fabs(parts.epochs[0].train_loss - whole.epochs[0].train_loss) < 1e-4);
    tear_down(&f);
}

static void test_run__regression_learns_numbers(void **state) {
    (void)state;
    fixture f;
    hone_run_result result;
    set_up(&f);
    f.train = tiny_data(f.arena, 75, 0, numbers, 2);
    f.eval = tiny_data(f.arena, 20, 1000, numbers, 2);
    f.options.problem = HONE_REGRESSION;
    f.options.epochs = 20;
    f.options.dropout = 0;
    CHECK_OK(run(&f, 2, true, &result));
    if (!(result.metrics.mse < 0.5)) fail_msg("mse %g", result.metrics.mse); /* the mean: 1 */
    assert_true(result.metrics.pearson > 0.8);
    assert_true(result.metrics.loss == result.metrics.mse);
    assert_int_equal(result.labels.count, 1);
    assert_non_null(strstr(load(&f, "config.json").ptr, "\"regression\""));
    tear_down(&f);
}

static void test_run__same_labels_keep_the_head(void **state) {
    (void)state;
    fixture f;
    hone_run_result result;
    set_up(&f);
    f.train = tiny_data(f.arena, 30, 0, polar, 2);
    CHECK_OK(run(&f, 1, false, &result));
    f.notes[0] = '\0';
    f.options.base = f.out;
    CHECK_OK(run(&f, 1, false, &result)); /* replaces its own base */
    assert_string_equal(f.notes, "");
    f.train = tiny_data(f.arena, 30, 0, numbers, 2);
    CHECK_OK(run(&f, 1, false, &result));
    assert_non_null(strstr(f.notes, "a new one"));
    f.notes[0] = '\0';
    f.options.base = f.base; /* three labels by default names */
    f.train = tiny_data(f.arena, 3, 0, defaults, 2);
    CHECK_OK(run(&f, 1, false, &result));
    assert_non_null(strstr(f.notes, "a new one"));
    tear_down(&f);
}

static void test_run__label_ids_last_from_version_to_version(void **state) {
    (void)state;
    static const char *const first[] = {"zeta", "alpha"}, *const more[] = {"alpha", "mid", "zeta"};
    fixture f;
    hone_run_result result;
    set_up(&f);
    f.options.labels = (hone_labels){2, first};
    f.train = tiny_data(f.arena, 30, 0, first, 2);
    CHECK_OK(run(&f, 1, false, &result));
    assert_string_equal(result.labels.names[0], "zeta"); /* not sorted: as the parent had it */
    f.notes[0] = '\0';
    f.options.base = f.out;
    f.options.labels = result.labels;
    f.train = tiny_data(f.arena, 30, 0, more, 3);
    CHECK_OK(run(&f, 1, false, &result));
    assert_string_equal(f.notes, ""); /* the head was kept, and has grown */
    assert_int_equal(result.labels.count, 3);
    assert_string_equal(result.labels.names[0], "zeta");
    assert_string_equal(result.labels.names[1], "alpha");
    assert_string_equal(result.labels.names[2], "mid");
    assert_non_null(strstr(load(&f, "config.json").ptr, "\"0\": \"zeta\""));
    tear_down(&f);
}

static void test_run__folder_is_complete(void **state) {
    (void)state;
    fixture f;
    hone_run_result result;
    set_up(&f);
    CHECK_OK(run(&f, 2, false, &result));
    assert_false(result.has_metrics);
    assert_int_equal(count_names(f.out), 3); /* config.json, model.safetensors, vocab.txt */
    assert_int_equal(count_names(f.dir), 2); /* base, out */
    hone_str config = load(&f, "config.json");
    assert_non_null(strstr(config.ptr, "\"0\": \"neg\""));
    assert_non_null(strstr(config.ptr, "\"BertForSequenceClassification\""));
    assert_non_null(strstr(config.ptr, "\"hidden_dropout_prob\": 0.0")); /* the base's, still */
    assert_true(load(&f, "vocab.txt").len > 100);
    tear_down(&f);
}

typedef struct refusal {
    const char *what;
    void (*spoil)(fixture *f);
    hone_code code;
    const char *message;
} refusal;

static void no_epochs(fixture *f) { f->options.epochs = 0; }
static void negative_rate(fixture *f) { f->options.lr = -1; }
static void full_dropout(fixture *f) { f->options.dropout = 1; }
static void no_base(fixture *f) { f->options.base = "/nowhere"; }
static void no_parent(fixture *f) { f->options.out = "/nowhere/out"; }
static void out_is_work(fixture *f) { f->options.out = f->dir; }
static void one_class(fixture *f) { f->train = tiny_data(f->arena, 9, 0, polar, 1); }
static void unknown_label(fixture *f) { f->eval = tiny_data(f->arena, 9, 0, defaults, 2); }
static void no_numbers(fixture *f) { f->options.problem = HONE_REGRESSION; }
static void too_short(fixture *f) { f->options.max_length = 1; }
static void wild_rate(fixture *f) {
    f->options.lr = 10;
    f->options.clip = 0;
    f->options.warmup = 0;
    f->options.weight_decay = 10;
    f->options.epochs = 200;
}
static void no_tokenizer(fixture *f) {
    char path[256];
    (void)snprintf(path, sizeof path, "%s/vocab.txt", f->base);
    assert_int_equal(unlink(path), 0);
}

static void test_run__refuses_and_leaves_nothing(void **state) {
    (void)state;
    static const refusal cases[] = {
        {"no epochs", no_epochs, HONE_E_INVALID, "epochs is 0, expected 1"},
        {"negative rate", negative_rate, HONE_E_INVALID, "learning rate is -1"},
        {"dropout 1", full_dropout, HONE_E_INVALID, "dropout is 1"},
        {"no base", no_base, HONE_E_NOT_FOUND, "/nowhere"},
        {"no place for out", no_parent, HONE_E_NOT_FOUND, "/nowhere/out"},
        {"out holds something else", out_is_work, HONE_E_CONFLICT, "is no model folder"},
        {"one class", one_class, HONE_E_INVALID, "one class only, 'pos'"},
        {"unknown label", unknown_label, HONE_E_INVALID, "label 'LABEL_0' is none of the 2 known"},
        {"no numbers", no_numbers, HONE_E_INVALID, "label 'pos' is no number"},
        {"no room", too_short, HONE_E_INVALID, "line 1"},
        {"no tokenizer", no_tokenizer, HONE_E_NOT_FOUND, "tokenizer"},
        {"diverges", wild_rate, HONE_E_INVALID, "is not finite"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fixture f;
        hone_run_result result;
        set_up(&f);
        cases[i].spoil(&f);
        hone_err err = run(&f, 1, true, &result);
        if (err.code != cases[i].code || !err.msg || !strstr(err.msg, cases[i].message))
            fail_msg("%s: code %d '%s'", cases[i].what, (int)err.code, err.msg);
        assert_int_equal(count_names(f.dir), 1); /* base */
        tear_down(&f);
    }
}

static void test_run__patience_needs_an_evaluation(void **state) {
    (void)state;
    fixture f;
    hone_run_result result;
    set_up(&f);
    f.options.patience = 1;
    CHECK_FAILS(run(&f, 1, false, &result), HONE_E_INVALID, "patience needs");
    tear_down(&f);
}

/* Files may not grow beyond limit_bytes, as on a full disk. */
static int run_on_full_disk(fixture *f, rlim_t limit_bytes) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        hone_run_result result;
        struct rlimit limit = {limit_bytes, limit_bytes};
        (void)signal(SIGXFSZ, SIG_IGN);
        (void)setrlimit(RLIMIT_FSIZE, &limit);
        hone_err err = run(f, 1, false, &result);
        _exit(err.code == HONE_E_IO ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void test_run__full_disk_leaves_nothing(void **state) {
    (void)state;
    static const rlim_t limits[] = {0, 100, 1000, 60000};
    for (size_t i = 0; i < 4; i++) {
        fixture f;
        set_up(&f);
        f.options.checkpoint_steps = i % 2 * 3; /* the checkpoint meets it first, or the folder */
        assert_int_equal(run_on_full_disk(&f, limits[i]), 0);
        assert_int_equal(count_names(f.dir), 1);
        tear_down(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run__threads_do_not_change_a_byte),
        cmocka_unit_test(test_run__other_seed_other_bytes),
        cmocka_unit_test(test_run__killed_and_resumed_gives_the_same_bytes),
        cmocka_unit_test(test_run__a_kept_epoch_that_is_gone),
        cmocka_unit_test(test_run__checkpoint_of_other_options_is_refused),
        cmocka_unit_test(test_run__learns_and_measures),
        cmocka_unit_test(test_run__patience_keeps_the_best_epoch),
        cmocka_unit_test(test_run__parts_add_up_to_the_batch),
        cmocka_unit_test(test_run__regression_learns_numbers),
        cmocka_unit_test(test_run__same_labels_keep_the_head),
        cmocka_unit_test(test_run__label_ids_last_from_version_to_version),
        cmocka_unit_test(test_run__folder_is_complete),
        cmocka_unit_test(test_run__refuses_and_leaves_nothing),
        cmocka_unit_test(test_run__patience_needs_an_evaluation),
        cmocka_unit_test(test_run__full_disk_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
