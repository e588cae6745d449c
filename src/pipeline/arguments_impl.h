/* arguments_impl.h: what the arguments of each type of step must hold. */
#ifndef HONE_PIPELINE_ARGUMENTS_IMPL_H
#define HONE_PIPELINE_ARGUMENTS_IMPL_H

#include "pipeline/definition.h"

/* INVALID names the step and the argument. Expressions are passed over: they have no value yet. */
HONE_NODISCARD hone_err hone_arguments_check(hone_arena *arena, const hone_step_def *step);

/* Does a step of this kind have such a property once it has run? INVALID. */
HONE_NODISCARD hone_err hone_property_check(const hone_step_def *step, hone_str path);

/* INVALID for RetryPolicies that make no sense. */
HONE_NODISCARD hone_err hone_retries_check(const json_t *policies, const char *step);

#endif
