/* native_processing.c: the built-in processor: a data set and reviews in, a training and a test
 * set out, with a report on what was merged, what was not, and why.
 *
 *     data files --join--> sample by seed --> test.jsonl
 *                                |--- reviews merged ---> train.jsonl
 */
#include "base/file.h"
#include "base/json.h"
#include "pipeline/native.h"
#include "pipeline/native_impl.h"

#include <stdio.h>

/* A processing under way. */
typedef struct processing {
    hone_native *job;
    hone_processing settings;
    hone_dataset *parts; /* [part_count]: of the train files first, then the test files */
    size_t train_parts, test_parts;
    hone_sample sample;
    hone_labels labels; /* of all data */
    hone_review *reviews;
    size_t review_count;
    hone_merge merge;
} processing;

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory for a data set"); }

/* --- the data ----------------------------------------------------------------------- */

/* Is the file of this address called NAME.something? */
static bool is_called(const json_t *file, const char *name) {
    const char *uri = json_string_value(json_object_get(file, "uri"));
    const char *slash = strrchr(uri, '/');
    const char *base = slash ? slash + 1 : uri;
    size_t len = strlen(name);
    return strncmp(base, name, len) == 0 && base[len] == '.';
}

static hone_err import_one(const processing *p, const json_t *file, hone_dataset *out) {
    const char *uri = json_string_value(json_object_get(file, "uri"));
    const char *path = hone_native_path(p->job, json_string_value(json_object_get(file, "path")));
    if (!path) return no_memory();
    hone_err err = hone_import_file(p->job->arena, path, &p->settings.import, out);
    if (hone_failed(err)) return hone_err_wrap(err, "%s", uri);
    out->name = uri;
    fprintf(stderr, "%s: %zu records%s%s\n", uri, out->count, out->recognised ? ", read as " : "",
            out->recognised ? out->recognised : "");
    return HONE_OK;
}

/* Files called train.* are one pool and those called test.* the other, if there are both; else all
 * are one pool. */
static hone_err import_all(processing *p) {
    const json_t *files = hone_native_files(p->job, "data");
    size_t count = json_array_size(files), trains = 0, tests = 0, at = 0;
    p->parts = hone_arena_alloc(p->job->arena, count + 1, sizeof *p->parts);
    if (!p->parts) return no_memory();
    for (size_t i = 0; i < count; i++) {
        trains += is_called(json_array_get(files, i), "train");
        tests += is_called(json_array_get(files, i), "test");
    }
    bool pairs = trains > 0 && tests > 0;
    p->train_parts = pairs ? trains : count;
    p->test_parts = pairs ? tests : 0;
    for (size_t i = 0; i < count; i++) {
        const json_t *file = json_array_get(files, i);
        if (pairs && !is_called(file, "train")) continue;
        HONE_TRY(import_one(p, file, &p->parts[at++]));
    }
    for (size_t i = 0; pairs && i < count; i++) {
        const json_t *file = json_array_get(files, i);
        if (!is_called(file, "test")) continue;
        HONE_TRY(import_one(p, file, &p->parts[at++]));
    }
    return HONE_OK;
}

static hone_err draw(processing *p) {
    hone_arena *arena = p->job->arena;
    hone_dataset train, test, all;
    HONE_TRY(hone_dataset_join(arena, p->parts, p->train_parts + p->test_parts, &all));
    HONE_TRY(hone_dataset_labels(arena, &all, &p->labels));
    if (p->test_parts == 0) return hone_sample_split(arena, &all, p->settings.sample, &p->sample);
    HONE_TRY(hone_dataset_join(arena, p->parts, p->train_parts, &train));
    HONE_TRY(hone_dataset_join(arena, p->parts + p->train_parts, p->test_parts, &test));
    return hone_sample_pair(arena, &train, &test, p->settings.sample, &p->sample);
}

/* --- reviews ------------------------------------------------------------------------ */

static hone_err read_review(const processing *p, const json_t *file, hone_review *out) {
    hone_map map = {{NULL, 0}};
    const char *uri = json_string_value(json_object_get(file, "uri"));
    const char *path = hone_native_path(p->job, json_string_value(json_object_get(file, "path")));
    if (!path) return no_memory();
    HONE_TRY(hone_map_open(path, &map));
    hone_str bytes = map.bytes;
    if (bytes.len > HONE_REVIEW_BYTES_MAX) bytes.len = 0; /* left out as no JSON, below */
    hone_err err = hone_review_read(p->job->arena, bytes, uri, &p->settings.rules, out);
    hone_map_close(&map);
    return err;
}

static hone_err merge_reviews(processing *p) {
    hone_arena *arena = p->job->arena;
    const json_t *files = hone_native_files(p->job, "reviews");
    hone_textset held_out;
    p->settings.rules.known = p->labels;
    p->review_count = p->settings.review_weight > 0 ? json_array_size(files) : 0;
    p->reviews = hone_arena_alloc(arena, p->review_count + 1, sizeof *p->reviews);
    if (!p->reviews) return no_memory();
    for (size_t i = 0; i < p->review_count; i++)
        HONE_TRY(read_review(p, json_array_get(files, i), &p->reviews[i]));
    HONE_TRY(hone_textset_create(arena, &p->sample.test, &held_out));
    HONE_TRY(hone_reviews_settle(arena, p->reviews, p->review_count, &held_out));
    return hone_reviews_merge(arena, &p->sample.train, p->reviews, p->review_count,
                              p->settings.review_weight, &p->merge);
}

/* --- the report --------------------------------------------------------------------- */

