/* source.c: see source.h. zlib's gzFile reads plain files too, so one path serves both. */
#include "data/source.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <zlib.h>

enum { CHUNK_BYTES = 256 * 1024 };

static const struct {
    const char *name;
    hone_encoding encoding;
} encodings[] = {
    {"utf-8", HONE_ENCODING_UTF8},        {"utf8", HONE_ENCODING_UTF8},
    {"cp1252", HONE_ENCODING_CP1252},     {"windows-1252", HONE_ENCODING_CP1252},
    {"latin-1", HONE_ENCODING_LATIN1},    {"latin1", HONE_ENCODING_LATIN1},
    {"iso-8859-1", HONE_ENCODING_LATIN1},
};
enum { ENCODINGS = sizeof encodings / sizeof encodings[0] };

hone_err hone_encoding_parse(const char *name, hone_encoding *out) {
    for (size_t i = 0; i < ENCODINGS; i++) {
        if (strcasecmp(encodings[i].name, name) != 0) continue;
        *out = encodings[i].encoding;
        return HONE_OK;
    }
    return hone_err_new(HONE_E_INVALID, "encoding '%s': expected utf-8, cp1252 or latin-1", name);
}

const char *hone_encoding_name(hone_encoding encoding) {
    for (size_t i = 0; i < ENCODINGS; i++)
        if (encodings[i].encoding == encoding) return encodings[i].name;
    return "any";
}

static void release_buf(void *buf) { hone_buf_done(buf); }

static hone_err read_all(gzFile file, const char *name, hone_buf *buf) {
    for (;;) {
        char *end = hone_buf_reserve(buf, CHUNK_BYTES);
        if (!end && buf->failed == HONE_E_FULL)
            return hone_err_new(HONE_E_FULL, "'%s' holds more than %zu MB", name,
                                buf->limit_bytes / 1000000);
        if (!end) return hone_err_wrap(hone_buf_err(buf), "read '%s'", name);
        errno = 0;
        int n = gzread(file, end, CHUNK_BYTES);
        int code = Z_OK;
        const char *why = gzerror(file, &code);
        if (n < 0 && code == Z_ERRNO)
            return hone_err_new(HONE_E_IO, "read '%s': %s", name, strerror(errno));
        if (n < 0 || code == Z_BUF_ERROR) /* BUF_ERROR: the stream ends too early */
            return hone_err_new(HONE_E_CORRUPT, "'%s' is a broken gzip: %s", name, why);
        if (n == 0) return HONE_OK;
        buf->len += (size_t)n;
    }
}

hone_err hone_source_load(hone_arena *arena, const char *path, size_t limit_bytes, hone_str *out) {
    hone_buf *buf = hone_arena_alloc(arena, 1, sizeof *buf);
    if (!buf) return hone_err_new(HONE_E_NOMEM, "no memory to read '%s'", path);
    hone_buf_init(buf, limit_bytes);
    HONE_TRY(hone_arena_defer(arena, release_buf, buf));

    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return hone_file_err("open", path);
    gzFile file = gzdopen(fd, "rb");
    if (!file) {
        (void)close(fd); /* read-only, nothing to lose */
        return hone_err_new(HONE_E_NOMEM, "no memory to read '%s'", path);
    }
    hone_err err = read_all(file, path, buf);
    (void)gzclose_r(file); /* read-only, nothing to lose */
    if (!hone_failed(err)) *out = hone_buf_str(buf);
    return err;
}

/* cp1252 differs from latin-1 in 0x80 to 0x9F only; 0 where it has no character. */
static const uint16_t cp1252_high[32] = {
    0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017D, 0,      0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0,      0x017E, 0x0178,
};

static size_t line_of(hone_str bytes, size_t at) {
    size_t line = 1;
    for (size_t i = 0; i < at; i++) line += bytes.ptr[i] == '\n';
    return line;
}

static hone_err bad_byte(hone_str bytes, size_t at, const char *where, const char *what) {
    return hone_err_new(HONE_E_CORRUPT, "'%s' line %zu: byte 0x%02X %s", where, line_of(bytes, at),
                        (unsigned char)bytes.ptr[at], what);
}

