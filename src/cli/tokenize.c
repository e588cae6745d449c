/* tokenize.c: `hone tokenize`: texts in, token ids and offsets out, a JSON object a line. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/lines.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "text/tokenizer.h"

#include <stdio.h>

static const size_t line_bytes_max = (size_t)256 << 20;
static const size_t text_memory_max = (size_t)8 << 30; /* tokens of one text, with room to grow */
static const size_t out_bytes_max = (size_t)8 << 30;

typedef struct tokenize_args {
    const char *model;
    const char *input;
    size_t max_length;
    bool jsonl;
} tokenize_args;

typedef struct tokenize_job {
    const tokenize_args *args;
    hone_tokenizer *tokenizer;
    hone_lines *lines;
    hone_arena *arena; /* of one line */
    hone_buf out;      /* of one line */
} tokenize_job;

static void push_number(hone_buf *out, uint64_t n) {
    char digits[24];
    size_t at = sizeof digits;
    do digits[--at] = (char)('0' + n % 10);
    while ((n /= 10) != 0);
    hone_buf_push(out, (hone_str){digits + at, sizeof digits - at});
}

static void push_list(hone_buf *out, hone_str key, const int32_t *values, size_t count) {
    hone_buf_push(out, key);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) hone_buf_push(out, HONE_S(", "));
        push_number(out, (uint64_t)values[i]); /* ids and types are not negative */
    }
}

static void push_tokens(hone_buf *out, const hone_tokens *tokens, bool with_types) {
    push_list(out, HONE_S("{\"ids\": ["), tokens->ids, tokens->count);
    if (with_types) push_list(out, HONE_S("], \"types\": ["), tokens->types, tokens->count);
    hone_buf_push(out, HONE_S("], \"offsets\": ["));
    for (size_t i = 0; i < tokens->count; i++) {
        hone_buf_push(out, i > 0 ? HONE_S(", [") : HONE_S("["));
        push_number(out, tokens->offsets[i].begin);
        hone_buf_push(out, HONE_S(", "));
        push_number(out, tokens->offsets[i].end);
        hone_buf_push_char(out, ']');
    }
    hone_buf_push(out, HONE_S("]}\n"));
}

static hone_err get_text(const json_t *object, const char *key, bool required, hone_str *out) {
    const json_t *value = json_object_get(object, key);
    if (!required && (!value || json_is_null(value))) return HONE_OK;
    if (!json_is_string(value)) return hone_err_new(HONE_E_CORRUPT, "it has no string '%s'", key);
    *out = hone_json_str(value);
    return HONE_OK;
}

static hone_err encode_and_print(tokenize_job *job, hone_str text, hone_str second) {
    hone_encode_options options = {.max_length = job->args->max_length, .offsets = true};
    hone_tokens tokens;
    HONE_TRY(hone_tokenizer_encode(job->tokenizer, job->arena, text, second, options, &tokens));
    job->out.len = 0;
    push_tokens(&job->out, &tokens, second.ptr != NULL);
    HONE_TRY(hone_buf_err(&job->out));
    if (fwrite(job->out.ptr, 1, job->out.len, stdout) != job->out.len)
        return hone_err_new(HONE_E_IO, "write to standard output failed");
    return HONE_OK;
}

static hone_err tokenize_line(tokenize_job *job, hone_str line) {
    hone_arena_reset(job->arena);
    if (!job->args->jsonl) return encode_and_print(job, line, (hone_str){0});
    json_t *object = NULL;
    hone_str text = {0}, second = {0};
    HONE_TRY(hone_json_parse(line, "JSON", &object));
    hone_err err = get_text(object, "text", true, &text);
    if (!hone_failed(err)) err = get_text(object, "text_pair", false, &second);
    if (!hone_failed(err)) err = encode_and_print(job, text, second);
    json_decref(object);
    return err;
}

static hone_err run(tokenize_job *job) {
    hone_str line;
    bool more = true;
    for (;;) {
        HONE_TRY(hone_lines_next(job->lines, &line, &more));
        if (!more) return HONE_OK;
        hone_err err = tokenize_line(job, line);
        if (hone_failed(err))
            return hone_err_wrap(err, "'%s': line %zu", job->args->input,
                                 hone_lines_number(job->lines));
        /* Whoever writes one line and waits gets its answer; main sees what fails here. */
        if (!hone_lines_ready(job->lines)) (void)fflush(stdout);
    }
}

hone_err hone_cmd_tokenize(int argc, char **argv) {
    static const hone_usage usage = {
        "tokenize", "--model DIR [--jsonl] [--max-length N] [FILE|-]",
        "Write {\"ids\": [...], \"offsets\": [[begin, end], ...]} for each line of FILE, in code\n"
        "points of the text; \"types\" too for a pair."};
    tokenize_args args = {.input = "-"};
    const hone_option options[] = {
        {"model", "DIR", "a folder with tokenizer.json or vocab.txt", HONE_OPT_STR, &args.model,
         true},
        {"jsonl", NULL, "a line is {\"text\": ..., \"text_pair\": ...}, not a text", HONE_OPT_FLAG,
         &args.jsonl, false},
        {"max-length", "N", "cut to N tokens, longest first; default: not at all", HONE_OPT_SIZE,
         &args.max_length, false},
        {0}};
    size_t words = 0;
    bool help = false;
    HONE_TRY(hone_options_parse(&usage, options, argc, argv, &args.input, 1, &words, &help));
    if (help) return HONE_OK;

    tokenize_job job = {.args = &args};
    hone_buf_init(&job.out, out_bytes_max);
    hone_err err = hone_tokenizer_load(args.model, &job.tokenizer);
    if (!hone_failed(err)) err = hone_lines_open(args.input, line_bytes_max, &job.lines);
    if (!hone_failed(err)) err = hone_arena_create(text_memory_max, &job.arena);
    if (!hone_failed(err)) err = run(&job);
    hone_arena_destroy(job.arena);
    hone_lines_close(job.lines);
    hone_tokenizer_destroy(job.tokenizer);
    hone_buf_done(&job.out);
    return err;
}
