/* feed.c: see feed.h. */
#include "cli/feed.h"

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_TOKENS = 4096, BATCH_TEXTS = 256 };

static const size_t line_bytes_max = (size_t)64 << 20;
static const size_t text_memory_max = (size_t)4 << 30;

hone_err hone_feed_open(const char *input, bool jsonl, const char *model_dir,
                        const hone_config *config, size_t max_length, hone_feed *out) {
    if (max_length > config->positions)
        return hone_err_new(HONE_E_INVALID, "--max-length %zu: the model takes %zu tokens",
                            max_length, config->positions);
    hone_feed feed = {.input = input,
                      .jsonl = jsonl,
                      .model_dir = model_dir,
                      .config = config,
                      .max_length = max_length ? max_length : config->positions};
    hone_err err = hone_lines_open(input, line_bytes_max, &feed.lines);
    if (!hone_failed(err)) err = hone_arena_create(text_memory_max, &feed.arena);
    if (!hone_failed(err) && !jsonl) err = hone_tokenizer_load(model_dir, &feed.tokenizer);
    if (hone_failed(err))
        hone_feed_close(&feed);
    else
        *out = feed;
    return err;
}

void hone_feed_close(hone_feed *feed) {
    hone_sequences_done(&feed->sequences);
    hone_arena_destroy(feed->arena);
    hone_tokenizer_destroy(feed->tokenizer);
    hone_lines_close(feed->lines);
}

/* A model can be asked with ids alone, so with JSON its tokenizer waits for the first text. */
static hone_err add_text(hone_feed *feed, hone_str text, hone_str second) {
    if (!feed->tokenizer) HONE_TRY(hone_tokenizer_load(feed->model_dir, &feed->tokenizer));
    hone_tokens tokens;
    hone_encode_options options = {.max_length = feed->max_length};
    HONE_TRY(hone_tokenizer_encode(feed->tokenizer, feed->arena, text, second, options, &tokens));
    return hone_sequences_push(&feed->sequences, tokens.ids, tokens.types, tokens.count);
}

/* object[key] as a list of ids in the arena; NULL when absent. */
static hone_err get_ids(hone_feed *feed, const json_t *object, const char *key, int32_t **out,
                        size_t *count) {
    const json_t *list = json_object_get(object, key);
    *out = NULL;
    *count = 0;
    if (!list) return HONE_OK;
    if (!json_is_array(list)) return hone_err_new(HONE_E_CORRUPT, "'%s' is no list", key);
    *count = json_array_size(list);
    *out = hone_arena_alloc(feed->arena, *count + 1, sizeof **out);
    if (!*out) return hone_err_new(HONE_E_NOMEM, "no memory for %zu ids", *count);
    for (size_t i = 0; i < *count; i++) {
        const json_t *id = json_array_get(list, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) > INT32_MAX)
            return hone_err_new(HONE_E_CORRUPT, "'%s'[%zu] is no token id", key, i);
        (*out)[i] = (int32_t)json_integer_value(id);
    }
    return HONE_OK;
}

static hone_err add_ids(hone_feed *feed, const json_t *object) {
    int32_t *ids = NULL, *types = NULL;
    size_t count = 0, types_count = 0;
    HONE_TRY(get_ids(feed, object, "ids", &ids, &count));
    HONE_TRY(get_ids(feed, object, "types", &types, &types_count));
    if (count == 0) return hone_err_new(HONE_E_CORRUPT, "'ids' is empty");
    if (types && types_count != count)
        return hone_err_new(HONE_E_CORRUPT, "%zu 'types' for %zu 'ids'", types_count, count);
    if (count > feed->config->positions)
        return hone_err_new(HONE_E_INVALID, "%zu ids, the model takes %zu", count,
                            feed->config->positions);
    return hone_sequences_push(&feed->sequences, ids, types, count);
}

static hone_err add_object(hone_feed *feed, const json_t *object) {
    const json_t *text = json_object_get(object, "text");
    const json_t *second = json_object_get(object, "text_pair");
    if (!text && json_object_get(object, "ids")) return add_ids(feed, object);
    if (!json_is_string(text))
        return hone_err_new(HONE_E_CORRUPT, "it has neither a string 'text' nor 'ids'");
    if (second && !json_is_null(second) && !json_is_string(second))
        return hone_err_new(HONE_E_CORRUPT, "'text_pair' is no string");
    hone_str pair = json_is_string(second) ? hone_json_str(second) : (hone_str){0};
    return add_text(feed, hone_json_str(text), pair);
}

static hone_err add_line(hone_feed *feed, hone_str line) {
    if (!feed->jsonl) return add_text(feed, line, (hone_str){0});
    json_t *object = NULL;
    HONE_TRY(hone_json_parse(line, "JSON", &object));
    hone_err err = add_object(feed, object);
    json_decref(object);
    return err;
}

/* One sequence is checked as soon as it is there, so that the message can name its line. */
static hone_err check_last(hone_feed *feed) {
    hone_pack pack;
    size_t last = feed->sequences.count - 1;
    HONE_TRY(hone_sequences_pack(&feed->sequences, last, last + 1, &pack));
    for (size_t i = 0; i < pack.tokens; i++) {
        if ((size_t)pack.ids[i] >= feed->config->vocab)
            return hone_err_new(HONE_E_INVALID, "token id %d is outside the vocabulary of %zu",
                                pack.ids[i], feed->config->vocab);
        if (feed->config->types > 0 && (size_t)pack.types[i] >= feed->config->types)
            return hone_err_new(HONE_E_INVALID, "token type %d, the model has %zu", pack.types[i],
                                feed->config->types);
    }
    return HONE_OK;
}

/* Read one line into the batch; sets ended or failed when there is none. */
static void read_line(hone_feed *feed) {
    hone_str line;
    bool more = false;
    hone_err err = hone_lines_next(feed->lines, &line, &more);
    if (!hone_failed(err) && !more) {
        feed->ended = true;
        return;
    }
    size_t before = feed->sequences.count;
    if (!hone_failed(err)) {
        err = add_line(feed, line);
        if (!hone_failed(err)) err = check_last(feed);
        if (hone_failed(err))
            err = hone_err_wrap(err, "'%s': line %zu", feed->input, hone_lines_number(feed->lines));
    }
    if (!hone_failed(err)) return;
    /* Answering the lines before this one makes other errors' slots turn over: keep the words. */
    (void)snprintf(feed->failed_msg, sizeof feed->failed_msg, "%s", err.msg);
    feed->failed = (hone_err){err.code, feed->failed_msg};
    if (feed->sequences.count > before) hone_sequences_pop(&feed->sequences);
}

hone_err hone_feed_next(hone_feed *feed, hone_pack *out) {
    hone_sequences_clear(&feed->sequences);
    hone_arena_reset(feed->arena);
    hone_sequences *s = &feed->sequences;
    while (!feed->ended && !hone_failed(feed->failed) && s->tokens < BATCH_TOKENS &&
           s->count < BATCH_TEXTS) {
        if (s->count > 0 && !hone_lines_ready(feed->lines)) break;
        read_line(feed);
    }
    if (s->count == 0) {
        *out = (hone_pack){0};
        if (!hone_failed(feed->failed)) return HONE_OK;
        return hone_err_new(feed->failed.code, "%s", feed->failed_msg); /* outlives the feed */
    }
    return hone_sequences_pack(s, 0, s->count, out);
}
