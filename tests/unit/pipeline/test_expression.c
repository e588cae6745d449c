/* test_expression.c: tables of expressions and what they give, or what is wrong with them. */
#include "check.h"

#include "base/json.h"
#include "pipeline/expression.h"

static json_t *json(const char *text) {
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    if (!value) fail_msg("bad JSON in the test: %s", text);
    return value;
}

static const char scope_text[] =
    "{\"parameters\": {\"Epochs\": 3, \"Rate\": 0.5, \"Name\": \"x\", \"On\": true},"
    " \"execution\": {\"PipelineExecutionId\": \"abc\"},"
    " \"steps\": {\"P-1\": {\"ProcessingOutputConfig\": {\"Outputs\": ["
    "   {\"OutputName\": \"train\", \"S3Output\": {\"S3Uri\": \"s3://b/t\"}},"
    "   {\"OutputName\": \"a.b]\", \"S3Output\": {\"S3Uri\": \"s3://b/odd\"}}]}}}}";

static hone_err resolve(const char *text, json_t **out) {
    json_t *scopes = json(scope_text), *value = json(text);
    hone_scope scope = {json_object_get(scopes, "parameters"), json_object_get(scopes, "execution"),
                        json_object_get(scopes, "steps")};
    hone_err err = hone_expressions_resolve(value, &scope, out);
    json_decref(scopes);
    json_decref(value);
    return err;
}

static void test_resolve__values(void **state) {
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"{\"Get\": \"Parameters.Epochs\"}", "3"},
        {"[1, {\"a\": {\"Get\": \"Parameters.Name\"}}]", "[1, {\"a\": \"x\"}]"},
        {"{\"Get\": \"Execution.PipelineExecutionId\"}", "\"abc\""},
        {"{\"Get\": \"Steps.P-1.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri\"}",
         "\"s3://b/t\""},
        {"{\"Get\": \"Steps.P-1.ProcessingOutputConfig.Outputs[1].S3Output.S3Uri\"}",
         "\"s3://b/odd\""},
        {"{\"Get\": \"Steps.P-1.ProcessingOutputConfig\", \"b\": 1}",
         "{\"Get\": \"Steps.P-1.ProcessingOutputConfig\", \"b\": 1}"},
        {"{\"Std:Join\": {\"On\": \"/\", \"Values\": [\"s3://b\", {\"Get\": \"Parameters.Epochs\"},"
         " {\"Get\": \"Parameters.Rate\"}, {\"Get\": \"Parameters.On\"}]}}",
         "\"s3://b/3/0.5/true\""},
        {"{\"Std:Join\": {\"Values\": [{\"Std:Join\": {\"On\": \"-\", \"Values\": [\"a\", \"b\"]}},"
         " \"c\"]}}",
         "\"a-bc\""},
        {"{\"Std:Join\": {\"On\": \",\", \"Values\": []}}", "\"\""},
        {"null", "null"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *got = NULL, *want = json(cases[i].want);
        CHECK_OK(resolve(cases[i].text, &got));
        if (!json_equal(got, want)) fail_msg("%s: not %s", cases[i].text, cases[i].want);
        json_decref(got);
        json_decref(want);
    }
}

static void test_resolve__what_leads_nowhere(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"Get\": \"Parameters.Gone\"}", "'Parameters.Gone' has no value"},
        {"{\"Get\": \"Parameters.\"}", "refers to nothing"},
        {"{\"Get\": \"Steps.P-1\"}", "refers to nothing"},
        {"{\"Get\": \"Steps.P-1.Outputs\"}", "has no value"},
        {"{\"Get\": \"Steps.P-1.ProcessingOutputConfig.Outputs['gone']\"}", "has no value"},
        {"{\"Get\": \"Steps.P-1.ProcessingOutputConfig.Outputs['train'\"}", "has no value"},
        {"{\"Get\": \"Steps.P-1.ProcessingOutputConfig.Outputs[99]\"}", "has no value"},
        {"{\"Get\": 7}", "refers to nothing"},
        {"{\"Std:Join\": {\"On\": 1, \"Values\": []}}", "Std:Join"},
        {"{\"Std:Join\": {\"On\": \"/\", \"Values\": [null]}}", "neither string nor number"},
        {"{\"Std:JsonGet\": {}}", "'Std:JsonGet' is not supported"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *got = NULL;
        CHECK_FAILS(resolve(cases[i].text, &got), HONE_E_INVALID, cases[i].message);
        assert_null(got);
    }
}

static void test_resolve__nesting_is_bounded(void **state) {
    (void)state;
    char text[512] = "";
    json_t *got = NULL;
    for (int i = 0; i < 100; i++) strcat(text, "[");
    for (int i = 0; i < 100; i++) strcat(text, "]");
    CHECK_FAILS(resolve(text, &got), HONE_E_INVALID, "nested more than");
}

static hone_err count(void *ctx, const hone_reference *reference) {
    (void)reference;
    ++*(size_t *)ctx;
    return HONE_OK;
}

static void test_walk__finds_every_reference(void **state) {
    (void)state;
    size_t found = 0;
    json_t *value = json("{\"a\": [{\"Get\": \"Parameters.X\"}], \"b\": {\"Std:Join\": {\"Values\":"
                         " [{\"Get\": \"Steps.P.Q\"}, {\"Get\": \"Execution.R\"}]}}}");
    CHECK_OK(hone_expressions_walk(value, count, &found));
    assert_int_equal(found, 3);
    json_decref(value);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolve__values),
        cmocka_unit_test(test_resolve__what_leads_nowhere),
        cmocka_unit_test(test_resolve__nesting_is_bounded),
        cmocka_unit_test(test_walk__finds_every_reference),
    };
    return cmocka_run_group_tests_name("expression", tests, NULL, NULL);
}
