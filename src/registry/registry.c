/* registry.c: groups and versions as rows. `last` of a group is the highest number it ever gave,
 * so that a deleted version's number is not given again. */
#include "registry/registry.h"

#include "base/clock.h"
#include "base/json.h"
#include "registry/rows_impl.h"
#include "store/journal.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 63, SUBJECT_SIZE = 128, NOTE_MAX_BYTES = 1024, TOKEN_MAX_BYTES = 64 };

static const char *const steps[] = {
    "CREATE TABLE model_group ("
    "  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE, arn TEXT NOT NULL,"
    "  description TEXT NOT NULL, last INTEGER NOT NULL DEFAULT 0,"
    "  created_ms INTEGER NOT NULL, created_by TEXT NOT NULL);"
    "CREATE TABLE model_version ("
    "  id INTEGER PRIMARY KEY, model_group INTEGER NOT NULL REFERENCES model_group (id),"
    "  number INTEGER NOT NULL, arn TEXT NOT NULL, status TEXT NOT NULL,"
    "  artifact_uri TEXT NOT NULL, fields TEXT NOT NULL, lineage TEXT NOT NULL,"
    "  metrics TEXT NOT NULL, note TEXT NOT NULL DEFAULT '', token TEXT,"
    "  created_ms INTEGER NOT NULL, created_by TEXT NOT NULL,"
    "  modified_ms INTEGER NOT NULL, modified_by TEXT NOT NULL,"
    "  UNIQUE (model_group, number), UNIQUE (model_group, token));"
    "CREATE TABLE model ("
    "  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, arn TEXT NOT NULL,"
    "  version_arn TEXT NOT NULL, artifact_uri TEXT NOT NULL, fields TEXT NOT NULL,"
    "  created_ms INTEGER NOT NULL);",
};

hone_err hone_registry_open(hone_db *db) {
    return hone_db_migrate(db, "registry", steps, sizeof steps / sizeof steps[0]);
}

/* ---- groups ---- */

#define GROUP_COLUMNS                                                  \
    "SELECT g.name, g.arn, g.description, g.created_by, g.created_ms," \
    " (SELECT count(*) FROM model_version v WHERE v.model_group = g.id) FROM model_group g "

static hone_err read_group(const hone_rows *rows, hone_arena *arena, void *out) {
    hone_group g = {.name = hone_registry_text(rows, 0, arena),
                    .arn = hone_registry_text(rows, 1, arena),
                    .description = hone_registry_text(rows, 2, arena),
                    .created_by = hone_registry_text(rows, 3, arena),
                    .created_ms = hone_rows_int(rows, 4),
                    .versions = hone_rows_int(rows, 5)};
    if (!g.name || !g.arn || !g.description || !g.created_by) return hone_registry_no_memory();
    *(hone_group *)out = g;
    return HONE_OK;
}

/* The name in a group's ARN, or the name itself. */
static hone_str group_name(hone_str text) {
    hone_str name = text;
    return hone_arn_name(text, "model-package-group", true, &name) ? name : text;
}

static hone_err no_group(hone_str name) {
    return hone_err_new(HONE_E_NOT_FOUND, "Could not find model package group '%.*s'",
                        HONE_ARG(name)); /* clients look for these words, capital included */
}

hone_err hone_registry_group_find(hone_tx *tx, hone_arena *arena, hone_str name, hone_group *out) {
    hone_rows rows;
    bool more = false;
    name = group_name(name);
    hone_err err = hone_rows_open(tx, &rows, GROUP_COLUMNS "WHERE g.name = ?", "s", name);
    if (!hone_failed(err)) err = hone_rows_next(&rows, &more);
    if (!hone_failed(err)) err = more ? read_group(&rows, arena, out) : no_group(name);
    hone_rows_close(&rows);
    return err;
}

