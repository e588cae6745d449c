/* test_batches.c: texts become tokens, orders and packs, whatever the threads. */
#include "tiny.h"

#include "train/batches.h"

static const char *const polar[] = {"pos", "neg"};

typedef struct fixture {
    const char *dir;
    hone_arena *arena;
    hone_tokenizer *tokenizer;
    hone_dataset data;
} fixture;

static void set_up(fixture *f, size_t count) {
    char base[128];
    f->dir = check_tmpdir();
    tiny_base(f->dir);
    (void)snprintf(base, sizeof base, "%s/base", f->dir);
    CHECK_OK(hone_arena_create((size_t)256 << 20, &f->arena));
    CHECK_OK(hone_tokenizer_load(base, &f->tokenizer));
    f->data = tiny_data(f->arena, count, 0, polar, 2);
}

static void tear_down(fixture *f) {
    hone_tokenizer_destroy(f->tokenizer);
    hone_arena_destroy(f->arena);
    check_rmtree(f->dir);
}

static hone_err encode(fixture *f, size_t threads, size_t max_length, hone_examples *out) {
    hone_pool *pool = NULL;
    CHECK_OK(hone_pool_create(threads, &pool));
    hone_err err = hone_examples_encode(f->arena, pool, f->tokenizer, &f->data, max_length, out);
    hone_pool_destroy(pool);
    return err;
}

static void test_encode__joins_pieces_in_order(void **state) {
    (void)state;
    fixture f;
    set_up(&f, 700); /* three pieces, the last short */
    hone_examples one, three;
    CHECK_OK(encode(&f, 1, 0, &one));
    CHECK_OK(encode(&f, 3, 0, &three));
    assert_int_equal(one.count, 700);
    assert_memory_equal(one.starts, three.starts, 701 * sizeof *one.starts);
    assert_memory_equal(one.ids, three.ids, one.starts[700] * sizeof *one.ids);
    for (size_t i = 0; i < 700; i += 13) {
        hone_tokens tokens;
        CHECK_OK(hone_tokenizer_encode(f.tokenizer, f.arena, f.data.records[i].text,
                                       (hone_str){NULL, 0}, (hone_encode_options){0}, &tokens));
        assert_int_equal(hone_examples_tokens(&one, i), tokens.count);
        assert_memory_equal(one.ids + one.starts[i], tokens.ids, tokens.count * sizeof(int32_t));
        assert_true(tokens.count <= one.longest);
    }
    tear_down(&f);
}

static void test_encode__cuts_and_names_the_line(void **state) {
    (void)state;
    fixture f;
    set_up(&f, 300);
    hone_examples cut;
    CHECK_OK(encode(&f, 2, 5, &cut));
    assert_int_equal(cut.longest, 5);
    CHECK_FAILS(encode(&f, 2, 1, &cut), HONE_E_INVALID, "'tiny' line 1");
    tear_down(&f);
}

static void test_shuffle__is_a_permutation_of_seed_and_epoch(void **state) {
    (void)state;
    enum { COUNT = 1000 };
    uint32_t order[COUNT], again[COUNT];
    bool seen[COUNT] = {false};
    hone_batches_shuffle(order, COUNT, 42, 3);
    for (size_t i = 0; i < COUNT; i++) {
        assert_true(order[i] < COUNT && !seen[order[i]]);
        seen[order[i]] = true;
    }
    hone_batches_shuffle(again, COUNT, 42, 3);
    assert_memory_equal(order, again, sizeof order);
    hone_batches_shuffle(again, COUNT, 42, 4);
    assert_memory_not_equal(order, again, sizeof order);
    hone_batches_shuffle(again, COUNT, 43, 3);
    assert_memory_not_equal(order, again, sizeof order);
    hone_batches_shuffle(again, 1, 42, 0);
    assert_int_equal(again[0], 0);
}

/* Every number ends at every place equally often: 6,000 draws, 1,000 expected, 6 sigma. */
static void test_shuffle__is_fair(void **state) {
    (void)state;
    size_t at[6][6] = {{0}};
    for (size_t epoch = 0; epoch < 6000; epoch++) {
        uint32_t order[6];
        hone_batches_shuffle(order, 6, 1, epoch);
        for (size_t i = 0; i < 6; i++) at[i][order[i]]++;
    }
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < 6; j++) assert_true(at[i][j] > 826 && at[i][j] < 1174);
}

static void test_batcher__keeps_to_its_limits_and_loses_nothing(void **state) {
    (void)state;
    static const struct {
        size_t sequences, tokens;
    } cases[] = {{1, 1}, {3, 1000}, {1000, 1}, {1000, 64}, {7, 40}, {300, 1 << 30}};
    fixture f;
    set_up(&f, 300);
    hone_examples examples;
    uint32_t order[300];
    CHECK_OK(encode(&f, 1, 0, &examples));
    hone_batches_shuffle(order, 300, 9, 0);
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        hone_batcher batcher;
        CHECK_OK(
            hone_batcher_init(f.arena, &examples, cases[k].sequences, cases[k].tokens, &batcher));
        size_t at = 0;
        while (at < 300) {
            hone_pack pack;
            size_t end = hone_batcher_next(&batcher, order, at, 300, &pack);
            assert_int_equal(end - at, pack.sequences);
            assert_true(pack.sequences >= 1 && pack.sequences <= cases[k].sequences);
            assert_true(pack.tokens <= cases[k].tokens || pack.tokens <= examples.longest);
            assert_int_equal(pack.starts[0], 0);
            assert_int_equal(pack.starts[pack.sequences], pack.tokens);
            for (size_t i = at; i < end; i++) {
                size_t length = hone_examples_tokens(&examples, order[i]);
                assert_int_equal(pack.starts[i - at + 1] - pack.starts[i - at], length);
                assert_memory_equal(pack.ids + pack.starts[i - at],
                                    examples.ids + examples.starts[order[i]],
                                    length * sizeof(int32_t));
            }
            at = end;
        }
    }
    tear_down(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode__joins_pieces_in_order),
        cmocka_unit_test(test_encode__cuts_and_names_the_line),
        cmocka_unit_test(test_shuffle__is_a_permutation_of_seed_and_epoch),
        cmocka_unit_test(test_shuffle__is_fair),
        cmocka_unit_test(test_batcher__keeps_to_its_limits_and_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
