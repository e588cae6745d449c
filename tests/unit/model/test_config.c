/* Goal: config.json of BERT and DistilBERT is read as transformers reads it, what hone does
 * not compute is refused by name, no hostile file gets sizes past the limits, and labels
 * that were set are saved as the library writes them.
 *
 * Method: tables of documents, each only the keys that matter; round trips of the reference
 * checkpoints. That transformers loads what is saved is checked where it is installed. */
#include "check.h"

#include "model/config.h"

static hone_err parse(const char *text, hone_config *out) {
    return hone_config_parse(hone_str_of(text), "config.json", out);
}

/* The sizes of a config in one line, so that tables can name them. */
static const char *sizes_of(const hone_config *c) {
    static char line[256];
    (void)snprintf(line, sizeof line, "v%zu h%zu l%zu a%zu i%zu p%zu t%zu c%zu %s", c->vocab,
                   c->hidden, c->layers, c->heads, c->intermediate, c->positions, c->types,
                   c->labels, c->problem == HONE_REGRESSION ? "regression" : "single");
    return line;
}

static const char *numbers_of(const hone_config *c) {
    static char line[256];
    (void)snprintf(line, sizeof line, "h%g a%g c%g eps%g std%g", (double)c->hidden_dropout,
                   (double)c->attention_dropout, (double)c->classifier_dropout, (double)c->norm_eps,
                   (double)c->init_std);
    return line;
}

static void test_config__keys_are_read_as_the_library_does(void **state) {
    (void)state;
    static const char bert[] = "v30522 h768 l12 a12 i3072 p512 t2 c2 single";
    static const char bert_numbers[] = "h0.1 a0.1 c0.1 eps1e-12 std0.02";
    static const char distilbert[] = "v30522 h768 l6 a12 i3072 p512 t0 c2 single";
    static const char distilbert_numbers[] = "h0.1 a0.1 c0.2 eps1e-12 std0.02";
    const struct {
        const char *text, *sizes, *numbers;
    } cases[] = {
        {"{\"model_type\":\"bert\"}", bert, bert_numbers},
        {"{\"model_type\":\"distilbert\"}", distilbert, distilbert_numbers},
        {"{\"architectures\":[\"BertForMaskedLM\"]}", bert, bert_numbers},
        {"{\"architectures\":[\"DistilBertModel\"]}", distilbert, distilbert_numbers},
        {"{\"model_type\":\"bert\",\"vocab_size\":7,\"hidden_size\":8,\"num_hidden_layers\":1,"
         "\"num_attention_heads\":2,\"intermediate_size\":9,\"max_position_embeddings\":10,"
         "\"type_vocab_size\":3,\"num_labels\":5}",
         "v7 h8 l1 a2 i9 p10 t3 c5 single", bert_numbers},
        {"{\"model_type\":\"bert\",\"hidden_dropout_prob\":0.3,\"attention_probs_dropout_prob\":0,"
         "\"layer_norm_eps\":1e-5,\"initializer_range\":0.5,\"classifier_dropout\":null}",
         bert, "h0.3 a0 c0.3 eps1e-05 std0.5"},
        {"{\"model_type\":\"bert\",\"classifier_dropout\":0.0}", bert,
         "h0.1 a0.1 c0 eps1e-12 std0.02"},
        {"{\"model_type\":\"distilbert\",\"dim\":8,\"n_layers\":1,\"n_heads\":4,\"hidden_dim\":9,"
         "\"dropout\":0.3,\"attention_dropout\":0.4,\"seq_classif_dropout\":0.5,"
         "\"layer_norm_eps\":1e-5}",
         "v30522 h8 l1 a4 i9 p512 t0 c2 single", "h0.3 a0.4 c0.5 eps1e-12 std0.02"},
        {"{\"model_type\":\"distilbert\",\"hidden_size\":24,\"num_hidden_layers\":2}",
         "v30522 h24 l2 a12 i3072 p512 t0 c2 single", distilbert_numbers},
        {"{\"model_type\":\"bert\",\"num_labels\":1}",
         "v30522 h768 l12 a12 i3072 p512 t2 c1 regression", bert_numbers},
        {"{\"model_type\":\"bert\",\"problem_type\":null,\"id2label\":null,\"pruned_heads\":{},"
         "\"is_decoder\":false,\"position_embedding_type\":\"absolute\",\"hidden_act\":\"gelu\"}",
         bert, bert_numbers},
        {"{\"model_type\":\"bert\",\"id2label\":{\"1\":\"b\",\"0\":\"a\",\"2\":\"c\"},"
         "\"num_labels\":9,\"problem_type\":\"single_label_classification\"}",
         "v30522 h768 l12 a12 i3072 p512 t2 c3 single", bert_numbers},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hone_config c;
        CHECK_OK(parse(cases[i].text, &c));
        assert_string_equal(sizes_of(&c), cases[i].sizes);
        assert_string_equal(numbers_of(&c), cases[i].numbers);
        hone_config_done(&c);
    }
}

