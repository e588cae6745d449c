/* endpoints.c: endpoints as rows. A row's states, and who makes each change:
 *
 *     Creating   wanted is being loaded, nothing serves         hone_fleet_create
 *     InService  serving answers                                 loaded
 *     Updating   serving answers, wanted is being loaded         hone_fleet_update
 *     Failed     nothing serves; failure says why                loaded
 *
 * serving and wanted are plans as JSON, '' for none. turn counts creations and updates, so that a
 * load that was overtaken changes nothing. */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "registry/models.h"
#include "serve/configs.h"
#include "serve/fleet_impl.h"
#include "store/journal.h"
#include "store/tags.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 63, SUBJECT_SIZE = 128, FAILURE_MAX_BYTES = 1024 };

static const size_t arena_bytes = (size_t)64 << 20;

static const char *const steps[] = {
    "CREATE TABLE endpoint_config ("
    "  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, arn TEXT NOT NULL,"
    "  variant TEXT NOT NULL, model TEXT NOT NULL, fields TEXT NOT NULL,"
    "  created_ms INTEGER NOT NULL) STRICT;"
    "CREATE TABLE endpoint ("
    "  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, arn TEXT NOT NULL,"
    "  status TEXT NOT NULL, failure TEXT NOT NULL DEFAULT '', config TEXT NOT NULL,"
    "  serving TEXT NOT NULL DEFAULT '', wanted TEXT NOT NULL DEFAULT '',"
    "  turn INTEGER NOT NULL DEFAULT 1, created_ms INTEGER NOT NULL,"
    "  modified_ms INTEGER NOT NULL) STRICT;"
    "CREATE TABLE endpoint_stats ("
    "  endpoint INTEGER PRIMARY KEY REFERENCES endpoint (id) ON DELETE CASCADE,"
    "  answered INTEGER NOT NULL, refused INTEGER NOT NULL, failed INTEGER NOT NULL,"
    "  texts INTEGER NOT NULL, tokens INTEGER NOT NULL, histogram BLOB NOT NULL) STRICT;",
};

hone_err hone_endpoints_migrate(hone_db *db) {
    return hone_db_migrate(db, "serve", steps, sizeof steps / sizeof steps[0]);
}

/* ---- plans as JSON ---- */

static hone_err format_plan(hone_arena *arena, const hone_plan *plan, const char **out) {
    json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "config", plan->config,
                             "variant", plan->variant, "model", plan->model, "version",
                             plan->version_arn, "artifact", plan->artifact_uri, "folder",
                             plan->folder, "dtype", plan->dtype);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    *out = text ? hone_arena_strdup(arena, hone_str_of(text)) : NULL;
    free(text);
    json_decref(json);
    return *out ? HONE_OK : hone_fleet_no_memory();
}

/* json[key] in the arena, "" when absent; *ok goes when there is no memory. */
static const char *member(hone_arena *arena, const json_t *json, const char *key, bool *ok) {
    const char *text = hone_arena_strdup(arena, hone_json_str(json_object_get(json, key)));
    *ok = *ok && text;
    return text;
}

static hone_err parse_plan(hone_arena *arena, hone_str text, hone_plan *out) {
    json_t *json = NULL;
    bool ok = true;
    *out = (hone_plan){"", "", "", "", "", "", ""};
    if (text.len == 0) return HONE_OK;
    HONE_TRY(hone_json_parse(text, "an endpoint's plan", &json));
    hone_plan plan = {.config = member(arena, json, "config", &ok),
                      .variant = member(arena, json, "variant", &ok),
                      .model = member(arena, json, "model", &ok),
                      .version_arn = member(arena, json, "version", &ok),
                      .artifact_uri = member(arena, json, "artifact", &ok),
                      .folder = member(arena, json, "folder", &ok),
                      .dtype = member(arena, json, "dtype", &ok)};
    json_decref(json);
    if (!ok) return hone_fleet_no_memory();
    *out = plan;
    return HONE_OK;
}

