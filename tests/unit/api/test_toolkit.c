/* Requests and answers of the Hugging Face toolkit: every form that it takes gives the answer that
 * it gives, and what is no request is refused by name. */
#include "api/toolkit.h"

#include "check.h"

#include <math.h>

static const char *const names[] = {"no", "y\"es", "maybe"};
static const hone_toolkit_labels labels = {names, 3, false};
static hone_arena *arena;

static int make_arena(void **state) {
    (void)state;
    CHECK_OK(hone_arena_create(1 << 20, &arena));
    return 0;
}

static int drop_arena(void **state) {
    (void)state;
    hone_arena_destroy(arena);
    return 0;
}

/* The answer to body for these logits, in the arena. */
static const char *answer(const char *body, const float *logits) {
    hone_toolkit_call call;
    hone_buf out;
    hone_buf_init(&out, 1 << 16);
    CHECK_OK(hone_toolkit_parse(arena, HONE_S("application/json; charset=utf-8"), hone_str_of(body),
                                &call));
    CHECK_OK(hone_toolkit_format(&call, &labels, logits, &out));
    hone_toolkit_done(&call);
    const char *text = hone_arena_strdup(arena, hone_buf_str(&out));
    assert_non_null(text);
    hone_buf_done(&out);
    return text;
}

/* Logits whose softmax is exact enough to be written down: 0.5, 0.25, 0.25 and 0, 0, 1. */
static const float logits[] = {0.69314718F, 0.0F, 0.0F, -300.0F, -400.0F, 300.0F};

