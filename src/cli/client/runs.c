/* runs.c: `hone run`: start a pipeline and watch it; `hone runs`: those that were started.
 *
 *     hone run sentiment --param Epochs=2           the pipeline that the server has
 *     hone run my/pipeline.json                     created or updated from the file first */
#include "base/file.h"
#include "base/id.h"
#include "cli/client/columns.h"
#include "cli/client/executions.h"
#include "cli/client/verbs.h"
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

enum { DEFINITION_BYTES_MAX = 1 << 20, PARAMS_MAX = 200, NAME_BYTES_MAX = 256 };

static const char role_arn[] = "arn:aws:iam::000000000000:role/hone"; /* wanted, not looked at */

/* ---- run ---- */

/* Take --param NAME=VALUE out of argv, as often as it is given: the table of options knows only
 * one value a flag. *out is the request's list of parameters. */
static hone_err take_params(int *argc, char **argv, json_t **out) {
    json_t *params = json_array();
    int kept = 1;
    if (!params) return hone_err_new(HONE_E_NOMEM, "no memory for parameters");
    for (int i = 1; i < *argc; i++) {
        const char *text = NULL;
        if (strncmp(argv[i], "--param=", 8) == 0)
            text = argv[i] + 8;
        else if (strcmp(argv[i], "--param") == 0)
            text = i + 1 < *argc ? argv[++i] : "";
        if (!text) {
            argv[kept++] = argv[i];
            continue;
        }
        const char *equals = strchr(text, '=');
        int failed = !equals || equals == text || json_array_size(params) >= PARAMS_MAX ||
                     json_array_append_new(params, json_pack("{s:s%, s:s}", "Name", text,
                                                             (size_t)(equals - text), "Value",
                                                             equals + 1)) != 0;
        if (failed) {
            json_decref(params);
            return hone_err_new(HONE_E_INVALID, "--param '%s': expected NAME=VALUE", text);
        }
    }
    *argc = kept;
    *out = params;
    return HONE_OK;
}

/* "my/sentiment.json" -> a pipeline `sentiment` with the file's definition; any other word is
 * already the name of one. */
static hone_err put_pipeline(hone_remote *remote, const char *word, const char **name) {
    hone_str file = hone_str_of(word), definition;
    *name = word;
    if (!hone_str_has_suffix(file, HONE_S(".json"))) return HONE_OK;
    const char *slash = strrchr(word, '/');
    const char *base = slash ? slash + 1 : word;
    *name = hone_arena_strdup(hone_remote_arena(remote),
                              (hone_str){base, strlen(base) - strlen(".json")});
    if (!*name) return hone_err_new(HONE_E_NOMEM, "no memory for a name");
    HONE_TRY(hone_file_load(hone_remote_arena(remote), word, DEFINITION_BYTES_MAX, &definition));
    char token[HONE_ID_SIZE + HONE_ID_SIZE];
    hone_id_make(token);
    hone_id_make(token + HONE_ID_SIZE - 1);
    hone_err err = hone_remote_op(remote, "CreatePipeline",
                                  json_pack("{s:s, s:s%, s:s, s:s}", "PipelineName", *name,
                                            "PipelineDefinition", definition.ptr, definition.len,
                                            "RoleArn", role_arn, "ClientRequestToken", token),
                                  NULL);
    if (err.code == HONE_E_CONFLICT)
        err = hone_remote_op(remote, "UpdatePipeline",
                             json_pack("{s:s, s:s%}", "PipelineName", *name, "PipelineDefinition",
                                       definition.ptr, definition.len),
                             NULL);
    return hone_failed(err) ? hone_err_wrap(err, "%s", word) : HONE_OK;
}

static hone_err start(hone_remote *remote, const char *pipeline, json_t *params, const char **arn) {
    char token[HONE_ID_SIZE + HONE_ID_SIZE];
    json_t *answer = NULL;
    hone_id_make(token);
    hone_id_make(token + HONE_ID_SIZE - 1);
    hone_err err = hone_remote_op(remote, "StartPipelineExecution",
                                  json_pack("{s:s, s:o, s:s}", "PipelineName", pipeline,
                                            "PipelineParameters", params, "ClientRequestToken",
                                            token),
                                  &answer);
    if (err.code == HONE_E_NOT_FOUND)
        return hone_err_wrap(err, "pipeline '%s' (hone run FILE.json creates one)", pipeline);
    HONE_TRY(err);
    *arn = hone_arena_strdup(hone_remote_arena(remote),
                             hone_str_of(hone_field(answer, "PipelineExecutionArn")));
    json_decref(answer);
    return *arn ? HONE_OK : hone_err_new(HONE_E_NOMEM, "no memory for a name");
}

