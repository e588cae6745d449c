/* Goal: what the header of the tokenizer promises beside agreeing with `tokenizers`: limits,
 * truncation, hostile texts. Method: tables of texts and the tokens they must give, on a
 * vocabulary small enough to read. */
#include "check.h"

#include "text/tokenizer_impl.h"

/* Ids are line numbers from 0. */
static const char vocab_txt[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n"
                                "un\n##aff\n##able\n##a\nhello\na\ne\ni\n,\n.\n"
                                "\xE6\xB0\xB4\n\xC3\xA9\nstra\xC3\x9F\x65\nA\n##e\n";
enum { PAD, UNK, CLS, SEP, MASK, UN, AFF_, ABLE_, A_, HELLO, A, E, I, COMMA, DOT, WATER, E_ACUTE };

typedef struct fixture {
    hone_tokenizer *tokenizer;
    hone_arena *arena;
} fixture;

static hone_str vocab(void) { return (hone_str){vocab_txt, sizeof vocab_txt - 1}; }

static int set_up(void **state) {
    static fixture f;
    CHECK_OK(hone_tokenizer_parse_vocab(vocab(), (hone_str){0}, "test", &f.tokenizer));
    CHECK_OK(hone_arena_create((size_t)1 << 28, &f.arena));
    *state = &f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    hone_tokenizer_destroy(f->tokenizer);
    hone_arena_destroy(f->arena);
    return 0;
}

typedef struct text_case {
    const char *text;
    int32_t ids[10]; /* between [CLS] and [SEP]; 0 ends them */
    hone_span spans[10];
} text_case;

static void check_texts(const hone_tokenizer *tokenizer, hone_arena *arena, const text_case *cases,
                        size_t count) {
    for (size_t i = 0; i < count; i++) {
        const text_case *c = &cases[i];
        hone_tokens t;
        CHECK_OK(hone_tokenizer_encode(tokenizer, arena, hone_str_of(c->text), (hone_str){0},
                                       (hone_encode_options){0, true}, &t));
        size_t want = 0;
        while (c->ids[want] != 0) want++;
        if (t.count != want + 2)
            fail_msg("'%s': %zu tokens, expected %zu", c->text, t.count, want + 2);
        assert_int_equal(t.ids[0], CLS);
        assert_int_equal(t.ids[want + 1], SEP);
        assert_int_equal(t.offsets[0].end, 0);
        assert_int_equal(t.offsets[want + 1].end, 0);
        for (size_t j = 0; j < want; j++)
            if (t.ids[j + 1] != c->ids[j] || t.offsets[j + 1].begin != c->spans[j].begin ||
                t.offsets[j + 1].end != c->spans[j].end)
                fail_msg("'%s': token %zu is %d [%u, %u)", c->text, j, t.ids[j + 1],
                         t.offsets[j + 1].begin, t.offsets[j + 1].end);
    }
}

static void test_encode__normalizes_and_counts_in_code_points(void **state) {
    static const text_case cases[] = {
        {"", {0}, {{0, 0}}},
        {" \t\n", {0}, {{0, 0}}},
        {"unaffable", {UN, AFF_, ABLE_}, {{0, 2}, {2, 5}, {5, 9}}},
        {"UnAffAble.", {UN, AFF_, ABLE_, DOT}, {{0, 2}, {2, 5}, {5, 9}, {9, 10}}},
        {"hello,hello", {HELLO, COMMA, HELLO}, {{0, 5}, {5, 6}, {6, 11}}},
        {"unx hello", {UNK, HELLO}, {{0, 3}, {4, 9}}},
        /* e acute, composed and not; between them a soft hyphen, which is dropped */
        {"\xC3\xA9 e\xCC\x81", {E, E}, {{0, 1}, {2, 3}}},
        {"un\xC2\xAD"
         "affable",
         {UN, AFF_, ABLE_},
         {{0, 2}, {3, 6}, {6, 10}}},
        {"u\xC2\xADn", {UN}, {{0, 3}}},
        /* U+0130 is i and a dot above, which goes as an accent does */
        {"\xC4\xB0", {I}, {{0, 1}}},
        {"a\xE6\xB0\xB4"
         "a",
         {A, WATER, A},
         {{0, 1}, {1, 2}, {2, 3}}},
        /* a no-break space, an ideographic one, a zero-width one, a line separator */
        {"a\xC2\xA0"
         "a\xE3\x80\x80"
         "a",
         {A, A, A},
         {{0, 1}, {2, 3}, {4, 5}}},
        {"h\xE2\x80\x8B"
         "ello",
         {HELLO},
         {{0, 6}}},
        {"\xEF\xBF\xBD"
         "a",
         {A},
         {{1, 2}}},
        {"\xF0\x9F\x98\x80 a", {UNK, A}, {{0, 1}, {2, 3}}},
    };
    fixture *f = *state;
    check_texts(f->tokenizer, f->arena, cases, sizeof cases / sizeof cases[0]);
}

static void test_encode__finds_special_tokens_in_the_text(void **state) {
    static const text_case cases[] = {
        {"[MASK]", {MASK}, {{0, 6}}},
        {"a[MASK]a", {A, MASK, A}, {{0, 1}, {1, 7}, {7, 8}}},
        {"\xC3\xA9[SEP]", {E, SEP}, {{0, 1}, {1, 6}}},
        {"[[UNK]]", {UNK, UNK, UNK}, {{0, 1}, {1, 6}, {6, 7}}},
        {"[mask]", {UNK, UNK, UNK}, {{0, 1}, {1, 5}, {5, 6}}},
        {"[MASK", {UNK, UNK}, {{0, 1}, {1, 5}}},
    };
    fixture *f = *state;
    check_texts(f->tokenizer, f->arena, cases, sizeof cases / sizeof cases[0]);
}

static void test_encode__takes_flags_from_the_config(void **state) {
    static const text_case cased[] = {{"A", {18}, {{0, 1}}}, {"\xC3\xA9", {E_ACUTE}, {{0, 1}}}};
    static const text_case accents[] = {{"\xC3\x89", {E_ACUTE}, {{0, 1}}}};
    static const text_case together[] = {{"\xE6\xB0\xB4"
                                          "a",
                                          {15, 8},
                                          {{0, 1}, {1, 2}}}};
    fixture *f = *state;
    hone_tokenizer *t = NULL;
    CHECK_OK(hone_tokenizer_parse_vocab(vocab(), HONE_S("{\"do_lower_case\": false}"), "t", &t));
    check_texts(t, f->arena, cased, 2);
    hone_tokenizer_destroy(t);
    CHECK_OK(hone_tokenizer_parse_vocab(vocab(), HONE_S("{\"strip_accents\": false}"), "t", &t));
    check_texts(t, f->arena, accents, 1);
    hone_tokenizer_destroy(t);
    CHECK_OK(hone_tokenizer_parse_vocab(vocab(), HONE_S("{\"tokenize_chinese_chars\": false}"), "t",
                                        &t));
    check_texts(t, f->arena, together, 1);
    hone_tokenizer_destroy(t);
}

/* A word of 100 characters is cut, one of 101 is [UNK], counted after normalization. */
static void test_encode__gives_up_on_words_above_100_characters(void **state) {
    fixture *f = *state;
    for (size_t length = 99; length <= 102; length++) {
        char text[3 * 128] = "";
        for (size_t i = 0; i < length; i++) text[i] = 'a';
        for (int accents = 0; accents < 2; accents++) {
            hone_tokens t;
            hone_str s = {text, length};
            if (accents) { /* every second letter has a mark, which does not count */
                s.len = 0;
                for (size_t i = 0; i < length; i++) {
                    text[s.len++] = 'a';
                    if (i % 2) memcpy(text + s.len, "\xCC\x81", 2);
                    if (i % 2) s.len += 2;
                }
            }
            CHECK_OK(hone_tokenizer_encode(f->tokenizer, f->arena, s, (hone_str){0},
                                           (hone_encode_options){0, true}, &t));
            assert_int_equal(t.count, length <= 100 ? length + 2 : 3);
            assert_int_equal(t.ids[1], length <= 100 ? A : UNK);
            if (length > 100) {
                assert_int_equal(t.offsets[1].begin, 0);
                /* the last letter that counts; a mark behind it is outside */
                assert_int_equal(t.offsets[1].end,
                                 accents ? length + length / 2 - (length % 2 == 0) : length);
            }
        }
    }
}

static void test_encode__puts_pairs_together(void **state) {
    static const int32_t ids[] = {CLS, HELLO, SEP, A, COMMA, SEP};
    static const int32_t types[] = {0, 0, 0, 1, 1, 1};
    fixture *f = *state;
    hone_tokens t;
    CHECK_OK(hone_tokenizer_encode(f->tokenizer, f->arena, HONE_S("hello"), HONE_S("a,"),
                                   (hone_encode_options){0, true}, &t));
    assert_int_equal(t.count, 6);
    assert_memory_equal(t.ids, ids, sizeof ids);
    assert_memory_equal(t.types, types, sizeof types);
    assert_int_equal(t.offsets[4].begin, 1);
    CHECK_OK(hone_tokenizer_encode(f->tokenizer, f->arena, HONE_S(""), HONE_S(""),
                                   (hone_encode_options){0}, &t));
    assert_int_equal(t.count, 3);
    assert_null(t.offsets);
}

static void test_encode__truncates_the_longest_first(void **state) {
    static const struct {
        size_t first, second, max, first_left, second_left;
    } cases[] = {
        {5, 5, 13, 5, 5}, {9, 2, 11, 6, 2}, {2, 9, 11, 2, 6}, {9, 9, 11, 4, 4}, {9, 9, 12, 4, 5},
        {9, 8, 12, 5, 4}, {8, 9, 12, 4, 5}, {5, 9, 12, 4, 5}, {1, 1, 3, 0, 0},  {1, 1, 4, 0, 1},
        {2, 1, 4, 1, 0},  {0, 9, 4, 0, 1},  {0, 0, 3, 0, 0},
    };
    fixture *f = *state;
    const char *letters = "a a a a a a a a a a";
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        hone_tokens t;
        hone_str first = {letters, cases[i].first * 2}, second = {letters, cases[i].second * 2};
        CHECK_OK(hone_tokenizer_encode(f->tokenizer, f->arena, first, second,
                                       (hone_encode_options){cases[i].max, false}, &t));
        assert_int_equal(t.count, 3 + cases[i].first_left + cases[i].second_left);
        assert_int_equal(t.ids[1 + cases[i].first_left], SEP);
    }
    for (size_t max = 2; max < 12; max++) { /* also within a word */
        hone_tokens t;
        CHECK_OK(hone_tokenizer_encode(f->tokenizer, f->arena, HONE_S("unaffable hello unaffable"),
                                       (hone_str){0}, (hone_encode_options){max, true}, &t));
        assert_int_equal(t.count, max < 9 ? max : 9);
        assert_int_equal(t.ids[t.count - 1], SEP);
    }
}

