/* predict.c: `hone predict` and `hone embed`: a line in, a line out, in order. */
#include "base/buf.h"
#include "base/json.h"
#include "cli/cache.h"
#include "cli/commands.h"
#include "cli/feed.h"
#include "cli/options.h"
#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const size_t out_bytes_max = (size_t)1 << 30;

typedef struct answering {
    const char *model_dir, *input;
    size_t threads, max_length;
    hone_dtype dtype;
    bool jsonl, logits, normalize, embeds;
    hone_pool *pool;
    hone_model *model;
    hone_session *session;
    hone_feed feed;
    hone_buf out;
} answering;

static void push_floats(hone_buf *out, const float *values, size_t count) {
    hone_buf_push_char(out, '[');
    for (size_t i = 0; i < count; i++)
        hone_buf_printf(out, "%s%.9g", i > 0 ? ", " : "", (double)values[i]);
    hone_buf_push_char(out, ']');
}

/* The label with the largest softmax, or the one output of a regression. */
static void push_answer(answering *a, const float *z) {
    const hone_config *c = hone_model_config(a->model);
    size_t best = 0;
    double total = 0.0;
    for (size_t i = 1; i < c->labels; i++)
        if (z[i] > z[best]) best = i;
    for (size_t i = 0; i < c->labels; i++) total += exp((double)z[i] - (double)z[best]);
    double score = c->problem == HONE_REGRESSION ? (double)z[0] : 1.0 / total;
    hone_buf_push(&a->out, HONE_S("{\"label\": "));
    hone_json_push_str(&a->out, hone_str_of(c->label_names[best]));
    hone_buf_printf(&a->out, ", \"score\": %.9g", score);
    if (a->logits) {
        hone_buf_push(&a->out, HONE_S(", \"logits\": "));
        push_floats(&a->out, z, c->labels);
    }
    hone_buf_push(&a->out, HONE_S("}\n"));
}

static hone_err predict_batch(answering *a, const hone_pack *batch) {
    hone_logits logits;
    HONE_TRY(hone_model_forward(a->session, a->pool, batch, &logits));
    for (size_t i = 0; i < logits.count; i++) push_answer(a, logits.values + i * logits.labels);
    return HONE_OK;
}

/* mean[dim] of the rows of one sequence, of length 1 when normalize is set. */
static void pool_mean(const float *rows, size_t count, size_t dim, bool normalize, float *mean) {
    double squares = 0.0;
    for (size_t i = 0; i < dim; i++) {
        double sum = 0.0;
        for (size_t r = 0; r < count; r++) sum += (double)rows[r * dim + i];
        mean[i] = (float)(sum / (double)count);
        squares += (double)mean[i] * (double)mean[i];
    }
    if (!normalize || squares == 0.0) return;
    for (size_t i = 0; i < dim; i++) mean[i] = (float)((double)mean[i] / sqrt(squares));
}

static hone_err embed_batch(answering *a, const hone_pack *batch) {
    const hone_config *c = hone_model_config(a->model);
    const float *hidden = NULL;
    HONE_TRY(hone_model_hidden(a->session, a->pool, batch, c->layers, &hidden));
    float *mean = hone_arena_alloc(a->feed.arena, c->hidden, sizeof *mean);
    if (!mean) return hone_err_new(HONE_E_NOMEM, "no memory for an embedding");
    for (size_t i = 0; i < batch->sequences; i++) {
        size_t first = (size_t)batch->starts[i], end = (size_t)batch->starts[i + 1];
        pool_mean(hidden + first * c->hidden, end - first, c->hidden, a->normalize, mean);
        hone_buf_push(&a->out, HONE_S("{\"embedding\": "));
        push_floats(&a->out, mean, c->hidden);
        hone_buf_push(&a->out, HONE_S("}\n"));
    }
    return HONE_OK;
}

static hone_err write_out(hone_buf *out) {
    HONE_TRY(hone_buf_err(out));
    bool ok = fwrite(out->ptr, 1, out->len, stdout) == out->len && fflush(stdout) == 0;
    out->len = 0;
    return ok ? HONE_OK : hone_err_new(HONE_E_IO, "write to standard output failed");
}

