/* desk.h: a database of its own for each test, with a team, a page, a flow and reviewers; time
 * stands still at DESK_T0 until a test moves it. */
#ifndef HONE_TESTS_REVIEW_DESK_H
#define HONE_TESTS_REVIEW_DESK_H

#include "base/clock.h"
#include "check.h"
#include "review/flows.h"
#include "review/loops.h"
#include "review/task_uis.h"
#include "review/tasks.h"
#include "review/teams.h"
#include "store/journal.h"

#define DESK_T0 1795500000123 /* 2026-11-24T06:00:00.123Z */

static char desk_dir[64];
static hone_db *desk_db;
static hone_objects *desk_objects;
static hone_arena *desk_arena;
static const hone_realm desk_realm = {"eu-west-1", "123456789012"};

static const hone_str desk_crew[] = {{"crew", 4}};
static const hone_reviewer desk_ann = {1, "a1", "user/ann", "http://hone", desk_crew, 1};
static const hone_reviewer desk_bob = {2, "b2", "user/bob", "http://hone", desk_crew, 1};
static const hone_reviewer desk_eve = {3, "e3", "user/eve", "http://hone", NULL, 0};

static inline hone_tx *desk_begin(void) {
    hone_tx *tx = NULL;
    CHECK_OK(hone_tx_begin(desk_db, HONE_TX_WRITE, &tx));
    return tx;
}

static inline hone_flow_spec desk_spec(const char *name, int64_t tasks) {
    return (hone_flow_spec){.name = hone_str_of(name),
                            .team = HONE_S("crew"),
                            .ui = HONE_S("page"),
                            .title = HONE_S("Classify the text"),
                            .description = HONE_S("Read the instructions"),
                            .task_count = tasks,
                            .lifetime_s = 3600,
                            .time_limit_s = 300,
                            .output_uri = HONE_S("s3://box/a2i/")};
}

static inline hone_err desk_flow(hone_tx *tx, const char *name, int64_t tasks, hone_flow *out) {
    hone_flow_spec spec = desk_spec(name, tasks);
    return hone_flow_add(tx, desk_arena, desk_realm, "user/eng", &spec, out);
}

static inline hone_err desk_fill(hone_tx *tx) {
    hone_team team;
    hone_task_ui ui;
    hone_flow flow;
    HONE_TRY(hone_objects_bucket_create(desk_objects, tx, HONE_S("box")));
    HONE_TRY(hone_team_add(tx, desk_arena, desk_realm, "user/eng", HONE_S("crew"), HONE_S("about"),
                           NULL, &team));
    HONE_TRY(hone_task_ui_add(tx, desk_arena, desk_realm, "user/eng", HONE_S("page"),
                              HONE_S("<p>{{ task.input.t }}</p>"), &ui));
    HONE_TRY(desk_flow(tx, "one", 1, &flow));
    return desk_flow(tx, "two", 2, &flow);
}

static inline int desk_open(void **state) {
    (void)state;
    hone_now_fix_ms(DESK_T0);
    (void)snprintf(desk_dir, sizeof desk_dir, "%s", check_tmpdir());
    CHECK_OK(hone_db_open(desk_dir, &desk_db));
    CHECK_OK(hone_objects_open(desk_dir, desk_db, &desk_objects));
    CHECK_OK(hone_review_migrate(desk_db));
    CHECK_OK(hone_arena_create((size_t)64 << 20, &desk_arena));
    hone_tx *tx = desk_begin();
    CHECK_OK(hone_tx_finish(tx, desk_fill(tx)));
    return 0;
}

static inline int desk_close(void **state) {
    (void)state;
    hone_now_fix_ms(0);
    hone_arena_destroy(desk_arena);
    hone_objects_close(desk_objects);
    hone_db_close(desk_db);
    check_rmtree(desk_dir);
    return 0;
}

static inline void desk_wait_s(int64_t s) { hone_now_fix_ms(hone_now_ms() + 1000 * s); }

static inline hone_err desk_start_in(hone_tx *tx, const char *flow, const char *name,
                                     const char *input, hone_loop *out) {
    hone_loop_spec spec = {
        .name = hone_str_of(name), .flow = hone_str_of(flow), .input = hone_str_of(input)};
    return hone_loop_start(tx, desk_arena, desk_realm, "user/eng", &spec, out);
}

