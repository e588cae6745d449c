/* pipeline_ops.c: pipelines, as SageMaker has them; and the table of all operations on them. */
#include "api/pipeline_ops.h"

#include "base/file.h"
#include "base/json.h"
#include "pipeline/definition.h"
#include "store/objects.h"
#include "store/tags.h"

enum {
    NAME_MAX_BYTES = 256,
    ARN_MAX_BYTES = 2048,
    TEXT_MAX_BYTES = 3072,
    TOKEN_MIN_BYTES = 32,
    TOKEN_MAX_BYTES = 128,
    PARALLEL_MAX = 1000,
    LIST_LIMIT = 100,
};

/* ---- what the files of operations share ---- */

hone_err hone_in_parallelism(const json_t *in, int64_t *out) {
    const json_t *config = json_object_get(in, "ParallelismConfiguration");
    *out = -1;
    if (!config || json_is_null(config)) return HONE_OK;
    if (!json_is_object(config))
        return hone_err_new(HONE_E_INVALID, "ParallelismConfiguration: expected an object");
    return hone_in_int(config, "MaxParallelExecutionSteps", 1, PARALLEL_MAX, -1, out);
}

hone_err hone_in_created(const json_t *in, const char *name_key, hone_page *page,
                         hone_listing *out) {
    static const char *const renamed[][2] = {{"CreatedAfter", "CreationTimeAfter"},
                                             {"CreatedBefore", "CreationTimeBefore"}};
    hone_str by;
    HONE_TRY(hone_in_str(in, "SortBy", 0, 32, &by));
    bool by_name = name_key && hone_str_equal(by, hone_str_of(name_key));
    if (by.len > 0 && !by_name && !hone_str_equal(by, HONE_S("CreationTime")))
        return hone_err_new(HONE_E_INVALID, "SortBy is CreationTime%s%s, not '%.*s'",
                            name_key ? " or " : "", name_key ? name_key : "", HONE_ARG(by));
    json_t *copy = json_copy(hone_json_loose(in)); /* shares the members, which outlive it */
    if (!copy) return hone_err_new(HONE_E_NOMEM, "no memory for a list");
    (void)json_object_del(copy, "SortBy");
    for (size_t i = 0; i < sizeof renamed / sizeof renamed[0]; i++) {
        json_t *value = json_object_get(copy, renamed[i][0]);
        if (value) json_object_set(copy, renamed[i][1], value);
    }
    hone_err err = hone_op_listing(copy, LIST_LIMIT, true, page, out);
    json_decref(copy);
    out->by_name = by_name;
    return err;
}

void hone_out_text(json_t *object, const char *key, const char *text) {
    if (object && *text) json_object_set_new(object, key, json_string(text));
}

void hone_out_parallelism(json_t *object, int64_t parallelism) {
    if (object && parallelism > 0)
        json_object_set_new(
            object, "ParallelismConfiguration",
            json_pack("{s:I}", "MaxParallelExecutionSteps", (json_int_t)parallelism));
}

/* ---- pipelines ---- */

/* The definition: as text, or the text of an object. ptr NULL when neither is given. */
static hone_err read_definition(const hone_call *call, hone_tx *tx, const json_t *in,
                                hone_str *out) {
    const json_t *place = json_object_get(in, "PipelineDefinitionS3Location");
    hone_str bucket, key;
    hone_object object;
    HONE_TRY(hone_in_str(in, "PipelineDefinition", 0, HONE_DEFINITION_BYTES_MAX, out));
    if (!place || json_is_null(place)) return HONE_OK;
    if (out->ptr)
        return hone_err_new(HONE_E_INVALID,
                            "give PipelineDefinition or PipelineDefinitionS3Location, not both");
    HONE_TRY(hone_in_str(place, "Bucket", 1, HONE_BUCKET_MAX, &bucket));
    HONE_TRY(hone_in_str(place, "ObjectKey", 1, HONE_KEY_MAX, &key));
    hone_err err = hone_objects_find(call->app->objects, tx, call->arena, bucket, key, &object);
    if (err.code == HONE_E_NOT_FOUND) err.code = HONE_E_INVALID; /* the pipeline is not missing */
    HONE_TRY(err);
    return hone_file_load(call->arena, object.path, HONE_DEFINITION_BYTES_MAX, out);
}

