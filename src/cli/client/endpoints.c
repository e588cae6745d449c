/* endpoints.c: `hone deploy`, `hone undeploy`, `hone endpoints`: versions that answer.
 *
 *     version --CreateModel--> model --CreateEndpointConfig--> config --Create|UpdateEndpoint--> NAME
 *
 * These are the service's own steps; each deployment makes a new model and configuration, because
 * neither can be changed. undeploy takes the endpoint and its present configuration and model away. */
#include "base/clock.h"
#include "base/id.h"
#include "cli/client/columns.h"
#include "cli/client/verbs.h"
#include "cli/client/versions.h"
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    POLL_MS = 200,
    WAIT_S_DEFAULT = 600,
    NAME_SIZE = 64, /* 63 bytes, the service's limit */
};

static const char role_arn[] = "arn:aws:iam::000000000000:role/hone"; /* wanted, not looked at */
static const char instance_type[] = "ml.m5.xlarge";                   /* likewise */
static const char variant_name[] = "AllTraffic";

static void pause_ms(int64_t ms) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL); /* an interrupted pause is a shorter one */
}

/* ---- deploy ---- */

/* "sentiment-3-9f86d081": the version it stands for, and what makes it unique. */
static void make_name(const char *group, int64_t version, char out[NAME_SIZE]) {
    char id[HONE_ID_SIZE];
    hone_id_make(id);
    (void)snprintf(out, NAME_SIZE, "%.40s-%lld-%.8s", group, (long long)version, id);
}

/* A configuration with one variant that serves the version; its name in out. */
static hone_err make_config(hone_remote *remote, const json_t *version, const char *dtype,
                            char out[NAME_SIZE]) {
    const char *group = hone_field(version, "ModelPackageGroupName");
    make_name(group, (int64_t)hone_field_number(version, "ModelPackageVersion", 0.0), out);
    json_t *environment = json_object();
    if (dtype) (void)json_object_set_new(environment, "HONE_DTYPE", json_string(dtype));
    HONE_TRY(hone_remote_op(remote, "CreateModel",
                            json_pack("{s:s, s:s, s:[{s:s, s:o}]}", "ModelName", out,
                                      "ExecutionRoleArn", role_arn, "Containers",
                                      "ModelPackageName", hone_field(version, "ModelPackageArn"),
                                      "Environment", environment),
                            NULL));
    return hone_remote_op(remote, "CreateEndpointConfig",
                          json_pack("{s:s, s:[{s:s, s:s, s:i, s:s, s:f}]}", "EndpointConfigName",
                                    out, "ProductionVariants", "VariantName", variant_name,
                                    "ModelName", out, "InitialInstanceCount", 1, "InstanceType",
                                    instance_type, "InitialVariantWeight", 1.0),
                          NULL);
}

static hone_err describe(hone_remote *remote, const char *endpoint, json_t **out) {
    return hone_remote_op(remote, "DescribeEndpoint", json_pack("{s:s}", "EndpointName", endpoint),
                          out);
}

/* Create the endpoint, or swap the model of the one that is there. */
static hone_err put_endpoint(hone_remote *remote, const char *endpoint, const char *config,
                             bool *is_new) {
    json_t *present = NULL;
    hone_err err = describe(remote, endpoint, &present);
    json_decref(present);
    *is_new = err.code == HONE_E_NOT_FOUND;
    if (hone_failed(err) && !*is_new) return err;
    return hone_remote_op(
        remote, *is_new ? "CreateEndpoint" : "UpdateEndpoint",
        json_pack("{s:s, s:s}", "EndpointName", endpoint, "EndpointConfigName", config), NULL);
}

/* What becomes of an update, by what the endpoint says of itself. A configuration that cannot be
 * loaded is rolled back: the endpoint is InService again, with the one before and the reason. */
typedef enum outcome { COMING, THERE, FAILED } outcome;

static outcome outcome_of(const json_t *present, const char *config) {
    static const char *const coming[] = {"Creating", "Updating", "SystemUpdating", "RollingBack"};
    const char *status = hone_field(present, "EndpointStatus");
    for (size_t i = 0; i < sizeof coming / sizeof coming[0]; i++)
        if (strcmp(status, coming[i]) == 0) return COMING;
    if (strcmp(status, "InService") != 0) return FAILED;
    if (strcmp(hone_field(present, "EndpointConfigName"), config) == 0) return THERE;
    return *hone_field(present, "FailureReason") ? FAILED : COMING;
}

