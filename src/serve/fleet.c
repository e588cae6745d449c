/* fleet.c: the endpoints in memory, and the two threads beside the batcher's.
 *
 *     loader: takes the oldest load: artifact -> folder -> deployment -> rows and swap
 *     keeper: refuses requests that waited too long; keeps the statistics every few seconds */
#include "serve/fleet.h"

#include "base/clock.h"
#include "base/log.h"
#include "registry/artifact.h"
#include "serve/fleet_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SAVE_MS = 5000, PATIENCE_MS = 10000 };

static const size_t load_arena_bytes = (size_t)4 << 20;

/* ---- small things ---- */

const char *hone_fleet_text(const hone_rows *rows, int column, hone_arena *arena) {
    hone_str text = hone_rows_str(rows, column);
    return hone_arena_strdup(arena, text.ptr ? text : HONE_S(""));
}

/* ---- endpoints ---- */

void hone_endpoint_drop(hone_endpoint *endpoint) {
    if (!endpoint) return;
    if (atomic_fetch_sub_explicit(&endpoint->users, 1, memory_order_acq_rel) != 1) return;
    assert(!endpoint->parked);
    hone_deployment_drop(endpoint->current);
    free(endpoint->name);
    free(endpoint);
}

static hone_endpoint *keep(hone_endpoint *endpoint) {
    (void)atomic_fetch_add_explicit(&endpoint->users, 1, memory_order_relaxed);
    return endpoint;
}

hone_endpoint *hone_fleet_get(hone_fleet *fleet, hone_str name) {
    pthread_mutex_lock(&fleet->lock);
    hone_endpoint *e = fleet->endpoints;
    while (e && !hone_str_equal(hone_str_of(e->name), name)) e = e->next;
    if (e) (void)keep(e);
    pthread_mutex_unlock(&fleet->lock);
    return e;
}

hone_err hone_fleet_add(hone_fleet *fleet, hone_str name, int64_t id, hone_endpoint **out) {
    hone_endpoint *e = calloc(1, sizeof *e);
    char *copy = strndup(name.ptr, name.len);
    if (!e || !copy) {
        free(copy);
        free(e);
        return hone_fleet_no_memory();
    }
    atomic_init(&e->users, 2); /* the fleet and the caller */
    e->id = id;
    e->name = copy;
    pthread_mutex_lock(&fleet->lock);
    e->next = fleet->endpoints;
    fleet->endpoints = e;
    pthread_mutex_unlock(&fleet->lock);
    *out = e;
    return HONE_OK;
}

/* Refuse a list of parked queries. */
static void fail_all(hone_query *parked, hone_err err) {
    char msg[256]; /* done may make errors of its own, and err's words would go */
    (void)snprintf(msg, sizeof msg, "%s", err.msg ? err.msg : "");
    if (err.msg) err.msg = msg;
    while (parked) {
        hone_query *q = parked;
        parked = q->next;
        hone_fleet_fail(q, err);
    }
}

/* Those who wait for the endpoint, now the caller's. The lock is held. */
static hone_query *take_parked(hone_fleet *fleet, hone_endpoint *e) {
    hone_query *parked = e->parked;
    e->parked = NULL;
    for (const hone_query *q = parked; q; q = q->next) fleet->parked--;
    return parked;
}

void hone_fleet_remove(hone_fleet *fleet, hone_str name) {
    hone_endpoint *e = NULL;
    hone_query *parked = NULL;
    hone_deployment *last = NULL;
    pthread_mutex_lock(&fleet->lock);
    for (hone_endpoint **at = &fleet->endpoints; *at; at = &(*at)->next)
        if (hone_str_equal(hone_str_of((*at)->name), name)) {
            e = *at;
            *at = e->next;
            e->is_gone = true;
            last = e->current;
            e->current = NULL;
            parked = take_parked(fleet, e);
            break;
        }
    pthread_mutex_unlock(&fleet->lock);
    fail_all(parked, hone_err_new(HONE_E_NOT_FOUND, "endpoint '%.*s' was deleted", HONE_ARG(name)));
    hone_deployment_drop(last);
    hone_endpoint_drop(e);
}

