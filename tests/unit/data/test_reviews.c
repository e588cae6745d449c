/* test_reviews.c: documents as loops write them become labels, or say why not: one table of
 * documents, then what several of them make of one text. */
#include "check.h"

#include "data/reviews.h"

static hone_arena *arena;

static const char *const names[] = {"negative", "positive"};
static const hone_review_rules defaults = {.known = {2, names}};

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

static hone_review read_json(const char *json, const char *source, const hone_review_rules *rules) {
    hone_review review;
    CHECK_OK(hone_review_read(arena, hone_str_of(json), source, rules, &review));
    return review;
}

#define DOCUMENT(answers)                                               \
    "{\"humanLoopName\":\"loop\",\"inputContent\":{\"taskObject\":\"a " \
    "text\"},\"humanAnswers\":[" answers "]}"
#define ONE(label)  "{\"answerContent\":{\"category\":{\"label\":\"" label "\"}}}"
#define MULTI(list) "{\"answerContent\":{\"category\":{\"labels\":[" list "]}}}"

static void test_read__each_document_has_its_fate(void **state) {
    (void)state;
    static const struct {
        const char *json;
        hone_review_fate fate;
        const char *said; /* the label, or part of the reason */
    } cases[] = {
        {DOCUMENT(ONE("Positive")), HONE_REVIEW_MERGED, "positive"},
        {DOCUMENT(MULTI("\"NEGATIVE\"")), HONE_REVIEW_MERGED, "negative"},
        {DOCUMENT(ONE("not clear")), HONE_REVIEW_IGNORED, "left out"},
        {DOCUMENT(ONE("Neutral")), HONE_REVIEW_UNKNOWN, "'Neutral'"},
        {DOCUMENT(MULTI("")), HONE_REVIEW_BROKEN, "no label was chosen"},
        {DOCUMENT(MULTI("\"positive\",\"negative\"")), HONE_REVIEW_BROKEN, "more than one"},
        {DOCUMENT(ONE("positive") "," ONE("Positive") "," ONE("negative")), HONE_REVIEW_MERGED,
         "positive"},
        {DOCUMENT(ONE("positive") "," ONE("negative")), HONE_REVIEW_TIED, "2 reviewers disagree"},
        {DOCUMENT(ONE("positive") "," ONE("Not Clear")), HONE_REVIEW_TIED, "disagree"},
        {DOCUMENT(ONE("positive") "," ONE("Not Clear") "," ONE("not clear")), HONE_REVIEW_IGNORED,
         "left out"},
        {DOCUMENT(ONE("positive") "," ONE("negative") "," ONE("Neutral")), HONE_REVIEW_TIED,
         "3 reviewers"},
        {DOCUMENT(ONE("positive") "," ONE("positive") "," ONE("negative") "," ONE(
             "negative") "," ONE("Neutral")),
         HONE_REVIEW_TIED, "5 reviewers"},
        {DOCUMENT(""), HONE_REVIEW_BROKEN, "no humanAnswers"},
        {DOCUMENT("{}"), HONE_REVIEW_BROKEN, "answerContent"},
        {DOCUMENT("{\"answerContent\":{\"sentiment\":1}}"), HONE_REVIEW_BROKEN, "nothing where"},
        {DOCUMENT("{\"answerContent\":{\"category\":{\"label\":7}}}"), HONE_REVIEW_BROKEN,
         "no string"},
        {"{\"humanAnswers\":[" ONE("positive") "]}", HONE_REVIEW_BROKEN,
         "/inputContent/taskObject"},
        {"{\"inputContent\":{\"taskObject\":\" \"},\"humanAnswers\":[" ONE("positive") "]}",
         HONE_REVIEW_BROKEN, "empty"},
        {"{\"inputContent\":{\"taskObject\":\"a\"}}", HONE_REVIEW_BROKEN, "no array"},
        {"{\"inputContent\":", HONE_REVIEW_BROKEN, "line 1"},
        {"", HONE_REVIEW_BROKEN, "the document"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_review r = read_json(cases[i].json, "s3://b/k", &defaults);
        if (r.fate != cases[i].fate) fail_msg("%s: %d %s", cases[i].json, r.fate, r.reason);
        const char *said = r.fate == HONE_REVIEW_MERGED ? r.label.ptr : r.reason;
        if (!strstr(said, cases[i].said)) fail_msg("%s: '%s'", cases[i].json, said);
    }
}

static void test_read__rules_say_where_and_what(void **state) {
    (void)state;
    const char *json = "{\"inputContent\":{\"doc\":{\"t/x\":\"hello\"}},\"humanAnswers\":"
                       "[{\"answerContent\":{\"q\":[{\"v\":\"Gut\"}]}}]}";
    static const char *const pointers[] = {"/absent", "/q/0/v", NULL};
    json_t *map = json_pack("{s:s}", "Gut", "great"), *ignored = json_pack("[s]", "GUT");
    hone_review_rules rules = {.text = "/inputContent/doc/t~1x",
                               .labels = pointers,
                               .label_map = map,
                               .known = {2, names}};
    CHECK_OK(hone_review_rules_check(&rules, "rules"));
    hone_review r = read_json(json, "a", &rules);
    assert_int_equal(r.fate, HONE_REVIEW_MERGED);
    assert_string_equal(r.label.ptr, "great"); /* a label that the data set does not have yet */
    assert_string_equal(r.text.ptr, "hello");
    rules.ignored = ignored;
    assert_int_equal(read_json(json, "a", &rules).fate, HONE_REVIEW_IGNORED);
    json_decref(map);
    json_decref(ignored);
}

static void test_rules__what_is_none_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"category", NULL};
    json_t *map = json_pack("{s:i}", "Gut", 1), *list = json_pack("[i]", 1);
    CHECK_FAILS(hone_review_rules_check(&(hone_review_rules){.text = "/a~2"}, "step 'P'"),
                HONE_E_INVALID, "step 'P': '/a~2'");
    CHECK_FAILS(hone_review_rules_check(&(hone_review_rules){.labels = bad}, "x"), HONE_E_INVALID,
                "'category'");
    CHECK_FAILS(hone_review_rules_check(&(hone_review_rules){.label_map = map}, "x"),
                HONE_E_INVALID, "'Gut'");
    CHECK_FAILS(hone_review_rules_check(&(hone_review_rules){.label_map = list}, "x"),
                HONE_E_INVALID, "no JSON object");
    CHECK_FAILS(hone_review_rules_check(&(hone_review_rules){.ignored = list}, "x"), HONE_E_INVALID,
                "no string");
    json_decref(map);
    json_decref(list);
}

