/* test_dataset.c: labels as sorted names, as ids and as numbers. */
#include "data/dataset.h"

#include "check.h"

#include <math.h>

enum { RECORDS_MAX = 8 };

typedef struct labelled {
    hone_record records[RECORDS_MAX];
    hone_dataset data;
} labelled;

/* A data set of the labels in a comma-separated list. */
static void fill(labelled *out, const char *list) {
    *out = (labelled){.data = {.name = "f.csv", .records = out->records}};
    while (*list) {
        size_t len = strcspn(list, ",");
        out->records[out->data.count] = (hone_record){
            HONE_S("x"), {list, len}, out->data.count + 2};
        out->data.count++;
        list += len + (list[len] == ',');
    }
}

static hone_arena *arena_of(void) {
    hone_arena *arena = NULL;
    CHECK_OK(hone_arena_create(1 << 20, &arena));
    return arena;
}

static void test_labels__are_sorted_bytewise_and_distinct(void **state) {
    (void)state;
    hone_arena *arena = arena_of();
    labelled in;
    hone_labels labels;
    fill(&in, "pos,neg,pos,Pos,10,9,ne,\xC3\xA9");
    CHECK_OK(hone_dataset_labels(arena, &in.data, &labels));
    const char *want[] = {"10", "9", "Pos", "ne", "neg", "pos", "\xC3\xA9"};
    assert_int_equal(labels.count, 7);
    for (size_t i = 0; i < 7; i++) assert_string_equal(labels.names[i], want[i]);
    hone_arena_destroy(arena);
}

static void check_ids(const char *list, hone_labels labels, const int32_t *want) {
    hone_arena *arena = arena_of();
    labelled in;
    int32_t *ids = NULL;
    fill(&in, list);
    CHECK_OK(hone_dataset_ids(arena, &in.data, labels, &ids));
    for (size_t i = 0; i < in.data.count; i++) assert_int_equal(ids[i], want[i]);
    hone_arena_destroy(arena);
}

static void test_ids__follow_the_given_order(void **state) {
    (void)state;
    const char *names[] = {"pos", "neg", "mixed"};
    check_ids("neg,pos,mixed,neg", (hone_labels){3, names}, (int32_t[]){1, 0, 2, 1});
}

static void test_ids__default_names_take_bare_numbers(void **state) {
    (void)state;
    const char *names[] = {"LABEL_0", "LABEL_1"};
    check_ids("1,0,LABEL_1", (hone_labels){2, names}, (int32_t[]){1, 0, 1});
}

static void test_ids__unknown_label_is_named(void **state) {
    (void)state;
    hone_arena *arena = arena_of();
    const char *names[] = {"pos", "neg"};
    const char *swapped[] = {"LABEL_1", "LABEL_0"};
    labelled in;
    int32_t *ids = NULL;
    fill(&in, "pos,maybe");
    CHECK_FAILS(hone_dataset_ids(arena, &in.data, (hone_labels){2, names}, &ids), HONE_E_INVALID,
                "'f.csv' line 3: label 'maybe' is none of the 2 known: 'pos', 'neg'");
    fill(&in, "1");
    CHECK_FAILS(hone_dataset_ids(arena, &in.data, (hone_labels){2, swapped}, &ids), HONE_E_INVALID,
                "label '1' is none");
    hone_arena_destroy(arena);
}

static void test_numbers__are_read_and_checked(void **state) {
    (void)state;
    hone_arena *arena = arena_of();
    labelled in;
    float *numbers = NULL;
    fill(&in, "1,-2.5,3e2,0.1");
    CHECK_OK(hone_dataset_numbers(arena, &in.data, &numbers));
    const float want[] = {1.0F, -2.5F, 300.0F, 0.1F};
    for (size_t i = 0; i < 4; i++) assert_true(numbers[i] == want[i]);
    static const char *bad[] = {"1,x", "1,2x", "1,nan", "1,inf", "1,1e99"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        fill(&in, bad[i]);
        CHECK_FAILS(hone_dataset_numbers(arena, &in.data, &numbers), HONE_E_INVALID,
                    "line 3: label '");
    }
    hone_arena_destroy(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_labels__are_sorted_bytewise_and_distinct),
        cmocka_unit_test(test_ids__follow_the_given_order),
        cmocka_unit_test(test_ids__default_names_take_bare_numbers),
        cmocka_unit_test(test_ids__unknown_label_is_named),
        cmocka_unit_test(test_numbers__are_read_and_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
