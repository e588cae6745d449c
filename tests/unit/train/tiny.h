/* tiny.h: a base model and texts that train in a second: the golden BERT with a vocabulary of
 * letters and a few words, and sentences whose label a word decides. */
#ifndef HONE_TESTS_TRAIN_TINY_H
#define HONE_TESTS_TRAIN_TINY_H

#include "check.h"

#include "data/dataset.h"

#include <unistd.h>

static const char *const tiny_words[] = {
    "good", "great", "fine",  "lovely", "bad",   "poor", "awful", "dull", "the",  "film", "was",
    "food", "and",   "staff", "room",   "very",  "so",   "a",     "it",   "not",  "is",   "book",
    "our",  "trip",  "tea",   "came",   "late",  "cold", "warm",  "here", "we",   "had",  "to",
    "wait", "again", "today", "never",  "there", "i",    "liked", "my",   "seat",
};
enum { TINY_WORDS = sizeof tiny_words / sizeof tiny_words[0] };

/* dir/base: config.json and model.safetensors of the golden BERT, and a vocabulary of its 99
 * pieces. */
static inline void tiny_base(const char *dir) {
    char command[1024], path[256];
    (void)snprintf(command, sizeof command,
                   "mkdir '%s/base' && cp '%s/config.json' '%s/model.safetensors' '%s/base/'", dir,
                   GOLDEN("model/bert"), GOLDEN("model/bert"), dir);
    if (system(command) != 0) fail_msg("cannot make a base model");
    (void)snprintf(path, sizeof path, "%s/base/vocab.txt", dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n", file);
    for (char c = 'a'; c <= 'z'; c++) fprintf(file, "##%c\n", c);
    for (char c = 'b'; c <= 'z'; c++) /* "a" and "i" are words */
        if (c != 'i') fprintf(file, "%c\n", c);
    for (size_t i = 0; i < TINY_WORDS; i++) fprintf(file, "%s\n", tiny_words[i]);
    for (size_t i = 5 + 26 + 24 + TINY_WORDS; i < 99; i++) fprintf(file, "[unused%zu]\n", i);
    (void)fclose(file);
}

/* count sentences of 3 to 9 words; label k of labels when the k-th kind of word is in it. */
static inline hone_dataset tiny_data(hone_arena *arena, size_t count, size_t first,
                                     const char *const *labels, size_t label_count) {
    hone_record *records = hone_arena_alloc(arena, count, sizeof *records);
    assert_non_null(records);
    for (size_t i = 0; i < count; i++) {
        char text[256];
        size_t used = 0, n = i + first, kind = n % label_count;
        for (size_t w = 0; w < 3 + n % 7; w++) {
            const char *word = w == n % 3 ? tiny_words[kind * 4 + n / label_count % 4]
                                          : tiny_words[8 + n * (w + 3) * 31 % (TINY_WORDS - 8)];
            used += (size_t)snprintf(text + used, sizeof text - used, "%s ", word);
        }
        char *copy = hone_arena_strdup(arena, (hone_str){text, used});
        assert_non_null(copy);
        records[i] = (hone_record){{copy, used}, hone_str_of(labels[kind]), i + 1};
    }
    return (hone_dataset){.name = "tiny", .count = count, .records = records};
}

#endif
