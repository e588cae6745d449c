/* Teams, task UIs and flow definitions: names, what each must find, lists, and removal while they
 * are in use. */
#include "desk.h"

#include "base/json.h"

static void test_team__is_found_by_name_and_arn_and_keeps_its_fields(void **state) {
    (void)state;
    hone_team team;
    hone_tx *tx = desk_begin();
    json_t *fields = json_pack("{s:[i]}", "MemberDefinitions", 1);
    CHECK_OK(hone_team_add(tx, desk_arena, desk_realm, "user/eng", HONE_S("Night"), HONE_S("d"),
                           fields, &team));
    assert_string_equal(team.arn,
                        "arn:aws:sagemaker:eu-west-1:123456789012:workteam/private-crowd/Night");
    CHECK_OK(hone_team_find(tx, desk_arena, hone_str_of(team.arn), &team));
    assert_string_equal(team.name, "Night");
    assert_string_equal(team.fields, "{\"MemberDefinitions\":[1]}");
    json_object_set_new(fields, "MemberDefinitions", json_integer(2));
    desk_wait_s(5);
    CHECK_OK(
        hone_team_update(tx, desk_arena, "user/eng", HONE_S("Night"), HONE_S(""), fields, &team));
    assert_string_equal(team.fields, "{\"MemberDefinitions\":2}");
    assert_string_equal(team.description, "d");
    assert_int_equal(team.modified_ms - team.created_ms, 5000);
    json_decref(fields);
    CHECK_FAILS(hone_team_add(tx, desk_arena, desk_realm, "user/eng", HONE_S("crew"), HONE_S("d"),
                              NULL, &team),
                HONE_E_CONFLICT, "work team 'crew' already exists");
    CHECK_FAILS(hone_team_add(tx, desk_arena, desk_realm, "user/eng", HONE_S("a b"), HONE_S("d"),
                              NULL, &team),
                HONE_E_INVALID, "not 'a b'");
    CHECK_FAILS(hone_team_find(tx, desk_arena, HONE_S("none"), &team), HONE_E_NOT_FOUND,
                "work team 'none'");
    CHECK_FAILS(hone_team_remove(tx, desk_arena, "user/eng", HONE_S("crew")), HONE_E_CONFLICT,
                "named by flow definition");
    CHECK_OK(hone_team_remove(tx, desk_arena, "user/eng", HONE_S("Night")));
    CHECK_OK(hone_tx_commit(tx));
    assert_non_null(strstr(desk_journal("team."), "team.created team/Night; team.updated "
                                                  "team/Night; team.deleted team/Night;"));
}

static void test_task_ui__is_checked_when_it_is_created(void **state) {
    (void)state;
    hone_task_ui ui;
    hone_tx *tx = desk_begin();
    CHECK_FAILS(hone_task_ui_add(tx, desk_arena, desk_realm, "user/eng", HONE_S("bad"),
                                 HONE_S("a\n{% fro %}"), &ui),
                HONE_E_INVALID, "the template: line 2: unknown tag 'fro'");
    CHECK_FAILS(
        hone_task_ui_add(tx, desk_arena, desk_realm, "user/eng", HONE_S("Upper"), HONE_S("x"), &ui),
        HONE_E_INVALID, "not 'Upper'");
    CHECK_FAILS(
        hone_task_ui_add(tx, desk_arena, desk_realm, "user/eng", HONE_S("empty"), HONE_S(""), &ui),
        HONE_E_INVALID, "1 to 128000 characters");
    CHECK_FAILS(
        hone_task_ui_add(tx, desk_arena, desk_realm, "user/eng", HONE_S("page"), HONE_S("x"), &ui),
        HONE_E_CONFLICT, "human task UI 'page' already exists");
    hone_tx_abort(tx);
}

static void test_task_ui__deleted_stays_with_the_flows_that_show_it(void **state) {
    (void)state;
    hone_task_ui ui;
    hone_str content, input;
    char lease[HONE_LEASE_SIZE];
    hone_tx *tx = desk_begin();
    CHECK_OK(hone_task_ui_find(tx, desk_arena, HONE_S("page"), &ui));
    assert_string_equal(ui.sha256, /* sha256sum of the content */
                        "3d7f545ea501629d5f7fec8fe40ec09ea4be64ffa4b45136b40c45a5daf5311e");
    CHECK_OK(hone_task_ui_remove(tx, desk_arena, "user/eng", HONE_S("page")));
    CHECK_FAILS(hone_task_ui_find(tx, desk_arena, HONE_S("page"), &ui), HONE_E_NOT_FOUND, "'page'");
    CHECK_OK(hone_task_ui_add(tx, desk_arena, desk_realm, "user/eng", HONE_S("page"),
                              HONE_S("another"), &ui));
    CHECK_OK(hone_tx_commit(tx));
    (void)desk_start("one", "l1");
    hone_task task = desk_next(&desk_ann, lease);
    tx = desk_begin();
    CHECK_OK(
        hone_task_page(tx, desk_arena, &desk_ann, task.id, hone_str_of(lease), &content, &input));
    assert_true(hone_str_equal(content, HONE_S("<p>{{ task.input.t }}</p>")));
    assert_true(hone_str_equal(input, HONE_S("{\"t\": \"text\"}")));
    hone_tx_abort(tx);
}