void hone_fleet_point(hone_fleet *fleet, hone_endpoint *endpoint, hone_deployment *deployment,
                      hone_err err) {
    pthread_mutex_lock(&fleet->lock);
    hone_deployment *old = deployment ? endpoint->current : NULL;
    hone_query *parked = take_parked(fleet, endpoint);
    endpoint->is_restoring = false;
    if (deployment && !endpoint->is_gone) endpoint->current = hone_deployment_keep(deployment);
    endpoint->has_failed = !endpoint->current;
    pthread_mutex_unlock(&fleet->lock);
    while (deployment && parked) {
        hone_query *q = parked;
        parked = q->next;
        hone_err refused = hone_fleet_submit(fleet, q, hone_deployment_keep(deployment));
        if (hone_failed(refused)) hone_fleet_fail(q, refused);
    }
    fail_all(parked, err);
    hone_deployment_drop(old);
    hone_deployment_drop(deployment);
}

/* ---- the loader ---- */

static void load_free(hone_load *load) {
    if (!load) return;
    hone_endpoint_drop(load->endpoint);
    free(load->plan);
    free(load);
}

hone_err hone_fleet_load_later(hone_fleet *fleet, hone_endpoint *endpoint, const hone_plan *plan,
                               int64_t turn, bool is_restore) {
    hone_load *load = calloc(1, sizeof *load);
    hone_plan *copy = load ? hone_plan_copy(plan) : NULL;
    if (!copy) {
        free(load);
        return hone_fleet_no_memory();
    }
    *load = (hone_load){keep(endpoint), copy, turn, is_restore, NULL};
    pthread_mutex_lock(&fleet->lock);
    if (fleet->loads_last)
        fleet->loads_last->next = load;
    else
        fleet->loads = load;
    fleet->loads_last = load;
    endpoint->is_restoring |= is_restore;
    pthread_cond_signal(&fleet->load_wake);
    pthread_mutex_unlock(&fleet->lock);
    return HONE_OK;
}

/* The oldest load; NULL when the fleet closes. */
static hone_load *next_load(hone_fleet *fleet) {
    pthread_mutex_lock(&fleet->lock);
    while (!fleet->loads && !fleet->stopping) pthread_cond_wait(&fleet->load_wake, &fleet->lock);
    hone_load *load = fleet->stopping ? NULL : fleet->loads;
    if (load) fleet->loads = load->next;
    if (load && !fleet->loads) fleet->loads_last = NULL;
    pthread_mutex_unlock(&fleet->lock);
    return load;
}

/* The unpacked folder: the one that was used before, while it is there, so that a restart does
 * not depend on the object. */
static hone_err find_folder(hone_fleet *fleet, hone_arena *arena, const hone_plan *plan,
                            const char **out) {
    if (plan->folder[0] != '\0') {
        const char *folder = hone_path_join(arena, fleet->models_dir, plan->folder);
        if (!folder) return hone_fleet_no_memory();
        *out = folder;
        if (hone_file_exists(folder)) return HONE_OK;
    }
    return hone_artifact_open(fleet->options.objects, arena, fleet->models_dir,
                              hone_str_of(plan->artifact_uri), out);
}

static hone_err load_model(hone_fleet *fleet, const hone_load *load, hone_deployment **out) {
    hone_arena *arena = NULL;
    const char *folder = NULL;
    HONE_TRY(hone_arena_create(load_arena_bytes, &arena));
    hone_err err = find_folder(fleet, arena, load->plan, &folder);
    if (!hone_failed(err)) {
        hone_plan plan = *load->plan;
        const char *slash = strrchr(folder, '/');
        plan.folder = slash ? slash + 1 : folder;
        /* At a start all cores load; later they are busy with answers. */
        const hone_deployment_options options = {
            .dtype = fleet->options.dtype,
            .threads = load->is_restore ? hone_batcher_threads(fleet->batcher) : 1,
            .sessions = hone_batcher_lanes(fleet->batcher),
            .kept_dir = fleet->options.kept_dir,
        };
        err = hone_deployment_open(folder, &plan, &options, out);
    }
    hone_arena_destroy(arena);
    return err;
}