/* What the configuration asks to be served, if that may be. */
static hone_err make_plan(hone_tx *tx, hone_arena *arena, hone_str config, hone_plan *out) {
    hone_serving_config c;
    hone_served model;
    HONE_TRY(hone_configs_find(tx, arena, config, &c));
    HONE_TRY(hone_models_find(tx, arena, hone_str_of(c.model), &model));
    HONE_TRY(hone_models_check(tx, arena, &model));
    const char *dtype = NULL;
    HONE_TRY(hone_models_setting(arena, &model, HONE_PLAN_DTYPE, &dtype));
    *out = (hone_plan){c.name, c.variant,         model.name, model.version_arn, model.artifact_uri,
                       "",     dtype ? dtype : ""};
    return HONE_OK;
}

/* ---- rows ---- */

/* A row with what only this file needs of it. */
typedef struct full_row {
    hone_endpoint_row row;
    hone_plan wanted;
    int64_t id, turn;
} full_row;

#define COLUMNS                                                                              \
    "SELECT id, turn, name, arn, status, failure, config, created_ms, modified_ms, serving," \
    " wanted FROM endpoint "

static hone_err read_row(const hone_rows *rows, hone_arena *arena, full_row *out) {
    full_row r = {.id = hone_rows_int(rows, 0), .turn = hone_rows_int(rows, 1)};
    r.row = (hone_endpoint_row){.name = hone_fleet_text(rows, 2, arena),
                                .arn = hone_fleet_text(rows, 3, arena),
                                .status = hone_fleet_text(rows, 4, arena),
                                .failure = hone_fleet_text(rows, 5, arena),
                                .config = hone_fleet_text(rows, 6, arena),
                                .created_ms = hone_rows_int(rows, 7),
                                .modified_ms = hone_rows_int(rows, 8)};
    if (!r.row.name || !r.row.arn || !r.row.status || !r.row.failure || !r.row.config)
        return hone_fleet_no_memory();
    HONE_TRY(parse_plan(arena, hone_rows_str(rows, 9), &r.row.serving));
    HONE_TRY(parse_plan(arena, hone_rows_str(rows, 10), &r.wanted));
    *out = r;
    return HONE_OK;
}

static hone_err find_row(hone_tx *tx, hone_arena *arena, hone_str name, full_row *out) {
    hone_rows rows;
    bool more = false;
    hone_err err = hone_rows_open(tx, &rows, COLUMNS "WHERE name = ?", "s", name);
    if (!hone_failed(err)) err = hone_rows_next(&rows, &more);
    if (!hone_failed(err) && !more) /* clients look for these words, capital included */
        err = hone_err_new(HONE_E_NOT_FOUND, "Could not find endpoint '%.*s'", HONE_ARG(name));
    if (!hone_failed(err)) err = read_row(&rows, arena, out);
    hone_rows_close(&rows);
    return err;
}

/* What memory knows. What the row says is in service is so only once its model is there. */
static void add_memory(hone_fleet *fleet, hone_endpoint_row *row) {
    hone_endpoint *e = hone_fleet_get(fleet, hone_str_of(row->name));
    pthread_mutex_lock(&fleet->lock);
    bool is_there = e && e->current;
    row->dtype = is_there ? hone_dtype_name(hone_deployment_dtype(e->current)) : "";
    pthread_mutex_unlock(&fleet->lock);
    if (!is_there && strcmp(row->status, "InService") == 0) row->status = "SystemUpdating";
    hone_endpoint_drop(e);
}

hone_err hone_fleet_find(hone_fleet *fleet, hone_tx *tx, hone_arena *arena, hone_str name,
                         hone_endpoint_row *out) {
    full_row r;
    HONE_TRY(find_row(tx, arena, name, &r));
    add_memory(fleet, &r.row);
    *out = r.row;
    return HONE_OK;
}

