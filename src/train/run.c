/* run.c: the loop. One step is
 *
 *     parts of the batch -> gradient, summed -> norm -> AdamW -> pack the weights again
 *
 * and the place in the run is state.step alone: epoch, order, dropout masks and learning rate
 * are functions of it. So a checkpoint between any two steps is enough to go on. */
#include "train/run.h"

#include "base/clock.h"
#include "base/file.h"
#include "train/adapter.h"
#include "train/folder.h"
#include "train/run_impl.h"
#include "train/schedule.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static double seconds_since(int64_t ns) { return (double)(hone_clock_ns() - ns) / 1e9; }

static void note(const hone_run_job *job, const char *sentence) {
    if (job->watch->note) job->watch->note(job->watch->ctx, sentence);
}

/* --- checkpoints -------------------------------------------------------------------- */

/* What is trained of the flat array, [job->optimizer.count]. */
static float *trained_values(const hone_run_job *job) {
    return hone_tuner_values(job->tuner) + hone_tuner_trained(job->tuner)->first;
}

static size_t list_sections(hone_run_job *job, hone_section *out) {
    size_t floats = job->optimizer.count * sizeof(float), count = 0;
    out[count++] = (hone_section){&job->state, sizeof job->state};
    out[count++] = (hone_section){job->epochs, job->options->epochs * sizeof *job->epochs};
    out[count++] = (hone_section){job->kept_classes, job->train.labels * sizeof *job->kept_classes};
    out[count++] = (hone_section){trained_values(job), floats};
    out[count++] = (hone_section){job->optimizer.m, floats};
    out[count++] = (hone_section){job->optimizer.v, floats};
    assert(count <= HONE_SECTIONS_MAX);
    return count;
}

/* OUT.best: which epoch, and what is trained as it was then. A run that is taken up from a
 * checkpoint before that epoch comes to it again, and writes the same. */
enum { BEST_SECTIONS = 2 };
static void list_best(const hone_run_job *job, uint64_t *epoch, hone_section *out) {
    out[0] = (hone_section){epoch, sizeof *epoch};
    out[1] = (hone_section){trained_values(job), job->optimizer.count * sizeof(float)};
}

static hone_err save_best(hone_run_job *job) {
    hone_section sections[BEST_SECTIONS];
    list_best(job, &job->state.kept_epoch, sections);
    return hone_checkpoint_save(job->best, &job->fingerprint, sections, BEST_SECTIONS);
}

static hone_err load_best(const hone_run_job *job) {
    hone_section sections[BEST_SECTIONS];
    uint64_t epoch = 0;
    list_best(job, &epoch, sections);
    HONE_TRY(hone_checkpoint_load(job->best, &job->fingerprint, sections, BEST_SECTIONS));
    if (epoch == job->state.kept_epoch) return HONE_OK;
    return hone_err_new(HONE_E_CORRUPT, "'%s' has epoch %llu, not %llu", job->best,
                        (unsigned long long)epoch, (unsigned long long)job->state.kept_epoch);
}

/* Before the rest is trained: is the kept epoch still there? */
static hone_err check_best(const hone_run_job *job) {
    hone_section sections[BEST_SECTIONS];
    uint64_t epoch = 0;
    list_best(job, &epoch, sections);
    if (!job->keeps_best || job->state.kept_epoch == 0) return HONE_OK;
    hone_err err = hone_checkpoint_fits(job->best, &job->fingerprint, sections, BEST_SECTIONS);
    return hone_failed(err) ? hone_err_wrap(err, "the run of '%s'", job->checkpoint) : HONE_OK;
}

static hone_err save_checkpoint(hone_run_job *job) {
    hone_section sections[HONE_SECTIONS_MAX];
    job->state.all_s = job->earlier_s + seconds_since(job->started_ns);
    size_t count = list_sections(job, sections);
    HONE_TRY(hone_checkpoint_save(job->checkpoint, &job->fingerprint, sections, count));
    job->saved_ns = hone_clock_ns();
    return HONE_OK;
}

static hone_err maybe_checkpoint(hone_run_job *job) {
    const hone_run_options *o = job->options;
    bool by_steps = o->checkpoint_steps > 0 && job->state.step % o->checkpoint_steps == 0;
    bool by_time = o->checkpoint_s > 0 && seconds_since(job->saved_ns) >= (double)o->checkpoint_s;
    return by_steps || by_time ? save_checkpoint(job) : HONE_OK;
}

