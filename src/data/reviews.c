/* reviews.c: see reviews.h. */
#include "data/reviews.h"

#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

enum {
    ANSWERS_MAX = 100, /* of one loop: the wire allows 3 */
    REASON_BYTES_MAX = 300,
};

static const char *const text_default = "/inputContent/taskObject";
static const char *const labels_default[] = {"/category/label", "/category/labels", NULL};

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory for reviews"); }

const char *hone_review_fate_name(hone_review_fate fate) {
    static const char *const names[HONE_REVIEW_FATES] = {
        "merged", "broken", "ignored", "tied", "unknown_label", "superseded", "in_test_set"};
    return names[fate];
}

/* --- JSON pointers ------------------------------------------------------------------ */

static bool is_pointer(const char *text) {
    if (*text != '\0' && *text != '/') return false;
    for (; *text; text++)
        if (*text == '~' && text[1] != '0' && text[1] != '1') return false;
    return true;
}

/* One token of a pointer, unescaped; *at moves behind it. False when it is too long to be a key
 * that anybody has. */
static bool next_token(const char **at, char *out, size_t size_bytes) {
    size_t len = 0;
    const char *c = *at + 1; /* behind '/' */
    for (; *c && *c != '/'; c++) {
        char byte = *c;
        if (byte == '~') byte = *++c == '0' ? '~' : '/';
        if (len + 1 == size_bytes) return false;
        out[len++] = byte;
    }
    out[len] = '\0';
    *at = c;
    return true;
}

/* What pointer leads to, or NULL. */
static const json_t *follow(const json_t *value, const char *pointer) {
    char token[256];
    while (value && *pointer) {
        if (!next_token(&pointer, token, sizeof token)) return NULL;
        if (json_is_object(value)) {
            value = json_object_get(value, token);
            continue;
        }
        char *end = NULL;
        unsigned long index = strtoul(token, &end, 10);
        bool is_index = token[0] >= '0' && token[0] <= '9' && *end == '\0';
        value = json_is_array(value) && is_index ? json_array_get(value, index) : NULL;
    }
    return value;
}

hone_err hone_review_rules_check(const hone_review_rules *rules, const char *where) {
    if (rules->text && !is_pointer(rules->text))
        return hone_err_new(HONE_E_INVALID, "%s: '%s' is no JSON pointer, as /inputContent/text is",
                            where, rules->text);
    for (size_t i = 0; rules->labels && rules->labels[i]; i++)
        if (!is_pointer(rules->labels[i]))
            return hone_err_new(HONE_E_INVALID,
                                "%s: '%s' is no JSON pointer, as /category/label is", where,
                                rules->labels[i]);
    const char *key = NULL;
    json_t *value = NULL, *map = hone_json_loose(rules->label_map);
    if (map && !json_is_object(map))
        return hone_err_new(HONE_E_INVALID, "%s: the label map is no JSON object", where);
    json_object_foreach(
        map, key, value) if (!json_is_string(value) ||
                             !json_string_length(
                                 value)) return hone_err_new(HONE_E_INVALID,
                                                             "%s: the label map's '%s' is no label",
                                                             where, key);
    if (rules->ignored && !json_is_array(rules->ignored))
        return hone_err_new(HONE_E_INVALID, "%s: the ignored answers are no JSON array", where);
    size_t i = 0;
    json_array_foreach(rules->ignored, i, value) if (!json_is_string(value)) return hone_err_new(
        HONE_E_INVALID, "%s: an ignored answer is no string", where);
    return HONE_OK;
}

/* --- one answer --------------------------------------------------------------------- */

/* What one reviewer said. */
typedef struct vote {
    hone_review_fate fate; /* MERGED, IGNORED, UNKNOWN or BROKEN */
    hone_str label;        /* as the data set has it; as it was said for the others */
    const char *broken;    /* why */
} vote;

static bool is_ignored(const hone_review_rules *rules, hone_str answer) {
    if (!rules->ignored)
        return answer.len == strlen("Not Clear") &&
               strncasecmp(answer.ptr, "Not Clear", answer.len) == 0;
    size_t i = 0;
    json_t *value = NULL;
    json_array_foreach(rules->ignored, i, value) {
        hone_str one = hone_json_str(value);
        if (one.len == answer.len && strncasecmp(one.ptr, answer.ptr, one.len) == 0) return true;
    }
    return false;
}

