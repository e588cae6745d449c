/* review_ops.c: work teams, human task UIs, flow definitions and tags, as SageMaker has them.
 *
 * There is one private workforce, "default". A team keeps the MemberDefinitions it was given, but
 * who is in it is said by hone's own calls (docs/api.md): there is no user pool beside. */
#include "api/ops.h"
#include "base/json.h"
#include "decide/decision.h"
#include "review/flows.h"
#include "review/liquid.h"
#include "review/task_uis.h"
#include "review/teams.h"
#include "store/tags.h"

#include <string.h>

enum {
    NAME_MAX_BYTES = 63,
    ARN_MAX_BYTES = 1024,
    DESCRIPTION_MAX_BYTES = 800, /* 200 characters */
    CONTENT_MAX_BYTES = 4 * HONE_TEMPLATE_CHARS_MAX,
    TITLE_MAX_BYTES = 4 * 128,
    ABOUT_MAX_BYTES = 4 * 255,
    LIST_LIMIT = 100,
    MEMBERS_MAX = 10,
    GROUPS_MAX = 10,
    KEYWORDS_MAX = 5,
};

static const char workforce_name[] = "default";
static const char wire_error[] = "ValidationException";

/* ---- the workforce ---- */

static json_t *workforce_json(const hone_call *call) {
    const char *arn = hone_arn_format(call->arena, call->app->realm, "workforce/%s",
                                      workforce_name);
    return json_pack("{s:s, s:s, s:s*, s:s}", "WorkforceName", workforce_name, "WorkforceArn",
                     arn ? arn : "", "SubDomain", call->app->public_url, "Status", "Active");
}

static hone_err check_workforce(const json_t *in, size_t min) {
    hone_str name;
    HONE_TRY(hone_in_str(in, "WorkforceName", min, NAME_MAX_BYTES, &name));
    if (name.len == 0 || hone_str_equal(name, hone_str_of(workforce_name))) return HONE_OK;
    return hone_err_new(HONE_E_NOT_FOUND, "Could not find workforce '%.*s': there is one, '%s'",
                        HONE_ARG(name), workforce_name);
}

static hone_err describe_workforce(const hone_call *call, const json_t *in, json_t **out) {
    HONE_TRY(check_workforce(in, 1));
    return hone_op_out(json_pack("{s:o}", "Workforce", workforce_json(call)), out);
}

static hone_err list_workforces(const hone_call *call, const json_t *in, json_t **out) {
    hone_str part;
    hone_str name = hone_str_of(workforce_name);
    HONE_TRY(hone_in_str(in, "NameContains", 0, NAME_MAX_BYTES, &part));
    json_t *list = json_array();
    if (part.len == 0 || memmem(name.ptr, name.len, part.ptr, part.len))
        json_array_append_new(list, workforce_json(call));
    return hone_op_out(json_pack("{s:o}", "Workforces", list), out);
}

/* ---- work teams ---- */

static hone_err check_strings(const json_t *object, const char *const *keys, size_t count) {
    hone_str value;
    for (size_t i = 0; i < count; i++)
        HONE_TRY(hone_in_str(object, keys[i], 1, ARN_MAX_BYTES, &value));
    return HONE_OK;
}

static hone_err check_member(const json_t *member) {
    static const char *const keys[] = {"UserPool", "UserGroup", "ClientId"};
    const json_t *cognito = json_object_get(member, "CognitoMemberDefinition");
    const json_t *oidc = json_object_get(member, "OidcMemberDefinition");
    if (json_is_object(cognito) == json_is_object(oidc))
        return hone_err_new(HONE_E_INVALID, "a member definition has either "
                                            "CognitoMemberDefinition or OidcMemberDefinition");
    if (cognito) return check_strings(cognito, keys, sizeof keys / sizeof keys[0]);
    const json_t *groups = json_object_get(oidc, "Groups");
    size_t count = json_array_size(groups);
    if (count < 1 || count > GROUPS_MAX)
        return hone_err_new(HONE_E_INVALID,
                            "OidcMemberDefinition.Groups has %zu names, allowed "
                            "are 1 to %d",
                            count, GROUPS_MAX);
    for (size_t i = 0; i < count; i++) {
        hone_str name = hone_json_str(json_array_get(groups, i));
        if (name.len < 1 || name.len > NAME_MAX_BYTES)
            return hone_err_new(HONE_E_INVALID,
                                "a group of OidcMemberDefinition has no valid name");
    }
    return HONE_OK;
}

