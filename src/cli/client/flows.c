/* flows.c: `hone flows`: what people are asked, who answers, and where the answers go.
 *
 *     template --CreateHumanTaskUi--> NAME-ui --CreateFlowDefinition (team, threshold, audit)--> NAME
 *
 * The threshold and the audit share are tags of the flow: `hone ask` reads them from there. */
#include "base/file.h"
#include "base/realm.h"
#include "cli/client/columns.h"
#include "cli/client/templates.h"
#include "cli/client/verbs.h"
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

enum {
    TEMPLATE_BYTES_MAX = 128000, /* the service's limit */
    TASK_LIMIT_S = 3600,
    NAME_MAX_BYTES = 60, /* of 63, so that "-ui" can be added */
};

static const char builtin[] = "builtin:";
static const char role_arn[] = "arn:aws:iam::000000000000:role/hone"; /* wanted, not looked at */

/* ---- create ---- */

typedef struct flow_args {
    const char *team, *template, *output, *title, *description;
    double threshold, audit;
    size_t tasks, time_limit_s;
} flow_args;

static hone_err load_template(hone_remote *remote, const char *source, hone_str *out) {
    if (strncmp(source, builtin, strlen(builtin)) == 0)
        return hone_template_find(source + strlen(builtin), out);
    return hone_file_load(hone_remote_arena(remote), source, TEMPLATE_BYTES_MAX, out);
}

/* The team's ARN; a flow needs it, a person says the name. */
static hone_err find_team(hone_remote *remote, const char *team, json_t **out) {
    hone_err err = hone_remote_op(remote, "DescribeWorkteam",
                                  json_pack("{s:s}", "WorkteamName", team), out);
    if (hone_failed(err) && err.code != HONE_E_CLOSED)
        return hone_err_wrap(err, "team '%s' (hone teams create makes one)", team);
    return err;
}

static hone_err create_ui(hone_remote *remote, const char *name, hone_str content, json_t **out) {
    hone_err err = hone_remote_op(remote, "CreateHumanTaskUi",
                                  json_pack("{s:s, s:{s:s%}}", "HumanTaskUiName", name,
                                            "UiTemplate", "Content", content.ptr, content.len),
                                  out);
    return hone_failed(err) ? hone_err_wrap(err, "the template") : HONE_OK;
}

/* Undo create_ui, so that the same command does not meet its own half. The flow's error is the one
 * to tell. */
static void drop_ui(hone_remote *remote, const char *name) {
    hone_err ignored = hone_remote_op(remote, "DeleteHumanTaskUi",
                                      json_pack("{s:s}", "HumanTaskUiName", name), NULL);
    (void)ignored;
}

static json_t *flow_request(const char *name, const flow_args *args, const char *team_arn,
                            const char *ui_arn) {
    char threshold[32], audit[32];
    (void)snprintf(threshold, sizeof threshold, "%g", args->threshold);
    (void)snprintf(audit, sizeof audit, "%g", args->audit);
    return json_pack(
        "{s:s, s:s, s:{s:s, s:s, s:i, s:s, s:s, s:i}, s:{s:s}, s:[{s:s,s:s},{s:s,s:s}]}",
        "FlowDefinitionName", name, "RoleArn", role_arn, "HumanLoopConfig", "WorkteamArn", team_arn,
        "HumanTaskUiArn", ui_arn, "TaskCount", (int)args->tasks, "TaskTitle", args->title,
        "TaskDescription", args->description, "TaskTimeLimitInSeconds", (int)args->time_limit_s,
        "OutputConfig", "S3OutputPath", args->output, "Tags", "Key", "hone:threshold", "Value",
        threshold, "Key", "hone:audit", "Value", audit);
}

static hone_err check_flow(const char *name, const flow_args *args) {
    if (!hone_name_is_valid(hone_str_of(name), NAME_MAX_BYTES, true))
        return hone_err_new(HONE_E_INVALID,
                            "'%s': a flow's name is up to %d lower-case letters, digits and inner "
                            "hyphens",
                            name, NAME_MAX_BYTES);
    if (args->threshold < 0.0 || args->threshold > 1.0)
        return hone_err_new(HONE_E_INVALID, "--threshold %g: expected 0 to 1", args->threshold);
    if (args->audit < 0.0 || args->audit > 1.0)
        return hone_err_new(HONE_E_INVALID, "--audit %g: expected 0 to 1", args->audit);
    if (args->tasks < 1 || args->tasks > 3)
        return hone_err_new(HONE_E_INVALID, "--tasks %zu: expected 1 to 3", args->tasks);
    return HONE_OK;
}

