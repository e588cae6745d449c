/* endpoint_ops.c: endpoint configurations and endpoints, as SageMaker has them, and
 * GET /hone/endpoints.
 *
 * What runs is hone's own engine whatever instance types and images a configuration names: they
 * are kept and given back. */
#include "api/ops.h"
#include "base/json.h"
#include "serve/configs.h"
#include "serve/fleet.h"
#include "store/tags.h"

#include <stdio.h>
#include <string.h>

enum { NAME_MAX_BYTES = 63, LIST_LIMIT = 100, ENDPOINTS_LIMIT = 10 };

static const char wire_error[] = "ValidationException";

/* ---- configurations ---- */

static hone_err create_config(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_serving_config config;
    HONE_TRY(hone_configs_add(tx, call->arena, call->app->realm, call->actor, in, &config));
    HONE_TRY(hone_tags_add(tx, config.arn, json_object_get(in, "Tags")));
    return hone_op_out(json_pack("{s:s}", "EndpointConfigArn", config.arn), out);
}

static hone_err find_config(const hone_call *call, hone_tx *tx, const json_t *in,
                            hone_serving_config *out) {
    hone_str name;
    HONE_TRY(
        hone_in_name(in, "EndpointConfigName", "endpoint-config", NAME_MAX_BYTES, false, &name));
    return hone_configs_find(tx, call->arena, name, out);
}

static hone_err describe_config(const hone_call *call, hone_tx *tx, const json_t *in,
                                json_t **out) {
    hone_serving_config config;
    HONE_TRY(find_config(call, tx, in, &config));
    HONE_TRY(hone_json_parse(hone_str_of(config.fields), "fields of a configuration", out));
    (void)json_object_del(*out, "Tags"); /* absent is as good */
    json_object_set_new(*out, "EndpointConfigArn", json_string(config.arn));
    json_object_set_new(*out, "CreationTime", hone_json_time(config.created_ms));
    return HONE_OK;
}

static hone_err delete_config(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_serving_config config;
    (void)out;
    HONE_TRY(find_config(call, tx, in, &config));
    HONE_TRY(hone_tags_drop(tx, config.arn));
    return hone_configs_remove(tx, call->arena, call->actor, hone_str_of(config.name));
}

static hone_err list_configs(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_page page;
    hone_listing listing;
    hone_serving_config *configs = NULL;
    size_t count = 0;
    bool more = false;
    HONE_TRY(hone_op_listing(in, LIST_LIMIT, true, &page, &listing));
    HONE_TRY(hone_configs_list(tx, call->arena, &listing, &configs, &count, &more));
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:o}", "EndpointConfigName", configs[i].name,
                                        "EndpointConfigArn", configs[i].arn, "CreationTime",
                                        hone_json_time(configs[i].created_ms)));
    HONE_TRY(hone_op_out(json_pack("{s:o}", "EndpointConfigs", list), out));
    hone_out_next(*out, &page, more);
    return HONE_OK;
}

/* ---- endpoints ---- */

static hone_err endpoint_name(const json_t *in, hone_str *out) {
    return hone_in_name(in, "EndpointName", "endpoint", NAME_MAX_BYTES, false, out);
}

static hone_err create_endpoint_op(const hone_call *call, const json_t *in, json_t **out) {
    hone_str name, config;
    const char *arn = NULL;
    HONE_TRY(endpoint_name(in, &name));
    HONE_TRY(
        hone_in_name(in, "EndpointConfigName", "endpoint-config", NAME_MAX_BYTES, false, &config));
    HONE_TRY(hone_fleet_create(call->app->fleet, call->arena, call->actor, name, config,
                               json_object_get(in, "Tags"), &arn));
    return hone_op_out(json_pack("{s:s}", "EndpointArn", arn), out);
}

static hone_err update_endpoint_op(const hone_call *call, const json_t *in, json_t **out) {
    hone_str name, config;
    const char *arn = NULL;
    HONE_TRY(endpoint_name(in, &name));
    HONE_TRY(
        hone_in_name(in, "EndpointConfigName", "endpoint-config", NAME_MAX_BYTES, false, &config));
    HONE_TRY(hone_fleet_update(call->app->fleet, call->arena, call->actor, name, config, &arn));
    return hone_op_out(json_pack("{s:s}", "EndpointArn", arn), out);
}

static hone_err delete_endpoint_op(const hone_call *call, const json_t *in, json_t **out) {
    hone_str name;
    (void)out;
    HONE_TRY(endpoint_name(in, &name));
    return hone_fleet_delete(call->app->fleet, call->arena, call->actor, name);
}

