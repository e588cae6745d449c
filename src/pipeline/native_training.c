/* native_training.c: the built-in trainer: channels and a model to start from in, model.tar.gz and
 * its figures out.
 *
 *     base, or parent version --unpack--> folder --hone_run--> out/model/ --pack--> model.tar.gz
 *
 * Label ids are those of the parent version, whatever the run starts from; new labels follow. */
#include "base/clock.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/pool.h"
#include "model/config.h"
#include "pipeline/native.h"
#include "pipeline/native_impl.h"
#include "registry/artifact.h"
#include "train/run.h"

#include <stdio.h>

static const double warmup_default = 0.1; /* share of the steps */
static const int64_t progress_interval_ns = 500000000;

/* A training under way. */
typedef struct training {
    hone_native *job;
    hone_training settings;
    const char *parent_dir; /* unpacked; NULL = not brought along */
    hone_dataset train, test;
    bool has_test;
    hone_run_result run;
    int64_t shown_ns;
} training;

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory for a training"); }

/* --- what to start from ------------------------------------------------------------- */

/* The model.tar.gz of an input, unpacked into FOLDER/NAME; NULL when the input is not there. A
 * folder that stands there is whole: it appeared in one step. */
static hone_err unpack(const training *t, const char *name, const char **out) {
    const json_t *file = json_array_get(hone_native_files(t->job, name), 0);
    if (!file) return HONE_OK;
    const char *dir = hone_native_path(t->job, name);
    const char *path = hone_native_path(t->job, json_string_value(json_object_get(file, "path")));
    if (!dir || !path) return no_memory();
    if (!hone_file_exists(dir)) {
        hone_err err = hone_artifact_unpack(path, dir);
        if (hone_failed(err))
            return hone_err_wrap(err, "%s", json_string_value(json_object_get(file, "uri")));
    }
    *out = dir;
    return HONE_OK;
}

static hone_err find_base(training *t) {
    const char *start = json_string_value(json_object_get(t->job->spec, "start"));
    const char *dir = NULL;
    HONE_TRY(unpack(t, "parent", &t->parent_dir));
    if (start && strcmp(start, "parent") == 0) {
        if (!t->parent_dir)
            return hone_err_new(HONE_E_NOT_FOUND, "the parent version is not there");
        t->settings.run.base = t->parent_dir;
        return HONE_OK;
    }
    HONE_TRY(unpack(t, "model", &dir));
    if (!dir) {
        hone_native_progress(t->job, 0, -1, -1, "getting the base model");
        HONE_TRY(t->job->find_model(t->job->ctx, t->job->arena, t->settings.model_name, &dir));
    }
    t->settings.run.base = dir;
    return HONE_OK;
}

/* --- labels ------------------------------------------------------------------------- */

static hone_err labels_of_list(const training *t, const json_t *list, hone_labels *out) {
    size_t count = json_array_size(list), i = 0;
    json_t *item = NULL;
    const char **names = hone_arena_alloc(t->job->arena, count + 1, sizeof *names);
    if (!names) return no_memory();
    json_array_foreach(list, i, item) {
        names[i] = json_string_value(item);
        if (!names[i]) return hone_err_new(HONE_E_CORRUPT, "a label of the parent is no string");
    }
    *out = (hone_labels){count, names};
    return HONE_OK;
}

static hone_err labels_of_folder(const training *t, hone_labels *out) {
    hone_config config = {0};
    HONE_TRY(hone_config_load(t->parent_dir, &config));
    hone_err err = HONE_OK;
    const char **names = hone_arena_alloc(t->job->arena, config.labels, sizeof *names);
    for (size_t i = 0; names && i < config.labels; i++)
        names[i] = hone_arena_strdup(t->job->arena, hone_str_of(config.label_names[i]));
    if (!names || !names[config.labels - 1])
        err = no_memory();
    else if (config.problem == HONE_SINGLE_LABEL)
        *out = (hone_labels){config.labels, names};
    hone_config_done(&config);
    return err;
}

static hone_err choose_labels(training *t) {
    const json_t *parent = json_object_get(t->job->spec, "parent");
    const json_t *list = json_object_get(parent, "labels");
    if (!parent) return HONE_OK;
    if (list) HONE_TRY(labels_of_list(t, list, &t->settings.run.labels));
    if (!list && t->parent_dir) HONE_TRY(labels_of_folder(t, &t->settings.run.labels));
    fprintf(stderr, "label ids of %s are kept\n",
            json_string_value(json_object_get(parent, "arn")));
    return HONE_OK;
}

