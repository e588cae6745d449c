/* sequences.c: see sequences.h. Arrays double as they grow. */
#include "cli/sequences.h"

#include "base/lines.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 16 * 1024 * 1024 };

void hone_sequences_done(hone_sequences *s) {
    free(s->ids);
    free(s->types);
    free(s->ends);
    free(s->starts);
    *s = (hone_sequences){0};
}

void hone_sequences_clear(hone_sequences *s) {
    s->count = 0;
    s->tokens = 0;
}

/* Make *array hold need elements of size bytes. */
static hone_err grow(void *array, size_t *cap, size_t need, size_t size) {
    void **ptr = array;
    if (need <= *cap) return HONE_OK;
    size_t more = *cap * 2 > need ? *cap * 2 : need + 1024;
    void *grown = reallocarray(*ptr, more, size);
    if (!grown) return hone_err_new(HONE_E_NOMEM, "no memory for %zu tokens", need);
    *ptr = grown;
    *cap = more;
    return HONE_OK;
}

hone_err hone_sequences_push(hone_sequences *s, const int32_t *ids, const int32_t *types,
                             size_t count) {
    size_t types_cap = s->tokens_cap;
    HONE_TRY(grow(&s->types, &types_cap, s->tokens + count, sizeof *s->types));
    HONE_TRY(grow(&s->ids, &s->tokens_cap, s->tokens + count, sizeof *s->ids));
    HONE_TRY(grow(&s->ends, &s->count_cap, s->count + 1, sizeof *s->ends));
    if (count > 0) memcpy(s->ids + s->tokens, ids, count * sizeof *ids);
    for (size_t i = 0; i < count; i++) s->types[s->tokens + i] = types ? types[i] : 0;
    s->tokens += count;
    s->ends[s->count++] = s->tokens;
    return HONE_OK;
}

void hone_sequences_pop(hone_sequences *s) {
    s->count--;
    s->tokens = s->count > 0 ? s->ends[s->count - 1] : 0;
}

/* One list of ids; *count may be 0 for a blank line. */
static hone_err parse_ids(hone_str line, int32_t *ids, size_t *count) {
    assert(ids != NULL);
    *count = 0;
    for (size_t i = 0; i < line.len;) {
        char c = line.ptr[i];
        if (c == ' ' || c == ',' || c == '[' || c == ']' || c == '\t') {
            i++;
            continue;
        }
        int64_t id = 0;
        size_t first = i;
        for (; i < line.len && line.ptr[i] >= '0' && line.ptr[i] <= '9' && id <= INT32_MAX; i++)
            id = id * 10 + (line.ptr[i] - '0');
        if (i == first || id > INT32_MAX)
            return hone_err_new(HONE_E_CORRUPT, "expected token ids, found '%.*s'",
                                (int)(line.len - first < 20 ? line.len - first : 20),
                                line.ptr + first);
        ids[(*count)++] = (int32_t)id;
    }
    return HONE_OK;
}

hone_err hone_sequences_load(const char *path, hone_sequences *s) {
    hone_lines *lines = NULL;
    HONE_TRY(hone_lines_open(path, LINE_MAX_BYTES, &lines));
    int32_t *ids = NULL;
    size_t cap = 0, count = 0;
    hone_str line;
    bool more = false;
    hone_err err = hone_lines_next(lines, &line, &more);
    while (!hone_failed(err) && more) {
        err = grow(&ids, &cap, line.len / 2 + 1, sizeof *ids);
        if (!hone_failed(err)) err = parse_ids(line, ids, &count);
        if (hone_failed(err))
            err = hone_err_wrap(err, "'%s' line %zu", path, hone_lines_number(lines));
        else if (count > 0)
            err = hone_sequences_push(s, ids, NULL, count);
        if (!hone_failed(err)) err = hone_lines_next(lines, &line, &more);
    }
    free(ids);
    hone_lines_close(lines);
    if (!hone_failed(err) && s->count == 0)
        err = hone_err_new(HONE_E_CORRUPT, "'%s' holds no token ids", path);
    return err;
}

hone_err hone_sequences_pack(hone_sequences *s, size_t begin, size_t end, hone_pack *out) {
    size_t first = begin > 0 ? s->ends[begin - 1] : 0;
    HONE_TRY(grow(&s->starts, &s->starts_cap, end - begin + 1, sizeof *s->starts));
    s->starts[0] = 0;
    for (size_t i = begin; i < end; i++) s->starts[i - begin + 1] = (int32_t)(s->ends[i] - first);
    *out = (hone_pack){s->ends[end - 1] - first, end - begin, s->ids + first, s->types + first,
                       s->starts};
    return HONE_OK;
}
