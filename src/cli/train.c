/* train.c: `hone train`: a base model and labelled texts in, a model folder out. Progress goes
 * to stderr (one line that is rewritten on a terminal, a line now and then elsewhere), the
 * figures to stdout as one JSON. */
#include "base/clock.h"
#include "base/heap.h"
#include "cli/commands.h"
#include "cli/data_options.h"
#include "cli/metrics_json.h"
#include "cli/train_head.h"
#include "train/run.h"
#include "train/targets.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const size_t memory_max = (size_t)256 << 30;
static const double tty_interval_s = 0.2, log_interval_s = 30;

typedef struct train_args {
    const char *train, *eval, *problem, *mode, *pooling;
    size_t threads;
    double penalty;
    double lr; /* NaN = not given */
    hone_run_options run;
    hone_import_options import;
} train_args;

static hone_err parse(int argc, char **argv, train_args *a, bool *help_shown) {
    static const hone_usage usage = {
        "train", "--base DIR --train FILE --out DIR [--eval FILE] [options]",
        "Fine-tune a BERT or DistilBERT model on texts and labels: .jsonl, .csv or .tsv, each "
        "also\n"
        ".gz. Writes a complete Hugging Face folder, and one JSON of metrics to stdout. A killed\n"
        "run goes on from DIR.checkpoint when the same command line is given again. The same\n"
        "seed, data and build give the same bytes, whatever the number of threads."};
    hone_run_options *r = &a->run;
    const hone_option options[] = {
        {"base", "DIR", "the model to start from", HONE_OPT_STR, &r->base, true},
        {"train", "FILE", "texts to train on", HONE_OPT_STR, &a->train, true},
        {"out", "DIR", "where to write; a model there is replaced", HONE_OPT_STR, &r->out, true},
        {"eval", "FILE", "texts to measure on after each epoch", HONE_OPT_STR, &a->eval, false},
        HONE_DATA_OPTIONS(a->import),
        {"mode", "MODE",
         "full (default): train every weight. lora: train small adapters of the layers, and the "
         "head. head: fit a classifier on the frozen model's embeddings, in seconds",
         HONE_OPT_STR, &a->mode, false},
        {"lora-rank", "N", "lora: default 8", HONE_OPT_SIZE, &r->lora.rank, false},
        {"lora-alpha", "X", "lora: adapters weigh alpha / rank, default 16", HONE_OPT_FLOAT,
         &r->lora.alpha, false},
        {"lora-dropout", "P", "lora: of the adapters' inputs, default 0", HONE_OPT_FLOAT,
         &r->lora.dropout, false},
        {"lora-targets", "NAMES",
         "lora: layers that get adapters, by the ends of their Hugging Face names, separated by "
         "commas, or all-linear; default query,value (DistilBERT: q_lin,v_lin)",
         HONE_OPT_STR, &r->lora.targets, false},
        {"merge", NULL, "lora: write the whole model, with the adapters added to its weights",
         HONE_OPT_FLAG, &r->merge, false},
        {"pooling", "WHAT",
         "head: embed a text as the mean (default) of its tokens, or as the first", HONE_OPT_STR,
         &a->pooling, false},
        {"penalty", "X", "head: on the squares of its weights, default 0.2", HONE_OPT_FLOAT,
         &a->penalty, false},
        {"problem-type", "TYPE", "single_label_classification (default) or regression",
         HONE_OPT_STR, &a->problem, false},
        {"epochs", "N", "default 3", HONE_OPT_SIZE, &r->epochs, false},
        {"batch-size", "N", "texts per step, default 32", HONE_OPT_SIZE, &r->batch_size, false},
        {"micro-tokens", "N",
         "a batch is worked through in parts of at most N tokens whose gradients are added up, to "
         "bound memory; default 4096",
         HONE_OPT_SIZE, &r->micro_tokens, false},
        {"lr", "X", "highest learning rate, default 5e-5; lora: 5e-4", HONE_OPT_FLOAT, &a->lr,
         false},
        {"warmup", "X", "steps if 1 or more, else share of all steps; default 0.1", HONE_OPT_FLOAT,
         &r->warmup, false},
        {"weight-decay", "X", "of matrices, default 0.01", HONE_OPT_FLOAT, &r->weight_decay, false},
        {"clip", "X", "largest gradient norm, default 1; 0 = any", HONE_OPT_FLOAT, &r->clip, false},
        {"dropout", "P", "default: as the base's config.json says", HONE_OPT_FLOAT, &r->dropout,
         false},
        {"max-length", "N", "tokens of a text, default 256", HONE_OPT_SIZE, &r->max_length, false},
        {"patience", "N",
         "stop after N epochs without better accuracy (regression: error) on --eval, and keep the "
         "best epoch; default 0: never stop, keep the last",
         HONE_OPT_SIZE, &r->patience, false},
        {"freeze-layers", "N",
         "leave the embeddings and the first N layers as they are; default 0 = train all",
         HONE_OPT_SIZE, &r->frozen_layers, false},
        {"recompute", NULL,
         "keep only the inputs of layers and compute the rest again: less memory, more time, the "
         "same bytes",
         HONE_OPT_FLAG, &r->recompute, false},
        {"dtype", "T",
         "multiply in f32 (default) or bf16, forward and backward; weights and sums stay f32",
         HONE_OPT_DTYPE, &r->dtype, false},
        {"seed", "N", "of order, dropout and a new head; default 42", HONE_OPT_U64, &r->seed,
         false},
        {"threads", "N", "default: all processors", HONE_OPT_SIZE, &a->threads, false},
        {"checkpoint-seconds", "N", "time between checkpoints, default 300; 0 = none by time",
         HONE_OPT_SIZE, &r->checkpoint_s, false},
        {"checkpoint-steps", "N", "steps between checkpoints, default 0 = none by steps",
         HONE_OPT_SIZE, &r->checkpoint_steps, false},
        {0}};
    size_t positional = 0;
    HONE_TRY(hone_options_parse(&usage, options, argc, argv, NULL, 0, &positional, help_shown));
    if (*help_shown || !a->problem) return HONE_OK;
    return hone_problem_parse(a->problem, &r->problem);
}