/* --- data --------------------------------------------------------------------------- */

static hone_err import_channel(const training *t, const char *channel, hone_dataset *out,
                               bool *is_there) {
    const json_t *files = hone_native_files(t->job, channel);
    size_t count = json_array_size(files), i = 0;
    json_t *file = NULL;
    *is_there = count > 0;
    if (count == 0) return HONE_OK;
    hone_dataset *parts = hone_arena_alloc(t->job->arena, count, sizeof *parts);
    if (!parts) return no_memory();
    json_array_foreach(files, i, file) {
        const char *uri = json_string_value(json_object_get(file, "uri"));
        const char *path = hone_native_path(t->job,
                                            json_string_value(json_object_get(file, "path")));
        if (!path) return no_memory();
        hone_err err = hone_import_file(t->job->arena, path, &t->settings.import, &parts[i]);
        if (hone_failed(err)) return hone_err_wrap(err, "channel '%s': %s", channel, uri);
        parts[i].name = uri;
    }
    HONE_TRY(hone_dataset_join(t->job->arena, parts, count, out));
    fprintf(stderr, "channel '%s': %zu records\n", channel, out->count);
    return HONE_OK;
}

/* A warm-up that is longer than the run would never reach the learning rate: the founding example
 * asks for 500 of 157 steps. */
static void cap_warmup(training *t) {
    hone_run_options *r = &t->settings.run;
    size_t steps = (t->train.count + r->batch_size - 1) / r->batch_size * r->epochs;
    if (!t->settings.has_warmup) {
        r->warmup = warmup_default;
    } else if (r->warmup >= (double)steps) {
        fprintf(stderr,
                "warning: warmup_steps %.0f, but the run has %zu steps: the first %.0f %% of them "
                "are taken instead\n",
                r->warmup, steps, warmup_default * 100);
        r->warmup = warmup_default;
    }
}

/* --- the run ------------------------------------------------------------------------ */

static void show_step(void *ctx, const hone_run_progress *p) {
    training *t = ctx;
    char message[120];
    int64_t now_ns = hone_clock_ns();
    if (now_ns - t->shown_ns < progress_interval_ns && p->step < p->steps) return;
    t->shown_ns = now_ns;
    (void)snprintf(message, sizeof message, "epoch %zu of %zu, step %zu of %zu", p->epoch,
                   p->epochs, p->step, p->steps);
    hone_native_progress(t->job, (double)p->step / (double)p->steps, p->loss, p->left_s, message);
}

static void show_epoch(void *ctx, size_t epoch, const hone_epoch *e) {
    const training *t = ctx;
    fprintf(stderr, "epoch %zu: training loss %.4f in %.1f s", epoch, e->train_loss, e->seconds);
    if (t->has_test)
        fprintf(stderr, "; test loss %.4f, accuracy %.4f, macro-F1 %.4f", e->loss, e->accuracy,
                e->macro_f1);
    fputc('\n', stderr);
}

static void show_note(void *ctx, const char *sentence) {
    (void)ctx;
    fprintf(stderr, "%s\n", sentence);
}

static hone_err run(training *t) {
    hone_pool *pool = NULL;
    hone_run_watch watch = {t, show_step, show_epoch, show_note};
    t->settings.run.out = hone_native_path(t->job, "out/model");
    if (!t->settings.run.out) return no_memory();
    HONE_TRY(hone_pool_create(0, &pool));
    hone_err err = hone_run(t->job->arena, pool, &t->settings.run, &t->train,
                            t->has_test ? &t->test : NULL, &watch, &t->run);
    hone_pool_destroy(pool);
    return err;
}

/* --- what came of it ---------------------------------------------------------------- */

static json_t *describe_class(const hone_class_metrics *c) {
    return json_pack("{s:f, s:f, s:f, s:I}", "precision", c->precision, "recall", c->recall, "f1",
                     c->f1, "support", (json_int_t)c->support);
}

