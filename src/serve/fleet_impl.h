/* fleet_impl.h: what the files of the fleet share.
 *
 *     endpoints.c  rows: create, update, delete, find, list; what a load that ended does to them
 *     fleet.c      memory: open, close, the loader's thread, the keeper's thread
 *     invoke.c     requests
 */
#ifndef HONE_SERVE_FLEET_IMPL_H
#define HONE_SERVE_FLEET_IMPL_H

#include "serve/fleet.h"

#include <pthread.h>
#include <stdatomic.h>

/* An endpoint in memory: alive as long as it is in the fleet or a request or load needs it. */
typedef struct hone_endpoint {
    atomic_size_t users;
    int64_t id; /* of its row */
    char *name;
    hone_stats stats;
    uint64_t saved; /* invocations when the keeper last wrote its row; the keeper's own */
    /* Guarded by the fleet's lock: */
    hone_deployment *current; /* who answers; NULL before the first is there */
    bool is_restoring;        /* it was in service before the start: requests may wait */
    bool has_failed;          /* the last load did, and nothing answers */
    bool is_gone;             /* deleted */
    hone_query *parked;       /* requests that wait for a restore, newest first */
    struct hone_endpoint *next;
} hone_endpoint;

/* A model to load for an endpoint. */
typedef struct hone_load {
    hone_endpoint *endpoint; /* kept */
    hone_plan *plan;         /* owned */
    int64_t turn;            /* the row's when it was asked for */
    bool is_restore;
    struct hone_load *next;
} hone_load;

struct hone_fleet {
    hone_fleet_options options;
    hone_batcher *batcher;
    char *models_dir;
    pthread_t loader, keeper;
    bool has_loader, has_keeper;

    /* Held from a change of the rows to that of memory, so that both happen in one order. */
    pthread_mutex_t change;

    pthread_mutex_t lock;
    pthread_cond_t load_wake; /* loads or stopping */
    pthread_cond_t keep_wake; /* somebody was parked, or stopping */
    /* Guarded by lock: */
    hone_endpoint *endpoints;
    hone_load *loads, *loads_last; /* oldest first */
    size_t parked;
    bool stopping;
};

/* --- memory (fleet.c) --- */

/* Text of a column in the arena, "" for NULL; NULL at the arena's limit. */
const char *hone_fleet_text(const hone_rows *rows, int column, hone_arena *arena);
/* In the header for the analyzer's sake: it must see that this is no success. */
static inline hone_err hone_fleet_no_memory(void) {
    return hone_err_new(HONE_E_NOMEM, "no memory for an endpoint");
}

/* The endpoint of that name, one user more; NULL. */
hone_endpoint *hone_fleet_get(hone_fleet *fleet, hone_str name);
void hone_endpoint_drop(hone_endpoint *endpoint);

/* A new endpoint for a row, in the fleet, and kept for the caller too. NOMEM. */
HONE_NODISCARD hone_err hone_fleet_add(hone_fleet *fleet, hone_str name, int64_t id,
                                       hone_endpoint **out);
/* Take it out of the fleet: its requests are answered, its waiting ones refused. */
void hone_fleet_remove(hone_fleet *fleet, hone_str name);

/* Queue a load; endpoint gets a user more, plan is copied. NOMEM: then nothing was queued. */
HONE_NODISCARD hone_err hone_fleet_load_later(hone_fleet *fleet, hone_endpoint *endpoint,
                                              const hone_plan *plan, int64_t turn, bool is_restore);

/* Point the endpoint to deployment (taken over; NULL = a failed restore) and let go those who
 * waited: on to the model, or with err. */
void hone_fleet_point(hone_fleet *fleet, hone_endpoint *endpoint, hone_deployment *deployment,
                      hone_err err);

/* --- rows (endpoints.c) --- */

HONE_NODISCARD hone_err hone_endpoints_migrate(hone_db *db);
/* Put every endpoint of the rows into memory, its statistics too, and queue its loads. */
HONE_NODISCARD hone_err hone_endpoints_restore(hone_fleet *fleet);
/* What the end of a load means for the rows, and the swap itself. deployment is taken over;
 * NULL: err says why there is none. */
void hone_endpoints_loaded(hone_fleet *fleet, const hone_load *load, hone_deployment *deployment,
                           hone_err err);
/* Keep the statistics of endpoints that were called since. */
void hone_endpoints_save(hone_fleet *fleet);

/* --- requests (invoke.c) --- */

/* Encode and queue a query for deployment, which is taken over; on failure nothing is held. */
HONE_NODISCARD hone_err hone_fleet_submit(hone_fleet *fleet, hone_query *query,
                                          hone_deployment *deployment);
/* End a parked query with err. */
void hone_fleet_fail(hone_query *query, hone_err err);
/* Refuse those who have waited too long; returns when to look again, in ns of the clock. */
int64_t hone_fleet_expire(hone_fleet *fleet);

#endif
