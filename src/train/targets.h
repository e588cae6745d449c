/* targets.h: what a model shall say about each text, as ids or numbers.
 *
 *     labels as written + the base's names --> names of the head's outputs, a target per text
 *
 * A base whose labels are exactly those of the data keeps their order, and so its head. Else
 * the labels are sorted bytewise and the head is new. Regression has one output, LABEL_0.
 */
#ifndef HONE_TRAIN_TARGETS_H
#define HONE_TRAIN_TARGETS_H

#include "base/arena.h"
#include "base/err.h"
#include "data/dataset.h"
#include "model/config.h"
#include "model/tuner.h"

/* The problem called name ("regression", "single_label_classification", as problem_type in
 * config.json). INVALID for another. */
HONE_NODISCARD hone_err hone_problem_parse(const char *name, hone_problem *out);

/* Set config's labels to those that train asks for. With `first`, these come first, in their
 * order, and those of train that are not among them follow, sorted: so ids never change from
 * one version of a model to the next. INVALID when train has only one class. */
HONE_NODISCARD hone_err hone_targets_choose(hone_arena *arena, const hone_dataset *train,
                                            hone_problem problem, hone_labels first,
                                            hone_config *config);

/* The targets of a data set for a model of this config. INVALID names a label that the model
 * does not have, or that is no number, and its line. */
HONE_NODISCARD hone_err hone_targets_read(hone_arena *arena, const hone_dataset *dataset,
                                          const hone_config *config, hone_targets *out);

#endif