/* The label that an answer means: as mapped, else a known one, exactly or but for case. */
static bool find_label(const hone_review_rules *rules, hone_str answer, hone_str *out) {
    const json_t *mapped = rules->label_map
                               ? json_object_getn(rules->label_map, answer.ptr, answer.len)
                               : NULL;
    if (mapped) {
        *out = hone_json_str(mapped);
        return true;
    }
    bool found = false;
    for (size_t i = 0; i < rules->known.count; i++) {
        hone_str name = hone_str_of(rules->known.names[i]);
        if (name.len != answer.len || strncasecmp(name.ptr, answer.ptr, name.len) != 0) continue;
        bool exact = hone_str_equal(name, answer);
        if (!found || exact) *out = name;
        found = true;
        if (exact) break;
    }
    return found;
}

static vote broken(const char *why) { return (vote){.fate = HONE_REVIEW_BROKEN, .broken = why}; }

static vote read_vote(const json_t *answer, const hone_review_rules *rules) {
    const json_t *content = json_object_get(answer, "answerContent"), *value = NULL;
    const char *const *pointers = rules->labels ? rules->labels : labels_default;
    if (!json_is_object(content)) return broken("an answer has no answerContent");
    for (size_t i = 0; pointers[i] && !value; i++) value = follow(content, pointers[i]);
    if (!value) return broken("an answer has nothing where its label should be");
    if (json_is_array(value)) {
        if (json_array_size(value) == 0) return broken("no label was chosen");
        if (json_array_size(value) > 1) return broken("more than one label was chosen");
        value = json_array_get(value, 0);
    }
    hone_str said = hone_json_str(value);
    if (!json_is_string(value) || said.len == 0) return broken("a label is no string");
    if (said.len > HONE_LABEL_BYTES_MAX || memchr(said.ptr, '\0', said.len))
        return broken("a label is too long, or holds a NUL");
    vote v = {.fate = HONE_REVIEW_MERGED, .label = said};
    if (is_ignored(rules, said))
        v.fate = HONE_REVIEW_IGNORED;
    else if (!find_label(rules, said, &v.label))
        v.fate = HONE_REVIEW_UNKNOWN;
    return v;
}

/* "2026-11-24T06:02:59.123Z" as milliseconds; 0 for anything else, the oldest of times. */
static int64_t parse_time(hone_str text) {
    char copy[40], *end = NULL;
    if (text.len >= sizeof copy) return 0;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    struct tm t = {0};
    end = strptime(copy, "%Y-%m-%dT%H:%M:%S", &t);
    if (!end) return 0;
    int64_t ms = 0;
    if (*end == '.') {
        int scale = 100;
        for (end++; *end >= '0' && *end <= '9'; end++, scale /= 10)
            ms += (int64_t)(*end - '0') * scale;
    }
    return strcmp(end, "Z") == 0 ? (int64_t)timegm(&t) * 1000 + ms : 0;
}

/* --- one document ------------------------------------------------------------------- */

static hone_err leave_out(hone_arena *arena, hone_review *r, hone_review_fate fate,
                          const char *reason) {
    hone_err told = hone_err_new(HONE_E_INVALID, "%s", reason); /* one line, no control bytes */
    r->fate = fate;
    r->reason = hone_arena_strdup(arena, hone_str_of(told.msg));
    return r->reason ? HONE_OK : no_memory();
}

static hone_err keep_str(hone_arena *arena, hone_str s, hone_str *out) {
    char *copy = hone_arena_strdup(arena, s);
    if (!copy) return no_memory();
    *out = (hone_str){copy, s.len};
    return HONE_OK;
}

/* The vote with most equals; false when two have as many. */
static bool elect(const vote *votes, size_t count, const vote **out) {
    size_t best = 0;
    bool tied = false;
    for (size_t i = 0; i < count; i++) {
        size_t equals = 0;
        bool first = true;
        for (size_t j = 0; j < count; j++) {
            bool same = votes[i].fate == votes[j].fate &&
                        (votes[i].fate == HONE_REVIEW_IGNORED ||
                         hone_str_equal(votes[i].label, votes[j].label));
            if (same && j < i) first = false;
            equals += same;
        }
        if (!first || equals < best) continue;
        tied = equals == best;
        if (tied) continue;
        best = equals;
        *out = &votes[i];
    }
    return !tied;
}

