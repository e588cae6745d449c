/* test_arena.c: memory is zeroed, aligned, bounded and dropped whole; what was deferred runs
 * once, newest first. Every allocation fails in turn in the sweep. */
#include "check.h"
#include "fault.h"

#include "base/arena.h"

static hone_arena *arena_of(size_t limit_bytes) {
    hone_arena *arena = NULL;
    CHECK_OK(hone_arena_create(limit_bytes, &arena));
    return arena;
}

static void test_arena__memory_is_zeroed_and_aligned(void **state) {
    (void)state;
    hone_arena *arena = arena_of(1 << 20);
    for (size_t round = 0; round < 2; round++) {
        for (size_t size = 0; size < 300; size += 7) {
            char *p = hone_arena_alloc(arena, size, 3);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % 64, 0);
            for (size_t i = 0; i < size * 3; i++) assert_int_equal(p[i], 0);
            memset(p, 0xA5, size * 3); /* what a reset arena must not show again */
        }
        hone_arena_reset(arena);
    }
    hone_arena_destroy(arena);
}

static void test_arena__pieces_do_not_overlap(void **state) {
    (void)state;
    enum { PIECES = 500 };
    hone_arena *arena = arena_of(64 << 20);
    unsigned char *piece[PIECES];
    for (size_t i = 0; i < PIECES; i++) { /* some above the size of a block */
        piece[i] = hone_arena_alloc(arena, 1 + i * i % 9973, 13);
        assert_non_null(piece[i]);
        memset(piece[i], (int)(i % 251), (1 + i * i % 9973) * 13);
    }
    for (size_t i = 0; i < PIECES; i++)
        for (size_t at = 0; at < (1 + i * i % 9973) * 13; at++)
            if (piece[i][at] != i % 251) fail_msg("piece %zu was overwritten at %zu", i, at);
    hone_arena_destroy(arena);
}

static void test_arena__limit_holds(void **state) {
    (void)state;
    hone_arena *arena = arena_of(1000);
    assert_null(hone_arena_alloc(arena, 1, 1001));
    assert_non_null(hone_arena_alloc(arena, 1, 960));
    assert_null(hone_arena_alloc(arena, 1, 64));
    hone_arena_reset(arena);
    assert_non_null(hone_arena_alloc(arena, 1, 960));
    hone_arena_destroy(arena);

    size_t got = 0;
    arena = arena_of(200 * 1000);
    while (hone_arena_alloc(arena, 1, 1024)) got += 1024;
    assert_in_range(got, 180 * 1000, 200 * 1000);
    hone_arena_destroy(arena);
}

static void test_arena__absurd_sizes_are_refused(void **state) {
    (void)state;
    hone_arena *arena = arena_of(SIZE_MAX);
    assert_null(hone_arena_alloc(arena, SIZE_MAX, 2));
    assert_null(hone_arena_alloc(arena, SIZE_MAX / 2, 3));
    assert_null(hone_arena_alloc(arena, 1, SIZE_MAX));
    assert_null(hone_arena_alloc(arena, 1, SIZE_MAX / 2));
    assert_non_null(hone_arena_alloc(arena, 0, SIZE_MAX));
    hone_arena_destroy(arena);
}

static void test_arena__strdup_copies_and_terminates(void **state) {
    (void)state;
    hone_arena *arena = arena_of(1 << 16);
    assert_string_equal(hone_arena_strdup(arena, (hone_str){"hello", 4}), "hell");
    assert_string_equal(hone_arena_strdup(arena, (hone_str){NULL, 0}), "");
    hone_arena_destroy(arena);
}

static char order[16];
static void note(void *arg) { strcat(order, arg); }

static void test_arena__deferred_calls_run_once_newest_first(void **state) {
    (void)state;
    static char a[] = "a", b[] = "b", c[] = "c";
    order[0] = '\0';
    hone_arena *arena = arena_of(1 << 16);
    CHECK_OK(hone_arena_defer(arena, note, a));
    CHECK_OK(hone_arena_defer(arena, note, b));
    hone_arena_reset(arena);
    assert_string_equal(order, "ba");
    CHECK_OK(hone_arena_defer(arena, note, c));
    hone_arena_destroy(arena);
    assert_string_equal(order, "bac");
    hone_arena_destroy(NULL);
}

static void test_arena__defer_at_the_limit_calls_at_once(void **state) {
    (void)state;
    static char a[] = "a";
    order[0] = '\0';
    hone_arena *arena = arena_of(8);
    CHECK_FAILS(hone_arena_defer(arena, note, a), HONE_E_NOMEM, "full");
    assert_string_equal(order, "a");
    hone_arena_destroy(arena);
    assert_string_equal(order, "a");
}

static hone_err fill_arena(void *ctx) {
    (void)ctx;
    hone_arena *arena = NULL;
    HONE_TRY(hone_arena_create(1 << 20, &arena));
    bool whole = true;
    for (int i = 0; i < 5 && whole; i++)
        whole = hone_arena_alloc(arena, 1, 100 * 1000) && hone_arena_strdup(arena, HONE_S("x"));
    hone_arena_destroy(arena);
    return whole ? HONE_OK : hone_err_new(HONE_E_NOMEM, "arena");
}

static void test_arena__survives_every_failed_allocation(void **state) {
    (void)state;
    assert_in_range(fault_sweep(fill_arena, NULL), 6, 20);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena__memory_is_zeroed_and_aligned),
        cmocka_unit_test(test_arena__pieces_do_not_overlap),
        cmocka_unit_test(test_arena__limit_holds),
        cmocka_unit_test(test_arena__absurd_sizes_are_refused),
        cmocka_unit_test(test_arena__strdup_copies_and_terminates),
        cmocka_unit_test(test_arena__deferred_calls_run_once_newest_first),
        cmocka_unit_test(test_arena__defer_at_the_limit_calls_at_once),
        cmocka_unit_test(test_arena__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
