/* executions.h: runs of pipelines: finding one by what a person types.
 */
#ifndef HONE_CLI_CLIENT_EXECUTIONS_H
#define HONE_CLI_CLIENT_EXECUTIONS_H

#include "cli/client/remote.h"

/* The last part of an execution's ARN, "abc123def456": what people type. Borrowed. */
const char *hone_execution_id(const char *arn);

/* The summaries of a pipeline's executions, or of all pipelines' (NULL), the newest first within
 * each pipeline; every one with "PipelineName". At most limit. */
HONE_NODISCARD hone_err hone_executions_list(hone_remote *remote, const char *pipeline,
                                             size_t limit, json_t **out);

/* The ARN of an execution by ARN or id, in the remote's arena. NOT_FOUND. */
HONE_NODISCARD hone_err hone_executions_find(hone_remote *remote, const char *word,
                                             const char **arn);

/* Watch an execution until it ends: on a terminal its steps are redrawn in place, elsewhere a line
 * says what changed. All on stderr. *out is its last DescribePipelineExecution, with "Steps". */
HONE_NODISCARD hone_err hone_executions_watch(hone_remote *remote, const char *arn, json_t **out);

#endif
