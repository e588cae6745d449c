/* account_calls.c: people and sessions over the wire: the table "People" of docs/api.md.
 *
 * Login and the acceptance of an invitation come without an account. A page of another site could
 * send such a request too, and log its victim in as somebody else: so they must be JSON by their
 * Content-Type, which another site's page may not send without being asked first. */
#include "api/api.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "review/teams.h"
#include "store/journal.h"

#include <stdio.h>
#include <stdlib.h>

/* What a call answers: value, or an error, which fault may give another status than its code. */
typedef struct answer {
    json_t *value;       /* NULL = {} */
    const char *session; /* a cookie to set; "" = to end; NULL = none */
    const struct fault *fault;
} answer;

typedef struct fault {
    int status;
    const char *name;
} fault;

static const fault unauthenticated = {401, "unauthenticated"};
static const fault forbidden = {403, "forbidden"};
static const fault gone = {410, "gone"};
static const fault too_many = {429, "too_many"};

/* The last segment of the path, or the middle one of three, is arg. */
typedef hone_err call_fn(const hone_call *call, hone_str arg, answer *out);

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory for an answer"); }

static hone_err set_value(answer *out, json_t *value) {
    if (!value) return no_memory();
    json_decref(out->value);
    out->value = value;
    return HONE_OK;
}

static hone_err forbid(answer *out, const char *message) {
    out->fault = &forbidden;
    return hone_err_new(HONE_E_INVALID, "%s", message);
}

/* --- sessions ----------------------------------------------------------------------- */

static hone_err add_teams(hone_tx *tx, hone_arena *arena, int64_t user, json_t *list) {
    hone_str *teams = NULL;
    size_t count = 0;
    HONE_TRY(hone_accounts_teams(tx, arena, user, &teams, &count));
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(list, json_stringn(teams[i].ptr, teams[i].len)) != 0)
            return no_memory();
    return HONE_OK;
}

static hone_err describe(const hone_call *call, const hone_caller *who, answer *out) {
    json_t *me = json_pack("{s:s, s:s, s:s, s:s, s:s?, s:[]}", "name", who->name, "email",
                           who->email, "role", hone_role_format(who->role), "worker", who->worker,
                           "csrf", who->csrf, "teams");
    HONE_TRY(set_value(out, me));
    hone_tx *tx = NULL;
    HONE_TRY(hone_tx_begin(call->app->db, HONE_TX_READ, &tx));
    hone_err err = add_teams(tx, call->arena, who->user, json_object_get(me, "teams"));
    hone_tx_abort(tx);
    return err;
}

static hone_err get_me(const hone_call *call, hone_str arg, answer *out) {
    (void)arg;
    return describe(call, call->caller, out);
}

/* The body of a request that may come without an account. */
static hone_err open_body(const hone_call *call, json_t **out) {
    hone_str type = hone_request_header(call->request, "content-type");
    if (!hone_str_has_prefix(type, HONE_S("application/json")))
        return hone_err_new(HONE_E_INVALID, "the Content-Type must be application/json");
    return hone_call_json(call, out);
}

enum { NAME_BYTES_MAX = 254, PASSWORD_BYTES_MAX = 4096 };

static hone_err log_in_as(const hone_call *call, const json_t *in, hone_caller *caller,
                          answer *out) {
    hone_str name, password;
    HONE_TRY(hone_in_str(in, "name", 1, NAME_BYTES_MAX, &name));
    HONE_TRY(hone_in_str(in, "password", 1, PASSWORD_BYTES_MAX, &password));
    hone_err err = hone_accounts_login(call->app->accounts, call->arena, name, password,
                                       &out->session, caller);
    if (err.code == HONE_E_NOT_FOUND) {
        out->fault = &unauthenticated;
        hone_log("event=login.failed from=%s", call->request->remote);
    }
    if (err.code == HONE_E_FULL) out->fault = &too_many;
    return err;
}

