/* execution_ops.c: executions of pipelines and their steps, as SageMaker has them; and hone's own
 * GET /hone/executions/ID/progress (docs/api.md). */
#include "api/pipeline_ops.h"
#include "base/json.h"

#include <string.h>

enum {
    ARN_MAX_BYTES = 2048,
    NAME_MAX_BYTES = 82,
    TEXT_MAX_BYTES = 3072,
    TOKEN_MAX_BYTES = 128,
    LOG_BYTES = 4096, /* of the step that runs, in an answer about progress */
};

/* ---- executions ---- */

static hone_err in_execution(const hone_call *call, hone_tx *tx, const json_t *in,
                             hone_execution *out) {
    hone_str arn;
    HONE_TRY(hone_in_str(in, "PipelineExecutionArn", 1, ARN_MAX_BYTES, &arn));
    return hone_execution_find(call->app->pipelines, tx, call->arena, arn, out);
}

static hone_err out_arn(const hone_execution *e, json_t **out) {
    return hone_op_out(json_pack("{s:s}", "PipelineExecutionArn", e->arn), out);
}

static hone_err start(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_execution_request s = {.parameters = json_object_get(in, "PipelineParameters")};
    hone_execution execution;
    if (json_is_null(s.parameters)) s.parameters = NULL;
    if (json_object_get(in, "SelectiveExecutionConfig"))
        return hone_err_new(HONE_E_INVALID, "SelectiveExecutionConfig is not supported");
    HONE_TRY(hone_in_str(in, "PipelineName", 1, ARN_MAX_BYTES, &s.pipeline));
    HONE_TRY(hone_in_str(in, "PipelineExecutionDisplayName", 0, NAME_MAX_BYTES, &s.display));
    HONE_TRY(hone_in_str(in, "PipelineExecutionDescription", 0, TEXT_MAX_BYTES, &s.description));
    HONE_TRY(hone_in_str(in, "ClientRequestToken", 0, TOKEN_MAX_BYTES, &s.token));
    HONE_TRY(hone_in_parallelism(in, &s.parallelism));
    HONE_TRY(
        hone_execution_start(call->app->pipelines, tx, call->arena, call->actor, &s, &execution));
    return out_arn(&execution, out);
}

/* {"ExperimentName": pipeline, "TrialName": id}: what the definition's usual references give. */
static json_t *experiment_json(const hone_execution *e) {
    return json_pack("{s:s, s:s}", "ExperimentName", e->pipeline, "TrialName", e->id);
}

static hone_err describe(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_execution e;
    HONE_TRY(in_execution(call, tx, in, &e));
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "PipelineArn", e.pipeline_arn,
        "PipelineExecutionArn", e.arn, "PipelineExecutionDisplayName", e.display,
        "PipelineExecutionStatus", e.status, "PipelineExperimentConfig", experiment_json(&e),
        "CreationTime", hone_json_time(e.created_ms), "LastModifiedTime",
        hone_json_time(e.modified_ms), "CreatedBy", hone_json_actor(e.created_by), "LastModifiedBy",
        hone_json_actor(e.modified_by));
    hone_out_text(json, "PipelineExecutionDescription", e.description);
    hone_out_text(json, "FailureReason", e.failure);
    hone_out_parallelism(json, e.parallelism);
    return hone_op_out(json, out);
}

static hone_err describe_definition(const hone_call *call, hone_tx *tx, const json_t *in,
                                    json_t **out) {
    hone_execution e;
    HONE_TRY(in_execution(call, tx, in, &e));
    return hone_op_out(json_pack("{s:s, s:o}", "PipelineDefinition", e.definition, "CreationTime",
                                 hone_json_time(e.created_ms)),
                       out);
}

static json_t *summary_json(const hone_execution *e) {
    json_t *json = json_pack("{s:s, s:o, s:s, s:s}", "PipelineExecutionArn", e->arn, "StartTime",
                             hone_json_time(e->created_ms), "PipelineExecutionStatus", e->status,
                             "PipelineExecutionDisplayName", e->display);
    hone_out_text(json, "PipelineExecutionDescription", e->description);
    hone_out_text(json, "PipelineExecutionFailureReason", e->failure);
    return json;
}

static hone_err list(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_str pipeline;
    hone_page page;
    hone_listing listing;
    hone_execution *executions = NULL;
    size_t count = 0;
    bool more = false;
    HONE_TRY(hone_in_str(in, "PipelineName", 1, ARN_MAX_BYTES, &pipeline));
    HONE_TRY(hone_in_created(in, "PipelineExecutionArn", &page, &listing));
    HONE_TRY(hone_execution_list(call->app->pipelines, tx, call->arena, pipeline, &listing,
                                 &executions, &count, &more));
    json_t *summaries = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(summaries, summary_json(&executions[i]));
    HONE_TRY(hone_op_out(json_pack("{s:o}", "PipelineExecutionSummaries", summaries), out));
    hone_out_next(*out, &page, more);
    return HONE_OK;
}

