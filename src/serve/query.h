/* query.h: one request for predictions, from its texts to their logits.
 *
 *     texts --encode (the caller's thread)--> tokens --batcher--> logits --> done(query)
 *
 * Ownership: the query and its arena are the caller's, and lent from the call that takes the
 * query until done is called, exactly once, on any thread; done may destroy both. What is
 * answered is valid until done returns.
 */
#ifndef HONE_SERVE_QUERY_H
#define HONE_SERVE_QUERY_H

#include "base/arena.h"
#include "serve/deployment.h"

enum { HONE_QUERY_TEXTS_MAX = 4096 };

typedef struct hone_query hone_query;
typedef void hone_query_fn(hone_query *query, hone_err err);

struct hone_query {
    /* Asked: */
    hone_arena *arena;
    const hone_str *texts; /* UTF-8; borrowed until done */
    size_t count;          /* 1 .. HONE_QUERY_TEXTS_MAX */
    int64_t patience_ms;   /* how long it may wait for its turn; 0 = as the batcher's options say */
    hone_query_fn *done;
    void *ctx; /* for done */

    /* Answered: */
    float *logits;               /* [count, labels] */
    hone_deployment *deployment; /* who answered */
    size_t tokens;               /* of all texts */
    size_t truncated;            /* texts that were cut to what the model takes */

    /* The serving rooms' own: */
    struct hone_endpoint *endpoint;
    hone_query_fn *finish; /* called by the batcher; calls done */
    int64_t begin_ns, until_ns;
    int32_t *ids;    /* [tokens] */
    int32_t *starts; /* [count + 1] */
    size_t taken;    /* texts that have been in a batch */
    hone_query *next;
};

/* Take deployment over and encode the texts for it; whatever happens the query holds it then.
 * INVALID names the text that cannot be encoded; NOMEM at the arena's limit. */
HONE_NODISCARD hone_err hone_query_encode(hone_query *query, hone_deployment *deployment);

#endif