/* --- progress ----------------------------------------------------------------------- */

typedef struct screen {
    bool is_tty;
    bool line_open; /* a line waits to be rewritten */
    int64_t shown_ns;
    hone_problem problem;
    bool has_eval;
} screen;

static void format_left(double seconds, char *out, size_t size_bytes) {
    long s = (long)(seconds + 0.5);
    if (s >= 3600)
        (void)snprintf(out, size_bytes, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        (void)snprintf(out, size_bytes, "%ld:%02ld", s / 60, s % 60);
}

/* On a terminal, begin over the line that waits; "\33[K" clears what is left of it. */
static void begin_line(screen *s) {
    if (s->line_open) fputs("\r\33[K", stderr);
    s->line_open = false;
}

static void show_step(void *ctx, const hone_run_progress *p) {
    screen *s = ctx;
    double interval_s = s->is_tty ? tty_interval_s : log_interval_s;
    int64_t now_ns = hone_clock_ns();
    if ((double)(now_ns - s->shown_ns) / 1e9 < interval_s) return;
    s->shown_ns = now_ns;
    char left[32];
    format_left(p->left_s, left, sizeof left);
    begin_line(s);
    fprintf(stderr, "epoch %zu/%zu  step %zu/%zu  loss %.4f  %.0f tokens/s  %s left%s", p->epoch,
            p->epochs, p->step, p->steps, p->loss, p->tokens_per_s, left, s->is_tty ? "" : "\n");
    s->line_open = s->is_tty;
}

static void show_epoch(void *ctx, size_t epoch, const hone_epoch *e) {
    screen *s = ctx;
    begin_line(s);
    fprintf(stderr, "epoch %zu: training loss %.4f in %.1f s", epoch, e->train_loss, e->seconds);
    if (s->has_eval && s->problem == HONE_SINGLE_LABEL)
        fprintf(stderr, "; evaluation loss %.4f, accuracy %.4f, macro-F1 %.4f", e->loss,
                e->accuracy, e->macro_f1);
    else if (s->has_eval)
        fprintf(stderr, "; evaluation error %.4f, Pearson's r %.4f", e->mse, e->pearson);
    fputc('\n', stderr);
}

static void show_note(void *ctx, const char *sentence) {
    begin_line(ctx);
    fprintf(stderr, "%s\n", sentence);
}

/* --- figures ------------------------------------------------------------------------ */

static json_t *epoch_json(const hone_run_result *r, size_t index) {
    const hone_epoch *e = &r->epochs[index];
    json_t *object = json_object();
    json_object_set_new(object, "epoch", json_integer((json_int_t)index + 1));
    json_object_set_new(object, "train_loss", json_real(e->train_loss));
    json_object_set_new(object, "seconds", json_real(e->seconds));
    if (!r->has_metrics) return object;
    json_object_set_new(object, "loss", json_real(e->loss));
    if (r->problem == HONE_REGRESSION) {
        json_object_set_new(object, "mse", json_real(e->mse));
        json_object_set_new(object, "pearson", json_real(e->pearson));
    } else {
        json_object_set_new(object, "accuracy", json_real(e->accuracy));
        json_object_set_new(object, "macro_f1", json_real(e->macro_f1));
    }
    return object;
}

static hone_err print(const hone_run_result *r) {
    json_t *object = json_object(), *epochs = json_array();
    if (r->has_metrics) hone_metrics_add(object, r->problem, &r->metrics, r->labels.names);
    for (size_t i = 0; i < r->epoch_count; i++) json_array_append_new(epochs, epoch_json(r, i));
    json_object_set_new(object, "train_loss", json_real(r->epochs[r->kept_epoch - 1].train_loss));
    json_object_set_new(object, "steps", json_integer((json_int_t)r->steps));
    json_object_set_new(object, "seconds", json_real(r->seconds));
    json_object_set_new(object, "examples_per_second", json_real(r->examples_per_s));
    json_object_set_new(object, "tokens_per_second", json_real(r->tokens_per_s));
    json_object_set_new(object, "epoch", json_integer((json_int_t)r->kept_epoch));
    json_object_set_new(object, "epochs", epochs);
    return hone_metrics_print(object);
}

typedef enum mode { MODE_FULL, MODE_LORA, MODE_HEAD } mode;

static hone_err parse_mode(const char *name, mode *out) {
    static const char *const names[] = {"full", "lora", "head"};
    *out = MODE_FULL;
    for (size_t i = 0; name && i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0) {
            *out = (mode)i;
            return HONE_OK;
        }
    if (!name) return HONE_OK;
    return hone_err_new(HONE_E_INVALID, "--mode %s: expected full, lora or head", name);
}

/* The flags of adapters, which nothing else may have; rank, alpha and rate have defaults. */
static hone_err choose_lora(train_args *a, mode is) {
    hone_run_options *r = &a->run;
    hone_run_options usual = hone_run_lora_defaults();
    bool given = r->lora.rank != usual.lora.rank || r->lora.alpha != usual.lora.alpha ||
                 r->lora.dropout != 0 || r->lora.targets || r->merge;
    if (is != MODE_LORA && given)
        return hone_err_new(HONE_E_INVALID, "--lora-... and --merge go with --mode lora");
    if (is == MODE_LORA && r->lora.rank == 0)
        return hone_err_new(HONE_E_INVALID, "--lora-rank 0: expected at least 1");
    if (is != MODE_LORA) r->lora.rank = 0;
    if (!isnan(a->lr))
        r->lr = a->lr;
    else if (is == MODE_LORA)
        r->lr = usual.lr;
    return HONE_OK;
}

/* What is to be trained, and that no flag of another mode is given. */
static hone_err choose_mode(train_args *a, hone_head_options *head, bool *is_head) {
    mode is = MODE_FULL;
    HONE_TRY(parse_mode(a->mode, &is));
    HONE_TRY(choose_lora(a, is));
    *is_head = is == MODE_HEAD;
    if (!*is_head && (a->pooling || a->penalty != 0))
        return hone_err_new(HONE_E_INVALID, "--pooling and --penalty go with --mode head");
    if (*is_head && a->run.dtype != HONE_DTYPE_F32)
        return hone_err_new(HONE_E_INVALID, "--dtype goes with --mode full or lora");
    if (*is_head && a->run.problem != HONE_SINGLE_LABEL)
        return hone_err_new(HONE_E_INVALID, "--mode head is for labels, not for regression");
    if (a->penalty < 0)
        return hone_err_new(HONE_E_INVALID, "--penalty %g: expected above 0", a->penalty);
    *head = (hone_head_options){.base = a->run.base,
                                .out = a->run.out,
                                .max_length = a->run.max_length,
                                .micro_tokens = a->run.micro_tokens,
                                .labels = a->run.labels};
    return hone_train_head_options(a->pooling, a->penalty, head);
}

static hone_err run(train_args *args, hone_arena *arena, hone_pool *pool) {
    hone_dataset train, eval;
    hone_run_result result;
    hone_head_options head;
    bool is_head = false;
    HONE_TRY(choose_mode(args, &head, &is_head));
    HONE_TRY(hone_data_open(arena, args->train, &args->import, &train));
    if (args->eval) HONE_TRY(hone_data_open(arena, args->eval, &args->import, &eval));
    if (is_head) return hone_train_head(arena, pool, &head, &train, args->eval ? &eval : NULL);
    screen s = {.is_tty = isatty(STDERR_FILENO) == 1,
                .shown_ns = hone_clock_ns(),
                .problem = args->run.problem,
                .has_eval = args->eval != NULL};
    hone_run_watch watch = {&s, show_step, show_epoch, show_note};
    hone_err err = hone_run(arena, pool, &args->run, &train, args->eval ? &eval : NULL, &watch,
                            &result);
    if (s.line_open) fputc('\n', stderr);
    if (hone_failed(err)) return err;
    fprintf(stderr, "wrote '%s'\n", args->run.out);
    return print(&result);
}

hone_err hone_cmd_train(int argc, char **argv) {
    train_args args = {.run = hone_run_defaults(), .lr = NAN};
    args.run.lora = hone_run_lora_defaults().lora;
    bool help_shown = false;
    hone_err err = parse(argc, argv, &args, &help_shown);
    if (hone_failed(err) || help_shown) return err;

    hone_heap_keep();
    hone_arena *arena = NULL;
    hone_pool *pool = NULL;
    err = hone_arena_create(memory_max, &arena);
    if (!hone_failed(err)) err = hone_pool_create(args.threads, &pool);
    if (!hone_failed(err)) err = run(&args, arena, pool);
    hone_pool_destroy(pool);
    hone_arena_destroy(arena);
    return err;
}