hone_err hone_fleet_list(hone_fleet *fleet, hone_tx *tx, hone_arena *arena,
                         const hone_listing *listing, hone_endpoint_row **out, size_t *count,
                         bool *more) {
#define LIST(order)                                                        \
    COLUMNS "WHERE name LIKE ? ESCAPE '\\' AND created_ms BETWEEN ? AND ?" \
            " AND (? = '' OR status = ?) ORDER BY " order " LIMIT ? OFFSET ?"
    static const char *const sql[2][2] = {{LIST("id"), LIST("id DESC")},
                                          {LIST("name"), LIST("name DESC")}};
    hone_listing l;
    HONE_TRY(hone_listing_check(listing, &l));
    hone_endpoint_row *found = hone_arena_alloc(arena, (size_t)l.limit, sizeof *found);
    const char *pattern = hone_listing_pattern(&l, arena);
    if (!found || !pattern) return hone_fleet_no_memory();
    hone_rows rows;
    full_row r;
    size_t n = 0;
    bool next = false;
    hone_err err = hone_rows_open(tx, &rows, sql[l.by_name][l.descending], "ziissii", pattern,
                                  l.after_ms, l.before_ms, l.status, l.status, l.limit + 1,
                                  l.offset);
    while (!hone_failed(err) && !hone_failed(err = hone_rows_next(&rows, &next)) && next &&
           n < (size_t)l.limit) {
        err = read_row(&rows, arena, &r);
        if (!hone_failed(err)) found[n++] = r.row;
    }
    hone_rows_close(&rows);
    if (hone_failed(err)) return err;
    for (size_t i = 0; i < n; i++) add_memory(fleet, &found[i]);
    *out = found;
    *count = n;
    *more = next;
    return HONE_OK;
}

static hone_err tell(hone_tx *tx, const char *actor, const char *kind, const char *name,
                     const hone_plan *plan, const char *failure) {
    char subject[SUBJECT_SIZE];
    (void)snprintf(subject, sizeof subject, "endpoint/%s", name);
    json_t *detail = json_pack("{s:s, s:s, s:s, s:s}", "config", plan->config, "variant",
                               plan->variant, "model", plan->model, "version", plan->version_arn);
    if (detail && failure)
        (void)json_object_set_new(detail, "reason", json_string(failure)); /* only for people */
    return hone_journal_append(tx, actor, kind, subject, detail);
}

/* ---- create, update, delete ---- */

/* What a change needs all along. */
typedef struct change {
    hone_fleet *fleet;
    hone_arena *arena;
    const char *actor;
    hone_str name, config;
    hone_plan plan;
    int64_t id, turn;
    const char *arn;
} change;

static hone_err insert_endpoint(hone_tx *tx, change *c, const json_t *tags) {
    const char *wanted = NULL;
    int64_t now = hone_now_ms();
    HONE_TRY(make_plan(tx, c->arena, c->config, &c->plan));
    HONE_TRY(format_plan(c->arena, &c->plan, &wanted));
    c->arn = hone_arn_format(c->arena, c->fleet->options.realm, "endpoint/%.*s", HONE_ARG(c->name));
    const char *name = hone_arena_strdup(c->arena, c->name);
    if (!c->arn || !name) return hone_fleet_no_memory();
    hone_err err = hone_tx_exec(tx,
                                "INSERT INTO endpoint (name, arn, status, config, wanted,"
                                " created_ms, modified_ms) VALUES (?, ?, 'Creating', ?, ?, ?, ?)",
                                "szzzii", c->name, c->arn, c->plan.config, wanted, now, now);
    if (err.code == HONE_E_CONFLICT) /* clients look for these words, capital included */
        return hone_err_new(HONE_E_CONFLICT, "Cannot create already existing endpoint '%s'", name);
    if (hone_failed(err)) return err;
    c->id = hone_tx_insert_id(tx);
    c->turn = 1;
    HONE_TRY(hone_tags_add(tx, c->arn, tags));
    return tell(tx, c->actor, "endpoint.created", name, &c->plan, NULL);
}