static hone_err post_login(const hone_call *call, hone_str arg, answer *out) {
    (void)arg;
    json_t *in = NULL;
    hone_caller caller;
    HONE_TRY(open_body(call, &in));
    hone_err err = log_in_as(call, in, &caller, out);
    json_decref(in);
    return hone_failed(err) ? err : describe(call, &caller, out);
}

static hone_err post_logout(const hone_call *call, hone_str arg, answer *out) {
    (void)arg;
    if (call->caller->session == 0)
        return hone_err_new(HONE_E_INVALID, "this request has no session to end");
    HONE_TRY(hone_accounts_logout(call->app->accounts, call->caller));
    out->session = "";
    return HONE_OK;
}

/* --- invitations -------------------------------------------------------------------- */

static hone_err get_invitation(const hone_call *call, hone_str token, answer *out) {
    hone_invitation found;
    hone_err err = hone_accounts_find_invitation(call->app->accounts, call->arena, token, &found);
    if (err.code == HONE_E_NOT_FOUND) out->fault = &gone;
    HONE_TRY(err);
    return set_value(out, json_pack("{s:s, s:s, s:s, s:I}", "email", found.email, "team",
                                    found.team, "role", hone_role_format(found.role), "expires",
                                    (json_int_t)found.expires_ms));
}

static hone_err accept_as(const hone_call *call, const json_t *in, hone_str token,
                          hone_caller *caller, answer *out) {
    hone_str name, password;
    HONE_TRY(hone_in_str(in, "name", 1, NAME_BYTES_MAX, &name));
    HONE_TRY(hone_in_str(in, "password", 1, PASSWORD_BYTES_MAX, &password));
    hone_err err = hone_accounts_accept(call->app->accounts, call->arena, token, name, password,
                                        &out->session, caller);
    if (err.code == HONE_E_NOT_FOUND) out->fault = &gone;
    if (err.code == HONE_E_FULL) out->fault = &too_many;
    return err;
}

static hone_err post_accept(const hone_call *call, hone_str token, answer *out) {
    json_t *in = NULL;
    hone_caller caller;
    HONE_TRY(open_body(call, &in));
    hone_err err = accept_as(call, in, token, &caller, out);
    json_decref(in);
    if (hone_failed(err)) return err;
    hone_log("event=invitation.accepted user=%s", caller.name);
    return describe(call, &caller, out);
}

/* True when it went out. The link works without, so a failure is only told. */
static bool send_mail(const hone_call *call, const char *email, hone_str team, const char *link) {
    const hone_mail_server *server = &call->app->mail;
    if (!server->url) return false;
    hone_buf text;
    hone_buf_init(&text, 8192);
    hone_buf_printf(&text, "%s invites you to review texts on hone", call->caller->name);
    if (team.len > 0) hone_buf_printf(&text, ", in the team %.*s", HONE_ARG(team));
    hone_buf_printf(&text,
                    ".\n\nOpen this link to choose a name and a password. It works once, and for "
                    "seven days:\n\n%s\n",
                    link);
    hone_buf_push_char(&text, '\0');
    hone_err err = hone_buf_err(&text);
    if (!hone_failed(err)) err = hone_mail_send(server, email, "Your invitation to hone", text.ptr);
    hone_buf_done(&text);
    if (hone_failed(err)) hone_log("event=mail.failed error=%s", err.msg);
    return !hone_failed(err);
}

static const char *make_link(const hone_call *call, const char *token) {
    char *link = NULL;
    if (asprintf(&link, "%s/invite/%s", call->app->public_url, token) < 0) return NULL;
    char *kept = hone_arena_strdup(call->arena, hone_str_of(link));
    free(link);
    return kept;
}

typedef struct invitation {
    hone_str email, team;
    hone_role role;
} invitation;