static hone_err read_change(const hone_call *call, hone_tx *tx, const json_t *in,
                            hone_pipeline_change *out) {
    HONE_TRY(hone_in_str(in, "PipelineDisplayName", 0, NAME_MAX_BYTES, &out->display));
    HONE_TRY(hone_in_str(in, "PipelineDescription", 0, TEXT_MAX_BYTES, &out->description));
    HONE_TRY(hone_in_str(in, "RoleArn", 0, ARN_MAX_BYTES, &out->role));
    HONE_TRY(read_definition(call, tx, in, &out->definition));
    return hone_in_parallelism(in, &out->parallelism);
}

static hone_err create(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_str name, token;
    hone_pipeline pipeline;
    hone_pipeline_change fields = {.parallelism = -1};
    HONE_TRY(hone_in_name(in, "PipelineName", NULL, NAME_MAX_BYTES, false, &name));
    HONE_TRY(hone_in_str(in, "ClientRequestToken", 0, TOKEN_MAX_BYTES, &token));
    HONE_TRY(read_change(call, tx, in, &fields));
    if (!fields.definition.ptr)
        return hone_err_new(HONE_E_INVALID, "PipelineDefinition: expected a string");
    HONE_TRY(hone_pipelines_add(call->app->pipelines, tx, call->arena, call->actor, name, token,
                                &fields, &pipeline));
    HONE_TRY(hone_tags_add(tx, pipeline.arn, json_object_get(in, "Tags")));
    return hone_op_out(json_pack("{s:s}", "PipelineArn", pipeline.arn), out);
}

static hone_err update(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_str name;
    hone_pipeline pipeline;
    hone_pipeline_change change = {.parallelism = -1};
    HONE_TRY(hone_in_str(in, "PipelineName", 1, ARN_MAX_BYTES, &name));
    HONE_TRY(read_change(call, tx, in, &change));
    HONE_TRY(hone_pipelines_update(call->app->pipelines, tx, call->arena, call->actor, name,
                                   &change, &pipeline));
    return hone_op_out(json_pack("{s:s}", "PipelineArn", pipeline.arn), out);
}

static hone_err describe(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_str name;
    hone_pipeline p;
    HONE_TRY(hone_in_str(in, "PipelineName", 1, ARN_MAX_BYTES, &name));
    HONE_TRY(hone_pipelines_find(call->app->pipelines, tx, call->arena, name, &p));
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "PipelineArn", p.arn, "PipelineName",
        p.name, "PipelineDisplayName", p.display, "PipelineDefinition", p.definition, "RoleArn",
        p.role, "PipelineStatus", "Active", "CreationTime", hone_json_time(p.created_ms),
        "LastModifiedTime", hone_json_time(p.modified_ms), "CreatedBy",
        hone_json_actor(p.created_by), "LastModifiedBy", hone_json_actor(p.modified_by));
    hone_out_text(json, "PipelineDescription", p.description);
    hone_out_parallelism(json, p.parallelism);
    if (json && p.last_ms) json_object_set_new(json, "LastRunTime", hone_json_time(p.last_ms));
    return hone_op_out(json, out);
}

static hone_err delete (const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_str name;
    hone_pipeline p;
    HONE_TRY(hone_in_str(in, "PipelineName", 1, ARN_MAX_BYTES, &name));
    HONE_TRY(hone_pipelines_remove(call->app->pipelines, tx, call->arena, call->actor, name, &p));
    return hone_op_out(json_pack("{s:s}", "PipelineArn", p.arn), out);
}