static void test_config__label_names_follow_their_ids(void **state) {
    (void)state;
    hone_config c;
    CHECK_OK(parse("{\"model_type\":\"bert\",\"id2label\":{\"2\":\"\",\"0\":\"no \\u00e9\","
                   "\"1\":17}}",
                   &c));
    assert_string_equal(c.label_names[0], "no \xC3\xA9");
    assert_string_equal(c.label_names[1], "17");
    assert_string_equal(c.label_names[2], "");
    hone_config_done(&c);
    CHECK_OK(parse("{\"model_type\":\"bert\",\"num_labels\":3}", &c));
    assert_string_equal(c.label_names[2], "LABEL_2");
    hone_config_done(&c);
}

#define BERT(keys) "{\"model_type\":\"bert\"," keys "}"

static void test_config__broken_files_name_the_key(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", "config.json"},
        {"[]", "JSON object"},
        {"{\"model_type\":7}", "'model_type' is no string"},
        {BERT("\"hidden_size\":0"), "'hidden_size' is 0"},
        {BERT("\"hidden_size\":-8"), "'hidden_size' is -8"},
        {BERT("\"hidden_size\":\"8\""), "'hidden_size' is no integer"},
        {BERT("\"hidden_size\":768.0"), "'hidden_size' is no integer"},
        {BERT("\"hidden_size\":100000"), "expected 1 to 16384"},
        {BERT("\"hidden_size\":770"), "770 is not divisible by 12"},
        {BERT("\"num_attention_heads\":0"), "'num_attention_heads' is 0"},
        {BERT("\"num_hidden_layers\":257"), "expected 1 to 256"},
        {BERT("\"vocab_size\":9000000000000000000"), "'vocab_size'"},
        {BERT("\"vocab_size\":90000000000000000000"), "line 1"},
        {BERT("\"intermediate_size\":70000"), "'intermediate_size'"},
        {BERT("\"max_position_embeddings\":2000000"), "'max_position_embeddings'"},
        {BERT("\"type_vocab_size\":0"), "'type_vocab_size'"},
        {BERT("\"hidden_dropout_prob\":1.0"), "'hidden_dropout_prob' is 1"},
        {BERT("\"hidden_dropout_prob\":-0.1"), "'hidden_dropout_prob'"},
        {BERT("\"classifier_dropout\":\"no\""), "'classifier_dropout' is no number"},
        {BERT("\"layer_norm_eps\":1e999"), "line 1"},
        {BERT("\"layer_norm_eps\":-1"), "'layer_norm_eps'"},
        {BERT("\"is_decoder\":1"), "'is_decoder' is neither"},
        {BERT("\"hidden_act\":[]"), "'hidden_act' is no string"},
        {BERT("\"num_labels\":0"), "'num_labels' is 0"},
        {BERT("\"num_labels\":100001"), "'num_labels'"},
        {BERT("\"id2label\":[]"), "'id2label' is no object"},
        {BERT("\"id2label\":{}"), "names 0 labels"},
        {BERT("\"id2label\":{\"1\":\"a\"}"), "id '1', expected 0 to 0"},
        {BERT("\"id2label\":{\"0\":\"a\",\"00\":\"b\"}"), "id '00'"},
        {BERT("\"id2label\":{\"0\":\"a\",\"\":\"b\"}"), "id ''"},
        {BERT("\"id2label\":{\"0\":\"a\",\"-1\":\"b\"}"), "id '-1'"},
        {BERT("\"id2label\":{\"0\":\"a\",\"18446744073709551617\":\"b\"}"), "id '1844674"},
        {BERT("\"id2label\":{\"0\":\"a\",\"1\":null}"), "no text for id 1"},
        {BERT("\"id2label\":{\"0\":\"a\",\"1\":\"x\\u0000y\"}"), "no text for id 1"},
        {BERT("\"problem_type\":3"), "'problem_type' is no string"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hone_config c;
        CHECK_FAILS(parse(cases[i][0], &c), HONE_E_CORRUPT, cases[i][1]);
    }
}

