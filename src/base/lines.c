/* lines.c: one read of the source at a time, so that a line is there as soon as its bytes are:
 * zlib's gzFile would wait for a full buffer.
 *
 *     source --read--> raw --inflate--> pending --> lines        gzip
 *     source --------read-------------> pending --> lines        plain
 *
 * The first two bytes tell which; what follows the last member of a gzip is ignored, as gzip
 * does it. */
#include "base/lines.h"

#include "base/buf.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

enum {
    CHUNK_BYTES = 64 * 1024,
    GZIP_WINDOW = 15 + 16, /* zlib's largest window, and gzip's header and trailer */
};

typedef enum lines_kind { KIND_UNKNOWN, KIND_PLAIN, KIND_GZIP } lines_kind;

struct hone_lines {
    int fd;
    char *name;
    lines_kind kind;
    z_stream inflater; /* of a gzip */
    bool in_member;    /* of a gzip: its end has not been seen yet */
    hone_buf raw;      /* read from a gzip, or from what may be one: [raw_start, len) */
    size_t raw_start;
    hone_buf pending; /* bytes not yet returned: [start, len) */
    size_t start;
    size_t searched; /* in [start, searched) there is no LF */
    size_t number;
    size_t limit_bytes;
    bool ended;
};

hone_err hone_lines_open(const char *path, size_t limit_bytes, hone_lines **out) {
    bool is_stdin = strcmp(path, "-") == 0;
    int fd = is_stdin ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return hone_file_err("open", path);
    hone_lines *lines = calloc(1, sizeof *lines);
    if (lines) lines->name = strdup(is_stdin ? "standard input" : path);
    if (!lines || !lines->name) {
        (void)close(fd); /* read-only, nothing to lose */
        free(lines);
        return hone_err_new(HONE_E_NOMEM, "no memory to read '%s'", path);
    }
    lines->fd = fd;
    lines->limit_bytes = limit_bytes;
    hone_buf_init(&lines->raw, 2 * (size_t)CHUNK_BYTES);
    hone_buf_init(&lines->pending, limit_bytes + 2 * (size_t)CHUNK_BYTES);
    *out = lines;
    return HONE_OK;
}

void hone_lines_close(hone_lines *lines) {
    if (!lines) return;
    if (lines->kind == KIND_GZIP) (void)inflateEnd(&lines->inflater);
    (void)close(lines->fd); /* read-only, nothing to lose */
    hone_buf_done(&lines->raw);
    hone_buf_done(&lines->pending);
    free(lines->name);
    free(lines);
}

/* Read what is there, at most a chunk, behind what buf has; *got = 0 at the end. */
static hone_err read_chunk(const hone_lines *lines, hone_buf *buf, size_t *got) {
    char *end = hone_buf_reserve(buf, CHUNK_BYTES);
    if (!end) return hone_err_wrap(hone_buf_err(buf), "read '%s'", lines->name);
    ssize_t n = 0;
    do n = read(lines->fd, end, CHUNK_BYTES);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return hone_err_new(HONE_E_IO, "read '%s' after line %zu: %s", lines->name, lines->number,
                            strerror(errno));
    buf->len += (size_t)n;
    *got = (size_t)n;
    return HONE_OK;
}

/* Tell a gzip by its first two bytes; they may come one by one. */
static hone_err find_kind(hone_lines *lines) {
    size_t got = 0;
    hone_buf *raw = &lines->raw;
    HONE_TRY(read_chunk(lines, raw, &got));
    if (raw->len > 0 && raw->ptr[0] == '\x1F' && raw->len < 2 && got > 0) return HONE_OK;
    if (raw->len >= 2 && memcmp(raw->ptr, "\x1F\x8B", 2) == 0) {
        if (inflateInit2(&lines->inflater, GZIP_WINDOW) != Z_OK)
            return hone_err_new(HONE_E_NOMEM, "no memory to read '%s'", lines->name);
        lines->kind = KIND_GZIP;
        lines->in_member = true;
        return HONE_OK;
    }
    lines->kind = KIND_PLAIN;
    lines->ended = got == 0;
    hone_buf_push(&lines->pending, hone_buf_str(raw));
    return hone_buf_err(&lines->pending);
}

static hone_err broken_gzip(const hone_lines *lines, const char *why) {
    return hone_err_new(HONE_E_CORRUPT, "'%s' is a broken gzip after line %zu: %s", lines->name,
                        lines->number, why);
}

