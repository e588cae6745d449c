/* head.c: see head.h. Embeddings are computed from the last layer's states as the layers that
 * are written will compute them, so the fit sees what predictions will see. How those layers
 * are written is in head_folder.c. */
#include "train/head_impl.h"

#include "base/clock.h"
#include "model/model.h"
#include "train/evaluate.h"
#include "train/folder.h"
#include "train/targets.h"

#include <math.h>
#include <string.h>

/* A data set and its embeddings. */
typedef struct embedded {
    hone_exam exam;
    float *x; /* [count, hidden] */
} embedded;

typedef struct head_job {
    hone_arena *arena;
    hone_pool *pool;
    const hone_head_options *options;
    hone_config config;    /* of the result; owned */
    hone_model *model;     /* the base; owned */
    hone_session *session; /* owned */
    embedded train, eval;
} head_job;

static double seconds_since(int64_t ns) { return (double)(hone_clock_ns() - ns) / 1e9; }

static hone_err check_options(const hone_head_options *o) {
    if (!(o->penalty > 0 && o->penalty <= 1e6))
        return hone_err_new(HONE_E_INVALID, "penalty is %g, expected above 0, at most 1e6",
                            o->penalty);
    if (o->micro_tokens < 1 || o->micro_tokens > INT32_MAX)
        return hone_err_new(HONE_E_INVALID, "tokens of a part are %zu, expected 1 to %d",
                            o->micro_tokens, INT32_MAX);
    return hone_folder_check(o->out);
}

/* The embedding of a text from its tokens' states, [count, hidden]: scaled to length 1, for
 * the mean exactly, for a first token about. */
static void embed_text(const head_job *job, const float *states, size_t count, float *out) {
    size_t hidden = job->config.hidden;
    double length = sqrt((double)hidden), mean = 0, square = 0;
    if (job->options->pooling == HONE_POOLING_FIRST) {
        for (size_t i = 0; i < hidden; i++) out[i] = (float)((double)states[i] / length);
        return;
    }
    /* The layer's first norm: of the first token plus HONE_HEAD_SCALE times the mean. */
    for (size_t i = 0; i < hidden; i++) {
        double sum = 0;
        for (size_t t = 0; t < count; t++) sum += (double)states[t * hidden + i];
        double value = (double)states[i] + HONE_HEAD_SCALE * sum / (double)count;
        out[i] = (float)value;
        mean += value / (double)hidden;
    }
    for (size_t i = 0; i < hidden; i++)
        square += ((double)out[i] - mean) * ((double)out[i] - mean) / (double)hidden;
    double scale = 1 / (sqrt(square + (double)job->config.norm_eps) * length);
    for (size_t i = 0; i < hidden; i++) out[i] = (float)(((double)out[i] - mean) * scale);
}

static hone_err embed_batch(head_job *job, const hone_pack *batch, float *x) {
    size_t hidden = job->config.hidden;
    size_t layers = hone_model_config(job->model)->layers;
    const float *states = NULL;
    HONE_TRY(hone_model_check(job->model, batch));
    HONE_TRY(hone_model_hidden(job->session, job->pool, batch, layers, &states));
    for (size_t i = 0; i < batch->sequences; i++) {
        size_t begin = (size_t)batch->starts[i], end = (size_t)batch->starts[i + 1];
        embed_text(job, states + begin * hidden, end - begin, x + i * hidden);
    }
    return HONE_OK;
}

static hone_err embed(head_job *job, const hone_dataset *data, embedded *set) {
    const hone_examples *examples = &set->exam.examples;
    size_t count = examples->count, hidden = job->config.hidden;
    hone_batcher batcher;
    set->x = hone_arena_alloc(job->arena, count, hidden * sizeof *set->x);
    if (!set->x)
        return hone_err_new(HONE_E_NOMEM, "no memory for the embeddings of %zu texts", count);
    HONE_TRY(hone_batcher_init(job->arena, examples, count, job->options->micro_tokens, &batcher));
    for (size_t at = 0; at < count;) {
        hone_pack batch;
        size_t next = hone_batcher_next(&batcher, NULL, at, count, &batch);
        hone_err err = embed_batch(job, &batch, set->x + at * hidden);
        if (hone_failed(err)) return hone_err_wrap(err, "'%s'", data->name);
        at = next;
    }
    return HONE_OK;
}

