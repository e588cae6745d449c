/* setup.c: everything that can go wrong before hours of training, done first: options, the
 * output's place, labels, the base, the tokens of both data sets, memory. */
#include "train/run_impl.h"

#include "nn/isa.h"
#include "train/folder.h"
#include "train/schedule.h"
#include "train/targets.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    EPOCHS_MAX = 10000,
    BATCH_MAX = 65535, /* parts of a batch are numbered in 16 bits */
};

hone_run_options hone_run_defaults(void) {
    return (hone_run_options){
        .problem = HONE_SINGLE_LABEL,
        .epochs = 3,
        .batch_size = 32,
        .micro_tokens = 4096,
        .max_length = 256,
        .lr = 5e-5,
        .warmup = 0.1,
        .weight_decay = 0.01,
        .clip = 1.0,
        .dropout = -1,
        .checkpoint_s = 300,
        .seed = 42,
    };
}

hone_run_options hone_run_lora_defaults(void) {
    hone_run_options o = hone_run_defaults();
    o.lora = (hone_lora_options){.rank = 8, .alpha = 16};
    o.lr = 5e-4;
    return o;
}

static hone_err check_options(const hone_run_options *o, bool has_eval) {
    const struct {
        const char *name;
        double value, min, max;
    } ranges[] = {
        {"epochs", (double)o->epochs, 1, EPOCHS_MAX},
        {"batch size", (double)o->batch_size, 1, BATCH_MAX},
        {"tokens of a part", (double)o->micro_tokens, 1, INT32_MAX},
        {"learning rate", o->lr, 0, 10},
        {"warm-up", o->warmup, 0, UINT32_MAX},
        {"weight decay", o->weight_decay, 0, 10},
        {"largest gradient norm", o->clip, 0, 1e30},
        {"dropout", o->dropout, -1, 0.99},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++)
        if (!(ranges[i].value >= ranges[i].min && ranges[i].value <= ranges[i].max))
            return hone_err_new(HONE_E_INVALID, "%s is %g, expected %g to %g", ranges[i].name,
                                ranges[i].value, ranges[i].min, ranges[i].max);
    if (o->patience > 0 && !has_eval)
        return hone_err_new(HONE_E_INVALID, "patience needs an evaluation set to be patient about");
    return HONE_OK;
}

static void set_dropout(hone_run_job *job, hone_config *config) {
    if (job->options->dropout >= 0) {
        float p = (float)job->options->dropout;
        config->hidden_dropout = config->attention_dropout = config->classifier_dropout = p;
    }
    job->drops = config->hidden_dropout > 0 || config->attention_dropout > 0 ||
                 config->classifier_dropout > 0 || job->options->lora.dropout > 0;
}

static hone_err open_base(hone_run_job *job, const hone_dataset *train) {
    hone_config config = {0};
    HONE_TRY(hone_config_refuse_adapter(job->options->base));
    HONE_TRY(hone_config_load(job->options->base, &config));
    hone_err err = hone_targets_choose(job->arena, train, job->options->problem,
                                       job->options->labels, &config);
    if (hone_failed(err)) {
        hone_config_done(&config);
        return err;
    }
    set_dropout(job, &config);
    hone_tuner_options options = {.seed = job->options->seed,
                                  .frozen_layers = job->options->frozen_layers,
                                  .dtype = job->options->dtype,
                                  .recompute = job->options->recompute,
                                  .lora = job->options->lora};
    return hone_tuner_create(job->options->base, config, &options, &job->tuner);
}

/* Every example must suit the model: an odd tokenizer shall not show after an hour. */
static hone_err check_examples(hone_run_job *job, const hone_exam *exam, const char *name) {
    hone_batcher batcher;
    HONE_TRY(hone_batcher_init(job->arena, &exam->examples, BATCH_MAX, job->options->micro_tokens,
                               &batcher));
    for (size_t at = 0; at < exam->examples.count;) {
        hone_pack batch;
        at = hone_batcher_next(&batcher, NULL, at, exam->examples.count, &batch);
        hone_err err = hone_tuner_check(job->tuner, &batch);
        if (hone_failed(err)) return hone_err_wrap(err, "'%s' does not suit the model", name);
    }
    return HONE_OK;
}

static hone_err read_exam(hone_run_job *job, const hone_tokenizer *tokenizer,
                          const hone_dataset *dataset, hone_exam *out) {
    const hone_config *config = hone_tuner_config(job->tuner);
    size_t length = job->options->max_length;
    if (length == 0 || length > config->positions) length = config->positions;
    out->problem = config->problem;
    out->labels = config->labels;
    HONE_TRY(hone_targets_read(job->arena, dataset, config, &out->targets));
    HONE_TRY(
        hone_examples_encode(job->arena, job->pool, tokenizer, dataset, length, &out->examples));
    return check_examples(job, out, dataset->name);
}

static hone_err read_data(hone_run_job *job, const hone_dataset *train, const hone_dataset *eval) {
    hone_tokenizer *tokenizer = NULL;
    HONE_TRY(hone_tokenizer_load(job->options->base, &tokenizer));
    hone_err err = read_exam(job, tokenizer, train, &job->train);
    if (!hone_failed(err) && eval) err = read_exam(job, tokenizer, eval, &job->eval);
    hone_tokenizer_destroy(tokenizer);
    return err;
}