/* A loop of a flow, in a transaction of its own. */
static inline hone_loop desk_start(const char *flow, const char *name) {
    hone_loop loop;
    hone_tx *tx = desk_begin();
    CHECK_OK(hone_tx_finish(tx, desk_start_in(tx, flow, name, "{\"t\": \"text\"}", &loop)));
    return loop;
}

static inline hone_loop desk_loop(const char *name) {
    hone_loop loop = {0};
    hone_tx *tx = desk_begin();
    CHECK_OK(hone_loop_find(tx, desk_arena, hone_str_of(name), &loop));
    hone_tx_abort(tx);
    return loop;
}

/* Whatever who may do next; id 0 when there is nothing. */
static inline hone_task desk_next(const hone_reviewer *who, char lease[HONE_LEASE_SIZE]) {
    hone_task task;
    hone_tx *tx = desk_begin();
    CHECK_OK(hone_tx_finish(tx, hone_task_next(tx, desk_arena, who, HONE_S(""), lease, &task)));
    return task;
}

static inline hone_err desk_accept(const hone_reviewer *who, int64_t id,
                                   char lease[HONE_LEASE_SIZE], hone_task *out) {
    hone_tx *tx = desk_begin();
    return hone_tx_finish(tx, hone_task_accept(tx, desk_arena, who, id, lease, out));
}

static inline hone_err desk_release(const hone_reviewer *who, int64_t id, const char *lease,
                                    bool decline) {
    hone_tx *tx = desk_begin();
    return hone_tx_finish(tx,
                          hone_task_release(tx, desk_arena, who, id, hone_str_of(lease), decline));
}

static inline hone_err desk_beat(const hone_reviewer *who, int64_t id, const char *lease,
                                 int64_t *until_ms) {
    hone_tx *tx = desk_begin();
    return hone_tx_finish(
        tx, hone_task_heartbeat(tx, desk_arena, who, id, hone_str_of(lease), until_ms));
}

static inline hone_err desk_answer(const hone_reviewer *who, int64_t id, const char *lease,
                                   const char *label, int64_t *when_ms) {
    json_t *answer = json_pack("{s:{s:s}}", "category", "label", label);
    hone_err err = hone_task_answer(desk_db, desk_objects, desk_arena, who, id, hone_str_of(lease),
                                    answer, 1.5, when_ms);
    json_decref(answer);
    return err;
}

static inline hone_err desk_stop(const char *name) {
    hone_tx *tx = desk_begin();
    return hone_tx_finish(tx, hone_loop_stop(tx, desk_arena, "user/eng", hone_str_of(name)));
}

/* How many tasks who may accept. */
static inline size_t desk_queue(const hone_reviewer *who) {
    hone_task *tasks = NULL;
    size_t count = 0;
    hone_tx *tx = desk_begin();
    CHECK_OK(hone_task_queue(tx, desk_arena, who, &tasks, &count));
    hone_tx_abort(tx);
    return count;
}

/* "kind subject; ..." of the journal's entries of some kinds ("task.", "loop.", "" = all). */
static inline const char *desk_journal(const char *prefix) {
    static char text[4096];
    hone_entry *entries = NULL;
    size_t count = 0, len = 0;
    CHECK_OK(hone_journal_read(desk_db, desk_arena, 0, 1000, &entries, &count));
    text[0] = '\0';
    for (size_t i = 0; i < count && len < sizeof text; i++)
        if (hone_str_has_prefix(entries[i].kind, hone_str_of(prefix)))
            len += (size_t)snprintf(text + len, sizeof text - len, "%.*s %.*s; ",
                                    HONE_ARG(entries[i].kind), HONE_ARG(entries[i].subject));
    return text;
}

/* The bytes of a loop's output.json. */
static inline hone_str desk_output(const char *name) {
    hone_str bucket, key, bytes = {NULL, 0};
    hone_loop loop = desk_loop(name);
    CHECK_OK(hone_s3_uri_parse(hone_str_of(loop.output_uri), &bucket, &key));
    CHECK_OK(hone_objects_load(desk_objects, desk_arena, bucket, key, 1 << 20, &bytes));
    return bytes;
}

#endif
