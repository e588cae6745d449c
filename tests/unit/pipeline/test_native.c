/* test_native.c: settings as clients write them: quoted, bare, as numbers; and wrong ones. */
#include "check.h"

#include "pipeline/native.h"

static hone_arena *arena;

static int set_up(void **state) {
    (void)state;
    CHECK_OK(hone_arena_create(4 << 20, &arena));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    hone_arena_destroy(arena);
    return 0;
}

static void test_training__values_as_clients_write_them(void **state) {
    (void)state;
    json_t *map = json_loads(
        "{\"epochs\": \"2\", \"train_batch_size\": 16, \"learning_rate\": \"3e-05\","
        " \"model_name\": \"\\\"distilbert-base-uncased\\\"\", \"warmup_steps\": 500,"
        " \"sagemaker_program\": \"\\\"train.py\\\"\", \"seed\": {\"Get\": \"Parameters.Seed\"},"
        " \"text_column\": \"\"}",
        0, NULL);
    hone_training t;
    CHECK_OK(hone_training_read(arena, map, "T", &t));
    assert_int_equal(t.run.epochs, 2);
    assert_int_equal(t.run.batch_size, 16);
    assert_true(t.run.lr == 3e-5);
    assert_string_equal(t.model_name, "distilbert-base-uncased");
    assert_true(t.has_warmup && t.run.warmup == 500);
    assert_int_equal(t.run.seed, 42);
    assert_null(t.import.text_column);
    assert_string_equal(t.start_from, "base");
    json_decref(map);
    CHECK_OK(hone_training_read(arena, NULL, "T", &t));
    assert_false(t.has_warmup);
}

static void test_training__adapters_have_their_own_rate_and_are_merged(void **state) {
    (void)state;
    json_t *map = json_loads("{\"mode\": \"\\\"lora\\\"\", \"lora_rank\": \"4\","
                             " \"lora_targets\": \"all-linear\", \"freeze_layers\": 2,"
                             " \"dtype\": \"bf16\"}",
                             0, NULL);
    hone_training t;
    CHECK_OK(hone_training_read(arena, map, "T", &t));
    assert_int_equal(t.run.lora.rank, 4);
    assert_true(t.run.lora.alpha == 16 && t.run.lr == 5e-4 && t.run.merge);
    assert_string_equal(t.run.lora.targets, "all-linear");
    assert_int_equal(t.run.frozen_layers, 2);
    assert_int_equal(t.run.dtype, HONE_DTYPE_BF16);
    json_object_set_new(map, "learning_rate", json_real(1e-3));
    CHECK_OK(hone_training_read(arena, map, "T", &t));
    assert_true(t.run.lr == 1e-3);
    json_decref(map);
    CHECK_OK(hone_training_read(arena, NULL, "T", &t));
    assert_int_equal(t.run.lora.rank, 0);
    assert_true(t.run.lr == 5e-5 && !t.run.merge);
}

static void test_processing__values_as_clients_write_them(void **state) {
    (void)state;
    json_t *map = json_loads("{\"TrainSamples\": 10, \"TestSamples\": \"5\", \"Seed\": \"7\","
                             " \"ReviewWeight\": 0, \"LabelMap\": \"{\\\"Good\\\": \\\"pos\\\"}\","
                             " \"LabelPointers\": \"/a/b,/c\", \"TextPointer\": \"\"}",
                             0, NULL);
    hone_processing p;
    CHECK_OK(hone_processing_read(arena, map, "P", &p));
    assert_int_equal(p.sample.train, 10);
    assert_int_equal(p.sample.test, 5);
    assert_int_equal(p.sample.seed, 7);
    assert_int_equal(p.review_weight, 0);
    assert_string_equal(p.rules.labels[1], "/c");
    assert_null(p.rules.labels[2]);
    assert_null(p.rules.text);
    assert_string_equal(json_string_value(json_object_get(p.rules.label_map, "Good")), "pos");
    json_decref(map);
    CHECK_OK(hone_processing_read(arena, NULL, "P", &p));
    assert_int_equal(p.sample.train, 5000);
    assert_int_equal(p.sample.test, 1000);
    assert_int_equal(p.review_weight, 3);
}

static void test_settings__wrong_ones_are_named(void **state) {
    (void)state;
    static const struct {
        bool training;
        const char *json, *message;
    } cases[] = {
        {true, "{\"epoch\": 1}", "step 'S': setting 'epoch' is none of epochs,"},
        {true, "{\"epochs\": \"x\"}", "step 'S': epochs: 'x' is no whole number"},
        {true, "{\"epochs\": 1.5}", "no whole number"},
        {true, "{\"epochs\": 0}", "not in 1 to"},
        {true, "{\"epochs\": \"\"}", "no whole number"},
        {true, "{\"learning_rate\": \"nan\"}", "no number"},
        {true, "{\"seed\": \"-1\"}", "seed"},
        {true, "{\"seed\": \"99999999999999999999\"}", "seed"},
        {true, "{\"start_from\": \"best\"}", "start_from 'best'"},
        {true, "{\"mode\": \"half\"}", "step 'S': mode 'half': expected full or lora"},
        {true, "{\"lora_rank\": 0}", "lora_rank: 0 is not in 1 to"},
        {true, "{\"model_name\": []}", "neither string nor number"},
        {true, "{\"model_name\": \"a\\u0000b\"}", "NUL"},
        {false, "{\"ReviewWeight\": 5000}", "ReviewWeight: 5000 is not in 0 to"},
        {false, "{\"LabelMap\": \"[]\"}", "no JSON object"},
        {false, "{\"LabelMap\": \"{\\\"a\\\": 1}\"}", "'a' is no label"},
        {false, "{\"IgnoredAnswers\": \"x\"}", "no JSON array"},
        {false, "{\"TextPointer\": \"text\"}", "'text' is no JSON pointer"},
        {false, "{\"LabelPointers\": \"/a,b\"}", "'b' is no JSON pointer"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *map = json_loads(cases[i].json, JSON_ALLOW_NUL, NULL);
        hone_training t;
        hone_processing p;
        assert_non_null(map);
        CHECK_FAILS(cases[i].training ? hone_training_read(arena, map, "S", &t)
                                      : hone_processing_read(arena, map, "S", &p),
                    HONE_E_INVALID, cases[i].message);
        json_decref(map);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_training__values_as_clients_write_them, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_training__adapters_have_their_own_rate_and_are_merged,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_processing__values_as_clients_write_them, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_settings__wrong_ones_are_named, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("native", tests, NULL, NULL);
}