static hone_review said(const char *text, const char *label, const char *when, const char *source) {
    char json[512];
    (void)snprintf(
        json, sizeof json,
        "{\"inputContent\":{\"taskObject\":\"%s\"},\"humanAnswers\":[{\"submissionTime\":"
        "\"%s\",\"answerContent\":{\"category\":{\"label\":\"%s\"}}}]}",
        text, when, label);
    return read_json(json, source, &defaults);
}

static void test_settle__newest_word_wins_whatever_the_order(void **state) {
    (void)state;
    hone_textset nothing = {0};
    for (int turned = 0; turned < 2; turned++) {
        hone_review old = said("a  text", "positive", "2026-11-24T06:00:00.000Z", "1");
        hone_review new = said("a text ", "negative", "2026-11-24T06:00:00.001Z", "0");
        hone_review reviews[] = {turned ? new : old, turned ? old : new};
        CHECK_OK(hone_reviews_settle(arena, reviews, 2, &nothing));
        assert_int_equal(reviews[turned].fate, HONE_REVIEW_SUPERSEDED);
        assert_non_null(strstr(reviews[turned].reason, "newer answer"));
        assert_int_equal(reviews[!turned].fate, HONE_REVIEW_MERGED);
    }
    /* "Not Clear" takes back an earlier answer; a broken document says nothing. */
    hone_review reviews[] = {said("t", "positive", "2026-11-24T06:00:00Z", "a"),
                             said("t", "Not Clear", "2026-11-25T06:00:00Z", "b"),
                             said("t", "", "2026-11-26T06:00:00Z", "c")};
    CHECK_OK(hone_reviews_settle(arena, reviews, 3, &nothing));
    assert_int_equal(reviews[0].fate, HONE_REVIEW_SUPERSEDED);
    assert_int_equal(reviews[1].fate, HONE_REVIEW_IGNORED);
    assert_int_equal(reviews[2].fate, HONE_REVIEW_BROKEN);
    /* Equal times: the source that sorts last. */
    hone_review equal[] = {said("t", "positive", "2026-11-24T06:00:00Z", "b"),
                           said("t", "negative", "2026-11-24T06:00:00Z", "a")};
    CHECK_OK(hone_reviews_settle(arena, equal, 2, &nothing));
    assert_int_equal(equal[0].fate, HONE_REVIEW_MERGED);
    assert_int_equal(equal[1].fate, HONE_REVIEW_SUPERSEDED);
}

static void test_merge__weight_counts_and_held_out_stays_out(void **state) {
    (void)state;
    hone_record train[] = {{HONE_S("one"), HONE_S("positive"), 1},
                           {HONE_S("two"), HONE_S("positive"), 2}};
    hone_record test[] = {{HONE_S("held"), HONE_S("negative"), 1}};
    hone_dataset sample = {.name = "s", .count = 2, .records = train};
    hone_dataset held_out = {.name = "t", .count = 1, .records = test};
    hone_textset held;
    CHECK_OK(hone_textset_create(arena, &held_out, &held));
    hone_review reviews[] = {said("two ", "negative", "2026-11-24T06:00:00Z", "a"),
                             said("held", "positive", "2026-11-24T06:00:00Z", "b"),
                             said("new", "positive", "2026-11-24T06:00:00Z", "c")};
    CHECK_OK(hone_reviews_settle(arena, reviews, 3, &held));
    assert_int_equal(reviews[1].fate, HONE_REVIEW_HELD_OUT);

    hone_merge merge;
    CHECK_OK(hone_reviews_merge(arena, &sample, reviews, 3, 3, &merge));
    assert_int_equal(merge.replaced, 1);
    assert_int_equal(merge.added, 6);
    assert_int_equal(merge.train.count, 7);
    assert_string_equal(merge.train.records[0].text.ptr, "one");
    for (size_t i = 1; i < 4; i++) assert_string_equal(merge.train.records[i].text.ptr, "new");
    for (size_t i = 4; i < 7; i++) {
        assert_string_equal(merge.train.records[i].text.ptr, "two ");
        assert_string_equal(merge.train.records[i].label.ptr, "negative");
    }
    CHECK_OK(hone_reviews_merge(arena, &sample, reviews, 3, 0, &merge));
    assert_int_equal(merge.train.count, 2);
    assert_int_equal(merge.replaced, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_read__each_document_has_its_fate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_read__rules_say_where_and_what, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rules__what_is_none_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_settle__newest_word_wins_whatever_the_order, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_merge__weight_counts_and_held_out_stays_out, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests_name("reviews", tests, NULL, NULL);
}
