/* rows.c: see rows_impl.h. */
#include "review/rows_impl.h"

#include "review/json_text.h"
#include "store/journal.h"

#include <stdio.h>
#include <string.h>

enum { LISTING_MAX = 100, SUBJECT_SIZE = 128 };

hone_err hone_review_no_memory(void) {
    return hone_err_new(HONE_E_NOMEM, "no memory for rows of reviews");
}

const char *hone_review_text(const hone_rows *rows, int column, hone_arena *arena) {
    hone_str text = hone_rows_str(rows, column);
    return hone_arena_strdup(arena, text.ptr ? text : HONE_S(""));
}

hone_err hone_review_collect(hone_err err, hone_rows *rows, hone_arena *arena,
                             hone_review_read_fn *read, size_t size, size_t limit, void *out,
                             size_t *count, bool *more) {
    char *entries = hone_arena_alloc(arena, limit, size);
    size_t n = 0;
    bool next = false;
    if (!entries && !hone_failed(err)) err = hone_review_no_memory();
    while (!hone_failed(err) && !hone_failed(err = hone_rows_next(rows, &next)) && next &&
           n < limit)
        err = read(rows, arena, entries + size * n++);
    hone_rows_close(rows);
    if (hone_failed(err)) return err;
    memcpy(out, &entries, sizeof entries);
    *count = n;
    *more = next;
    return HONE_OK;
}

hone_err hone_review_one(hone_err err, hone_rows *rows, hone_arena *arena,
                         hone_review_read_fn *read, hone_err missing, void *out) {
    bool more = false;
    if (!hone_failed(err)) err = hone_rows_next(rows, &more);
    if (!hone_failed(err)) err = more ? read(rows, arena, out) : missing;
    hone_rows_close(rows);
    return err;
}

/* part as a pattern for LIKE ... ESCAPE '\', in the arena; NULL at its limit. */
static const char *pattern_of(hone_str part, hone_arena *arena) {
    char *pattern = hone_arena_alloc(arena, 2 * part.len + 3, 1), *to = pattern;
    if (!pattern) return NULL;
    *to++ = '%';
    for (size_t i = 0; i < part.len; i++) {
        if (part.ptr[i] == '%' || part.ptr[i] == '_' || part.ptr[i] == '\\') *to++ = '\\';
        *to++ = part.ptr[i];
    }
    *to = '%';
    return pattern;
}

hone_err hone_review_list(hone_tx *tx, hone_arena *arena, const hone_review_query *query,
                          int64_t key, const hone_review_listing *listing, void *out, size_t *count,
                          bool *more) {
    int64_t limit = listing->limit > 0 ? listing->limit : LISTING_MAX;
    int64_t before_ms = listing->before_ms > 0 ? listing->before_ms : INT64_MAX;
    const char *pattern = pattern_of(listing->name_contains, arena);
    hone_rows rows;
    if (limit > LISTING_MAX || listing->offset < 0)
        return hone_err_new(HONE_E_INVALID, "a list gives 1 to %d entries", LISTING_MAX);
    if (!pattern) return hone_review_no_memory();
    hone_err err = hone_rows_open(tx, &rows, query->queries[listing->by_name][listing->descending],
                                  "iziiii", key, pattern, listing->after_ms, before_ms, limit + 1,
                                  listing->offset);
    return hone_review_collect(err, &rows, arena, query->read, query->size, (size_t)limit, out,
                               count, more);
}

hone_err hone_review_dump(hone_arena *arena, const json_t *value, const char **out) {
    hone_buf buf;
    hone_buf_init(&buf, HONE_REVIEW_FIELDS_MAX);
    if (value)
        hone_json_text_push(&buf, value, HONE_JSON_PLAIN);
    else
        hone_buf_push(&buf, HONE_S("{}"));
    hone_err err = hone_buf_err(&buf);
    if (err.code == HONE_E_FULL)
        err = hone_err_new(HONE_E_INVALID, "the request has over %d bytes of fields",
                           HONE_REVIEW_FIELDS_MAX);
    const char *text = hone_failed(err) ? NULL : hone_arena_strdup(arena, hone_buf_str(&buf));
    if (!hone_failed(err) && !text) err = hone_review_no_memory();
    hone_buf_done(&buf);
    if (!hone_failed(err)) *out = text;
    return err;
}

hone_err hone_review_note(hone_tx *tx, const char *actor, const char *kind, const char *what,
                          const char *name, json_t *detail) {
    char subject[SUBJECT_SIZE];
    if (!detail) return hone_review_no_memory();
    (void)snprintf(subject, sizeof subject, "%s/%s", what, name);
    return hone_journal_append(tx, actor, kind, subject, detail);
}

hone_err hone_review_check_name(hone_str name, bool lower, const char *what) {
    if (hone_name_is_valid(name, HONE_REVIEW_NAME_MAX, lower)) return HONE_OK;
    return hone_err_new(
        HONE_E_INVALID, "the name of a %s has 1 to %d %s, digits and inner hyphens, not '%.*s'",
        what, HONE_REVIEW_NAME_MAX, lower ? "lower-case letters" : "letters", HONE_ARG(name));
}