/* Until the endpoint serves the configuration, or has failed to. */
static hone_err wait_for(hone_remote *remote, const char *endpoint, const char *config,
                         size_t wait_s) {
    int64_t until_ns = hone_clock_ns() + (int64_t)wait_s * 1000000000;
    for (;;) {
        json_t *present = NULL;
        HONE_TRY(describe(remote, endpoint, &present));
        outcome now = outcome_of(present, config);
        hone_err err = HONE_OK;
        if (now == FAILED)
            err = hone_err_new(HONE_E_INVALID, "endpoint '%s' could not be deployed: %s", endpoint,
                               hone_field(present, "FailureReason"));
        else if (now == COMING && hone_clock_ns() > until_ns)
            err = hone_err_new(HONE_E_FULL,
                               "endpoint '%s' is still %s after %zu s: hone endpoints shows how it "
                               "goes on",
                               endpoint, hone_field(present, "EndpointStatus"), wait_s);
        json_decref(present);
        if (now == THERE || hone_failed(err)) return err;
        pause_ms(POLL_MS);
    }
}

static hone_err check_approved(const json_t *version, const char *word) {
    const char *status = hone_field(version, "ModelApprovalStatus");
    if (strcmp(status, "Approved") == 0) return HONE_OK;
    return hone_err_new(HONE_E_INVALID,
                        "version %.0f of '%s' is %s: hone models approve %s allows it",
                        hone_field_number(version, "ModelPackageVersion", 0.0),
                        hone_field(version, "ModelPackageGroupName"), status, word);
}

static hone_err deploy_version(const hone_verb_call *call, const json_t *version,
                               const char *endpoint, const char *dtype, size_t wait_s) {
    char config[NAME_SIZE];
    bool is_new = false;
    const char *group = hone_field(version, "ModelPackageGroupName");
    double number = hone_field_number(version, "ModelPackageVersion", 0.0);
    if (!endpoint) endpoint = group;
    HONE_TRY(check_approved(version, call->words[0]));
    HONE_TRY(make_config(call->remote, version, dtype, config));
    HONE_TRY(put_endpoint(call->remote, endpoint, config, &is_new));
    if (wait_s > 0) HONE_TRY(wait_for(call->remote, endpoint, config, wait_s));
    if (call->json)
        return hone_remote_print(json_pack(
            "{s:s, s:s, s:s, s:i, s:s}", "EndpointName", endpoint, "EndpointConfigName", config,
            "ModelPackageGroupName", group, "ModelPackageVersion", (int)number, "EndpointStatus",
            wait_s > 0 ? "InService"
            : is_new   ? "Creating"
                       : "Updating"));
    printf("%s:%.0f %s %s\n", group, number,
           wait_s > 0 ? "is served by"
           : is_new   ? "is being deployed to"
                      : "is being swapped into",
           endpoint);
    return HONE_OK;
}

static hone_err deploy(hone_verb_call *call) {
    const char *endpoint = NULL, *dtype = NULL;
    bool wait = false;
    size_t wait_s = WAIT_S_DEFAULT;
    const hone_option options[] = {
        {"endpoint", "NAME", "the endpoint (the group's name); made when it is not there",
         HONE_OPT_STR, &endpoint, false},
        {"dtype", "T", "multiply in f32, bf16, int8 or auto (as the server does)", HONE_OPT_STR,
         &dtype, false},
        {"wait", NULL, "return when it answers with this version", HONE_OPT_FLAG, &wait, false},
        {"timeout", "S", "give up waiting after so many seconds (600)", HONE_OPT_SIZE, &wait_s,
         false},
        {0}};
    HONE_TRY(hone_verb_begin(call, options));
    if (!call->remote) return HONE_OK;
    json_t *version = NULL;
    HONE_TRY(hone_versions_find(call->remote, call->words[0], "Approved", &version));
    hone_err err = deploy_version(call, version, endpoint, dtype, wait ? wait_s : 0);
    json_decref(version);
    return err;
}

hone_err hone_cmd_deploy(int argc, char **argv) {
    static const hone_verb verb = {
        "deploy",
        deploy,
        "GROUP[:VERSION] [--endpoint NAME] [--dtype T] [--wait]",
        "Serve an approved version of a model group, the newest unless one is named. An endpoint\n"
        "that is there already goes on answering while the model behind it is swapped.",
        1,
        1};
    return hone_verb_run(&verb, argc, argv);
}

/* ---- undeploy ---- */

/* The configuration with its models. What another endpoint still uses stays, and what somebody
 * deleted already is gone: neither is an error of undeploy. */
static void drop_config(hone_remote *remote, const char *config) {
    json_t *described = NULL, *variant = NULL;
    size_t i = 0;
    if (hone_failed(hone_remote_op(remote, "DescribeEndpointConfig",
                                   json_pack("{s:s}", "EndpointConfigName", config), &described)))
        return;
    hone_err err = hone_remote_op(remote, "DeleteEndpointConfig",
                                  json_pack("{s:s}", "EndpointConfigName", config), NULL);
    json_array_foreach(json_object_get(described, "ProductionVariants"), i, variant) {
        if (!hone_failed(err))
            err = hone_remote_op(remote, "DeleteModel",
                                 json_pack("{s:s}", "ModelName", hone_field(variant, "ModelName")),
                                 NULL);
    }
    json_decref(described);
}