/* The version that a RegisterModel step made, as "group/3"; "" when there is none. Borrowed. */
static const char *registered(const json_t *execution) {
    const json_t *step = NULL;
    size_t i = 0;
    json_array_foreach(json_object_get(execution, "Steps"), i, step) {
        const json_t *made = json_object_get(json_object_get(step, "Metadata"), "RegisterModel");
        const char *arn = hone_field(made, "Arn");
        const char *name = strstr(arn, ":model-package/");
        if (name) return name + strlen(":model-package/");
    }
    return "";
}

static hone_err failed_step(const json_t *execution, const char *pipeline) {
    const char *status = hone_field(execution, "PipelineExecutionStatus");
    const json_t *step = NULL;
    size_t i = 0;
    json_array_foreach(json_object_get(execution, "Steps"), i, step) {
        if (strcmp(hone_field(step, "StepStatus"), "Failed") == 0)
            return hone_err_new(HONE_E_INVALID, "%s: step %s failed: %s", pipeline,
                                hone_field(step, "StepName"), hone_field(step, "FailureReason"));
    }
    return hone_err_new(HONE_E_INVALID, "%s is %s: %s", pipeline, status,
                        hone_field(execution, "FailureReason"));
}

static hone_err report(const hone_verb_call *call, const char *pipeline, json_t *execution) {
    hone_err err = HONE_OK;
    const char *version = registered(execution);
    if (strcmp(hone_field(execution, "PipelineExecutionStatus"), "Succeeded") != 0)
        err = failed_step(execution, pipeline);
    if (call->json) {
        HONE_TRY(hone_remote_print(execution));
        return err;
    }
    if (!hone_failed(err)) printf("%s succeeded\n", pipeline);
    const char *slash = strrchr(version, '/');
    if (!hone_failed(err) && slash) {
        printf("registered %.*s:%s: hone models show %.*s:%s\n", (int)(slash - version), version,
               slash + 1, (int)(slash - version), version, slash + 1);
    }
    json_decref(execution);
    return err;
}

static hone_err run_pipeline(hone_verb_call *call, json_t *params, bool detach) {
    const char *pipeline = NULL, *arn = NULL;
    json_t *execution = NULL;
    hone_err err = put_pipeline(call->remote, call->words[0], &pipeline);
    if (hone_failed(err)) {
        json_decref(params);
        return err;
    }
    HONE_TRY(start(call->remote, pipeline, params, &arn)); /* takes params over */
    if (detach && call->json)
        return hone_remote_print(json_pack("{s:s}", "PipelineExecutionArn", arn));
    if (detach) {
        printf("%s\n", hone_execution_id(arn));
        return HONE_OK;
    }
    fprintf(stderr, "run %s of %s; it goes on when this stops: hone runs stop %s ends it\n",
            hone_execution_id(arn), pipeline, hone_execution_id(arn));
    HONE_TRY(hone_executions_watch(call->remote, arn, &execution));
    return report(call, pipeline, execution);
}

static hone_err run(hone_verb_call *call) {
    bool detach = false, watch = false;
    const char *shown_only = NULL;
    const hone_option options[] = {
        {"param", "NAME=VALUE", "a parameter of the pipeline; may be given again", HONE_OPT_STR,
         &shown_only, false},
        {"watch", NULL, "draw the steps until the run ends (the default)", HONE_OPT_FLAG, &watch,
         false},
        {"detach", NULL, "return at once and print the run's id", HONE_OPT_FLAG, &detach, false},
        {0}};
    json_t *params = NULL;
    HONE_TRY(take_params(&call->argc, call->argv, &params));
    hone_err err = hone_verb_begin(call, options);
    if (!hone_failed(err) && watch && detach)
        err = hone_err_new(HONE_E_INVALID, "--watch and --detach exclude each other");
    if (hone_failed(err) || !call->remote) {
        json_decref(params);
        return err;
    }
    return run_pipeline(call, params, detach);
}

hone_err hone_cmd_run(int argc, char **argv) {
    static const hone_verb verb = {
        "run",
        run,
        "PIPELINE|FILE.json [--param NAME=VALUE]... [--watch|--detach]",
        "Start a pipeline and watch it. A FILE.json is a pipeline definition (version "
        "2020-12-01):\n"
        "the pipeline of the file's name is created or updated from it first.",
        1,
        1};
    return hone_verb_run(&verb, argc, argv);
}

/* ---- runs ---- */

