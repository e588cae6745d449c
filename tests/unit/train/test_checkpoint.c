/* test_checkpoint.c: what was saved comes back, and nothing else is taken for it. */
#include "train/checkpoint.h"

#include "check.h"

#include <unistd.h>

static const hone_fingerprint mine = {1, 2, 3, 4, 5};

static char *path_in(const char *dir) {
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/run.checkpoint", dir);
    return path;
}

static void test_checkpoint__gives_back_what_was_saved(void **state) {
    (void)state;
    const char *dir = check_tmpdir(), *path = path_in(dir);
    float a[3] = {1, 2, 3};
    char b[5] = "four";
    hone_section sections[] = {{a, sizeof a}, {b, sizeof b}};
    CHECK_FAILS(hone_checkpoint_load(path, &mine, sections, 2), HONE_E_NOT_FOUND, path);
    CHECK_OK(hone_checkpoint_save(path, &mine, sections, 2));
    memset(a, 0, sizeof a);
    memset(b, 0, sizeof b);
    CHECK_OK(hone_checkpoint_load(path, &mine, sections, 2));
    assert_true(a[0] == 1 && a[2] == 3);
    assert_string_equal(b, "four");
    check_rmtree(dir);
}

static void test_checkpoint__of_another_run_is_refused(void **state) {
    (void)state;
    static const struct {
        hone_fingerprint other;
        const char *message;
    } cases[] = {
        {{9, 2, 3, 4, 5}, "a run with other options"},
        {{1, 9, 3, 4, 5}, "a run with other training data"},
        {{1, 2, 9, 4, 5}, "a run with other evaluation data"},
        {{1, 2, 3, 9, 5}, "a run with another base model"},
        {{1, 2, 3, 4, 9}, "a run with another version of hone"},
        {{9, 2, 3, 9, 5}, "a run with other options"}, /* another seed, another head */
    };
    const char *dir = check_tmpdir(), *path = path_in(dir);
    float a[1] = {7};
    hone_section section = {a, sizeof a};
    CHECK_OK(hone_checkpoint_save(path, &mine, &section, 1));
    a[0] = 8;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CHECK_FAILS(hone_checkpoint_load(path, &cases[i].other, &section, 1), HONE_E_CONFLICT,
                    cases[i].message);
    assert_true(a[0] == 8);
    check_rmtree(dir);
}

static void test_checkpoint__broken_file_is_refused(void **state) {
    (void)state;
    const char *dir = check_tmpdir(), *path = path_in(dir);
    char bytes[1000] = {0}, half[500];
    hone_section whole = {bytes, sizeof bytes}, less = {half, sizeof half};
    CHECK_OK(hone_checkpoint_save(path, &mine, &whole, 1));
    CHECK_FAILS(hone_checkpoint_load(path, &mine, &less, 1), HONE_E_CORRUPT, "cut or broken");
    for (off_t size = 0; size < 1000; size += 37) {
        assert_int_equal(truncate(path, 1000 - size), 0);
        CHECK_FAILS(hone_checkpoint_load(path, &mine, &whole, 1), HONE_E_CORRUPT, "delete it");
    }
    check_rmtree(dir);
}

static void test_hash__sees_order_length_and_tail(void **state) {
    (void)state;
    uint64_t ab = hone_hash_add(hone_hash_add(0, "a", 1), "b", 1);
    assert_true(ab != hone_hash_add(hone_hash_add(0, "b", 1), "a", 1));
    assert_true(ab != hone_hash_add(0, "ab", 2));
    assert_true(hone_hash_add(0, "12345678", 8) != hone_hash_add(0, "12345678\0", 9));
    assert_true(hone_hash_add(0, "123456789", 9) != hone_hash_add(0, "123456780", 9));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checkpoint__gives_back_what_was_saved),
        cmocka_unit_test(test_checkpoint__of_another_run_is_refused),
        cmocka_unit_test(test_checkpoint__broken_file_is_refused),
        cmocka_unit_test(test_hash__sees_order_length_and_tail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
