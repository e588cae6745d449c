/* Whatever the batches are, every query gets its own logits: those that it gets alone. The bounds
 * hold, small queries are not kept behind large ones, and closing answers what was accepted. */
#include "serve/batcher.h"

#include "base/clock.h"
#include "tiny.h"

#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

static char dir[64];
static hone_deployment *model_a, *model_b;
static sem_t held, go_on; /* see hold */

static const hone_plan plan = {"config", "AllTraffic", "model", "", "s3://box/model.tar.gz", "ab",
                               ""};
static const hone_deployment_options plain = {.threads = 1, .sessions = 2};

static int open_models(void **state) {
    (void)state;
    char path[128];
    sem_init(&held, 0, 0);
    sem_init(&go_on, 0, 0);
    (void)snprintf(dir, sizeof dir, "%s", check_tmpdir());
    (void)snprintf(path, sizeof path, "%s/a", dir);
    tiny_model(path, "a", 0.0F);
    CHECK_OK(hone_deployment_open(path, &plan, &plain, &model_a));
    (void)snprintf(path, sizeof path, "%s/b", dir);
    tiny_model(path, "b", 50.0F);
    CHECK_OK(hone_deployment_open(path, &plan, &plain, &model_b));
    return 0;
}

static int close_models(void **state) {
    (void)state;
    hone_deployment_drop(model_a);
    hone_deployment_drop(model_b);
    check_rmtree(dir);
    return 0;
}

/* A query with its memory and its end. */
typedef struct asked {
    hone_query query;
    hone_arena *arena;
    hone_str texts[64];
    char words[64][80];
    sem_t answered;
    hone_err err;
    int order; /* in which queries were answered */
} asked;

static atomic_int answers;

static void note(hone_query *query, hone_err err) {
    asked *a = query->ctx;
    a->err = err;
    a->order = atomic_fetch_add(&answers, 1);
    sem_post(&a->answered);
}

/* count texts, the i-th a function of seed + i. */
static void ask_init(asked *a, hone_deployment *d, size_t count, unsigned seed) {
    *a = (asked){.err = {HONE_E_CLOSED, "never answered"}};
    CHECK_OK(hone_arena_create(1 << 20, &a->arena));
    sem_init(&a->answered, 0, 0);
    for (size_t i = 0; i < count; i++) {
        size_t len = 1 + (seed + i) * 7 % 40;
        for (size_t c = 0; c < len; c++)
            a->words[i][c] = c % 6 == 5 ? ' ' : (char)('a' + (seed + i + c * c) % 26);
        a->texts[i] = (hone_str){a->words[i], len};
    }
    a->query = (hone_query){
        .arena = a->arena, .texts = a->texts, .count = count, .finish = note, .ctx = a};
    CHECK_OK(hone_query_encode(&a->query, d));
}

static void ask_done(asked *a) {
    sem_destroy(&a->answered);
    hone_arena_destroy(a->arena);
}

static void ask_wait(asked *a) {
    while (sem_wait(&a->answered) != 0) {}
    CHECK_OK(a->err);
}

/* The logits of one text alone, on the model's own session: nobody else runs meanwhile. */
static void expect(hone_deployment *d, const asked *a, size_t text) {
    hone_pool *pool = NULL;
    hone_session *session = NULL;
    hone_model *model = NULL;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", dir, d == model_a ? "a" : "b");
    CHECK_OK(hone_pool_create(1, &pool));
    CHECK_OK(hone_model_open(path, HONE_DTYPE_F32, pool, &model));
    CHECK_OK(hone_session_create(model, &session));
    int32_t first = a->query.starts[text], count = a->query.starts[text + 1] - first;
    const int32_t starts[] = {0, count};
    const hone_pack pack = {(size_t)count, 1, a->query.ids + first, NULL, starts};
    hone_logits logits;
    CHECK_OK(hone_model_forward(session, pool, &pack, &logits));
    for (size_t i = 0; i < TINY_LABELS; i++)
        /* a row's sums may be made by a kernel of another height: rounding, no more */
        assert_true(fabsf(logits.values[i] - a->query.logits[text * TINY_LABELS + i]) < 1e-4F);
    hone_session_destroy(session);
    hone_model_close(model);
    hone_pool_destroy(pool);
}

