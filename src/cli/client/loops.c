/* loops.c: `hone loops`: questions to humans, and what they answered. */
#include "base/str.h"
#include "cli/client/columns.h"
#include "cli/client/verbs.h"
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

enum { OUTPUT_LIMIT_BYTES = 16 << 20, PATH_BYTES_MAX = 2048 };

/* ---- list ---- */

/* The loops of a flow, page by page, to the end of all, up to limit. */
static hone_err add_loops(hone_remote *remote, const char *flow, const char *arn, size_t limit,
                          json_t *all) {
    char path[PATH_BYTES_MAX];
    const char *escaped = hone_remote_escape(remote, arn, false);
    const char *token = "";
    hone_err err = HONE_OK;
    while (escaped && token && !hone_failed(err) && json_array_size(all) < limit) {
        json_t *answer = NULL, *item = NULL;
        size_t i = 0;
        (void)snprintf(path, sizeof path,
                       "/human-loops?FlowDefinitionArn=%s&SortOrder=Descending&MaxResults=100%s%s",
                       escaped, *token ? "&NextToken=" : "", token);
        HONE_TRY(hone_remote_get(remote, "GET", path, &answer));
        json_array_foreach(json_object_get(answer, "HumanLoopSummaries"), i, item) {
            if (json_array_size(all) < limit &&
                (json_object_set_new(item, "FlowDefinitionName", json_string(flow)) != 0 ||
                 json_array_append(all, item) != 0))
                err = hone_err_new(HONE_E_NOMEM, "no memory for a list");
        }
        const char *next = hone_field(answer, "NextToken");
        token = *next ? hone_remote_escape(remote, next, false) : NULL;
        json_decref(answer);
    }
    return err;
}

static hone_err collect(hone_remote *remote, const char *flow, size_t limit, json_t *all) {
    json_t *flows = NULL, *item = NULL;
    size_t i = 0;
    hone_err err = hone_remote_list(remote, "ListFlowDefinitions", json_object(),
                                    "FlowDefinitionSummaries", 0, &flows);
    bool found = false;
    if (hone_failed(err)) return err;
    json_array_foreach(flows, i, item) {
        const char *name = hone_field(item, "FlowDefinitionName");
        if (hone_failed(err) || (flow && strcmp(name, flow) != 0)) continue;
        found = true;
        err = add_loops(remote, name, hone_field(item, "FlowDefinitionArn"), limit, all);
    }
    json_decref(flows);
    if (!hone_failed(err) && flow && !found)
        return hone_err_new(HONE_E_NOT_FOUND, "no flow '%s': hone flows shows those there are",
                            flow);
    return err;
}

/* Keep those with the status; NULL keeps all. */
static void keep_status(json_t *all, const char *status) {
    for (size_t i = json_array_size(all); status && i-- > 0;)
        if (strcmp(hone_field(json_array_get(all, i), "HumanLoopStatus"), status) != 0)
            (void)json_array_remove(all, i); /* it is there */
}

static hone_err print_loops(const hone_verb_call *call, const json_t *all) {
    static const char *const titles[] = {"LOOP", "FLOW", "STATUS", "CREATED", "WHY", NULL};
    hone_columns rows;
    json_t *item = NULL;
    size_t i = 0;
    hone_columns_init(&rows, hone_remote_arena(call->remote), titles);
    json_array_foreach(all, i, item) {
        /* A2I writes "2026-11-24T06:02:59.123Z": shown as the other commands do. */
        const char *when = hone_field(item, "CreationTime");
        const char *clock = strlen(when) > 19 ? when + 11 : "";
        hone_columns_row(&rows);
        hone_columns_cell(&rows, 0, "%s", hone_field(item, "HumanLoopName"));
        hone_columns_cell(&rows, 1, "%s", hone_field(item, "FlowDefinitionName"));
        hone_columns_cell(&rows, 2, "%s", hone_field(item, "HumanLoopStatus"));
        hone_columns_cell(&rows, 3, "%.10s %.8s", when, clock);
        hone_columns_cell(&rows, 4, "%s", hone_field(item, "FailureReason"));
    }
    return hone_columns_print(&rows, "no human loops: hone ask starts one when a model is unsure");
}

static hone_err list(hone_verb_call *call) {
    const char *flow = NULL, *status = NULL;
    size_t limit = 1000;
    const hone_option options[] = {
        {"flow", "NAME", "loops of this flow only", HONE_OPT_STR, &flow, false},
        {"status", "STATUS", "InProgress, Completed, Failed or Stopped only", HONE_OPT_STR, &status,
         false},
        {"limit", "N", "at most so many (1000)", HONE_OPT_SIZE, &limit, false},
        {0}};
    HONE_TRY(hone_verb_begin(call, options));
    if (!call->remote) return HONE_OK;
    json_t *all = json_array();
    if (!all) return hone_err_new(HONE_E_NOMEM, "no memory for a list");
    hone_err err = collect(call->remote, flow, limit, all);
    keep_status(all, status);
    if (!hone_failed(err) && call->json) return hone_remote_print(all);
    if (!hone_failed(err)) err = print_loops(call, all);
    json_decref(all);
    return err;
}