/* The members of in that a team keeps as they came; required: MemberDefinitions. */
static hone_err team_fields(const json_t *in, bool is_new, json_t **out) {
    static const char *const kept[] = {"MemberDefinitions", "NotificationConfiguration",
                                       "WorkerAccessConfiguration"};
    const json_t *members = json_object_get(in, "MemberDefinitions");
    size_t count = json_array_size(members);
    if ((is_new || members) && (count < 1 || count > MEMBERS_MAX))
        return hone_err_new(HONE_E_INVALID,
                            "MemberDefinitions has %zu entries, allowed are 1 to %d", count,
                            MEMBERS_MAX);
    for (size_t i = 0; i < count; i++) HONE_TRY(check_member(json_array_get(members, i)));
    json_t *fields = json_object();
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        json_t *value = json_object_get(in, kept[i]);
        if (value && !json_is_null(value)) json_object_set(fields, kept[i], value);
    }
    return hone_op_out(fields, out);
}

static hone_err team_json(const hone_call *call, const hone_team *team, json_t **out) {
    json_t *json = NULL;
    const char *workforce = hone_arn_format(call->arena, call->app->realm, "workforce/%s",
                                            workforce_name);
    HONE_TRY(hone_json_parse(hone_str_of(team->fields), "fields of a work team", &json));
    json_object_set_new(json, "WorkteamName", json_string(team->name));
    json_object_set_new(json, "WorkteamArn", json_string(team->arn));
    json_object_set_new(json, "WorkforceArn", json_string(workforce ? workforce : ""));
    json_object_set_new(json, "Description", json_string(team->description));
    json_object_set_new(json, "SubDomain", json_string(call->app->public_url));
    json_object_set_new(json, "CreateDate", hone_json_time(team->created_ms));
    json_object_set_new(json, "LastUpdatedDate", hone_json_time(team->modified_ms));
    *out = json;
    return HONE_OK;
}

static hone_err create_team(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_str name, description;
    hone_team team;
    json_t *fields = NULL;
    HONE_TRY(hone_in_name(in, "WorkteamName", NULL, NAME_MAX_BYTES, false, &name));
    HONE_TRY(hone_in_str(in, "Description", 1, DESCRIPTION_MAX_BYTES, &description));
    HONE_TRY(check_workforce(in, 0));
    HONE_TRY(team_fields(in, true, &fields));
    hone_err err = hone_team_add(tx, call->arena, call->app->realm, call->actor, name, description,
                                 fields, &team);
    json_decref(fields);
    if (!hone_failed(err)) err = hone_tags_add(tx, team.arn, json_object_get(in, "Tags"));
    if (hone_failed(err)) return err;
    return hone_op_out(json_pack("{s:s}", "WorkteamArn", team.arn), out);
}

static hone_err answer_team(const hone_call *call, const hone_team *team, json_t **out) {
    json_t *json = NULL;
    HONE_TRY(team_json(call, team, &json));
    return hone_op_out(json_pack("{s:o}", "Workteam", json), out);
}

static hone_err describe_team(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_str name;
    hone_team team;
    HONE_TRY(hone_in_str(in, "WorkteamName", 1, ARN_MAX_BYTES, &name));
    HONE_TRY(hone_team_find(tx, call->arena, name, &team));
    return answer_team(call, &team, out);
}

static hone_err update_team(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_str name, description;
    hone_team team;
    json_t *fields = NULL;
    HONE_TRY(hone_in_str(in, "WorkteamName", 1, ARN_MAX_BYTES, &name));
    HONE_TRY(hone_in_str(in, "Description", 0, DESCRIPTION_MAX_BYTES, &description));
    HONE_TRY(team_fields(in, false, &fields));
    hone_err err = hone_team_update(tx, call->arena, call->actor, name, description, fields, &team);
    json_decref(fields);
    return hone_failed(err) ? err : answer_team(call, &team, out);
}

