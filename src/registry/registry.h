/* registry.h: model package groups and their versions: what was trained, from what, how good,
 * and whether it may be deployed.
 *
 *     training --add--> version N (PendingManualApproval) --approve--> Approved --deploy--> endpoint
 *                                                         `-reject--> Rejected
 *
 * A version never changes but for its approval. What the wire's clients send along
 * (InferenceSpecification, ModelMetrics, ...) is kept as it came.
 *
 * Threads: any; every function works in the caller's transaction.
 */
#ifndef HONE_REGISTRY_REGISTRY_H
#define HONE_REGISTRY_REGISTRY_H

#include "base/arena.h"
#include "base/realm.h"
#include "store/db.h"

#include <jansson.h>

/* Strings live in the arena it was asked with. */
typedef struct hone_version {
    const char *group;        /* model package group */
    int64_t number;           /* from 1 */
    const char *arn;          /* arn:...:model-package/<group lower case>/<number> */
    const char *status;       /* "PendingManualApproval", "Approved", "Rejected" */
    const char *artifact_uri; /* s3://.../model.tar.gz */
    const char *fields;       /* JSON: all that CreateModelPackage was given, as it came */
    const char *lineage; /* JSON: parent version, base, data (content hashes), execution, job */
    const char *metrics; /* JSON: figures of the evaluation, as `hone eval` prints them; "{}" */
    const char *approval_note;
    int64_t created_ms, modified_ms;
    const char *created_by, *modified_by;
} hone_version;

/* Migrates its tables. */
HONE_NODISCARD hone_err hone_registry_open(hone_db *db);

/* The group is made when it is not there (a RegisterModel step never makes one first). fields holds at least
 * InferenceSpecification.Containers[0].ModelDataUrl; ModelApprovalStatus or pending. lineage and metrics may
 * be NULL. Nothing is taken over. INVALID for fields that break the wire's rules. */
HONE_NODISCARD hone_err hone_registry_add(hone_tx *tx, hone_arena *arena, hone_realm realm,
                                          const char *actor, const char *group,
                                          const json_t *fields, const json_t *lineage,
                                          const json_t *metrics, hone_version *out);

/* By ARN, or "group/number", or "group:number". NOT_FOUND. */
HONE_NODISCARD hone_err hone_registry_find(hone_tx *tx, hone_arena *arena, hone_str name,
                                           hone_version *out);

/* The approved version with the highest number. NOT_FOUND says whether the group or an approval
 * is missing. */
HONE_NODISCARD hone_err hone_registry_newest_approved(hone_tx *tx, hone_arena *arena,
                                                      const char *group, hone_version *out);

#endif
