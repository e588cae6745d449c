/* Goal: every weight of a checkpoint is found under any of its names, and nothing wrong is
 * let through. Method: the reference checkpoints, and small files made wrong on purpose. */
#include "check.h"
#include "model/params.h"

static void test_params__reference_checkpoint_is_found(void **state) {
    (void)state;
    const char *shared = getenv("HONE_SHARED");
    char dir[512], path[600];
    (void)snprintf(dir, sizeof dir, "%s/golden/encoder/distilbert",
                   shared ? shared : HONE_SOURCE_DIR "/../shared");
    (void)snprintf(path, sizeof path, "%s/model.safetensors", dir);
    hone_config c;
    hone_safetensors *file;
    hone_params params;
    CHECK_OK(hone_config_load(dir, &c));
    CHECK_OK(hone_safetensors_open(path, &file));
    CHECK_OK(hone_params_create(&c, &params));
    const hone_tensor **found = calloc(params.count, sizeof *found);
    CHECK_OK(hone_params_find(&params, file, found));
    for (size_t i = 0; i < params.count; i++) {
        assert_int_equal(!found[i], params.items[i].rank == 0);
        assert_int_equal(params.items[i].offset % 16, 0);
    }
    free(found);
    hone_params_done(&params);
    hone_safetensors_close(file);
    hone_config_done(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_params__reference_checkpoint_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
