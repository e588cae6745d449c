/* query.c: see query.h. Scratch of the tokenizer goes after each text; what stays is the ids. That
 * of short texts lies in the request's own arena, so that they cost no allocation. */
#include "serve/query.h"

#include <string.h>

enum { SHORT_BYTES = 4096 }; /* of all texts */

/* 64 MiB hold the scratch of the longest text that a request can bring. */
static const size_t scratch_bytes_max = (size_t)64 << 20;

static hone_err no_memory(const hone_query *q) {
    return hone_err_new(HONE_E_NOMEM, "no memory for the tokens of %zu texts", q->count);
}

/* Rarely less than what the text gives: a token stands for a byte at least, but for [CLS], [SEP]
 * and what accents decompose to. */
static size_t guess_tokens(hone_str text, size_t longest) {
    enum { SPECIAL = 8 };
    return text.len + SPECIAL < longest ? text.len + SPECIAL : longest;
}

static bool reserve(hone_query *q, size_t more, size_t *cap) {
    if (more <= *cap - q->tokens) return true;
    size_t wanted = 2 * *cap > q->tokens + more ? 2 * *cap : q->tokens + more;
    int32_t *ids = hone_arena_alloc(q->arena, wanted, sizeof *ids);
    if (!ids) return false;
    if (q->tokens > 0) memcpy(ids, q->ids, q->tokens * sizeof *ids);
    q->ids = ids;
    *cap = wanted;
    return true;
}

/* The tokens of one text in scratch. Is there more of it than the model takes? That shows when
 * one token more is asked for. */
static hone_err encode_text(hone_query *q, hone_arena *scratch, hone_str text, size_t longest,
                            hone_tokens *out) {
    const hone_tokenizer *tokenizer = hone_deployment_tokenizer(q->deployment);
    hone_encode_options options = {.max_length = longest + 1};
    HONE_TRY(hone_tokenizer_encode(tokenizer, scratch, text, (hone_str){NULL, 0}, options, out));
    if (out->count <= longest) return HONE_OK;
    q->truncated++;
    options.max_length = longest;
    return hone_tokenizer_encode(tokenizer, scratch, text, (hone_str){NULL, 0}, options, out);
}

/* scratch may be the query's own arena: ids that grow there keep the scratch below them. */
static hone_err encode_all(hone_query *q, hone_arena *scratch, size_t longest, size_t cap) {
    for (size_t i = 0; i < q->count; i++) {
        hone_tokens tokens;
        hone_arena_mark mark = hone_arena_mark_get(scratch);
        hone_err err = encode_text(q, scratch, q->texts[i], longest, &tokens);
        if (err.code == HONE_E_CORRUPT) err.code = HONE_E_INVALID; /* the caller's text */
        if (hone_failed(err)) return q->count == 1 ? err : hone_err_wrap(err, "text %zu", i);
        const int32_t *before = q->ids;
        if (!reserve(q, tokens.count, &cap)) return no_memory(q);
        memcpy(q->ids + q->tokens, tokens.ids, tokens.count * sizeof *q->ids);
        q->tokens += tokens.count;
        q->starts[i + 1] = (int32_t)q->tokens;
        if (scratch != q->arena)
            hone_arena_reset(scratch);
        else if (q->ids == before)
            hone_arena_rewind(scratch, mark);
    }
    return HONE_OK;
}

hone_err hone_query_encode(hone_query *query, hone_deployment *deployment) {
    hone_query *q = query;
    const hone_config *config = hone_deployment_config(deployment);
    size_t cap = 0, bytes = 0;
    q->deployment = deployment;
    q->tokens = q->truncated = q->taken = 0;
    q->next = NULL;
    if (q->count == 0 || q->count > HONE_QUERY_TEXTS_MAX)
        return hone_err_new(HONE_E_INVALID, "a request has 1 to %d texts, not %zu",
                            HONE_QUERY_TEXTS_MAX, q->count);
    for (size_t i = 0; i < q->count; i++) {
        bytes += q->texts[i].len;
        cap += guess_tokens(q->texts[i], config->positions);
    }
    q->ids = hone_arena_alloc(q->arena, cap, sizeof *q->ids);
    q->starts = hone_arena_alloc(q->arena, q->count + 1, sizeof *q->starts);
    q->logits = hone_arena_alloc(q->arena, q->count * config->labels, sizeof *q->logits);
    if (!q->ids || !q->starts || !q->logits) return no_memory(q);
    if (bytes <= SHORT_BYTES) return encode_all(q, q->arena, config->positions, cap);
    hone_arena *scratch = NULL;
    HONE_TRY(hone_arena_create(scratch_bytes_max, &scratch));
    hone_err err = encode_all(q, scratch, config->positions, cap);
    hone_arena_destroy(scratch);
    return err;
}
