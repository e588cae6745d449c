/* registry_ops.c: model package groups, model packages and models, as SageMaker has them.
 *
 * A version keeps all that CreateModelPackage was given; DescribeModelPackage gives the members
 * back that its answer has, and two of hone's own: HoneMetrics and HoneLineage. */
#include "api/ops.h"
#include "base/json.h"
#include "registry/models.h"
#include "serve/deployment.h"
#include "store/objects.h"
#include "store/tags.h"

enum { NAME_MAX_BYTES = 63, ARN_MAX_BYTES = 2048, TEXT_MAX_BYTES = 4096, LIST_LIMIT = 100 };

static const char wire_error[] = "ValidationException";

/* ---- groups ---- */

static hone_err create_group(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_str name, description;
    hone_group group;
    HONE_TRY(hone_in_name(in, "ModelPackageGroupName", NULL, NAME_MAX_BYTES, false, &name));
    HONE_TRY(hone_in_str(in, "ModelPackageGroupDescription", 0, TEXT_MAX_BYTES, &description));
    HONE_TRY(hone_registry_group_add(tx, call->arena, call->app->realm, call->actor, name,
                                     description, &group));
    HONE_TRY(hone_tags_add(tx, group.arn, json_object_get(in, "Tags")));
    return hone_op_out(json_pack("{s:s}", "ModelPackageGroupArn", group.arn), out);
}

/* The members that a description and a summary of a group share. */
static json_t *group_json(const hone_group *group) {
    json_t *json = json_pack("{s:s, s:s, s:o, s:s}", "ModelPackageGroupName", group->name,
                             "ModelPackageGroupArn", group->arn, "CreationTime",
                             hone_json_time(group->created_ms), "ModelPackageGroupStatus",
                             "Completed");
    if (json && group->description[0] != '\0')
        json_object_set_new(json, "ModelPackageGroupDescription", json_string(group->description));
    return json;
}

static hone_err describe_group(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_str name;
    hone_group group;
    HONE_TRY(hone_in_str(in, "ModelPackageGroupName", 1, ARN_MAX_BYTES, &name));
    HONE_TRY(hone_registry_group_find(tx, call->arena, name, &group));
    json_t *json = group_json(&group);
    if (json) json_object_set_new(json, "CreatedBy", hone_json_actor(group.created_by));
    return hone_op_out(json, out);
}

static hone_err list_groups(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_page page;
    hone_listing listing;
    hone_group *groups = NULL;
    size_t count = 0;
    bool more = false;
    HONE_TRY(hone_op_listing(in, LIST_LIMIT, false, &page, &listing));
    HONE_TRY(hone_registry_group_list(tx, call->arena, &listing, &groups, &count, &more));
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) json_array_append_new(list, group_json(&groups[i]));
    HONE_TRY(hone_op_out(json_pack("{s:o}", "ModelPackageGroupSummaryList", list), out));
    hone_out_next(*out, &page, more);
    return HONE_OK;
}

static hone_err delete_group(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_str name;
    hone_group group;
    (void)out;
    HONE_TRY(hone_in_str(in, "ModelPackageGroupName", 1, ARN_MAX_BYTES, &name));
    HONE_TRY(hone_registry_group_find(tx, call->arena, name, &group));
    HONE_TRY(hone_tags_drop(tx, group.arn));
    return hone_registry_group_remove(tx, call->arena, call->actor, name);
}

/* ---- packages ---- */

static hone_err create_package(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_str group;
    hone_version version;
    if (json_object_get(in, "ModelPackageName"))
        return hone_err_new(HONE_E_INVALID,
                            "hone keeps versions of groups: give ModelPackageGroupName, not "
                            "ModelPackageName");
    HONE_TRY(hone_in_name(in, "ModelPackageGroupName", "model-package-group", NAME_MAX_BYTES, false,
                          &group));
    const char *name = hone_arena_strdup(call->arena, group);
    if (!name) return hone_err_new(HONE_E_NOMEM, "no memory for a model package");
    HONE_TRY(hone_registry_add(tx, call->arena, call->app->realm, call->actor, name, in, NULL, NULL,
                               &version));
    HONE_TRY(hone_tags_add(tx, version.arn, json_object_get(in, "Tags")));
    return hone_op_out(json_pack("{s:s}", "ModelPackageArn", version.arn), out);
}

