/* missing.c: protocols that are on their way: each is moved out of here by the file that has it. */
#include "api/api.h"

const hone_op hone_review_ops[] = {{0}};

static void missing(hone_exchange *exchange, hone_protocol protocol) {
    hone_reply_error(exchange, protocol, hone_err_new(HONE_E_NOT_FOUND, "not there yet"));
}

void hone_api_a2i(const hone_call *call, hone_exchange *exchange) {
    (void)call;
    missing(exchange, HONE_REST_JSON);
}

void hone_api_s3(const hone_call *call, hone_exchange *exchange) {
    (void)call;
    missing(exchange, HONE_REST_XML);
}

void hone_api_sts(const hone_call *call, hone_exchange *exchange) {
    (void)call;
    missing(exchange, HONE_QUERY);
}

void hone_api_tasks(const hone_call *call, hone_exchange *exchange) {
    (void)call;
    missing(exchange, HONE_OWN);
}
