/* Goal: config.json of BERT and DistilBERT is read as transformers reads it, what hone does
 * not compute is refused by name, and no hostile file gets sizes past the limits.
 * Method: tables of documents, each the default file with a few keys set. */
#include "check.h"
#include "model/config.h"

#include <math.h>

static hone_err parse(const char *text, hone_config *out) {
    return hone_config_parse(hone_str_of(text), "config.json", out);
}

static void test_config__bert_defaults_are_the_library_s(void **state) {
    (void)state;
    hone_config c;
    CHECK_OK(parse("{\"model_type\":\"bert\"}", &c));
    assert_int_equal(c.family, HONE_BERT);
    assert_int_equal(c.vocab, 30522);
    assert_int_equal(c.hidden, 768);
    assert_int_equal(c.layers, 12);
    assert_int_equal(c.heads, 12);
    assert_int_equal(c.intermediate, 3072);
    assert_int_equal(c.positions, 512);
    assert_int_equal(c.types, 2);
    assert_int_equal(c.labels, 2);
    assert_string_equal(c.label_names[1], "LABEL_1");
    assert_int_equal(c.problem, HONE_SINGLE_LABEL);
    assert_float_equal(c.hidden_dropout, 0.1, 1e-9);
    assert_float_equal(c.attention_dropout, 0.1, 1e-9);
    assert_float_equal(c.classifier_dropout, 0.1, 1e-9);
    assert_true(c.norm_eps == 1e-12F);
    assert_float_equal(c.init_std, 0.02, 1e-9);
    hone_config_done(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config__bert_defaults_are_the_library_s),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
