/* sample.c: see sample.h. The order is a Fisher-Yates shuffle drawn from Philox, so a sample
 * is a function of (records, seed), of no library's generator. */
#include "data/sample.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/philox.h"

#include <stdlib.h>

/* What a shuffle is of: the second word of its counter. */
typedef enum pool_kind { POOL_BOTH, POOL_TRAIN, POOL_TEST } pool_kind;

static const size_t saved_bytes_max = (size_t)4 << 30;

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory for a sample"); }

/* --- texts -------------------------------------------------------------------------- */

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}

static hone_str trim(hone_str s) {
    while (s.len > 0 && is_space(s.ptr[0])) s = (hone_str){s.ptr + 1, s.len - 1};
    while (s.len > 0 && is_space(s.ptr[s.len - 1])) s.len--;
    return s;
}

static bool is_plain(hone_str s) {
    for (size_t i = 0; i < s.len; i++)
        if (is_space(s.ptr[i]) && (s.ptr[i] != ' ' || s.ptr[i + 1] == ' ')) return false;
    return true; /* i + 1 is inside: a trimmed text does not end in a space */
}

hone_str hone_text_key(hone_arena *arena, hone_str text) {
    text = trim(text);
    if (text.len == 0) return (hone_str){"", 0};
    if (is_plain(text)) return text;
    char *out = hone_arena_alloc(arena, text.len, 1);
    size_t len = 0;
    for (size_t i = 0; out && i < text.len; i++) {
        if (!is_space(text.ptr[i]))
            out[len++] = text.ptr[i];
        else if (out[len - 1] != ' ')
            out[len++] = ' ';
    }
    return (hone_str){out, len};
}

static int compare_keys(const void *a, const void *b) {
    return hone_str_compare(*(const hone_str *)a, *(const hone_str *)b);
}

hone_err hone_textset_create(hone_arena *arena, const hone_dataset *dataset, hone_textset *out) {
    hone_str *keys = hone_arena_alloc(arena, dataset->count + 1, sizeof *keys);
    if (!keys) return no_memory();
    for (size_t i = 0; i < dataset->count; i++) {
        keys[i] = hone_text_key(arena, dataset->records[i].text);
        if (!keys[i].ptr) return no_memory();
    }
    qsort(keys, dataset->count, sizeof *keys, compare_keys);
    size_t count = 0;
    for (size_t i = 0; i < dataset->count; i++)
        if (count == 0 || !hone_str_equal(keys[count - 1], keys[i])) keys[count++] = keys[i];
    *out = (hone_textset){count, keys};
    return HONE_OK;
}

bool hone_textset_has(const hone_textset *set, hone_str key) {
    return set->count > 0 && bsearch(&key, set->keys, set->count, sizeof key, compare_keys);
}

/* --- drawing ------------------------------------------------------------------------ */

static hone_err shuffle(hone_arena *arena, size_t count, uint64_t seed, pool_kind kind,
                        uint32_t **out) {
    uint32_t *order = hone_arena_alloc(arena, count + 1, sizeof *order);
    if (!order) return no_memory();
    for (size_t i = 0; i < count; i++) order[i] = (uint32_t)i;
    for (size_t i = count; i-- > 1;) {
        hone_philox r = hone_philox_at(seed, (uint32_t)i, (uint32_t)kind, 0, HONE_STREAM_SAMPLE);
        uint64_t wide = (uint64_t)r.word[0] << 32 | r.word[1];
        size_t j = (size_t)(wide % (i + 1)); /* 64 bits: the bias is under 2^-38 */
        uint32_t swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
    }
    *out = order;
    return HONE_OK;
}

/* The first of pool in this order, from `at` on, that are not in `without`; at most `limit`. */
static hone_err take(hone_arena *arena, const hone_dataset *pool, const uint32_t *order, size_t at,
                     size_t limit, const hone_textset *without, hone_dataset *out, size_t *leaks) {
    size_t room = pool->count - at < limit ? pool->count - at : limit, count = 0;
    hone_record *records = hone_arena_alloc(arena, room + 1, sizeof *records);
    if (!records) return no_memory();
    for (; at < pool->count && count < limit; at++) {
        const hone_record *record = &pool->records[order[at]];
        if (without && without->count > 0) {
            hone_str key = hone_text_key(arena, record->text);
            if (!key.ptr) return no_memory();
            if (hone_textset_has(without, key)) {
                (*leaks)++;
                continue;
            }
        }
        records[count++] = *record;
    }
    *out = (hone_dataset){.name = pool->name, .count = count, .records = records};
    return HONE_OK;
}