static hone_err undeploy(hone_verb_call *call) {
    json_t *present = NULL;
    HONE_TRY(hone_verb_begin(call, NULL));
    if (!call->remote) return HONE_OK;
    hone_err err = describe(call->remote, call->words[0], &present);
    if (err.code == HONE_E_NOT_FOUND)
        return hone_err_new(HONE_E_NOT_FOUND,
                            "no endpoint '%s': hone endpoints shows those there are",
                            call->words[0]);
    HONE_TRY(err);
    err = hone_remote_op(call->remote, "DeleteEndpoint",
                         json_pack("{s:s}", "EndpointName", call->words[0]), NULL);
    if (!hone_failed(err)) drop_config(call->remote, hone_field(present, "EndpointConfigName"));
    json_decref(present);
    HONE_TRY(err);
    if (call->json) return hone_remote_print(json_pack("{s:s}", "EndpointName", call->words[0]));
    printf("endpoint %s is stopped; its models stay in the registry\n", call->words[0]);
    return HONE_OK;
}

hone_err hone_cmd_undeploy(int argc, char **argv) {
    static const hone_verb verb = {
        "undeploy", undeploy,
        "NAME",     "Stop an endpoint. The version that it served stays in the registry.",
        1,          1};
    return hone_verb_run(&verb, argc, argv);
}

/* ---- endpoints ---- */

/* Each endpoint as DescribeEndpoint tells it; one that went meanwhile is left out. */
static hone_err collect(hone_remote *remote, json_t *all) {
    json_t *listed = NULL, *item = NULL;
    size_t i = 0;
    hone_err err = hone_remote_list(remote, "ListEndpoints", json_object(), "Endpoints", 0,
                                    &listed);
    if (hone_failed(err)) return err;
    json_array_foreach(listed, i, item) {
        json_t *whole = NULL;
        if (hone_failed(err)) break;
        err = describe(remote, hone_field(item, "EndpointName"), &whole);
        if (err.code == HONE_E_NOT_FOUND)
            err = HONE_OK;
        else if (!hone_failed(err) && json_array_append_new(all, whole) != 0)
            err = hone_err_new(HONE_E_NOMEM, "no memory for a list");
    }
    json_decref(listed);
    return err;
}

static hone_err print_endpoints(const hone_verb_call *call, const json_t *all) {
    static const char *const titles[] = {"ENDPOINT", "STATUS",  "VERSION", "DTYPE", ">ASKED",
                                         ">ERRORS",  ">P50 MS", ">P99 MS", "WHY",   NULL};
    hone_columns rows;
    json_t *item = NULL;
    size_t i = 0;
    hone_columns_init(&rows, hone_remote_arena(call->remote), titles);
    json_array_foreach(all, i, item) {
        const json_t *stats = json_object_get(item, "HoneStats");
        hone_columns_row(&rows);
        hone_columns_cell(&rows, 0, "%s", hone_field(item, "EndpointName"));
        hone_columns_cell(&rows, 1, "%s", hone_field(item, "EndpointStatus"));
        hone_columns_cell(&rows, 2, "%s", hone_field(stats, "Version"));
        hone_columns_cell(&rows, 3, "%s", hone_field(stats, "Dtype"));
        hone_columns_cell(&rows, 4, "%.0f", hone_field_number(stats, "Invocations", 0.0));
        hone_columns_cell(&rows, 5, "%.0f", hone_field_number(stats, "Errors", 0.0));
        hone_columns_cell(&rows, 6, "%.1f", hone_field_number(stats, "LatencyP50Ms", 0.0));
        hone_columns_cell(&rows, 7, "%.1f", hone_field_number(stats, "LatencyP99Ms", 0.0));
        hone_columns_cell(&rows, 8, "%s", hone_field(item, "FailureReason"));
    }
    return hone_columns_print(&rows, "no endpoints: hone deploy GROUP starts one");
}

static hone_err endpoints_list(hone_verb_call *call) {
    HONE_TRY(hone_verb_begin(call, NULL));
    if (!call->remote) return HONE_OK;
    json_t *all = json_array();
    if (!all) return hone_err_new(HONE_E_NOMEM, "no memory for a list");
    hone_err err = collect(call->remote, all);
    if (!hone_failed(err) && call->json) return hone_remote_print(all);
    if (!hone_failed(err)) err = print_endpoints(call, all);
    json_decref(all);
    return err;
}

hone_err hone_cmd_endpoints(int argc, char **argv) {
    static const hone_verb verb = {
        "endpoints", endpoints_list,
        "",          "What is served: version, calls, errors and latency of each endpoint.",
        0,           0};
    return hone_verb_run(&verb, argc, argv);
}
