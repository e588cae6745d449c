/* test_sample.c: a sample is a function of records and seed, keeps its sizes, and never has one
 * text on both sides. */
#include "check.h"

#include "data/import.h"
#include "data/sample.h"

static hone_arena *arena;

static int set_up(void **state) {
    (void)state;
    CHECK_OK(hone_arena_create(64 << 20, &arena));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    hone_arena_destroy(arena);
    return 0;
}

/* "<prefix> <i>" for i in [0, count), labelled by turns. */
static hone_dataset make(const char *prefix, size_t count) {
    hone_record *records = hone_arena_alloc(arena, count, sizeof *records);
    for (size_t i = 0; i < count; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "%s %zu", prefix, i);
        records[i] = (hone_record){hone_str_of(hone_arena_strdup(arena, hone_str_of(text))),
                                   i % 2 ? HONE_S("pos") : HONE_S("neg"), i + 1};
    }
    return (hone_dataset){.name = "made", .count = count, .records = records};
}

static bool same(const hone_dataset *a, const hone_dataset *b) {
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++)
        if (!hone_str_equal(a->records[i].text, b->records[i].text)) return false;
    return true;
}

static void test_key__white_space_is_no_difference(void **state) {
    (void)state;
    static const struct {
        const char *text, *key;
    } cases[] = {{"a b", "a b"}, {"  a \t\n b\r\n", "a b"}, {" \n", ""}, {"", ""}, {"A  b", "A b"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_str key = hone_text_key(arena, hone_str_of(cases[i].text));
        assert_true(hone_str_equal(key, hone_str_of(cases[i].key)));
    }
}

static void test_split__sizes_and_no_overlap(void **state) {
    (void)state;
    static const struct {
        size_t count, train, test, want_train, want_test;
    } cases[] = {
        {100, 50, 10, 50, 10}, {100, 0, 0, 80, 20},  {60, 50, 50, 30, 30}, {12, 5000, 1000, 10, 2},
        {2, 5000, 1000, 1, 1}, {100, 0, 10, 90, 10}, {3, 1, 1, 1, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_dataset pool = make("text", cases[i].count);
        hone_sample sample;
        hone_textset held;
        CHECK_OK(hone_sample_split(
            arena, &pool, (hone_sample_options){cases[i].train, cases[i].test, 7}, &sample));
        assert_int_equal(sample.train.count, cases[i].want_train);
        assert_int_equal(sample.test.count, cases[i].want_test);
        CHECK_OK(hone_textset_create(arena, &sample.test, &held));
        for (size_t j = 0; j < sample.train.count; j++)
            assert_false(hone_textset_has(&held, sample.train.records[j].text));
    }
    hone_dataset one = make("text", 1);
    hone_sample sample;
    CHECK_FAILS(hone_sample_split(arena, &one, (hone_sample_options){0}, &sample), HONE_E_INVALID,
                "need two");
}

static void test_split__seed_decides(void **state) {
    (void)state;
    hone_dataset pool = make("text", 200);
    hone_sample a, b, c;
    CHECK_OK(hone_sample_split(arena, &pool, (hone_sample_options){100, 20, 1}, &a));
    CHECK_OK(hone_sample_split(arena, &pool, (hone_sample_options){100, 20, 1}, &b));
    CHECK_OK(hone_sample_split(arena, &pool, (hone_sample_options){100, 20, 2}, &c));
    assert_true(same(&a.train, &b.train));
    assert_true(same(&a.test, &b.test));
    assert_false(same(&a.train, &c.train));
    assert_false(same(&a.test, &c.test));
}

static void test_pair__test_texts_stay_out_of_training(void **state) {
    (void)state;
    hone_dataset parts[] = {make("text", 30), make("other", 30)}, train, test = make("text", 10);
    hone_sample sample;
    CHECK_OK(hone_dataset_join(arena, parts, 2, &train));
    assert_int_equal(train.count, 60);
    CHECK_OK(hone_sample_pair(arena, &train, &test, (hone_sample_options){0, 0, 3}, &sample));
    assert_int_equal(sample.test.count, 10);
    assert_int_equal(sample.train.count, 50);
    assert_int_equal(sample.leaks, 10);
    hone_dataset inside = make("text", 5);
    CHECK_FAILS(hone_sample_pair(arena, &inside, &test, (hone_sample_options){0}, &sample),
                HONE_E_INVALID, "none is left");
}

static void test_save__import_reads_the_same(void **state) {
    (void)state;
    hone_record records[] = {{HONE_S("say \"hi\"\nthere \xc3\xa9"), HONE_S("pos"), 1},
                             {HONE_S("plain"), HONE_S("neg"), 2}};
    hone_dataset saved = {.name = "x", .count = 2, .records = records}, back;
    char *dir = check_tmpdir(), path[96];
    (void)snprintf(path, sizeof path, "%s/train.jsonl", dir);
    CHECK_OK(hone_dataset_save(&saved, path));
    CHECK_OK(hone_import_file(arena, path, &(hone_import_options){0}, &back));
    assert_true(same(&saved, &back));
    assert_true(hone_str_equal(back.records[0].label, HONE_S("pos")));
    check_rmtree(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_key__white_space_is_no_difference, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_split__sizes_and_no_overlap, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_split__seed_decides, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pair__test_texts_stay_out_of_training, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_save__import_reads_the_same, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("sample", tests, NULL, NULL);
}
