/* people.c: `hone teams` and `hone users`: who answers. */
#include "cli/client/columns.h"
#include "cli/client/verbs.h"
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

enum { PATH_BYTES_MAX = 1024 };

/* ---- teams ---- */

static hone_err teams_list(hone_verb_call *call) {
    static const char *const titles[] = {"TEAM", "CREATED", "DESCRIPTION", NULL};
    json_t *all = NULL, *item = NULL;
    size_t i = 0;
    HONE_TRY(hone_verb_begin(call, NULL));
    if (!call->remote) return HONE_OK;
    HONE_TRY(hone_remote_list(call->remote, "ListWorkteams", json_object(), "Workteams", 0, &all));
    if (call->json) return hone_remote_print(all);
    hone_columns rows;
    hone_columns_init(&rows, hone_remote_arena(call->remote), titles);
    json_array_foreach(all, i, item) {
        char when[HONE_WHEN_SIZE];
        hone_when_format(hone_field_number(item, "CreateDate", 0.0), when);
        hone_columns_row(&rows);
        hone_columns_cell(&rows, 0, "%s", hone_field(item, "WorkteamName"));
        hone_columns_cell(&rows, 1, "%s", when);
        hone_columns_cell(&rows, 2, "%s", hone_field(item, "Description"));
    }
    json_decref(all);
    return hone_columns_print(&rows, "no teams yet: hone teams create NAME");
}

/* The service wants a member definition of its own user pool; hone's members are kept beside it,
 * so the definition only repeats the team's name. */
static json_t *team_request(const char *name, const char *about) {
    return json_pack("{s:s, s:s, s:[{s:{s:s, s:s, s:s}}]}", "WorkteamName", name, "Description",
                     about, "MemberDefinitions", "CognitoMemberDefinition", "UserPool", "hone_pool",
                     "UserGroup", name, "ClientId", "hone");
}

static hone_err teams_create(hone_verb_call *call) {
    const char *about = "Reviewers";
    const hone_option options[] = {
        {"description", "TEXT", "what the team does", HONE_OPT_STR, &about, false}, {0}};
    json_t *answer = NULL;
    HONE_TRY(hone_verb_begin(call, options));
    if (!call->remote) return HONE_OK;
    HONE_TRY(hone_remote_op(call->remote, "CreateWorkteam", team_request(call->words[0], about),
                            &answer));
    if (call->json) return hone_remote_print(answer);
    printf("team %s is there: hone users invite EMAIL --team %s\n", call->words[0], call->words[0]);
    json_decref(answer);
    return HONE_OK;
}

static hone_err teams_member(hone_verb_call *call, bool member) {
    char path[PATH_BYTES_MAX];
    HONE_TRY(hone_verb_begin(call, NULL));
    if (!call->remote) return HONE_OK;
    const char *team = hone_remote_escape(call->remote, call->words[0], false);
    if (!team || strlen(team) > 512)
        return hone_err_new(HONE_E_INVALID, "'%s' is no name of a team", call->words[0]);
    (void)snprintf(path, sizeof path, "/hone/teams/%s/members", team);
    HONE_TRY(hone_remote_rest(
        call->remote, "POST", path,
        json_pack("{s:s, s:b}", "name", call->words[1], "member", (int)member), NULL));
    if (call->json)
        return hone_remote_print(json_pack("{s:s, s:s, s:b}", "team", call->words[0], "name",
                                           call->words[1], "member", (int)member));
    printf("%s is %s in team %s\n", call->words[1], member ? "now" : "no longer", call->words[0]);
    return HONE_OK;
}

static hone_err teams_add(hone_verb_call *call) { return teams_member(call, true); }
static hone_err teams_remove(hone_verb_call *call) { return teams_member(call, false); }