/* The row is in; the same in memory. When that fails the row is taken back. */
static hone_err add_to_memory(hone_tx *tx, change *c) {
    hone_endpoint *e = NULL;
    hone_err err = hone_fleet_add(c->fleet, c->name, c->id, &e);
    if (hone_failed(err)) {
        hone_tx_abort(tx);
        return err;
    }
    err = hone_tx_commit(tx);
    if (!hone_failed(err)) err = hone_fleet_load_later(c->fleet, e, &c->plan, c->turn, false);
    if (hone_failed(err)) hone_fleet_remove(c->fleet, c->name);
    hone_endpoint_drop(e);
    return err;
}

hone_err hone_fleet_create(hone_fleet *fleet, hone_arena *arena, const char *actor, hone_str name,
                           hone_str config, const json_t *tags, const char **arn) {
    change c = {.fleet = fleet, .arena = arena, .actor = actor, .name = name, .config = config};
    hone_tx *tx = NULL;
    if (!hone_name_is_valid(name, NAME_MAX_BYTES, false))
        return hone_err_new(
            HONE_E_INVALID,
            "EndpointName has 1 to %d letters, digits and inner hyphens, not '%.*s'",
            NAME_MAX_BYTES, HONE_ARG(name));
    pthread_mutex_lock(&fleet->change);
    hone_err err = hone_tx_begin(fleet->options.db, HONE_TX_WRITE, &tx);
    if (!hone_failed(err)) {
        err = insert_endpoint(tx, &c, tags);
        if (hone_failed(err))
            hone_tx_abort(tx);
        else
            err = add_to_memory(tx, &c);
    }
    pthread_mutex_unlock(&fleet->change);
    if (!hone_failed(err)) *arn = c.arn;
    return err;
}

static hone_err change_row(hone_tx *tx, change *c) {
    full_row r;
    const char *wanted = NULL;
    HONE_TRY(find_row(tx, c->arena, c->name, &r));
    if (strcmp(r.row.status, "InService") != 0 && strcmp(r.row.status, "Failed") != 0)
        return hone_err_new(HONE_E_CONFLICT, "Cannot update in-progress endpoint '%s': it is %s",
                            r.row.name, r.row.status);
    HONE_TRY(make_plan(tx, c->arena, c->config, &c->plan));
    HONE_TRY(format_plan(c->arena, &c->plan, &wanted));
    c->arn = r.row.arn;
    c->id = r.id;
    c->turn = r.turn + 1;
    HONE_TRY(hone_tx_exec(tx,
                          "UPDATE endpoint SET status = 'Updating', failure = '', config = ?,"
                          " wanted = ?, turn = ?, modified_ms = ? WHERE id = ?",
                          "zziii", c->plan.config, wanted, c->turn, hone_now_ms(), r.id));
    return tell(tx, c->actor, "endpoint.updated", r.row.name, &c->plan, NULL);
}

hone_err hone_fleet_update(hone_fleet *fleet, hone_arena *arena, const char *actor, hone_str name,
                           hone_str config, const char **arn) {
    change c = {.fleet = fleet, .arena = arena, .actor = actor, .name = name, .config = config};
    hone_tx *tx = NULL;
    pthread_mutex_lock(&fleet->change);
    hone_endpoint *e = hone_fleet_get(fleet, name);
    hone_err err = hone_tx_begin(fleet->options.db, HONE_TX_WRITE, &tx);
    if (!hone_failed(err)) {
        err = change_row(tx, &c);
        if (!hone_failed(err) && !e)
            err = hone_err_new(HONE_E_CLOSED, "endpoint '%.*s' is not in memory: restart hone",
                               HONE_ARG(name));
        err = hone_tx_finish(tx, err);
        if (!hone_failed(err)) err = hone_fleet_load_later(fleet, e, &c.plan, c.turn, false);
    }
    pthread_mutex_unlock(&fleet->change);
    hone_endpoint_drop(e);
    if (!hone_failed(err)) *arn = c.arn;
    return err;
}