static void test_toolkit__answers_as_its_pipeline_does(void **state) {
    (void)state;
    static const struct {
        const char *body, *want;
    } cases[] = {
        {"{\"inputs\": \"a\"}", "[{\"label\": \"no\", \"score\": 0.5}]"},
        {"{\"inputs\": [\"a\"]}", "[{\"label\": \"no\", \"score\": 0.5}]"},
        {"{\"inputs\": [\"a\", \"b\"]}",
         "[{\"label\": \"no\", \"score\": 0.5}, {\"label\": \"maybe\", \"score\": 1.0}]"},
        {"{\"inputs\": \"a\", \"parameters\": null}", "[{\"label\": \"no\", \"score\": 0.5}]"},
        {"{\"inputs\": \"a\", \"parameters\": {\"top_k\": 1}}",
         "[{\"label\": \"no\", \"score\": 0.5}]"},
        {"{\"inputs\": \"a\", \"parameters\": {\"top_k\": 2, \"truncation\": true}}",
         "[{\"label\": \"no\", \"score\": 0.5}, {\"label\": \"y\\\"es\", \"score\": 0.25}]"},
        {"{\"inputs\": [\"a\"], \"parameters\": {\"top_k\": null}}",
         "[[{\"label\": \"no\", \"score\": 0.5}, {\"label\": \"y\\\"es\", \"score\": 0.25},"
         " {\"label\": \"maybe\", \"score\": 0.25}]]"},
        {"{\"inputs\": [\"a\", \"b\"], \"parameters\": {\"top_k\": 99}}",
         "[[{\"label\": \"no\", \"score\": 0.5}, {\"label\": \"y\\\"es\", \"score\": 0.25},"
         " {\"label\": \"maybe\", \"score\": 0.25}], [{\"label\": \"maybe\", \"score\": 1.0},"
         " {\"label\": \"no\", \"score\": 2.65039655e-261},"
         " {\"label\": \"y\\\"es\", \"score\": 9.85967654e-305}]]"},
        {"{\"inputs\": \"a\", \"parameters\": {\"return_all_scores\": true}}",
         "[[{\"label\": \"no\", \"score\": 0.5}, {\"label\": \"y\\\"es\", \"score\": 0.25},"
         " {\"label\": \"maybe\", \"score\": 0.25}]]"},
        {"{\"inputs\": \"a\", \"parameters\": {\"return_all_scores\": false}}",
         "[{\"label\": \"no\", \"score\": 0.5}]"},
        {"{\"inputs\": \"a\", \"parameters\": {\"function_to_apply\": \"none\"}}",
         "[{\"label\": \"no\", \"score\": 0.693147182}]"},
        {"{\"inputs\": \"a\", \"parameters\": {\"function_to_apply\": \"sigmoid\", \"top_k\": 1}}",
         "[{\"label\": \"no\", \"score\": 0.666666667}]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(answer(cases[i].body, logits), cases[i].want);
}

static void test_toolkit__plain_text_is_one_text(void **state) {
    (void)state;
    hone_toolkit_call call;
    CHECK_OK(hone_toolkit_parse(arena, HONE_S("TEXT/plain;charset=utf-8"), HONE_S("{\"inputs\""),
                                &call));
    assert_int_equal(call.count, 1);
    assert_true(hone_str_equal(call.texts[0], HONE_S("{\"inputs\"")));
    assert_false(call.is_list);
    hone_toolkit_done(&call);
    CHECK_OK(hone_toolkit_parse(arena, HONE_S("text/plain"), (hone_str){NULL, 0}, &call));
    assert_non_null(call.texts[0].ptr);
    hone_toolkit_done(&call);
}

static void test_toolkit__bad_requests_are_named(void **state) {
    (void)state;
    static const struct {
        const char *body, *words;
    } cases[] = {
        {"", "the body"},
        {"[\"a\"]", "expected a JSON object"},
        {"{\"text\": \"a\"}", "no member inputs"},
        {"{\"inputs\": null}", "a text or a list of texts"},
        {"{\"inputs\": []}", "inputs has 0 texts"},
        {"{\"inputs\": [\"a\", [\"b\"]]}", "inputs[1] is no text"},
        {"{\"inputs\": \"a\", \"parameters\": []}", "parameters is no object"},
        {"{\"inputs\": \"a\", \"parameters\": {\"top_k\": \"2\"}}", "parameters.top_k"},
        {"{\"inputs\": \"a\", \"parameters\": {\"top_k\": -1}}", "parameters.top_k"},
        {"{\"inputs\": \"a\", \"parameters\": {\"return_all_scores\": 1}}", "return_all_scores"},
        {"{\"inputs\": \"a\", \"parameters\": {\"function_to_apply\": 1}}", "function_to_apply"},
        {"{\"inputs\": \"a\", \"parameters\": {\"max_length\": 5}}", "parameters.max_length"},
    };
    hone_toolkit_call call;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK_FAILS(hone_toolkit_parse(arena, HONE_S("application/json"),
                                       hone_str_of(cases[i].body), &call),
                    HONE_E_INVALID, cases[i].words);
        hone_toolkit_done(&call);
    }
    CHECK_FAILS(hone_toolkit_parse(arena, HONE_S("text/csv"), HONE_S("a,b"), &call), HONE_E_INVALID,
                "'text/csv'");
    hone_toolkit_done(&call);
}

static void test_toolkit__no_numbers_are_no_answer(void **state) {
    (void)state;
    const float bad[] = {0.0F, INFINITY, 0.0F};
    hone_toolkit_call call;
    hone_buf out;
    hone_buf_init(&out, 1 << 16);
    CHECK_OK(hone_toolkit_parse(arena, HONE_S(""), HONE_S("{\"inputs\": \"a\"}"), &call));
    CHECK_FAILS(hone_toolkit_format(&call, &labels, bad, &out), HONE_E_CORRUPT, "no number");
    hone_toolkit_done(&call);
    hone_buf_done(&out);
}

static void test_toolkit__one_label_and_regression_are_not_softmax(void **state) {
    (void)state;
    const float logit = 3.5F;
    hone_toolkit_call call;
    hone_buf out;
    hone_buf_init(&out, 1 << 16);
    CHECK_OK(hone_toolkit_parse(arena, HONE_S(""), HONE_S("{\"inputs\": \"a\"}"), &call));
    CHECK_OK(hone_toolkit_format(&call, &(hone_toolkit_labels){names, 1, false}, &logit, &out));
    hone_buf_push_char(&out, ' ');
    CHECK_OK(hone_toolkit_format(&call, &(hone_toolkit_labels){names, 1, true}, &logit, &out));
    assert_true(
        hone_str_equal(hone_buf_str(&out), HONE_S("[{\"label\": \"no\", \"score\": 0.970687769}] "
                                                  "[{\"label\": \"no\", \"score\": 3.5}]")));
    hone_toolkit_done(&call);
    hone_buf_done(&out);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, make_arena, drop_arena)
    const struct CMUnitTest tests[] = {
        CASE(test_toolkit__answers_as_its_pipeline_does),
        CASE(test_toolkit__plain_text_is_one_text),
        CASE(test_toolkit__bad_requests_are_named),
        CASE(test_toolkit__no_numbers_are_no_answer),
        CASE(test_toolkit__one_label_and_regression_are_not_softmax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