static hone_err stop(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_execution e;
    HONE_TRY(in_execution(call, tx, in, &e));
    HONE_TRY(hone_execution_stop(call->app->pipelines, tx, call->arena, call->actor,
                                 hone_str_of(e.id), &e));
    return out_arn(&e, out);
}

static hone_err retry(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_execution e;
    int64_t parallelism = -1;
    HONE_TRY(in_execution(call, tx, in, &e));
    HONE_TRY(hone_in_parallelism(in, &parallelism));
    HONE_TRY(hone_execution_retry(call->app->pipelines, tx, call->arena, call->actor,
                                  hone_str_of(e.id), parallelism, &e));
    return out_arn(&e, out);
}

static hone_err update(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_execution e;
    hone_str display, description;
    int64_t parallelism = -1;
    HONE_TRY(in_execution(call, tx, in, &e));
    HONE_TRY(hone_in_str(in, "PipelineExecutionDisplayName", 0, NAME_MAX_BYTES, &display));
    HONE_TRY(hone_in_str(in, "PipelineExecutionDescription", 0, TEXT_MAX_BYTES, &description));
    HONE_TRY(hone_in_parallelism(in, &parallelism));
    HONE_TRY(hone_execution_update(call->app->pipelines, tx, call->arena, call->actor,
                                   hone_str_of(e.id), display, description, parallelism, &e));
    return out_arn(&e, out);
}

/* ---- steps ---- */

/* {"TrainingJob": {"Arn"}} and its like. */
static json_t *metadata_json(const hone_call *call, const hone_step *s) {
    if (strcmp(s->type, "RegisterModel") == 0) {
        json_t *properties = json_loads(s->properties, 0, NULL);
        json_t *arn = json_object_get(properties, "ModelPackageArn");
        json_t *json = arn ? json_pack("{s:{s:O}}", "RegisterModel", "Arn", arn) : NULL;
        json_decref(properties);
        return json;
    }
    if (!s->job[0]) return NULL;
    bool trains = strcmp(s->type, "Training") == 0;
    const char *arn = hone_arn_format(call->arena, call->app->realm, "%s/%s",
                                      trains ? "training-job" : "processing-job", s->job);
    return arn ? json_pack("{s:{s:s}}", trains ? "TrainingJob" : "ProcessingJob", "Arn", arn)
               : NULL;
}

static hone_err step_json(const hone_call *call, hone_tx *tx, const hone_step *s, json_t **out) {
    json_t *progress = NULL;
    if (strcmp(s->status, "Executing") == 0)
        HONE_TRY(hone_step_progress(call->app->pipelines, tx, call->arena, s, &progress));
    json_t *json = json_pack("{s:s, s:s, s:o, s:I}", "StepName", s->name, "StepStatus", s->status,
                             "StartTime", hone_json_time(s->started_ms), "AttemptCount",
                             (json_int_t)s->attempts);
    json_t *metadata = metadata_json(call, s);
    hone_out_text(json, "StepDisplayName", s->display);
    hone_out_text(json, "StepDescription", s->description);
    hone_out_text(json, "FailureReason", s->failure);
    if (json && s->ended_ms) json_object_set_new(json, "EndTime", hone_json_time(s->ended_ms));
    if (json && metadata) json_object_set(json, "Metadata", metadata);
    if (json && progress) json_object_set(json, "HoneProgress", progress);
    json_decref(metadata);
    json_decref(progress);
    return hone_op_out(json, out);
}

static hone_err list_steps(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_execution e;
    hone_page page;
    hone_step *steps = NULL;
    size_t count = 0;
    HONE_TRY(in_execution(call, tx, in, &e));
    HONE_TRY(hone_in_page(in, 100, true, &page));
    HONE_TRY(hone_execution_steps(call->app->pipelines, tx, call->arena, e.id, &steps, &count));
    json_t *items = json_array();
    HONE_TRY(hone_op_out(json_pack("{s:o}", "PipelineExecutionSteps", items), out));
    size_t first = (size_t)page.offset, last = first + (size_t)page.limit;
    for (size_t i = first; i < count && i < last; i++) {
        json_t *item = NULL;
        HONE_TRY(step_json(call, tx, &steps[page.descending ? count - 1 - i : i], &item));
        json_array_append_new(items, item);
    }
    hone_out_next(*out, &page, count > last);
    return HONE_OK;
}

/* Values are strings on the wire, whatever the parameter's type. */
static json_t *value_json(const json_t *value) {
    if (json_is_string(value)) return json_copy(hone_json_loose(value));
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    json_t *string = text ? json_string(text) : NULL;
    free(text);
    return string;
}

static hone_err list_parameters(const hone_call *call, hone_tx *tx, const json_t *in,
                                json_t **out) {
    hone_execution e;
    hone_page page;
    json_t *values = NULL, *value = NULL;
    const char *name = NULL;
    int64_t at = 0;
    HONE_TRY(in_execution(call, tx, in, &e));
    HONE_TRY(hone_in_page(in, 100, false, &page));
    HONE_TRY(hone_json_parse(hone_str_of(e.parameters), "parameters of an execution", &values));
    json_t *items = json_array();
    json_object_foreach(values, name, value) {
        if (at >= page.offset && at < page.offset + page.limit)
            json_array_append_new(
                items, json_pack("{s:s, s:o}", "Name", name, "Value", value_json(value)));
        at++;
    }
    json_decref(values);
    HONE_TRY(hone_op_out(json_pack("{s:o}", "PipelineParameters", items), out));
    hone_out_next(*out, &page, at > page.offset + page.limit);
    return HONE_OK;
}