static hone_err check_left(const hone_sample *sample, const hone_dataset *pool) {
    if (sample->train.count > 0) return HONE_OK;
    return hone_err_new(HONE_E_INVALID,
                        "'%s': every text is in the test set, none is left to train on",
                        pool->name);
}

/* Of one pool of count >= 2. */
static size_t test_size(size_t count, hone_sample_options o) {
    size_t test = o.test;
    if (test == 0)
        test = count / 5;
    else if (o.train > 0 && (o.train >= count || test > count - o.train))
        test = (size_t)((double)count * ((double)test / ((double)test + (double)o.train)));
    if (test >= count) test = count - 1;
    return test ? test : 1;
}

hone_err hone_sample_split(hone_arena *arena, const hone_dataset *pool, hone_sample_options options,
                           hone_sample *out) {
    size_t count = pool->count;
    if (count < 2)
        return hone_err_new(HONE_E_INVALID,
                            "'%s' has one record: a training and a test set need two", pool->name);
    size_t test = test_size(count, options), train = options.train ? options.train : count;
    uint32_t *order = NULL;
    hone_textset held;
    hone_sample sample = {.leaks = 0};
    HONE_TRY(shuffle(arena, count, options.seed, POOL_BOTH, &order));
    HONE_TRY(take(arena, pool, order, 0, test, NULL, &sample.test, NULL));
    HONE_TRY(hone_textset_create(arena, &sample.test, &held));
    HONE_TRY(take(arena, pool, order, test, train, &held, &sample.train, &sample.leaks));
    HONE_TRY(check_left(&sample, pool));
    *out = sample;
    return HONE_OK;
}

hone_err hone_sample_pair(hone_arena *arena, const hone_dataset *train, const hone_dataset *test,
                          hone_sample_options options, hone_sample *out) {
    uint32_t *order = NULL;
    hone_textset held;
    hone_sample sample = {.leaks = 0};
    size_t train_max = options.train ? options.train : train->count;
    size_t test_max = options.test ? options.test : test->count;
    HONE_TRY(shuffle(arena, test->count, options.seed, POOL_TEST, &order));
    HONE_TRY(take(arena, test, order, 0, test_max, NULL, &sample.test, NULL));
    HONE_TRY(hone_textset_create(arena, &sample.test, &held));
    HONE_TRY(shuffle(arena, train->count, options.seed, POOL_TRAIN, &order));
    HONE_TRY(take(arena, train, order, 0, train_max, &held, &sample.train, &sample.leaks));
    HONE_TRY(check_left(&sample, train));
    *out = sample;
    return HONE_OK;
}

/* --- data sets ---------------------------------------------------------------------- */

hone_err hone_dataset_join(hone_arena *arena, const hone_dataset *parts, size_t count,
                           hone_dataset *out) {
    if (count == 1) {
        *out = parts[0];
        return HONE_OK;
    }
    size_t total = 0;
    for (size_t i = 0; i < count; i++) total += parts[i].count;
    if (total > HONE_RECORDS_MAX)
        return hone_err_new(HONE_E_FULL, "%zu files hold more than %d records", count,
                            HONE_RECORDS_MAX);
    hone_record *records = hone_arena_alloc(arena, total + 1, sizeof *records);
    if (!records) return no_memory();
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(records + at, parts[i].records, parts[i].count * sizeof *records);
        at += parts[i].count;
    }
    *out = (hone_dataset){.name = parts[0].name, .count = total, .records = records};
    return HONE_OK;
}

hone_err hone_dataset_save(const hone_dataset *dataset, const char *path) {
    hone_buf out;
    hone_buf_init(&out, saved_bytes_max);
    for (size_t i = 0; i < dataset->count; i++) {
        hone_buf_push(&out, HONE_S("{\"text\": "));
        hone_json_push_str(&out, dataset->records[i].text);
        hone_buf_push(&out, HONE_S(", \"label\": "));
        hone_json_push_str(&out, dataset->records[i].label);
        hone_buf_push(&out, HONE_S("}\n"));
    }
    hone_err err = hone_buf_err(&out);
    if (!hone_failed(err)) err = hone_file_save(path, hone_buf_str(&out));
    hone_buf_done(&out);
    return err;
}
