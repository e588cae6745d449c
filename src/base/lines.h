/* lines.h: a file, plain or gzip, one line at a time.
 *
 * Ownership: a line is borrowed until the next call; it has no line end (LF or CR LF).
 */
#ifndef HONE_BASE_LINES_H
#define HONE_BASE_LINES_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct hone_lines hone_lines;

/* path "-" is standard input. limit_bytes bounds one line. NOT_FOUND, IO, NOMEM. */
HONE_NODISCARD hone_err hone_lines_open(const char *path, size_t limit_bytes, hone_lines **out);
void hone_lines_close(hone_lines *lines);

/* The next line, or *more = false at the end. FULL for a line above the limit, IO,
 * CORRUPT for a broken gzip. The message names the file and the line. */
HONE_NODISCARD hone_err hone_lines_next(hone_lines *lines, hone_str *line, bool *more);

/* Would next return without waiting? Reads what is there, so the line that next gave last is
 * gone: half a line at the source is not ready, the end of it, or an error, is. */
bool hone_lines_ready(hone_lines *lines);

/* From 1: the line that next gave last. */
size_t hone_lines_number(const hone_lines *lines);

#endif
