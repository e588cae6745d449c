/* registry.h: model package groups and their versions: what was trained, from what, how good,
 * and whether it may be deployed.
 *
 *     training --add--> version N (PendingManualApproval) --approve--> Approved --deploy--> endpoint
 *                                                         `-reject--> Rejected
 *
 * A version never changes but for its approval and its owner's notes (CustomerMetadataProperties).
 * What the wire's clients send along (InferenceSpecification, ModelMetrics, ...) is kept as it
 * came. Numbers are never used twice, and group names differ by more than capitals, as ARNs
 * have none.
 *
 * Threads: any; every function works in the caller's transaction.
 */
#ifndef HONE_REGISTRY_REGISTRY_H
#define HONE_REGISTRY_REGISTRY_H

#include "base/arena.h"
#include "base/realm.h"
#include "registry/listing.h"
#include "store/db.h"

#include <jansson.h>

#define HONE_PENDING  "PendingManualApproval"
#define HONE_APPROVED "Approved"
#define HONE_REJECTED "Rejected"

/* Strings live in the arena it was asked with. */
typedef struct hone_group {
    const char *name, *arn, *description, *created_by;
    int64_t created_ms;
    int64_t versions; /* how many there are now */
} hone_group;

typedef struct hone_version {
    const char *group;        /* model package group */
    int64_t number;           /* from 1 */
    const char *arn;          /* arn:...:model-package/<group lower case>/<number> */
    const char *status;       /* HONE_PENDING, HONE_APPROVED, HONE_REJECTED */
    const char *artifact_uri; /* s3://.../model.tar.gz */
    const char *fields;       /* JSON: all that CreateModelPackage was given, as it came */
    const char *lineage; /* JSON: parent version, base, data (content hashes), execution, job */
    const char *metrics; /* JSON: figures of the evaluation, as `hone eval` prints them; "{}" */
    const char *approval_note;
    int64_t created_ms, modified_ms;
    const char *created_by, *modified_by;
} hone_version;

/* Migrates its tables, also those of models.h. */
HONE_NODISCARD hone_err hone_registry_open(hone_db *db);

/* --- groups ------------------------------------------------------------------------- */

/* CONFLICT when it exists, INVALID. */
HONE_NODISCARD hone_err hone_registry_group_add(hone_tx *tx, hone_arena *arena, hone_realm realm,
                                                const char *actor, hone_str name,
                                                hone_str description, hone_group *out);
/* By name or ARN. NOT_FOUND. */
HONE_NODISCARD hone_err hone_registry_group_find(hone_tx *tx, hone_arena *arena, hone_str name,
                                                 hone_group *out);
HONE_NODISCARD hone_err hone_registry_group_list(hone_tx *tx, hone_arena *arena,
                                                 const hone_listing *listing, hone_group **out,
                                                 size_t *count, bool *more);
/* NOT_FOUND; CONFLICT while it has versions. */
HONE_NODISCARD hone_err hone_registry_group_remove(hone_tx *tx, hone_arena *arena,
                                                   const char *actor, hone_str name);

/* --- versions ----------------------------------------------------------------------- */

/* The group is made when it is not there (a RegisterModel step never makes one first). fields holds at least
 * InferenceSpecification.Containers[0].ModelDataUrl; ModelApprovalStatus or pending. A ClientToken that
 * the group has seen gives the version it made. lineage and metrics may be NULL. Nothing is taken over.
 * INVALID for fields that break the wire's rules. */
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

HONE_NODISCARD hone_err hone_registry_list(hone_tx *tx, hone_arena *arena,
                                           const hone_listing *listing, hone_version **out,
                                           size_t *count, bool *more);

/* What to change of a version; empty strings and NULL leave what is there. */
typedef struct hone_version_change {
    hone_str status;         /* one of the three */
    hone_str note;           /* ApprovalDescription */
    json_t *properties;      /* object of strings, merged into CustomerMetadataProperties */
    const json_t *drop_keys; /* array of strings: keys of it to remove */
} hone_version_change;

HONE_NODISCARD hone_err hone_registry_update(hone_tx *tx, hone_arena *arena, const char *actor,
                                             hone_str name, const hone_version_change *change,
                                             hone_version *out);

/* The artifact stays; a running endpoint keeps what it has loaded. NOT_FOUND. */
HONE_NODISCARD hone_err hone_registry_remove(hone_tx *tx, hone_arena *arena, const char *actor,
                                             hone_str name);

#endif
