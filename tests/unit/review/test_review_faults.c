/* Faults: each step of a loop with the first, second, ... allocation or write failing, inside
 * SQLite too. Whatever was acknowledged is there, and nothing is there by halves. */
#include "desk.h"

#include "fault.h"

typedef struct step {
    char name[16];
    char lease[HONE_LEASE_SIZE];
    int64_t task;
    int runs;
} step;

/* What must hold at any time. */
static void check_whole(void) {
    static const char *const wrong[] = {
        "SELECT count(*) FROM review_loop l WHERE (l.status = 'Completed') <> (NOT EXISTS (SELECT 1"
        " FROM review_task t WHERE t.loop = l.id AND t.state <> 'answered'))",
        "SELECT count(*) FROM review_loop l WHERE (l.status = 'Completed') <> (l.output_uri <> '')",
        "SELECT count(*) FROM review_task t WHERE (t.state = 'answered') <> EXISTS (SELECT 1 FROM"
        " review_answer a WHERE a.task = t.id)",
        "SELECT count(*) FROM review_loop l JOIN review_flow f ON f.id = l.flow WHERE"
        " f.task_count <> (SELECT count(*) FROM review_task t WHERE t.loop = l.id)",
        "SELECT count(*) FROM review_loop l WHERE l.is_open = 0 AND EXISTS (SELECT 1 FROM"
        " review_task t WHERE t.loop = l.id AND t.is_open = 1)",
    };
    hone_tx *tx = desk_begin();
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        int64_t count = 0;
        CHECK_OK(hone_tx_int(tx, &count, wrong[i], ""));
        if (count != 0) fail_msg("%lld rows break: %s", (long long)count, wrong[i]);
    }
    hone_tx_abort(tx);
    hone_arena_reset(desk_arena);
}

/* A database may be busy to answer after a fault: begin must not abort the test. */
static hone_err begin(hone_tx **out) { return hone_tx_begin(desk_db, HONE_TX_WRITE, out); }

static hone_err start(void *ctx) {
    step *s = ctx;
    hone_tx *tx = NULL;
    hone_loop loop;
    (void)snprintf(s->name, sizeof s->name, "l%d", s->runs++);
    HONE_TRY(begin(&tx));
    return hone_tx_finish(tx, desk_start_in(tx, "two", s->name, "{\"t\": 1}", &loop));
}

static bool exists(const char *name) {
    hone_loop loop;
    hone_tx *tx = desk_begin();
    hone_err err = hone_loop_find(tx, desk_arena, hone_str_of(name), &loop);
    hone_tx_abort(tx);
    return !hone_failed(err);
}

static void check_start(void *ctx, hone_err err) {
    const step *s = ctx;
    assert_int_equal(exists(s->name), !hone_failed(err));
    check_whole();
}

static void test_start__is_whole_or_not_there(void **state) {
    (void)state;
    step s = {0};
    assert_true(fault_sweep_db(start, check_start, &s) > 10);
}

static hone_err answer(void *ctx) {
    step *s = ctx;
    int64_t when_ms = 0;
    json_t *content = json_pack("{s:s}", "by", "ann");
    if (!content) return hone_err_new(HONE_E_NOMEM, "the answer");
    hone_err err = hone_task_answer(desk_db, desk_objects, desk_arena, &desk_ann, s->task,
                                    hone_str_of(s->lease), content, 1, &when_ms);
    json_decref(content);
    return err;
}

/* An answer that failed may be sent again; one that was acknowledged is complete. */
static void check_answer(void *ctx, hone_err err) {
    step *s = ctx;
    check_whole();
    if (hone_failed(err)) CHECK_OK(answer(s));
    assert_string_equal(desk_loop(s->name).status, "Completed");
    assert_true(desk_output(s->name).len > 0);
    check_whole();
    (void)snprintf(s->name, sizeof s->name, "m%d", s->runs++);
    (void)desk_start("one", s->name);
    s->task = desk_next(&desk_ann, s->lease).id;
}

static void test_answer__is_whole_or_may_be_sent_again(void **state) {
    (void)state;
    step s = {.name = "first"};
    (void)desk_start("one", s.name);
    s.task = desk_next(&desk_ann, s.lease).id;
    assert_true(fault_sweep_db(answer, check_answer, &s) > 10);
}

static hone_err lease(void *ctx) {
    step *s = ctx;
    hone_tx *tx = NULL;
    hone_task task;
    HONE_TRY(begin(&tx));
    HONE_TRY(
        hone_tx_finish(tx, hone_task_accept(tx, desk_arena, &desk_ann, s->task, s->lease, &task)));
    HONE_TRY(begin(&tx));
    return hone_tx_finish(
        tx, hone_task_release(tx, desk_arena, &desk_ann, s->task, hone_str_of(s->lease), false));
}

static void check_lease(void *ctx, hone_err err) {
    (void)ctx, (void)err;
    check_whole();
}

static void test_lease__is_taken_and_given_back(void **state) {
    (void)state;
    step s = {0};
    (void)desk_start("one", "l1");
    s.task = 1;
    assert_true(fault_sweep_db(lease, check_lease, &s) > 10);
}

static hone_err sweep(void *ctx) {
    (void)ctx;
    return hone_review_sweep(desk_db);
}

static void check_sweep(void *ctx, hone_err err) {
    step *s = ctx;
    check_whole();
    if (!hone_failed(err)) assert_string_equal(desk_loop(s->name).status, "Failed");
    (void)snprintf(s->name, sizeof s->name, "l%d", s->runs++);
    (void)desk_start("one", s->name);
    desk_wait_s(3600);
}

static void test_sweep__ends_it_whole_or_later(void **state) {
    (void)state;
    step s = {.name = "first"};
    (void)desk_start("one", s.name);
    desk_wait_s(3600);
    assert_true(fault_sweep_db(sweep, check_sweep, &s) > 10);
}

static hone_err make(void *ctx) {
    step *s = ctx;
    hone_tx *tx = NULL;
    hone_flow flow;
    hone_team team;
    hone_task_ui ui;
    (void)snprintf(s->name, sizeof s->name, "f%d", s->runs++);
    hone_str name = hone_str_of(s->name);
    HONE_TRY(begin(&tx));
    hone_err err = hone_team_add(tx, desk_arena, desk_realm, "user/eng", name, name, NULL, &team);
    if (!hone_failed(err))
        err = hone_task_ui_add(tx, desk_arena, desk_realm, "user/eng", name,
                               HONE_S("{% if a %}{{ b | upcase }}{% endif %}"), &ui);
    if (!hone_failed(err)) err = desk_flow(tx, s->name, 1, &flow);
    return hone_tx_finish(tx, err);
}

static void check_make(void *ctx, hone_err err) {
    const step *s = ctx;
    hone_flow flow;
    hone_tx *tx = desk_begin();
    hone_err found = hone_flow_find(tx, desk_arena, hone_str_of(s->name), &flow);
    hone_tx_abort(tx);
    assert_int_equal(hone_failed(found), hone_failed(err));
    hone_arena_reset(desk_arena);
}

static void test_flow__is_made_whole_or_not_at_all(void **state) {
    (void)state;
    step s = {0};
    assert_true(fault_sweep_db(make, check_make, &s) > 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, desk_open, desk_close)
        TEST(test_start__is_whole_or_not_there),
        TEST(test_answer__is_whole_or_may_be_sent_again),
        TEST(test_lease__is_taken_and_given_back),
        TEST(test_sweep__ends_it_whole_or_later),
        TEST(test_flow__is_made_whole_or_not_at_all),
    };
    return cmocka_run_group_tests_name("review_faults", tests, NULL, NULL);
}