static hone_err answer_all(answering *a) {
    char kept[HONE_CACHE_PATH_SIZE];
    HONE_TRY(hone_pool_create(a->threads, &a->pool));
    HONE_TRY(
        hone_model_open_kept(a->model_dir, a->dtype, hone_cache_packed(kept), a->pool, &a->model));
    HONE_TRY(hone_session_create(a->model, &a->session));
    HONE_TRY(hone_feed_open(a->input, a->jsonl, a->model_dir, hone_model_config(a->model),
                            a->max_length, &a->feed));
    for (;;) {
        hone_pack batch;
        HONE_TRY(hone_feed_next(&a->feed, &batch));
        if (batch.sequences == 0) return HONE_OK;
        HONE_TRY(a->embeds ? embed_batch(a, &batch) : predict_batch(a, &batch));
        HONE_TRY(write_out(&a->out));
        /* After the first answer, which shall not wait for it. */
        hone_err err = hone_model_keep(a->model);
        (void)err; /* then the next start packs them again */
    }
}

static hone_err answer(answering *a, const hone_usage *usage, const hone_option *options, int argc,
                       char **argv) {
    size_t words = 0;
    bool help = false;
    HONE_TRY(hone_options_parse(usage, options, argc, argv, &a->input, 1, &words, &help));
    if (help) return HONE_OK;
    hone_buf_init(&a->out, out_bytes_max);
    hone_err err = answer_all(a);
    hone_feed_close(&a->feed);
    hone_session_destroy(a->session);
    hone_model_close(a->model);
    hone_pool_destroy(a->pool);
    hone_buf_done(&a->out);
    return err;
}

hone_err hone_cmd_predict(int argc, char **argv) {
    static const hone_usage usage = {
        "predict", "--model DIR [--jsonl] [--logits] [FILE|-]",
        "Write {\"label\": ..., \"score\": ...} for each line of FILE; score is the softmax."};
    answering a = {.input = "-"};
    const hone_option options[] = {
        {"model", "DIR", "the model folder", HONE_OPT_STR, &a.model_dir, true},
        {"jsonl", NULL, "a line is {\"text\": ...} or {\"ids\": [...]}, not a text", HONE_OPT_FLAG,
         &a.jsonl, false},
        {"logits", NULL, "write the logits too", HONE_OPT_FLAG, &a.logits, false},
        {"max-length", "N", "cut texts to N tokens; default: what the model takes", HONE_OPT_SIZE,
         &a.max_length, false},
        {"threads", "N", "default: all cores", HONE_OPT_SIZE, &a.threads, false},
        HONE_DTYPE_OPTION(a.dtype),
        {0}};
    return answer(&a, &usage, options, argc, argv);
}

hone_err hone_cmd_embed(int argc, char **argv) {
    static const hone_usage usage = {
        "embed", "--model DIR [--jsonl] [--normalize] [FILE|-]",
        "Write {\"embedding\": [...]} for each line of FILE: the mean of the last hidden states\n"
        "over all tokens."};
    answering a = {.input = "-", .embeds = true};
    const hone_option options[] = {
        {"model", "DIR", "the model folder", HONE_OPT_STR, &a.model_dir, true},
        {"jsonl", NULL, "a line is {\"text\": ...} or {\"ids\": [...]}, not a text", HONE_OPT_FLAG,
         &a.jsonl, false},
        {"normalize", NULL, "scale embeddings to length 1", HONE_OPT_FLAG, &a.normalize, false},
        {"max-length", "N", "cut texts to N tokens; default: what the model takes", HONE_OPT_SIZE,
         &a.max_length, false},
        {"threads", "N", "default: all cores", HONE_OPT_SIZE, &a.threads, false},
        HONE_DTYPE_OPTION(a.dtype),
        {0}};
    return answer(&a, &usage, options, argc, argv);
}