static hone_err delete_team(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_str name;
    hone_team team;
    HONE_TRY(hone_in_str(in, "WorkteamName", 1, ARN_MAX_BYTES, &name));
    HONE_TRY(hone_team_find(tx, call->arena, name, &team));
    HONE_TRY(hone_team_remove(tx, call->arena, call->actor, name));
    HONE_TRY(hone_accounts_team_drop(tx, hone_str_of(team.name)));
    HONE_TRY(hone_tags_drop(tx, team.arn));
    return hone_op_out(json_pack("{s:b}", "Success", 1), out);
}

static hone_review_listing listing_of(const hone_page *page) {
    return (hone_review_listing){.limit = page->limit,
                                 .offset = page->offset,
                                 .descending = page->descending,
                                 .after_ms = page->after_ms,
                                 .before_ms = page->before_ms,
                                 .name_contains = page->name_contains};
}

static hone_err list_teams(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_page page;
    hone_str by;
    hone_team *teams = NULL;
    size_t count = 0;
    bool more = false;
    HONE_TRY(hone_in_page(in, LIST_LIMIT, false, &page));
    HONE_TRY(hone_in_str(in, "SortBy", 0, NAME_MAX_BYTES, &by));
    hone_review_listing listing = listing_of(&page);
    listing.by_name = hone_str_equal(by, HONE_S("Name"));
    if (by.len > 0 && !listing.by_name && !hone_str_equal(by, HONE_S("CreateDate")))
        return hone_err_new(HONE_E_INVALID, "SortBy is Name or CreateDate, not '%.*s'",
                            HONE_ARG(by));
    HONE_TRY(hone_team_list(tx, call->arena, &listing, &teams, &count, &more));
    HONE_TRY(hone_op_out(json_pack("{s:[]}", "Workteams"), out));
    for (size_t i = 0; i < count; i++) {
        json_t *json = NULL;
        HONE_TRY(team_json(call, &teams[i], &json));
        json_array_append_new(json_object_get(*out, "Workteams"), json);
    }
    hone_out_next(*out, &page, more);
    return HONE_OK;
}

/* ---- human task UIs ---- */

static hone_err template_of(const json_t *in, hone_str *out) {
    const json_t *ui = json_object_get(in, "UiTemplate");
    if (!json_is_object(ui)) return hone_err_new(HONE_E_INVALID, "UiTemplate is missing");
    return hone_in_str(ui, "Content", 1, CONTENT_MAX_BYTES, out);
}

static hone_err create_ui(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_str name, content;
    hone_task_ui ui;
    HONE_TRY(hone_in_name(in, "HumanTaskUiName", NULL, NAME_MAX_BYTES, true, &name));
    HONE_TRY(template_of(in, &content));
    HONE_TRY(hone_task_ui_add(tx, call->arena, call->app->realm, call->actor, name, content, &ui));
    HONE_TRY(hone_tags_add(tx, ui.arn, json_object_get(in, "Tags")));
    return hone_op_out(json_pack("{s:s}", "HumanTaskUiArn", ui.arn), out);
}

static json_t *ui_json(const hone_task_ui *ui) {
    return json_pack("{s:s, s:s, s:o}", "HumanTaskUiArn", ui->arn, "HumanTaskUiName", ui->name,
                     "CreationTime", hone_json_time(ui->created_ms));
}

static hone_err describe_ui(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_str name;
    hone_task_ui ui;
    HONE_TRY(hone_in_str(in, "HumanTaskUiName", 1, ARN_MAX_BYTES, &name));
    HONE_TRY(hone_task_ui_find(tx, call->arena, name, &ui));
    json_t *json = ui_json(&ui);
    if (json) {
        json_object_set_new(json, "HumanTaskUiStatus", json_string("Active"));
        json_object_set_new(json, "UiTemplate", json_pack("{s:s}", "ContentSha256", ui.sha256));
    }
    return hone_op_out(json, out);
}

