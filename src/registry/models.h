/* models.h: what an endpoint configuration names: a model by its own name, which stands for one
 * container: a registered version, or a model.tar.gz.
 *
 *     CreateModel {Containers: [{ModelPackageName}]} --> model --> endpoint configuration
 *
 * Threads: any; every function works in the caller's transaction.
 */
#ifndef HONE_REGISTRY_MODELS_H
#define HONE_REGISTRY_MODELS_H

#include "registry/registry.h"

/* Strings live in the arena it was asked with. */
typedef struct hone_served {
    const char *name, *arn;
    const char *version_arn;  /* the registered version; "" for a bare artifact */
    const char *artifact_uri; /* s3://.../model.tar.gz */
    const char *fields;       /* JSON: all that CreateModel was given, as it came */
    int64_t created_ms;
} hone_served;

/* fields holds ModelName and one container, as PrimaryContainer or Containers[0]. A version must
 * be approved: INVALID, and so for what hone cannot serve. NOT_FOUND for no such version.
 * CONFLICT when the name is taken. */
HONE_NODISCARD hone_err hone_models_add(hone_tx *tx, hone_arena *arena, hone_realm realm,
                                        const char *actor, const json_t *fields, hone_served *out);
HONE_NODISCARD hone_err hone_models_find(hone_tx *tx, hone_arena *arena, hone_str name,
                                         hone_served *out);
HONE_NODISCARD hone_err hone_models_list(hone_tx *tx, hone_arena *arena,
                                         const hone_listing *listing, hone_served **out,
                                         size_t *count, bool *more);
HONE_NODISCARD hone_err hone_models_remove(hone_tx *tx, hone_arena *arena, const char *actor,
                                           hone_str name);

/* What its container's Environment sets name to, in the arena; NULL when it does not. INVALID for
 * what is no text. */
HONE_NODISCARD hone_err hone_models_setting(hone_arena *arena, const hone_served *model,
                                            const char *name, const char **out);

/* May it be deployed now? INVALID when its version has been rejected since, or is gone. */
HONE_NODISCARD hone_err hone_models_check(hone_tx *tx, hone_arena *arena, const hone_served *model);

#endif
