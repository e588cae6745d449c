/* Goal: ids, types and offsets are those of Hugging Face `tokenizers`. Method: its answers,
 * kept in tests/golden/text (tools/make_text_goldens.py) for small tokenizers of every form
 * that hone reads; and, where the shared reference data is, those for bert-base-uncased. */
#include "check.h"

#include "base/json.h"
#include "base/lines.h"
#include "text/tokenizer.h"

enum { LINE_BYTES_MAX = 1 << 24, MEMORY_MAX = 1 << 28 };

static size_t number_at(const json_t *list, size_t index) {
    return (size_t)json_integer_value(json_array_get(list, index));
}

static void check_case(const char *where, size_t line, const json_t *want, const hone_tokens *got) {
    const json_t *ids = json_object_get(want, "ids"), *types = json_object_get(want, "types");
    const json_t *offsets = json_object_get(want, "offsets");
    if (got->count != json_array_size(ids))
        fail_msg("%s:%zu: %zu tokens, expected %zu", where, line, got->count, json_array_size(ids));
    for (size_t i = 0; i < got->count; i++) {
        const json_t *span = json_array_get(offsets, i);
        bool same = (size_t)got->ids[i] == number_at(ids, i) &&
                    (!types || (size_t)got->types[i] == number_at(types, i)) &&
                    got->offsets[i].begin == number_at(span, 0) &&
                    got->offsets[i].end == number_at(span, 1);
        if (!same)
            fail_msg("%s:%zu: token %zu is %d [%u, %u), expected %zu [%zu, %zu)", where, line, i,
                     got->ids[i], got->offsets[i].begin, got->offsets[i].end, number_at(ids, i),
                     number_at(span, 0), number_at(span, 1));
    }
}

/* Every case of the file, and again without offsets. */
static void check_file(const char *model, const char *path) {
    hone_tokenizer *tokenizer = NULL;
    hone_arena *arena = NULL;
    hone_lines *lines = NULL;
    CHECK_OK(hone_tokenizer_load(model, &tokenizer));
    CHECK_OK(hone_arena_create(MEMORY_MAX, &arena));
    CHECK_OK(hone_lines_open(path, LINE_BYTES_MAX, &lines));
    hone_str line;
    bool more = false;
    for (;;) {
        CHECK_OK(hone_lines_next(lines, &line, &more));
        if (!more) break;
        json_t *want = NULL;
        CHECK_OK(hone_json_parse(line, path, &want));
        const json_t *second = json_object_get(want, "second");
        const json_t *max_length = json_object_get(want, "max_length");
        hone_encode_options options = {(size_t)json_integer_value(max_length), true};
        hone_str text = hone_json_str(json_object_get(want, "text"));
        hone_tokens tokens, bare;
        hone_arena_reset(arena);
        CHECK_OK(hone_tokenizer_encode(tokenizer, arena, text,
                                       second ? hone_json_str(second) : (hone_str){0}, options,
                                       &tokens));
        check_case(path, hone_lines_number(lines), want, &tokens);
        options.offsets = false;
        CHECK_OK(hone_tokenizer_encode(tokenizer, arena, text,
                                       second ? hone_json_str(second) : (hone_str){0}, options,
                                       &bare));
        assert_null(bare.offsets);
        assert_int_equal(bare.count, tokens.count);
        assert_memory_equal(bare.ids, tokens.ids, tokens.count * sizeof *tokens.ids);
        json_decref(want);
    }
    assert_true(hone_lines_number(lines) >= 200);
    hone_lines_close(lines);
    hone_arena_destroy(arena);
    hone_tokenizer_destroy(tokenizer);
}

static void test_tokenizer__agrees_with_tokenizers_in_every_form(void **state) {
    static const char *const forms[] = {GOLDEN("text/uncased"), GOLDEN("text/cased"),
                                        GOLDEN("text/accents"), GOLDEN("text/old"),
                                        GOLDEN("text/added"),   GOLDEN("text/bare")};
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        char path[4096];
        (void)snprintf(path, sizeof path, "%s/cases.jsonl", forms[i]);
        check_file(forms[i], path);
    }
}

static void test_tokenizer__agrees_with_tokenizers_on_bert_base_uncased(void **state) {
    (void)state;
    char model[4096], path[4096]; /* check_shared has one buffer */
    (void)snprintf(model, sizeof model, "%s", check_shared("golden/vocabs/bert-base-uncased"));
    (void)snprintf(path, sizeof path, "%s",
                   check_shared("golden/tokenizer/bert-base-uncased.jsonl.gz"));
    check_file(model, path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokenizer__agrees_with_tokenizers_in_every_form),
        cmocka_unit_test(test_tokenizer__agrees_with_tokenizers_on_bert_base_uncased),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
