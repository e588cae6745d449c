/* test_sigv4.c: signatures: botocore's are accepted, and nothing that differs in any way.
 *
 * tests/golden/http/sigv4.json has requests that botocore signed (tools/make_sigv4_goldens.py).
 * One of them is then changed in one place after the other. */
#include "check.h"

#include "base/file.h"
#include "http/sigv4.h"

#include <jansson.h>

enum { HEADERS_MAX = 16, SHIFT_MS = 15 * 60 * 1000 };

static hone_arena *arena;
static json_t *golden;
static int64_t now_ms;
static hone_str secret;

/* A request that a test may change. */
typedef struct subject {
    hone_request request;
    hone_header headers[HEADERS_MAX];
    hone_str authorization;
} subject;

static hone_str text_of(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return (hone_str){json_string_value(value), json_string_length(value)};
}

static void load_case(const json_t *c, subject *out) {
    *out = (subject){.request = {.method = text_of(c, "method"),
                                 .path = text_of(c, "path"),
                                 .query = text_of(c, "query"),
                                 .body = text_of(c, "body"),
                                 .arena = arena},
                     .authorization = text_of(c, "authorization")};
    const json_t *headers = json_object_get(c, "headers");
    for (size_t i = 0; i < json_array_size(headers); i++) {
        const json_t *pair = json_array_get(headers, i);
        out->headers[i] = (hone_header){hone_str_of(json_string_value(json_array_get(pair, 0))),
                                        hone_str_of(json_string_value(json_array_get(pair, 1)))};
    }
    out->request.header_count = json_array_size(headers);
}

static void load(const char *name, subject *out) {
    size_t i;
    const json_t *c;
    json_array_foreach(json_object_get(golden, "cases"), i, c) {
        if (!hone_str_equal(text_of(c, "name"), hone_str_of(name))) continue;
        load_case(c, out);
        return;
    }
    fail_msg("no case '%s'", name);
}

static hone_str *header(subject *s, const char *name) {
    for (size_t i = 0; i < s->request.header_count; i++)
        if (hone_str_equal(s->headers[i].name, hone_str_of(name))) return &s->headers[i].value;
    fail_msg("no header '%s'", name);
    return NULL;
}

static void add_header(subject *s, const char *name, const char *value) {
    s->headers[s->request.header_count++] = (hone_header){hone_str_of(name), hone_str_of(value)};
}

static hone_err check_at(subject *s, int64_t at_ms) {
    hone_sigv4 sig;
    s->request.headers = s->headers;
    HONE_TRY(hone_sigv4_parse(s->authorization, &sig));
    return hone_sigv4_check(&s->request, &sig, secret, at_ms);
}

static hone_err check(subject *s) { return check_at(s, now_ms); }

static int set_up(void **state) {
    (void)state;
    hone_map map;
    CHECK_OK(hone_arena_create(8 << 20, &arena));
    CHECK_OK(hone_map_open(GOLDEN("http/sigv4.json"), &map));
    golden = json_loadb(map.bytes.ptr, map.bytes.len, 0, NULL);
    hone_map_close(&map);
    now_ms = json_integer_value(json_object_get(golden, "now_ms"));
    secret = text_of(golden, "secret");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    json_decref(golden);
    hone_arena_destroy(arena);
    return 0;
}

static void test_signature__of_botocore_is_accepted(void **state) {
    (void)state;
    size_t i;
    const json_t *c;
    json_array_foreach(json_object_get(golden, "cases"), i, c) {
        subject s;
        load_case(c, &s);
        s.request.is_tls = true; /* one of them has an unsigned body */
        hone_err err = check(&s);
        if (hone_failed(err)) fail_msg("%.*s: %s", HONE_ARG(text_of(c, "name")), err.msg);
    }
}

static void test_signature__does_not_depend_on_spelling(void **state) {
    (void)state;
    subject s;
    load("s3-put", &s);
    s.request.path = HONE_S("/bucket/%61%20b/%c3%BC%2B%C3%A9.json"); /* the same path */
    CHECK_OK(check(&s));
    load("query-order", &s);
    s.request.query = HONE_S("d=&B=%c3%bc+%2B%7e&&a=0&a=1&%63=&b=2");
    CHECK_OK(check(&s));
    load("json", &s);
    s.authorization = HONE_S(
        "AWS4-HMAC-SHA256 "
        "Signature=1469e1fff26058b38a33351ef39fc3029c97f6d8464e4c2033abe94325d0fe36,"
        "SignedHeaders=content-type;host;x-amz-date;x-amz-target,"
        "Credential=HONETESTKEY000000001/20261124/eu-west-1/sagemaker/aws4_request");
    CHECK_OK(check(&s));
}

