/* expression.h: the references inside a pipeline document, found and replaced by values.
 *
 *     {"Get": "Parameters.Epochs"}                                         a parameter
 *     {"Get": "Execution.PipelineExecutionId"}                             of the execution
 *     {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}               of a step that has run
 *     {"Get": "Steps.P.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri"}
 *     {"Std:Join": {"On": "/", "Values": ["s3://b", {"Get": ...}]}}        strings, joined
 *
 * An object with the one key Get, or one that begins with "Std:", is an expression; all else
 * stands for itself. ['x'] picks the element of an array whose name is x: the member that ends
 * in "Name" (OutputName, ChannelName); [0] picks by position.
 */
#ifndef HONE_PIPELINE_EXPRESSION_H
#define HONE_PIPELINE_EXPRESSION_H

#include "base/err.h"
#include "base/str.h"

#include <jansson.h>
#include <stdbool.h>

enum { HONE_EXPRESSION_DEPTH_MAX = 64 };

/* Is value an expression, whose value is not known before it is resolved? */
bool hone_is_expression(const json_t *value);

/* A Get, taken apart; borrowed from its text. */
typedef struct hone_reference {
    enum { HONE_REF_PARAMETER, HONE_REF_EXECUTION, HONE_REF_STEP } kind;
    hone_str name; /* of the parameter, member or step */
    hone_str path; /* of a step: what follows its name, "ModelArtifacts.S3ModelArtifacts" */
} hone_reference;

/* Call fn for every reference inside value, until it fails. INVALID also for a malformed
 * expression, a function that hone does not have, or nesting above the limit. */
typedef hone_err hone_reference_fn(void *ctx, const hone_reference *reference);
HONE_NODISCARD hone_err hone_expressions_walk(const json_t *value, hone_reference_fn *fn,
                                              void *ctx);

/* What references stand for: objects of name -> value. */
typedef struct hone_scope {
    const json_t *parameters;
    const json_t *execution;
    const json_t *steps; /* name -> properties, of the steps that have run */
} hone_scope;

/* A copy of value with every expression replaced; the caller decrefs. INVALID names the
 * reference that leads nowhere. */
HONE_NODISCARD hone_err hone_expressions_resolve(const json_t *value, const hone_scope *scope,
                                                 json_t **out);

#endif
