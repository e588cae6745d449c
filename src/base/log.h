/* log.h: one line to stderr for each event: time, then what happened as key=value pairs.
 *
 *     hone_log("event=task.created task=%lld flow=%s", id, flow);
 *
 * Never the text under review, credentials or signatures: ids and lengths. Rooms below serve/
 * do not log; they return errors. Control characters become '?', so that a line stays one.
 *
 * Threads: any; a line is written in one piece. */
#ifndef HONE_BASE_LOG_H
#define HONE_BASE_LOG_H

#include "base/err.h"

void hone_log(const char *fmt, ...) HONE_PRINTF(1, 2);

#endif