static hone_err delete_ui(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_str name;
    hone_task_ui ui;
    (void)out;
    HONE_TRY(hone_in_str(in, "HumanTaskUiName", 1, ARN_MAX_BYTES, &name));
    HONE_TRY(hone_task_ui_find(tx, call->arena, name, &ui));
    HONE_TRY(hone_tags_drop(tx, ui.arn));
    return hone_task_ui_remove(tx, call->arena, call->actor, name);
}

static hone_err list_uis(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_page page;
    hone_task_ui *uis = NULL;
    size_t count = 0;
    bool more = false;
    HONE_TRY(hone_in_page(in, LIST_LIMIT, false, &page));
    hone_review_listing listing = listing_of(&page);
    HONE_TRY(hone_task_ui_list(tx, call->arena, &listing, &uis, &count, &more));
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) json_array_append_new(list, ui_json(&uis[i]));
    HONE_TRY(hone_op_out(json_pack("{s:o}", "HumanTaskUiSummaries", list), out));
    hone_out_next(*out, &page, more);
    return HONE_OK;
}

static hone_err find_template(const hone_call *call, hone_tx *tx, const json_t *in, hone_str *out) {
    hone_str arn;
    hone_task_ui ui;
    HONE_TRY(hone_in_str(in, "HumanTaskUiArn", 0, ARN_MAX_BYTES, &arn));
    if ((arn.len > 0) == (json_object_get(in, "UiTemplate") != NULL))
        return hone_err_new(HONE_E_INVALID, "give either UiTemplate or HumanTaskUiArn");
    if (arn.len == 0) return template_of(in, out);
    HONE_TRY(hone_task_ui_find(tx, call->arena, arn, &ui));
    *out = hone_str_of(ui.content);
    return HONE_OK;
}

/* What is wrong with a template is part of the answer: it is what the caller wants to know. */
static hone_err render(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_str content, text;
    json_t *input = NULL;
    hone_buf page;
    HONE_TRY(find_template(call, tx, in, &content));
    HONE_TRY(hone_in_str(json_object_get(in, "Task"), "Input", 2, CONTENT_MAX_BYTES, &text));
    hone_err err = hone_json_parse(text, "Task.Input", &input);
    if (err.code == HONE_E_CORRUPT) err.code = HONE_E_INVALID;
    HONE_TRY(err);
    hone_buf_init(&page, HONE_LIQUID_OUTPUT_MAX);
    err = hone_liquid_render(content, input, &page);
    json_decref(input);
    json_t *errors = json_array();
    if (err.code == HONE_E_INVALID)
        json_array_append_new(errors,
                              json_pack("{s:s, s:s}", "Code", "TemplateError", "Message", err.msg));
    json_t *rendered = json_stringn(page.ptr ? page.ptr : "", page.len);
    hone_buf_done(&page);
    json_t *answer = json_pack("{s:o, s:o}", "RenderedContent", rendered, "Errors", errors);
    if (hone_failed(err) && err.code != HONE_E_INVALID) {
        json_decref(answer);
        return err;
    }
    return hone_op_out(answer, out);
}

/* ---- flow definitions ---- */

static hone_err check_role(const json_t *in) {
    hone_str role;
    HONE_TRY(hone_in_str(in, "RoleArn", 20, 2048, &role));
    if (hone_str_has_prefix(role, HONE_S("arn:aws")) && memmem(role.ptr, role.len, ":iam::", 6) &&
        memmem(role.ptr, role.len, ":role", 5))
        return HONE_OK;
    return hone_err_new(HONE_E_INVALID, "RoleArn '%.*s' is no role's ARN", HONE_ARG(role));
}

static hone_err check_keywords(const json_t *config) {
    const json_t *keywords = json_object_get(config, "TaskKeywords");
    if (!keywords || json_is_null(keywords)) return HONE_OK;
    size_t count = json_array_size(keywords);
    bool ok = count >= 1 && count <= KEYWORDS_MAX;
    for (size_t i = 0; ok && i < count; i++) {
        hone_str word = hone_json_str(json_array_get(keywords, i));
        ok = word.len >= 1 && word.len <= 30;
    }
    if (ok) return HONE_OK;
    return hone_err_new(HONE_E_INVALID, "TaskKeywords has 1 to %d words of 1 to 30 letters",
                        KEYWORDS_MAX);
}

