/* events.h: the journal as streams of server-sent events.
 *
 *     commit --hone_journal_watch--> one thread --reads new entries--> every open stream
 *
 * A stream shows what its caller may see, in order, without gaps, from where it was asked to
 * start; it ends when its session or account does.
 *
 * Threads: any. Lock: events->lock, which may be taken within the journal's watch lock.
 */
#ifndef HONE_API_EVENTS_H
#define HONE_API_EVENTS_H

#include "base/err.h"
#include "store/db.h"

typedef struct hone_events hone_events;

/* Watch the journal and start the thread. FULL, NOMEM. */
HONE_NODISCARD hone_err hone_events_start(hone_db *db, hone_events **out);
/* Close every stream and end the thread: after the server has stopped, so that no request opens
 * another one, and before db is closed. */
void hone_events_stop(hone_events *events);

#endif
