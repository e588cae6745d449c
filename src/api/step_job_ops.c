/* step_job_ops.c: training and processing jobs, as SageMaker has them: the work of pipelines'
 * steps, seen by itself. */
#include "api/pipeline_ops.h"
#include "base/clock.h"
#include "base/json.h"

#include <string.h>

enum { NAME_MAX_BYTES = 63, LIST_LIMIT = 10 };

static const char training[] = "Training", processing[] = "Processing";

static bool is_training(const hone_step_job *job) { return strcmp(job->type, training) == 0; }

/* object[key] = from[key], where it is there. */
static void pass(json_t *object, const json_t *from, const char *key) {
    json_t *value = json_object_get(from, key);
    if (value) json_object_set(object, key, value);
}

/* Values of a map of strings may have been numbers in the document. */
static void pass_strings(json_t *object, const json_t *from, const char *key) {
    json_t *map = json_object_get(from, key), *value = NULL, *strings = json_object();
    const char *name = NULL;
    json_object_foreach(map, name, value) {
        char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);
        json_object_set_new(strings, name, text ? json_string(text) : json_incref(value));
        free(text);
    }
    if (map) json_object_set(object, key, strings);
    json_decref(strings);
}

static void pass_time(json_t *object, const char *key, int64_t ms) {
    if (ms > 0) json_object_set_new(object, key, hone_json_time(ms));
}

/* ---- training ---- */

static const char *secondary(const hone_step_job *job) {
    if (strcmp(job->status, "InProgress") != 0) return job->status;
    return job->started_ms > 0 ? "Training" : "Pending";
}

/* FinalMetricDataList of the metrics that are numbers. */
static json_t *metric_list(const hone_step_job *job, json_t *metrics) {
    json_t *list = json_array(), *value = NULL;
    const char *name = NULL;
    json_object_foreach(metrics, name, value) if (json_is_number(value)) json_array_append_new(
        list, json_pack("{s:s, s:f, s:o}", "MetricName", name, "Value", json_number_value(value),
                        "Timestamp", hone_json_time(job->ended_ms)));
    return list;
}

static void add_training(json_t *json, const hone_step_job *job, const json_t *outcome) {
    const char *uri = json_string_value(json_object_get(outcome, "model_uri"));
    int64_t end = job->ended_ms > 0 ? job->ended_ms : hone_now_ms();
    json_object_set_new(json, "TrainingJobName", json_string(job->name));
    json_object_set_new(json, "TrainingJobArn", json_string(job->arn));
    json_object_set_new(json, "TrainingJobStatus", json_string(job->status));
    json_object_set_new(json, "SecondaryStatus", json_string(secondary(job)));
    json_object_set_new(json, "ModelArtifacts",
                        json_pack("{s:s}", "S3ModelArtifacts", uri ? uri : ""));
    json_object_set_new(json, "FinalMetricDataList",
                        metric_list(job, json_object_get(outcome, "metrics")));
    json_object_set_new(
        json, "SecondaryStatusTransitions",
        json_pack("[{s:s, s:o, s:s}]", "Status", secondary(job), "StartTime",
                  hone_json_time(job->started_ms ? job->started_ms : job->created_ms),
                  "StatusMessage", job->failure));
    if (job->started_ms > 0)
        json_object_set_new(json, "TrainingTimeInSeconds",
                            json_integer((json_int_t)((end - job->started_ms) / 1000)));
    pass_time(json, "TrainingStartTime", job->started_ms);
    pass_time(json, "TrainingEndTime", job->ended_ms);
}

/* ---- processing ---- */

static void add_processing(json_t *json, const hone_step_job *job) {
    json_object_set_new(json, "ProcessingJobName", json_string(job->name));
    json_object_set_new(json, "ProcessingJobArn", json_string(job->arn));
    json_object_set_new(json, "ProcessingJobStatus", json_string(job->status));
    if (!json_object_get(json, "ProcessingResources"))
        json_object_set_new(json, "ProcessingResources", json_object());
    pass_time(json, "ProcessingStartTime", job->started_ms);
    pass_time(json, "ProcessingEndTime", job->ended_ms);
}

/* ---- both ---- */

static const char *const passed[] = {
    "AlgorithmSpecification", "InputDataConfig", "OutputDataConfig", "ResourceConfig",
    "StoppingCondition",      "RoleArn",         "ProcessingInputs", "ProcessingOutputConfig",
    "ProcessingResources",    "AppSpecification"};