hone_err hone_registry_group_add(hone_tx *tx, hone_arena *arena, hone_realm realm,
                                 const char *actor, hone_str name, hone_str description,
                                 hone_group *out) {
    if (!hone_name_is_valid(name, NAME_MAX_BYTES, false))
        return hone_err_new(HONE_E_INVALID,
                            "a model package group's name has 1 to %d letters, digits and inner "
                            "hyphens, not '%.*s'",
                            NAME_MAX_BYTES, HONE_ARG(name));
    char lower[NAME_MAX_BYTES + 1] = {0}, subject[SUBJECT_SIZE];
    for (size_t i = 0; i < name.len; i++) lower[i] = (char)tolower((unsigned char)name.ptr[i]);
    const char *arn = hone_arn_format(arena, realm, "model-package-group/%s", lower);
    if (!arn) return hone_registry_no_memory();
    hone_err err = hone_tx_exec(tx,
                                "INSERT INTO model_group (name, arn, description, created_ms,"
                                " created_by) VALUES (?, ?, ?, ?, ?)",
                                "szsiz", name, arn, description.ptr ? description : HONE_S(""),
                                hone_now_ms(), actor);
    if (err.code == HONE_E_CONFLICT)
        return hone_err_new(HONE_E_CONFLICT, "model package group '%.*s' already exists",
                            HONE_ARG(name));
    if (hone_failed(err)) return err;
    (void)snprintf(subject, sizeof subject, "model-group/%.*s", HONE_ARG(name));
    HONE_TRY(hone_journal_append(tx, actor, "model_group.created", subject, NULL));
    return hone_registry_group_find(tx, arena, name, out);
}

hone_err hone_registry_group_list(hone_tx *tx, hone_arena *arena, const hone_listing *listing,
                                  hone_group **out, size_t *count, bool *more) {
#define GROUP_LIST(order)                                                              \
    GROUP_COLUMNS                                                                      \
    "WHERE g.name LIKE ? ESCAPE '\\' AND g.created_ms BETWEEN ? AND ? ORDER BY " order \
    " LIMIT ? OFFSET ?"
    static const char *const sql[2][2] = {{GROUP_LIST("g.id"), GROUP_LIST("g.id DESC")},
                                          {GROUP_LIST("g.name"), GROUP_LIST("g.name DESC")}};
    void *items = NULL;
    HONE_TRY(
        hone_listing_rows(tx, arena, listing, sql, sizeof **out, read_group, &items, count, more));
    *out = items;
    return HONE_OK;
}

hone_err hone_registry_group_remove(hone_tx *tx, hone_arena *arena, const char *actor,
                                    hone_str name) {
    hone_group group;
    char subject[SUBJECT_SIZE];
    HONE_TRY(hone_registry_group_find(tx, arena, name, &group));
    if (group.versions > 0)
        return hone_err_new(HONE_E_CONFLICT,
                            "model package group '%s' has %lld versions: delete them first",
                            group.name, (long long)group.versions);
    HONE_TRY(hone_tx_exec(tx, "DELETE FROM model_group WHERE name = ?", "z", group.name));
    (void)snprintf(subject, sizeof subject, "model-group/%s", group.name);
    return hone_journal_append(tx, actor, "model_group.deleted", subject, NULL);
}

/* ---- versions ---- */

#define VERSION_COLUMNS                                                                         \
    "SELECT g.name, v.number, v.arn, v.status, v.artifact_uri, v.fields, v.lineage, v.metrics," \
    " v.note, v.created_ms, v.modified_ms, v.created_by, v.modified_by"                         \
    " FROM model_version v JOIN model_group g ON g.id = v.model_group "

static hone_err read_version(const hone_rows *rows, hone_arena *arena, hone_version *out) {
    hone_version v = {.group = hone_registry_text(rows, 0, arena),
                      .number = hone_rows_int(rows, 1),
                      .arn = hone_registry_text(rows, 2, arena),
                      .status = hone_registry_text(rows, 3, arena),
                      .artifact_uri = hone_registry_text(rows, 4, arena),
                      .fields = hone_registry_text(rows, 5, arena),
                      .lineage = hone_registry_text(rows, 6, arena),
                      .metrics = hone_registry_text(rows, 7, arena),
                      .approval_note = hone_registry_text(rows, 8, arena),
                      .created_ms = hone_rows_int(rows, 9),
                      .modified_ms = hone_rows_int(rows, 10),
                      .created_by = hone_registry_text(rows, 11, arena),
                      .modified_by = hone_registry_text(rows, 12, arena)};
    if (!v.group || !v.arn || !v.status || !v.artifact_uri || !v.fields || !v.lineage ||
        !v.metrics || !v.approval_note || !v.created_by || !v.modified_by)
        return hone_registry_no_memory();
    *out = v;
    return HONE_OK;
}

static bool is_status(hone_str status) {
    return hone_str_equal(status, HONE_S(HONE_PENDING)) ||
           hone_str_equal(status, HONE_S(HONE_APPROVED)) ||
           hone_str_equal(status, HONE_S(HONE_REJECTED));
}

/* What a change to this status is called in the journal. */
static const char *kind_of(const char *status) {
    if (strcmp(status, HONE_APPROVED) == 0) return "model.approved";
    return strcmp(status, HONE_REJECTED) == 0 ? "model.rejected" : "model.reopened";
}

