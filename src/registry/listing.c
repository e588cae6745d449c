/* listing.c: see listing.h. */
#include "registry/listing.h"

static hone_str present(hone_str s) { return s.ptr ? s : (hone_str){"", 0}; }

hone_err hone_listing_check(const hone_listing *listing, hone_listing *out) {
    *out = *listing;
    if (out->limit == 0) out->limit = HONE_LISTING_MAX;
    if (out->before_ms == 0) out->before_ms = INT64_MAX;
    if (out->limit < 0 || out->limit > HONE_LISTING_MAX || out->offset < 0)
        return hone_err_new(HONE_E_INVALID, "a list gives 1 to %d entries, not %lld",
                            HONE_LISTING_MAX, (long long)out->limit);
    out->name_contains = present(out->name_contains);
    out->group = present(out->group);
    out->status = present(out->status);
    return HONE_OK;
}

const char *hone_listing_pattern(const hone_listing *listing, hone_arena *arena) {
    hone_str part = listing->name_contains;
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

hone_err hone_listing_rows(hone_tx *tx, hone_arena *arena, const hone_listing *listing,
                           const char *const sql[2][2], size_t item_size, hone_listing_read *read,
                           void **items, size_t *count, bool *more) {
    hone_listing l;
    HONE_TRY(hone_listing_check(listing, &l));
    char *found = hone_arena_alloc(arena, (size_t)l.limit, item_size);
    const char *pattern = hone_listing_pattern(&l, arena);
    if (!found || !pattern) return hone_err_new(HONE_E_NOMEM, "no memory for a list");
    hone_rows rows;
    size_t n = 0;
    bool next = false;
    hone_err err = hone_rows_open(tx, &rows, sql[l.by_name][l.descending], "ziiii", pattern,
                                  l.after_ms, l.before_ms, l.limit + 1, l.offset);
    while (!hone_failed(err) && !hone_failed(err = hone_rows_next(&rows, &next)) && next &&
           n < (size_t)l.limit)
        err = read(&rows, arena, found + item_size * n++);
    hone_rows_close(&rows);
    if (hone_failed(err)) return err;
    *items = found;
    *count = n;
    *more = next;
    return HONE_OK;
}