static void test_signature__covers_all_that_matters(void **state) {
    (void)state;
    subject s;
#define REFUSED(code, text, ...)                     \
    do {                                             \
        load("s3-put", &s);                          \
        __VA_ARGS__;                                 \
        CHECK_FAILS(check(&s), HONE_E_##code, text); \
    } while (0)
    REFUSED(INVALID, "does not match", s.request.method = HONE_S("POST"));
    REFUSED(INVALID, "does not match",
            s.request.path = HONE_S("/bucket/a%20c/%C3%BC%2B%C3%A9.json"));
    REFUSED(INVALID, "does not match",
            s.request.path = HONE_S("/bucket/a%2520b/%C3%BC%2B%C3%A9.json"));
    REFUSED(INVALID, "does not match", s.request.query = HONE_S("x"));
    REFUSED(INVALID, "does not match", *header(&s, "host") = HONE_S("127.0.0.1:8081"));
    REFUSED(INVALID, "does not match", *header(&s, "content-type") = HONE_S("text/html"));
    REFUSED(INVALID, "does not match", *header(&s, "x-amz-meta-name") = HONE_S("w"));
    REFUSED(INVALID, "does not match", *header(&s, "x-amz-date") = HONE_S("20261124T060258Z"));
    REFUSED(INVALID, "does not match", add_header(&s, "x-amz-meta-name", "again"));
    REFUSED(INVALID, "not the one", s.request.body = HONE_S("hellO"));
    REFUSED(INVALID, "not the one", s.request.body = HONE_S(""));
    REFUSED(INVALID, "not the one", s.request.body = HONE_S("hello "));
    REFUSED(CORRUPT, "x-amz-acl", add_header(&s, "x-amz-acl", "public-read"));
    REFUSED(CORRUPT, "percent", s.request.path = HONE_S("/bucket/%"));
    REFUSED(CORRUPT, "percent", s.request.query = HONE_S("a=%zz"));
    REFUSED(CORRUPT, "not sent", s.request.header_count = 0;
            add_header(&s, "host", "127.0.0.1:8080");
            add_header(&s, "x-amz-date", "20261124T060259Z"));
#undef REFUSED
    load("json", &s); /* a body that only the signature covers */
    s.request.body = HONE_S("{} ");
    CHECK_FAILS(check(&s), HONE_E_INVALID, "does not match");
    load("encoded-twice", &s);
    s.request.path = HONE_S("/endpoints/a b\xC3\xBC+c/invocations");
    CHECK_FAILS(check(&s), HONE_E_INVALID, "does not match");
    hone_str right = secret;
    load("json", &s);
    secret = HONE_S("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEZ");
    CHECK_FAILS(check(&s), HONE_E_INVALID, "does not match");
    secret = HONE_S("");
    CHECK_FAILS(check(&s), HONE_E_INVALID, "does not match");
    secret = right;
    CHECK_OK(check(&s));
}

/* The same with another scope or signature in the header. */
static void check_header_change(const char *from, const char *to, hone_code code,
                                const char *message) {
    subject s;
    load("json", &s);
    char text[1024];
    const char *old = s.authorization.ptr;
    const char *at = strstr(old, from);
    if (!at) fail_msg("no '%s'", from);
    (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - old), old, to, at + strlen(from));
    s.authorization = hone_str_of(text);
    hone_err err = check(&s);
    if (err.code != code || !strstr(err.msg, message))
        fail_msg("'%s' for '%s': code %d '%s'", to, from, (int)err.code, err.msg ? err.msg : "");
}