static hone_err tell(hone_tx *tx, const char *actor, const char *kind, const hone_version *v) {
    char subject[SUBJECT_SIZE];
    (void)snprintf(subject, sizeof subject, "model/%s/%lld", v->group, (long long)v->number);
    return hone_journal_append(tx, actor, kind, subject,
                               json_pack("{s:s, s:I, s:s}", "group", v->group, "version",
                                         (json_int_t)v->number, "status", v->status));
}

/* What CreateModelPackage must bring along; *uri and *status borrow from fields. */
static hone_err check_fields(const json_t *fields, hone_str *uri, hone_str *status,
                             hone_str *token) {
    const json_t *spec = json_object_get(fields, "InferenceSpecification");
    const json_t *containers = json_object_get(spec, "Containers");
    if (json_array_size(containers) != 1)
        return hone_err_new(HONE_E_INVALID,
                            "InferenceSpecification.Containers has %zu containers, expected 1",
                            json_array_size(containers));
    HONE_TRY(hone_container_uri(json_array_get(containers, 0),
                                "InferenceSpecification.Containers[0]", uri));
    const json_t *wanted = json_object_get(fields, "ModelApprovalStatus");
    *status = json_is_string(wanted) ? hone_json_str(wanted) : HONE_S(HONE_PENDING);
    if ((wanted && !json_is_string(wanted) && !json_is_null(wanted)) || !is_status(*status))
        return hone_err_new(HONE_E_INVALID, "ModelApprovalStatus is none of " HONE_PENDING
                                            ", " HONE_APPROVED ", " HONE_REJECTED);
    const json_t *sent = json_object_get(fields, "ClientToken");
    *token = json_is_string(sent) ? hone_json_str(sent) : (hone_str){NULL, 0};
    if (token->len > TOKEN_MAX_BYTES)
        return hone_err_new(HONE_E_INVALID, "ClientToken has more than %d bytes", TOKEN_MAX_BYTES);
    return HONE_OK;
}

/* The version that token made in group; NOT_FOUND. */
static hone_err find_by_token(hone_tx *tx, hone_arena *arena, const char *group, hone_str token,
                              hone_version *out) {
    hone_rows rows;
    bool more = false;
    hone_err err = hone_rows_open(tx, &rows, VERSION_COLUMNS "WHERE g.name = ? AND v.token = ?",
                                  "zs", group, token);
    if (!hone_failed(err)) err = hone_rows_next(&rows, &more);
    if (!hone_failed(err) && !more) err = hone_err_new(HONE_E_NOT_FOUND, "no such token");
    if (!hone_failed(err)) err = read_version(&rows, arena, out);
    hone_rows_close(&rows);
    return err;
}

static hone_err find_number(hone_tx *tx, hone_arena *arena, hone_str group, int64_t number,
                            hone_version *out) {
    hone_rows rows;
    bool more = false;
    hone_err err = hone_rows_open(tx, &rows, VERSION_COLUMNS "WHERE g.name = ? AND v.number = ?",
                                  "si", group, number);
    if (!hone_failed(err)) err = hone_rows_next(&rows, &more);
    if (!hone_failed(err) && !more)
        err = hone_err_new(HONE_E_NOT_FOUND, "Could not find model package '%.*s/%lld'",
                           HONE_ARG(group), (long long)number);
    if (!hone_failed(err)) err = read_version(&rows, arena, out);
    hone_rows_close(&rows);
    return err;
}

/* A version's row before it is written: what add was given. */
typedef struct draft {
    hone_str uri, status, token;
    const char *fields, *lineage, *metrics;
} draft;

static hone_err insert_version(hone_tx *tx, hone_arena *arena, const char *actor,
                               const hone_group *group, const draft *d, hone_version *out) {
    int64_t number = 0, now = hone_now_ms();
    HONE_TRY(hone_tx_exec(tx, "UPDATE model_group SET last = last + 1 WHERE name = ?", "z",
                          group->name));
    HONE_TRY(
        hone_tx_int(tx, &number, "SELECT last FROM model_group WHERE name = ?", "z", group->name));
    /* "...:model-package-group/NAME" -> "...:model-package/NAME/NUMBER" */
    const char *slash = strrchr(group->arn, '/');
    size_t head = (size_t)(slash - group->arn) - strlen("-group");
    size_t size_bytes = strlen(group->arn) + 24;
    char *arn = hone_arena_alloc(arena, size_bytes, 1);
    if (!arn) return hone_registry_no_memory();
    (void)snprintf(arn, size_bytes, "%.*s%s/%lld", (int)head, group->arn, slash, (long long)number);
    HONE_TRY(hone_tx_exec(
        tx,
        "INSERT INTO model_version (model_group, number, arn, status, artifact_uri, fields,"
        " lineage, metrics, token, created_ms, created_by, modified_ms, modified_by)"
        " SELECT id, last, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM model_group WHERE name = ?",
        "zsszzzsiziz"
        "z",
        arn, d->status, d->uri, d->fields, d->lineage, d->metrics, d->token, now, actor, now, actor,
        group->name));
    HONE_TRY(find_number(tx, arena, hone_str_of(group->name), number, out));
    HONE_TRY(tell(tx, actor, "model.registered", out));
    if (strcmp(out->status, HONE_PENDING) == 0) return HONE_OK;
    return tell(tx, actor, kind_of(out->status), out);
}