/* The members that a description and a summary of a package share. */
static json_t *package_json(const hone_version *v) {
    return json_pack("{s:s, s:s, s:I, s:s, s:o, s:s, s:s}", "ModelPackageName", v->group,
                     "ModelPackageGroupName", v->group, "ModelPackageVersion",
                     (json_int_t)v->number, "ModelPackageArn", v->arn, "CreationTime",
                     hone_json_time(v->created_ms), "ModelPackageStatus", "Completed",
                     "ModelApprovalStatus", v->status);
}

/* Members of CreateModelPackage that its description has too. */
static const char *const kept[] = {
    "ModelPackageDescription",
    "ModelPackageRegistrationType",
    "InferenceSpecification",
    "SourceAlgorithmSpecification",
    "ValidationSpecification",
    "CertifyForMarketplace",
    "MetadataProperties",
    "ModelMetrics",
    "Domain",
    "Task",
    "SamplePayloadUrl",
    "CustomerMetadataProperties",
    "DriftCheckBaselines",
    "AdditionalInferenceSpecifications",
    "SkipModelValidation",
    "SourceUri",
    "SecurityConfig",
    "ModelCard",
    "ModelLifeCycle",
};

/* Set json[key] to the object that text holds, unless that is empty. */
static hone_err set_object(json_t *json, const char *key, const char *text) {
    json_t *value = NULL;
    HONE_TRY(hone_json_parse(hone_str_of(text), key, &value));
    if (json_object_size(value) > 0)
        json_object_set_new(json, key, value);
    else
        json_decref(value);
    return HONE_OK;
}

static hone_err fill_description(const hone_version *v, json_t *json) {
    json_t *fields = NULL;
    HONE_TRY(hone_json_parse(hone_str_of(v->fields), "fields of a model package", &fields));
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        json_t *value = json_object_get(fields, kept[i]);
        if (value) json_object_set(json, kept[i], value);
    }
    json_decref(fields);
    json_object_set_new(json, "ModelPackageStatusDetails",
                        json_pack("{s:[], s:[]}", "ValidationStatuses", "ImageScanStatuses"));
    json_object_set_new(json, "CreatedBy", hone_json_actor(v->created_by));
    json_object_set_new(json, "LastModifiedBy", hone_json_actor(v->modified_by));
    json_object_set_new(json, "LastModifiedTime", hone_json_time(v->modified_ms));
    if (v->approval_note[0] != '\0')
        json_object_set_new(json, "ApprovalDescription", json_string(v->approval_note));
    HONE_TRY(set_object(json, "HoneMetrics", v->metrics));
    return set_object(json, "HoneLineage", v->lineage);
}

static hone_err describe_package(const hone_call *call, hone_tx *tx, const json_t *in,
                                 json_t **out) {
    hone_str name;
    hone_version version;
    HONE_TRY(hone_in_str(in, "ModelPackageName", 1, ARN_MAX_BYTES, &name));
    HONE_TRY(hone_registry_find(tx, call->arena, name, &version));
    HONE_TRY(hone_op_out(package_json(&version), out));
    return fill_description(&version, *out);
}

/* What hone does not let change: a version stays what it was when it was measured. */
static hone_err check_unchanged(const json_t *in) {
    static const char *const fixed[] = {"InferenceSpecification",
                                        "SourceUri",
                                        "ModelCard",
                                        "AdditionalInferenceSpecificationsToAdd",
                                        "ModelLifeCycle",
                                        "ModelPackageRegistrationType"};
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (json_object_get(in, fixed[i]))
            return hone_err_new(HONE_E_INVALID,
                                "hone keeps a version as it was registered: %s does not change",
                                fixed[i]);
    return HONE_OK;
}

static hone_err check_properties(json_t *properties, const json_t *drop) {
    const char *key = NULL;
    json_t *value = NULL;
    const json_t *dropped = NULL;
    size_t i = 0;
    if (properties && (!json_is_object(properties) || json_object_size(properties) > 50))
        return hone_err_new(HONE_E_INVALID,
                            "CustomerMetadataProperties is no object of at most 50 strings");
    json_object_foreach(properties, key, value) if (!json_is_string(value)) return hone_err_new(
        HONE_E_INVALID, "CustomerMetadataProperties['%s'] is no string", key);
    if (drop && !json_is_array(drop))
        return hone_err_new(HONE_E_INVALID, "CustomerMetadataPropertiesToRemove is no list");
    json_array_foreach(drop, i, dropped) if (!json_is_string(dropped)) return hone_err_new(
        HONE_E_INVALID, "CustomerMetadataPropertiesToRemove[%zu] is no string", i);
    return HONE_OK;
}