static hone_err read_set(head_job *job, const hone_tokenizer *tokenizer, const hone_dataset *data,
                         embedded *set) {
    size_t length = job->options->max_length;
    if (length == 0 || length > job->config.positions) length = job->config.positions;
    set->exam.problem = HONE_SINGLE_LABEL;
    set->exam.labels = job->config.labels;
    HONE_TRY(hone_targets_read(job->arena, data, &job->config, &set->exam.targets));
    return hone_examples_encode(job->arena, job->pool, tokenizer, data, length,
                                &set->exam.examples);
}

static hone_err open_base(head_job *job, const hone_dataset *train, const hone_dataset *eval) {
    const hone_head_options *o = job->options;
    hone_tokenizer *tokenizer = NULL;
    HONE_TRY(hone_config_load(o->base, &job->config));
    HONE_TRY(hone_targets_choose(job->arena, train, HONE_SINGLE_LABEL, o->labels, &job->config));
    HONE_TRY(hone_tokenizer_load(o->base, &tokenizer));
    hone_err err = read_set(job, tokenizer, train, &job->train);
    if (!hone_failed(err) && eval) err = read_set(job, tokenizer, eval, &job->eval);
    hone_tokenizer_destroy(tokenizer);
    if (!hone_failed(err)) err = hone_model_open(o->base, HONE_DTYPE_F32, job->pool, &job->model);
    if (!hone_failed(err)) err = hone_session_create(job->model, &job->session);
    return err;
}

static hone_err measure(head_job *job, const hone_logistic *fit, hone_metrics *out) {
    size_t count = job->eval.exam.examples.count, labels = fit->classes;
    float *values = hone_arena_alloc(job->arena, count, labels * sizeof *values);
    if (!values) return hone_err_new(HONE_E_NOMEM, "no memory for the logits of %zu texts", count);
    for (size_t i = 0; i < count; i++)
        hone_logistic_apply(fit, job->eval.x + i * fit->dim, values + i * labels);
    hone_logits logits = {count, labels, values};
    return hone_metrics_compute(job->arena, HONE_SINGLE_LABEL, &logits, job->eval.exam.targets,
                                out);
}

static hone_err copy_labels(const head_job *job, hone_labels *out) {
    const char **names = hone_arena_alloc(job->arena, job->config.labels, sizeof *names);
    for (size_t i = 0; names && i < job->config.labels; i++) {
        names[i] = hone_arena_strdup(job->arena, hone_str_of(job->config.label_names[i]));
        if (!names[i]) names = NULL;
    }
    if (!names) return hone_err_new(HONE_E_NOMEM, "no memory for labels");
    *out = (hone_labels){job->config.labels, names};
    return HONE_OK;
}

static void count_texts(const embedded *set, hone_head_result *r) {
    const hone_examples *examples = &set->exam.examples;
    r->examples += examples->count;
    r->tokens += examples->starts[examples->count];
}

static hone_err work(head_job *job, const hone_dataset *train, const hone_dataset *eval,
                     hone_head_result *result) {
    HONE_TRY(check_options(job->options));
    HONE_TRY(open_base(job, train, eval));
    hone_head_result r = {.has_metrics = eval != NULL};
    int64_t started_ns = hone_clock_ns();
    HONE_TRY(embed(job, train, &job->train));
    if (eval) HONE_TRY(embed(job, eval, &job->eval));
    r.embed_s = seconds_since(started_ns);

    const hone_exam *exam = &job->train.exam;
    hone_logistic_data data = {exam->examples.count, job->config.hidden, exam->labels, job->train.x,
                               exam->targets.labels};
    hone_logistic fit;
    started_ns = hone_clock_ns();
    HONE_TRY(hone_logistic_fit(job->arena, job->pool, &data, job->options->penalty, &fit));
    r.fit_s = seconds_since(started_ns);
    if (eval) HONE_TRY(measure(job, &fit, &r.metrics));

    r.steps = fit.steps;
    r.converged = fit.converged;
    r.train_loss = fit.loss;
    count_texts(&job->train, &r);
    if (eval) count_texts(&job->eval, &r);
    HONE_TRY(copy_labels(job, &r.labels));
    HONE_TRY(hone_head_save(job->arena, job->options, &job->config, &fit));
    *result = r;
    return HONE_OK;
}

hone_err hone_head_train(hone_arena *arena, hone_pool *pool, const hone_head_options *options,
                         const hone_dataset *train, const hone_dataset *eval,
                         hone_head_result *result) {
    head_job job = {.arena = arena, .pool = pool, .options = options};
    hone_err err = work(&job, train, eval, result);
    hone_session_destroy(job.session);
    hone_model_close(job.model);
    hone_config_done(&job.config);
    return err;
}
