/* metrics_json.c: see metrics_json.h. */
#include "cli/metrics_json.h"

#include <stdio.h>
#include <stdlib.h>

enum { DIGITS = 6 }; /* of a figure: more would be noise */

static json_t *class_json(const hone_class_metrics *c) {
    json_t *object = json_object();
    json_object_set_new(object, "precision", json_real(c->precision));
    json_object_set_new(object, "recall", json_real(c->recall));
    json_object_set_new(object, "f1", json_real(c->f1));
    json_object_set_new(object, "support", json_integer((json_int_t)c->support));
    return object;
}

void hone_metrics_add(json_t *object, hone_problem problem, const hone_metrics *m,
                      const char *const *names) {
    if (problem == HONE_REGRESSION) {
        json_object_set_new(object, "mse", json_real(m->mse));
        json_object_set_new(object, "pearson", json_real(m->pearson));
        json_object_set_new(object, "loss", json_real(m->loss));
        return;
    }
    json_t *classes = json_object();
    for (size_t i = 0; i < m->labels; i++)
        json_object_set_new(classes, names[i], class_json(&m->classes[i]));
    json_object_set_new(object, "accuracy", json_real(m->accuracy));
    json_object_set_new(object, "macro_f1", json_real(m->macro_f1));
    json_object_set_new(object, "loss", json_real(m->loss));
    json_object_set_new(object, "per_class", classes);
}

hone_err hone_metrics_print(json_t *object) {
    char *text = object ? json_dumps(object, JSON_REAL_PRECISION(DIGITS)) : NULL;
    json_decref(object);
    if (!text) return hone_err_new(HONE_E_NOMEM, "no memory for the metrics");
    puts(text);
    free(text);
    return HONE_OK;
}