/* What hone does not do is refused rather than ignored. */
static hone_err check_unsupported(const json_t *in) {
    static const char *const sources[] = {"HumanLoopRequestSource", "HumanLoopActivationConfig"};
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        const json_t *value = json_object_get(in, sources[i]);
        if (value && !json_is_null(value))
            return hone_err_new(HONE_E_INVALID,
                                "%s is for Textract and Rekognition: hone asks "
                                "when StartHumanLoop says so",
                                sources[i]);
    }
    return HONE_OK;
}

static hone_err read_spec(const json_t *in, hone_flow_spec *spec) {
    const json_t *config = json_object_get(in, "HumanLoopConfig");
    const json_t *output = json_object_get(in, "OutputConfig");
    *spec = (hone_flow_spec){.fields = in};
    HONE_TRY(hone_in_name(in, "FlowDefinitionName", NULL, NAME_MAX_BYTES, true, &spec->name));
    HONE_TRY(check_role(in));
    HONE_TRY(check_unsupported(in));
    if (!json_is_object(config)) return hone_err_new(HONE_E_INVALID, "HumanLoopConfig is missing");
    if (!json_is_object(output)) return hone_err_new(HONE_E_INVALID, "OutputConfig is missing");
    HONE_TRY(hone_in_str(output, "S3OutputPath", 1, ARN_MAX_BYTES, &spec->output_uri));
    HONE_TRY(hone_in_str(config, "WorkteamArn", 1, ARN_MAX_BYTES, &spec->team));
    HONE_TRY(hone_in_str(config, "HumanTaskUiArn", 1, ARN_MAX_BYTES, &spec->ui));
    HONE_TRY(hone_in_str(config, "TaskTitle", 1, TITLE_MAX_BYTES, &spec->title));
    HONE_TRY(hone_in_str(config, "TaskDescription", 1, ABOUT_MAX_BYTES, &spec->description));
    HONE_TRY(check_keywords(config));
    HONE_TRY(hone_in_int(config, "TaskCount", 1, HONE_TASKS_MAX, 0, &spec->task_count));
    HONE_TRY(hone_in_int(config, "TaskAvailabilityLifetimeInSeconds", 1, INT32_MAX,
                         HONE_LIFETIME_DEFAULT_S, &spec->lifetime_s));
    return hone_in_int(config, "TaskTimeLimitInSeconds", HONE_TIME_LIMIT_MIN_S, INT32_MAX,
                       HONE_TIME_LIMIT_DEFAULT_S, &spec->time_limit_s);
}

/* hone:threshold and hone:audit must be numbers that they can be. */
static hone_err check_policy_tags(const json_t *tags) {
    hone_policy policy = hone_policy_default(HONE_S("flow"));
    for (size_t i = 0; i < json_array_size(tags); i++) {
        const json_t *tag = json_array_get(tags, i);
        HONE_TRY(hone_policy_set(&policy, hone_json_str(json_object_get(tag, "Key")),
                                 hone_json_str(json_object_get(tag, "Value"))));
    }
    return HONE_OK;
}

static hone_err create_flow(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_flow_spec spec;
    hone_flow flow;
    const json_t *tags = json_object_get(in, "Tags");
    HONE_TRY(read_spec(in, &spec));
    HONE_TRY(check_policy_tags(tags));
    HONE_TRY(hone_flow_add(tx, call->arena, call->app->realm, call->actor, &spec, &flow));
    HONE_TRY(hone_tags_add(tx, flow.arn, tags));
    return hone_op_out(json_pack("{s:s}", "FlowDefinitionArn", flow.arn), out);
}

static json_t *flow_json(const hone_flow *flow) {
    return json_pack("{s:s, s:s, s:s, s:o}", "FlowDefinitionArn", flow->arn, "FlowDefinitionName",
                     flow->name, "FlowDefinitionStatus", flow->status, "CreationTime",
                     hone_json_time(flow->created_ms));
}