/* Unpacking and packing a model beside the answers must not take their cores: from now on this
 * thread gets about a fifth of a core that somebody else wants. Restores, which all come first,
 * are done before. */
static void step_back(void) {
    enum { NICE = 7 };
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE); /* of this thread; only costs latency */
}

static void log_load(const hone_load *load, const hone_deployment *d, int64_t took_ns,
                     hone_err err) {
    long long ms = (long long)(took_ns / 1000000);
    if (d)
        hone_log("event=endpoint.loaded endpoint=%s version=%s ms=%lld dtype=%s weights=%s",
                 load->endpoint->name, load->plan->version_arn, ms,
                 hone_dtype_name(hone_deployment_dtype(d)),
                 hone_deployment_was_kept(d) ? "kept" : "packed");
    else
        hone_log("event=endpoint.load_failed endpoint=%s version=%s ms=%lld error=%s",
                 load->endpoint->name, load->plan->version_arn, ms, err.msg);
}

/* Only once the endpoint answers: nobody waits for this. */
static void save_weights(hone_deployment *d) {
    hone_err err = hone_deployment_save(d);
    if (hone_failed(err))
        hone_log("event=endpoint.weights_unkept model=%s error=%s", hone_deployment_plan(d)->model,
                 err.msg);
}

static void *run_loader(void *arg) {
    hone_fleet *fleet = arg;
    for (hone_load *load; (load = next_load(fleet)); load_free(load)) {
        if (!load->is_restore) step_back();
        hone_deployment *deployment = NULL;
        int64_t begin_ns = hone_clock_ns();
        hone_err err = load_model(fleet, load, &deployment);
        log_load(load, deployment, hone_clock_ns() - begin_ns, err);
        hone_deployment *ours = deployment ? hone_deployment_keep(deployment) : NULL;
        hone_endpoints_loaded(fleet, load, deployment, err);
        if (ours) save_weights(ours);
        hone_deployment_drop(ours);
    }
    return NULL;
}

/* ---- the keeper ---- */

static int64_t earlier(int64_t a, int64_t b) { return a < b ? a : b; }

static void *run_keeper(void *arg) {
    hone_fleet *fleet = arg;
    const int64_t save_ns = fleet->options.save_ms * 1000000;
    int64_t save_at = hone_clock_ns() + save_ns;
    for (;;) {
        int64_t wake_ns = earlier(save_at, hone_fleet_expire(fleet));
        const struct timespec until = {wake_ns / 1000000000, wake_ns % 1000000000};
        pthread_mutex_lock(&fleet->lock);
        if (!fleet->stopping) (void)pthread_cond_timedwait(&fleet->keep_wake, &fleet->lock, &until);
        bool stopping = fleet->stopping;
        pthread_mutex_unlock(&fleet->lock);
        if (stopping) return NULL;
        if (hone_clock_ns() < save_at) continue;
        hone_endpoints_save(fleet);
        save_at = hone_clock_ns() + save_ns;
    }
}

/* ---- open, close ---- */

static hone_err start_threads(hone_fleet *fleet) {
    fleet->has_loader = pthread_create(&fleet->loader, NULL, run_loader, fleet) == 0;
    fleet->has_keeper = fleet->has_loader &&
                        pthread_create(&fleet->keeper, NULL, run_keeper, fleet) == 0;
    return fleet->has_keeper ? HONE_OK : hone_err_new(HONE_E_NOMEM, "no threads for the endpoints");
}