static void test_flow__is_refused_when_what_it_names_is_not_there(void **state) {
    (void)state;
    static const struct {
        const char *team, *ui, *uri, *words;
        int64_t tasks, lifetime_s, time_limit_s;
    } cases[] = {
        {"none", "page", "s3://box/x", "work team 'none'", 1, 60, 60},
        {"crew", "none", "s3://box/x", "human task UI 'none'", 1, 60, 60},
        {"crew", "page", "s3://nobox/x", "bucket 'nobox' does not exist", 1, 60, 60},
        {"crew", "page", "https://box/x", "S3OutputPath", 1, 60, 60},
        {"crew", "page", "s3://box/x", "TaskCount is 4, allowed are 1 to 3", 4, 60, 60},
        {"crew", "page", "s3://box/x", "TaskCount is 0", 0, 60, 60},
        {"crew", "page", "s3://box/x", "TaskTimeLimitInSeconds is 29", 1, 60, 29},
        {"crew", "page", "s3://box/x", "TaskAvailabilityLifetimeInSeconds is 0", 1, 0, 60},
    };
    hone_flow flow;
    hone_tx *tx = desk_begin();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_flow_spec spec = desk_spec("f", cases[i].tasks);
        spec.team = hone_str_of(cases[i].team);
        spec.ui = hone_str_of(cases[i].ui);
        spec.output_uri = hone_str_of(cases[i].uri);
        spec.lifetime_s = cases[i].lifetime_s;
        spec.time_limit_s = cases[i].time_limit_s;
        CHECK_FAILS(hone_flow_add(tx, desk_arena, desk_realm, "user/eng", &spec, &flow),
                    HONE_E_INVALID, cases[i].words);
    }
    CHECK_FAILS(desk_flow(tx, "Two", 1, &flow), HONE_E_INVALID, "not 'Two'");
    CHECK_FAILS(desk_flow(tx, "two", 1, &flow), HONE_E_CONFLICT,
                "flow definition 'two' already exists");
    hone_tx_abort(tx);
}

static void test_flow__is_listed_in_every_order(void **state) {
    (void)state;
    hone_flow *flows = NULL, flow;
    size_t count = 0;
    bool more = false;
    hone_tx *tx = desk_begin();
    desk_wait_s(10);
    CHECK_OK(desk_flow(tx, "apple", 1, &flow));
    hone_review_listing listing = {.descending = true};
    CHECK_OK(hone_flow_list(tx, desk_arena, &listing, &flows, &count, &more));
    assert_int_equal(count, 3);
    assert_false(more);
    assert_string_equal(flows[0].name, "apple");
    listing = (hone_review_listing){.limit = 2};
    CHECK_OK(hone_flow_list(tx, desk_arena, &listing, &flows, &count, &more));
    assert_int_equal(count, 2);
    assert_true(more);
    assert_string_equal(flows[0].name, "one");
    listing.offset = 2;
    CHECK_OK(hone_flow_list(tx, desk_arena, &listing, &flows, &count, &more));
    assert_int_equal(count, 1);
    assert_false(more);
    listing = (hone_review_listing){.by_name = true, .name_contains = HONE_S("e")};
    CHECK_OK(hone_flow_list(tx, desk_arena, &listing, &flows, &count, &more));
    assert_int_equal(count, 2);
    assert_string_equal(flows[0].name, "apple");
    listing = (hone_review_listing){.after_ms = DESK_T0 + 1};
    CHECK_OK(hone_flow_list(tx, desk_arena, &listing, &flows, &count, &more));
    assert_int_equal(count, 1);
    listing = (hone_review_listing){.before_ms = DESK_T0 + 1, .name_contains = HONE_S("%")};
    CHECK_OK(hone_flow_list(tx, desk_arena, &listing, &flows, &count, &more));
    assert_int_equal(count, 0);
    hone_tx_abort(tx);
}

static hone_err remove_flow(const char *name) {
    hone_tx *tx = desk_begin();
    return hone_tx_finish(tx, hone_flow_remove(tx, desk_arena, "user/eng", hone_str_of(name)));
}

static void test_flow__removed_takes_along_what_nobody_began(void **state) {
    (void)state;
    char lease[HONE_LEASE_SIZE];
    int64_t when_ms = 0;
    hone_flow flow;
    hone_loop loop;
    (void)desk_start("one", "begun");
    hone_task task = desk_next(&desk_ann, lease);
    (void)desk_start("one", "untouched");
    CHECK_OK(remove_flow("one"));
    hone_tx *tx = desk_begin();
    CHECK_OK(hone_flow_find(tx, desk_arena, HONE_S("one"), &flow));
    assert_string_equal(flow.status, "Deleting");
    CHECK_FAILS(hone_loop_find(tx, desk_arena, HONE_S("untouched"), &loop), HONE_E_NOT_FOUND,
                "human loop 'untouched'");
    CHECK_FAILS(desk_start_in(tx, "one", "late", "{}", &loop), HONE_E_INVALID, "is Deleting");
    hone_tx_abort(tx);
    CHECK_FAILS(remove_flow("one"), HONE_E_CONFLICT, "is being deleted");

    CHECK_OK(desk_answer(&desk_ann, task.id, lease, "Positive", &when_ms));
    assert_string_equal(desk_loop("begun").status, "Completed");
    tx = desk_begin();
    CHECK_FAILS(hone_flow_find(tx, desk_arena, HONE_S("one"), &flow), HONE_E_NOT_FOUND, "'one'");
    CHECK_OK(desk_flow(tx, "one", 1, &flow)); /* the name is free again */
    CHECK_OK(hone_tx_commit(tx));
    assert_string_equal(desk_loop("begun").flow_name, "one");
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_open, desk_close)
        TEST(test_team__is_found_by_name_and_arn_and_keeps_its_fields),
        TEST(test_task_ui__is_checked_when_it_is_created),
        TEST(test_task_ui__deleted_stays_with_the_flows_that_show_it),
        TEST(test_flow__is_refused_when_what_it_names_is_not_there),
        TEST(test_flow__is_listed_in_every_order),
        TEST(test_flow__removed_takes_along_what_nobody_began),
    };
    return cmocka_run_group_tests_name("flows", tests, NULL, NULL);
}
