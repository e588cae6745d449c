/* review.h: asking people: who is asked, by which page, and what became of it.
 *
 *     team --.                       input (JSON)
 *     task UI -+-> flow definition --start--> loop --TaskCount--> task, task
 *                                              |                   | lease, answer
 *                                              `---- output.json <-'
 *
 *   teams.h     who may be asked              task_uis.h  the page's template (liquid.h)
 *   flows.h     team + page + how often,      loops.h     one question
 *               how long, where to
 *   tasks.h     one reviewer's part of it: leases and answers
 *
 * A loop:   InProgress --last answer--> Completed (output.json)
 *               |   `--stop--> Stopping --last lease ends--> Stopped
 *               |        `-- nobody at work --> Stopped at once
 *               `--availability over, nobody at work--> Failed (Expired)
 *
 * A task:   available --accept--> leased --answer--> answered
 *               ^                    |
 *               `--release, decline, lease over        closed: its loop ended without it
 *
 * Invariants: a task has at most one answer, and a loop at most one of each reviewer. A loop is
 * Completed if and only if all its tasks are answered; then its output.json has been linked in
 * the same transaction. output.json is a projection of rows: it can be made again at any time.
 *
 * Every change appends to the journal in its transaction (docs/journal.md). Threads: any.
 */
#ifndef HONE_REVIEW_REVIEW_H
#define HONE_REVIEW_REVIEW_H

#include "base/realm.h"
#include "store/db.h"
#include "store/objects.h"

/* The room while it is open, and the thread that keeps its time. */
typedef struct hone_review_clock hone_review_clock;

/* Migrates the tables and makes again what output.json of completed loops is missing. Then a
 * thread of its own ends leases and loops whose time has come. What goes wrong with the files or
 * in the thread, a full disk say, is told to failed (may be NULL) and tried again, at the next
 * start or the next tick. Database and objects outlive it. */
HONE_NODISCARD hone_err hone_review_open(hone_db *db, hone_objects *objects,
                                         void (*failed)(hone_err err), hone_review_clock **out);
void hone_review_close(hone_review_clock *review); /* NULL is allowed */

/* The parts of hone_review_open, for tests and for whoever has a thread already. */
HONE_NODISCARD hone_err hone_review_migrate(hone_db *db);
/* End what is due by now. */
HONE_NODISCARD hone_err hone_review_sweep(hone_db *db);
/* Write what output.json of completed loops is missing; *made says how many. */
HONE_NODISCARD hone_err hone_review_repair(hone_db *db, hone_objects *objects, size_t *made);

/* Which rows a list gives. Zeroed: the first 100, oldest first. */
typedef struct hone_review_listing {
    int64_t limit, offset;       /* limit 1..100; 0 = 100 */
    bool by_name, descending;    /* else by the time of creation */
    int64_t after_ms, before_ms; /* created; before_ms 0 = any */
    hone_str name_contains;      /* empty = any */
} hone_review_listing;

#endif