static hone_err fill(const hone_step_job *job, json_t *json) {
    json_t *arguments = NULL, *outcome = NULL;
    HONE_TRY(hone_json_parse(hone_str_of(job->arguments), "arguments of a job", &arguments));
    if (job->outcome[0]) outcome = json_loads(job->outcome, 0, NULL);
    for (size_t i = 0; i < sizeof passed / sizeof passed[0]; i++) pass(json, arguments, passed[i]);
    pass_strings(json, arguments, is_training(job) ? "HyperParameters" : "Environment");
    if (is_training(job))
        add_training(json, job, outcome);
    else
        add_processing(json, job);
    hone_out_text(json, "FailureReason", job->failure);
    pass_time(json, "CreationTime", job->created_ms);
    pass_time(json, "LastModifiedTime", job->modified_ms);
    json_decref(arguments);
    json_decref(outcome);
    return HONE_OK;
}

static hone_err describe(const hone_call *call, hone_tx *tx, const char *type, const char *key,
                         const json_t *in, json_t **out) {
    hone_str name;
    hone_step_job job;
    HONE_TRY(hone_in_str(in, key, 1, NAME_MAX_BYTES, &name));
    HONE_TRY(hone_step_jobs_find(call->app->pipelines, tx, call->arena, type, name, &job));
    HONE_TRY(hone_op_out(json_object(), out));
    return fill(&job, *out);
}

static json_t *summary_json(const hone_step_job *job) {
    if (is_training(job)) {
        json_t *json = json_pack("{s:s, s:s, s:o, s:s, s:s}", "TrainingJobName", job->name,
                                 "TrainingJobArn", job->arn, "CreationTime",
                                 hone_json_time(job->created_ms), "TrainingJobStatus", job->status,
                                 "SecondaryStatus", secondary(job));
        if (json) pass_time(json, "TrainingEndTime", job->ended_ms);
        if (json) pass_time(json, "LastModifiedTime", job->modified_ms);
        return json;
    }
    json_t *json = json_pack("{s:s, s:s, s:o, s:s}", "ProcessingJobName", job->name,
                             "ProcessingJobArn", job->arn, "CreationTime",
                             hone_json_time(job->created_ms), "ProcessingJobStatus", job->status);
    hone_out_text(json, "FailureReason", job->failure);
    if (json) pass_time(json, "ProcessingEndTime", job->ended_ms);
    if (json) pass_time(json, "LastModifiedTime", job->modified_ms);
    return json;
}

static hone_err list(const hone_call *call, hone_tx *tx, const char *type, const char *key,
                     const json_t *in, json_t **out) {
    hone_page page;
    hone_listing listing;
    hone_step_job *jobs = NULL;
    size_t count = 0;
    bool more = false;
    HONE_TRY(hone_op_listing(in, LIST_LIMIT, false, &page, &listing));
    HONE_TRY(hone_in_str(in, "StatusEquals", 0, 32, &listing.status));
    HONE_TRY(hone_step_jobs_list(call->app->pipelines, tx, call->arena, type, &listing, &jobs,
                                 &count, &more));
    json_t *summaries = json_array();
    for (size_t i = 0; i < count; i++) json_array_append_new(summaries, summary_json(&jobs[i]));
    HONE_TRY(hone_op_out(json_pack("{s:o}", key, summaries), out));
    hone_out_next(*out, &page, more);
    return HONE_OK;
}

static hone_err stop(const hone_call *call, hone_tx *tx, const char *type, const char *key,
                     const json_t *in, json_t **out) {
    hone_str name;
    (void)out;
    HONE_TRY(hone_in_str(in, key, 1, NAME_MAX_BYTES, &name));
    return hone_step_jobs_stop(call->app->pipelines, tx, call->arena, call->actor, type, name);
}

/* ---- entries of the table in pipeline_ops.c ---- */

#define OP(name, body, type, key, kind)                                               \
    static hone_err name##_body(const hone_call *call, hone_tx *tx, const json_t *in, \
                                json_t **out) {                                       \
        return body(call, tx, type, key, in, out);                                    \
    }                                                                                 \
    hone_err name(const hone_call *call, const json_t *in, json_t **out) {            \
        return hone_op_run(call, kind, name##_body, in, out);                         \
    }
OP(hone_op_describe_training, describe, training, "TrainingJobName", HONE_TX_READ)
OP(hone_op_list_trainings, list, training, "TrainingJobSummaries", HONE_TX_READ)
OP(hone_op_stop_training, stop, training, "TrainingJobName", HONE_TX_WRITE)
OP(hone_op_describe_processing, describe, processing, "ProcessingJobName", HONE_TX_READ)
OP(hone_op_list_processings, list, processing, "ProcessingJobSummaries", HONE_TX_READ)
OP(hone_op_stop_processing, stop, processing, "ProcessingJobName", HONE_TX_WRITE)
