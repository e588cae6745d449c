/* models.c: see models.h. */
#include "registry/models.h"

#include "base/clock.h"
#include "base/json.h"
#include "registry/rows_impl.h"
#include "store/journal.h"

#include <stdio.h>
#include <string.h>

enum { NAME_MAX_BYTES = 63, SUBJECT_SIZE = 128 };

#define COLUMNS "SELECT name, arn, version_arn, artifact_uri, fields, created_ms FROM model "

static hone_err read_model(const hone_rows *rows, hone_arena *arena, void *out) {
    hone_served m = {.name = hone_registry_text(rows, 0, arena),
                     .arn = hone_registry_text(rows, 1, arena),
                     .version_arn = hone_registry_text(rows, 2, arena),
                     .artifact_uri = hone_registry_text(rows, 3, arena),
                     .fields = hone_registry_text(rows, 4, arena),
                     .created_ms = hone_rows_int(rows, 5)};
    if (!m.name || !m.arn || !m.version_arn || !m.artifact_uri || !m.fields)
        return hone_registry_no_memory();
    *(hone_served *)out = m;
    return HONE_OK;
}

hone_err hone_models_find(hone_tx *tx, hone_arena *arena, hone_str name, hone_served *out) {
    hone_rows rows;
    bool more = false;
    hone_err err = hone_rows_open(tx, &rows, COLUMNS "WHERE name = ?", "s", name);
    if (!hone_failed(err)) err = hone_rows_next(&rows, &more);
    if (!hone_failed(err) && !more) /* clients look for these words, capital included */
        err = hone_err_new(HONE_E_NOT_FOUND, "Could not find model '%.*s'", HONE_ARG(name));
    if (!hone_failed(err)) err = read_model(&rows, arena, out);
    hone_rows_close(&rows);
    return err;
}

/* The one container of CreateModel's fields. */
static hone_err find_container(const json_t *fields, const json_t **out) {
    const json_t *primary = json_object_get(fields, "PrimaryContainer");
    const json_t *containers = json_object_get(fields, "Containers");
    size_t count = json_array_size(containers) + (json_is_object(primary) ? 1 : 0);
    if (count != 1)
        return hone_err_new(HONE_E_INVALID,
                            "a model has one container, as PrimaryContainer or in Containers; "
                            "this one has %zu",
                            count);
    *out = json_is_object(primary) ? primary : json_array_get(containers, 0);
    return HONE_OK;
}

hone_err hone_models_setting(hone_arena *arena, const hone_served *model, const char *name,
                             const char **out) {
    json_t *fields = NULL;
    const json_t *container = NULL;
    HONE_TRY(hone_json_parse(hone_str_of(model->fields), "fields of a model", &fields));
    hone_err err = find_container(fields, &container);
    const json_t *value = json_object_get(json_object_get(container, "Environment"), name);
    if (!hone_failed(err) && !value) {
        *out = NULL;
    } else if (!hone_failed(err) && !json_is_string(value)) {
        err = hone_err_new(HONE_E_INVALID, "Environment.%s is no text", name);
    } else if (!hone_failed(err)) {
        *out = hone_arena_strdup(arena, hone_json_str(value));
        if (!*out) err = hone_registry_no_memory();
    }
    json_decref(fields);
    return err;
}

/* The task that a Hugging Face container is told of: hone serves classifiers. */
static hone_err check_task(const json_t *container) {
    const json_t *environment = json_object_get(container, "Environment");
    const json_t *task = json_object_get(environment, "HF_TASK");
    if (!task || hone_str_equal(hone_json_str(task), HONE_S("text-classification"))) return HONE_OK;
    return hone_err_new(HONE_E_INVALID, "hone serves text-classification, not HF_TASK '%.*s'",
                        HONE_ARG(hone_json_str(task)));
}

static hone_err find_approved(hone_tx *tx, hone_arena *arena, hone_str name, hone_version *out) {
    HONE_TRY(hone_registry_find(tx, arena, name, out));
    if (strcmp(out->status, HONE_APPROVED) == 0) return HONE_OK;
    return hone_err_new(HONE_E_INVALID, "model package '%s/%lld' is %s: approve it first",
                        out->group, (long long)out->number, out->status);
}