/* ---- hone's own ---- */

static json_t *own_step(const hone_call *call, hone_tx *tx, const hone_step *s) {
    json_t *progress = NULL;
    hone_str log = {"", 0};
    bool runs = strcmp(s->status, "Executing") == 0 && s->work[0];
    if (runs) {
        hone_err err = hone_step_progress(call->app->pipelines, tx, call->arena, s, &progress);
        if (!hone_failed(err))
            err = hone_step_log(call->app->pipelines, tx, call->arena, s->work, LOG_BYTES, &log);
        if (hone_failed(err)) log = (hone_str){"", 0}; /* progress is a courtesy */
    }
    json_t *json = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:s}", "name", s->name, "type",
                             s->type, "status", s->status, "started", (json_int_t)s->started_ms,
                             "ended", (json_int_t)s->ended_ms, "attempts", (json_int_t)s->attempts,
                             "failure", s->failure);
    static const char *const names[][2] = {{"Share", "fraction"},
                                           {"Loss", "loss"},
                                           {"SecondsLeft", "seconds_left"},
                                           {"Message", "message"}};
    for (size_t i = 0; json && i < sizeof names / sizeof names[0]; i++) {
        json_t *value = json_object_get(progress, names[i][0]);
        if (value) json_object_set(json, names[i][1], value);
    }
    /* A log may hold anything: what is no UTF-8 is left out. */
    json_t *text = runs ? json_stringn(log.ptr, log.len) : NULL;
    if (json && text) json_object_set(json, "log", text);
    json_decref(text);
    json_decref(progress);
    return json;
}

static hone_err own_progress(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_execution e;
    hone_step *steps = NULL;
    size_t count = 0;
    HONE_TRY(in_execution(call, tx, in, &e));
    HONE_TRY(hone_execution_steps(call->app->pipelines, tx, call->arena, e.id, &steps, &count));
    json_t *items = json_array();
    for (size_t i = 0; i < count; i++) json_array_append_new(items, own_step(call, tx, &steps[i]));
    return hone_op_out(json_pack("{s:s, s:s, s:s, s:s, s:I, s:o}", "id", e.id, "pipeline",
                                 e.pipeline, "status", e.status, "failure", e.failure, "created",
                                 (json_int_t)e.created_ms, "steps", items),
                       out);
}

/* ID of "/hone/executions/ID/progress"; ptr NULL for any other path. */
static hone_str path_id(hone_str path) {
    static const hone_str before = {"/hone/executions/", 17}, after = {"/progress", 9};
    if (!hone_str_has_prefix(path, before) || !hone_str_has_suffix(path, after) ||
        path.len <= before.len + after.len)
        return (hone_str){NULL, 0};
    return (hone_str){path.ptr + before.len, path.len - before.len - after.len};
}

void hone_api_executions(const hone_call *call, hone_exchange *exchange) {
    json_t *out = NULL;
    hone_str id = path_id(call->request->path);
    if (!id.ptr || !hone_str_equal(call->request->method, HONE_S("GET"))) {
        hone_reply_error(exchange, HONE_OWN,
                         hone_err_new(HONE_E_NOT_FOUND, "hone has no call '%.*s'",
                                      HONE_ARG(call->request->path)));
        return;
    }
    if (call->caller->role < HONE_ENGINEER) {
        hone_reply_fault(exchange, HONE_OWN, 403, "forbidden", "executions are for engineers");
        return;
    }
    json_t *in = json_pack("{s:s%}", "PipelineExecutionArn", id.ptr, id.len);
    hone_err err = in ? hone_op_run(call, HONE_TX_READ, own_progress, in, &out)
                      : hone_err_new(HONE_E_INVALID, "the path holds no id");
    json_decref(in);
    if (hone_failed(err))
        hone_reply_error(exchange, HONE_OWN, err);
    else
        hone_reply_json(exchange, 200, NULL, out);
}

/* ---- entries of the table in pipeline_ops.c ---- */

#define OP(name, body, kind)                                               \
    hone_err name(const hone_call *call, const json_t *in, json_t **out) { \
        return hone_op_run(call, kind, body, in, out);                     \
    }
OP(hone_op_start_execution, start, HONE_TX_WRITE)
OP(hone_op_describe_execution, describe, HONE_TX_READ)
OP(hone_op_describe_definition, describe_definition, HONE_TX_READ)
OP(hone_op_list_executions, list, HONE_TX_READ)
OP(hone_op_list_steps, list_steps, HONE_TX_READ)
OP(hone_op_list_parameters, list_parameters, HONE_TX_READ)
OP(hone_op_stop_execution, stop, HONE_TX_WRITE)
OP(hone_op_retry_execution, retry, HONE_TX_WRITE)
OP(hone_op_update_execution, update, HONE_TX_WRITE)
