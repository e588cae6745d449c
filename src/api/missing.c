/* missing.c: protocols that are on their way: each is moved out of here by the file that has it. */
#include "api/api.h"

static void missing(hone_exchange *exchange, hone_protocol protocol) {
    hone_reply_error(exchange, protocol, hone_err_new(HONE_E_NOT_FOUND, "not there yet"));
}

void hone_api_s3(const hone_call *call, hone_exchange *exchange) {
    (void)call;
    missing(exchange, HONE_REST_XML);
}

void hone_api_sts(const hone_call *call, hone_exchange *exchange) {
    (void)call;
    missing(exchange, HONE_QUERY);
}
