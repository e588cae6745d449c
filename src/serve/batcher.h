/* batcher.h: the one place where forward passes run: queries of all endpoints, in batches.
 *
 *     push --> [ query | query | ... ] --> lane: batch of one deployment's texts --> logits --> finish
 *              bounded in queries     `--> lane: another
 *              and tokens
 *
 * A batch takes what waits, up to a budget of tokens. When several queries of its deployment wait,
 * each gets an equal share first, so that a query of one text is not kept behind one of thousands;
 * what is left of a query goes to the end of the line, so that endpoints take turns.
 *
 * The cores are shared out between lanes, each of which runs batches of its own: threads that
 * share a batch wait for each other some dozen times in a forward pass, and long when another
 * program wants a core. Only who has nobody beside him gets them all: a lone query, and one much
 * larger than the others. Lanes share what waits so that they end together.
 *
 * Clients that were answered together ask again together, within some hundred microseconds. Who
 * ran as soon as the first of them came would have a batch of one and then one of the others. So
 * a batch may wait delay_us for as many queries as the lane's last one answered; a lone client was
 * answered alone, and so never waits.
 *
 * Nobody waits without end. How long a query would wait is reckoned from the tokens before it and
 * the measured pace of their models; beyond patience_ms it is refused at once, and so is one that
 * has waited so long before it began, whatever was reckoned.
 *
 * Threads: push from any. finish is called on a lane's thread, so it must be short.
 */
#ifndef HONE_SERVE_BATCHER_H
#define HONE_SERVE_BATCHER_H

#include "serve/query.h"

typedef struct hone_batcher hone_batcher;

/* What 0 stands for, here and in the settings of the server. */
enum { HONE_BATCHER_PATIENCE_MS = 10000, HONE_BATCHER_DELAY_US = 1000 };

typedef struct hone_batcher_options {
    size_t threads;       /* of forward passes; 0 = as many as the process may use */
    size_t batch_tokens;  /* budget of a batch; 0 = 2048 */
    size_t queue_queries; /* that may wait; 0 = 1024 */
    size_t queue_tokens;  /* of those; a lone query may have more; 0 = 1 Mi */
    int64_t patience_ms;  /* that a query may wait for its first batch; 0 = the default */
    int64_t delay_us;     /* that a batch may wait for its queries; 0 = the default, -1 = none */
} hone_batcher_options;

HONE_NODISCARD hone_err hone_batcher_create(const hone_batcher_options *options,
                                            hone_batcher **out);
/* Answer what waits, refuse what comes, end. NULL is allowed. */
void hone_batcher_destroy(hone_batcher *batcher);

/* Queue an encoded query. FULL at the limits, CLOSED while it ends: then finish is not called.
 * Later finish gets FULL when it could not begin in time. */
HONE_NODISCARD hone_err hone_batcher_push(hone_batcher *batcher, hone_query *query);

/* How many batches may run at once: a deployment has a session for each. */
enum { HONE_BATCHER_LANES_MAX = 4 };
size_t hone_batcher_lanes(const hone_batcher *batcher);

size_t hone_batcher_threads(const hone_batcher *batcher);

typedef struct hone_batcher_load {
    size_t queries, tokens;     /* that wait now */
    uint64_t batches, answered; /* since the start */
} hone_batcher_load;
hone_batcher_load hone_batcher_read(hone_batcher *batcher);

#endif