/* The members that were given, with the defaults that hold. */
static hone_err fill_flow(const hone_flow *flow, json_t *json) {
    static const char *const kept[] = {"OutputConfig", "RoleArn", "HumanLoopConfig"};
    json_t *fields = NULL;
    HONE_TRY(hone_json_parse(hone_str_of(flow->fields), "fields of a flow definition", &fields));
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
        json_object_set(json, kept[i], json_object_get(fields, kept[i]));
    json_t *config = json_object_get(json, "HumanLoopConfig");
    json_object_set_new(config, "TaskAvailabilityLifetimeInSeconds",
                        json_integer(flow->lifetime_s));
    json_object_set_new(config, "TaskTimeLimitInSeconds", json_integer(flow->time_limit_s));
    json_decref(fields);
    return HONE_OK;
}

static hone_err describe_flow(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_str name;
    hone_flow flow;
    HONE_TRY(hone_in_str(in, "FlowDefinitionName", 1, ARN_MAX_BYTES, &name));
    HONE_TRY(hone_flow_find(tx, call->arena, name, &flow));
    HONE_TRY(hone_op_out(flow_json(&flow), out));
    return fill_flow(&flow, *out);
}

static hone_err delete_flow(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_str name;
    hone_flow flow;
    (void)out;
    HONE_TRY(hone_in_str(in, "FlowDefinitionName", 1, ARN_MAX_BYTES, &name));
    HONE_TRY(hone_flow_find(tx, call->arena, name, &flow));
    HONE_TRY(hone_tags_drop(tx, flow.arn));
    return hone_flow_remove(tx, call->arena, call->actor, name);
}

static hone_err list_flows(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    hone_page page;
    hone_flow *flows = NULL;
    size_t count = 0;
    bool more = false;
    HONE_TRY(hone_in_page(in, LIST_LIMIT, false, &page));
    hone_review_listing listing = listing_of(&page);
    HONE_TRY(hone_flow_list(tx, call->arena, &listing, &flows, &count, &more));
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) json_array_append_new(list, flow_json(&flows[i]));
    HONE_TRY(hone_op_out(json_pack("{s:o}", "FlowDefinitionSummaries", list), out));
    hone_out_next(*out, &page, more);
    return HONE_OK;
}

/* ---- tags ---- */

/* The ARN in the arena. What this file makes must be there; the other rooms' things are not
 * looked up. */
static hone_err tagged_arn(const hone_call *call, hone_tx *tx, const json_t *in, const char **out) {
    hone_str arn, name;
    hone_err err = HONE_OK;
    HONE_TRY(hone_in_str(in, "ResourceArn", 1, 256, &arn));
    if (!hone_str_has_prefix(arn, HONE_S("arn:aws")) ||
        !memmem(arn.ptr, arn.len, ":sagemaker:", 11))
        return hone_err_new(HONE_E_INVALID, "ResourceArn '%.*s' is no ARN of SageMaker",
                            HONE_ARG(arn));
    if (hone_arn_name(arn, "flow-definition", false, &name))
        err = hone_flow_find(tx, call->arena, arn, &(hone_flow){0});
    else if (hone_arn_name(arn, "workteam", false, &name))
        err = hone_team_find(tx, call->arena, arn, &(hone_team){0});
    else if (hone_arn_name(arn, "human-task-ui", false, &name))
        err = hone_task_ui_find(tx, call->arena, arn, &(hone_task_ui){0});
    HONE_TRY(err);
    *out = hone_arena_strdup(call->arena, arn);
    return *out ? HONE_OK : hone_err_new(HONE_E_NOMEM, "no memory for a request");
}

static hone_err answer_tags(hone_tx *tx, const char *arn, json_t **out) {
    json_t *tags = NULL;
    HONE_TRY(hone_tags_list(tx, arn, &tags));
    return hone_op_out(json_pack("{s:o}", "Tags", tags), out);
}