/* "group:3" from "arn:...:model-package/group/3"; empty for a bare artifact. */
static void format_version(const char *arn, char *out, size_t size) {
    hone_str name;
    out[0] = '\0';
    if (!hone_arn_name(hone_str_of(arn), "model-package", false, &name)) return;
    (void)snprintf(out, size, "%.*s", HONE_ARG(name));
    char *slash = strrchr(out, '/');
    if (slash) *slash = ':';
}

/* The first variant of the configuration, if that is still there: what clients read of it. */
static json_t *variant_json(const hone_call *call, hone_tx *tx, const hone_endpoint_row *row) {
    hone_serving_config config;
    json_t *fields = NULL, *weight = NULL, *count = NULL;
    hone_err err = hone_configs_find(tx, call->arena, hone_str_of(row->serving.config), &config);
    if (!hone_failed(err)) err = hone_json_parse(hone_str_of(config.fields), "fields", &fields);
    if (!hone_failed(err)) {
        const json_t *variant = json_array_get(json_object_get(fields, "ProductionVariants"), 0);
        weight = json_object_get(variant, "InitialVariantWeight");
        count = json_object_get(variant, "InitialInstanceCount");
    }
    weight = weight ? json_incref(weight) : json_real(1.0);
    count = count ? json_incref(count) : json_integer(1);
    const hone_plan *p = &row->serving;
    json_t *image = json_pack("{s:s, s:s, s:o}", "SpecifiedImage", "hone/native", "ResolvedImage",
                              p->version_arn[0] ? p->version_arn : p->artifact_uri,
                              "ResolutionTime", hone_json_time(row->modified_ms));
    json_t *json = json_pack("{s:s, s:[o], s:O, s:O, s:O, s:O}", "VariantName", p->variant,
                             "DeployedImages", image, "CurrentWeight", weight, "DesiredWeight",
                             weight, "CurrentInstanceCount", count, "DesiredInstanceCount", count);
    json_decref(weight);
    json_decref(count);
    json_decref(fields);
    return json;
}

static json_t *stats_json(const hone_call *call, const hone_endpoint_row *row) {
    hone_stats_view *v = hone_arena_alloc(call->arena, 1, sizeof *v);
    char version[128];
    if (!v || hone_failed(hone_fleet_stats(call->app->fleet, hone_str_of(row->name), v)))
        return NULL;
    format_version(row->serving.version_arn, version, sizeof version);
    return json_pack("{s:s, s:s, s:I, s:I, s:f, s:f, s:f}", "Version", version, "Dtype", row->dtype,
                     "Invocations", (json_int_t)v->invocations, "Errors",
                     (json_int_t)v->refused + (json_int_t)v->failed, "LatencyP50Ms",
                     hone_stats_percentile_ms(v, 0.5), "LatencyP90Ms",
                     hone_stats_percentile_ms(v, 0.9), "LatencyP99Ms",
                     hone_stats_percentile_ms(v, 0.99));
}

static hone_err describe_endpoint(const hone_call *call, hone_tx *tx, const json_t *in,
                                  json_t **out) {
    hone_str name;
    hone_endpoint_row row;
    HONE_TRY(endpoint_name(in, &name));
    HONE_TRY(hone_fleet_find(call->app->fleet, tx, call->arena, name, &row));
    HONE_TRY(hone_op_out(json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "EndpointName", row.name,
                                   "EndpointArn", row.arn, "EndpointConfigName", row.config,
                                   "EndpointStatus", row.status, "CreationTime",
                                   hone_json_time(row.created_ms), "LastModifiedTime",
                                   hone_json_time(row.modified_ms)),
                         out));
    if (row.failure[0] != '\0')
        json_object_set_new(*out, "FailureReason", json_string(row.failure));
    if (row.serving.variant[0] != '\0')
        json_object_set_new(*out, "ProductionVariants",
                            json_pack("[o]", variant_json(call, tx, &row)));
    json_t *stats = stats_json(call, &row);
    if (stats) json_object_set_new(*out, "HoneStats", stats);
    return HONE_OK;
}

static hone_err list_endpoints(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_page page;
    hone_listing listing;
    hone_endpoint_row *rows = NULL;
    size_t count = 0;
    bool more = false;
    HONE_TRY(hone_op_listing(in, ENDPOINTS_LIMIT, true, &page, &listing));
    HONE_TRY(hone_in_str(in, "StatusEquals", 0, NAME_MAX_BYTES, &listing.status));
    HONE_TRY(hone_fleet_list(call->app->fleet, tx, call->arena, &listing, &rows, &count, &more));
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:o, s:o}", "EndpointName", rows[i].name,
                            "EndpointArn", rows[i].arn, "EndpointStatus", rows[i].status,
                            "CreationTime", hone_json_time(rows[i].created_ms), "LastModifiedTime",
                            hone_json_time(rows[i].modified_ms)));
    HONE_TRY(hone_op_out(json_pack("{s:o}", "Endpoints", list), out));
    hone_out_next(*out, &page, more);
    return HONE_OK;
}

