/* ops.h: what the files of operations do alike: a transaction around the work, lists.
 */
#ifndef HONE_API_OPS_H
#define HONE_API_OPS_H

#include "api/api.h"
#include "registry/listing.h"

/* The work of an operation within a transaction; *out as in hone_op_fn. */
typedef hone_err hone_op_body(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out);

/* Begin, body, commit; a failure takes everything back, and *out with it. */
HONE_NODISCARD hone_err hone_op_run(const hone_call *call, hone_tx_kind kind, hone_op_body *body,
                                    const json_t *in, json_t **out);

/* MaxResults, NextToken, SortBy (Name or CreationTime), ... as a listing. */
HONE_NODISCARD hone_err hone_op_listing(const json_t *in, int64_t limit, bool descending,
                                        hone_page *page, hone_listing *out);

/* NOMEM when value is NULL, as jansson's makers are without memory; else *out = value. */
HONE_NODISCARD hone_err hone_op_out(json_t *value, json_t **out);

/* {"UserProfileName": "ann"} for an actor "user/ann". */
json_t *hone_json_actor(const char *actor);

#endif