static hone_err update_package(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_str name;
    hone_version version;
    hone_version_change change = {
        .properties = json_object_get(in, "CustomerMetadataProperties"),
        .drop_keys = json_object_get(in, "CustomerMetadataPropertiesToRemove")};
    HONE_TRY(hone_in_str(in, "ModelPackageArn", 1, ARN_MAX_BYTES, &name));
    HONE_TRY(hone_in_str(in, "ModelApprovalStatus", 0, NAME_MAX_BYTES, &change.status));
    HONE_TRY(hone_in_str(in, "ApprovalDescription", 0, TEXT_MAX_BYTES, &change.note));
    HONE_TRY(check_unchanged(in));
    HONE_TRY(check_properties(change.properties, change.drop_keys));
    HONE_TRY(hone_registry_update(tx, call->arena, call->actor, name, &change, &version));
    return hone_op_out(json_pack("{s:s}", "ModelPackageArn", version.arn), out);
}

static hone_err delete_package(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_str name;
    hone_version version;
    (void)out;
    HONE_TRY(hone_in_str(in, "ModelPackageName", 1, ARN_MAX_BYTES, &name));
    HONE_TRY(hone_registry_find(tx, call->arena, name, &version));
    HONE_TRY(hone_tags_drop(tx, version.arn));
    return hone_registry_remove(tx, call->arena, call->actor, name);
}

static json_t *summary_json(const hone_version *version) {
    json_t *json = package_json(version), *fields = NULL;
    if (!json || hone_failed(hone_json_parse(hone_str_of(version->fields), "fields", &fields)))
        return json;
    json_t *description = json_object_get(fields, "ModelPackageDescription");
    if (description) json_object_set(json, "ModelPackageDescription", description);
    json_decref(fields);
    return json;
}

static hone_err list_packages(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_page page;
    hone_listing listing;
    hone_version *versions = NULL;
    hone_str type;
    size_t count = 0;
    bool more = false;
    HONE_TRY(hone_op_listing(in, LIST_LIMIT, false, &page, &listing));
    HONE_TRY(hone_in_str(in, "ModelPackageGroupName", 0, ARN_MAX_BYTES, &listing.group));
    HONE_TRY(hone_in_str(in, "ModelApprovalStatus", 0, NAME_MAX_BYTES, &listing.status));
    HONE_TRY(hone_in_str(in, "ModelPackageType", 0, NAME_MAX_BYTES, &type));
    if (!hone_str_equal(type, HONE_S("Unversioned"))) /* hone has none of those */
        HONE_TRY(hone_registry_list(tx, call->arena, &listing, &versions, &count, &more));
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) json_array_append_new(list, summary_json(&versions[i]));
    HONE_TRY(hone_op_out(json_pack("{s:o}", "ModelPackageSummaryList", list), out));
    hone_out_next(*out, &page, more);
    return HONE_OK;
}

/* ---- models ---- */

/* Better now than when an endpoint wants it. */
static hone_err check_data(const hone_call *call, hone_tx *tx, const hone_served *model) {
    hone_str bucket, key;
    hone_object object;
    HONE_TRY(hone_s3_uri_parse(hone_str_of(model->artifact_uri), &bucket, &key));
    hone_err err = hone_objects_find(call->app->objects, tx, call->arena, bucket, key, &object);
    if (err.code != HONE_E_NOT_FOUND) return err;
    return hone_err_new(HONE_E_INVALID, "Could not find model data at %s", model->artifact_uri);
}

static hone_err check_dtype(const hone_call *call, const hone_served *model) {
    const char *text = NULL;
    hone_dtype dtype;
    HONE_TRY(hone_models_setting(call->arena, model, HONE_PLAN_DTYPE, &text));
    hone_err err = text ? hone_dtype_parse(text, &dtype) : HONE_OK;
    return hone_failed(err) ? hone_err_wrap(err, HONE_PLAN_DTYPE) : err;
}