static hone_err add_tags(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    const char *arn = NULL;
    const json_t *tags = json_object_get(in, "Tags");
    if (!json_is_array(tags)) return hone_err_new(HONE_E_INVALID, "Tags is missing");
    HONE_TRY(tagged_arn(call, tx, in, &arn));
    HONE_TRY(check_policy_tags(tags));
    HONE_TRY(hone_tags_add(tx, arn, tags));
    return answer_tags(tx, arn, out);
}

static hone_err list_tags(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    const char *arn = NULL;
    HONE_TRY(tagged_arn(call, tx, in, &arn));
    return answer_tags(tx, arn, out);
}

static hone_err delete_tags(const hone_call *call, hone_tx *tx, const json_t *in, json_t **out) {
    const char *arn = NULL;
    const json_t *keys = json_object_get(in, "TagKeys");
    (void)out;
    if (!json_is_array(keys)) return hone_err_new(HONE_E_INVALID, "TagKeys is missing");
    HONE_TRY(tagged_arn(call, tx, in, &arn));
    return hone_tags_remove(tx, arn, keys);
}

#define OP(name, kind)                                                                 \
    static hone_err name##_op(const hone_call *call, const json_t *in, json_t **out) { \
        return hone_op_run(call, kind, name, in, out);                                 \
    }

OP(create_team, HONE_TX_WRITE)
OP(describe_team, HONE_TX_READ)
OP(update_team, HONE_TX_WRITE)
OP(delete_team, HONE_TX_WRITE)
OP(list_teams, HONE_TX_READ)
OP(create_ui, HONE_TX_WRITE)
OP(describe_ui, HONE_TX_READ)
OP(delete_ui, HONE_TX_WRITE)
OP(list_uis, HONE_TX_READ)
OP(render, HONE_TX_READ)
OP(create_flow, HONE_TX_WRITE)
OP(describe_flow, HONE_TX_READ)
OP(delete_flow, HONE_TX_WRITE)
OP(list_flows, HONE_TX_READ)
OP(add_tags, HONE_TX_WRITE)
OP(list_tags, HONE_TX_READ)
OP(delete_tags, HONE_TX_WRITE)

const hone_op hone_review_ops[] = {
    {"DescribeWorkforce", describe_workforce, HONE_ENGINEER, wire_error, NULL},
    {"ListWorkforces", list_workforces, HONE_ENGINEER, NULL, NULL},
    {"CreateWorkteam", create_team_op, HONE_ENGINEER, wire_error, NULL},
    {"DescribeWorkteam", describe_team_op, HONE_ENGINEER, wire_error, NULL},
    {"UpdateWorkteam", update_team_op, HONE_ENGINEER, wire_error, NULL},
    {"DeleteWorkteam", delete_team_op, HONE_ENGINEER, wire_error, NULL},
    {"ListWorkteams", list_teams_op, HONE_ENGINEER, NULL, NULL},
    {"CreateHumanTaskUi", create_ui_op, HONE_ENGINEER, NULL, NULL},
    {"DescribeHumanTaskUi", describe_ui_op, HONE_ENGINEER, NULL, NULL},
    {"DeleteHumanTaskUi", delete_ui_op, HONE_ENGINEER, NULL, NULL},
    {"ListHumanTaskUis", list_uis_op, HONE_ENGINEER, NULL, NULL},
    {"RenderUiTemplate", render_op, HONE_ENGINEER, NULL, NULL},
    {"CreateFlowDefinition", create_flow_op, HONE_ENGINEER, NULL, NULL},
    {"DescribeFlowDefinition", describe_flow_op, HONE_ENGINEER, NULL, NULL},
    {"DeleteFlowDefinition", delete_flow_op, HONE_ENGINEER, NULL, NULL},
    {"ListFlowDefinitions", list_flows_op, HONE_ENGINEER, NULL, NULL},
    {"AddTags", add_tags_op, HONE_ENGINEER, NULL, NULL},
    {"ListTags", list_tags_op, HONE_ENGINEER, NULL, NULL},
    {"DeleteTags", delete_tags_op, HONE_ENGINEER, NULL, NULL},
    {0},
};