static hone_err read_invitation(const hone_call *call, const json_t *in, invitation *to,
                                answer *out) {
    enum { TEAM_MAX = 256 }; /* of an ARN */
    hone_str role;
    HONE_TRY(hone_in_str(in, "email", 1, NAME_BYTES_MAX, &to->email));
    HONE_TRY(hone_in_str(in, "team", 0, TEAM_MAX, &to->team));
    HONE_TRY(hone_in_str(in, "role", 0, NAME_BYTES_MAX, &role));
    to->role = HONE_REVIEWER;
    if (role.len > 0) HONE_TRY(hone_role_parse(role, &to->role));
    if (to->role > HONE_REVIEWER && call->caller->role < HONE_ADMIN)
        return forbid(out, "only an admin invites engineers and admins");
    return HONE_OK;
}

/* A team may be called by its ARN: *name becomes its name. */
static hone_err find_team(const hone_call *call, hone_tx *tx, hone_str *name) {
    hone_team team;
    HONE_TRY(hone_team_find(tx, call->arena, *name, &team));
    *name = hone_str_of(team.name);
    return HONE_OK;
}

static hone_err invite_in(const hone_call *call, hone_tx *tx, invitation *to, const char **token) {
    if (to->team.len > 0) HONE_TRY(find_team(call, tx, &to->team));
    return hone_accounts_invite(call->app->accounts, tx, call->arena, call->caller, to->email,
                                to->role, to->team, token);
}

static hone_err invite(const hone_call *call, const json_t *in, answer *out) {
    invitation to;
    const char *token = NULL;
    hone_tx *tx = NULL;
    HONE_TRY(read_invitation(call, in, &to, out));
    HONE_TRY(hone_tx_begin(call->app->db, HONE_TX_WRITE, &tx));
    HONE_TRY(hone_tx_finish(tx, invite_in(call, tx, &to, &token)));
    const char *link = make_link(call, token);
    const char *email = hone_arena_strdup(call->arena, to.email);
    if (!link || !email) return no_memory();
    bool mailed = send_mail(call, email, to.team, link); /* the transaction is over */
    return set_value(out, json_pack("{s:s, s:b}", "link", link, "mailed", mailed));
}

/* Run fn on the request's object. */
static hone_err with_body(const hone_call *call, answer *out,
                          hone_err (*fn)(const hone_call *, const json_t *, answer *)) {
    json_t *in = NULL;
    HONE_TRY(hone_call_json(call, &in));
    hone_err err = fn(call, in, out);
    json_decref(in);
    return err;
}

static hone_err post_invitations(const hone_call *call, hone_str arg, answer *out) {
    (void)arg;
    return with_body(call, out, invite);
}

/* --- people ------------------------------------------------------------------------- */

/* "a,b" as ["a", "b"]. */
static json_t *split_teams(const char *teams) {
    json_t *list = json_array();
    while (list && *teams) {
        size_t len = strcspn(teams, ",");
        (void)json_array_append_new(list, json_stringn(teams, len));
        teams += len + (teams[len] == ',');
    }
    return list;
}

static hone_err get_users(const hone_call *call, hone_str arg, answer *out) {
    (void)arg;
    hone_user *users = NULL;
    size_t count = 0;
    HONE_TRY(hone_accounts_list(call->app->accounts, call->arena, &users, &count));
    json_t *list = json_array();
    HONE_TRY(set_value(out, json_pack("{s:o}", "users", list)));
    for (size_t i = 0; i < count; i++) {
        const hone_user *u = &users[i];
        json_t *user = json_pack("{s:s, s:s, s:s, s:o, s:I, s:I, s:b}", "name", u->name, "email",
                                 u->email, "role", hone_role_format(u->role), "teams",
                                 split_teams(u->teams), "created", (json_int_t)u->created_ms,
                                 "seen", (json_int_t)u->seen_ms, "disabled", u->is_disabled);
        if (json_array_append_new(list, user) != 0) return no_memory();
    }
    return HONE_OK;
}

static hone_err in_bool(const json_t *in, const char *key, bool *out) {
    const json_t *value = json_object_get(in, key);
    if (!json_is_boolean(value))
        return hone_err_new(HONE_E_INVALID, "%s must be true or false", key);
    *out = json_is_true(value);
    return HONE_OK;
}