static json_t *summary_json(const hone_pipeline *p) {
    json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "PipelineArn", p->arn,
                             "PipelineName", p->name, "PipelineDisplayName", p->display, "RoleArn",
                             p->role, "CreationTime", hone_json_time(p->created_ms),
                             "LastModifiedTime", hone_json_time(p->modified_ms));
    hone_out_text(json, "PipelineDescription", p->description);
    if (json && p->last_ms)
        json_object_set_new(json, "LastExecutionTime", hone_json_time(p->last_ms));
    return json;
}

static hone_err list(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_page page;
    hone_listing listing;
    hone_pipeline *pipelines = NULL;
    size_t count = 0;
    bool more = false;
    HONE_TRY(hone_in_created(in, "Name", &page, &listing));
    HONE_TRY(hone_in_str(in, "PipelineNamePrefix", 0, NAME_MAX_BYTES, &listing.name_contains));
    HONE_TRY(hone_pipelines_list(call->app->pipelines, tx, call->arena, &listing, &pipelines,
                                 &count, &more));
    json_t *summaries = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(summaries, summary_json(&pipelines[i]));
    HONE_TRY(hone_op_out(json_pack("{s:o}", "PipelineSummaries", summaries), out));
    hone_out_next(*out, &page, more);
    return HONE_OK;
}

/* ---- the table ---- */

#define OP(body, kind)                                                                 \
    static hone_err body##_op(const hone_call *call, const json_t *in, json_t **out) { \
        return hone_op_run(call, kind, body, in, out);                                 \
    }
OP(create, HONE_TX_WRITE)
OP(update, HONE_TX_WRITE)
OP(describe, HONE_TX_READ)
OP(delete, HONE_TX_WRITE)
OP(list, HONE_TX_READ)

const hone_op hone_pipeline_ops[] = {
    /* The SDK looks for ValidationException with "already exists" in it. */
    {"CreatePipeline", create_op, HONE_ENGINEER, NULL, "ValidationException"},
    {"UpdatePipeline", update_op, HONE_ENGINEER, NULL, NULL},
    {"DescribePipeline", describe_op, HONE_ENGINEER, NULL, NULL},
    {"DeletePipeline", delete_op, HONE_ENGINEER, NULL, "ConflictException"},
    {"ListPipelines", list_op, HONE_ENGINEER, NULL, NULL},
    {"StartPipelineExecution", hone_op_start_execution, HONE_ENGINEER, NULL, NULL},
    {"DescribePipelineExecution", hone_op_describe_execution, HONE_ENGINEER, NULL, NULL},
    {"DescribePipelineDefinitionForExecution", hone_op_describe_definition, HONE_ENGINEER, NULL,
     NULL},
    {"ListPipelineExecutions", hone_op_list_executions, HONE_ENGINEER, NULL, NULL},
    {"ListPipelineExecutionSteps", hone_op_list_steps, HONE_ENGINEER, NULL, NULL},
    {"ListPipelineParametersForExecution", hone_op_list_parameters, HONE_ENGINEER, NULL, NULL},
    {"StopPipelineExecution", hone_op_stop_execution, HONE_ENGINEER, NULL, NULL},
    {"RetryPipelineExecution", hone_op_retry_execution, HONE_ENGINEER, NULL, NULL},
    {"UpdatePipelineExecution", hone_op_update_execution, HONE_ENGINEER, NULL, NULL},
    {"DescribeTrainingJob", hone_op_describe_training, HONE_ENGINEER, NULL, NULL},
    {"ListTrainingJobs", hone_op_list_trainings, HONE_ENGINEER, NULL, NULL},
    {"StopTrainingJob", hone_op_stop_training, HONE_ENGINEER, NULL, NULL},
    {"DescribeProcessingJob", hone_op_describe_processing, HONE_ENGINEER, NULL, NULL},
    {"ListProcessingJobs", hone_op_list_processings, HONE_ENGINEER, NULL, NULL},
    {"StopProcessingJob", hone_op_stop_processing, HONE_ENGINEER, NULL, NULL},
    {0},
};
