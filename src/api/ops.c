/* ops.c: see ops.h. */
#include "api/ops.h"

#include <string.h>

hone_err hone_op_run(const hone_call *call, hone_tx_kind kind, hone_op_body *body, const json_t *in,
                     json_t **out) {
    hone_tx *tx = NULL;
    HONE_TRY(hone_tx_begin(call->app->db, kind, &tx));
    hone_err err = hone_tx_finish(tx, body(call, tx, in, out));
    if (hone_failed(err)) {
        json_decref(*out);
        *out = NULL;
    }
    return err;
}

hone_err hone_op_listing(const json_t *in, int64_t limit, bool descending, hone_page *page,
                         hone_listing *out) {
    hone_str by;
    HONE_TRY(hone_in_page(in, limit, descending, page));
    HONE_TRY(hone_in_str(in, "SortBy", 0, 32, &by));
    bool by_name = hone_str_equal(by, HONE_S("Name"));
    if (by.len > 0 && !by_name && !hone_str_equal(by, HONE_S("CreationTime")))
        return hone_err_new(HONE_E_INVALID, "SortBy is Name or CreationTime, not '%.*s'",
                            HONE_ARG(by));
    *out = (hone_listing){.limit = page->limit,
                          .offset = page->offset,
                          .by_name = by_name,
                          .descending = page->descending,
                          .after_ms = page->after_ms,
                          .before_ms = page->before_ms,
                          .name_contains = page->name_contains};
    return HONE_OK;
}

hone_err hone_op_out(json_t *value, json_t **out) {
    if (!value) return hone_err_new(HONE_E_NOMEM, "no memory for an answer");
    *out = value;
    return HONE_OK;
}

json_t *hone_json_actor(const char *actor) {
    const char *name = strncmp(actor, "user/", 5) == 0 ? actor + 5 : actor;
    return json_pack("{s:s}", "UserProfileName", name);
}