static void test_config__what_is_not_computed_is_refused(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"{}", "neither 'model_type' nor 'architectures'"},
        {"{\"model_type\":\"roberta\"}", "model 'roberta' is neither bert nor distilbert"},
        {"{\"architectures\":[\"GPT2LMHeadModel\"]}", "model 'GPT2LMHeadModel'"},
        {BERT("\"hidden_act\":\"relu\""), "'hidden_act' is 'relu'"},
        {BERT("\"hidden_act\":\"gelu_new\""), "'gelu_new'"},
        {"{\"model_type\":\"distilbert\",\"activation\":\"relu\"}", "'activation' is 'relu'"},
        {BERT("\"position_embedding_type\":\"relative_key\""), "'relative_key'"},
        {BERT("\"is_decoder\":true"), "'is_decoder' is true"},
        {BERT("\"add_cross_attention\":true"), "'add_cross_attention' is true"},
        {BERT("\"pruned_heads\":{\"0\":[1]}"), "'pruned_heads'"},
        {BERT("\"problem_type\":\"multi_label_classification\""), "'multi_label_classification'"},
        {BERT("\"problem_type\":\"regression\",\"num_labels\":2"), "regression has 1 output"},
        {BERT("\"problem_type\":\"single_label_classification\",\"num_labels\":1"),
         "needs 2 labels or more"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hone_config c;
        CHECK_FAILS(parse(cases[i][0], &c), HONE_E_INVALID, cases[i][1]);
    }
}

static void test_config__labels_that_were_set_are_saved(void **state) {
    (void)state;
    char *dir = check_tmpdir();
    hone_config c;
    CHECK_OK(parse(BERT("\"num_labels\":5,\"dtype\":\"float16\",\"my_own\":{\"x\":[1.5]}"), &c));
    const char *const names[] = {"bad", "good", "\xC3\xA9"};
    CHECK_OK(hone_config_set_labels(&c, HONE_SINGLE_LABEL, names, 3));
    assert_int_equal(c.labels, 3);
    CHECK_OK(hone_config_save(&c, dir));
    hone_config_done(&c);

    CHECK_OK(hone_config_load(dir, &c));
    assert_int_equal(c.labels, 3);
    assert_string_equal(c.label_names[2], "\xC3\xA9");
    assert_int_equal(c.problem, HONE_SINGLE_LABEL);
    char *text = json_dumps(c.raw, JSON_COMPACT);
    assert_string_equal(text, "{\"model_type\":\"bert\",\"dtype\":\"float32\","
                              "\"my_own\":{\"x\":[1.5]},"
                              "\"id2label\":{\"0\":\"bad\",\"1\":\"good\",\"2\":\"\xC3\xA9\"},"
                              "\"label2id\":{\"bad\":0,\"good\":1,\"\xC3\xA9\":2},"
                              "\"problem_type\":\"single_label_classification\","
                              "\"architectures\":[\"BertForSequenceClassification\"]}");
    free(text);

    CHECK_OK(hone_config_set_labels(&c, HONE_REGRESSION, names, 1));
    assert_int_equal(c.problem, HONE_REGRESSION);
    CHECK_OK(hone_config_save(&c, dir));
    hone_config_done(&c);
    CHECK_OK(hone_config_load(dir, &c));
    assert_string_equal(sizes_of(&c), "v30522 h768 l12 a12 i3072 p512 t2 c1 regression");
    hone_config_done(&c);
    check_rmtree(dir);
}