static json_t *count_fates(const processing *p) {
    size_t counts[HONE_REVIEW_FATES] = {0};
    json_t *object = json_object();
    for (size_t i = 0; i < p->review_count; i++) counts[p->reviews[i].fate]++;
    for (int i = 0; i < HONE_REVIEW_FATES; i++)
        if (counts[i] > 0 || i == HONE_REVIEW_MERGED)
            json_object_set_new(object, hone_review_fate_name((hone_review_fate)i),
                                json_integer((json_int_t)counts[i]));
    return object;
}

static json_t *describe_review(const hone_review *r) {
    json_t *object = json_pack("{s:s, s:s, s:s, s:I}", "uri", r->source, "loop", r->loop, "fate",
                               hone_review_fate_name(r->fate), "answers", (json_int_t)r->answers);
    if (r->fate == HONE_REVIEW_MERGED)
        json_object_set_new(object, "label", json_stringn(r->label.ptr, r->label.len));
    else
        json_object_set_new(object, "reason", json_string(r->reason));
    return object;
}

static json_t *describe_labels(const processing *p) {
    json_t *list = json_array();
    for (size_t i = 0; i < p->labels.count; i++)
        json_array_append_new(list, json_string(p->labels.names[i]));
    return list;
}

/* Without the reviews one by one: that is what lineage keeps. The texts are in no report. */
static json_t *summarise(const processing *p) {
    return json_pack("{s:O*, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:o, s:I, s:I, s:I}", "dataset",
                     hone_native_files(p->job, "data"), "seed", (json_int_t)p->settings.sample.seed,
                     "train_sampled", (json_int_t)p->sample.train.count, "train_records",
                     (json_int_t)p->merge.train.count, "test_records",
                     (json_int_t)p->sample.test.count, "leaks_left_out",
                     (json_int_t)p->sample.leaks, "labels", describe_labels(p), "reviews_found",
                     (json_int_t)p->review_count, "reviews", count_fates(p), "review_weight",
                     (json_int_t)p->settings.review_weight, "review_records",
                     (json_int_t)p->merge.added, "records_replaced", (json_int_t)p->merge.replaced);
}

static hone_err save_report(const processing *p, const json_t *summary) {
    const char *path = hone_native_path(p->job, "out/report.json");
    json_t *report = json_deep_copy(summary), *merged = json_array(), *skipped = json_array();
    for (size_t i = 0; i < p->review_count; i++)
        json_array_append_new(p->reviews[i].fate == HONE_REVIEW_MERGED ? merged : skipped,
                              describe_review(&p->reviews[i]));
    hone_err err = HONE_OK;
    if (!path || json_object_set_new(report, "merged", merged) != 0 ||
        json_object_set_new(report, "skipped", skipped) != 0)
        err = no_memory();
    if (!hone_failed(err)) err = hone_json_save(path, report);
    json_decref(report);
    return err;
}

/* --- the whole ---------------------------------------------------------------------- */

/* Where each output of the step goes. */
static hone_err name_outputs(const processing *p) {
    static const struct {
        const char *name, *path, *file;
    } outputs[] = {{"train", "out/train.jsonl", "train.jsonl"},
                   {"test", "out/test.jsonl", "test.jsonl"},
                   {"report", "out/report.json", "report.json"}};
    const json_t *list = json_object_get(p->job->spec, "outputs");
    size_t i = 0, k = 0;
    json_t *output = NULL;
    json_array_foreach(list, i, output) {
        const char *name = json_string_value(json_object_get(output, "name"));
        const char *uri = json_string_value(json_object_get(output, "uri"));
        for (k = 0; k < sizeof outputs / sizeof outputs[0]; k++)
            if (strcmp(name, outputs[k].name) == 0)
                HONE_TRY(hone_native_output(p->job, outputs[k].path,
                                            hone_native_uri(p->job, uri, outputs[k].file)));
    }
    return HONE_OK;
}

static hone_err save_sets(const processing *p) {
    const char *train = hone_native_path(p->job, "out/train.jsonl");
    const char *test = hone_native_path(p->job, "out/test.jsonl");
    if (!train || !test) return no_memory();
    HONE_TRY(hone_dataset_save(&p->merge.train, train));
    return hone_dataset_save(&p->sample.test, test);
}

static void tell(const processing *p) {
    char message[160];
    size_t merged = 0;
    for (size_t i = 0; i < p->review_count; i++) merged += p->reviews[i].fate == HONE_REVIEW_MERGED;
    (void)snprintf(message, sizeof message,
                   "%zu to train on, %zu to test on; %zu of %zu reviews merged, each %zu times",
                   p->merge.train.count, p->sample.test.count, merged, p->review_count,
                   p->settings.review_weight);
    fprintf(stderr, "%s\n", message);
    hone_native_progress(p->job, 1, -1, 0, message);
}

hone_err hone_native_process(hone_native *job) {
    processing p = {.job = job};
    HONE_TRY(hone_processing_read(job->arena, json_object_get(job->spec, "settings"), job->step,
                                  &p.settings));
    hone_native_progress(job, 0, -1, -1, "reading the data");
    HONE_TRY(import_all(&p));
    HONE_TRY(draw(&p));
    hone_native_progress(job, 0.5, -1, -1, "merging the reviews");
    HONE_TRY(merge_reviews(&p));
    HONE_TRY(save_sets(&p));
    json_t *summary = summarise(&p);
    if (!summary || json_object_set_new(job->result, "summary", summary) != 0) return no_memory();
    HONE_TRY(save_report(&p, summary));
    HONE_TRY(name_outputs(&p));
    tell(&p);
    return HONE_OK;
}
