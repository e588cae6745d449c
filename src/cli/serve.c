/* serve.c: `hone serve`: opens every room on one folder, listens, and waits for a signal.
 *
 *     database -> tags -> objects -> accounts -> registry -> reviews -> endpoints -> pipelines
 *              -> server
 *
 * Each room is opened after those it stands on and closed in the reverse order. The server is
 * last to open and first to stop, so that no request meets a room that is not there. */
#include "account/account.h"
#include "api/api.h"
#include "api/events.h"
#include "base/file.h"
#include "base/log.h"
#include "cli/cache.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/settings.h"
#include "http/server.h"
#include "pipeline/pipelines.h"
#include "registry/registry.h"
#include "review/review.h"
#include "serve/fleet.h"
#include "store/tags.h"

#include <signal.h>
#include <stdio.h>

enum { STOP_GRACE_MS = 10000, SETTINGS_BYTES_MAX = 1 << 20 };

typedef struct house {
    hone_arena *arena; /* of the settings and names */
    hone_settings settings;
    const char *spool;
    const char *credentials;
    hone_app app;
    hone_review_clock *review;
    hone_server *server;
} house;

static hone_err parse(int argc, char **argv, hone_settings_flags *flags, bool *help_shown) {
    static const hone_usage usage = {
        "serve", "[--data DIR] [--listen ADDR:PORT] [--config FILE] [options]",
        "Serve everything: the SageMaker, A2I and S3 protocols, the review portal, endpoints and\n"
        "pipelines, on one folder. The first start makes an administrator and an API key and\n"
        "writes both to DIR/credentials. Stop it with Ctrl-C or SIGTERM."};
    const hone_option options[] = {
        {"data", "DIR", "where everything is kept (else $HONE_DATA, else ~/.local/share/hone)",
         HONE_OPT_STR, &flags->data, false},
        {"listen", "ADDR:PORT", "default 127.0.0.1:8080; port 0 takes any free one", HONE_OPT_STR,
         &flags->listen, false},
        {"config", "FILE", "settings as JSON: see docs/serve.md", HONE_OPT_STR, &flags->config,
         false},
        {"allow-plain-http", NULL, "listen beyond this machine without TLS", HONE_OPT_FLAG,
         &flags->allow_plain_http, false},
        {"tls-proxy", NULL, "a proxy before this server does TLS", HONE_OPT_FLAG, &flags->tls_proxy,
         false},
        {"threads", "N", "of predictions; default: all processors", HONE_OPT_SIZE, &flags->threads,
         false},
        {"dtype", "T", "predictions multiply in f32 (default), bf16, int8 or auto", HONE_OPT_STR,
         &flags->dtype, false},
        {"jobs", "N", "steps of pipelines that run at once; default 1", HONE_OPT_SIZE, &flags->jobs,
         false},
        {"max-queue-ms", "N", "a prediction that would wait longer is refused; default 10000",
         HONE_OPT_SIZE, &flags->max_queue_ms, false},
        {"batch-delay-us", "N", "a batch may wait for its requests; default 1000", HONE_OPT_SIZE,
         &flags->batch_delay_us, false},
        {0}};
    size_t positional = 0;
    return hone_options_parse(&usage, options, argc, argv, NULL, 0, &positional, help_shown);
}

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory to serve"); }

static hone_err make_places(house *h) {
    const char *dir = h->settings.data;
    HONE_TRY(hone_folder_make(dir, 0700));
    h->spool = hone_path_join(h->arena, dir, "spool");
    h->credentials = hone_path_join(h->arena, dir, "credentials");
    if (!h->spool || !h->credentials) return no_memory();
    return hone_folder_make(h->spool, 0700);
}

static void note_review(hone_err err) { hone_log("event=review.failed error=%s", err.msg); }

static hone_batcher_options batcher_options(const hone_settings *s) {
    return (hone_batcher_options){
        .threads = s->threads,
        .patience_ms = (int64_t)s->max_queue_ms,
        .delay_us = s->batch_delay_us > 0 ? (int64_t)s->batch_delay_us : -1,
    };
}

