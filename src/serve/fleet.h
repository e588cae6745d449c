/* fleet.h: the endpoints: what the rows say is to be served, and the models in memory that do it.
 *
 *     create --> Creating --loaded--> InService --update--> Updating --loaded--> InService
 *                   `--failed--> Failed             the old model answers  `--failed--> InService,
 *                                                                           with FailureReason
 *
 * Rows are the truth: what they say exists is loaded again when the fleet is opened. Loading is
 * the work of one thread, one model after the other; answering never waits for it. A request is
 * answered whole by the model that its endpoint pointed to when it came.
 *
 * An endpoint that is being restored after a start takes requests at once and answers them when
 * its model is there, or refuses them after 10 s. Its status is SystemUpdating meanwhile.
 *
 * Threads: any. Locks, in this order: change, a write transaction, lock (fleet_impl.h).
 */
#ifndef HONE_SERVE_FLEET_H
#define HONE_SERVE_FLEET_H

#include "base/realm.h"
#include "registry/listing.h"
#include "serve/batcher.h"
#include "serve/stats.h"
#include "store/objects.h"

#include <jansson.h>

typedef struct hone_fleet hone_fleet;

typedef struct hone_fleet_options {
    const char *dir; /* --data; unpacked models go below DIR/models */
    hone_db *db;
    hone_objects *objects;
    hone_realm realm;
    hone_batcher_options batcher; /* batcher.threads is --threads */
    hone_dtype dtype;             /* in which models multiply that do not say it themselves */
    const char *kept_dir;         /* of packed weights, so that a restart maps them; NULL = none */
    int64_t save_ms;              /* how often statistics are kept; 0 = 5 s */
    int64_t patience_ms;          /* how long a request waits for a restore; 0 = 10 s */
} hone_fleet_options;

/* Migrates its tables, which follow the registry's, and begins to load what the rows name. db and
 * objects outlive it; strings are borrowed for ever. */
HONE_NODISCARD hone_err hone_fleet_open(const hone_fleet_options *options, hone_fleet **out);
/* Answer what was accepted, keep the statistics, let go of the models. NULL is allowed. */
void hone_fleet_close(hone_fleet *fleet);

/* --- endpoints ---------------------------------------------------------------------- */

/* Strings live in the arena it was asked with. */
typedef struct hone_endpoint_row {
    const char *name, *arn;
    const char *status;  /* "Creating", "Updating", "SystemUpdating", "InService", "Failed" */
    const char *failure; /* why it failed last; "" */
    const char *config;  /* what it was made with, or is being changed to */
    hone_plan serving;   /* what answers; empty strings before it is in service */
    const char *dtype;   /* in which that multiplies; "" while it is not in memory */
    int64_t created_ms, modified_ms;
} hone_endpoint_row;

/* Each has a transaction of its own: the caller has none. *arn lives in the arena.
 *
 * create: tags as for hone_tags_add. NOT_FOUND for the configuration, INVALID for a model that
 * may not be deployed, CONFLICT when the endpoint exists.
 * update: CONFLICT while it is being created or updated. */
HONE_NODISCARD hone_err hone_fleet_create(hone_fleet *fleet, hone_arena *arena, const char *actor,
                                          hone_str name, hone_str config, const json_t *tags,
                                          const char **arn);
HONE_NODISCARD hone_err hone_fleet_update(hone_fleet *fleet, hone_arena *arena, const char *actor,
                                          hone_str name, hone_str config, const char **arn);
HONE_NODISCARD hone_err hone_fleet_delete(hone_fleet *fleet, hone_arena *arena, const char *actor,
                                          hone_str name);

/* In the caller's transaction. */
HONE_NODISCARD hone_err hone_fleet_find(hone_fleet *fleet, hone_tx *tx, hone_arena *arena,
                                        hone_str name, hone_endpoint_row *out);
/* listing.status filters by what the row says. */
HONE_NODISCARD hone_err hone_fleet_list(hone_fleet *fleet, hone_tx *tx, hone_arena *arena,
                                        const hone_listing *listing, hone_endpoint_row **out,
                                        size_t *count, bool *more);

/* --- requests ----------------------------------------------------------------------- */

/* Ask endpoint name. When this succeeds, query->done is called once, on any thread, perhaps
 * before this returns; when it fails, never.
 * NOT_FOUND: no such endpoint. CONFLICT: it is not ready (yet). FULL: too much waits; CLOSED: the
 * server is stopping. INVALID: a text that cannot be encoded, or an endpoint that has failed. */
HONE_NODISCARD hone_err hone_fleet_invoke(hone_fleet *fleet, hone_str name, hone_query *query);

/* Count a request that never became a query, answered with this HTTP status. */
void hone_fleet_refused(hone_fleet *fleet, hone_str name, int status);

/* Since the endpoint was created. NOT_FOUND. */
HONE_NODISCARD hone_err hone_fleet_stats(hone_fleet *fleet, hone_str name, hone_stats_view *out);
hone_batcher_load hone_fleet_busy(hone_fleet *fleet);

#endif
