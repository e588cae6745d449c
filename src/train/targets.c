/* targets.c: see targets.h. */
#include "train/targets.h"

#include <stdlib.h>
#include <string.h>

hone_err hone_problem_parse(const char *name, hone_problem *out) {
    if (strcmp(name, "single_label_classification") == 0)
        *out = HONE_SINGLE_LABEL;
    else if (strcmp(name, "regression") == 0)
        *out = HONE_REGRESSION;
    else
        return hone_err_new(HONE_E_INVALID,
                            "problem type '%s': expected single_label_classification or regression",
                            name);
    return HONE_OK;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Does config have exactly these labels, in whatever order? */
static bool has_labels(hone_arena *arena, const hone_config *config, hone_labels labels) {
    if (config->problem != HONE_SINGLE_LABEL || config->labels != labels.count) return false;
    const char **names = hone_arena_alloc(arena, labels.count, sizeof *names);
    if (!names) return false;
    for (size_t i = 0; i < labels.count; i++) names[i] = config->label_names[i];
    qsort(names, labels.count, sizeof *names, compare_names);
    for (size_t i = 0; i < labels.count; i++)
        if (strcmp(names[i], labels.names[i]) != 0) return false;
    return true;
}

static bool is_among(const char *name, hone_labels labels) {
    for (size_t i = 0; i < labels.count; i++)
        if (strcmp(name, labels.names[i]) == 0) return true;
    return false;
}

/* first, then those of labels that are not in it. */
static hone_err append_labels(hone_arena *arena, hone_labels first, hone_labels labels,
                              hone_labels *out) {
    const char **names = hone_arena_alloc(arena, first.count + labels.count, sizeof *names);
    if (!names) return hone_err_new(HONE_E_NOMEM, "no memory for labels");
    size_t count = 0;
    for (size_t i = 0; i < first.count; i++) names[count++] = first.names[i];
    for (size_t i = 0; i < labels.count; i++)
        if (!is_among(labels.names[i], first)) names[count++] = labels.names[i];
    if (count > HONE_LABELS_MAX)
        return hone_err_new(HONE_E_FULL, "%zu labels: at most %d", count, HONE_LABELS_MAX);
    *out = (hone_labels){count, names};
    return HONE_OK;
}

hone_err hone_targets_choose(hone_arena *arena, const hone_dataset *train, hone_problem problem,
                             hone_labels first, hone_config *config) {
    if (problem == HONE_REGRESSION) {
        const char *only[] = {"LABEL_0"};
        return hone_config_set_labels(config, problem, only, 1);
    }
    hone_labels labels;
    HONE_TRY(hone_dataset_labels(arena, train, &labels));
    if (labels.count == 1)
        return hone_err_new(HONE_E_INVALID,
                            "'%s' has one class only, '%s': there is nothing to tell apart",
                            train->name, labels.names[0]);
    if (first.count > 0) {
        HONE_TRY(append_labels(arena, first, labels, &labels));
        return hone_config_set_labels(config, problem, labels.names, labels.count);
    }
    const char **names = hone_arena_alloc(arena, labels.count, sizeof *names);
    if (!names) return hone_err_new(HONE_E_NOMEM, "no memory for labels");
    bool keep = has_labels(arena, config, labels);
    for (size_t i = 0; i < labels.count; i++) /* copied: set_labels replaces config's own */
        names[i] = keep ? hone_arena_strdup(arena, hone_str_of(config->label_names[i]))
                        : labels.names[i];
    for (size_t i = 0; i < labels.count; i++)
        if (!names[i]) return hone_err_new(HONE_E_NOMEM, "no memory for labels");
    return hone_config_set_labels(config, problem, names, labels.count);
}

hone_err hone_targets_read(hone_arena *arena, const hone_dataset *dataset,
                           const hone_config *config, hone_targets *out) {
    hone_targets targets = {NULL, NULL};
    if (config->problem == HONE_REGRESSION) {
        float *numbers = NULL;
        HONE_TRY(hone_dataset_numbers(arena, dataset, &numbers));
        targets.numbers = numbers;
    } else {
        int32_t *ids = NULL;
        const char **names = hone_arena_alloc(arena, config->labels, sizeof *names);
        if (!names) return hone_err_new(HONE_E_NOMEM, "no memory for labels");
        for (size_t i = 0; i < config->labels; i++) names[i] = config->label_names[i];
        HONE_TRY(hone_dataset_ids(arena, dataset, (hone_labels){config->labels, names}, &ids));
        targets.labels = ids;
    }
    *out = targets;
    return HONE_OK;
}