static void test_batcher__every_text_gets_its_own_logits(void **state) {
    (void)state;
    enum { QUERIES = 40 };
    static asked asks[QUERIES];
    hone_batcher *batcher = NULL;
    CHECK_OK(
        hone_batcher_create(&(hone_batcher_options){.threads = 2, .batch_tokens = 100}, &batcher));
    for (unsigned i = 0; i < QUERIES; i++) {
        ask_init(&asks[i], i % 3 == 1 ? model_b : model_a, 1 + i % 9, i);
        CHECK_OK(hone_batcher_push(batcher, &asks[i].query));
    }
    for (unsigned i = 0; i < QUERIES; i++) ask_wait(&asks[i]);
    hone_batcher_load load = hone_batcher_read(batcher);
    assert_int_equal(load.queries, 0);
    assert_int_equal(load.tokens, 0);
    assert_int_equal(load.answered, QUERIES);
    hone_batcher_destroy(batcher);
    for (unsigned i = 0; i < QUERIES; i++) {
        for (size_t t = 0; t < asks[i].query.count; t++)
            expect(asks[i].query.deployment, &asks[i], t);
        ask_done(&asks[i]);
    }
}

/* A query whose end holds a lane up, so that a test can fill the line meanwhile. */
static void hold(hone_query *query, hone_err err) {
    sem_post(&held);
    while (sem_wait(&go_on) != 0) {}
    note(query, err);
}

static void hold_batcher(hone_batcher *batcher, asked *holder) {
    ask_init(holder, model_a, 1, 1);
    holder->query.finish = hold;
    CHECK_OK(hone_batcher_push(batcher, &holder->query));
    while (sem_wait(&held) != 0) {}
}

static void test_batcher__small_queries_are_not_kept_behind_large_ones(void **state) {
    (void)state;
    static asked holder, large, small[3];
    hone_batcher *batcher = NULL;
    CHECK_OK(
        hone_batcher_create(&(hone_batcher_options){.threads = 1, .batch_tokens = 128}, &batcher));
    hold_batcher(batcher, &holder);
    ask_init(&large, model_a, 60, 3); /* ten batches' worth */
    CHECK_OK(hone_batcher_push(batcher, &large.query));
    for (unsigned i = 0; i < 3; i++) {
        ask_init(&small[i], i == 2 ? model_b : model_a, 1, i);
        CHECK_OK(hone_batcher_push(batcher, &small[i].query));
    }
    sem_post(&go_on);
    ask_wait(&large);
    for (int i = 0; i < 3; i++) {
        ask_wait(&small[i]);
        assert_true(small[i].order < large.order);
    }
    ask_wait(&holder);
    hone_batcher_destroy(batcher);
    for (size_t t = 0; t < large.query.count; t++) expect(model_a, &large, t);
    for (int i = 0; i < 3; i++) ask_done(&small[i]);
    ask_done(&large);
    ask_done(&holder);
}

static void test_batcher__what_waits_is_taken_in_one_batch(void **state) {
    (void)state;
    enum { QUERIES = 20 };
    static asked holder, asks[QUERIES];
    hone_batcher *batcher = NULL;
    CHECK_OK(hone_batcher_create(&(hone_batcher_options){.threads = 1}, &batcher));
    hold_batcher(batcher, &holder);
    for (unsigned i = 0; i < QUERIES; i++) {
        ask_init(&asks[i], model_a, 2, i);
        CHECK_OK(hone_batcher_push(batcher, &asks[i].query));
    }
    uint64_t before = hone_batcher_read(batcher).batches;
    sem_post(&go_on);
    for (unsigned i = 0; i < QUERIES; i++) ask_wait(&asks[i]);
    ask_wait(&holder);
    assert_int_equal(hone_batcher_read(batcher).batches, before + 1);
    hone_batcher_destroy(batcher);
    for (unsigned i = 0; i < QUERIES; i++) ask_done(&asks[i]);
    ask_done(&holder);
}

