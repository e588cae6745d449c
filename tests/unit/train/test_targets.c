/* test_targets.c: which labels a head gets, and in which order. */
#include "train/targets.h"

#include "check.h"

typedef struct choice {
    const char *what;
    const char *base[3], *data[4]; /* NULL-terminated */
    const char *want[3];
} choice;

static const choice choices[] = {
    {"sorted when new", {"a", "b"}, {"pos", "neg", "pos"}, {"neg", "pos"}},
    {"the base's order when the same", {"pos", "neg"}, {"neg", "pos", "pos"}, {"pos", "neg"}},
    {"one more than the base", {"neg", "pos"}, {"pos", "neg", "mid"}, {"mid", "neg", "pos"}},
    {"one fewer than the base", {"c", "b", "a"}, {"b", "a", "b"}, {"a", "b"}},
    {"another one", {"pos", "neg"}, {"pos", "mid", "mid"}, {"mid", "pos"}},
};

static const hone_labels none = {0};

static hone_config base_with(const char *const *names) {
    hone_config config = {0};
    size_t count = 0;
    while (count < 3 && names[count]) count++;
    CHECK_OK(hone_config_load(GOLDEN("model/bert"), &config));
    CHECK_OK(hone_config_set_labels(&config, HONE_SINGLE_LABEL, names, count));
    return config;
}

static hone_dataset data_with(const char *const *labels, hone_record *records) {
    size_t count = 0;
    for (; count < 4 && labels[count]; count++)
        records[count] = (hone_record){HONE_S("x"), hone_str_of(labels[count]), count + 1};
    return (hone_dataset){.name = "f.csv", .count = count, .records = records};
}

static void test_targets__choose_the_labels(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        const choice *c = &choices[i];
        hone_arena *arena = NULL;
        hone_record records[4];
        hone_targets targets;
        CHECK_OK(hone_arena_create(4 << 20, &arena));
        hone_config config = base_with(c->base);
        hone_dataset data = data_with(c->data, records);
        CHECK_OK(hone_targets_choose(arena, &data, HONE_SINGLE_LABEL, none, &config));
        size_t count = 0;
        for (; count < 3 && c->want[count]; count++)
            if (count >= config.labels || strcmp(config.label_names[count], c->want[count]) != 0)
                fail_msg("%s: label %zu is not '%s'", c->what, count, c->want[count]);
        assert_int_equal(config.labels, count);
        CHECK_OK(hone_targets_read(arena, &data, &config, &targets));
        assert_null(targets.numbers);
        for (size_t k = 0; k < data.count; k++)
            assert_string_equal(config.label_names[targets.labels[k]], c->data[k]);
        hone_config_done(&config);
        hone_arena_destroy(arena);
    }
}

static void test_targets__ids_are_kept_and_new_labels_follow(void **state) {
    (void)state;
    const char *const base[] = {"a", "b", NULL}, *const labels[] = {"zeta", "pos", "mid", NULL};
    const char *const parent[] = {"pos", "neg"}, *const want[] = {"pos", "neg", "mid", "zeta"};
    hone_arena *arena = NULL;
    hone_record records[4];
    hone_targets targets;
    CHECK_OK(hone_arena_create(4 << 20, &arena));
    hone_config config = base_with(base);
    hone_dataset data = data_with(labels, records);
    CHECK_OK(
        hone_targets_choose(arena, &data, HONE_SINGLE_LABEL, (hone_labels){2, parent}, &config));
    assert_int_equal(config.labels, 4); /* "neg" too: the data no longer has it, the id stays */
    for (size_t i = 0; i < 4; i++) assert_string_equal(config.label_names[i], want[i]);
    CHECK_OK(hone_targets_read(arena, &data, &config, &targets));
    assert_int_equal(targets.labels[0], 3);
    assert_int_equal(targets.labels[1], 0);
    hone_config_done(&config);
    hone_arena_destroy(arena);
}

static void test_targets__regression_has_one_output(void **state) {
    (void)state;
    const char *const base[] = {"pos", "neg", NULL}, *const numbers[] = {"1", "2.5", NULL};
    hone_arena *arena = NULL;
    hone_record records[4];
    hone_targets targets;
    CHECK_OK(hone_arena_create(4 << 20, &arena));
    hone_config config = base_with(base);
    hone_dataset data = data_with(numbers, records);
    CHECK_OK(hone_targets_choose(arena, &data, HONE_REGRESSION, none, &config));
    assert_int_equal(config.labels, 1);
    assert_true(config.problem == HONE_REGRESSION);
    CHECK_OK(hone_targets_read(arena, &data, &config, &targets));
    assert_null(targets.labels);
    assert_true(targets.numbers[0] == 1 && targets.numbers[1] == 2.5F);
    hone_config_done(&config);
    hone_arena_destroy(arena);
}

static void test_targets__one_class_is_refused(void **state) {
    (void)state;
    const char *const base[] = {"pos", "neg", NULL}, *const same[] = {"pos", "pos", NULL};
    hone_arena *arena = NULL;
    hone_record records[4];
    CHECK_OK(hone_arena_create(4 << 20, &arena));
    hone_config config = base_with(base);
    hone_dataset data = data_with(same, records);
    CHECK_FAILS(hone_targets_choose(arena, &data, HONE_SINGLE_LABEL, none, &config), HONE_E_INVALID,
                "'f.csv' has one class only, 'pos'");
    hone_config_done(&config);
    hone_arena_destroy(arena);
}

static void test_problem__is_named_as_in_config_json(void **state) {
    (void)state;
    hone_problem problem;
    CHECK_OK(hone_problem_parse("regression", &problem));
    assert_true(problem == HONE_REGRESSION);
    CHECK_OK(hone_problem_parse("single_label_classification", &problem));
    assert_true(problem == HONE_SINGLE_LABEL);
    CHECK_FAILS(hone_problem_parse("multi_label_classification", &problem), HONE_E_INVALID,
                "expected single_label_classification or regression");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets__choose_the_labels),
        cmocka_unit_test(test_targets__ids_are_kept_and_new_labels_follow),
        cmocka_unit_test(test_targets__regression_has_one_output),
        cmocka_unit_test(test_targets__one_class_is_refused),
        cmocka_unit_test(test_problem__is_named_as_in_config_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