static void test_header__is_read_in_full(void **state) {
    (void)state;
    static const struct {
        const char *from, *to;
        hone_code code;
        const char *message;
    } cases[] = {
        {"eu-west-1", "eu-west-2", HONE_E_INVALID, "does not match"},
        {"sagemaker", "s3", HONE_E_INVALID, "does not match"},
        {"fe36", "fe37", HONE_E_INVALID, "does not match"},
        {"fe36", "fe3", HONE_E_INVALID, "64 hex"},
        {"fe36", "FE36", HONE_E_INVALID, "64 hex"},
        {"fe36", "fe366", HONE_E_INVALID, "64 hex"},
        {"AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1", HONE_E_INVALID, "algorithm"},
        {"AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256", HONE_E_INVALID, "algorithm"},
        {"20261124", "2026112", HONE_E_INVALID, "credential"},
        {"20261124", "20261123", HONE_E_CORRUPT, "day"},
        {"aws4_request", "aws4_requests", HONE_E_INVALID, "credential"},
        {"/aws4_request", "", HONE_E_INVALID, "credential"},
        {"HONETESTKEY000000001/", "/", HONE_E_INVALID, "credential"},
        {"Credential=", "Credential", HONE_E_INVALID, "once"},
        {"Credential=", "Signature=a, Credential=", HONE_E_INVALID, "once"},
        {"Credential=", "Other=a, Credential=", HONE_E_INVALID, "once"},
        {"SignedHeaders=", "signedheaders=", HONE_E_INVALID, "once"},
        {", SignedHeaders=content-type;host;x-amz-date;x-amz-target", "", HONE_E_INVALID, "64 hex"},
        {"content-type;host", "host;content-type", HONE_E_CORRUPT, "sorted"},
        {"content-type;host", "content-type;content-type;host", HONE_E_CORRUPT, "sorted"},
        {"content-type;host", "content-type;;host", HONE_E_CORRUPT, "sorted"},
        {"content-type;host", "content-length;content-type;host", HONE_E_CORRUPT, "not sent"},
        {"content-type;host", "host", HONE_E_CORRUPT, "'content-type' must be signed"},
        {"host;", "", HONE_E_CORRUPT, "host and x-amz-date"},
        {"x-amz-date;", "", HONE_E_CORRUPT, "host and x-amz-date"},
        {";x-amz-target", "", HONE_E_CORRUPT, "'x-amz-target' must be signed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        check_header_change(cases[i].from, cases[i].to, cases[i].code, cases[i].message);
}

static void test_date__holds_for_a_quarter_of_an_hour(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "20261124",
                                      "20261124T060259",
                                      "20261124T060259+",
                                      "2026-11-24T06:02",
                                      "2026112xT060259Z"};
    subject s;
    load("json", &s);
    CHECK_OK(check_at(&s, now_ms + SHIFT_MS));
    CHECK_OK(check_at(&s, now_ms - SHIFT_MS));
    CHECK_FAILS(check_at(&s, now_ms + SHIFT_MS + 1), HONE_E_CLOSED, "15 minutes");
    CHECK_FAILS(check_at(&s, now_ms - SHIFT_MS - 1), HONE_E_CLOSED, "15 minutes");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        *header(&s, "x-amz-date") = hone_str_of(bad[i]);
        CHECK_FAILS(check(&s), HONE_E_CORRUPT, "x-amz-date");
    }
}

static void test_body__may_be_unsigned_over_tls_only(void **state) {
    (void)state;
    static const char *const words[] = {"UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"};
    subject s;
    load("s3-put", &s);
    for (size_t i = 0; i < 2; i++) {
        *header(&s, "x-amz-content-sha256") = hone_str_of(words[i]);
        CHECK_FAILS(check(&s), HONE_E_INVALID, "only over TLS");
        s.request.is_tls = true; /* the word itself is under the signature */
        CHECK_FAILS(check(&s), HONE_E_INVALID, "does not match");
        s.request.is_tls = false;
    }
    *header(&s, "x-amz-content-sha256") = HONE_S("STREAMING-AWS4-HMAC-SHA256-PAYLOAD");
    CHECK_FAILS(check(&s), HONE_E_INVALID, "none that hone knows");
    load("s3-unsigned", &s);
    CHECK_FAILS(check(&s), HONE_E_INVALID, "only over TLS");
    s.request.is_tls = true;
    CHECK_OK(check(&s));
}

static void test_query__has_a_limit(void **state) {
    (void)state;
    subject s;
    load("json", &s);
    char query[2048] = "";
    for (size_t i = 0; i < 600; i += 2) memcpy(query + i, "a&", 2);
    s.request.query = hone_str_of(query);
    CHECK_FAILS(check(&s), HONE_E_CORRUPT, "too many");
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_signature__of_botocore_is_accepted),
        TEST(test_signature__does_not_depend_on_spelling),
        TEST(test_signature__covers_all_that_matters),
        TEST(test_header__is_read_in_full),
        TEST(test_date__holds_for_a_quarter_of_an_hour),
        TEST(test_body__may_be_unsigned_over_tls_only),
        TEST(test_query__has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
