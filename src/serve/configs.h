/* configs.h: endpoint configurations: which model an endpoint is to serve, under which name.
 *
 * One production variant for now; its weight is kept. All else that clients send along
 * (instance types, capture, ...) is kept as it came and given back.
 *
 * Threads: any; every function works in the caller's transaction.
 */
#ifndef HONE_SERVE_CONFIGS_H
#define HONE_SERVE_CONFIGS_H

#include "base/realm.h"
#include "registry/listing.h"
#include "store/db.h"

#include <jansson.h>

/* Strings live in the arena it was asked with. */
typedef struct hone_serving_config {
    const char *name, *arn;
    const char *variant, *model; /* of the one variant */
    const char *fields;          /* JSON: all that CreateEndpointConfig was given, as it came */
    int64_t created_ms;
} hone_serving_config;

/* fields: CreateEndpointConfig's. INVALID, NOT_FOUND for the model, CONFLICT for the name. */
HONE_NODISCARD hone_err hone_configs_add(hone_tx *tx, hone_arena *arena, hone_realm realm,
                                         const char *actor, const json_t *fields,
                                         hone_serving_config *out);
HONE_NODISCARD hone_err hone_configs_find(hone_tx *tx, hone_arena *arena, hone_str name,
                                          hone_serving_config *out);
HONE_NODISCARD hone_err hone_configs_list(hone_tx *tx, hone_arena *arena,
                                          const hone_listing *listing, hone_serving_config **out,
                                          size_t *count, bool *more);
/* An endpoint that was made with it goes on. */
HONE_NODISCARD hone_err hone_configs_remove(hone_tx *tx, hone_arena *arena, const char *actor,
                                            hone_str name);

#endif
