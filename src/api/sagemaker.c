/* sagemaker.c: the control plane: POST / with X-Amz-Target: SageMaker.<Operation>, JSON 1.1. */
#include "api/api.h"

static const char content_type[] = "application/x-amz-json-1.1";

static const hone_op *const tables[] = {hone_review_ops, hone_registry_ops, hone_endpoint_ops,
                                        hone_pipeline_ops};

static const hone_op *find(hone_str name) {
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++)
        for (const hone_op *op = tables[t]; op->name; op++)
            if (hone_str_equal(hone_str_of(op->name), name)) return op;
    return NULL;
}

static void reply(hone_exchange *exchange, const hone_op *op, hone_err err, json_t *out) {
    if (!hone_failed(err)) {
        hone_reply_json(exchange, 200, content_type, out ? out : json_object());
        return;
    }
    json_decref(out);
    const char *name = NULL;
    if (err.code == HONE_E_NOT_FOUND) name = op->not_found;
    if (err.code == HONE_E_CONFLICT) name = op->conflict;
    hone_reply_error_named(exchange, HONE_JSON_1_1, err, name);
}

void hone_api_sagemaker(const hone_call *call, hone_exchange *exchange) {
    static const char prefix[] = "SageMaker.";
    hone_str target = hone_request_header(call->request, "x-amz-target");
    const hone_op *op = NULL;
    if (hone_str_has_prefix(target, HONE_S("SageMaker.")))
        op = find((hone_str){target.ptr + sizeof prefix - 1, target.len - sizeof prefix + 1});
    if (!op) {
        hone_err err = hone_err_new(HONE_E_INVALID, "hone has no operation '%.*s'",
                                    HONE_ARG(target));
        hone_reply_error_named(exchange, HONE_JSON_1_1, err, "UnknownOperationException");
        return;
    }
    if (call->caller->role < op->least) {
        hone_err err = hone_err_new(HONE_E_INVALID, "%s: %s is for the role %s", call->actor,
                                    op->name, hone_role_format(op->least));
        hone_reply_fault(exchange, HONE_JSON_1_1, 403, "AccessDeniedException", err.msg);
        return;
    }
    json_t *in = NULL, *out = NULL;
    hone_err err = hone_call_json(call, &in);
    if (hone_failed(err)) {
        hone_reply_error_named(exchange, HONE_JSON_1_1, err, "SerializationException");
        return;
    }
    err = op->run(call, in, &out);
    reply(exchange, op, err, out);
    json_decref(in);
}