/* ---- show ---- */

static hone_err loop_path(const hone_verb_call *call, char path[PATH_BYTES_MAX]) {
    const char *name = hone_remote_escape(call->remote, call->words[0], false);
    if (!name || strlen(name) > 1024)
        return hone_err_new(HONE_E_INVALID, "'%s' is no name of a loop", call->words[0]);
    (void)snprintf(path, PATH_BYTES_MAX, "/human-loops/%s", name);
    return HONE_OK;
}

/* output.json of a completed loop, into loop["Output"]. */
static hone_err add_output(hone_remote *remote, json_t *loop, const char *uri) {
    char path[PATH_BYTES_MAX];
    const char *key = strncmp(uri, "s3://", 5) == 0 ? hone_remote_escape(remote, uri + 5, true)
                                                    : NULL;
    if (!key || strlen(key) + 2 > sizeof path)
        return hone_err_new(HONE_E_CORRUPT, "'%s' is no place of an object", uri);
    (void)snprintf(path, sizeof path, "/%s", key);
    hone_buf bytes;
    hone_buf_init(&bytes, OUTPUT_LIMIT_BYTES);
    hone_err err = hone_remote_fetch(remote, path, &bytes);
    json_error_t why = {0};
    json_t *output = NULL;
    if (!hone_failed(err)) {
        output = bytes.len ? json_loadb(bytes.ptr, bytes.len, 0, &why) : NULL;
        if (!output) err = hone_err_new(HONE_E_CORRUPT, "'%s' is no JSON: %s", uri, why.text);
    }
    hone_buf_done(&bytes);
    if (output && json_object_set_new(loop, "Output", output) != 0)
        err = hone_err_new(HONE_E_NOMEM, "no memory for an answer");
    return err;
}

static void print_json(const char *title, const json_t *value) {
    printf("%-10s ", title);
    (void)json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_ENSURE_ASCII); /* main checks stdout */
    putchar('\n');
}

static void print_loop(const json_t *loop) {
    static const char *const fields[] = {"HumanLoopName", "HumanLoopStatus", "CreationTime",
                                         "FailureReason", "FlowDefinitionArn"};
    static const char *const titles[] = {"loop", "status", "created", "why", "flow"};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const json_t *value = json_object_get(loop, fields[i]);
        if (json_string_length(value) > 0)
            printf("%-10s %s\n", titles[i], json_string_value(value));
    }
    const json_t *output = json_object_get(loop, "Output"), *answer = NULL;
    size_t i = 0;
    if (output) print_json("input", json_object_get(output, "inputContent"));
    json_array_foreach(json_object_get(output, "humanAnswers"), i, answer) {
        print_json("answer", json_object_get(answer, "answerContent"));
        printf("%-10s worker %s, %s, %.0f s\n", "by", hone_field(answer, "workerId"),
               hone_field(answer, "submissionTime"),
               hone_field_number(answer, "timeSpentInSeconds", 0.0));
    }
}

static hone_err show(hone_verb_call *call) {
    char path[PATH_BYTES_MAX];
    json_t *loop = NULL;
    HONE_TRY(hone_verb_begin(call, NULL));
    if (!call->remote) return HONE_OK;
    HONE_TRY(loop_path(call, path));
    HONE_TRY(hone_remote_get(call->remote, "GET", path, &loop));
    const char *uri = hone_field(json_object_get(loop, "HumanLoopOutput"), "OutputS3Uri");
    hone_err err = HONE_OK;
    if (strcmp(hone_field(loop, "HumanLoopStatus"), "Completed") == 0 && *uri)
        err = add_output(call->remote, loop, uri);
    if (!hone_failed(err) && call->json) return hone_remote_print(loop);
    if (!hone_failed(err)) print_loop(loop);
    json_decref(loop);
    return err;
}

/* ---- stop ---- */

static hone_err stop(hone_verb_call *call) {
    HONE_TRY(hone_verb_begin(call, NULL));
    if (!call->remote) return HONE_OK;
    HONE_TRY(hone_remote_rest(call->remote, "POST", "/human-loops/stop",
                              json_pack("{s:s}", "HumanLoopName", call->words[0]), NULL));
    if (call->json) return hone_remote_print(json_pack("{s:s}", "HumanLoopName", call->words[0]));
    printf("%s is stopped\n", call->words[0]);
    return HONE_OK;
}

hone_err hone_cmd_loops(int argc, char **argv) {
    static const hone_verb verbs[] = {
        {"list", list, "", "questions to humans, the newest first", 0, 0},
        {"show", show, "LOOP", "one of them, with its answers", 1, 1},
        {"stop", stop, "LOOP", "ask no more", 1, 1},
        {0}};
    return hone_verbs_run("loops", "Human loops: what a model was unsure of.", verbs, argc, argv);
}
