/* deployment.c: see deployment.h. */
#include "serve/deployment.h"

#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct hone_deployment {
    atomic_size_t users;
    hone_plan *plan;
    hone_model *model;
    hone_tokenizer *tokenizer;
    hone_session *sessions[HONE_DEPLOYMENT_SESSIONS_MAX];
    hone_pace pace;
};

hone_plan *hone_plan_copy(const hone_plan *plan) {
    const char *const from[] = {plan->config,       plan->variant, plan->model, plan->version_arn,
                                plan->artifact_uri, plan->folder,  plan->dtype};
    enum { COUNT = sizeof from / sizeof from[0] };
    const char *to[COUNT];
    size_t size_bytes = sizeof(hone_plan);
    for (size_t i = 0; i < COUNT; i++) size_bytes += strlen(from[i]) + 1;
    hone_plan *copy = malloc(size_bytes);
    if (!copy) return NULL;
    char *at = (char *)(copy + 1);
    for (size_t i = 0; i < COUNT; i++) {
        size_t len = strlen(from[i]) + 1;
        to[i] = memcpy(at, from[i], len);
        at += len;
    }
    *copy = (hone_plan){to[0], to[1], to[2], to[3], to[4], to[5], to[6]};
    return copy;
}

static void destroy(hone_deployment *d) {
    for (size_t i = 0; i < HONE_DEPLOYMENT_SESSIONS_MAX; i++) hone_session_destroy(d->sessions[i]);
    hone_tokenizer_destroy(d->tokenizer);
    hone_model_close(d->model);
    free(d->plan);
    free(d);
}

/* One text through everything: a model whose weights are no numbers is found now, and the first
 * request does not wait for scratch memory. */
static hone_err try_out(hone_deployment *d, hone_pool *pool) {
    hone_arena *arena = NULL;
    hone_tokens tokens;
    hone_logits logits;
    const hone_config *config = hone_model_config(d->model);
    HONE_TRY(hone_arena_create((size_t)16 << 20, &arena));
    hone_encode_options options = {.max_length = config->positions};
    hone_err err = hone_tokenizer_encode(d->tokenizer, arena, HONE_S("Is it there?"),
                                         (hone_str){NULL, 0}, options, &tokens);
    if (!hone_failed(err)) {
        const int32_t starts[] = {0, (int32_t)tokens.count};
        const hone_pack pack = {tokens.count, 1, tokens.ids, NULL, starts};
        err = hone_model_check(d->model, &pack);
        if (!hone_failed(err)) err = hone_model_forward(d->sessions[0], pool, &pack, &logits);
    }
    for (size_t i = 0; !hone_failed(err) && i < config->labels; i++)
        if (!isfinite(logits.values[i]))
            err = hone_err_new(HONE_E_CORRUPT, "the model answers what is no number");
    hone_arena_destroy(arena);
    return err;
}

static hone_err load(hone_deployment *d, const char *dir, const hone_deployment_options *options,
                     hone_pool *pool) {
    hone_dtype dtype = options->dtype;
    if (d->plan->dtype[0] != '\0') HONE_TRY(hone_dtype_parse(d->plan->dtype, &dtype));
    HONE_TRY(hone_tokenizer_load(dir, &d->tokenizer));
    HONE_TRY(hone_model_open_kept(dir, dtype, options->kept_dir, pool, &d->model));
    for (size_t i = 0; i == 0 || i < options->sessions; i++)
        HONE_TRY(hone_session_create(d->model, &d->sessions[i]));
    size_t vocab = hone_model_config(d->model)->vocab, ids = hone_tokenizer_vocab(d->tokenizer);
    if (ids > vocab)
        return hone_err_new(HONE_E_INVALID, "the tokenizer has %zu tokens, the model only %zu", ids,
                            vocab);
    return try_out(d, pool);
}

hone_err hone_deployment_open(const char *dir, const hone_plan *plan,
                              const hone_deployment_options *options, hone_deployment **out) {
    assert(options->sessions <= HONE_DEPLOYMENT_SESSIONS_MAX);
    hone_pool *pool = NULL;
    hone_deployment *d = calloc(1, sizeof *d);
    if (!d) return hone_err_new(HONE_E_NOMEM, "no memory for a deployment");
    atomic_init(&d->users, 1);
    d->plan = hone_plan_copy(plan);
    hone_err err = d->plan ? hone_pool_create(options->threads, &pool)
                           : hone_err_new(HONE_E_NOMEM, "no memory for a deployment");
    if (!hone_failed(err)) err = load(d, dir, options, pool);
    hone_pool_destroy(pool);
    if (hone_failed(err))
        destroy(d);
    else
        *out = d;
    return err;
}

hone_deployment *hone_deployment_keep(hone_deployment *deployment) {
    size_t before = atomic_fetch_add_explicit(&deployment->users, 1, memory_order_relaxed);
    assert(before > 0);
    (void)before;
    return deployment;
}

void hone_deployment_drop(hone_deployment *deployment) {
    if (!deployment) return;
    if (atomic_fetch_sub_explicit(&deployment->users, 1, memory_order_acq_rel) == 1)
        destroy(deployment);
}

hone_err hone_deployment_save(hone_deployment *deployment) {
    return hone_model_keep(deployment->model);
}

bool hone_deployment_was_kept(const hone_deployment *deployment) {
    return hone_model_is_kept(deployment->model);
}

hone_dtype hone_deployment_dtype(const hone_deployment *deployment) {
    return hone_model_dtype(deployment->model);
}

const hone_plan *hone_deployment_plan(const hone_deployment *deployment) {
    return deployment->plan;
}

const hone_config *hone_deployment_config(const hone_deployment *deployment) {
    return hone_model_config(deployment->model);
}

const hone_tokenizer *hone_deployment_tokenizer(const hone_deployment *deployment) {
    return deployment->tokenizer;
}

hone_session *hone_deployment_session(hone_deployment *deployment, size_t lane) {
    assert(lane < HONE_DEPLOYMENT_SESSIONS_MAX);
    assert(deployment->sessions[lane]);
    return deployment->sessions[lane];
}

hone_pace *hone_deployment_pace(hone_deployment *deployment) { return &deployment->pace; }
