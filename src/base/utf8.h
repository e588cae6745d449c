/* utf8.h: one code point at a time, with a definite answer for bytes that are no UTF-8.
 */
#ifndef HONE_BASE_UTF8_H
#define HONE_BASE_UTF8_H

#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

enum { HONE_UTF8_BAD = -1 };

/* The code point that starts at s[at], and how many bytes it takes. Overlong forms,
 * surrogates, values above U+10FFFF and cut sequences give HONE_UTF8_BAD and 1 byte. */
static inline int32_t hone_utf8_next(hone_str s, size_t at, size_t *bytes) {
    const unsigned char *p = (const unsigned char *)s.ptr + at;
    size_t left = s.len - at;
    *bytes = 1;
    if (p[0] < 0x80) return p[0];
    size_t n = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    if (p[0] < 0xC2 || p[0] > 0xF4 || left < n) return HONE_UTF8_BAD;
    int32_t c = p[0] & (0x7F >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) return HONE_UTF8_BAD;
        c = (c << 6) | (p[i] & 0x3F);
    }
    if ((n == 3 && c < 0x800) || (n == 4 && c < 0x10000) || c > 0x10FFFF) return HONE_UTF8_BAD;
    if (c >= 0xD800 && c <= 0xDFFF) return HONE_UTF8_BAD;
    *bytes = n;
    return c;
}

/* Where the first bytes that are no UTF-8 start; s.len when all is well. */
static inline size_t hone_utf8_check(hone_str s) {
    size_t at = 0, bytes = 0;
    for (; at < s.len; at += bytes)
        if (hone_utf8_next(s, at, &bytes) == HONE_UTF8_BAD) return at;
    return at;
}

#endif