static hone_err delete_row(hone_tx *tx, hone_arena *arena, const char *actor, hone_str name) {
    full_row r;
    HONE_TRY(find_row(tx, arena, name, &r));
    HONE_TRY(hone_tags_drop(tx, r.row.arn));
    HONE_TRY(hone_tx_exec(tx, "DELETE FROM endpoint WHERE id = ?", "i", r.id));
    return tell(tx, actor, "endpoint.deleted", r.row.name, &r.row.serving, NULL);
}

hone_err hone_fleet_delete(hone_fleet *fleet, hone_arena *arena, const char *actor, hone_str name) {
    hone_tx *tx = NULL;
    pthread_mutex_lock(&fleet->change);
    hone_err err = hone_tx_begin(fleet->options.db, HONE_TX_WRITE, &tx);
    if (!hone_failed(err)) err = hone_tx_finish(tx, delete_row(tx, arena, actor, name));
    if (!hone_failed(err)) hone_fleet_remove(fleet, name);
    pthread_mutex_unlock(&fleet->change);
    return err;
}

/* ---- the end of a load ---- */

/* A model that was asked for is there: it serves from now on. */
static hone_err now_serving(hone_tx *tx, hone_arena *arena, const full_row *r,
                            const hone_plan *plan) {
    const char *serving = NULL;
    HONE_TRY(format_plan(arena, plan, &serving));
    HONE_TRY(hone_tx_exec(tx,
                          "UPDATE endpoint SET status = 'InService', failure = '', serving = ?,"
                          " wanted = '', config = ?, modified_ms = ? WHERE id = ?",
                          "zzii", serving, plan->config, hone_now_ms(), r->id));
    return tell(tx, "system", "endpoint.in_service", r->row.name, plan, NULL);
}

/* It is not, and why: the model before goes on, if there is one. */
static hone_err now_failed(hone_tx *tx, const full_row *r, const hone_plan *plan, const char *why,
                           bool still_serves) {
    HONE_TRY(hone_tx_exec(tx,
                          "UPDATE endpoint SET status = ?, failure = ?, wanted = '', config = ?,"
                          " modified_ms = ? WHERE id = ?",
                          "zzzii", still_serves ? "InService" : "Failed", why,
                          still_serves ? r->row.serving.config : r->row.config, hone_now_ms(),
                          r->id));
    return tell(tx, "system", "endpoint.failed", r->row.name, plan, why);
}

/* A restore changes the row only when it differs from what was: it failed, or works again. */
static hone_err note_restored(hone_tx *tx, hone_arena *arena, const full_row *r,
                              const hone_plan *plan, const char *why) {
    bool was_failed = strcmp(r->row.status, "Failed") == 0;
    bool is_updating = strcmp(r->row.status, "Updating") == 0; /* that load will tell */
    if (!why && was_failed) return now_serving(tx, arena, r, plan);
    if (why && !is_updating && !was_failed) return now_failed(tx, r, plan, why, false);
    return HONE_OK;
}

static hone_err note_loaded(hone_tx *tx, hone_arena *arena, const hone_load *load,
                            const hone_plan *plan, const char *why, bool still_serves) {
    full_row r;
    hone_err err = find_row(tx, arena, hone_str_of(load->endpoint->name), &r);
    if (err.code == HONE_E_NOT_FOUND) return HONE_OK; /* deleted meanwhile */
    if (hone_failed(err)) return err;
    if (r.id != load->endpoint->id) return HONE_OK; /* and made again */
    if (load->is_restore) return note_restored(tx, arena, &r, plan, why);
    if (r.turn != load->turn) return HONE_OK; /* overtaken */
    return why ? now_failed(tx, &r, plan, why, still_serves) : now_serving(tx, arena, &r, plan);
}

