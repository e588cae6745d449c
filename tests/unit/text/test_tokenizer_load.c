/* Goal: a tokenizer file that is wrong, or of a kind that hone has not, is refused with a
 * message that names what it is. Method: one good tokenizer.json, and a table of pieces to
 * put in its place. */
#include "check.h"

#include "base/file.h"
#include "text/tokenizer_impl.h"

#include <unistd.h>

#define VOCAB  "\"[UNK]\": 0, \"[CLS]\": 1, \"[SEP]\": 2, \"a\": 3, \"##b\": 4"
#define FIELDS "\"unk_token\": \"[UNK]\", \"continuing_subword_prefix\": \"##\""
#define PIECES \
    "{\"SpecialToken\": {\"id\": \"[CLS]\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\"}}"

/* The parts of a tokenizer.json, in the order they are written. */
enum { MODEL, NORMALIZER, PRE_TOKENIZER, POST_PROCESSOR, ADDED_TOKENS, PARTS };
static const char *const names[PARTS] = {"model", "normalizer", "pre_tokenizer", "post_processor",
                                         "added_tokens"};
static const char *const good[PARTS] = {
    "{" FIELDS ", \"vocab\": {" VOCAB "}}",
    "{\"type\": \"BertNormalizer\", \"strip_accents\": null}",
    "{\"type\": \"BertPreTokenizer\"}",
    "{\"type\": \"BertProcessing\", \"cls\": [\"[CLS]\", 1], \"sep\": [\"[SEP]\", 2]}",
    "[{\"id\": 2, \"content\": \"[SEP]\", \"special\": true}]",
};

/* Parse the good file with one part replaced. */
static hone_err parse_with(int part, const char *value, hone_tokenizer **out) {
    hone_buf json;
    hone_buf_init(&json, 1 << 20);
    for (int i = 0; i < PARTS; i++)
        hone_buf_printf(&json, "%s\"%s\": %s", i ? ", " : "{\"version\": \"1.0\", ", names[i],
                        i == part ? value : good[i]);
    hone_buf_push_char(&json, '}');
    hone_err err = hone_tokenizer_parse(hone_buf_str(&json), "tokenizer.json", out);
    hone_buf_done(&json);
    return err;
}