hone_err hone_registry_add(hone_tx *tx, hone_arena *arena, hone_realm realm, const char *actor,
                           const char *group, const json_t *fields, const json_t *lineage,
                           const json_t *metrics, hone_version *out) {
    draft d = {0};
    hone_group g;
    HONE_TRY(check_fields(fields, &d.uri, &d.status, &d.token));
    HONE_TRY(hone_registry_dump(arena, fields, "fields of a model package", &d.fields));
    HONE_TRY(hone_registry_dump(arena, lineage, "lineage of a model package", &d.lineage));
    HONE_TRY(hone_registry_dump(arena, metrics, "metrics of a model package", &d.metrics));
    hone_str name = group_name(hone_str_of(group));
    hone_err err = hone_registry_group_find(tx, arena, name, &g);
    if (err.code == HONE_E_NOT_FOUND)
        err = hone_registry_group_add(tx, arena, realm, actor, name, (hone_str){NULL, 0}, &g);
    if (hone_failed(err)) return err;
    if (d.token.len > 0) {
        err = find_by_token(tx, arena, g.name, d.token, out);
        if (err.code != HONE_E_NOT_FOUND) return err;
    }
    return insert_version(tx, arena, actor, &g, &d, out);
}

/* "group/12", "group:12", or an ARN that ends in the first. */
static hone_err split_name(hone_str text, hone_str *group, int64_t *number) {
    hone_str rest = text;
    bool ok = hone_arn_name(text, "model-package", true, &rest);
    size_t at = rest.len;
    *number = 0;
    while (ok && at > 0 && rest.ptr[at - 1] != '/' && rest.ptr[at - 1] != ':') at--;
    ok = ok && at > 1 && at < rest.len && rest.len - at <= 9;
    for (size_t i = at; ok && i < rest.len; i++) {
        ok = rest.ptr[i] >= '0' && rest.ptr[i] <= '9';
        *number = 10 * *number + (rest.ptr[i] - '0');
    }
    if (!ok)
        return hone_err_new(HONE_E_INVALID,
                            "'%.*s' names no model package: GROUP/NUMBER or its ARN is needed",
                            HONE_ARG(text));
    *group = (hone_str){rest.ptr, at - 1};
    return HONE_OK;
}

hone_err hone_registry_find(hone_tx *tx, hone_arena *arena, hone_str name, hone_version *out) {
    hone_str group;
    int64_t number = 0;
    HONE_TRY(split_name(name, &group, &number));
    return find_number(tx, arena, group, number, out);
}

hone_err hone_registry_newest_approved(hone_tx *tx, hone_arena *arena, const char *group,
                                       hone_version *out) {
    hone_group g;
    hone_rows rows;
    bool more = false;
    HONE_TRY(hone_registry_group_find(tx, arena, hone_str_of(group), &g));
    hone_err err = hone_rows_open(tx, &rows,
                                  VERSION_COLUMNS "WHERE g.name = ? AND v.status = 'Approved'"
                                                  " ORDER BY v.number DESC LIMIT 1",
                                  "z", g.name);
    if (!hone_failed(err)) err = hone_rows_next(&rows, &more);
    if (!hone_failed(err) && !more)
        err = hone_err_new(HONE_E_NOT_FOUND,
                           "no version of '%s' is approved (it has %lld): approve one first",
                           g.name, (long long)g.versions);
    if (!hone_failed(err)) err = read_version(&rows, arena, out);
    hone_rows_close(&rows);
    return err;
}