/* Between two members: go on with the next, if it is one. */
static void next_member(hone_lines *lines) {
    const hone_buf *raw = &lines->raw;
    lines->ended = raw->len == lines->raw_start || raw->ptr[lines->raw_start] != '\x1F' ||
                   inflateReset(&lines->inflater) != Z_OK;
    lines->in_member = !lines->ended;
}

/* Inflate a chunk at most; reads first when there is nothing to inflate. */
static hone_err fill_gzip(hone_lines *lines) {
    hone_buf *raw = &lines->raw, *p = &lines->pending;
    if (lines->raw_start == raw->len) {
        size_t got = 0;
        raw->len = lines->raw_start = 0;
        HONE_TRY(read_chunk(lines, raw, &got));
        if (got == 0 && lines->in_member) return broken_gzip(lines, "unexpected end of file");
    }
    if (!lines->in_member) next_member(lines);
    if (lines->ended) return HONE_OK;

    char *end = hone_buf_reserve(p, CHUNK_BYTES);
    if (!end) return hone_err_wrap(hone_buf_err(p), "read '%s'", lines->name);
    z_stream *z = &lines->inflater;
    z->next_in = (unsigned char *)raw->ptr + lines->raw_start;
    z->avail_in = (unsigned)(raw->len - lines->raw_start);
    z->next_out = (unsigned char *)end;
    z->avail_out = CHUNK_BYTES;
    int code = inflate(z, Z_NO_FLUSH);
    lines->raw_start = raw->len - z->avail_in;
    p->len += CHUNK_BYTES - z->avail_out;
    if (code == Z_MEM_ERROR)
        return hone_err_new(HONE_E_NOMEM, "no memory to read '%s'", lines->name);
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) /* BUF: needs more bytes */
        return broken_gzip(lines, z->msg ? z->msg : "it needs a dictionary");
    lines->in_member = code != Z_STREAM_END;
    return HONE_OK;
}

/* One step of reading: more is pending, or the end is seen, or a gzip asks for another. */
static hone_err fill(hone_lines *lines) {
    hone_buf *p = &lines->pending;
    if (lines->start > 0) { /* move the rest to the front, so that memory stays bounded */
        memmove(p->ptr, p->ptr + lines->start, p->len - lines->start);
        p->len -= lines->start;
        lines->searched -= lines->start;
        lines->start = 0;
    }
    if (lines->kind == KIND_UNKNOWN) return find_kind(lines);
    if (lines->kind == KIND_GZIP) return fill_gzip(lines);
    size_t got = 0;
    HONE_TRY(read_chunk(lines, p, &got));
    lines->ended = got == 0;
    return HONE_OK;
}

/* The next LF that is pending; NULL when there is none yet. */
static const char *find_lf(hone_lines *lines) {
    const hone_buf *p = &lines->pending;
    if (p->len == lines->searched) return NULL;
    const char *lf = memchr(p->ptr + lines->searched, '\n', p->len - lines->searched);
    lines->searched = lf ? (size_t)(lf - p->ptr) : p->len;
    return lf;
}

hone_err hone_lines_next(hone_lines *lines, hone_str *line, bool *more) {
    for (;;) {
        const hone_buf *p = &lines->pending;
        const char *lf = find_lf(lines);
        size_t len = (lf ? (size_t)(lf - p->ptr) : p->len) - lines->start;
        hone_str found = {len > 0 ? p->ptr + lines->start : "", len};
        if (len > 0 && found.ptr[len - 1] == '\r') found.len--; /* even if its LF is to come */
        if (found.len > lines->limit_bytes)
            return hone_err_new(HONE_E_FULL, "'%s': line %zu has more than %zu bytes", lines->name,
                                lines->number + 1, lines->limit_bytes);
        if (lf || (lines->ended && len > 0)) {
            *line = found;
            lines->start += len + (lf ? 1 : 0);
            lines->searched = lines->start;
            lines->number++;
            *more = true;
            return HONE_OK;
        }
        if (lines->ended) {
            *more = false;
            return HONE_OK;
        }
        HONE_TRY(fill(lines));
    }
}

bool hone_lines_ready(hone_lines *lines) {
    for (;;) {
        if (find_lf(lines) || lines->ended) return true;
        struct pollfd source = {.fd = lines->fd, .events = POLLIN};
        bool has_raw = lines->kind == KIND_GZIP && lines->raw_start < lines->raw.len;
        if (!has_raw && poll(&source, 1, 0) <= 0) return false;
        if (hone_failed(fill(lines))) return true; /* next meets it again, and says so */
    }
}

size_t hone_lines_number(const hone_lines *lines) { return lines->number; }
