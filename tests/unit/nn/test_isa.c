/* test_isa.c: HONE_ISA narrows what runs, of our own kernels and of oneDNN's, and a value that
 * this machine cannot follow is an error that names it. */
#include "check.h"

#include "nn/isa.h"
#include "nn/ops.h"
#include "nn/product.h"

/* The tests may themselves run under a limit. */
static char *limit_outside;

static int keep_limit(void **state) {
    (void)state;
    const char *limit = getenv("HONE_ISA");
    limit_outside = limit ? strdup(limit) : NULL;
    return 0;
}

static int restore_limit(void **state) {
    (void)state;
    if (limit_outside) (void)setenv("HONE_ISA", limit_outside, 1);
    free(limit_outside);
    return 0;
}

static int no_limit(void **state) {
    (void)state;
    return unsetenv("HONE_ISA");
}

static void test_isa__is_the_widest_of_the_machine_without_a_limit(void **state) {
    (void)state;
    hone_isa best = hone_isa_best();
    assert_true(hone_isa_runs(HONE_ISA_GENERIC));
    assert_false(hone_isa_is_limited());
    CHECK_OK(hone_isa_check());
    for (int isa = 0; isa < HONE_ISA_COUNT; isa++)
        assert_int_equal(hone_isa_runs((hone_isa)isa), isa <= (int)best);
    /* the tables end at AVX-512 */
    hone_isa table = best < HONE_ISA_AVX512 ? best : HONE_ISA_AVX512;
    assert_string_equal(hone_ops_best()->name, hone_isa_name(table));
}

static void test_isa__stays_below_the_limit(void **state) {
    (void)state;
    hone_isa best = hone_isa_best();
    for (int limit = 0; limit <= (int)best; limit++) {
        assert_int_equal(setenv("HONE_ISA", hone_isa_name((hone_isa)limit), 1), 0);
        CHECK_OK(hone_isa_check());
        assert_int_equal(hone_isa_best(), limit);
        for (int isa = 0; isa < HONE_ISA_COUNT; isa++)
            assert_int_equal(hone_isa_runs((hone_isa)isa), isa <= limit);
        for (int isa = 0; isa < HONE_ISA_COUNT; isa++) {
            const hone_ops *ops = hone_ops_find(hone_isa_name((hone_isa)isa));
            if (isa <= HONE_ISA_AVX512)
                assert_int_equal(ops != NULL, isa <= limit);
            else
                assert_null(ops); /* the tables end at AVX-512 */
        }
    }
}

static void test_isa__what_the_machine_lacks_is_an_error(void **state) {
    (void)state;
    int next = (int)hone_isa_best() + 1;
    if (next == HONE_ISA_COUNT) return; /* it lacks nothing */
    const char *name = hone_isa_name((hone_isa)next);
    assert_int_equal(setenv("HONE_ISA", name, 1), 0);
    CHECK_FAILS(hone_isa_check(), HONE_E_INVALID, name);
    CHECK_FAILS(hone_isa_check(), HONE_E_INVALID, "lacks");
    assert_int_equal(hone_isa_best(), next - 1);
}

static void test_isa__an_unknown_name_is_an_error_and_means_generic(void **state) {
    (void)state;
    static const char *const names[] = {"AVX2", "avx", "avx2 ", "native"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(setenv("HONE_ISA", names[i], 1), 0);
        CHECK_FAILS(hone_isa_check(), HONE_E_INVALID, names[i]);
        assert_int_equal(hone_isa_best(), HONE_ISA_GENERIC);
        assert_string_equal(hone_ops_best()->name, "generic");
    }
    assert_int_equal(setenv("HONE_ISA", "", 1), 0); /* empty is unset */
    CHECK_OK(hone_isa_check());
}

/* oneDNN reads its limit once a process, at the first product; so this is the last test. */
static void test_isa__limits_onednn(void **state) {
    (void)state;
    assert_int_equal(setenv("HONE_ISA", "generic", 1), 0);
    hone_product *product = NULL;
    CHECK_OK(hone_product_create(HONE_DTYPE_F32, 768, 768, &product));
    const char *engine = hone_product_engine(product);
    printf("# engine: %s\n", engine);
    assert_null(strstr(engine, "avx"));
    hone_product_destroy(product);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_isa__is_the_widest_of_the_machine_without_a_limit, no_limit),
        cmocka_unit_test_setup(test_isa__stays_below_the_limit, no_limit),
        cmocka_unit_test_setup(test_isa__what_the_machine_lacks_is_an_error, no_limit),
        cmocka_unit_test_setup(test_isa__an_unknown_name_is_an_error_and_means_generic, no_limit),
        cmocka_unit_test_setup(test_isa__limits_onednn, no_limit),
    };
    return cmocka_run_group_tests(tests, keep_limit, restore_limit);
}
