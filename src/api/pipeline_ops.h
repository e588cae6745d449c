/* pipeline_ops.h: the operations on pipelines, their executions, and the jobs of their steps, a
 * file each, under one table.
 */
#ifndef HONE_API_PIPELINE_OPS_H
#define HONE_API_PIPELINE_OPS_H

#include "api/ops.h"
#include "pipeline/pipelines.h"

/* execution_ops.c */
hone_op_fn hone_op_start_execution, hone_op_describe_execution, hone_op_describe_definition,
    hone_op_list_executions, hone_op_list_steps, hone_op_list_parameters, hone_op_stop_execution,
    hone_op_retry_execution, hone_op_update_execution;

/* step_job_ops.c */
hone_op_fn hone_op_describe_training, hone_op_list_trainings, hone_op_stop_training,
    hone_op_describe_processing, hone_op_list_processings, hone_op_stop_processing;

/* ParallelismConfiguration.MaxParallelExecutionSteps; -1 when it is not given. INVALID. */
HONE_NODISCARD hone_err hone_in_parallelism(const json_t *in, int64_t *out);

/* As hone_op_listing, for operations that call their times CreatedAfter and CreatedBefore, and
 * sort as they like: by name for SortBy name_key. */
HONE_NODISCARD hone_err hone_in_created(const json_t *in, const char *name_key, hone_page *page,
                                        hone_listing *out);

/* object[key] = text, unless that is empty. */
void hone_out_text(json_t *object, const char *key, const char *text);
void hone_out_parallelism(json_t *object, int64_t parallelism);

#endif
