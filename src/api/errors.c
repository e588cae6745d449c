/* errors.c: what went wrong, in each protocol's own words: the one table of codes, statuses and
 * service error names. */
#include "api/api.h"
#include "base/buf.h"
#include "base/id.h"
#include "base/log.h"

#include <assert.h>
#include <stdlib.h>

/* How a code is told: the JSON 1.1 services answer 400 to everything that is the client's. */
typedef struct words {
    int status;
    const char *json, *rest, *xml, *query, *own;
    int own_status, rest_status, xml_status;
} words;

static const words table[] = {
    [HONE_E_INVALID] = {400, "ValidationException", "ValidationException", "InvalidArgument",
                        "ValidationError", "invalid", 400, 400, 400},
    [HONE_E_CORRUPT] = {400, "ValidationException", "ValidationException", "InvalidRequest",
                        "ValidationError", "invalid", 400, 400, 400},
    [HONE_E_NOT_FOUND] = {400, "ResourceNotFound", "ResourceNotFoundException", "NoSuchKey",
                          "NoSuchEntity", "not_found", 404, 404, 404},
    [HONE_E_CONFLICT] = {400, "ResourceInUse", "ConflictException", "OperationAborted",
                         "EntityAlreadyExists", "conflict", 409, 409, 409},
    [HONE_E_FULL] = {503, "ServiceUnavailable", "ServiceUnavailable", "SlowDown",
                     "ServiceUnavailable", "unavailable", 503, 503, 503},
    [HONE_E_CLOSED] = {503, "ServiceUnavailable", "ServiceUnavailable", "ServiceUnavailable",
                       "ServiceUnavailable", "gone", 410, 503, 503},
    [HONE_E_NOMEM] = {500, "InternalFailure", "InternalServerException", "InternalError",
                      "ServiceFailure", "internal", 500, 500, 500},
    [HONE_E_IO] = {500, "InternalFailure", "InternalServerException", "InternalError",
                   "ServiceFailure", "internal", 500, 500, 500},
};

enum { HEADERS_MAX = 3, RETRY_AFTER_STATUS = 503 };

static json_t *text(const char *message) {
    json_t *value = json_string(message);
    return value ? value : json_string("(a message that is no UTF-8)");
}

static json_t *json_body(hone_protocol protocol, const char *name, const char *message) {
    json_t *body = json_object();
    if (protocol == HONE_JSON_1_1) {
        json_object_set_new(body, "__type", json_string(name));
        json_object_set_new(body, "message", text(message));
    } else if (protocol == HONE_REST_JSON) {
        json_object_set_new(body, "message", text(message));
        json_object_set_new(body, "code", json_string(name));
    } else {
        json_t *error = json_object();
        json_object_set_new(error, "code", json_string(name));
        json_object_set_new(error, "message", text(message));
        json_object_set_new(body, "error", error);
    }
    return body;
}

static void push_xml_text(hone_buf *out, const char *text) {
    for (const char *c = text; *c; c++) {
        if (*c == '&')
            hone_buf_push(out, HONE_S("&amp;"));
        else if (*c == '<')
            hone_buf_push(out, HONE_S("&lt;"));
        else if (*c == '>')
            hone_buf_push(out, HONE_S("&gt;"));
        else
            hone_buf_push_char(out, *c);
    }
}

static void push_xml_body(hone_buf *out, bool is_query, const char *name, const char *message,
                          const char *id) {
    hone_buf_push(out, HONE_S("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"));
    hone_buf_push(out, is_query ? HONE_S("<ErrorResponse><Error><Type>Sender</Type><Code>")
                                : HONE_S("<Error><Code>"));
    push_xml_text(out, name);
    hone_buf_push(out, HONE_S("</Code><Message>"));
    push_xml_text(out, message);
    hone_buf_push(out, HONE_S("</Message>"));
    if (is_query) hone_buf_push(out, HONE_S("</Error>"));
    hone_buf_printf(out, "<RequestId>%s</RequestId>%s\n", id,
                    is_query ? "</ErrorResponse>" : "</Error>");
}

void hone_reply_fault(hone_exchange *exchange, hone_protocol protocol, int status, const char *name,
                      const char *message) {
    const hone_request *request = hone_exchange_request(exchange);
    char id[HONE_ID_SIZE];
    hone_id_make(id);
    hone_header headers[HEADERS_MAX] = {
        {HONE_S("x-amzn-requestid"), hone_str_of(id)},
        {HONE_S("x-amzn-errortype"), hone_str_of(name)},
    };
    size_t count = 2;
    if (status == RETRY_AFTER_STATUS || status == 429)
        headers[count++] = (hone_header){HONE_S("retry-after"), HONE_S("1")};

    hone_response response = {.status = status, .headers = headers, .header_count = count};
    hone_buf xml;
    hone_buf_init(&xml, 1 << 16);
    char *dumped = NULL;
    if (protocol == HONE_REST_XML || protocol == HONE_QUERY) {
        push_xml_body(&xml, protocol == HONE_QUERY, name, message, id);
        response.content_type = protocol == HONE_QUERY ? "text/xml" : "application/xml";
        response.body = hone_buf_str(&xml);
    } else {
        json_t *body = json_body(protocol, name, message);
        dumped = json_dumps(body, JSON_COMPACT);
        json_decref(body);
        response.content_type = protocol == HONE_JSON_1_1 ? "application/x-amz-json-1.1"
                                                          : "application/json";
        response.body = hone_str_of(dumped ? dumped : "{}");
    }
    /* The answer is read after this function: its bytes move to the request's arena. */
    char *kept = hone_arena_strdup(request->arena, response.body);
    response.body = kept ? (hone_str){kept, response.body.len} : HONE_S("");
    hone_exchange_reply(exchange, &response);
    hone_buf_done(&xml);
    free(dumped);
}

static const char *name_for(const words *w, hone_protocol protocol, int *status) {
    *status = w->status;
    switch (protocol) {
    case HONE_JSON_1_1:
        return w->json;
    case HONE_REST_JSON:
        *status = w->rest_status;
        return w->rest;
    case HONE_REST_XML:
        *status = w->xml_status;
        return w->xml;
    case HONE_QUERY:
        return w->query;
    case HONE_OWN:
        *status = w->own_status;
        return w->own;
    }
    return w->own;
}

void hone_reply_error(hone_exchange *exchange, hone_protocol protocol, hone_err err) {
    hone_reply_error_named(exchange, protocol, err, NULL);
}

void hone_reply_error_named(hone_exchange *exchange, hone_protocol protocol, hone_err err,
                            const char *name) {
    assert(hone_failed(err));
    int status = 0;
    const char *usual = name_for(&table[err.code], protocol, &status);
    const char *message = err.msg;
    if (status >= 500) { /* what failed in here is for the log; the client learns that it did */
        const hone_request *request = hone_exchange_request(exchange);
        hone_log("event=request.failed method=%.*s path=%.*s status=%d error=%s",
                 HONE_ARG(request->method), HONE_ARG(request->path), status, err.msg);
        if (status == 500) message = "hone could not do this: its log says why";
    }
    hone_reply_fault(exchange, protocol, status, name ? name : usual, message);
}
