/* dataset.c: see dataset.h. Names are kept sorted, so a label is found by bisection. */
#include "data/dataset.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { SHOWN_LABELS_MAX = 10 }; /* in a message */

/* Where label is in sorted names, or where it would go. */
static size_t lower_bound(const hone_str *names, size_t count, hone_str label) {
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (hone_str_compare(names[middle], label) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

hone_err hone_dataset_labels(hone_arena *arena, const hone_dataset *dataset, hone_labels *out) {
    hone_str *sorted = hone_arena_alloc(arena, HONE_LABELS_MAX, sizeof *sorted);
    if (!sorted) return hone_err_new(HONE_E_NOMEM, "no memory for labels");
    size_t count = 0;
    for (size_t i = 0; i < dataset->count; i++) {
        hone_str label = dataset->records[i].label;
        size_t at = lower_bound(sorted, count, label);
        if (at < count && hone_str_equal(sorted[at], label)) continue;
        if (count == HONE_LABELS_MAX)
            return hone_err_new(HONE_E_FULL,
                                "'%s' has more than %d different labels: is this the label column?",
                                dataset->name, HONE_LABELS_MAX);
        memmove(sorted + at + 1, sorted + at, (count - at) * sizeof *sorted);
        sorted[at] = label;
        count++;
    }

    const char **names = hone_arena_alloc(arena, count, sizeof *names);
    if (!names) return hone_err_new(HONE_E_NOMEM, "no memory for labels");
    for (size_t i = 0; i < count; i++) {
        names[i] = hone_arena_strdup(arena, sorted[i]);
        if (!names[i]) return hone_err_new(HONE_E_NOMEM, "no memory for labels");
    }
    *out = (hone_labels){count, names};
    return HONE_OK;
}

/* A label and its id, sorted by label: labels come in the order of their ids. */
typedef struct entry {
    hone_str name;
    int32_t id;
} entry;

static int compare_entries(const void *a, const void *b) {
    return hone_str_compare(((const entry *)a)->name, ((const entry *)b)->name);
}

static const entry *find_entry(const entry *entries, size_t count, hone_str name) {
    entry key = {name, 0};
    return bsearch(&key, entries, count, sizeof key, compare_entries);
}

/* Are the names LABEL_0, LABEL_1, ... in order? */
static bool are_default(hone_labels labels) {
    for (size_t i = 0; i < labels.count; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "LABEL_%zu", i);
        if (strcmp(labels.names[i], name) != 0) return false;
    }
    return true;
}

static hone_err unknown_label(const hone_dataset *dataset, const hone_record *record,
                              hone_labels labels) {
    char known[512];
    size_t used = 0;
    known[0] = '\0';
    for (size_t i = 0; i < labels.count && i < SHOWN_LABELS_MAX && used < sizeof known; i++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s'%.40s'", i ? ", " : "",
                                 labels.names[i]);
    return hone_err_new(HONE_E_INVALID,
                        "'%s' line %zu: label '%.*s' is none of the %zu known: %s%s", dataset->name,
                        record->line, HONE_ARG(record->label), labels.count, known,
                        labels.count > SHOWN_LABELS_MAX ? ", ..." : "");
}

hone_err hone_dataset_ids(hone_arena *arena, const hone_dataset *dataset, hone_labels labels,
                          int32_t **out) {
    entry *entries = hone_arena_alloc(arena, labels.count, sizeof *entries);
    int32_t *ids = hone_arena_alloc(arena, dataset->count, sizeof *ids);
    if (!entries || !ids) return hone_err_new(HONE_E_NOMEM, "no memory for label ids");
    bool defaults = are_default(labels);
    size_t skipped = defaults ? strlen("LABEL_") : 0;
    for (size_t i = 0; i < labels.count; i++)
        entries[i] = (entry){hone_str_of(labels.names[i] + skipped), (int32_t)i};
    qsort(entries, labels.count, sizeof *entries, compare_entries);

    for (size_t i = 0; i < dataset->count; i++) {
        hone_str label = dataset->records[i].label;
        if (defaults && hone_str_has_prefix(label, HONE_S("LABEL_")))
            label = (hone_str){label.ptr + skipped, label.len - skipped};
        const entry *found = find_entry(entries, labels.count, label);
        if (!found) return unknown_label(dataset, &dataset->records[i], labels);
        ids[i] = found->id;
    }
    *out = ids;
    return HONE_OK;
}

hone_err hone_dataset_numbers(hone_arena *arena, const hone_dataset *dataset, float **out) {
    float *numbers = hone_arena_alloc(arena, dataset->count, sizeof *numbers);
    if (!numbers) return hone_err_new(HONE_E_NOMEM, "no memory for numbers");
    for (size_t i = 0; i < dataset->count; i++) {
        const hone_record *record = &dataset->records[i];
        char text[64], *end = NULL;
        size_t len = record->label.len < sizeof text ? record->label.len : sizeof text - 1;
        memcpy(text, record->label.ptr, len);
        text[len] = '\0';
        numbers[i] = strtof(text, &end);
        while (*end == ' ') end++;
        if (len < record->label.len || end == text || *end != '\0' || !isfinite(numbers[i]))
            return hone_err_new(HONE_E_INVALID, "'%s' line %zu: label '%s' is no number",
                                dataset->name, record->line, text);
    }
    *out = numbers;
    return HONE_OK;
}