static hone_err note_in_tx(hone_fleet *fleet, const hone_load *load, const hone_plan *plan,
                           const char *why, bool still_serves) {
    hone_arena *arena = NULL;
    hone_tx *tx = NULL;
    HONE_TRY(hone_arena_create(arena_bytes, &arena));
    hone_err err = hone_tx_begin(fleet->options.db, HONE_TX_WRITE, &tx);
    if (!hone_failed(err))
        err = hone_tx_finish(tx, note_loaded(tx, arena, load, plan, why, still_serves));
    hone_arena_destroy(arena);
    return err;
}

void hone_endpoints_loaded(hone_fleet *fleet, const hone_load *load, hone_deployment *deployment,
                           hone_err err) {
    char why[FAILURE_MAX_BYTES];
    (void)snprintf(why, sizeof why, "%s", err.msg ? err.msg : "");
    if (err.msg) err.msg = why;
    pthread_mutex_lock(&fleet->change);
    pthread_mutex_lock(&fleet->lock);
    bool still_serves = load->endpoint->current != NULL;
    pthread_mutex_unlock(&fleet->lock);
    /* What the rows are to say is the deployment's, which pointing takes over. */
    hone_deployment *ours = deployment ? hone_deployment_keep(deployment) : NULL;
    const hone_plan *plan = ours ? hone_deployment_plan(ours) : load->plan;
    /* The swap comes first: who reads InService and then asks must get the new model. */
    if (deployment || load->is_restore || !still_serves)
        hone_fleet_point(fleet, load->endpoint, deployment, err);
    hone_err noted = note_in_tx(fleet, load, plan, hone_failed(err) ? why : NULL, still_serves);
    pthread_mutex_unlock(&fleet->change);
    hone_deployment_drop(ours);
    if (hone_failed(noted))
        hone_log("event=endpoint.unnoted endpoint=%s error=%s", load->endpoint->name, noted.msg);
}

/* ---- at a start ---- */

static hone_err read_stats(const hone_rows *rows, hone_stats_view *out) {
    *out = (hone_stats_view){.answered = (uint64_t)hone_rows_int(rows, 0),
                             .refused = (uint64_t)hone_rows_int(rows, 1),
                             .failed = (uint64_t)hone_rows_int(rows, 2),
                             .texts = (uint64_t)hone_rows_int(rows, 3),
                             .tokens = (uint64_t)hone_rows_int(rows, 4)};
    out->invocations = out->answered + out->refused + out->failed;
    if (hone_stats_unpack(hone_rows_str(rows, 5), out)) return HONE_OK;
    return hone_err_new(HONE_E_CORRUPT, "statistics of an endpoint have another size");
}

static hone_err restore_stats(hone_tx *tx, hone_endpoint *e) {
    hone_rows rows;
    hone_stats_view view;
    bool more = false;
    hone_err err = hone_rows_open(tx, &rows,
                                  "SELECT answered, refused, failed, texts, tokens, histogram"
                                  " FROM endpoint_stats WHERE endpoint = ?",
                                  "i", e->id);
    if (!hone_failed(err)) err = hone_rows_next(&rows, &more);
    if (!hone_failed(err) && more) err = read_stats(&rows, &view);
    if (!hone_failed(err) && more) {
        hone_stats_write(&e->stats, &view);
        e->saved = view.invocations;
    }
    hone_rows_close(&rows);
    return err;
}