static hone_err reserve(hone_run_job *job) {
    const hone_run_options *o = job->options;
    const hone_trained *trained = hone_tuner_trained(job->tuner);
    const hone_examples *examples = &job->train.examples;
    hone_arena *a = job->arena;
    size_t count = trained->total - trained->first;
    job->order = hone_arena_alloc(a, examples->count, sizeof *job->order);
    job->batch_labels = hone_arena_alloc(a, o->batch_size, sizeof *job->batch_labels);
    job->batch_numbers = hone_arena_alloc(a, o->batch_size, sizeof *job->batch_numbers);
    job->epochs = hone_arena_alloc(a, o->epochs, sizeof *job->epochs);
    job->kept_classes = hone_arena_alloc(a, job->train.labels, sizeof *job->kept_classes);
    if (!job->order || !job->batch_labels || !job->batch_numbers || !job->epochs ||
        !job->kept_classes)
        return hone_err_new(HONE_E_NOMEM, "no memory to train %zu parameters", count);
    HONE_TRY(hone_optimizer_init(a, job->tuner, &job->optimizer));
    return hone_batcher_init(a, examples, o->batch_size, o->micro_tokens, &job->batcher);
}

static uint64_t hash_exam(const hone_exam *exam) {
    const hone_examples *e = &exam->examples;
    size_t tokens = e->starts[e->count];
    uint64_t hash = hone_hash_add(0, e->starts, (e->count + 1) * sizeof *e->starts);
    hash = hone_hash_add(hash, e->ids, tokens * sizeof *e->ids);
    hash = hone_hash_add(hash, e->types, tokens * sizeof *e->types);
    if (exam->problem == HONE_SINGLE_LABEL)
        return hone_hash_add(hash, exam->targets.labels, e->count * sizeof(int32_t));
    return hone_hash_add(hash, exam->targets.numbers, e->count * sizeof(float));
}

static hone_fingerprint fingerprint_of(const hone_run_job *job) {
    const hone_run_options *o = job->options;
    const hone_config *config = hone_tuner_config(job->tuner);
    const double options[] = {(double)o->problem,
                              (double)o->epochs,
                              (double)o->batch_size,
                              (double)o->micro_tokens,
                              (double)o->max_length,
                              o->lr,
                              o->warmup,
                              o->weight_decay,
                              o->clip,
                              o->dropout,
                              (double)o->patience,
                              (double)o->frozen_layers,
                              (double)o->dtype};
    const char *isa = hone_isa_name(hone_isa_best());
    hone_fingerprint f = {0};
    f.options = hone_hash_add(hone_hash_add(0, options, sizeof options), &o->seed, sizeof o->seed);
    const hone_lora *lora = hone_tuner_lora(job->tuner);
    if (lora->rank > 0) {
        const double adapters[] = {(double)lora->rank, lora->alpha, (double)lora->dropout,
                                   (double)lora->slots};
        f.options = hone_hash_add(f.options, adapters, sizeof adapters);
    }
    f.train = hash_exam(&job->train);
    if (job->has_eval) f.eval = hash_exam(&job->eval);
    f.base = hone_hash_add(0, hone_tuner_values(job->tuner),
                           hone_tuner_params(job->tuner)->total * sizeof(float));
    for (size_t i = 0; i < config->labels; i++)
        f.base = hone_hash_add(f.base, config->label_names[i], strlen(config->label_names[i]));
    f.build = hone_hash_add(0, HONE_VERSION, strlen(HONE_VERSION));
    f.build = hone_hash_add(f.build, isa, strlen(isa));
    return f;
}

/* A file beside the output, OUT and this ending: on the same disk, and easy to find. */
static hone_err name_beside(hone_run_job *job, const char *ending, const char **out) {
    hone_str folder = hone_str_of(job->options->out);
    while (folder.len > 1 && folder.ptr[folder.len - 1] == '/') folder.len--;
    size_t size = folder.len + strlen(ending) + 1;
    char *path = hone_arena_alloc(job->arena, size, 1);
    if (!path) return hone_err_new(HONE_E_NOMEM, "no memory for a path");
    (void)snprintf(path, size, "%.*s%s", HONE_ARG(folder), ending);
    *out = path;
    return HONE_OK;
}

hone_err hone_run_setup(hone_run_job *job, const hone_dataset *train, const hone_dataset *eval) {
    const hone_run_options *o = job->options;
    job->has_eval = eval != NULL;
    job->keeps_best = o->patience > 0;
    HONE_TRY(check_options(o, job->has_eval));
    HONE_TRY(hone_folder_check(o->out));
    HONE_TRY(name_beside(job, ".checkpoint", &job->checkpoint));
    HONE_TRY(name_beside(job, ".best", &job->best));
    HONE_TRY(open_base(job, train));
    HONE_TRY(read_data(job, train, eval));
    HONE_TRY(reserve(job));
    size_t count = job->train.examples.count;
    job->epoch_steps = (count + o->batch_size - 1) / o->batch_size;
    job->total_steps = job->epoch_steps * o->epochs;
    if (job->total_steps > UINT32_MAX)
        return hone_err_new(HONE_E_INVALID, "%zu steps: at most %u", job->total_steps, UINT32_MAX);
    job->warmup_steps = hone_schedule_warmup(o->warmup, job->total_steps);
    job->fingerprint = fingerprint_of(job);
    return HONE_OK;
}
