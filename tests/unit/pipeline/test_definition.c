/* test_definition.c: the shipped pipeline is taken; each way of spoiling it is refused with a
 * message that names the place. The spoiled documents are made from the shipped one, so that
 * nothing else is wrong with them. */
#include "check.h"

#include "base/file.h"
#include "base/json.h"
#include "pipeline/definition.h"

#define SHIPPED HONE_SOURCE_DIR "/pipelines/sentiment.json"

static hone_arena *arena;
static json_t *document;
static hone_definition parsed;

static int set_up(void **state) {
    (void)state;
    CHECK_OK(hone_arena_create(16 << 20, &arena));
    CHECK_OK(hone_json_load(SHIPPED, 1 << 20, &document));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    json_decref(document);
    hone_arena_destroy(arena);
    return 0;
}

static hone_err parse(const json_t *value) {
    char *text = json_dumps(value, 0);
    hone_err err = hone_definition_parse(arena, hone_str_of(text), &parsed);
    free(text);
    return err;
}

static json_t *step(size_t index) {
    return json_array_get(json_object_get(document, "Steps"), index);
}

static json_t *arguments(size_t index) { return json_object_get(step(index), "Arguments"); }

static json_t *json(const char *text) {
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    return value;
}

static void test_parse__shipped_pipeline(void **state) {
    (void)state;
    CHECK_OK(parse(document));
    assert_int_equal(parsed.step_count, 3);
    assert_string_equal(parsed.steps[0].name, "PrepareAugmentedData");
    assert_int_equal(parsed.steps[0].needs_count, 0);
    assert_string_equal(parsed.steps[1].name, "FineTune");
    assert_int_equal(parsed.steps[1].needs[0], 0);
    assert_int_equal(parsed.steps[2].type, HONE_STEP_REGISTER);
    assert_int_equal(parsed.steps[2].needs[0], 1);
    json_t *values = NULL;
    CHECK_OK(hone_parameters_resolve(&parsed, NULL, &values));
    assert_int_equal(json_integer_value(json_object_get(values, "Epochs")), 1);
    json_decref(values);
}

static void test_parse__steps_are_sorted_by_need(void **state) {
    (void)state;
    json_t *steps = json_object_get(document, "Steps"), *turned = json_array();
    for (size_t i = 3; i-- > 0;) json_array_append(turned, json_array_get(steps, i));
    json_object_set_new(document, "Steps", turned);
    json_object_set_new(document, "Ignored", json_object());
    json_object_set_new(step(0), "CacheConfig", json("{\"Enabled\": true}"));
    CHECK_OK(parse(document));
    assert_string_equal(parsed.steps[0].name, "PrepareAugmentedData");
    assert_string_equal(parsed.steps[2].name, "RegisterModel");
    assert_int_equal(parsed.steps[2].needs[0], 1);
}