static hone_err restore_row(hone_fleet *fleet, hone_tx *tx, const full_row *r) {
    hone_endpoint *e = NULL;
    HONE_TRY(hone_fleet_add(fleet, hone_str_of(r->row.name), r->id, &e));
    hone_err err = restore_stats(tx, e);
    if (!hone_failed(err) && r->row.serving.artifact_uri[0] != '\0')
        err = hone_fleet_load_later(fleet, e, &r->row.serving, r->turn, true);
    if (!hone_failed(err) && r->wanted.artifact_uri[0] != '\0') /* a change that was cut off */
        err = hone_fleet_load_later(fleet, e, &r->wanted, r->turn, false);
    if (!hone_failed(err) && r->row.serving.artifact_uri[0] == '\0' &&
        r->wanted.artifact_uri[0] == '\0')
        hone_fleet_point(fleet, e, NULL, HONE_OK); /* failed when it was created */
    hone_endpoint_drop(e);
    return err;
}

hone_err hone_endpoints_restore(hone_fleet *fleet) {
    hone_arena *arena = NULL;
    hone_tx *tx = NULL;
    hone_rows rows;
    full_row r;
    bool more = true;
    HONE_TRY(hone_arena_create(arena_bytes, &arena));
    hone_err err = hone_tx_begin(fleet->options.db, HONE_TX_READ, &tx);
    if (!hone_failed(err)) {
        err = hone_rows_open(tx, &rows, COLUMNS "ORDER BY id", "");
        while (!hone_failed(err) && !hone_failed(err = hone_rows_next(&rows, &more)) && more) {
            err = read_row(&rows, arena, &r);
            if (!hone_failed(err)) err = restore_row(fleet, tx, &r);
        }
        hone_rows_close(&rows);
        hone_tx_abort(tx); /* only read */
    }
    hone_arena_destroy(arena);
    return err;
}

/* ---- statistics ---- */

static hone_err save_stats(hone_tx *tx, hone_endpoint *e, const hone_stats_view *view) {
    unsigned char bytes[HONE_STATS_BYTES];
    hone_stats_pack(view, bytes);
    return hone_tx_exec(tx,
                        "INSERT OR REPLACE INTO endpoint_stats (endpoint, answered, refused,"
                        " failed, texts, tokens, histogram) SELECT id, ?, ?, ?, ?, ?, ?"
                        " FROM endpoint WHERE id = ?",
                        "iiiiibi", (int64_t)view->answered, (int64_t)view->refused,
                        (int64_t)view->failed, (int64_t)view->texts, (int64_t)view->tokens,
                        (hone_str){(const char *)bytes, sizeof bytes}, e->id);
}

/* The endpoint after e that was called since its statistics were kept, kept for the caller; NULL
 * at the end. e is dropped. */
static hone_endpoint *next_called(hone_fleet *fleet, hone_endpoint *e, hone_stats_view *view) {
    pthread_mutex_lock(&fleet->lock);
    hone_endpoint *next = e ? e->next : fleet->endpoints;
    for (; next; next = next->next) {
        hone_stats_read(&next->stats, view);
        if (view->invocations != next->saved) break;
    }
    if (next) (void)atomic_fetch_add(&next->users, 1);
    pthread_mutex_unlock(&fleet->lock);
    hone_endpoint_drop(e);
    return next;
}

void hone_endpoints_save(hone_fleet *fleet) {
    hone_stats_view view;
    hone_tx *tx = NULL;
    hone_err err = HONE_OK;
    hone_endpoint *e = NULL;
    pthread_mutex_lock(&fleet->change); /* no endpoint goes while the list is walked */
    e = next_called(fleet, NULL, &view);
    if (e) err = hone_tx_begin(fleet->options.db, HONE_TX_WRITE, &tx);
    while (e && !hone_failed(err)) {
        err = save_stats(tx, e, &view);
        if (!hone_failed(err)) e->saved = view.invocations;
        e = next_called(fleet, e, &view);
    }
    hone_endpoint_drop(e);
    if (tx) err = hone_tx_finish(tx, err);
    pthread_mutex_unlock(&fleet->change);
    if (hone_failed(err)) hone_log("event=endpoint.stats_unkept error=%s", err.msg);
}
