/* eval.c: `hone eval`: how good a model is on labelled texts, as one JSON on stdout. */
#include "base/clock.h"
#include "cli/cache.h"
#include "cli/commands.h"
#include "cli/data_options.h"
#include "cli/metrics_json.h"
#include "model/model.h"
#include "train/evaluate.h"
#include "train/targets.h"

enum { BATCH_TOKENS = 4096 };

static const size_t memory_max = (size_t)64 << 30;

typedef struct eval_args {
    const char *model;
    const char *data;
    size_t max_length;
    size_t threads;
    hone_dtype dtype;
    hone_import_options import;
} eval_args;

/* What an evaluation holds. */
typedef struct eval_job {
    const eval_args *args;
    hone_arena *arena;
    hone_pool *pool;
    hone_tokenizer *tokenizer;
    hone_model *model;
    hone_session *session;
} eval_job;

static hone_err parse(int argc, char **argv, eval_args *args, bool *help_shown) {
    static const hone_usage usage = {
        "eval", "--model DIR --data FILE [options]",
        "Measure a classifier on a .jsonl, .csv or .tsv file (each also .gz) of texts and labels.\n"
        "Prints one JSON: accuracy, macro_f1, loss, per_class, and the speed; for regression\n"
        "mse and pearson. A model that never had label names (LABEL_0, ...) takes labels 0, 1, "
        "..."};
    const hone_option options[] = {
        {"model", "DIR", "the model folder", HONE_OPT_STR, &args->model, true},
        {"data", "FILE", "labelled texts", HONE_OPT_STR, &args->data, true},
        HONE_DATA_OPTIONS(args->import),
        {"max-length", "N", "tokens of a text, default 256", HONE_OPT_SIZE, &args->max_length,
         false},
        {"threads", "N", "default: all processors", HONE_OPT_SIZE, &args->threads, false},
        HONE_DTYPE_OPTION(args->dtype),
        {0}};
    size_t positional = 0;
    return hone_options_parse(&usage, options, argc, argv, NULL, 0, &positional, help_shown);
}

static hone_err forward_session(void *ctx, hone_pool *pool, const hone_pack *batch,
                                hone_logits *out) {
    const eval_job *job = ctx;
    HONE_TRY(hone_model_check(job->model, batch));
    return hone_model_forward(job->session, pool, batch, out);
}

static hone_err print(const hone_exam *exam, const hone_config *config, const hone_metrics *metrics,
                      double seconds) {
    double tokens = (double)exam->examples.starts[exam->examples.count];
    double count = (double)exam->examples.count;
    json_t *object = json_object();
    hone_metrics_add(object, exam->problem, metrics, (const char *const *)config->label_names);
    json_object_set_new(object, "examples", json_integer((json_int_t)exam->examples.count));
    json_object_set_new(object, "examples_per_second", json_real(count / seconds));
    json_object_set_new(object, "tokens_per_second", json_real(tokens / seconds));
    json_object_set_new(object, "seconds", json_real(seconds));
    return hone_metrics_print(object);
}

static hone_err run(eval_job *job) {
    const eval_args *args = job->args;
    hone_dataset data;
    hone_metrics metrics;
    HONE_TRY(hone_arena_create(memory_max, &job->arena));
    HONE_TRY(hone_pool_create(args->threads, &job->pool));
    HONE_TRY(hone_data_open(job->arena, args->data, &args->import, &data));
    HONE_TRY(hone_tokenizer_load(args->model, &job->tokenizer));
    char kept[HONE_CACHE_PATH_SIZE];
    HONE_TRY(hone_model_open_kept(args->model, args->dtype, hone_cache_packed(kept), job->pool,
                                  &job->model));
    HONE_TRY(hone_session_create(job->model, &job->session));

    const hone_config *config = hone_model_config(job->model);
    size_t length = args->max_length;
    if (length == 0 || length > config->positions) length = config->positions;
    hone_exam exam = {.problem = config->problem, .labels = config->labels};
    HONE_TRY(hone_targets_read(job->arena, &data, config, &exam.targets));
    int64_t started_ns = hone_clock_ns();
    HONE_TRY(
        hone_examples_encode(job->arena, job->pool, job->tokenizer, &data, length, &exam.examples));
    HONE_TRY(
        hone_evaluate(job->arena, job->pool, &exam, BATCH_TOKENS, forward_session, job, &metrics));
    return print(&exam, config, &metrics, (double)(hone_clock_ns() - started_ns) / 1e9);
}

hone_err hone_cmd_eval(int argc, char **argv) {
    eval_args args = {.max_length = 256};
    bool help_shown = false;
    hone_err err = parse(argc, argv, &args, &help_shown);
    if (hone_failed(err) || help_shown) return err;

    eval_job job = {.args = &args};
    err = run(&job);
    hone_session_destroy(job.session);
    hone_model_close(job.model);
    hone_tokenizer_destroy(job.tokenizer);
    hone_pool_destroy(job.pool);
    hone_arena_destroy(job.arena);
    return err;
}