/* Let the answers vote. */
static hone_err count_votes(hone_arena *arena, const json_t *answers,
                            const hone_review_rules *rules, hone_review *r) {
    vote votes[ANSWERS_MAX] = {0};
    const vote *won = NULL;
    char reason[REASON_BYTES_MAX];
    size_t count = json_array_size(answers), i = 0;
    json_t *answer = NULL;
    if (count == 0) return leave_out(arena, r, HONE_REVIEW_BROKEN, "there are no humanAnswers");
    if (count > ANSWERS_MAX)
        return leave_out(arena, r, HONE_REVIEW_BROKEN, "there are too many humanAnswers");
    r->answers = count;
    json_array_foreach(answers, i, answer) {
        int64_t when = parse_time(hone_json_str(json_object_get(answer, "submissionTime")));
        if (when > r->when_ms) r->when_ms = when;
        votes[i] = read_vote(answer, rules);
        if (votes[i].fate == HONE_REVIEW_BROKEN)
            return leave_out(arena, r, HONE_REVIEW_BROKEN, votes[i].broken);
    }
    if (!elect(votes, count, &won)) {
        (void)snprintf(reason, sizeof reason, "%zu reviewers disagree", count);
        return leave_out(arena, r, HONE_REVIEW_TIED, reason);
    }
    if (won->fate == HONE_REVIEW_MERGED) return keep_str(arena, won->label, &r->label);
    (void)snprintf(reason, sizeof reason, "the answer '%.*s' %s",
                   (int)(won->label.len > 100 ? 100 : won->label.len), won->label.ptr,
                   won->fate == HONE_REVIEW_IGNORED ? "is one that is left out"
                                                    : "is no label of the data set");
    return leave_out(arena, r, won->fate, reason);
}

static hone_err read_document(hone_arena *arena, const json_t *document,
                              const hone_review_rules *rules, hone_review *r) {
    const json_t *text = follow(document, rules->text ? rules->text : text_default);
    const json_t *answers = json_object_get(document, "humanAnswers");
    hone_str name = hone_json_str(json_object_get(document, "humanLoopName"));
    char reason[REASON_BYTES_MAX];
    r->loop = hone_arena_strdup(arena, name);
    if (!r->loop) return no_memory();
    if (!json_is_string(text)) {
        (void)snprintf(reason, sizeof reason, "there is no text at %.200s",
                       rules->text ? rules->text : text_default);
        return leave_out(arena, r, HONE_REVIEW_BROKEN, reason);
    }
    if (json_string_length(text) > HONE_TEXT_BYTES_MAX)
        return leave_out(arena, r, HONE_REVIEW_BROKEN, "the text is too long");
    HONE_TRY(keep_str(arena, hone_json_str(text), &r->text));
    r->key = hone_text_key(arena, r->text);
    if (!r->key.ptr) return no_memory();
    if (r->key.len == 0) return leave_out(arena, r, HONE_REVIEW_BROKEN, "the text is empty");
    if (!json_is_array(answers))
        return leave_out(arena, r, HONE_REVIEW_BROKEN, "humanAnswers is no array");
    return count_votes(arena, answers, rules, r);
}

hone_err hone_review_read(hone_arena *arena, hone_str bytes, const char *source,
                          const hone_review_rules *rules, hone_review *out) {
    hone_review r = {.loop = "", .reason = "", .text = {"", 0}, .key = {"", 0}, .label = {"", 0}};
    json_t *document = NULL;
    r.source = hone_arena_strdup(arena, hone_str_of(source));
    if (!r.source) return no_memory();
    hone_err err = hone_json_parse(bytes, "the document", &document);
    if (hone_failed(err))
        err = leave_out(arena, &r, HONE_REVIEW_BROKEN, err.msg);
    else
        err = read_document(arena, document, rules, &r);
    json_decref(document);
    if (hone_failed(err)) return err;
    *out = r;
    return HONE_OK;
}