/* ---- GET /hone/endpoints ---- */

static json_t *own_json(const hone_call *call, const hone_endpoint_row *row) {
    hone_stats_view *v = hone_arena_alloc(call->arena, 1, sizeof *v);
    char version[128];
    if (!v || hone_failed(hone_fleet_stats(call->app->fleet, hone_str_of(row->name), v)))
        return NULL; /* deleted since it was listed */
    format_version(row->serving.version_arn, version, sizeof version);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I,"
                     " s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f}",
                     "name", row->name, "status", row->status, "failure", row->failure, "config",
                     row->config, "variant", row->serving.variant, "model", row->serving.model,
                     "version", version, "dtype", row->dtype, "created",
                     (json_int_t)row->created_ms, "modified", (json_int_t)row->modified_ms,
                     "invocations", (json_int_t)v->invocations, "answered", (json_int_t)v->answered,
                     "refused", (json_int_t)v->refused, "failed", (json_int_t)v->failed, "texts",
                     (json_int_t)v->texts, "tokens", (json_int_t)v->tokens, "p50_ms",
                     hone_stats_percentile_ms(v, 0.5), "p90_ms", hone_stats_percentile_ms(v, 0.9),
                     "p99_ms", hone_stats_percentile_ms(v, 0.99));
}

/* All endpoints, a page of the list after the other. */
static hone_err own_list(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_listing listing = {.by_name = true, .limit = LIST_LIMIT};
    bool more = true;
    (void)in;
    json_t *list = json_array();
    hone_err err = hone_op_out(json_pack("{s:o}", "endpoints", list), out);
    for (; more && !hone_failed(err); listing.offset += LIST_LIMIT) {
        hone_endpoint_row *rows = NULL;
        size_t count = 0;
        err = hone_fleet_list(call->app->fleet, tx, call->arena, &listing, &rows, &count, &more);
        for (size_t i = 0; i < count && !hone_failed(err); i++) {
            json_t *json = own_json(call, &rows[i]);
            if (json) json_array_append_new(list, json);
        }
    }
    return err;
}

void hone_api_endpoints(const hone_call *call, hone_exchange *exchange) {
    json_t *out = NULL;
    if (!hone_str_equal(call->request->method, HONE_S("GET"))) {
        hone_reply_fault(exchange, HONE_OWN, 405, "invalid", "GET is all there is here");
        return;
    }
    if (call->caller->role < HONE_ENGINEER) {
        hone_reply_fault(exchange, HONE_OWN, 403, "forbidden", "this is for engineers");
        return;
    }
    hone_err err = hone_op_run(call, HONE_TX_READ, own_list, NULL, &out);
    if (hone_failed(err)) {
        hone_reply_error(exchange, HONE_OWN, err);
        return;
    }
    hone_batcher_load load = hone_fleet_busy(call->app->fleet);
    json_object_set_new(out, "queue",
                        json_pack("{s:I, s:I, s:I, s:I}", "requests", (json_int_t)load.queries,
                                  "tokens", (json_int_t)load.tokens, "batches",
                                  (json_int_t)load.batches, "answered", (json_int_t)load.answered));
    hone_reply_json(exchange, 200, NULL, out);
}

/* ---- the table ---- */

#define OP(body, kind)                                                                 \
    static hone_err body##_op(const hone_call *call, const json_t *in, json_t **out) { \
        return hone_op_run(call, kind, body, in, out);                                 \
    }
OP(create_config, HONE_TX_WRITE)
OP(describe_config, HONE_TX_READ)
OP(delete_config, HONE_TX_WRITE)
OP(list_configs, HONE_TX_READ)
OP(describe_endpoint, HONE_TX_READ)
OP(list_endpoints, HONE_TX_READ)

const hone_op hone_endpoint_ops[] = {
    {"CreateEndpointConfig", create_config_op, HONE_ENGINEER, wire_error, wire_error},
    {"DescribeEndpointConfig", describe_config_op, HONE_ENGINEER, wire_error, NULL},
    {"DeleteEndpointConfig", delete_config_op, HONE_ENGINEER, wire_error, NULL},
    {"ListEndpointConfigs", list_configs_op, HONE_ENGINEER, wire_error, NULL},
    {"CreateEndpoint", create_endpoint_op, HONE_ENGINEER, wire_error, wire_error},
    {"DescribeEndpoint", describe_endpoint_op, HONE_ENGINEER, wire_error, NULL},
    {"UpdateEndpoint", update_endpoint_op, HONE_ENGINEER, wire_error, wire_error},
    {"DeleteEndpoint", delete_endpoint_op, HONE_ENGINEER, wire_error, NULL},
    {"ListEndpoints", list_endpoints_op, HONE_ENGINEER, wire_error, NULL},
    {0},
};
