/* executions.c: see executions.h; watching is in watch.c. */
#include "cli/client/executions.h"

#include <stdio.h>
#include <string.h>

const char *hone_execution_id(const char *arn) {
    const char *slash = strrchr(arn, '/');
    return slash ? slash + 1 : arn;
}

/* One pipeline's executions to the end of all. */
static hone_err add(hone_remote *remote, const char *pipeline, size_t limit, json_t *all) {
    json_t *some = NULL, *item = NULL;
    size_t i = 0;
    HONE_TRY(hone_remote_list(remote, "ListPipelineExecutions",
                              json_pack("{s:s, s:s, s:s}", "PipelineName", pipeline, "SortBy",
                                        "CreationTime", "SortOrder", "Descending"),
                              "PipelineExecutionSummaries", limit, &some));
    int failed = 0;
    json_array_foreach(some, i, item) {
        failed |= json_object_set_new(item, "PipelineName", json_string(pipeline));
        failed |= json_array_append(all, item);
    }
    json_decref(some);
    return failed ? hone_err_new(HONE_E_NOMEM, "no memory for a list") : HONE_OK;
}

static hone_err add_all(hone_remote *remote, size_t limit, json_t *all) {
    json_t *pipelines = NULL, *item = NULL;
    size_t i = 0;
    hone_err err = hone_remote_list(remote, "ListPipelines", json_object(), "PipelineSummaries", 0,
                                    &pipelines);
    if (hone_failed(err)) return err;
    json_array_foreach(pipelines, i, item) {
        if (!hone_failed(err)) err = add(remote, hone_field(item, "PipelineName"), limit, all);
    }
    json_decref(pipelines);
    return err;
}

hone_err hone_executions_list(hone_remote *remote, const char *pipeline, size_t limit,
                              json_t **out) {
    json_t *all = json_array();
    if (!all) return hone_err_new(HONE_E_NOMEM, "no memory for a list");
    hone_err err = pipeline ? add(remote, pipeline, limit, all) : add_all(remote, limit, all);
    if (hone_failed(err))
        json_decref(all);
    else
        *out = all;
    return err;
}

hone_err hone_executions_find(hone_remote *remote, const char *word, const char **arn) {
    json_t *all = NULL, *item = NULL;
    size_t i = 0;
    *arn = word;
    if (strncmp(word, "arn:", 4) == 0) return HONE_OK;
    HONE_TRY(hone_executions_list(remote, NULL, 0, &all));
    *arn = NULL;
    json_array_foreach(all, i, item) {
        const char *candidate = hone_field(item, "PipelineExecutionArn");
        if (!*arn && strcmp(hone_execution_id(candidate), word) == 0)
            *arn = hone_arena_strdup(hone_remote_arena(remote), hone_str_of(candidate));
    }
    json_decref(all);
    if (*arn) return HONE_OK;
    return hone_err_new(HONE_E_NOT_FOUND, "no run '%s': hone runs list shows those there are",
                        word);
}
