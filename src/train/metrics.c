/* metrics.c: see metrics.h. Sums are in double and in the order of the texts. */
#include "train/metrics.h"

#include <math.h>

static size_t argmax(const float *row, size_t count) {
    size_t best = 0;
    for (size_t i = 1; i < count; i++)
        if (row[i] > row[best]) best = i;
    return best;
}

/* -log softmax(row)[label] */
static double cross_entropy(const float *row, size_t count, size_t label, size_t best) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += exp((double)row[i] - (double)row[best]);
    return log(sum) + (double)row[best] - (double)row[label];
}

static double ratio(size_t part, size_t whole) { return whole ? (double)part / (double)whole : 0; }

static hone_err classify(hone_arena *arena, const hone_logits *logits, const int32_t *targets,
                         hone_metrics *out) {
    size_t labels = logits->labels, correct_all = 0, occurring = 0;
    hone_class_metrics *classes = hone_arena_alloc(arena, labels, sizeof *classes);
    size_t *correct = hone_arena_alloc(arena, labels, sizeof *correct);
    if (!classes || !correct) return hone_err_new(HONE_E_NOMEM, "no memory for metrics");

    hone_metrics m = {.count = logits->count, .labels = labels, .classes = classes};
    for (size_t i = 0; i < logits->count; i++) {
        const float *row = logits->values + i * labels;
        size_t label = (size_t)targets[i], best = argmax(row, labels);
        m.loss += cross_entropy(row, labels, label, best);
        classes[label].support++;
        classes[best].predicted++;
        correct[label] += best == label;
        correct_all += best == label;
    }
    for (size_t c = 0; c < labels; c++) {
        hone_class_metrics *k = &classes[c];
        k->precision = ratio(correct[c], k->predicted);
        k->recall = ratio(correct[c], k->support);
        k->f1 = ratio(2 * correct[c], k->predicted + k->support);
        m.macro_f1 += k->f1;
        occurring += k->predicted + k->support > 0;
    }
    m.macro_f1 /= (double)occurring;
    m.loss /= (double)m.count;
    m.accuracy = ratio(correct_all, m.count);
    *out = m;
    return HONE_OK;
}

static void regress(const hone_logits *logits, const float *targets, hone_metrics *out) {
    double count = (double)logits->count, mean_x = 0, mean_y = 0, squares = 0;
    for (size_t i = 0; i < logits->count; i++) {
        double x = (double)logits->values[i * logits->labels], y = (double)targets[i];
        mean_x += x / count;
        mean_y += y / count;
        squares += (x - y) * (x - y);
    }
    double xx = 0, yy = 0, xy = 0;
    for (size_t i = 0; i < logits->count; i++) {
        double x = (double)logits->values[i * logits->labels] - mean_x;
        double y = (double)targets[i] - mean_y;
        xx += x * x;
        yy += y * y;
        xy += x * y;
    }
    double mse = squares / count;
    *out = (hone_metrics){.count = logits->count,
                          .loss = mse,
                          .mse = mse,
                          .pearson = xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0};
}

hone_err hone_metrics_compute(hone_arena *arena, hone_problem problem, const hone_logits *logits,
                              hone_targets targets, hone_metrics *out) {
    if (problem == HONE_SINGLE_LABEL) return classify(arena, logits, targets.labels, out);
    regress(logits, targets.numbers, out);
    return HONE_OK;
}
