/* source.h: a file of text, plain or gzip, as one run of UTF-8.
 *
 *     bytes --gunzip--> bytes --encoding--> UTF-8 without a byte order mark
 *
 * Bytes that are no UTF-8 are taken for cp1252, as Windows and old corpora write it, unless
 * the caller names the encoding. A file that is UTF-8 but for a few broken bytes is refused
 * instead: reading it as cp1252 would spoil every accented letter in silence.
 */
#ifndef HONE_DATA_SOURCE_H
#define HONE_DATA_SOURCE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stddef.h>

typedef enum hone_encoding {
    HONE_ENCODING_ANY, /* UTF-8, else cp1252 */
    HONE_ENCODING_UTF8,
    HONE_ENCODING_CP1252,
    HONE_ENCODING_LATIN1,
} hone_encoding;

/* "utf-8", "cp1252" or "latin-1", and their usual spellings. INVALID. */
HONE_NODISCARD hone_err hone_encoding_parse(const char *name, hone_encoding *out);
const char *hone_encoding_name(hone_encoding encoding);

/* The whole file in the arena, unzipped. NOT_FOUND, IO, FULL above
 * limit_bytes, CORRUPT for a broken gzip. */
HONE_NODISCARD hone_err hone_source_load(hone_arena *arena, const char *path, size_t limit_bytes,
                                         hone_str *out);

/* bytes as UTF-8: borrowed from bytes where they are UTF-8 already, else in the arena.
 * CORRUPT names the line and the byte that the encoding does not have, or UTF-16.
 *   where  names the bytes in messages
 *   found  what they were: never ANY */
HONE_NODISCARD hone_err hone_source_decode(hone_arena *arena, hone_str bytes, const char *where,
                                           hone_encoding encoding, hone_str *out,
                                           hone_encoding *found);

#endif
