/* sts.c: who am I (STS GetCallerIdentity), and the role that this stands for (IAM GetRole).
 *
 * The SageMaker SDK turns the caller into a role and asks for it: it needs the ARN of an assumed
 * role. hone has one role by that name; what a caller may do depends on the account's own. */
#include "api/api.h"
#include "api/xml.h"
#include "base/clock.h"
#include "base/id.h"

enum { ANSWER_LIMIT_BYTES = 16 * 1024 };

static const char ROLE[] = "hone";
static const char ROLE_ID[] = "AROAHONE000000000000";
static const char STS_NAMES[] = "https://sts.amazonaws.com/doc/2011-06-15/";
static const char IAM_NAMES[] = "https://iam.amazonaws.com/doc/2010-05-08/";

static void push_caller(hone_buf *out, const hone_call *call) {
    const char *account = call->app->realm.account, *name = call->caller->name;
    hone_buf_printf(out, "<Arn>arn:aws:sts::%s:assumed-role/%s/", account, ROLE);
    hone_xml_push(out, hone_str_of(name));
    hone_buf_printf(out, "</Arn><UserId>%s:", ROLE_ID);
    hone_xml_push(out, hone_str_of(name));
    hone_buf_printf(out, "</UserId><Account>%s</Account>", account);
}

static void push_role(hone_buf *out, const hone_call *call) {
    char created[HONE_TIME_SIZE];
    hone_time_format(0, created);
    hone_buf_printf(out,
                    "<Role><Path>/</Path><RoleName>%s</RoleName><RoleId>%s</RoleId>"
                    "<Arn>arn:aws:iam::%s:role/%s</Arn><CreateDate>%s</CreateDate></Role>",
                    ROLE, ROLE_ID, call->app->realm.account, ROLE, created);
}

static void reply(const hone_call *call, hone_exchange *exchange, const char *action,
                  const char *names, void (*push)(hone_buf *out, const hone_call *call)) {
    char id[HONE_ID_SIZE];
    hone_buf out;
    hone_id_make(id);
    hone_buf_init(&out, ANSWER_LIMIT_BYTES);
    hone_buf_printf(&out, "<%sResponse xmlns=\"%s\"><%sResult>", action, names, action);
    push(&out, call);
    hone_buf_printf(&out,
                    "</%sResult><ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata>"
                    "</%sResponse>\n",
                    action, id, action);
    hone_err err = hone_buf_err(&out);
    const char *kept = hone_arena_strdup(call->arena, hone_buf_str(&out));
    if (!hone_failed(err) && !kept) err = hone_err_new(HONE_E_NOMEM, "no memory for an answer");
    if (hone_failed(err)) {
        hone_reply_error(exchange, HONE_QUERY, err);
    } else {
        hone_header header = {HONE_S("x-amzn-requestid"), hone_str_of(id)};
        hone_response response = {.status = 200,
                                  .content_type = "text/xml",
                                  .headers = &header,
                                  .header_count = 1,
                                  .body = {kept, out.len}};
        hone_exchange_reply(exchange, &response);
    }
    hone_buf_done(&out);
}

void hone_api_sts(const hone_call *call, hone_exchange *exchange) {
    hone_str action = {"", 0}, role = {"", 0};
    (void)hone_query_find(call->arena, call->request->body, "Action", &action);
    if (hone_str_equal(action, HONE_S("GetCallerIdentity"))) {
        reply(call, exchange, "GetCallerIdentity", STS_NAMES, push_caller);
    } else if (hone_str_equal(action, HONE_S("GetRole"))) {
        (void)hone_query_find(call->arena, call->request->body, "RoleName", &role);
        if (hone_str_equal(role, hone_str_of(ROLE)))
            reply(call, exchange, "GetRole", IAM_NAMES, push_role);
        else
            hone_reply_fault(exchange, HONE_QUERY, 404, "NoSuchEntity",
                             "hone has one role, which is named hone");
    } else {
        hone_reply_fault(exchange, HONE_QUERY, 400, "InvalidAction",
                         "hone knows GetCallerIdentity and GetRole");
    }
}
