/* str.h: a borrowed run of bytes, and the few things one does with it.
 *
 * A hone_str is not terminated and owns nothing; it lives as long as what it
 * points into. Print it with "%.*s" and HONE_ARG(s).
 */
#ifndef HONE_BASE_STR_H
#define HONE_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct hone_str {
    const char *ptr;
    size_t len;
} hone_str;

/* The bytes of a string literal. */
#define HONE_S(literal) ((hone_str){"" literal, sizeof(literal) - 1})

/* The two arguments of "%.*s"; an over-long run is cut, as printf wants an int. */
#define HONE_ARG(s) (int)((s).len > INT32_MAX ? INT32_MAX : (s).len), (s).ptr

static inline hone_str hone_str_of(const char *terminated) {
    return (hone_str){terminated, strlen(terminated)};
}

static inline bool hone_str_equal(hone_str a, hone_str b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool hone_str_has_prefix(hone_str s, hone_str prefix) {
    return s.len >= prefix.len && hone_str_equal((hone_str){s.ptr, prefix.len}, prefix);
}

static inline bool hone_str_has_suffix(hone_str s, hone_str suffix) {
    return s.len >= suffix.len &&
           hone_str_equal((hone_str){s.ptr + s.len - suffix.len, suffix.len}, suffix);
}

/* Bytes first, then length: the order of memcmp, shorter first when equal so far. */
static inline int hone_str_compare(hone_str a, hone_str b) {
    size_t shared = a.len < b.len ? a.len : b.len;
    int order = shared ? memcmp(a.ptr, b.ptr, shared) : 0;
    if (order != 0) return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

#endif