/* Go on from a checkpoint of this run, if there is one. */
static hone_err resume(hone_run_job *job) {
    hone_section sections[HONE_SECTIONS_MAX];
    size_t count = list_sections(job, sections);
    hone_err err = hone_checkpoint_load(job->checkpoint, &job->fingerprint, sections, count);
    if (err.code == HONE_E_NOT_FOUND) return HONE_OK;
    if (hone_failed(err)) return err;

    hone_run_state *s = &job->state;
    if (s->step > job->total_steps || s->epochs_done != s->step / job->epoch_steps ||
        s->kept_epoch > s->epochs_done ||
        (s->kept.labels != 0 && s->kept.labels != job->train.labels))
        return hone_err_new(HONE_E_CORRUPT, "'%s' is broken: delete it to start anew",
                            job->checkpoint);
    s->kept.classes = NULL; /* an address of the other process */
    HONE_TRY(check_best(job));
    job->earlier_s = s->all_s;
    hone_tuner_changed(job->tuner);
    char sentence[512];
    (void)snprintf(sentence, sizeof sentence, "resumed after step %llu of %zu from '%.300s'",
                   (unsigned long long)s->step, job->total_steps, job->checkpoint);
    note(job, sentence);
    return HONE_OK;
}

/* --- a step ------------------------------------------------------------------------- */

/* The targets of examples order[begin .. end), in that order. */
static hone_targets gather(hone_run_job *job, size_t begin, size_t end) {
    const hone_targets *all = &job->train.targets;
    for (size_t i = begin; i < end; i++) {
        if (all->labels) job->batch_labels[i - begin] = all->labels[job->order[i]];
        if (all->numbers) job->batch_numbers[i - begin] = all->numbers[job->order[i]];
    }
    return (hone_targets){job->batch_labels, job->batch_numbers};
}

/* The gradient of the mean loss of examples order[begin .. end), part by part. */
static hone_err accumulate(hone_run_job *job, size_t begin, size_t end, double *loss_sum) {
    hone_tune_step step = {
        .weight = 1.0F / (float)(end - begin),
        .dropout = job->drops,
        .seed = job->options->seed,
        .step = (uint32_t)job->state.step,
    };
    hone_tuner_zero_grads(job->tuner, job->pool);
    *loss_sum = 0;
    for (size_t at = begin; at < end; step.micro++) {
        hone_pack batch;
        double part = 0;
        size_t next = hone_batcher_next(&job->batcher, job->order, at, end, &batch);
        hone_targets targets = gather(job, at, next);
        HONE_TRY(hone_tuner_backward(job->tuner, job->pool, &batch, targets, step, &part));
        job->state.tokens += batch.tokens;
        *loss_sum += part;
        at = next;
    }
    return HONE_OK;
}

static hone_err update(hone_run_job *job) {
    double factor = hone_schedule_factor(job->state.step, job->warmup_steps, job->total_steps);
    hone_optimizer_step step = {
        .lr = job->options->lr * factor,
        .weight_decay = job->options->weight_decay,
        .clip = job->options->clip,
        .step = job->state.step + 1,
    };
    double norm = 0;
    return hone_optimizer_run(&job->optimizer, job->pool, step, &norm);
}

/* Seconds that the rest will take, going by what there was. */
static double estimate_left(const hone_run_job *job) {
    const hone_run_state *s = &job->state;
    size_t epochs = job->options->epochs;
    double per_token = s->train_s / (double)s->tokens;
    double all = (double)job->train.examples.starts[job->train.examples.count] * (double)epochs;
    double left = (all - (double)s->tokens) * per_token;
    if (!job->has_eval) return left;
    /* Before the first evaluation: a forward pass is about a third of a training step. */
    double eval_tokens = (double)job->eval.examples.starts[job->eval.examples.count];
    double eval_s = s->eval_s > 0 ? s->eval_s : eval_tokens * per_token / 3;
    return left + (double)(epochs - s->epochs_done) * eval_s;
}

