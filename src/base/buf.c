/* buf.c: see buf.h. The capacity doubles up to the limit, so n appends cost O(n). */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_BYTES = 256 };

void hone_buf_init(hone_buf *buf, size_t limit_bytes) {
    *buf = (hone_buf){.limit_bytes = limit_bytes};
}

void hone_buf_init_in(hone_buf *buf, hone_arena *arena, size_t limit_bytes) {
    *buf = (hone_buf){.limit_bytes = limit_bytes, .arena = arena};
}

void hone_buf_done(hone_buf *buf) {
    if (!buf->arena) free(buf->ptr);
    *buf = (hone_buf){0};
}

static char *grow(const hone_buf *buf, size_t cap) {
    if (!buf->arena) return realloc(buf->ptr, cap);
    char *ptr = hone_arena_alloc(buf->arena, cap, 1);
    if (ptr && buf->len > 0) memcpy(ptr, buf->ptr, buf->len);
    return ptr;
}

char *hone_buf_reserve(hone_buf *buf, size_t extra) {
    if (buf->failed != HONE_E_NONE) return NULL;
    if (extra > buf->limit_bytes - buf->len) {
        buf->failed = HONE_E_FULL;
        return NULL;
    }
    size_t need = buf->len + extra;
    if (need > buf->cap) {
        size_t cap = buf->cap ? buf->cap : FIRST_BYTES;
        while (cap < need) cap = cap <= buf->limit_bytes / 2 ? cap * 2 : buf->limit_bytes;
        char *ptr = grow(buf, cap);
        if (!ptr) {
            buf->failed = HONE_E_NOMEM;
            return NULL;
        }
        buf->ptr = ptr;
        buf->cap = cap;
    }
    return buf->ptr + buf->len;
}

void hone_buf_push(hone_buf *buf, hone_str bytes) {
    if (bytes.len == 0) return;
    char *end = hone_buf_reserve(buf, bytes.len);
    if (!end) return;
    memcpy(end, bytes.ptr, bytes.len);
    buf->len += bytes.len;
}

void hone_buf_push_char(hone_buf *buf, char c) { hone_buf_push(buf, (hone_str){&c, 1}); }

void hone_buf_printf(hone_buf *buf, const char *fmt, ...) {
    va_list ap;
    va_list again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 && buf->failed == HONE_E_NONE) buf->failed = HONE_E_FULL; /* above INT_MAX bytes */
    char *end = n < 0 ? NULL : hone_buf_reserve(buf, (size_t)n + 1);    /* vsnprintf terminates */
    if (end) {
        (void)vsnprintf(end, (size_t)n + 1, fmt, again);
        buf->len += (size_t)n;
    }
    va_end(again);
}

hone_err hone_buf_err(const hone_buf *buf) {
    switch (buf->failed) {
    case HONE_E_NONE:
        return HONE_OK;
    case HONE_E_FULL:
        return hone_err_new(HONE_E_FULL, "buffer reached its limit of %zu bytes", buf->limit_bytes);
    case HONE_E_INVALID:
    case HONE_E_CORRUPT:
    case HONE_E_NOT_FOUND:
    case HONE_E_CONFLICT:
    case HONE_E_CLOSED:
    case HONE_E_NOMEM:
    case HONE_E_IO:
        break;
    }
    return hone_err_new(HONE_E_NOMEM, "no memory for a buffer of %zu bytes", buf->len);
}
