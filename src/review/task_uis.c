/* task_uis.c: see task_uis.h. A deleted one keeps its row while flows show its page. */
#include "review/task_uis.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "review/liquid.h"
#include "review/rows_impl.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>

enum { SHA256_BYTES = 32 };

#define COLUMNS(content) \
    "SELECT id, name, arn, " content ", sha256, created_ms FROM review_task_ui "

static hone_err read_ui(const hone_rows *rows, hone_arena *arena, void *out) {
    hone_task_ui ui = {.id = hone_rows_int(rows, 0),
                       .name = hone_review_text(rows, 1, arena),
                       .arn = hone_review_text(rows, 2, arena),
                       .content = hone_review_text(rows, 3, arena),
                       .sha256 = hone_review_text(rows, 4, arena),
                       .created_ms = hone_rows_int(rows, 5)};
    if (!ui.name || !ui.arn || !ui.content || !ui.sha256) return hone_review_no_memory();
    *(hone_task_ui *)out = ui;
    return HONE_OK;
}

static hone_str ui_name(hone_str text) {
    hone_str name = text;
    return hone_arn_name(text, "human-task-ui", true, &name) ? name : text;
}

hone_err hone_task_ui_find(hone_tx *tx, hone_arena *arena, hone_str name, hone_task_ui *out) {
    hone_rows rows;
    name = ui_name(name);
    hone_err err = hone_rows_open(tx, &rows, COLUMNS("content") "WHERE name = ? AND deleted_ms = 0",
                                  "s", name);
    hone_err missing = hone_err_new(HONE_E_NOT_FOUND, "Could not find human task UI '%.*s'",
                                    HONE_ARG(name));
    return hone_review_one(err, &rows, arena, read_ui, missing, out);
}

static hone_err check_content(hone_str content) {
    size_t chars = 0, bytes = 0;
    for (size_t at = 0; at < content.len; at += bytes, chars++)
        (void)hone_utf8_next(content, at, &bytes);
    if (chars < 1 || chars > HONE_TEMPLATE_CHARS_MAX)
        return hone_err_new(HONE_E_INVALID, "a template has 1 to %d characters, this one has %zu",
                            HONE_TEMPLATE_CHARS_MAX, chars);
    hone_err err = hone_liquid_check(content);
    return hone_failed(err) ? hone_err_wrap(err, "the template") : err;
}

hone_err hone_task_ui_add(hone_tx *tx, hone_arena *arena, hone_realm realm, const char *actor,
                          hone_str name, hone_str content, hone_task_ui *out) {
    unsigned char digest[SHA256_BYTES];
    char sha256[2 * SHA256_BYTES + 1];
    HONE_TRY(hone_review_check_name(name, true, "human task UI"));
    HONE_TRY(check_content(content));
    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, content.ptr, content.len, digest) < 0)
        return hone_review_no_memory();
    for (size_t i = 0; i < SHA256_BYTES; i++) (void)snprintf(sha256 + 2 * i, 3, "%02x", digest[i]);
    const char *arn = hone_arn_format(arena, realm, "human-task-ui/%.*s", HONE_ARG(name));
    if (!arn) return hone_review_no_memory();
    hone_err err = hone_tx_exec(tx,
                                "INSERT INTO review_task_ui (name, arn, content, sha256,"
                                " created_ms) VALUES (?, ?, ?, ?, ?)",
                                "szszi", name, arn, content, sha256, hone_now_ms());
    if (err.code == HONE_E_CONFLICT)
        return hone_err_new(HONE_E_CONFLICT, "human task UI '%.*s' already exists", HONE_ARG(name));
    HONE_TRY(err);
    HONE_TRY(hone_task_ui_find(tx, arena, name, out));
    return hone_review_note(tx, actor, "task_ui.created", "task-ui", out->name,
                            json_pack("{s:s}", "sha256", sha256));
}

hone_err hone_task_ui_list(hone_tx *tx, hone_arena *arena, const hone_review_listing *listing,
                           hone_task_ui **out, size_t *count, bool *more) {
#define LIST(order)                                    \
    COLUMNS("''")                                      \
    "WHERE deleted_ms = ? AND name LIKE ? ESCAPE '\\'" \
    " AND created_ms BETWEEN ? AND ? ORDER BY " order " LIMIT ? OFFSET ?"
    static const hone_review_query query = {
        {{LIST("id"), LIST("id DESC")}, {LIST("name"), LIST("name DESC")}},
        read_ui,
        sizeof(hone_task_ui)};
#undef LIST
    return hone_review_list(tx, arena, &query, 0, listing, out, count, more);
}

hone_err hone_task_ui_remove(hone_tx *tx, hone_arena *arena, const char *actor, hone_str name) {
    hone_task_ui ui;
    HONE_TRY(hone_task_ui_find(tx, arena, name, &ui));
    HONE_TRY(hone_tx_exec(tx, "UPDATE review_task_ui SET deleted_ms = ? WHERE id = ?", "ii",
                          hone_now_ms(), ui.id));
    return hone_review_note(tx, actor, "task_ui.deleted", "task-ui", ui.name, json_object());
}
