/* buf.h: bytes that grow up to a limit and remember the first thing that went wrong.
 *
 * Append freely, check hone_buf_err once: after a failure every append does nothing.
 *
 * Ownership: the buffer owns its bytes; hone_buf_done frees them. Those of a buffer in an arena
 * live as long as that; what it outgrows stays there, too.
 */
#ifndef HONE_BASE_BUF_H
#define HONE_BASE_BUF_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stddef.h>

typedef struct hone_buf {
    char *ptr; /* NULL while empty; never terminated */
    size_t len;
    size_t cap;
    size_t limit_bytes;
    hone_code failed;  /* NOMEM or FULL, the first that happened */
    hone_arena *arena; /* NULL: from malloc */
} hone_buf;

void hone_buf_init(hone_buf *buf, size_t limit_bytes);
void hone_buf_init_in(hone_buf *buf, hone_arena *arena, size_t limit_bytes);
void hone_buf_done(hone_buf *buf);

/* Room for extra more bytes at the end: where to write them, NULL on failure.
 * The caller then adds what it wrote to len. */
char *hone_buf_reserve(hone_buf *buf, size_t extra);

void hone_buf_push(hone_buf *buf, hone_str bytes);
void hone_buf_push_char(hone_buf *buf, char c);
/* Needs room for one byte more than it appends, for the terminator of vsnprintf. */
void hone_buf_printf(hone_buf *buf, const char *fmt, ...) HONE_PRINTF(2, 3);

/* The bytes so far, borrowed until the next append. */
static inline hone_str hone_buf_str(const hone_buf *buf) { return (hone_str){buf->ptr, buf->len}; }

/* What the first failed append met: FULL at the limit, NOMEM; else HONE_OK. */
HONE_NODISCARD hone_err hone_buf_err(const hone_buf *buf);

#endif
