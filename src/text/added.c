/* added.c: see added_impl.h. One pass: memchr, or a table of first bytes, then the trie. */
#include "text/added_impl.h"

#include "base/utf8.h"
#include "text/unicode_impl.h"

#include <string.h>

hone_err hone_added_add(hone_added_set *set, hone_added_token token) {
    if (token.content.len == 0 || token.content.len > HONE_ADDED_BYTES_MAX)
        return hone_err_new(HONE_E_CORRUPT, "it has %zu bytes once normalized, expected 1 to %d",
                            token.content.len, HONE_ADDED_BYTES_MAX);
    HONE_TRY(hone_trie_add(&set->trie, token.content, (int32_t)set->count));
    int first = (unsigned char)token.content.ptr[0];
    set->only = set->count == 0 || set->only == first ? first : -1;
    set->begins[first] = true;
    set->tokens[set->count++] = token;
    return HONE_OK;
}

/* The code point that ends before s[end], and where it begins. end > 0, s is UTF-8. */
static int32_t code_point_before(hone_str s, size_t end, size_t *begin) {
    size_t at = end - 1, bytes = 0;
    while (at > 0 && ((unsigned char)s.ptr[at] & 0xC0) == 0x80) at--;
    *begin = at;
    return hone_utf8_next(s, at, &bytes);
}

static bool is_kind(int32_t c, uint32_t bits) {
    return c >= 0 && (hone_unicode_kind(c) & bits) != 0;
}

static bool is_alone(hone_str s, size_t begin, size_t end) {
    size_t other = 0;
    if (begin > 0 && is_kind(code_point_before(s, begin, &other), HONE_UNICODE_WORD)) return false;
    return end == s.len || !is_kind(hone_utf8_next(s, end, &other), HONE_UNICODE_WORD);
}

/* Where the white space before s[begin] starts, not before floor. */
static size_t strip_left(hone_str s, size_t begin, size_t floor) {
    size_t at = begin;
    while (begin > floor && is_kind(code_point_before(s, begin, &at), HONE_UNICODE_SPACE))
        begin = at;
    return begin;
}

static size_t strip_right(hone_str s, size_t end) {
    size_t bytes = 0;
    while (end < s.len && is_kind(hone_utf8_next(s, end, &bytes), HONE_UNICODE_SPACE)) end += bytes;
    return end;
}

/* Where the next byte is that a token can begin with; the text's end. */
static size_t next_candidate(const hone_added_set *set, hone_str text, size_t at) {
    if (at >= text.len) return text.len;
    if (set->only >= 0) {
        const char *found = memchr(text.ptr + at, set->only, text.len - at);
        return found ? (size_t)(found - text.ptr) : text.len;
    }
    while (at < text.len && !set->begins[(unsigned char)text.ptr[at]]) at++;
    return at;
}

bool hone_added_next(hone_added_scan *scan, hone_added_hit *hit) {
    const hone_added_set *set = scan->set;
    hone_str text = scan->text;
    if (set->count == 0) return false;
    size_t floor = scan->at; /* the end of the hit before */
    for (size_t at = scan->at; (at = next_candidate(set, text, at)) < text.len;) {
        int32_t index = -1;
        hone_str rest = {text.ptr + at, text.len - at};
        size_t len = hone_trie_longest(&set->trie, HONE_TRIE_ROOT, rest, &index);
        if (len == 0) {
            at++;
            continue;
        }
        const hone_added_token *token = &set->tokens[index];
        if (token->single_word && !is_alone(text, at, at + len)) {
            at += len;
            continue;
        }
        hit->token = token;
        hit->begin = token->lstrip ? strip_left(text, at, floor) : at;
        hit->end = token->rstrip ? strip_right(text, at + len) : at + len;
        scan->at = hit->end;
        return true;
    }
    scan->at = text.len;
    return false;
}