hone_err hone_registry_list(hone_tx *tx, hone_arena *arena, const hone_listing *listing,
                            hone_version **out, size_t *count, bool *more) {
#define VERSION_LIST(order)                                                                    \
    VERSION_COLUMNS "WHERE g.name LIKE ? ESCAPE '\\' AND v.created_ms BETWEEN ? AND ?"         \
                    " AND (? = '' OR g.name = ?) AND (? = '' OR v.status = ?) ORDER BY " order \
                    " LIMIT ? OFFSET ?"
    static const char *const sql[2][2] = {
        {VERSION_LIST("v.id"), VERSION_LIST("v.id DESC")},
        {VERSION_LIST("g.name, v.number"), VERSION_LIST("g.name DESC, v.number DESC")}};
    hone_listing l;
    HONE_TRY(hone_listing_check(listing, &l));
    if (l.group.len > 0) l.group = group_name(l.group);
    if (l.status.len > 0 && !is_status(l.status))
        return hone_err_new(HONE_E_INVALID, "no approval status is called '%.*s'",
                            HONE_ARG(l.status));
    hone_version *versions = hone_arena_alloc(arena, (size_t)l.limit, sizeof *versions);
    const char *pattern = hone_listing_pattern(&l, arena);
    if (!versions || !pattern) return hone_registry_no_memory();
    hone_rows rows;
    size_t n = 0;
    bool next = false;
    hone_err err = hone_rows_open(tx, &rows, sql[l.by_name][l.descending], "ziissssii", pattern,
                                  l.after_ms, l.before_ms, l.group, l.group, l.status, l.status,
                                  l.limit + 1, l.offset);
    while (!hone_failed(err) && !hone_failed(err = hone_rows_next(&rows, &next)) && next &&
           n < (size_t)l.limit)
        err = read_version(&rows, arena, &versions[n++]);
    hone_rows_close(&rows);
    if (hone_failed(err)) return err;
    *out = versions;
    *count = n;
    *more = next;
    return HONE_OK;
}

/* fields with the change to CustomerMetadataProperties made; *text in the arena. */
static hone_err change_properties(hone_arena *arena, const hone_version *v,
                                  const hone_version_change *change, const char **text) {
    json_t *fields = NULL;
    HONE_TRY(hone_json_parse(hone_str_of(v->fields), "fields of a model package", &fields));
    json_t *held = json_object_get(fields, "CustomerMetadataProperties");
    json_t *properties = json_is_object(held) ? json_incref(held) : json_object();
    int failed = 0;
    size_t i = 0;
    const json_t *key = NULL;
    json_array_foreach(change->drop_keys, i, key)(void)
        json_object_deln(properties, json_string_value(key), json_string_length(key));
    if (change->properties) failed |= json_object_update(properties, change->properties);
    failed |= json_object_set_new(fields, "CustomerMetadataProperties", properties);
    hone_err err = failed ? hone_registry_no_memory()
                          : hone_registry_dump(arena, fields, "fields of a model package", text);
    json_decref(fields);
    return err;
}

hone_err hone_registry_update(hone_tx *tx, hone_arena *arena, const char *actor, hone_str name,
                              const hone_version_change *change, hone_version *out) {
    hone_version v;
    HONE_TRY(hone_registry_find(tx, arena, name, &v));
    if (change->status.len > 0 && !is_status(change->status))
        return hone_err_new(HONE_E_INVALID, "no approval status is called '%.*s'",
                            HONE_ARG(change->status));
    if (change->note.len > NOTE_MAX_BYTES)
        return hone_err_new(HONE_E_INVALID, "ApprovalDescription has more than %d bytes",
                            NOTE_MAX_BYTES);
    const char *fields = v.fields;
    if (change->properties || change->drop_keys)
        HONE_TRY(change_properties(arena, &v, change, &fields));
    hone_str status = change->status.len > 0 ? change->status : hone_str_of(v.status);
    hone_str note = change->note.len > 0 ? change->note : hone_str_of(v.approval_note);
    HONE_TRY(hone_tx_exec(tx,
                          "UPDATE model_version SET status = ?, note = ?, fields = ?,"
                          " modified_ms = ?, modified_by = ? WHERE arn = ?",
                          "sszizz", status, note, fields, hone_now_ms(), actor, v.arn));
    HONE_TRY(find_number(tx, arena, hone_str_of(v.group), v.number, out));
    if (strcmp(out->status, v.status) == 0) return HONE_OK;
    return tell(tx, actor, kind_of(out->status), out);
}

hone_err hone_registry_remove(hone_tx *tx, hone_arena *arena, const char *actor, hone_str name) {
    hone_version v;
    HONE_TRY(hone_registry_find(tx, arena, name, &v));
    HONE_TRY(hone_tx_exec(tx, "DELETE FROM model_version WHERE arn = ?", "z", v.arn));
    return tell(tx, actor, "model.deleted", &v);
}