static hone_err post_user(const hone_call *call, hone_str name, answer *out) {
    (void)out;
    json_t *in = NULL;
    bool disabled = false;
    HONE_TRY(hone_call_json(call, &in));
    hone_err err = in_bool(in, "disabled", &disabled);
    json_decref(in);
    HONE_TRY(err);
    return hone_accounts_disable(call->app->accounts, call->caller, name, disabled);
}

static hone_err change_member(const hone_call *call, hone_tx *tx, hone_str team, hone_str name,
                              bool member) {
    int64_t user = 0;
    char subject[80];
    HONE_TRY(find_team(call, tx, &team));
    HONE_TRY(hone_accounts_find_user(tx, name, &user));
    if (hone_accounts_is_in_team(tx, user, team) == member) return HONE_OK;
    HONE_TRY(member ? hone_accounts_team_add(tx, user, team)
                    : hone_accounts_team_remove(tx, user, team));
    (void)snprintf(subject, sizeof subject, "team/%.*s", HONE_ARG(team));
    return hone_journal_append(tx, call->actor, member ? "team.joined" : "team.left", subject,
                               json_pack("{s:s%}", "user", name.ptr, name.len));
}

static hone_err read_member(const hone_call *call, hone_str team, const json_t *in) {
    hone_str name;
    bool member = false;
    hone_tx *tx = NULL;
    HONE_TRY(hone_in_str(in, "name", 1, NAME_BYTES_MAX, &name));
    HONE_TRY(in_bool(in, "member", &member));
    HONE_TRY(hone_tx_begin(call->app->db, HONE_TX_WRITE, &tx));
    return hone_tx_finish(tx, change_member(call, tx, team, name, member));
}

static hone_err post_member(const hone_call *call, hone_str team, answer *out) {
    (void)out;
    json_t *in = NULL;
    if (!hone_name_is_valid(team, 63, false))
        return hone_err_new(HONE_E_NOT_FOUND, "no team '%.*s'", HONE_ARG(team));
    HONE_TRY(hone_call_json(call, &in));
    hone_err err = read_member(call, team, in);
    json_decref(in);
    return err;
}

/* --- keys --------------------------------------------------------------------------- */

static hone_err make_key(const hone_call *call, const json_t *in, answer *out) {
    hone_str name, own = hone_str_of(call->caller->name);
    const char *key_id = NULL, *secret = NULL;
    HONE_TRY(hone_in_str(in, "name", 0, NAME_BYTES_MAX, &name));
    if (name.len == 0) name = own;
    if (!hone_str_equal(name, own) && call->caller->role < HONE_ADMIN)
        return forbid(out, "only an admin makes keys for others");
    HONE_TRY(hone_accounts_key_create(call->app->accounts, call->arena, call->caller, name, &key_id,
                                      &secret));
    return set_value(out, json_pack("{s:s, s:s}", "key_id", key_id, "secret", secret));
}

static hone_err post_keys(const hone_call *call, hone_str arg, answer *out) {
    (void)arg;
    return with_body(call, out, make_key);
}

static hone_err delete_key(const hone_call *call, hone_str key_id, answer *out) {
    (void)out;
    return hone_accounts_key_delete(call->app->accounts, call->caller, key_id);
}

/* --- dispatch ----------------------------------------------------------------------- */

typedef enum who { ANYBODY, REVIEWERS, ENGINEERS, ADMINS } who;

/* '*' is the one segment that becomes arg. */
static const struct route {
    const char *method, *path;
    who who;
    call_fn *run;
} routes[] = {
    {"POST", "/hone/login", ANYBODY, post_login},
    {"POST", "/hone/logout", REVIEWERS, post_logout},
    {"GET", "/hone/me", REVIEWERS, get_me},
    {"GET", "/hone/invitations/*", ANYBODY, get_invitation},
    {"POST", "/hone/invitations/*", ANYBODY, post_accept},
    {"POST", "/hone/invitations", ENGINEERS, post_invitations},
    {"GET", "/hone/users", ENGINEERS, get_users},
    {"POST", "/hone/users/*", ADMINS, post_user},
    {"POST", "/hone/teams/*/members", ENGINEERS, post_member},
    {"POST", "/hone/keys", REVIEWERS, post_keys},
    {"DELETE", "/hone/keys/*", REVIEWERS, delete_key},
};