static void test_config__labels_that_cannot_be_are_refused(void **state) {
    (void)state;
    hone_config c;
    CHECK_OK(parse(BERT("\"num_labels\":5"), &c));
    const char *const twice[] = {"a", "b", "a"}, *const bad[] = {"a", "\xFF"};
    CHECK_FAILS(hone_config_set_labels(&c, HONE_SINGLE_LABEL, twice, 3), HONE_E_INVALID,
                "label 'a' is named twice");
    CHECK_FAILS(hone_config_set_labels(&c, HONE_SINGLE_LABEL, bad, 2), HONE_E_INVALID,
                "label 1 is no valid UTF-8");
    CHECK_FAILS(hone_config_set_labels(&c, HONE_SINGLE_LABEL, twice, 0), HONE_E_INVALID,
                "0 labels");
    CHECK_FAILS(hone_config_set_labels(&c, HONE_SINGLE_LABEL, twice, 1), HONE_E_INVALID,
                "needs 2 labels");
    CHECK_FAILS(hone_config_set_labels(&c, HONE_REGRESSION, twice, 2), HONE_E_INVALID,
                "regression has 1 output");
    assert_int_equal(c.labels, 5); /* untouched */
    assert_string_equal(c.label_names[4], "LABEL_4");
    assert_non_null(json_object_get(c.raw, "num_labels"));
    hone_config_done(&c);
}

static void test_config__reference_files_survive_a_round_trip(void **state) {
    (void)state;
    static const char *const dirs[] = {GOLDEN("model/bert"), GOLDEN("model/distilbert"),
                                       GOLDEN("model/encoder-only"), GOLDEN("train/regression")};
    static const char *const sizes[] = {
        "v99 h32 l2 a4 i64 p32 t2 c3 single", "v99 h32 l2 a4 i64 p32 t0 c2 single",
        "v99 h32 l1 a4 i64 p32 t2 c2 single", "v99 h32 l1 a4 i64 p32 t0 c1 regression"};
    char *dir = check_tmpdir();
    for (size_t i = 0; i < sizeof dirs / sizeof *dirs; i++) {
        hone_config first, second;
        CHECK_OK(hone_config_load(dirs[i], &first));
        assert_string_equal(sizes_of(&first), sizes[i]);
        CHECK_OK(hone_config_save(&first, dir));
        CHECK_OK(hone_config_load(dir, &second));
        assert_true(json_equal(first.raw, second.raw));
        hone_config_done(&first);
        hone_config_done(&second);
    }
    check_rmtree(dir);
}

static void test_config__a_missing_file_is_not_found(void **state) {
    (void)state;
    hone_config c;
    CHECK_FAILS(hone_config_load("/nowhere", &c), HONE_E_NOT_FOUND,
                "there is no folder '/nowhere'");
}

static void test_set_layers__is_read_back(void **state) {
    (void)state;
    static const char *const texts[] = {
        "{\"model_type\": \"bert\"}",
        "{\"model_type\": \"distilbert\"}",
        "{\"model_type\": \"distilbert\", \"num_hidden_layers\": 4}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        hone_config c, again;
        CHECK_OK(parse(texts[i], &c));
        CHECK_OK(hone_config_set_layers(&c, 9));
        assert_int_equal(c.layers, 9);
        char *saved = json_dumps(c.raw, 0);
        CHECK_OK(parse(saved, &again));
        assert_int_equal(again.layers, 9);
        CHECK_FAILS(hone_config_set_layers(&c, 0), HONE_E_INVALID, "0 layers");
        CHECK_FAILS(hone_config_set_layers(&c, 257), HONE_E_INVALID, "257 layers");
        assert_int_equal(c.layers, 9);
        free(saved);
        hone_config_done(&again);
        hone_config_done(&c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config__keys_are_read_as_the_library_does),
        cmocka_unit_test(test_config__label_names_follow_their_ids),
        cmocka_unit_test(test_config__broken_files_name_the_key),
        cmocka_unit_test(test_config__what_is_not_computed_is_refused),
        cmocka_unit_test(test_config__labels_that_were_set_are_saved),
        cmocka_unit_test(test_config__labels_that_cannot_be_are_refused),
        cmocka_unit_test(test_config__reference_files_survive_a_round_trip),
        cmocka_unit_test(test_config__a_missing_file_is_not_found),
        cmocka_unit_test(test_set_layers__is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
