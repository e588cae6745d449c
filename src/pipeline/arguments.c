/* arguments.c: see arguments_impl.h. */
#include "pipeline/arguments_impl.h"

#include "base/json.h"
#include "pipeline/expression.h"
#include "pipeline/native.h"
#include "store/objects.h"

#include <stdio.h>

static hone_err wrong(const hone_step_def *step, const char *what) {
    return hone_err_new(HONE_E_INVALID, "step '%s': %s", step->name, what);
}

static hone_err check_image(const hone_step_def *step, const json_t *spec, const char *key) {
    hone_str image = hone_json_str(json_object_get(spec, key));
    if (hone_str_equal(image, HONE_S(HONE_NATIVE_IMAGE))) return HONE_OK;
    return hone_err_new(HONE_E_INVALID,
                        "step '%s': image '%.*s' is not supported: only '" HONE_NATIVE_IMAGE
                        "' is, the built-in processor and trainer",
                        step->name, HONE_ARG(image));
}

/* Is it an s3:// address, or an expression that will be one? */
static hone_err check_uri(const hone_step_def *step, const json_t *uri, const char *what) {
    hone_str bucket, key;
    if (hone_is_expression(uri)) return HONE_OK;
    hone_err err = json_is_string(uri)
                       ? hone_s3_uri_parse(hone_json_str(uri), &bucket, &key)
                       : hone_err_new(HONE_E_INVALID, "expected an address s3://bucket/key");
    return hone_failed(err) ? hone_err_wrap(err, "step '%s': %s", step->name, what) : HONE_OK;
}

/* Every element of list has a name of its own and an address at part.S3Uri. */
static hone_err check_channels(const hone_step_def *step, const json_t *list, const char *name_key,
                               const char *part, const char *const *names) {
    size_t i = 0, j = 0;
    json_t *item = NULL;
    if (list && !json_is_array(list)) return wrong(step, "its inputs or outputs are no array");
    json_array_foreach(list, i, item) {
        hone_str name = hone_json_str(json_object_get(item, name_key));
        bool known = false;
        for (j = 0; names[j]; j++) known = known || hone_str_equal(name, hone_str_of(names[j]));
        if (!known)
            return hone_err_new(HONE_E_INVALID,
                                "step '%s': %s '%.*s' is not one that " HONE_NATIVE_IMAGE
                                " has: %s, %s%s%s",
                                step->name, name_key, HONE_ARG(name), names[0], names[1],
                                names[2] ? ", " : "", names[2] ? names[2] : "");
        for (j = 0; j < i; j++)
            if (hone_str_equal(name,
                               hone_json_str(json_object_get(json_array_get(list, j), name_key))))
                return hone_err_new(HONE_E_INVALID, "step '%s': %s '%.*s' is there twice",
                                    step->name, name_key, HONE_ARG(name));
        const json_t *inner = json_object_get(item, part);
        if (strcmp(part, "DataSource") == 0) inner = json_object_get(inner, "S3DataSource");
        HONE_TRY(check_uri(step, json_object_get(inner, "S3Uri"), name.ptr));
    }
    return HONE_OK;
}

static bool has_named(const json_t *list, const char *key, const char *name) {
    size_t i = 0;
    json_t *item = NULL;
    json_array_foreach(list, i, item) if (hone_str_equal(hone_json_str(json_object_get(item, key)),
                                                         hone_str_of(name))) return true;
    return false;
}

static const json_t *outputs_of(const hone_step_def *step) {
    return json_object_get(json_object_get(step->arguments, "ProcessingOutputConfig"), "Outputs");
}

static hone_err check_processing(hone_arena *arena, const hone_step_def *step) {
    static const char *const inputs[] = {"data", "reviews", NULL};
    static const char *const outputs[] = {"train", "test", "report", NULL};
    hone_processing settings;
    const json_t *a = step->arguments, *in = json_object_get(a, "ProcessingInputs");
    HONE_TRY(check_image(step, json_object_get(a, "AppSpecification"), "ImageUri"));
    HONE_TRY(hone_processing_read(arena, json_object_get(a, "Environment"), step->name, &settings));
    HONE_TRY(check_channels(step, in, "InputName", "S3Input", inputs));
    HONE_TRY(check_channels(step, outputs_of(step), "OutputName", "S3Output", outputs));
    if (!has_named(in, "InputName", "data")) return wrong(step, "it has no input 'data'");
    if (!has_named(outputs_of(step), "OutputName", "train") ||
        !has_named(outputs_of(step), "OutputName", "test"))
        return wrong(step, "it needs the outputs 'train' and 'test'");
    return HONE_OK;
}

static hone_err check_training(hone_arena *arena, const hone_step_def *step) {
    static const char *const channels[] = {"train", "test", NULL};
    hone_training settings;
    const json_t *a = step->arguments, *in = json_object_get(a, "InputDataConfig");
    const json_t *hyper = json_object_get(a, "HyperParameters");
    HONE_TRY(check_image(step, json_object_get(a, "AlgorithmSpecification"), "TrainingImage"));
    HONE_TRY(hone_training_read(arena, hyper, step->name, &settings));
    HONE_TRY(check_channels(step, in, "ChannelName", "DataSource", channels));
    if (!has_named(in, "ChannelName", "train")) return wrong(step, "it has no channel 'train'");
    if (!json_object_get(hyper, "model_name")) return wrong(step, "it has no model_name");
    const json_t *out = json_object_get(a, "OutputDataConfig");
    return check_uri(step, json_object_get(out, "S3OutputPath"), "OutputDataConfig");
}