static void init_locks(hone_fleet *fleet) {
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic); /* none of these can fail on the platforms we support */
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&fleet->change, NULL);
    pthread_mutex_init(&fleet->lock, NULL);
    pthread_cond_init(&fleet->load_wake, NULL);
    pthread_cond_init(&fleet->keep_wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

/* Unpacked models that no endpoint is restored with go: they would only gather. */
static hone_err sweep_models(hone_fleet *fleet) {
    size_t count = 0;
    for (const hone_load *load = fleet->loads; load; load = load->next) count++;
    const char **keep_names = calloc(count + 1, sizeof *keep_names);
    if (!keep_names) return hone_fleet_no_memory();
    count = 0;
    for (const hone_load *load = fleet->loads; load; load = load->next)
        keep_names[count++] = load->plan->folder;
    hone_artifact_sweep(fleet->models_dir, keep_names, count);
    free(keep_names);
    return HONE_OK;
}

hone_err hone_fleet_open(const hone_fleet_options *options, hone_fleet **out) {
    hone_fleet *fleet = calloc(1, sizeof *fleet);
    if (!fleet) return hone_fleet_no_memory();
    init_locks(fleet);
    fleet->options = *options;
    if (fleet->options.save_ms == 0) fleet->options.save_ms = SAVE_MS;
    if (fleet->options.patience_ms == 0) fleet->options.patience_ms = PATIENCE_MS;
    hone_err err = HONE_OK;
    if (asprintf(&fleet->models_dir, "%s/models", options->dir) < 0) {
        fleet->models_dir = NULL;
        err = hone_fleet_no_memory();
    }
    if (!hone_failed(err)) err = hone_endpoints_migrate(options->db);
    if (!hone_failed(err)) err = hone_batcher_create(&options->batcher, &fleet->batcher);
    if (!hone_failed(err)) err = hone_endpoints_restore(fleet);
    if (!hone_failed(err)) err = sweep_models(fleet);
    if (!hone_failed(err)) err = start_threads(fleet);
    if (hone_failed(err))
        hone_fleet_close(fleet);
    else
        *out = fleet;
    return err;
}

/* After the threads have ended: everything that is still in memory. */
static void drop_all(hone_fleet *fleet) {
    while (fleet->endpoints) {
        hone_endpoint *e = fleet->endpoints;
        fleet->endpoints = e->next;
        hone_endpoint_drop(e);
    }
    while (fleet->loads) {
        hone_load *load = fleet->loads;
        fleet->loads = load->next;
        load_free(load);
    }
}

void hone_fleet_close(hone_fleet *fleet) {
    if (!fleet) return;
    hone_query *parked = NULL;
    pthread_mutex_lock(&fleet->lock);
    fleet->stopping = true;
    pthread_cond_signal(&fleet->load_wake);
    pthread_cond_signal(&fleet->keep_wake);
    pthread_mutex_unlock(&fleet->lock);
    if (fleet->has_loader) (void)pthread_join(fleet->loader, NULL); /* our own, joined once */
    if (fleet->has_keeper) (void)pthread_join(fleet->keeper, NULL);
    for (hone_endpoint *e = fleet->endpoints; e; e = e->next) {
        pthread_mutex_lock(&fleet->lock);
        parked = take_parked(fleet, e);
        pthread_mutex_unlock(&fleet->lock);
        fail_all(parked, hone_err_new(HONE_E_CLOSED, "the server is stopping"));
    }
    hone_batcher_destroy(fleet->batcher); /* answers what it accepted */
    if (fleet->has_keeper) hone_endpoints_save(fleet);
    drop_all(fleet);
    pthread_cond_destroy(&fleet->keep_wake);
    pthread_cond_destroy(&fleet->load_wake);
    pthread_mutex_destroy(&fleet->lock);
    pthread_mutex_destroy(&fleet->change);
    free(fleet->models_dir);
    free(fleet);
}

hone_batcher_load hone_fleet_busy(hone_fleet *fleet) { return hone_batcher_read(fleet->batcher); }
