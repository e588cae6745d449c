/* lines.c: zlib's gzFile reads plain files too, so one path serves both. */
#include "base/lines.h"

#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

enum { CHUNK_BYTES = 64 * 1024 };

struct hone_lines {
    gzFile file;
    int fd; /* of file, which owns it */
    char *name;
    hone_buf pending; /* bytes read and not yet returned: [start, len) */
    size_t start;
    size_t number;
    size_t limit_bytes;
    bool ended;
};

hone_err hone_lines_open(const char *path, size_t limit_bytes, hone_lines **out) {
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return hone_err_new(errno == ENOENT ? HONE_E_NOT_FOUND : HONE_E_IO, "open '%s': %s", path,
                            strerror(errno));
    hone_lines *lines = calloc(1, sizeof *lines);
    if (lines) lines->name = strdup(is_stdin ? "standard input" : path);
    if (lines && lines->name) lines->file = gzdopen(fd, "rb");
    if (!lines || !lines->file) {
        (void)close(fd); /* read-only, nothing to lose */
        hone_lines_close(lines);
        return hone_err_new(HONE_E_NOMEM, "no memory to read '%s'", path);
    }
    lines->fd = fd;
    lines->limit_bytes = limit_bytes;
    hone_buf_init(&lines->pending, limit_bytes + 2 * (size_t)CHUNK_BYTES);
    *out = lines;
    return HONE_OK;
}

void hone_lines_close(hone_lines *lines) {
    if (!lines) return;
    if (lines->file) (void)gzclose_r(lines->file); /* read-only, nothing to lose */
    hone_buf_done(&lines->pending);
    free(lines->name);
    free(lines);
}

/* Read another chunk behind what is pending. */
static hone_err fill(hone_lines *lines) {
    hone_buf *p = &lines->pending;
    if (lines->start > 0) { /* move the rest to the front, so that memory stays bounded */
        memmove(p->ptr, p->ptr + lines->start, p->len - lines->start);
        p->len -= lines->start;
        lines->start = 0;
    }
    char *end = hone_buf_reserve(p, CHUNK_BYTES);
    if (!end) return hone_buf_err(p);
    errno = 0;
    int n = gzread(lines->file, end, CHUNK_BYTES);
    int code = Z_OK;
    const char *why = gzerror(lines->file, &code);
    if (n < 0 && code == Z_ERRNO)
        return hone_err_new(HONE_E_IO, "read '%s' after line %zu: %s", lines->name, lines->number,
                            strerror(errno));
    if (code == Z_MEM_ERROR)
        return hone_err_new(HONE_E_NOMEM, "no memory to read '%s'", lines->name);
    if (n < 0 || code == Z_BUF_ERROR)
        return hone_err_new(HONE_E_CORRUPT, "'%s' is a broken gzip after line %zu: %s", lines->name,
                            lines->number, why);
    p->len += (size_t)n;
    lines->ended = n == 0;
    return HONE_OK;
}

hone_err hone_lines_next(hone_lines *lines, hone_str *line, bool *more) {
    size_t searched = lines->start;
    for (;;) {
        const hone_buf *p = &lines->pending;
        const char *lf = p->len > searched ? memchr(p->ptr + searched, '\n', p->len - searched)
                                           : NULL;
        size_t len = (lf ? (size_t)(lf - p->ptr) : p->len) - lines->start;
        hone_str found = {len > 0 ? p->ptr + lines->start : "", len};
        if (len > 0 && found.ptr[len - 1] == '\r') found.len--; /* even if its LF is to come */
        if (found.len > lines->limit_bytes)
            return hone_err_new(HONE_E_FULL, "'%s': line %zu has more than %zu bytes", lines->name,
                                lines->number + 1, lines->limit_bytes);
        if (lf || (lines->ended && len > 0)) {
            *line = found;
            lines->start += len + (lf ? 1 : 0);
            lines->number++;
            *more = true;
            return HONE_OK;
        }
        if (lines->ended) {
            *more = false;
            return HONE_OK;
        }
        size_t scanned = p->len - lines->start;
        HONE_TRY(fill(lines));
        searched = lines->start + scanned;
    }
}

bool hone_lines_ready(const hone_lines *lines) {
    const hone_buf *p = &lines->pending;
    if (lines->ended) return true;
    if (p->len > lines->start && memchr(p->ptr + lines->start, '\n', p->len - lines->start))
        return true;
    struct pollfd source = {.fd = lines->fd, .events = POLLIN};
    return poll(&source, 1, 0) > 0;
}

size_t hone_lines_number(const hone_lines *lines) { return lines->number; }
