/* native.h: what the image `hone/native` understands: the settings of its processor, in the map
 * Environment, and of its trainer, in HyperParameters.
 *
 * A value is a string, a number or a boolean; a string may be JSON-quoted, as the SageMaker SDK
 * writes hyperparameters ("\"distilbert-base-uncased\""). A name that is not listed is an error,
 * but for those that begin with "sagemaker_", which the SDK adds. docs/pipelines.md has the list
 * for people.
 */
#ifndef HONE_PIPELINE_NATIVE_H
#define HONE_PIPELINE_NATIVE_H

#include "base/arena.h"
#include "base/err.h"
#include "data/import.h"
#include "data/reviews.h"
#include "data/sample.h"
#include "train/run.h"

#include <jansson.h>

#define HONE_NATIVE_IMAGE "hone/native"

/* Strings live in the arena that the settings were read into, JSON as long as it does. */
typedef struct hone_processing {
    hone_sample_options sample;
    size_t review_weight; /* copies of a reviewed example; 0 = reviews are left out */
    hone_review_rules rules;
    hone_import_options import;
} hone_processing;

typedef struct hone_training {
    const char *model_name; /* a name that `hone pull` knows, or s3://.../model.tar.gz; "" = none */
    const char *start_from; /* "base", "approved", or a model package's ARN */
    const char *group;      /* of the parent version; "" = none */
    hone_run_options run;   /* base and out are empty; warmup as it was given */
    bool has_warmup;
    hone_import_options import;
} hone_training;

/* Read the settings; NULL = all defaults. Values that are expressions are passed over, so that a
 * document can be checked before its parameters are known. INVALID names step and setting. */
HONE_NODISCARD hone_err hone_processing_read(hone_arena *arena, const json_t *environment,
                                             const char *step, hone_processing *out);
HONE_NODISCARD hone_err hone_training_read(hone_arena *arena, const json_t *hyperparameters,
                                           const char *step, hone_training *out);

#endif