/* How to spoil the document: set a member of it, a step or its arguments to this JSON. */
static void test_parse__what_is_wrong_is_named(void **state) {
    (void)state;
    static const struct {
        int step;  /* -1 = the document; else 0..2 */
        bool args; /* of its Arguments */
        const char *key, *value, *message;
    } cases[] = {
        {-1, false, "Version", "\"2021-01-01\"", "Version is '2021-01-01'"},
        {-1, false, "Steps", "[]", "one step or more"},
        {-1, false, "Steps", "{}", "one step or more"},
        {-1, false, "Parameters", "{}", "no array"},
        {-1, false, "Parameters", "[{\"Name\": \"A\", \"Type\": \"Text\"}]", "type 'Text'"},
        {-1, false, "Parameters", "[{\"Name\": \"A b\", \"Type\": \"String\"}]", "Parameters[0]"},
        {-1, false, "Parameters",
         "[{\"Name\": \"A\", \"Type\": \"String\"}, {\"Name\": \"A\", \"Type\": \"String\"}]",
         "'A' is there twice"},
        {-1, false, "Parameters",
         "[{\"Name\": \"A\", \"Type\": \"Integer\", \"DefaultValue\": \"1\"}]", "no Integer"},
        {-1, false, "Parameters", "[]", "there is no parameter 'TrainSamples'"},
        {0, false, "DependsOn", "[\"RegisterModel\"]", "waits, through others, for itself"},
        {0, false, "DependsOn", "[\"Gone\"]", "DependsOn: there is no step 'Gone'"},
        {0, false, "DependsOn", "[\"PrepareAugmentedData\"]", "names itself"},
        {1, false, "Name", "\"RegisterModel\"", "'RegisterModel' is there twice"},
        {1, false, "Name", "\"\"", "Steps[1].Name"},
        {1, false, "Type", "\"Condition\"", "type 'Condition' is not supported"},
        {1, false, "Arguments", "null", "has no Arguments"},
        {1, true, "AlgorithmSpecification", "{\"TrainingImage\": \"x:1\"}",
         "image 'x:1' is not supported"},
        {1, true, "HyperParameters", "{\"epochs\": \"many\", \"model_name\": \"m\"}",
         "step 'FineTune': epochs"},
        {1, true, "HyperParameters", "{}", "no model_name"},
        {1, true, "InputDataConfig", "[]", "no channel 'train'"},
        {1, true, "OutputDataConfig", "{\"S3OutputPath\": \"/tmp\"}", "OutputDataConfig"},
        {1, true, "x", "{\"Get\": \"Steps.FineTune.TrainingJobName\"}", "refers to itself"},
        {1, true, "x", "{\"Get\": \"Steps.Gone.ProcessingJobName\"}", "no step 'Gone'"},
        {1, true, "x", "{\"Get\": \"Execution.Gone\"}", "'Execution.Gone'"},
        {1, true, "x", "{\"Get\": \"Steps.PrepareAugmentedData.ModelArtifacts\"}",
         "has no property 'ModelArtifacts'"},
        {1, true, "x",
         "{\"Get\": \"Steps.PrepareAugmentedData.ProcessingOutputConfig.Outputs['x'].S3Output\"}",
         "has no output 'x'"},
        {1, true, "x", "{\"Std:JsonGet\": {}}", "'Std:JsonGet' is not supported"},
        {1, false, "RetryPolicies", "[{\"ExceptionType\": [\"Nope\"]}]", "'Nope' is unknown"},
        {1, false, "RetryPolicies", "[{}]", "no ExceptionType"},
        {1, false, "RetryPolicies",
         "[{\"ExceptionType\": [\"Step.THROTTLING\"], \"MaxAttempts\": 0}]", "MaxAttempts"},
        {0, true, "AppSpecification", "{}", "image '' is not supported"},
        {0, true, "Environment", "{\"TrainSample\": 1}", "'TrainSample' is none of"},
        {0, true, "ProcessingInputs", "[]", "no input 'data'"},
        {0, true, "ProcessingInputs",
         "[{\"InputName\": \"data\", \"S3Input\": {\"S3Uri\": \"file:///x\"}}]", "data"},
        {0, true, "ProcessingInputs", "[{\"InputName\": \"code\"}]", "'code' is not one"},
        {0, true, "ProcessingOutputConfig", "{\"Outputs\": []}", "needs the outputs"},
        {2, true, "ModelPackageGroupName", "null", "no ModelPackageGroupName"},
        {2, true, "InferenceSpecification", "{\"Containers\": []}", "one container"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *kept = json_deep_copy(document);
        json_t *target = cases[i].step < 0 ? document
                         : cases[i].args   ? arguments((size_t)cases[i].step)
                                           : step((size_t)cases[i].step);
        json_object_set_new(target, cases[i].key, json(cases[i].value));
        CHECK_FAILS(parse(document), HONE_E_INVALID, cases[i].message);
        json_decref(document);
        document = kept;
    }
    CHECK_OK(parse(document));
}

static void test_parse__bytes_that_are_no_document(void **state) {
    (void)state;
    CHECK_FAILS(hone_definition_parse(arena, HONE_S("{"), &parsed), HONE_E_INVALID, "line 1");
    CHECK_FAILS(hone_definition_parse(arena, HONE_S("[]"), &parsed), HONE_E_INVALID, "object");
    static char deep[25000];
    memset(deep, '[', 10000);
    memset(deep + 10000, ']', 10000);
    CHECK_FAILS(hone_definition_parse(arena, (hone_str){deep, 20000}, &parsed), HONE_E_INVALID,
                "depth");
}

static void test_parameters__are_held_to_their_types(void **state) {
    (void)state;
    static const struct {
        const char *given, *message;
    } cases[] = {
        {"[{\"Name\": \"Epochs\", \"Value\": \"two\"}]", "'two' is no Integer"},
        {"[{\"Name\": \"Epochs\", \"Value\": \"2.5\"}]", "no Integer"},
        {"[{\"Name\": \"Epochs\", \"Value\": 2}]", "expected a string"},
        {"[{\"Name\": \"LearningRate\", \"Value\": \"x\"}]", "no Float"},
        {"[{\"Name\": \"Gone\", \"Value\": \"1\"}]", "no parameter 'Gone'"},
        {"[{\"Name\": \"ModelApprovalStatus\", \"Value\": \"Maybe\"}]", "not one of its values"},
        {"{}", "no array"},
    };
    CHECK_OK(parse(document));
    json_t *values = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *given = json(cases[i].given);
        CHECK_FAILS(hone_parameters_resolve(&parsed, given, &values), HONE_E_INVALID,
                    cases[i].message);
        json_decref(given);
    }
    json_t *given = json("[{\"Name\": \"Epochs\", \"Value\": \"2\"},"
                         " {\"Name\": \"LearningRate\", \"Value\": \"1\"}]");
    CHECK_OK(hone_parameters_resolve(&parsed, given, &values));
    assert_int_equal(json_integer_value(json_object_get(values, "Epochs")), 2);
    assert_true(json_number_value(json_object_get(values, "LearningRate")) == 1.0);
    json_decref(values);
    json_decref(given);
    json_object_del(json_array_get(json_object_get(document, "Parameters"), 0), "DefaultValue");
    CHECK_OK(parse(document));
    CHECK_FAILS(hone_parameters_resolve(&parsed, NULL, &values), HONE_E_INVALID,
                "'InputData' has no default");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_parse__shipped_pipeline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parse__steps_are_sorted_by_need, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parse__what_is_wrong_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parse__bytes_that_are_no_document, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parameters__are_held_to_their_types, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests_name("definition", tests, NULL, NULL);
}
