/* teams.c: see teams.h. */
#include "review/teams.h"

#include "base/clock.h"
#include "base/json.h"
#include "review/rows_impl.h"

#include <stdio.h>

enum { DESCRIPTION_MAX_BYTES = 800 };

#define COLUMNS "SELECT name, arn, description, fields, created_ms, modified_ms FROM review_team "

static hone_err read_team(const hone_rows *rows, hone_arena *arena, void *out) {
    hone_team team = {.name = hone_review_text(rows, 0, arena),
                      .arn = hone_review_text(rows, 1, arena),
                      .description = hone_review_text(rows, 2, arena),
                      .fields = hone_review_text(rows, 3, arena),
                      .created_ms = hone_rows_int(rows, 4),
                      .modified_ms = hone_rows_int(rows, 5)};
    if (!team.name || !team.arn || !team.description || !team.fields)
        return hone_review_no_memory();
    *(hone_team *)out = team;
    return HONE_OK;
}

/* The name in a team's ARN, which has a folder between, or the name itself. */
static hone_str team_name(hone_str text) {
    hone_str name = text;
    if (!hone_arn_name(text, "workteam", true, &name)) return text;
    if (hone_str_has_prefix(name, HONE_S("private-crowd/")))
        name = (hone_str){name.ptr + 14, name.len - 14};
    return name;
}

hone_err hone_team_find(hone_tx *tx, hone_arena *arena, hone_str name, hone_team *out) {
    hone_rows rows;
    name = team_name(name);
    hone_err err = hone_rows_open(tx, &rows, COLUMNS "WHERE name = ?", "s", name);
    hone_err missing = hone_err_new(HONE_E_NOT_FOUND, "Could not find work team '%.*s'",
                                    HONE_ARG(name)); /* clients look for these words */
    return hone_review_one(err, &rows, arena, read_team, missing, out);
}

hone_err hone_team_add(hone_tx *tx, hone_arena *arena, hone_realm realm, const char *actor,
                       hone_str name, hone_str description, const json_t *fields, hone_team *out) {
    const char *kept = NULL;
    HONE_TRY(hone_review_check_name(name, false, "work team"));
    if (description.len > DESCRIPTION_MAX_BYTES)
        return hone_err_new(HONE_E_INVALID, "the description is longer than %d bytes",
                            DESCRIPTION_MAX_BYTES);
    HONE_TRY(hone_review_dump(arena, fields, &kept));
    const char *arn = hone_arn_format(arena, realm, "workteam/private-crowd/%.*s", HONE_ARG(name));
    if (!arn) return hone_review_no_memory();
    hone_err err = hone_tx_exec(tx,
                                "INSERT INTO review_team (name, arn, description, fields,"
                                " created_ms, modified_ms) VALUES (?, ?, ?, ?, ?, ?)",
                                "szszii", name, arn, description, kept, hone_now_ms(),
                                hone_now_ms());
    if (err.code == HONE_E_CONFLICT)
        return hone_err_new(HONE_E_CONFLICT, "work team '%.*s' already exists", HONE_ARG(name));
    HONE_TRY(err);
    HONE_TRY(hone_team_find(tx, arena, name, out));
    return hone_review_note(tx, actor, "team.created", "team", out->name, json_object());
}

hone_err hone_team_list(hone_tx *tx, hone_arena *arena, const hone_review_listing *listing,
                        hone_team **out, size_t *count, bool *more) {
#define LIST(order)                                                                  \
    COLUMNS "WHERE 0 = ? AND name LIKE ? ESCAPE '\\' AND created_ms BETWEEN ? AND ?" \
            " ORDER BY " order " LIMIT ? OFFSET ?"
    static const hone_review_query query = {
        {{LIST("id"), LIST("id DESC")}, {LIST("name"), LIST("name DESC")}},
        read_team,
        sizeof(hone_team)};
#undef LIST
    return hone_review_list(tx, arena, &query, 0, listing, out, count, more);
}

/* What is kept, with the members of fields in place of its own. */
static hone_err merge(hone_arena *arena, const char *kept, json_t *fields, const char **out) {
    json_t *all = NULL;
    HONE_TRY(hone_json_parse(hone_str_of(kept), "fields of a work team", &all));
    hone_err err = json_object_update(all, fields) == 0 ? HONE_OK : hone_review_no_memory();
    if (!hone_failed(err)) err = hone_review_dump(arena, all, out);
    json_decref(all);
    return err;
}

hone_err hone_team_update(hone_tx *tx, hone_arena *arena, const char *actor, hone_str name,
                          hone_str description, json_t *fields, hone_team *out) {
    hone_team team;
    HONE_TRY(hone_team_find(tx, arena, name, &team));
    if (fields) HONE_TRY(merge(arena, team.fields, fields, &team.fields));
    if (description.len == 0) description = hone_str_of(team.description);
    if (description.len > DESCRIPTION_MAX_BYTES)
        return hone_err_new(HONE_E_INVALID, "the description is longer than %d bytes",
                            DESCRIPTION_MAX_BYTES);
    HONE_TRY(hone_tx_exec(
        tx, "UPDATE review_team SET description = ?, fields = ?, modified_ms = ? WHERE name = ?",
        "sziz", description, team.fields, hone_now_ms(), team.name));
    HONE_TRY(hone_review_note(tx, actor, "team.updated", "team", team.name, json_object()));
    return hone_team_find(tx, arena, name, out);
}

hone_err hone_team_remove(hone_tx *tx, hone_arena *arena, const char *actor, hone_str name) {
    hone_team team;
    hone_str flow;
    HONE_TRY(hone_team_find(tx, arena, name, &team));
    hone_err err = hone_tx_str(tx, arena, &flow,
                               "SELECT name FROM review_flow WHERE team = ? AND deleted_ms = 0",
                               "z", team.name);
    if (!hone_failed(err))
        return hone_err_new(HONE_E_CONFLICT, "work team '%s' is named by flow definition '%.*s'",
                            team.name, HONE_ARG(flow));
    if (err.code != HONE_E_NOT_FOUND) return err;
    HONE_TRY(hone_tx_exec(tx, "DELETE FROM review_team WHERE name = ?", "z", team.name));
    return hone_review_note(tx, actor, "team.deleted", "team", team.name, json_object());
}