static hone_err check_register(const hone_step_def *step) {
    const json_t *a = step->arguments, *group = json_object_get(a, "ModelPackageGroupName");
    const json_t *containers = json_object_get(json_object_get(a, "InferenceSpecification"),
                                               "Containers");
    if (!hone_is_expression(group) && !json_is_string(group))
        return wrong(step, "it has no ModelPackageGroupName");
    if (json_array_size(containers) != 1)
        return wrong(step, "InferenceSpecification.Containers: expected one container");
    const json_t *url = json_object_get(json_array_get(containers, 0), "ModelDataUrl");
    return check_uri(step, url, "ModelDataUrl");
}

hone_err hone_arguments_check(hone_arena *arena, const hone_step_def *step) {
    switch (step->type) {
    case HONE_STEP_PROCESSING:
        return check_processing(arena, step);
    case HONE_STEP_TRAINING:
        return check_training(arena, step);
    case HONE_STEP_REGISTER:
        return check_register(step);
    }
    return HONE_OK;
}

/* --- properties --------------------------------------------------------------------- */

/* The name in ['...'] that begins at path; empty when there is none. */
static hone_str quoted_name(hone_str path) {
    if (path.len < 4 || path.ptr[0] != '[' || path.ptr[1] != '\'') return (hone_str){"", 0};
    const char *end = memchr(path.ptr + 2, '\'', path.len - 2);
    return end ? (hone_str){path.ptr + 2, (size_t)(end - path.ptr) - 2} : (hone_str){"", 0};
}

hone_err hone_property_check(const hone_step_def *step, hone_str path) {
    static const char *const roots[3][16] = {
        [HONE_STEP_PROCESSING] = {"ProcessingJobName", "ProcessingJobArn", "ProcessingJobStatus",
                                  "ProcessingOutputConfig", "ProcessingInputs", "Environment",
                                  "AppSpecification", "CreationTime", NULL},
        [HONE_STEP_TRAINING] = {"TrainingJobName", "TrainingJobArn", "TrainingJobStatus",
                                "ModelArtifacts", "OutputDataConfig", "HyperParameters",
                                "InputDataConfig", "FinalMetricDataList", "CreationTime", NULL},
        [HONE_STEP_REGISTER] = {"ModelPackageArn", "ModelPackageName", "ModelPackageGroupName",
                                "ModelPackageVersion", "ModelApprovalStatus", NULL},
    };
    static const hone_str outputs = {"ProcessingOutputConfig.Outputs", 30};
    size_t end = 0;
    while (end < path.len && path.ptr[end] != '.' && path.ptr[end] != '[') end++;
    bool known = false;
    for (size_t i = 0; roots[step->type][i]; i++)
        known = known ||
                hone_str_equal((hone_str){path.ptr, end}, hone_str_of(roots[step->type][i]));
    if (!known)
        return hone_err_new(HONE_E_INVALID, "step '%s', a %s step, has no property '%.*s'",
                            step->name, hone_step_type_name(step->type), HONE_ARG(path));
    if (!hone_str_has_prefix(path, outputs)) return HONE_OK;
    hone_str name = quoted_name((hone_str){path.ptr + outputs.len, path.len - outputs.len});
    size_t i = 0;
    json_t *item = NULL;
    if (name.len == 0) return HONE_OK;
    json_array_foreach(outputs_of(step), i,
                       item) if (hone_str_equal(hone_json_str(json_object_get(item, "OutputName")),
                                                name)) return HONE_OK;
    return hone_err_new(HONE_E_INVALID, "step '%s' has no output '%.*s'", step->name,
                        HONE_ARG(name));
}

/* --- retries ------------------------------------------------------------------------ */

static hone_err check_policy(const json_t *policy, const char *where) {
    static const char *const known[] = {"Step.SERVICE_FAULT", "Step.THROTTLING",
                                        "SageMaker.RESOURCE_LIMIT", "SageMaker.JOB_INTERNAL_ERROR",
                                        "SageMaker.CAPACITY_ERROR"};
    const json_t *types = json_object_get(policy, "ExceptionType");
    size_t i = 0;
    json_t *item = NULL;
    double rate = 0, interval = 0, attempts = 0, expire = 0;
    if (!json_is_object(policy) || json_array_size(types) == 0)
        return hone_err_new(HONE_E_INVALID, "%s: a policy has no ExceptionType", where);
    json_array_foreach(types, i, item) {
        bool found = false;
        for (size_t j = 0; j < sizeof known / sizeof known[0]; j++)
            found = found || hone_str_equal(hone_json_str(item), hone_str_of(known[j]));
        if (!found)
            return hone_err_new(HONE_E_INVALID, "%s: ExceptionType '%.*s' is unknown", where,
                                HONE_ARG(hone_json_str(item)));
    }
    HONE_TRY(hone_json_number(policy, where, "BackoffRate", 0, 100, 2, &rate));
    HONE_TRY(hone_json_number(policy, where, "IntervalSeconds", 0, 86400, 1, &interval));
    HONE_TRY(hone_json_number(policy, where, "MaxAttempts", 1, 1000, 5, &attempts));
    return hone_json_number(policy, where, "ExpireAfterMin", 0, 1e6, 0, &expire);
}

hone_err hone_retries_check(const json_t *policies, const char *step) {
    char where[128];
    size_t i = 0;
    json_t *policy = NULL;
    (void)snprintf(where, sizeof where, "step '%.80s': RetryPolicies", step);
    if (!json_is_array(policies)) return hone_err_new(HONE_E_INVALID, "%s: no array", where);
    json_array_foreach(policies, i, policy) {
        hone_err err = check_policy(policy, where);
        if (err.code == HONE_E_CORRUPT) err.code = HONE_E_INVALID;
        HONE_TRY(err);
    }
    return HONE_OK;
}
