/* configs.c: see configs.h. The table is made with the fleet's (endpoints.c). */
#include "serve/configs.h"

#include "base/clock.h"
#include "base/json.h"
#include "registry/models.h"
#include "serve/fleet_impl.h"
#include "store/journal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 63, SUBJECT_SIZE = 128, FIELDS_BYTES_MAX = 1 << 20 };

#define COLUMNS "SELECT name, arn, variant, model, fields, created_ms FROM endpoint_config "

static hone_err read_config(const hone_rows *rows, hone_arena *arena, void *out) {
    hone_serving_config c = {.name = hone_fleet_text(rows, 0, arena),
                             .arn = hone_fleet_text(rows, 1, arena),
                             .variant = hone_fleet_text(rows, 2, arena),
                             .model = hone_fleet_text(rows, 3, arena),
                             .fields = hone_fleet_text(rows, 4, arena),
                             .created_ms = hone_rows_int(rows, 5)};
    if (!c.name || !c.arn || !c.variant || !c.model || !c.fields) return hone_fleet_no_memory();
    *(hone_serving_config *)out = c;
    return HONE_OK;
}

hone_err hone_configs_find(hone_tx *tx, hone_arena *arena, hone_str name,
                           hone_serving_config *out) {
    hone_rows rows;
    bool more = false;
    hone_err err = hone_rows_open(tx, &rows, COLUMNS "WHERE name = ?", "s", name);
    if (!hone_failed(err)) err = hone_rows_next(&rows, &more);
    if (!hone_failed(err) && !more) /* clients look for these words, capital included */
        err = hone_err_new(HONE_E_NOT_FOUND, "Could not find endpoint configuration '%.*s'",
                           HONE_ARG(name));
    if (!hone_failed(err)) err = read_config(&rows, arena, out);
    hone_rows_close(&rows);
    return err;
}

/* The one variant's name and model, borrowed from fields. */
static hone_err find_variant(const json_t *fields, hone_str *name, hone_str *model) {
    const json_t *variants = json_object_get(fields, "ProductionVariants");
    const json_t *variant = json_array_get(variants, 0);
    if (json_array_size(variants) != 1)
        return hone_err_new(HONE_E_INVALID,
                            "ProductionVariants has %zu variants: hone serves one an endpoint",
                            json_array_size(variants));
    if (json_array_size(json_object_get(fields, "ShadowProductionVariants")) > 0)
        return hone_err_new(HONE_E_INVALID, "hone serves no ShadowProductionVariants");
    *name = hone_json_str(json_object_get(variant, "VariantName"));
    *model = hone_json_str(json_object_get(variant, "ModelName"));
    if (!hone_name_is_valid(*name, NAME_MAX_BYTES, false))
        return hone_err_new(HONE_E_INVALID,
                            "VariantName has 1 to %d letters, digits and inner hyphens, not '%.*s'",
                            NAME_MAX_BYTES, HONE_ARG(*name));
    if (model->len == 0)
        return hone_err_new(HONE_E_INVALID, "variant '%.*s' has no ModelName", HONE_ARG(*name));
    const json_t *weight = json_object_get(variant, "InitialVariantWeight");
    if (weight && (!json_is_number(weight) || !(json_number_value(weight) >= 0.0)))
        return hone_err_new(HONE_E_INVALID, "InitialVariantWeight of '%.*s' is below 0",
                            HONE_ARG(*name));
    return HONE_OK;
}

hone_err hone_configs_add(hone_tx *tx, hone_arena *arena, hone_realm realm, const char *actor,
                          const json_t *fields, hone_serving_config *out) {
    hone_str name = hone_json_str(json_object_get(fields, "EndpointConfigName")), variant, model;
    hone_served served;
    char subject[SUBJECT_SIZE];
    if (!hone_name_is_valid(name, NAME_MAX_BYTES, false))
        return hone_err_new(
            HONE_E_INVALID,
            "EndpointConfigName has 1 to %d letters, digits and inner hyphens, not '%.*s'",
            NAME_MAX_BYTES, HONE_ARG(name));
    HONE_TRY(find_variant(fields, &variant, &model));
    HONE_TRY(hone_models_find(tx, arena, model, &served));
    const char *arn = hone_arn_format(arena, realm, "endpoint-config/%.*s", HONE_ARG(name));
    char *text = json_dumps(fields, JSON_COMPACT);
    if (!arn || !text) {
        free(text);
        return hone_fleet_no_memory();
    }
    hone_err err =
        strlen(text) > FIELDS_BYTES_MAX
            ? hone_err_new(HONE_E_INVALID, "the configuration has more than %d bytes of JSON",
                           FIELDS_BYTES_MAX)
            : hone_tx_exec(tx,
                           "INSERT INTO endpoint_config (name, arn, variant, model, fields,"
                           " created_ms) VALUES (?, ?, ?, ?, ?, ?)",
                           "szsszi", name, arn, variant, model, text, hone_now_ms());
    free(text);
    if (err.code == HONE_E_CONFLICT) /* clients look for these words, capital included */
        return hone_err_new(HONE_E_CONFLICT,
                            "Cannot create already existing endpoint configuration '%.*s'",
                            HONE_ARG(name));
    if (hone_failed(err)) return err;
    (void)snprintf(subject, sizeof subject, "endpoint-config/%.*s", HONE_ARG(name));
    HONE_TRY(hone_journal_append(tx, actor, "endpoint_config.created", subject,
                                 json_pack("{s:s}", "model", served.name)));
    return hone_configs_find(tx, arena, name, out);
}

hone_err hone_configs_list(hone_tx *tx, hone_arena *arena, const hone_listing *listing,
                           hone_serving_config **out, size_t *count, bool *more) {
#define LIST(order)                                                                        \
    COLUMNS "WHERE name LIKE ? ESCAPE '\\' AND created_ms BETWEEN ? AND ? ORDER BY " order \
            " LIMIT ? OFFSET ?"
    static const char *const sql[2][2] = {{LIST("id"), LIST("id DESC")},
                                          {LIST("name"), LIST("name DESC")}};
    void *items = NULL;
    HONE_TRY(
        hone_listing_rows(tx, arena, listing, sql, sizeof **out, read_config, &items, count, more));
    *out = items;
    return HONE_OK;
}

hone_err hone_configs_remove(hone_tx *tx, hone_arena *arena, const char *actor, hone_str name) {
    hone_serving_config config;
    char subject[SUBJECT_SIZE];
    HONE_TRY(hone_configs_find(tx, arena, name, &config));
    HONE_TRY(hone_tx_exec(tx, "DELETE FROM endpoint_config WHERE name = ?", "z", config.name));
    (void)snprintf(subject, sizeof subject, "endpoint-config/%s", config.name);
    return hone_journal_append(tx, actor, "endpoint_config.deleted", subject, NULL);
}