static void test_batcher__a_full_line_refuses_at_once(void **state) {
    (void)state;
    static asked holder, asks[4];
    hone_batcher *batcher = NULL;
    CHECK_OK(hone_batcher_create(
        &(hone_batcher_options){.threads = 1, .queue_queries = 2, .queue_tokens = 40}, &batcher));
    hold_batcher(batcher, &holder);
    ask_init(&asks[0], model_a, 5, 0); /* alone it may have more tokens than the line takes */
    assert_true(asks[0].query.tokens > 40);
    ask_init(&asks[1], model_a, 1, 0);
    CHECK_OK(hone_batcher_push(batcher, &asks[0].query));
    CHECK_FAILS(hone_batcher_push(batcher, &asks[1].query), HONE_E_FULL, "try again");
    sem_post(&go_on);
    ask_wait(&holder);
    ask_wait(&asks[0]);
    ask_done(&asks[0]);
    ask_done(&holder);
    hold_batcher(batcher, &holder);
    ask_init(&asks[0], model_a, 1, 0);
    ask_init(&asks[2], model_a, 1, 0);
    CHECK_OK(hone_batcher_push(batcher, &asks[0].query));
    CHECK_OK(hone_batcher_push(batcher, &asks[1].query));
    CHECK_FAILS(hone_batcher_push(batcher, &asks[2].query), HONE_E_FULL, "2 requests");
    sem_post(&go_on);
    hone_batcher_destroy(batcher); /* answers what it accepted */
    for (int i = 0; i < 2; i++) ask_wait(&asks[i]);
    for (int i = 0; i < 3; i++) ask_done(&asks[i]);
    ask_done(&holder);
}

/* Every token of model_a is said to take a second. The batcher is held, so nobody else looks. */
static void slow_down(void) { *hone_deployment_pace(model_a) = (hone_pace){1e9, 1}; }

static void test_batcher__who_would_wait_too_long_is_refused_at_once(void **state) {
    (void)state;
    static asked holder, large, small[3];
    hone_batcher *batcher = NULL;
    CHECK_OK(hone_batcher_create(
        &(hone_batcher_options){.threads = 1, .batch_tokens = 128, .patience_ms = INT64_C(1) << 32},
        &batcher));
    hold_batcher(batcher, &holder);
    slow_down();
    ask_init(&large, model_a, 60, 3);
    CHECK_OK(hone_batcher_push(batcher, &large.query));
    for (int i = 0; i < 3; i++) ask_init(&small[i], model_a, 1, 1); /* the same for all */
    /* Of the large one only as much comes first as the small one needs itself: its tokens' seconds. */
    for (int i = 0; i < 2; i++) small[i].query.patience_ms = 1500 * (int64_t)small[i].query.tokens;
    CHECK_OK(hone_batcher_push(batcher, &small[0].query));
    CHECK_FAILS(hone_batcher_push(batcher, &small[1].query), HONE_E_FULL, "2 requests");
    CHECK_OK(hone_batcher_push(batcher, &small[2].query)); /* in no hurry of its own */
    *hone_deployment_pace(model_a) = (hone_pace){0};
    CHECK_OK(hone_batcher_push(batcher, &small[1].query));
    sem_post(&go_on);
    ask_wait(&large);
    for (int i = 0; i < 3; i++) ask_wait(&small[i]);
    ask_wait(&holder);
    hone_batcher_destroy(batcher);
    for (int i = 0; i < 3; i++) ask_done(&small[i]);
    ask_done(&large);
    ask_done(&holder);
}