static hone_err list(hone_verb_call *call) {
    static const char *const titles[] = {"RUN", "PIPELINE", "STATUS", "STARTED", "NAME", NULL};
    size_t limit = 20, i = 0;
    const hone_option options[] = {
        {"limit", "N", "at most so many of each pipeline (20)", HONE_OPT_SIZE, &limit, false}, {0}};
    json_t *all = NULL, *item = NULL;
    HONE_TRY(hone_verb_begin(call, options));
    if (!call->remote) return HONE_OK;
    HONE_TRY(
        hone_executions_list(call->remote, call->word_count ? call->words[0] : NULL, limit, &all));
    if (call->json) return hone_remote_print(all);
    hone_columns rows;
    hone_columns_init(&rows, hone_remote_arena(call->remote), titles);
    json_array_foreach(all, i, item) {
        char when[HONE_WHEN_SIZE];
        hone_when_format(hone_field_number(item, "StartTime", 0.0), when);
        hone_columns_row(&rows);
        hone_columns_cell(&rows, 0, "%s",
                          hone_execution_id(hone_field(item, "PipelineExecutionArn")));
        hone_columns_cell(&rows, 1, "%s", hone_field(item, "PipelineName"));
        hone_columns_cell(&rows, 2, "%s", hone_field(item, "PipelineExecutionStatus"));
        hone_columns_cell(&rows, 3, "%s", when);
        hone_columns_cell(&rows, 4, "%s", hone_field(item, "PipelineExecutionDisplayName"));
    }
    json_decref(all);
    return hone_columns_print(&rows, "no runs yet: hone run PIPELINE starts one");
}

/* Why a step failed, or why one at work is where it is: what its job says, or that it waits for
 * another try and what the last one failed of. */
static const char *why(const json_t *step) {
    const char *failure = hone_field(step, "FailureReason");
    return *failure ? failure : hone_field(json_object_get(step, "HoneProgress"), "Message");
}

static hone_err print_run(const hone_verb_call *call, const json_t *execution,
                          const json_t *steps) {
    static const char *const titles[] = {"STEP", "STATUS", ">SECONDS", "WHY", NULL};
    hone_columns rows;
    json_t *step = NULL;
    size_t i = 0;
    printf("%s  %s  %s\n\n", hone_execution_id(hone_field(execution, "PipelineExecutionArn")),
           hone_field(execution, "PipelineExecutionStatus"),
           hone_field(execution, "FailureReason"));
    hone_columns_init(&rows, hone_remote_arena(call->remote), titles);
    json_array_foreach(steps, i, step) {
        double start_s = hone_field_number(step, "StartTime", 0.0);
        double end_s = hone_field_number(step, "EndTime", 0.0);
        hone_columns_row(&rows);
        hone_columns_cell(&rows, 0, "%s", hone_field(step, "StepName"));
        hone_columns_cell(&rows, 1, "%s", hone_field(step, "StepStatus"));
        if (end_s >= start_s && start_s > 0.0) hone_columns_cell(&rows, 2, "%.1f", end_s - start_s);
        hone_columns_cell(&rows, 3, "%s", why(step));
    }
    return hone_columns_print(&rows, "no step has started");
}

static hone_err show(hone_verb_call *call) {
    const char *arn = NULL;
    json_t *execution = NULL, *steps = NULL;
    HONE_TRY(hone_verb_begin(call, NULL));
    if (!call->remote) return HONE_OK;
    HONE_TRY(hone_executions_find(call->remote, call->words[0], &arn));
    HONE_TRY(hone_remote_op(call->remote, "DescribePipelineExecution",
                            json_pack("{s:s}", "PipelineExecutionArn", arn), &execution));
    hone_err err = hone_remote_list(
        call->remote, "ListPipelineExecutionSteps",
        json_pack("{s:s, s:s}", "PipelineExecutionArn", arn, "SortOrder", "Ascending"),
        "PipelineExecutionSteps", 0, &steps);
    if (!hone_failed(err) && call->json) {
        if (json_object_set(execution, "Steps", steps) == 0)
            err = hone_remote_print(json_incref(execution));
    } else if (!hone_failed(err)) {
        err = print_run(call, execution, steps);
    }
    json_decref(steps);
    json_decref(execution);
    return err;
}

static hone_err stop(hone_verb_call *call) {
    char token[HONE_ID_SIZE + HONE_ID_SIZE];
    const char *arn = NULL;
    HONE_TRY(hone_verb_begin(call, NULL));
    if (!call->remote) return HONE_OK;
    HONE_TRY(hone_executions_find(call->remote, call->words[0], &arn));
    hone_id_make(token);
    hone_id_make(token + HONE_ID_SIZE - 1);
    HONE_TRY(hone_remote_op(
        call->remote, "StopPipelineExecution",
        json_pack("{s:s, s:s}", "PipelineExecutionArn", arn, "ClientRequestToken", token), NULL));
    if (call->json) return hone_remote_print(json_pack("{s:s}", "PipelineExecutionArn", arn));
    printf("%s is being stopped\n", hone_execution_id(arn));
    return HONE_OK;
}

hone_err hone_cmd_runs(int argc, char **argv) {
    static const hone_verb verbs[] = {
        {"list", list, "[PIPELINE]", "the runs of all pipelines or of one, newest first", 0, 1},
        {"show", show, "RUN", "one of them, with its steps", 1, 1},
        {"stop", stop, "RUN", "end it", 1, 1},
        {0}};
    return hone_verbs_run("runs", "Runs of pipelines.", verbs, argc, argv);
}
