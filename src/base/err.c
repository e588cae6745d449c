/* err.c: see err.h. The ring keeps a message alive while cleanup code, which
 * may fail too, runs between the error and the place that reports it. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

enum { RING_SLOTS = 8, MSG_MAX = 512 };

static _Thread_local char ring[RING_SLOTS][MSG_MAX];
static _Thread_local unsigned ring_next;

/* A message is one line, whatever names a hostile file put into it. */
static void keep_one_line(char *msg) {
    for (; *msg; msg++)
        if ((unsigned char)*msg < 0x20 || *msg == 0x7F) *msg = '?';
}

static char *next_slot(void) { return ring[ring_next++ % RING_SLOTS]; }

hone_err(hone_err_new)(hone_code code, const char *fmt, ...) {
    char *msg = next_slot();
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(msg, MSG_MAX, fmt, ap);
    va_end(ap);
    keep_one_line(msg);
    return (hone_err){code, msg};
}

hone_err(hone_err_wrap)(hone_err e, const char *fmt, ...) {
    char *msg = next_slot();
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(msg, MSG_MAX, fmt, ap);
    va_end(ap);
    if (n >= 0 && n < MSG_MAX) (void)snprintf(msg + n, (size_t)(MSG_MAX - n), ": %s", e.msg);
    keep_one_line(msg);
    return (hone_err){e.code, msg};
}