static void test_batcher__who_had_no_turn_in_time_is_refused(void **state) {
    (void)state;
    static asked holder, hurried, calm;
    hone_batcher *batcher = NULL;
    CHECK_OK(hone_batcher_create(&(hone_batcher_options){.threads = 1}, &batcher));
    hold_batcher(batcher, &holder);
    ask_init(&hurried, model_a, 2, 1);
    ask_init(&calm, model_a, 2, 2);
    hurried.query.patience_ms = 1;
    CHECK_OK(hone_batcher_push(batcher, &hurried.query));
    CHECK_OK(hone_batcher_push(batcher, &calm.query));
    while (hone_clock_ns() <= hurried.query.until_ns) {}
    sem_post(&go_on);
    ask_wait(&calm);
    while (sem_wait(&hurried.answered) != 0) {}
    assert_int_equal(hurried.err.code, HONE_E_FULL); /* its words were lent to finish alone */
    ask_wait(&holder);
    hone_batcher_load load = hone_batcher_read(batcher);
    assert_int_equal(load.queries, 0);
    assert_int_equal(load.tokens, 0);
    assert_int_equal(load.answered, 2);
    hone_batcher_destroy(batcher);
    ask_done(&hurried);
    ask_done(&calm);
    ask_done(&holder);
}

/* Ten minutes: who waits for nothing would not come back. */
static void test_batcher__a_batch_waits_for_as_many_as_came_before(void **state) {
    (void)state;
    static asked holder, asks[4], lone;
    hone_batcher *batcher = NULL;
    CHECK_OK(hone_batcher_create(
        &(hone_batcher_options){.threads = 1, .delay_us = INT64_C(600000000)}, &batcher));
    hold_batcher(batcher, &holder);
    for (unsigned i = 0; i < 4; i++) ask_init(&asks[i], model_a, 2, i);
    CHECK_OK(hone_batcher_push(batcher, &asks[0].query));
    CHECK_OK(hone_batcher_push(batcher, &asks[1].query));
    sem_post(&go_on);
    ask_wait(&asks[0]);
    ask_wait(&asks[1]);
    uint64_t before = hone_batcher_read(batcher).batches;
    CHECK_OK(hone_batcher_push(batcher, &asks[2].query));
    CHECK_OK(hone_batcher_push(batcher, &asks[3].query));
    ask_wait(&asks[2]);
    ask_wait(&asks[3]);
    assert_int_equal(hone_batcher_read(batcher).batches, before + 1);
    hone_batcher_destroy(batcher);

    CHECK_OK(hone_batcher_create(
        &(hone_batcher_options){.threads = 1, .delay_us = INT64_C(600000000)}, &batcher));
    for (int i = 0; i < 3; i++) {
        ask_init(&lone, model_a, 1, 1);
        CHECK_OK(hone_batcher_push(batcher, &lone.query));
        ask_wait(&lone);
        ask_done(&lone);
    }
    hone_batcher_destroy(batcher);
    ask_wait(&holder);
    for (int i = 0; i < 4; i++) ask_done(&asks[i]);
    ask_done(&holder);
}

/* Two lanes, one of which is held up: the other goes on, and leaves half of what waits each time
 * to the one that it takes for idle. */
static void test_batcher__lanes_leave_each_other_a_share(void **state) {
    (void)state;
    enum { QUERIES = 8, BATCHES = 4 }; /* of 4, 2, 1 and 1 */
    static asked holders[2], asks[QUERIES];
    hone_batcher *batcher = NULL;
    CHECK_OK(hone_batcher_create(&(hone_batcher_options){.threads = 2}, &batcher));
    assert_int_equal(hone_batcher_lanes(batcher), 2);
    hold_batcher(batcher, &holders[0]);
    hold_batcher(batcher, &holders[1]);
    for (unsigned i = 0; i < QUERIES; i++) {
        ask_init(&asks[i], model_a, 1, 1);
        CHECK_OK(hone_batcher_push(batcher, &asks[i].query));
    }
    uint64_t before = hone_batcher_read(batcher).batches;
    sem_post(&go_on);
    for (unsigned i = 0; i < QUERIES; i++) ask_wait(&asks[i]);
    assert_int_equal(hone_batcher_read(batcher).batches, before + BATCHES);
    sem_post(&go_on);
    hone_batcher_destroy(batcher);
    for (unsigned i = 0; i < QUERIES; i++) {
        expect(model_a, &asks[i], 0);
        ask_done(&asks[i]);
    }
    for (int i = 0; i < 2; i++) {
        ask_wait(&holders[i]);
        ask_done(&holders[i]);
    }
}

