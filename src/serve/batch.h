/* batch.h: texts of the queries of one deployment, side by side, for one forward pass.
 *
 *     line of queries --take, up to a budget of tokens--> slices (query, texts from..to)
 *                     --pack--> ids side by side --run--> logits to their queries
 *
 * When several queries of the deployment wait, each gets an equal share of the budget first, so
 * that a query of one text is not kept behind one of thousands. A query that was taken in part is
 * on no line until somebody puts it back there.
 *
 * Threads: a batch belongs to one thread, a line to whoever has its lock.
 */
#ifndef HONE_SERVE_BATCH_H
#define HONE_SERVE_BATCH_H

#include "base/pool.h"
#include "serve/query.h"

enum { HONE_BATCH_SLICES_MAX = 512 };

/* Queries that wait, the oldest first. */
typedef struct hone_line {
    hone_query *first, *last;
    size_t queries;
} hone_line;

void hone_line_push(hone_line *line, hone_query *query);

/* What a query has left, in tokens. */
size_t hone_query_left(const hone_query *query);

/* Texts [from, to) of a query. */
typedef struct hone_slice {
    hone_query *query;
    size_t from, to;
} hone_slice;

typedef struct hone_batch {
    hone_slice slices[HONE_BATCH_SLICES_MAX];
    size_t count;
    size_t tokens;
    int32_t *ids; /* [tokens] */
    size_t ids_cap;
    int32_t *starts; /* [texts + 1] */
    size_t starts_cap;
} hone_batch;

/* What waits for the deployment of the line's first query, as far as a batch has slices for. */
typedef struct hone_batch_demand {
    size_t queries, tokens;
    size_t largest; /* tokens of the query with most of them */
} hone_batch_demand;
hone_batch_demand hone_batch_demand_of(const hone_line *line);

/* Take texts of the first query's deployment off the line, for at most budget tokens; the first
 * text of all is taken whatever its length. */
void hone_batch_take(hone_batch *batch, hone_line *line, const hone_batch_demand *demand,
                     size_t budget);

/* The texts' logits into their queries, by session on pool. NOMEM. */
HONE_NODISCARD hone_err hone_batch_run(hone_batch *batch, hone_session *session, hone_pool *pool);

void hone_batch_done(hone_batch *batch);

#endif