hone_err hone_cmd_teams(int argc, char **argv) {
    static const hone_verb verbs[] = {
        {"list", teams_list, "", "the teams", 0, 0},
        {"create", teams_create, "TEAM", "a new team without members", 1, 1},
        {"add", teams_add, "TEAM USER", "make a user a member", 2, 2},
        {"remove", teams_remove, "TEAM USER", "make a user no member", 2, 2},
        {0}};
    return hone_verbs_run("teams", "Teams of reviewers.", verbs, argc, argv);
}

/* ---- users ---- */

/* ["crew", "night"] -> "crew, night" */
static void join(const json_t *names, char *out, size_t size) {
    size_t i = 0, len = 0;
    json_t *name = NULL;
    out[0] = '\0';
    json_array_foreach(names, i, name) {
        const char *text = json_string_value(name);
        int n = text ? snprintf(out + len, size - len, "%s%s", i ? ", " : "", text) : 0;
        if (n < 0 || (size_t)n >= size - len) return; /* cut, as the column would be */
        len += (size_t)n;
    }
}

static hone_err users_list(hone_verb_call *call) {
    static const char *const titles[] = {"NAME", "ROLE", "E-MAIL", "TEAMS", "LAST SEEN", NULL};
    json_t *answer = NULL, *item = NULL;
    size_t i = 0;
    HONE_TRY(hone_verb_begin(call, NULL));
    if (!call->remote) return HONE_OK;
    HONE_TRY(hone_remote_get(call->remote, "GET", "/hone/users", &answer));
    json_t *users = json_object_get(answer, "users");
    if (call->json) {
        json_t *kept = json_incref(users);
        json_decref(answer);
        return hone_remote_print(kept);
    }
    hone_columns rows;
    hone_columns_init(&rows, hone_remote_arena(call->remote), titles);
    json_array_foreach(users, i, item) {
        char when[HONE_WHEN_SIZE], teams[256];
        hone_when_format(hone_field_number(item, "seen", 0.0) / 1000.0, when);
        join(json_object_get(item, "teams"), teams, sizeof teams);
        bool is_disabled = json_is_true(json_object_get(item, "disabled"));
        hone_columns_row(&rows);
        hone_columns_cell(&rows, 0, "%s", hone_field(item, "name"));
        hone_columns_cell(&rows, 1, "%s%s", hone_field(item, "role"),
                          is_disabled ? " (disabled)" : "");
        hone_columns_cell(&rows, 2, "%s", hone_field(item, "email"));
        hone_columns_cell(&rows, 3, "%s", teams);
        hone_columns_cell(&rows, 4, "%s", when);
    }
    json_decref(answer);
    return hone_columns_print(&rows, "no users");
}

static hone_err users_invite(hone_verb_call *call) {
    const char *team = NULL, *role = "reviewer";
    const hone_option options[] = {
        {"team", "TEAM", "a team that the new user joins", HONE_OPT_STR, &team, false},
        {"role", "ROLE", "reviewer (default), engineer or admin", HONE_OPT_STR, &role, false},
        {0}};
    json_t *answer = NULL;
    HONE_TRY(hone_verb_begin(call, options));
    if (!call->remote) return HONE_OK;
    HONE_TRY(hone_remote_rest(
        call->remote, "POST", "/hone/invitations",
        json_pack("{s:s, s:s, s:s*}", "email", call->words[0], "role", role, "team", team),
        &answer));
    if (call->json) return hone_remote_print(answer);
    puts(hone_field(answer, "link"));
    if (!json_is_true(json_object_get(answer, "mailed")))
        fprintf(stderr, "no mail was sent: give this link to %s; it is good for 7 days, once\n",
                call->words[0]);
    json_decref(answer);
    return HONE_OK;
}

hone_err hone_cmd_users(int argc, char **argv) {
    static const hone_verb verbs[] = {{"list", users_list, "", "who may log in", 0, 0},
                                      {"invite", users_invite, "EMAIL",
                                       "make a link with which one person makes an account", 1, 1},
                                      {0}};
    return hone_verbs_run("users", "People: reviewers, engineers, administrators.", verbs, argc,
                          argv);
}