/* What the container stands for. */
static hone_err resolve(hone_tx *tx, hone_arena *arena, const json_t *container,
                        const char **version_arn, hone_str *uri) {
    const json_t *package = json_object_get(container, "ModelPackageName");
    HONE_TRY(check_task(container));
    if (!json_is_string(package)) {
        *version_arn = "";
        return hone_container_uri(container, "the container", uri);
    }
    hone_version version;
    HONE_TRY(find_approved(tx, arena, hone_json_str(package), &version));
    *version_arn = version.arn;
    *uri = hone_str_of(version.artifact_uri);
    return HONE_OK;
}

hone_err hone_models_add(hone_tx *tx, hone_arena *arena, hone_realm realm, const char *actor,
                         const json_t *fields, hone_served *out) {
    hone_str name = hone_json_str(json_object_get(fields, "ModelName")), uri;
    const json_t *container = NULL;
    const char *version_arn = NULL, *text = NULL;
    char subject[SUBJECT_SIZE];
    if (!hone_name_is_valid(name, NAME_MAX_BYTES, false))
        return hone_err_new(HONE_E_INVALID,
                            "ModelName has 1 to %d letters, digits and inner hyphens, not '%.*s'",
                            NAME_MAX_BYTES, HONE_ARG(name));
    HONE_TRY(find_container(fields, &container));
    HONE_TRY(resolve(tx, arena, container, &version_arn, &uri));
    HONE_TRY(hone_registry_dump(arena, fields, "fields of a model", &text));
    const char *arn = hone_arn_format(arena, realm, "model/%.*s", HONE_ARG(name));
    if (!arn) return hone_registry_no_memory();
    hone_err err = hone_tx_exec(tx,
                                "INSERT INTO model (name, arn, version_arn, artifact_uri, fields,"
                                " created_ms) VALUES (?, ?, ?, ?, ?, ?)",
                                "szzszi", name, arn, version_arn, uri, text, hone_now_ms());
    if (err.code == HONE_E_CONFLICT) /* clients look for these words, capital included */
        return hone_err_new(HONE_E_CONFLICT, "Cannot create already existing model '%.*s'",
                            HONE_ARG(name));
    if (hone_failed(err)) return err;
    (void)snprintf(subject, sizeof subject, "served-model/%.*s", HONE_ARG(name));
    HONE_TRY(hone_journal_append(tx, actor, "served_model.created", subject,
                                 json_pack("{s:s}", "version", version_arn)));
    return hone_models_find(tx, arena, name, out);
}

hone_err hone_models_list(hone_tx *tx, hone_arena *arena, const hone_listing *listing,
                          hone_served **out, size_t *count, bool *more) {
#define LIST(order)                                                                        \
    COLUMNS "WHERE name LIKE ? ESCAPE '\\' AND created_ms BETWEEN ? AND ? ORDER BY " order \
            " LIMIT ? OFFSET ?"
    static const char *const sql[2][2] = {{LIST("id"), LIST("id DESC")},
                                          {LIST("name"), LIST("name DESC")}};
    void *items = NULL;
    HONE_TRY(
        hone_listing_rows(tx, arena, listing, sql, sizeof **out, read_model, &items, count, more));
    *out = items;
    return HONE_OK;
}

hone_err hone_models_remove(hone_tx *tx, hone_arena *arena, const char *actor, hone_str name) {
    hone_served model;
    char subject[SUBJECT_SIZE];
    HONE_TRY(hone_models_find(tx, arena, name, &model));
    HONE_TRY(hone_tx_exec(tx, "DELETE FROM model WHERE name = ?", "z", model.name));
    (void)snprintf(subject, sizeof subject, "served-model/%s", model.name);
    return hone_journal_append(tx, actor, "served_model.deleted", subject, NULL);
}

hone_err hone_models_check(hone_tx *tx, hone_arena *arena, const hone_served *model) {
    hone_version version;
    if (model->version_arn[0] == '\0') return HONE_OK;
    return find_approved(tx, arena, hone_str_of(model->version_arn), &version);
}
