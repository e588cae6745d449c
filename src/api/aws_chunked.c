/* aws_chunked.c: see aws_chunked.h. */
#include "api/aws_chunked.h"

enum { LINE_MAX_BYTES = 1024 };

static hone_err broken(const char *what) {
    return hone_err_new(HONE_E_CORRUPT, "the aws-chunked body is broken: %s", what);
}

/* The bytes up to \r\n, both of which are taken off rest. */
static hone_err take_line(hone_str *rest, hone_str *line) {
    size_t span = rest->len < LINE_MAX_BYTES ? rest->len : LINE_MAX_BYTES;
    const char *end = span > 0 ? memmem(rest->ptr, span, "\r\n", 2) : NULL;
    if (!end) return broken("a line does not end");
    *line = (hone_str){rest->ptr, (size_t)(end - rest->ptr)};
    *rest = (hone_str){end + 2, rest->len - line->len - 2};
    return HONE_OK;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

hone_err hone_aws_chunk_next(hone_str *rest, hone_str *data) {
    hone_str line = {"", 0};
    HONE_TRY(take_line(rest, &line));
    size_t size = 0, digits = 0;
    for (; digits < line.len && hex_digit(line.ptr[digits]) >= 0; digits++) {
        if (size > SIZE_MAX / 16) return broken("a chunk is too large");
        size = size * 16 + (size_t)hex_digit(line.ptr[digits]);
    }
    if (digits == 0 || (digits < line.len && line.ptr[digits] != ';'))
        return broken("a chunk has no size");
    if (size > 0) {
        if (size > rest->len || rest->len - size < 2 || memcmp(rest->ptr + size, "\r\n", 2) != 0)
            return broken("a chunk is not as long as it says");
        *data = (hone_str){rest->ptr, size};
        *rest = (hone_str){rest->ptr + size + 2, rest->len - size - 2};
    } else {
        *data = (hone_str){rest->ptr, 0};
    }
    return HONE_OK;
}

hone_err hone_aws_trailer_next(hone_str *rest, hone_str *name, hone_str *value) {
    hone_str line = {"", 0};
    *name = *value = (hone_str){"", 0};
    if (rest->len == 0) return HONE_OK; /* some clients leave the last empty line out */
    HONE_TRY(take_line(rest, &line));
    if (line.len == 0) return rest->len == 0 ? HONE_OK : broken("something follows its end");
    const char *colon = memchr(line.ptr, ':', line.len);
    if (!colon || colon == line.ptr) return broken("a trailer is no name: value");
    *name = (hone_str){line.ptr, (size_t)(colon - line.ptr)};
    const char *start = colon + 1, *end = line.ptr + line.len;
    while (start < end && *start == ' ') start++;
    while (end > start && end[-1] == ' ') end--;
    *value = (hone_str){start, (size_t)(end - start)};
    return HONE_OK;
}