/* The code point of a byte, 0 where the encoding has none (and for NUL itself). */
static uint32_t code_point(unsigned char byte, hone_encoding encoding) {
    if (encoding == HONE_ENCODING_CP1252 && byte >= 0x80 && byte < 0xA0)
        return cp1252_high[byte - 0x80];
    return byte;
}

/* A code point of the basic plane as UTF-8; returns the bytes written, at most 3. */
static size_t put_utf8(char *out, uint32_t c) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    out[0] = (char)(0xE0 | c >> 12);
    out[1] = (char)(0x80 | (c >> 6 & 0x3F));
    out[2] = (char)(0x80 | (c & 0x3F));
    return 3;
}

static hone_err decode_single(hone_arena *arena, hone_str bytes, const char *where,
                              hone_encoding encoding, const char *what, hone_str *out) {
    size_t size_bytes = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char byte = (unsigned char)bytes.ptr[i];
        uint32_t c = code_point(byte, encoding);
        if (c == 0 && byte != 0) return bad_byte(bytes, i, where, what);
        size_bytes += c < 0x80 ? 1 : c < 0x800 ? 2 : 3;
    }
    char *text = hone_arena_alloc(arena, size_bytes + 1, 1);
    if (!text) return hone_err_new(HONE_E_NOMEM, "no memory for the text of '%s'", where);
    size_t len = 0;
    for (size_t i = 0; i < bytes.len; i++)
        len += put_utf8(text + len, code_point((unsigned char)bytes.ptr[i], encoding));
    *out = (hone_str){text, len};
    return HONE_OK;
}

/* How much of bytes speaks for UTF-8: letters of several bytes, and bytes that fit nowhere.
 * The former hardly ever appear by accident in another encoding. */
static void weigh_utf8(hone_str bytes, size_t *letters, size_t *broken) {
    *letters = *broken = 0;
    size_t taken = 0;
    for (size_t at = 0; at < bytes.len; at += taken) {
        int32_t c = hone_utf8_next(bytes, at, &taken);
        if (c == HONE_UTF8_BAD)
            (*broken)++;
        else if (taken > 1)
            (*letters)++;
    }
}

hone_err hone_source_decode(hone_arena *arena, hone_str bytes, const char *where,
                            hone_encoding encoding, hone_str *out, hone_encoding *found) {
    if (hone_str_has_prefix(bytes, HONE_S("\xFF\xFE")) ||
        hone_str_has_prefix(bytes, HONE_S("\xFE\xFF")))
        return hone_err_new(HONE_E_CORRUPT, "'%s' is UTF-16: save it as UTF-8", where);
    if (encoding == HONE_ENCODING_CP1252 || encoding == HONE_ENCODING_LATIN1) {
        HONE_TRY(decode_single(arena, bytes, where, encoding, "does not exist in cp1252", out));
        *found = encoding;
        return HONE_OK;
    }

    if (hone_str_has_prefix(bytes, HONE_S("\xEF\xBB\xBF")))
        bytes = (hone_str){bytes.ptr + 3, bytes.len - 3};
    size_t bad = hone_utf8_check(bytes);
    if (bad == bytes.len) {
        *out = bytes;
        *found = HONE_ENCODING_UTF8;
        return HONE_OK;
    }
    if (encoding == HONE_ENCODING_UTF8) return bad_byte(bytes, bad, where, "is no UTF-8");
    size_t letters = 0, broken = 0;
    weigh_utf8(bytes, &letters, &broken);
    if (letters > broken)
        return bad_byte(bytes, bad, where,
                        "is no UTF-8, but most of the file is: repair it, or name its encoding");
    HONE_TRY(decode_single(arena, bytes, where, HONE_ENCODING_CP1252,
                           "is neither UTF-8 nor cp1252: name the encoding", out));
    *found = HONE_ENCODING_CP1252;
    return HONE_OK;
}