/* Does path have the form of pattern? *arg: what stands for '*', as it was sent. */
static bool matches(const char *pattern, hone_str path, hone_str *arg) {
    size_t at = 0;
    for (; *pattern; pattern++) {
        if (*pattern != '*') {
            if (at == path.len || path.ptr[at] != *pattern) return false;
            at++;
            continue;
        }
        size_t start = at;
        while (at < path.len && path.ptr[at] != '/') at++;
        if (at == start) return false;
        *arg = (hone_str){path.ptr + start, at - start};
    }
    return at == path.len;
}

static const struct route *find_route(const hone_request *request, hone_str *arg) {
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        if (hone_str_equal(request->method, hone_str_of(routes[i].method)) &&
            matches(routes[i].path, request->path, arg))
            return &routes[i];
    return NULL;
}

static hone_err check_who(const hone_call *call, who least, answer *out) {
    if (least == ANYBODY) return HONE_OK;
    if (!call->caller) {
        out->fault = &unauthenticated;
        return hone_err_new(HONE_E_INVALID, "log in first");
    }
    if ((int)call->caller->role >= (int)least - (int)REVIEWERS) return HONE_OK;
    return forbid(out, least == ADMINS ? "this is for admins" : "this is for engineers and admins");
}

static hone_err run(const hone_call *call, answer *out) {
    hone_str arg = {"", 0};
    const struct route *route = find_route(call->request, &arg);
    if (!route)
        return hone_err_new(HONE_E_NOT_FOUND, "no call %.*s %.*s", HONE_ARG(call->request->method),
                            HONE_ARG(call->request->path));
    HONE_TRY(check_who(call, route->who, out));
    arg = hone_percent_decode(call->arena, arg);
    if (!arg.ptr) return hone_err_new(HONE_E_INVALID, "the path is not percent-encoded well");
    return route->run(call, arg, out);
}

/* The Set-Cookie header's value, in the arena. */
static const char *make_cookie(const hone_call *call, const char *session) {
    enum { WEEK_S = 7 * 24 * 60 * 60 };
    char cookie[256];
    int len = snprintf(cookie, sizeof cookie,
                       "hone_session=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%d%s", session,
                       session[0] ? WEEK_S : 0, call->app->trusts_loopback_http ? "" : "; Secure");
    if (len < 0 || (size_t)len >= sizeof cookie) return NULL;
    return hone_arena_strdup(call->arena, hone_str_of(cookie));
}

/* hone_reply_json has no place for a cookie. */
static void reply(const hone_call *call, hone_exchange *exchange, const answer *out) {
    char *text = json_dumps(out->value, JSON_COMPACT);
    const char *body = text ? hone_arena_strdup(call->arena, hone_str_of(text)) : NULL;
    const char *cookie = out->session ? make_cookie(call, out->session) : "";
    free(text);
    if (!body || !cookie) {
        hone_reply_error(exchange, HONE_OWN, no_memory());
        return;
    }
    const hone_header headers[] = {
        {HONE_S("Cache-Control"), HONE_S("no-store")},
        {HONE_S("Set-Cookie"), hone_str_of(cookie)},
    };
    hone_response response = {.status = 200,
                              .content_type = "application/json",
                              .headers = headers,
                              .header_count = out->session ? 2 : 1,
                              .body = hone_str_of(body)};
    hone_exchange_reply(exchange, &response);
}

void hone_api_account(const hone_call *call, hone_exchange *exchange) {
    answer out = {0};
    hone_err err = run(call, &out);
    if (!hone_failed(err) && !out.value) err = set_value(&out, json_object());
    if (!hone_failed(err))
        reply(call, exchange, &out);
    else if (out.fault)
        hone_reply_fault(exchange, HONE_OWN, out.fault->status, out.fault->name, err.msg);
    else
        hone_reply_error(exchange, HONE_OWN, err);
    json_decref(out.value);
}