/* --- all of them -------------------------------------------------------------------- */

/* By text; then the newest word first. */
static int compare_reviews(const void *a, const void *b) {
    const hone_review *x = *(const hone_review *const *)a, *y = *(const hone_review *const *)b;
    int order = hone_str_compare(x->key, y->key);
    if (order != 0) return order;
    if (x->when_ms != y->when_ms) return x->when_ms > y->when_ms ? -1 : 1;
    return strcmp(y->source, x->source);
}

/* A word on a text: an unknown answer or a tie also takes back what was said before. */
static bool is_word(const hone_review *r) { return r->fate != HONE_REVIEW_BROKEN; }

hone_err hone_reviews_settle(hone_arena *arena, hone_review *reviews, size_t count,
                             const hone_textset *held_out) {
    hone_review **sorted = hone_arena_alloc(arena, count + 1, sizeof(hone_review *));
    if (!sorted) return no_memory();
    size_t words = 0;
    for (size_t i = 0; i < count; i++)
        if (is_word(&reviews[i])) sorted[words++] = &reviews[i];
    qsort(sorted, words, sizeof(hone_review *), compare_reviews);
    for (size_t i = 0; i < words; i++) {
        hone_review *r = sorted[i];
        if (i > 0 && hone_str_equal(sorted[i - 1]->key, r->key)) {
            char reason[REASON_BYTES_MAX];
            (void)snprintf(reason, sizeof reason, "a newer answer on the same text: %.200s",
                           sorted[i - 1]->source);
            HONE_TRY(leave_out(arena, r, HONE_REVIEW_SUPERSEDED, reason));
        } else if (r->fate == HONE_REVIEW_MERGED && hone_textset_has(held_out, r->key)) {
            HONE_TRY(leave_out(arena, r, HONE_REVIEW_HELD_OUT, "the text is in the test set"));
        }
    }
    return HONE_OK;
}

/* The merged reviews in the order of their texts, as a data set. */
static hone_err list_merged(hone_arena *arena, const hone_review *reviews, size_t count,
                            hone_dataset *out) {
    hone_record *records = hone_arena_alloc(arena, count + 1, sizeof *records);
    const hone_review **sorted = hone_arena_alloc(arena, count + 1, sizeof(const hone_review *));
    if (!records || !sorted) return no_memory();
    size_t merged = 0;
    for (size_t i = 0; i < count; i++)
        if (reviews[i].fate == HONE_REVIEW_MERGED) sorted[merged++] = &reviews[i];
    qsort(sorted, merged, sizeof(const hone_review *), compare_reviews);
    for (size_t i = 0; i < merged; i++)
        records[i] = (hone_record){.text = sorted[i]->text, .label = sorted[i]->label};
    *out = (hone_dataset){.name = "reviews", .count = merged, .records = records};
    return HONE_OK;
}

hone_err hone_reviews_merge(hone_arena *arena, const hone_dataset *sample,
                            const hone_review *reviews, size_t count, size_t weight,
                            hone_merge *out) {
    hone_dataset merged;
    hone_textset reviewed;
    HONE_TRY(list_merged(arena, reviews, count, &merged));
    HONE_TRY(hone_textset_create(arena, &merged, &reviewed));
    hone_merge merge = {.added = merged.count * weight};
    hone_record *records = hone_arena_alloc(arena, sample->count + merge.added + 1,
                                            sizeof *records);
    if (!records) return no_memory();
    size_t at = 0;
    for (size_t i = 0; i < sample->count; i++) {
        if (weight > 0 && reviewed.count > 0) {
            hone_str key = hone_text_key(arena, sample->records[i].text);
            if (!key.ptr) return no_memory();
            if (hone_textset_has(&reviewed, key)) {
                merge.replaced++;
                continue;
            }
        }
        records[at++] = sample->records[i];
    }
    for (size_t i = 0; i < merged.count; i++)
        for (size_t copy = 0; copy < weight; copy++) records[at++] = merged.records[i];
    merge.train = (hone_dataset){.name = sample->name, .count = at, .records = records};
    *out = merge;
    return HONE_OK;
}