static void test_parse__names_what_is_wrong(void **state) {
    static const struct {
        int part;
        const char *value;
        hone_code code;
        const char *message;
    } cases[] = {
        {MODEL, "null", HONE_E_CORRUPT, "no model"},
        {MODEL, "{\"type\": \"BPE\"}", HONE_E_INVALID, "model is 'BPE'"},
        {MODEL, "{\"type\": \"Unigram\", \"vocab\": []}", HONE_E_INVALID, "'Unigram'"},
        {MODEL, "{\"vocab\": {}, \"merges\": []}", HONE_E_INVALID, "looks like BPE"},
        {MODEL, "{\"vocab\": []}", HONE_E_INVALID, "looks like Unigram"},
        {MODEL, "{\"vocab\": {}}", HONE_E_INVALID, "looks like WordLevel"},
        {MODEL, "{" FIELDS "}", HONE_E_CORRUPT, "no vocab"},
        {MODEL, "{" FIELDS ", \"vocab\": {\"a\": 0}}", HONE_E_CORRUPT, "[SEP]"},
        {MODEL,
         "{\"unk_token\": \"<u>\", \"continuing_subword_prefix\": \"##\", \"vocab\": {" VOCAB "}}",
         HONE_E_CORRUPT, "unk_token '<u>'"},
        {MODEL, "{" FIELDS ", \"vocab\": {" VOCAB ", \"c\": 3}}", HONE_E_CORRUPT, "'c' has id 3"},
        {MODEL, "{" FIELDS ", \"vocab\": {" VOCAB ", \"c\": -1}}", HONE_E_CORRUPT, "id -1"},
        {MODEL, "{" FIELDS ", \"vocab\": {" VOCAB ", \"c\": 99999999999}}", HONE_E_CORRUPT, "'c'"},
        {MODEL, "{" FIELDS ", \"vocab\": {" VOCAB ", \"c\": \"3\"}}", HONE_E_CORRUPT, "no integer"},
        {MODEL, "{" FIELDS ", \"max_input_chars_per_word\": -1, \"vocab\": {" VOCAB "}}",
         HONE_E_CORRUPT, "max_input_chars_per_word"},
        {MODEL, "{" FIELDS ", \"max_input_chars_per_word\": 2000000000, \"vocab\": {" VOCAB "}}",
         HONE_E_INVALID, "max_input_chars_per_word"},
        {NORMALIZER, "{\"type\": \"Lowercase\"}", HONE_E_INVALID, "normalizer is 'Lowercase'"},
        {NORMALIZER, "{\"type\": \"BertNormalizer\", \"lowercase\": 1}", HONE_E_CORRUPT,
         "'lowercase'"},
        {PRE_TOKENIZER, "null", HONE_E_INVALID, "pre_tokenizer is 'none'"},
        {PRE_TOKENIZER, "{\"type\": \"ByteLevel\"}", HONE_E_INVALID, "'ByteLevel'"},
        {POST_PROCESSOR, "{\"type\": \"RobertaProcessing\"}", HONE_E_INVALID,
         "'RobertaProcessing'"},
        {POST_PROCESSOR, "{\"type\": \"BertProcessing\", \"cls\": 1}", HONE_E_CORRUPT, "[CLS]"},
        {POST_PROCESSOR,
         "{\"type\": \"BertProcessing\", \"cls\": [\"[CLS]\", 9], \"sep\": [\"[SEP]\", 2]}",
         HONE_E_CORRUPT, "id 9"},
        {POST_PROCESSOR, "{\"type\": \"TemplateProcessing\"}", HONE_E_CORRUPT, "'single'"},
        {POST_PROCESSOR, "{\"type\": \"TemplateProcessing\", \"single\": [" PIECES "]}",
         HONE_E_CORRUPT, "part 0 has no ids"},
        {POST_PROCESSOR,
         "{\"type\": \"TemplateProcessing\", \"single\": [{\"Sequence\": {\"id\": \"B\"}}]}",
         HONE_E_CORRUPT, "second text"},
        {ADDED_TOKENS, "[{\"id\": 2}]", HONE_E_CORRUPT, "no content"},
        {ADDED_TOKENS, "[{\"id\": 3, \"content\": \"[SEP]\"}]", HONE_E_CORRUPT, "has it as 2"},
        {ADDED_TOKENS, "[{\"id\": 4, \"content\": \"new\"}]", HONE_E_CORRUPT, "expected the next"},
        {ADDED_TOKENS, "[{\"id\": 7, \"content\": \"new\"}]", HONE_E_CORRUPT, "next one free, 5"},
        {ADDED_TOKENS, "[{\"content\": \"new\"}]", HONE_E_CORRUPT, "added token 'new'"},
        {ADDED_TOKENS, "[{\"id\": 5, \"content\": \"\\u0301\", \"normalized\": true}]",
         HONE_E_CORRUPT, "0 bytes"},
        {ADDED_TOKENS,
         "[{\"id\": 2, \"content\": \"[SEP]\", \"special\": true},"
         " {\"id\": 2, \"content\": \"[SEP]\", \"special\": true}]",
         HONE_E_CORRUPT, "twice"},
    };
    (void)state;
    hone_tokenizer *t = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_err err = parse_with(cases[i].part, cases[i].value, &t);
        if (err.code != cases[i].code || !strstr(err.msg, cases[i].message) ||
            !strstr(err.msg, "tokenizer.json"))
            fail_msg("case %zu: code %d '%s', expected code %d with '%s'", i, (int)err.code,
                     hone_failed(err) ? err.msg : "", (int)cases[i].code, cases[i].message);
    }
    assert_null(t);
    CHECK_FAILS(hone_tokenizer_parse(HONE_S("{\"model\": "), "tokenizer.json", &t), HONE_E_CORRUPT,
                "tokenizer.json: line 1");
    CHECK_FAILS(hone_tokenizer_parse(HONE_S("[]"), "tokenizer.json", &t), HONE_E_CORRUPT,
                "expected a JSON object");
}

static void test_parse__takes_what_may_be_left_out(void **state) {
    static const struct {
        int part;
        const char *value;
        size_t tokens; /* of "ab" */
    } cases[] = {
        {MODEL, "{\"type\": \"WordPiece\", \"vocab\": {" VOCAB "}}", 4},
        {NORMALIZER, "null", 4},
        {POST_PROCESSOR, "null", 2},
        {ADDED_TOKENS, "null", 4},
        {ADDED_TOKENS, "[{\"id\": 9, \"content\": \"\"}, {\"id\": 5, \"content\": \"ab\"}]", 3},
    };
    (void)state;
    hone_arena *arena = NULL;
    CHECK_OK(hone_arena_create(1 << 20, &arena));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_tokenizer *t = NULL;
        hone_tokens tokens;
        CHECK_OK(parse_with(cases[i].part, cases[i].value, &t));
        CHECK_OK(hone_tokenizer_encode(t, arena, HONE_S("ab"), (hone_str){0},
                                       (hone_encode_options){0, true}, &tokens));
        assert_int_equal(tokens.count, cases[i].tokens);
        hone_tokenizer_destroy(t);
    }
    hone_arena_destroy(arena);
}

/* Ids may have gaps: vocab is what a model must have rows for. */
static void test_parse__counts_to_the_highest_id(void **state) {
    (void)state;
    hone_tokenizer *t = NULL;
    CHECK_OK(parse_with(MODEL, "{" FIELDS ", \"vocab\": {" VOCAB ", \"z\": 41}}", &t));
    assert_int_equal(hone_tokenizer_vocab(t), 42);
    hone_tokenizer_destroy(t);
    hone_tokenizer_destroy(NULL);
}

