/* invoke.c: requests to endpoints.
 *
 *     invoke --model there--> encode -> batcher -> finish: statistics, done
 *        |                                            ^
 *        `---restoring--> parked --model there--------'
 *                           `--too late--> done with CONFLICT
 */
#include "base/clock.h"
#include "serve/fleet_impl.h"

#include <assert.h>
#include <stdlib.h>

/* More do not wait for a model that is being restored: they are told to come back. */
enum { PARKED_MAX = 1024 };

/* The HTTP status that counts such a failure, for the statistics: whose fault was it? */
static int status_of(hone_code code) {
    return code == HONE_E_INVALID || code == HONE_E_CONFLICT || code == HONE_E_NOT_FOUND ? 400
                                                                                         : 503;
}

/* The end of a query's way through the batcher. done may destroy the query, so all that is needed
 * after it is in hand before. */
static void finish(hone_query *q, hone_err err) {
    hone_endpoint *endpoint = q->endpoint;
    hone_deployment *deployment = q->deployment;
    if (hone_failed(err))
        hone_stats_error(&endpoint->stats, status_of(err.code));
    else
        hone_stats_answered(&endpoint->stats, hone_clock_ns() - q->begin_ns, q->count, q->tokens);
    q->done(q, err);
    hone_deployment_drop(deployment);
    hone_endpoint_drop(endpoint);
}

void hone_fleet_fail(hone_query *query, hone_err err) {
    query->deployment = NULL;
    finish(query, err);
}

hone_err hone_fleet_submit(hone_fleet *fleet, hone_query *query, hone_deployment *deployment) {
    hone_err err = hone_query_encode(query, deployment);
    if (!hone_failed(err)) err = hone_batcher_push(fleet->batcher, query);
    if (hone_failed(err)) hone_deployment_drop(deployment); /* else the query is out of our hands */
    return err;
}

/* Have the query wait for its endpoint; the lock is held. */
static void park(hone_fleet *fleet, hone_endpoint *endpoint, hone_query *query) {
    query->until_ns = query->begin_ns + fleet->options.patience_ms * 1000000;
    query->next = endpoint->parked;
    endpoint->parked = query;
    fleet->parked++;
    pthread_cond_signal(&fleet->keep_wake);
}

static hone_err has_failed(const hone_endpoint *endpoint) {
    return hone_err_new(HONE_E_INVALID, "endpoint '%s' has failed: its FailureReason says why",
                        endpoint->name);
}

static hone_err not_ready(const hone_endpoint *endpoint) {
    return hone_err_new(HONE_E_CONFLICT, "endpoint '%s' is not ready: try again", endpoint->name);
}

hone_err hone_fleet_invoke(hone_fleet *fleet, hone_str name, hone_query *query) {
    query->begin_ns = hone_clock_ns();
    query->finish = finish;
    hone_endpoint *endpoint = hone_fleet_get(fleet, name);
    if (!endpoint)
        return hone_err_new(HONE_E_NOT_FOUND, "Endpoint %.*s of account %s not found.",
                            HONE_ARG(name), fleet->options.realm.account); /* as the service */
    query->endpoint = endpoint;
    pthread_mutex_lock(&fleet->lock);
    hone_deployment *d = endpoint->current ? hone_deployment_keep(endpoint->current) : NULL;
    bool is_parked = !d && endpoint->is_restoring && fleet->parked < PARKED_MAX && !fleet->stopping;
    if (is_parked) park(fleet, endpoint, query);
    bool failed = endpoint->has_failed;
    pthread_mutex_unlock(&fleet->lock);
    if (is_parked) return HONE_OK;
    hone_err err = d        ? hone_fleet_submit(fleet, query, d)
                   : failed ? has_failed(endpoint)
                            : not_ready(endpoint);
    if (!hone_failed(err)) return HONE_OK;
    hone_stats_error(&endpoint->stats, status_of(err.code));
    hone_endpoint_drop(endpoint);
    return err;
}

/* Take those that waited too long off the endpoint's list, onto *late; the lock is held. When the
 * next of the others is due. */
static int64_t take_late(hone_fleet *fleet, hone_endpoint *endpoint, int64_t now_ns,
                         hone_query **late) {
    int64_t next_ns = INT64_MAX;
    for (hone_query **at = &endpoint->parked; *at;) {
        hone_query *q = *at;
        if (q->until_ns > now_ns) {
            if (q->until_ns < next_ns) next_ns = q->until_ns;
            at = &q->next;
            continue;
        }
        *at = q->next;
        q->next = *late;
        *late = q;
        fleet->parked--;
    }
    return next_ns;
}

int64_t hone_fleet_expire(hone_fleet *fleet) {
    hone_query *late = NULL;
    int64_t now_ns = hone_clock_ns(), next_ns = INT64_MAX;
    pthread_mutex_lock(&fleet->lock);
    for (hone_endpoint *e = fleet->endpoints; e; e = e->next) {
        int64_t due_ns = take_late(fleet, e, now_ns, &late);
        if (due_ns < next_ns) next_ns = due_ns;
    }
    pthread_mutex_unlock(&fleet->lock);
    while (late) {
        hone_query *q = late;
        late = q->next;
        hone_fleet_fail(q, not_ready(q->endpoint));
    }
    return next_ns;
}

void hone_fleet_refused(hone_fleet *fleet, hone_str name, int status) {
    hone_endpoint *endpoint = hone_fleet_get(fleet, name);
    if (endpoint) hone_stats_error(&endpoint->stats, status);
    hone_endpoint_drop(endpoint);
}

hone_err hone_fleet_stats(hone_fleet *fleet, hone_str name, hone_stats_view *out) {
    hone_endpoint *endpoint = hone_fleet_get(fleet, name);
    if (!endpoint)
        return hone_err_new(HONE_E_NOT_FOUND, "Could not find endpoint '%.*s'", HONE_ARG(name));
    hone_stats_read(&endpoint->stats, out);
    hone_endpoint_drop(endpoint);
    return HONE_OK;
}