static hone_err create_flow(hone_verb_call *call, const flow_args *args, json_t **out) {
    char ui[64];
    const char *name = call->words[0];
    hone_str content;
    json_t *team = NULL, *task_ui = NULL;
    HONE_TRY(check_flow(name, args));
    HONE_TRY(load_template(call->remote, args->template, &content));
    HONE_TRY(find_team(call->remote, args->team, &team));
    (void)snprintf(ui, sizeof ui, "%s-ui", name);
    hone_err err = create_ui(call->remote, ui, content, &task_ui);
    const char *team_arn = hone_field(json_object_get(team, "Workteam"), "WorkteamArn");
    if (!hone_failed(err))
        err = hone_remote_op(
            call->remote, "CreateFlowDefinition",
            flow_request(name, args, team_arn, hone_field(task_ui, "HumanTaskUiArn")), out);
    if (hone_failed(err) && task_ui) drop_ui(call->remote, ui);
    json_decref(team);
    json_decref(task_ui);
    return err;
}

static hone_err create(hone_verb_call *call) {
    flow_args args = {.template = "builtin:sentiment",
                      .title = "Classify the text",
                      .description = "Read the instructions, then choose a label",
                      .threshold = 0.7,
                      .audit = 0.0,
                      .tasks = 1,
                      .time_limit_s = TASK_LIMIT_S};
    const hone_option options[] = {
        {"team", "TEAM", "who answers", HONE_OPT_STR, &args.team, true},
        {"output", "S3URI", "where answers are written, s3://BUCKET/PREFIX", HONE_OPT_STR,
         &args.output, true},
        {"template", "FILE", "the task's page, or builtin:sentiment (default)", HONE_OPT_STR,
         &args.template, false},
        {"threshold", "P", "ask below this confidence (0.7)", HONE_OPT_FLOAT, &args.threshold,
         false},
        {"audit", "P", "ask for this share of the others, too (0)", HONE_OPT_FLOAT, &args.audit,
         false},
        {"tasks", "N", "how many people answer each question, 1 to 3 (1)", HONE_OPT_SIZE,
         &args.tasks, false},
        {"time-limit", "S", "seconds that a person may take (3600)", HONE_OPT_SIZE,
         &args.time_limit_s, false},
        {"title", "TEXT", "the task's title", HONE_OPT_STR, &args.title, false},
        {"description", "TEXT", "the task's description", HONE_OPT_STR, &args.description, false},
        {0}};
    json_t *answer = NULL;
    HONE_TRY(hone_verb_begin(call, options));
    if (!call->remote) return HONE_OK;
    HONE_TRY(create_flow(call, &args, &answer));
    if (call->json) return hone_remote_print(answer);
    printf("flow %s asks team %s below %g: hone ask ENDPOINT TEXT --flow %s\n", call->words[0],
           args.team, args.threshold, call->words[0]);
    json_decref(answer);
    return HONE_OK;
}

/* ---- list, show ---- */

static hone_err list(hone_verb_call *call) {
    static const char *const titles[] = {"FLOW", "STATUS", "CREATED", NULL};
    json_t *all = NULL, *item = NULL;
    size_t i = 0;
    HONE_TRY(hone_verb_begin(call, NULL));
    if (!call->remote) return HONE_OK;
    HONE_TRY(hone_remote_list(call->remote, "ListFlowDefinitions", json_object(),
                              "FlowDefinitionSummaries", 0, &all));
    if (call->json) return hone_remote_print(all);
    hone_columns rows;
    hone_columns_init(&rows, hone_remote_arena(call->remote), titles);
    json_array_foreach(all, i, item) {
        char when[HONE_WHEN_SIZE];
        hone_when_format(hone_field_number(item, "CreationTime", 0.0), when);
        hone_columns_row(&rows);
        hone_columns_cell(&rows, 0, "%s", hone_field(item, "FlowDefinitionName"));
        hone_columns_cell(&rows, 1, "%s", hone_field(item, "FlowDefinitionStatus"));
        hone_columns_cell(&rows, 2, "%s", when);
    }
    json_decref(all);
    return hone_columns_print(&rows, "no flows yet: hone flows create NAME");
}

static hone_err show(hone_verb_call *call) {
    json_t *flow = NULL, *tags = NULL;
    HONE_TRY(hone_verb_begin(call, NULL));
    if (!call->remote) return HONE_OK;
    HONE_TRY(hone_remote_op(call->remote, "DescribeFlowDefinition",
                            json_pack("{s:s}", "FlowDefinitionName", call->words[0]), &flow));
    hone_err err = hone_remote_list(
        call->remote, "ListTags",
        json_pack("{s:s}", "ResourceArn", hone_field(flow, "FlowDefinitionArn")), "Tags", 0, &tags);
    if (!hone_failed(err) && json_object_set_new(flow, "Tags", tags) != 0)
        err = hone_err_new(HONE_E_NOMEM, "no memory for tags");
    if (!hone_failed(err)) return hone_remote_print(flow);
    json_decref(flow);
    return err;
}

hone_err hone_cmd_flows(int argc, char **argv) {
    static const hone_verb verbs[] = {
        {"list", list, "", "the flows", 0, 0},
        {"show", show, "FLOW", "one of them, whole, as JSON", 1, 1},
        {"create", create, "FLOW --team TEAM --output S3URI", "a new flow and its page", 1, 1},
        {0}};
    return hone_verbs_run("flows", "Flows: what people are asked when a model is unsure.", verbs,
                          argc, argv);
}