static void test_parse_vocab__names_what_is_wrong(void **state) {
    static const struct {
        const char *vocab;
        const char *config;
        hone_code code;
        const char *message;
    } cases[] = {
        {"", "", HONE_E_CORRUPT, "vocab.txt has no '[CLS]'"},
        {"[UNK]\n[CLS]\n", "", HONE_E_CORRUPT, "no '[SEP]'"},
        {"[SEP]\n[CLS]\n", "", HONE_E_CORRUPT, "unk_token '[UNK]'"},
        {"[UNK]\na\na\n", "", HONE_E_CORRUPT, "line 3: 'a' is there twice"},
        {"[UNK]\n\xFF\n", "", HONE_E_CORRUPT, "byte 6"},
        {"[UNK]\n[CLS]\n[SEP]\n", "{", HONE_E_CORRUPT, "tokenizer_config.json"},
        {"[UNK]\n[CLS]\n[SEP]\n", "{\"cls_token\": \"<s>\"}", HONE_E_CORRUPT, "'<s>'"},
        {"[UNK]\n[CLS]\n[SEP]\n", "{\"do_lower_case\": \"no\"}", HONE_E_CORRUPT, "'do_lower_case'"},
        {"[UNK]\n[CLS]\n[SEP]\n", "{\"tokenizer_class\": \"BertJapaneseTokenizer\"}",
         HONE_E_INVALID, "BertJapaneseTokenizer"},
    };
    (void)state;
    hone_tokenizer *t = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CHECK_FAILS(hone_tokenizer_parse_vocab(hone_str_of(cases[i].vocab),
                                               hone_str_of(cases[i].config), "folder", &t),
                    cases[i].code, cases[i].message);
}

/* CR LF, blanks behind a piece, an empty line that keeps its id, no line end at the end. */
static void test_parse_vocab__reads_untidy_files(void **state) {
    (void)state;
    hone_tokenizer *t = NULL;
    hone_str config = HONE_S("{\"cls_token\": {\"content\": \"<s>\"}, \"tokenizer_class\": "
                             "\"DistilBertTokenizerFast\", \"added_tokens_decoder\": {\"4\": "
                             "{\"content\": \"x y\", \"special\": false}, \"6\": {\"content\": "
                             "\"gone\"}}}");
    CHECK_OK(hone_tokenizer_parse_vocab(HONE_S("[UNK]\r\n\r\n[SEP] \r\n<s>\r\nx y\nlast"), config,
                                        "folder", &t));
    assert_int_equal(hone_tokenizer_vocab(t), 6);
    assert_int_equal(hone_tokenizer_find(t, HONE_S("[SEP]")), 2);
    assert_int_equal(hone_tokenizer_find(t, HONE_S("last")), 5);
    hone_arena *arena = NULL;
    hone_tokens tokens;
    CHECK_OK(hone_arena_create(1 << 20, &arena));
    CHECK_OK(hone_tokenizer_encode(t, arena, HONE_S("LASTX Y"), (hone_str){0},
                                   (hone_encode_options){0}, &tokens));
    static const int32_t ids[] = {3, 5, 4, 2};
    assert_int_equal(tokens.count, 4);
    assert_memory_equal(tokens.ids, ids, sizeof ids);
    hone_arena_destroy(arena);
    hone_tokenizer_destroy(t);
}

static void test_load__says_what_a_folder_lacks(void **state) {
    (void)state;
    hone_tokenizer *t = NULL;
    const char *dir = check_tmpdir();
    char path[128];
    CHECK_FAILS(hone_tokenizer_load(dir, &t), HONE_E_NOT_FOUND, "neither tokenizer.json nor vocab");
    CHECK_FAILS(hone_tokenizer_load("/nowhere/at/all", &t), HONE_E_NOT_FOUND, "/nowhere/at/all");
    (void)snprintf(path, sizeof path, "%s/vocab.txt", dir);
    CHECK_OK(hone_file_save(path, HONE_S("[UNK]\n[CLS]\n[SEP]\n")));
    CHECK_OK(hone_tokenizer_load(dir, &t));
    hone_tokenizer_destroy(t);
    (void)snprintf(path, sizeof path, "%s/tokenizer.json", dir); /* goes first */
    CHECK_OK(hone_file_save(path, HONE_S("")));
    CHECK_FAILS(hone_tokenizer_load(dir, &t), HONE_E_CORRUPT, path);
    if (truncate(path, (off_t)1 << 30) != 0) fail_msg("truncate failed");
    CHECK_FAILS(hone_tokenizer_load(dir, &t), HONE_E_FULL, "at most");
    check_rmtree(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse__names_what_is_wrong),
        cmocka_unit_test(test_parse__takes_what_may_be_left_out),
        cmocka_unit_test(test_parse__counts_to_the_highest_id),
        cmocka_unit_test(test_parse_vocab__names_what_is_wrong),
        cmocka_unit_test(test_parse_vocab__reads_untidy_files),
        cmocka_unit_test(test_load__says_what_a_folder_lacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
