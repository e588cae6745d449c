/* definition.h: a pipeline document (SageMaker's, version 2020-12-01), checked.
 *
 *     JSON --parse--> parameters, steps, who waits for whom
 *
 * What hone cannot run is refused here, before anything starts: unknown step types and images,
 * references that lead nowhere, names used twice, cycles. What does not matter to it
 * (instance types, roles, experiments, debugger, profiler, cache) is passed over in silence.
 *
 * Ownership: everything lives in the arena that it was parsed into.
 */
#ifndef HONE_PIPELINE_DEFINITION_H
#define HONE_PIPELINE_DEFINITION_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <jansson.h>
#include <stdbool.h>

enum {
    HONE_DEFINITION_BYTES_MAX = 1024 * 1024,
    HONE_STEPS_MAX = 100,
    HONE_PARAMETERS_MAX = 200,
    HONE_PARAMETER_BYTES_MAX = 1024, /* of a value */
};

typedef enum hone_step_type {
    HONE_STEP_PROCESSING,
    HONE_STEP_TRAINING,
    HONE_STEP_REGISTER
} hone_step_type;

/* "Processing", "Training", "RegisterModel". */
const char *hone_step_type_name(hone_step_type type);

typedef enum hone_value_type {
    HONE_VALUE_STRING,
    HONE_VALUE_INTEGER,
    HONE_VALUE_FLOAT,
    HONE_VALUE_BOOLEAN
} hone_value_type;

typedef struct hone_parameter {
    const char *name;
    hone_value_type type;
    const json_t *fallback; /* DefaultValue, of the type; NULL = must be given */
    const json_t *allowed;  /* EnumValues; NULL = any */
} hone_parameter;

typedef struct hone_step_def {
    const char *name;
    hone_step_type type;
    const json_t *arguments;
    const json_t *retries;             /* RetryPolicies, checked; NULL = none */
    const char *display, *description; /* "" when there is none */
    size_t needs_count;
    const size_t *needs; /* indices of the steps that must have succeeded */
} hone_step_def;

typedef struct hone_definition {
    const json_t *document;
    size_t parameter_count;
    const hone_parameter *parameters;
    size_t step_count;
    const hone_step_def *steps; /* in an order in which they can run */
} hone_definition;

/* INVALID says what is wrong with it, and where. */
HONE_NODISCARD hone_err hone_definition_parse(hone_arena *arena, hone_str bytes,
                                              hone_definition *out);

/* The parameters of an execution: those given, [{"Name", "Value"}] with values as strings, and
 * the defaults of the others, as an object of typed values. The caller decrefs. INVALID names
 * the parameter. given NULL = none. */
HONE_NODISCARD hone_err hone_parameters_resolve(const hone_definition *definition,
                                                const json_t *given, json_t **out);

#endif