static hone_err open_rooms(house *h) {
    char kept[HONE_CACHE_PATH_SIZE];
    hone_app *app = &h->app;
    const hone_settings *s = &h->settings;
    const char *cache = hone_cache_packed(kept);
    const char *kept_dir = cache ? hone_arena_strdup(h->arena, hone_str_of(cache)) : NULL;
    if (cache && !kept_dir) return no_memory();
    app->dir = s->data;
    app->realm = s->realm;
    app->mail = s->mail;
    app->public_url = s->public_url;
    app->trusts_loopback_http = !s->tls_cert && !s->tls_proxy &&
                                hone_settings_is_loopback(s->address);
    HONE_TRY(hone_db_open(s->data, &app->db));
    HONE_TRY(hone_tags_open(app->db));
    HONE_TRY(hone_objects_open(s->data, app->db, &app->objects));
    HONE_TRY(hone_accounts_open(s->data, app->db, NULL, &app->accounts));
    HONE_TRY(hone_registry_open(app->db));
    HONE_TRY(hone_review_open(app->db, app->objects, note_review, &h->review));
    HONE_TRY(hone_events_start(app->db, &app->events));
    HONE_TRY(hone_fleet_open(&(hone_fleet_options){.dir = s->data,
                                                   .db = app->db,
                                                   .objects = app->objects,
                                                   .realm = s->realm,
                                                   .dtype = s->dtype,
                                                   .kept_dir = kept_dir,
                                                   .batcher = batcher_options(s)},
                             &app->fleet));
    HONE_TRY(hone_pipelines_open(&(hone_pipelines_options){.dir = s->data,
                                                           .db = app->db,
                                                           .objects = app->objects,
                                                           .realm = s->realm,
                                                           .jobs_max = s->jobs},
                                 &app->pipelines));
    return hone_pipelines_start(app->pipelines);
}

static void close_rooms(house *h) {
    hone_app *app = &h->app;
    hone_pipelines_close(app->pipelines);
    hone_events_stop(app->events);
    hone_fleet_close(app->fleet);
    hone_review_close(h->review);
    hone_accounts_close(app->accounts);
    hone_objects_close(app->objects);
    hone_db_close(app->db);
}

/* The address as people and clients write it, in the arena; NULL at its limit. */
static const char *make_url(const house *h) {
    const hone_settings *s = &h->settings;
    char url[128];
    bool is_v6 = strchr(s->address, ':') != NULL;
    (void)snprintf(url, sizeof url, "%s://%s%s%s:%u", s->tls_cert ? "https" : "http",
                   is_v6 ? "[" : "", s->address, is_v6 ? "]" : "",
                   (unsigned)hone_server_port(h->server));
    return hone_arena_strdup(h->arena, hone_str_of(url));
}

static hone_err start_server(house *h) {
    const hone_settings *s = &h->settings;
    hone_server_options options = {
        .address = s->address,
        .port = s->port,
        .hosts = s->hosts,
        .host_count = s->host_count,
        .tls_cert = s->tls_cert,
        .tls_key = s->tls_key,
        .is_behind_tls = s->tls_proxy,
        .spool_dir = h->spool,
        .ctx = &h->app,
        .handle = hone_api_handle,
        .rule = hone_api_rule,
    };
    return hone_server_start(&options, &h->server);
}

/* Port and URLs are known once the server listens. */
static hone_err announce(house *h) {
    const char *url = make_url(h);
    if (!url) return no_memory();
    if (!h->settings.public_url) h->app.public_url = url; /* nobody knows the port before */
    HONE_TRY(hone_accounts_note_endpoint(h->settings.data, url, h->settings.realm.region));
    printf("hone " HONE_VERSION " serves %s\n"
           "  data          %s\n"
           "  credentials   %s (an API key, and the administrator's login)\n"
           "ready\n",
           url, h->settings.data, h->credentials);
    (void)fflush(stdout); /* whoever started us may wait for the line */
    hone_log("event=server.ready url=%s", url);
    return HONE_OK;
}

/* The signals that end the program are taken by sigwait alone, on the main thread. */
static sigset_t block_signals(void) {
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL); /* before any thread is made: all inherit it */
    return set;
}

static hone_err serve(house *h) {
    sigset_t signals = block_signals();
    HONE_TRY(make_places(h));
    hone_err err = open_rooms(h);
    if (!hone_failed(err)) err = start_server(h);
    if (!hone_failed(err)) err = announce(h);
    if (!hone_failed(err)) {
        int signal = 0;
        (void)sigwait(&signals, &signal); /* fails for an invalid set alone */
        hone_log("event=server.stopping signal=%d", signal);
    }
    hone_server_stop(h->server, STOP_GRACE_MS);
    close_rooms(h);
    return err;
}

hone_err hone_cmd_serve(int argc, char **argv) {
    hone_settings_flags flags = {.batch_delay_us = HONE_SETTINGS_UNSET};
    bool help_shown = false;
    hone_err err = parse(argc, argv, &flags, &help_shown);
    if (hone_failed(err) || help_shown) return err;

    house h = {0};
    HONE_TRY(hone_arena_create(SETTINGS_BYTES_MAX, &h.arena));
    err = hone_settings_load(h.arena, &flags, &h.settings);
    if (!hone_failed(err)) err = serve(&h);
    if (hone_failed(err)) err = hone_err_new(err.code, "%s", err.msg); /* outlives the arena */
    hone_arena_destroy(h.arena);
    return err;
}