static void test_encode__refuses_what_it_cannot_do(void **state) {
    fixture *f = *state;
    hone_tokens t;
    CHECK_FAILS(hone_tokenizer_encode(f->tokenizer, f->arena, HONE_S("a"), (hone_str){0},
                                      (hone_encode_options){1, false}, &t),
                HONE_E_INVALID, "max_length 1");
    CHECK_FAILS(hone_tokenizer_encode(f->tokenizer, f->arena, HONE_S("a"), HONE_S("a"),
                                      (hone_encode_options){2, false}, &t),
                HONE_E_INVALID, "3 special tokens");
    static const char *const bad[] = {"hello \xFF", "aaaaaa\xC3", "aaaaaa\xED\xA0\x80",
                                      "a     \xC0\xAF", "a     \xF4\x90\x80\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CHECK_FAILS(hone_tokenizer_encode(f->tokenizer, f->arena, hone_str_of(bad[i]),
                                          (hone_str){0}, (hone_encode_options){0}, &t),
                    HONE_E_CORRUPT, "byte 6 ");
        CHECK_FAILS(hone_tokenizer_encode(f->tokenizer, f->arena, HONE_S("a"), hone_str_of(bad[i]),
                                          (hone_encode_options){0}, &t),
                    HONE_E_CORRUPT, "no UTF-8");
    }
}

