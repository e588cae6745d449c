/* journal.h: what happened, in order, appended by the transaction that did it.
 *
 *     id   when_ms   kind "task.answered"   subject "task/42"   actor "user/ann"   detail {...}
 *
 * The live updates of the pages, triggers and the audit trail read the journal; nothing else
 * keeps a history. kind is <noun>.<past participle>; detail is one JSON object without the text
 * under review.
 *
 * Threads: any.
 */
#ifndef HONE_STORE_JOURNAL_H
#define HONE_STORE_JOURNAL_H

#include "store/db.h"

#include <jansson.h>

typedef struct hone_entry {
    int64_t id; /* grows, without gaps that matter */
    int64_t when_ms;
    hone_str kind, subject, actor;
    hone_str detail; /* JSON text, "{}" when there is none */
} hone_entry;

/* Append within tx, a write transaction. detail is taken over (decref'd), also on failure; NULL =
 * none. actor: who did it, "system" for hone itself. */
HONE_NODISCARD hone_err hone_journal_append(hone_tx *tx, const char *actor, const char *kind,
                                            const char *subject, json_t *detail);

/* Up to limit entries with id > after, oldest first, in the arena. */
HONE_NODISCARD hone_err hone_journal_read(hone_db *db, hone_arena *arena, int64_t after,
                                          size_t limit, hone_entry **out, size_t *count);

/* The id of the newest entry; 0 when there is none. */
HONE_NODISCARD hone_err hone_journal_last(hone_db *db, int64_t *out);

/* Call fn(arg) after every commit that appended, on the committing thread: it must only wake
 * somebody. At most 8 watchers; FULL. Unwatch before arg dies; no call is in progress after. */
HONE_NODISCARD hone_err hone_journal_watch(hone_db *db, void (*fn)(void *arg), void *arg);
void hone_journal_unwatch(hone_db *db, void (*fn)(void *arg), void *arg);

#endif