/* As `hone eval` prints them, and how many texts they are of. */
static json_t *describe_metrics(const training *t) {
    const hone_metrics *m = &t->run.metrics;
    json_t *object = json_object(), *classes = json_object();
    double train_loss = t->run.epochs[t->run.kept_epoch - 1].train_loss;
    json_object_set_new(object, "train_loss", json_real(train_loss));
    if (t->has_test) {
        json_object_set_new(object, "accuracy", json_real(m->accuracy));
        json_object_set_new(object, "macro_f1", json_real(m->macro_f1));
        json_object_set_new(object, "loss", json_real(m->loss));
        json_object_set_new(object, "count", json_integer((json_int_t)m->count));
        for (size_t i = 0; i < m->labels; i++)
            json_object_set_new(classes, t->run.labels.names[i], describe_class(&m->classes[i]));
        json_object_set(object, "per_class", classes);
    }
    json_decref(classes);
    return object;
}

static json_t *describe_labels(const training *t) {
    json_t *list = json_array();
    for (size_t i = 0; i < t->run.labels.count; i++)
        json_array_append_new(list, json_string(t->run.labels.names[i]));
    return list;
}

static json_t *describe_data(const training *t) {
    static const char *const channels[] = {"train", "test"};
    json_t *data = json_object();
    for (size_t i = 0; i < 2; i++) {
        json_t *files = json_object_get(t->job->files, channels[i]);
        if (files) json_object_set(data, channels[i], files);
    }
    return data;
}

static hone_err describe(const training *t, json_t *metrics) {
    const json_t *spec = t->job->spec, *parent = json_object_get(spec, "parent");
    json_t *members = json_pack(
        "{s:O, s:o, s:o, s:s, s:O*, s:O*, s:O*, s:I, s:f}", "metrics", metrics, "labels",
        describe_labels(t), "data", describe_data(t), "base", t->settings.model_name, "start",
        json_object_get(spec, "start"), "hyperparameters", json_object_get(spec, "settings"),
        "parent", json_object_get(parent, "arn"), "steps", (json_int_t)t->run.steps, "seconds",
        t->run.seconds);
    int bad = members ? json_object_update(t->job->result, members) : -1;
    json_decref(members);
    return bad ? no_memory() : HONE_OK;
}

/* <S3OutputPath>/<job>/output/<name>, as the service files it. */
static hone_err add_output(const training *t, const char *key, const char *path, const char *name) {
    const json_t *spec = t->job->spec;
    const char *base = hone_native_uri(t->job, json_string_value(json_object_get(spec, "output")),
                                       json_string_value(json_object_get(spec, "name")));
    const char *output = base ? hone_native_uri(t->job, base, "output") : NULL;
    const char *uri = output ? hone_native_uri(t->job, output, name) : NULL;
    HONE_TRY(hone_native_output(t->job, path, uri));
    return json_object_set_new(t->job->result, key, json_string(uri)) == 0 ? HONE_OK : no_memory();
}

static hone_err save_outputs(const training *t) {
    const char *archive = hone_native_path(t->job, "out/model.tar.gz");
    const char *figures = hone_native_path(t->job, "out/metrics.json");
    if (!archive || !figures) return no_memory();
    hone_native_progress(t->job, 1, -1, 0, "packing the model");
    HONE_TRY(hone_artifact_pack(t->settings.run.out, archive));
    json_t *metrics = describe_metrics(t);
    hone_err err = metrics ? hone_json_save(figures, metrics) : no_memory();
    if (!hone_failed(err)) err = describe(t, metrics);
    json_decref(metrics);
    HONE_TRY(err);
    HONE_TRY(add_output(t, "model_uri", "out/model.tar.gz", "model.tar.gz"));
    return add_output(t, "metrics_uri", "out/metrics.json", "metrics.json");
}

hone_err hone_native_train(hone_native *job) {
    training t = {.job = job};
    bool is_there = false;
    hone_heap_keep();
    HONE_TRY(hone_training_read(job->arena, json_object_get(job->spec, "settings"), job->step,
                                &t.settings));
    HONE_TRY(find_base(&t));
    HONE_TRY(choose_labels(&t));
    HONE_TRY(import_channel(&t, "train", &t.train, &is_there));
    if (!is_there) return hone_err_new(HONE_E_NOT_FOUND, "channel 'train' has no files");
    HONE_TRY(import_channel(&t, "test", &t.test, &t.has_test));
    cap_warmup(&t);
    HONE_TRY(run(&t));
    return save_outputs(&t);
}