/* The same text within every small limit: NOMEM or the same tokens, never a crash. */
static void test_encode__reports_a_full_arena(void **state) {
    fixture *f = *state;
    hone_buf text;
    hone_buf_init(&text, 1 << 20);
    for (int i = 0; i < 40; i++)
        hone_buf_push(&text, HONE_S("h\xC3\xA9llo \xCC\x81\xCC\xA3\xE3\x80\xAE[MASK] unaffable "));
    CHECK_OK(hone_buf_err(&text));
    size_t failures = 0;
    for (size_t limit = 0; limit < 40000; limit += 192) {
        hone_arena *arena = NULL;
        hone_tokens t = {0};
        CHECK_OK(hone_arena_create(limit, &arena));
        hone_err err = hone_tokenizer_encode(f->tokenizer, arena, hone_buf_str(&text),
                                             hone_buf_str(&text), (hone_encode_options){0, true},
                                             &t);
        if (hone_failed(err)) {
            assert_int_equal(err.code, HONE_E_NOMEM);
            failures++;
        } else {
            assert_int_equal(t.count, 3 + 2 * 40 * 6);
        }
        hone_arena_destroy(arena);
    }
    assert_true(failures > 10 && failures < 40000 / 192);
    hone_buf_done(&text);
}

static void test_encode__stays_linear_on_a_megabyte(void **state) {
    static const char *const units[] = {
        "a", "a ", "\xCC\x81\xCC\xA3\xE3\x80\xAE", "[MASK", "[", "\xE6\xB0\xB4", "\xEA\xB0\x81"};
    enum { BYTES = 1 << 20 };
    fixture *f = *state;
    hone_arena *arena = NULL;
    CHECK_OK(hone_arena_create((size_t)1 << 30, &arena));
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        hone_buf text;
        hone_tokens t;
        hone_buf_init(&text, BYTES + 16);
        while (text.len < BYTES) hone_buf_push(&text, hone_str_of(units[i]));
        CHECK_OK(hone_tokenizer_encode(f->tokenizer, arena, hone_buf_str(&text), (hone_str){0},
                                       (hone_encode_options){0, true}, &t));
        assert_true(t.count >= 3);
        CHECK_OK(hone_tokenizer_encode(f->tokenizer, arena, hone_buf_str(&text), (hone_str){0},
                                       (hone_encode_options){8, true}, &t));
        assert_true(t.count <= 8);
        hone_arena_reset(arena);
        hone_buf_done(&text);
    }
    hone_arena_destroy(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode__normalizes_and_counts_in_code_points),
        cmocka_unit_test(test_encode__finds_special_tokens_in_the_text),
        cmocka_unit_test(test_encode__takes_flags_from_the_config),
        cmocka_unit_test(test_encode__gives_up_on_words_above_100_characters),
        cmocka_unit_test(test_encode__puts_pairs_together),
        cmocka_unit_test(test_encode__truncates_the_longest_first),
        cmocka_unit_test(test_encode__refuses_what_it_cannot_do),
        cmocka_unit_test(test_encode__reports_a_full_arena),
        cmocka_unit_test(test_encode__stays_linear_on_a_megabyte),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
