/* register.c: a RegisterModel step: a version of a model package group, with what is known of how
 * it came to be, in the transaction that ends the step. */
#include "base/json.h"
#include "pipeline/pipelines_impl.h"

#include <stdio.h>

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* The outcome of the execution's job that made the model at uri; NULL when none did. */
static json_t *find_training(const hone_step_job *jobs, size_t count, const char *uri,
                             const hone_step_job **job) {
    for (size_t i = count; i-- > 0;) {
        json_t *outcome = json_loads(jobs[i].outcome, 0, NULL);
        if (*uri && strcmp(text_of(outcome, "model_uri"), uri) == 0) {
            *job = &jobs[i];
            return outcome;
        }
        json_decref(outcome);
    }
    return NULL;
}

/* What the processing jobs of the execution found: their summaries by step. */
static json_t *summarise(const hone_step_job *jobs, size_t count) {
    json_t *all = json_object();
    for (size_t i = 0; all && i < count; i++) {
        if (strcmp(jobs[i].type, "Processing") != 0) continue;
        json_t *outcome = json_loads(jobs[i].outcome, 0, NULL);
        json_t *summary = json_object_get(outcome, "summary");
        if (summary) json_object_set(all, jobs[i].step, summary);
        json_decref(outcome);
    }
    return all;
}

static json_t *make_lineage(const hone_step_run *run, const hone_step_job *jobs, size_t count,
                            const hone_step_job *job, const json_t *outcome) {
    static const char *const copied[] = {"parent", "start",           "base",        "labels",
                                         "data",   "hyperparameters", "model_sha256"};
    json_t *lineage = json_pack("{s:s, s:s, s:s, s:o}", "pipeline", run->execution->pipeline,
                                "execution", run->execution->arn, "step", run->def->name,
                                "processing", summarise(jobs, count));
    if (!lineage) return NULL;
    if (job) json_object_set_new(lineage, "training_job", json_string(job->arn));
    for (size_t i = 0; i < sizeof copied / sizeof copied[0]; i++) {
        json_t *value = json_object_get(outcome, copied[i]);
        if (value) json_object_set(lineage, copied[i], value);
    }
    return lineage;
}

/* The step's arguments, with ModelMetrics where the document gave none. */
static json_t *make_fields(const hone_step_run *run, const json_t *outcome) {
    json_t *fields = json_copy(run->arguments);
    const char *metrics = text_of(outcome, "metrics_uri");
    if (fields && *metrics && !json_object_get(fields, "ModelMetrics"))
        json_object_set_new(fields, "ModelMetrics",
                            json_pack("{s:{s:{s:s, s:s}}}", "ModelQuality", "Statistics",
                                      "ContentType", "application/json", "S3Uri", metrics));
    return fields;
}

static hone_err end_step(const hone_step_run *run, const hone_version *version) {
    const char *text = NULL;
    json_t *properties = json_pack(
        "{s:s, s:s, s:s, s:I, s:s}", "ModelPackageArn", version->arn, "ModelPackageName",
        version->arn, "ModelPackageGroupName", version->group, "ModelPackageVersion",
        (json_int_t)version->number, "ModelApprovalStatus", version->status);
    hone_err err = properties ? hone_pipeline_dump(run->arena, properties, &text)
                              : hone_pipeline_no_memory();
    json_decref(properties);
    HONE_TRY(err);
    HONE_TRY(hone_step_row_begin(run->tx, run->execution->id, run->def, "", ""));
    return hone_step_row_end(run->tx, run->execution->id, run->def->name, "Succeeded", "", text);
}

/* The artifact must be there: a version that nobody can deploy helps nobody. */
static hone_err check_artifact(const hone_step_run *run, const char *uri) {
    hone_str bucket, key;
    hone_object object;
    HONE_TRY(hone_s3_uri_parse(hone_str_of(uri), &bucket, &key));
    return hone_objects_find(run->pipelines->options.objects, run->tx, run->arena, bucket, key,
                             &object);
}

hone_err hone_step_begin_register(const hone_step_run *run) {
    const json_t *a = run->arguments;
    const json_t *container = json_array_get(
        json_object_get(json_object_get(a, "InferenceSpecification"), "Containers"), 0);
    const char *uri = text_of(container, "ModelDataUrl");
    hone_step_job *jobs = NULL;
    const hone_step_job *job = NULL;
    size_t count = 0;
    HONE_TRY(check_artifact(run, uri));
    HONE_TRY(hone_step_job_rows_of(run->pipelines, run->tx, run->arena, run->execution->id, &jobs,
                                   &count));
    json_t *outcome = find_training(jobs, count, uri, &job);
    json_t *lineage = make_lineage(run, jobs, count, job, outcome);
    json_t *fields = make_fields(run, outcome);
    hone_version version;
    hone_err err = lineage && fields ? HONE_OK : hone_pipeline_no_memory();
    if (!hone_failed(err))
        err = hone_registry_add(run->tx, run->arena, run->pipelines->options.realm,
                                run->execution->created_by, text_of(a, "ModelPackageGroupName"),
                                fields, lineage, json_object_get(outcome, "metrics"), &version);
    json_decref(outcome);
    json_decref(lineage);
    json_decref(fields);
    if (hone_failed(err)) return err;
    return end_step(run, &version);
}