static void report_step(const hone_run_job *job, size_t epoch, size_t sequences) {
    const hone_run_state *s = &job->state;
    if (!job->watch->step) return;
    hone_run_progress progress = {
        .epoch = epoch + 1,
        .epochs = job->options->epochs,
        .step = s->step,
        .steps = job->total_steps,
        .loss = s->epoch_loss / (double)sequences,
        .tokens_per_s = (double)s->tokens / s->train_s,
        .left_s = estimate_left(job),
    };
    job->watch->step(job->watch->ctx, &progress);
}

static hone_err run_step(hone_run_job *job) {
    hone_run_state *s = &job->state;
    size_t count = job->train.examples.count, epoch = s->step / job->epoch_steps;
    size_t begin = s->step % job->epoch_steps * job->options->batch_size;
    size_t end = begin + job->options->batch_size < count ? begin + job->options->batch_size
                                                          : count;
    int64_t started_ns = hone_clock_ns();
    if (job->order_epoch != epoch + 1) {
        hone_batches_shuffle(job->order, count, job->options->seed, epoch);
        job->order_epoch = epoch + 1;
    }
    double loss_sum = 0;
    HONE_TRY(accumulate(job, begin, end, &loss_sum));
    HONE_TRY(update(job));
    double seconds = seconds_since(started_ns);
    s->step++;
    s->sequences += end - begin;
    s->epoch_loss += loss_sum;
    s->epoch_s += seconds;
    s->train_s += seconds;
    report_step(job, epoch, end);
    return HONE_OK;
}

/* --- an epoch ----------------------------------------------------------------------- */

static hone_err forward_tuner(void *ctx, hone_pool *pool, const hone_pack *batch,
                              hone_logits *out) {
    return hone_tuner_forward(ctx, pool, batch, out);
}

/* Accuracy first, and among equals the surer one; for regression the error. */
static bool is_better(const hone_run_job *job, const hone_metrics *a, const hone_metrics *b) {
    if (job->train.problem == HONE_SINGLE_LABEL && a->accuracy != b->accuracy)
        return a->accuracy > b->accuracy;
    return a->loss < b->loss;
}

/* Remember these metrics, and with patience these weights, as the ones to save. */
static hone_err keep(hone_run_job *job, const hone_metrics *metrics) {
    hone_run_state *s = &job->state;
    s->kept = *metrics;
    s->kept.classes = NULL;
    s->kept_epoch = s->epochs_done;
    s->stale = 0;
    if (metrics->classes)
        memcpy(job->kept_classes, metrics->classes, metrics->labels * sizeof *metrics->classes);
    return job->keeps_best ? save_best(job) : HONE_OK;
}

static hone_err evaluate(hone_run_job *job, hone_epoch *epoch) {
    hone_run_state *s = &job->state;
    hone_metrics metrics;
    int64_t started_ns = hone_clock_ns();
    HONE_TRY(hone_evaluate(job->arena, job->pool, &job->eval, job->options->micro_tokens,
                           forward_tuner, job->tuner, &metrics));
    s->eval_s = seconds_since(started_ns);
    epoch->loss = metrics.loss;
    epoch->accuracy = metrics.accuracy;
    epoch->macro_f1 = metrics.macro_f1;
    epoch->mse = metrics.mse;
    epoch->pearson = metrics.pearson;
    if (!job->keeps_best || s->kept_epoch == 0 || is_better(job, &metrics, &s->kept))
        return keep(job, &metrics);
    s->stale++;
    return HONE_OK;
}

static hone_err finish_epoch(hone_run_job *job) {
    hone_run_state *s = &job->state;
    hone_epoch *epoch = &job->epochs[s->epochs_done];
    epoch->train_loss = s->epoch_loss / (double)job->train.examples.count;
    epoch->seconds = s->epoch_s;
    s->epoch_loss = s->epoch_s = 0;
    s->epochs_done++;
    if (job->has_eval) HONE_TRY(evaluate(job, epoch));
    if (job->watch->epoch) job->watch->epoch(job->watch->ctx, s->epochs_done, epoch);
    return HONE_OK;
}

static bool is_over(const hone_run_job *job) {
    const hone_run_state *s = &job->state;
    bool impatient = job->keeps_best && s->stale >= job->options->patience;
    return s->step == job->total_steps || impatient;
}

