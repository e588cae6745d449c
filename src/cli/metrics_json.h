/* metrics_json.h: the metrics of a training or an evaluation as the JSON on stdout. */
#ifndef HONE_CLI_METRICS_JSON_H
#define HONE_CLI_METRICS_JSON_H

#include "base/err.h"
#include "train/metrics.h"

#include <jansson.h>

/* Add loss and, for classes, accuracy, macro_f1, per_class; for regression mse, pearson.
 *   names  [metrics->labels], terminated */
void hone_metrics_add(json_t *object, hone_problem problem, const hone_metrics *metrics,
                      const char *const *names);

/* Print object on one line and drop it; NULL, or a member that memory did not reach, is NOMEM. */
HONE_NODISCARD hone_err hone_metrics_print(json_t *object);

#endif