static void test_query__long_texts_are_cut_and_counted(void **state) {
    (void)state;
    hone_arena *arena = NULL;
    CHECK_OK(hone_arena_create(1 << 20, &arena));
    char words[400];
    for (size_t i = 0; i < sizeof words; i++) words[i] = i % 2 ? ' ' : 'a';
    const hone_str texts[] = {HONE_S("a b"), {words, sizeof words}, {words, 60}, {words, 58}};
    hone_query q = {.arena = arena, .texts = texts, .count = 4};
    CHECK_OK(hone_query_encode(&q, model_a));
    assert_int_equal(q.truncated, 1);
    assert_int_equal(q.starts[1], 4);
    assert_int_equal(q.starts[2] - q.starts[1], TINY_POSITIONS);
    assert_int_equal(q.starts[3] - q.starts[2], TINY_POSITIONS); /* 30 words fit just so */
    assert_int_equal(q.starts[4] - q.starts[3], TINY_POSITIONS - 1);
    assert_int_equal(q.ids[q.starts[2] - 1], 3); /* [SEP] */
    hone_arena_destroy(arena);
}

static void test_query__bad_texts_are_named(void **state) {
    (void)state;
    hone_arena *arena = NULL;
    CHECK_OK(hone_arena_create(1 << 20, &arena));
    const hone_str texts[] = {HONE_S("a"), HONE_S("\xff")};
    hone_query q = {.arena = arena, .texts = texts, .count = 2};
    CHECK_FAILS(hone_query_encode(&q, model_a), HONE_E_INVALID, "text 1: byte 0");
    q.count = 0;
    CHECK_FAILS(hone_query_encode(&q, model_a), HONE_E_INVALID, "1 to 4096 texts");
    q.count = HONE_QUERY_TEXTS_MAX + 1;
    CHECK_FAILS(hone_query_encode(&q, model_a), HONE_E_INVALID, "not 4097");
    hone_arena_destroy(arena);
}

static void test_deployment__bad_models_are_refused(void **state) {
    (void)state;
    char path[128], file[160];
    hone_deployment *d = NULL;
    (void)snprintf(path, sizeof path, "%s/nan", dir);
    tiny_model(path, "n", NAN);
    CHECK_FAILS(hone_deployment_open(path, &plan, &plain, &d), HONE_E_CORRUPT, "not finite");
    (void)snprintf(file, sizeof file, "%s/vocab.txt", path);
    assert_int_equal(unlink(file), 0);
    CHECK_FAILS(hone_deployment_open(path, &plan, &plain, &d), HONE_E_NOT_FOUND, "tokenizer");
    (void)snprintf(path, sizeof path, "%s/none", dir);
    CHECK_FAILS(hone_deployment_open(path, &plan, &plain, &d), HONE_E_NOT_FOUND, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batcher__every_text_gets_its_own_logits),
        cmocka_unit_test(test_batcher__small_queries_are_not_kept_behind_large_ones),
        cmocka_unit_test(test_batcher__what_waits_is_taken_in_one_batch),
        cmocka_unit_test(test_batcher__a_full_line_refuses_at_once),
        cmocka_unit_test(test_batcher__who_would_wait_too_long_is_refused_at_once),
        cmocka_unit_test(test_batcher__who_had_no_turn_in_time_is_refused),
        cmocka_unit_test(test_batcher__a_batch_waits_for_as_many_as_came_before),
        cmocka_unit_test(test_batcher__lanes_leave_each_other_a_share),
        cmocka_unit_test(test_query__long_texts_are_cut_and_counted),
        cmocka_unit_test(test_query__bad_texts_are_named),
        cmocka_unit_test(test_deployment__bad_models_are_refused),
    };
    return cmocka_run_group_tests(tests, open_models, close_models);
}