static hone_err train(hone_run_job *job) {
    while (!is_over(job)) {
        HONE_TRY(run_step(job));
        if (job->state.step % job->epoch_steps == 0) HONE_TRY(finish_epoch(job));
        HONE_TRY(maybe_checkpoint(job));
    }
    if (job->state.step < job->total_steps) {
        char sentence[128];
        (void)snprintf(sentence, sizeof sentence, "stopped: no better for %zu epochs",
                       job->options->patience);
        note(job, sentence);
    }
    return HONE_OK;
}

/* --- the whole ---------------------------------------------------------------------- */

static hone_err copy_labels(hone_run_job *job, hone_labels *out) {
    const hone_config *config = hone_tuner_config(job->tuner);
    const char **names = hone_arena_alloc(job->arena, config->labels, sizeof *names);
    if (!names) return hone_err_new(HONE_E_NOMEM, "no memory for labels");
    for (size_t i = 0; i < config->labels; i++) {
        names[i] = hone_arena_strdup(job->arena, hone_str_of(config->label_names[i]));
        if (!names[i]) return hone_err_new(HONE_E_NOMEM, "no memory for labels");
    }
    *out = (hone_labels){config->labels, names};
    return HONE_OK;
}

static hone_err fill_result(hone_run_job *job, hone_run_result *out) {
    const hone_run_state *s = &job->state;
    hone_run_result result = {
        .steps = s->step,
        .seconds = job->earlier_s + seconds_since(job->started_ns),
        .examples_per_s = (double)s->sequences / s->train_s,
        .tokens_per_s = (double)s->tokens / s->train_s,
        .epoch_count = s->epochs_done,
        .epochs = job->epochs,
        .kept_epoch = job->keeps_best ? s->kept_epoch : s->epochs_done,
        .has_metrics = job->has_eval,
        .metrics = s->kept,
        .problem = job->train.problem,
    };
    if (s->kept.labels > 0) result.metrics.classes = job->kept_classes;
    HONE_TRY(copy_labels(job, &result.labels));
    *out = result;
    return HONE_OK;
}

static hone_err save(hone_run_job *job) {
    const hone_params *params = hone_tuner_params(job->tuner);
    const float *values = hone_tuner_values(job->tuner);
    if (job->keeps_best) HONE_TRY(load_best(job));
    if (hone_tuner_lora(job->tuner)->rank > 0 && !job->options->merge) {
        HONE_TRY(hone_adapter_save(job->options->out, job->options->base, job->tuner));
    } else {
        HONE_TRY(hone_tuner_merge(job->tuner));
        HONE_TRY(hone_folder_save(job->options->out, job->options->base,
                                  hone_tuner_config(job->tuner), params, values));
    }
    (void)unlink(job->checkpoint); /* there may be none; one too many does no harm */
    return HONE_OK;
}

static void note_adapters(const hone_run_job *job) {
    char sentence[128];
    if (hone_tuner_lora(job->tuner)->rank == 0) return;
    (void)snprintf(sentence, sizeof sentence, "adapters and head: %zu parameters are trained",
                   job->optimizer.count);
    note(job, sentence);
}

hone_err hone_run(hone_arena *arena, hone_pool *pool, const hone_run_options *options,
                  const hone_dataset *train_data, const hone_dataset *eval_data,
                  const hone_run_watch *watch, hone_run_result *result) {
    static const hone_run_watch nobody = {0};
    hone_run_job *job = hone_arena_alloc(arena, 1, sizeof *job);
    if (!job) return hone_err_new(HONE_E_NOMEM, "no memory for a run");
    job->arena = arena;
    job->pool = pool;
    job->options = options;
    job->watch = watch ? watch : &nobody;
    job->started_ns = job->saved_ns = hone_clock_ns();

    hone_err err = hone_run_setup(job, train_data, eval_data);
    if (!hone_failed(err) && hone_tuner_has_new_head(job->tuner))
        note(job, "the base has no head for these labels: a new one is trained");
    if (!hone_failed(err)) note_adapters(job);
    if (!hone_failed(err)) err = resume(job);
    if (!hone_failed(err)) err = train(job);
    if (!hone_failed(err)) err = save(job);
    if (!hone_failed(err)) err = fill_result(job, result);
    /* Where there is no checkpoint to go on from, nobody comes back for this. */
    if (job->best && !hone_file_exists(job->checkpoint)) (void)unlink(job->best);
    hone_tuner_destroy(job->tuner);
    return err;
}