static hone_err create_model(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_served model;
    HONE_TRY(hone_models_add(tx, call->arena, call->app->realm, call->actor, in, &model));
    HONE_TRY(check_data(call, tx, &model));
    HONE_TRY(check_dtype(call, &model));
    HONE_TRY(hone_tags_add(tx, model.arn, json_object_get(in, "Tags")));
    return hone_op_out(json_pack("{s:s}", "ModelArn", model.arn), out);
}

static hone_err find_model(const hone_call *call, hone_tx *tx, const json_t *in, hone_served *out) {
    hone_str name;
    HONE_TRY(hone_in_name(in, "ModelName", "model", NAME_MAX_BYTES, false, &name));
    return hone_models_find(tx, call->arena, name, out);
}

static hone_err describe_model(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_served model;
    HONE_TRY(find_model(call, tx, in, &model));
    HONE_TRY(hone_json_parse(hone_str_of(model.fields), "fields of a model", out));
    (void)json_object_del(*out, "Tags"); /* absent is as good */
    json_object_set_new(*out, "ModelArn", json_string(model.arn));
    json_object_set_new(*out, "CreationTime", hone_json_time(model.created_ms));
    return HONE_OK;
}

static hone_err delete_model(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_served model;
    (void)out;
    HONE_TRY(find_model(call, tx, in, &model));
    HONE_TRY(hone_tags_drop(tx, model.arn));
    return hone_models_remove(tx, call->arena, call->actor, hone_str_of(model.name));
}

static hone_err list_models(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_page page;
    hone_listing listing;
    hone_served *models = NULL;
    size_t count = 0;
    bool more = false;
    HONE_TRY(hone_op_listing(in, LIST_LIMIT, true, &page, &listing));
    HONE_TRY(hone_models_list(tx, call->arena, &listing, &models, &count, &more));
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "ModelName", models[i].name,
                                              "ModelArn", models[i].arn, "CreationTime",
                                              hone_json_time(models[i].created_ms)));
    HONE_TRY(hone_op_out(json_pack("{s:o}", "Models", list), out));
    hone_out_next(*out, &page, more);
    return HONE_OK;
}

/* ---- the table ---- */

#define OP(body, kind)                                                                 \
    static hone_err body##_op(const hone_call *call, const json_t *in, json_t **out) { \
        return hone_op_run(call, kind, body, in, out);                                 \
    }
OP(create_group, HONE_TX_WRITE)
OP(describe_group, HONE_TX_READ)
OP(list_groups, HONE_TX_READ)
OP(delete_group, HONE_TX_WRITE)
OP(create_package, HONE_TX_WRITE)
OP(describe_package, HONE_TX_READ)
OP(update_package, HONE_TX_WRITE)
OP(delete_package, HONE_TX_WRITE)
OP(list_packages, HONE_TX_READ)
OP(create_model, HONE_TX_WRITE)
OP(describe_model, HONE_TX_READ)
OP(delete_model, HONE_TX_WRITE)
OP(list_models, HONE_TX_READ)

const hone_op hone_registry_ops[] = {
    {"CreateModelPackageGroup", create_group_op, HONE_ENGINEER, wire_error, wire_error},
    {"DescribeModelPackageGroup", describe_group_op, HONE_ENGINEER, wire_error, NULL},
    {"ListModelPackageGroups", list_groups_op, HONE_ENGINEER, wire_error, NULL},
    {"DeleteModelPackageGroup", delete_group_op, HONE_ENGINEER, wire_error, "ConflictException"},
    {"CreateModelPackage", create_package_op, HONE_ENGINEER, wire_error, "ConflictException"},
    {"DescribeModelPackage", describe_package_op, HONE_ENGINEER, wire_error, NULL},
    {"UpdateModelPackage", update_package_op, HONE_ENGINEER, wire_error, "ConflictException"},
    {"DeleteModelPackage", delete_package_op, HONE_ENGINEER, wire_error, "ConflictException"},
    {"ListModelPackages", list_packages_op, HONE_ENGINEER, wire_error, NULL},
    {"CreateModel", create_model_op, HONE_ENGINEER, wire_error, wire_error},
    {"DescribeModel", describe_model_op, HONE_ENGINEER, wire_error, NULL},
    {"DeleteModel", delete_model_op, HONE_ENGINEER, wire_error, NULL},
    {"ListModels", list_models_op, HONE_ENGINEER, wire_error, NULL},
    {0},
};
