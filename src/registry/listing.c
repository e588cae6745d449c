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
