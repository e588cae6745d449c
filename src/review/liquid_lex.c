/* liquid_lex.c: the words between {{ and }}, or {% and %}. */
#include "review/liquid_impl.h"

#include <stdlib.h>
#include <string.h>

enum { DIGITS_MAX = 18, NUMBER_SIZE = 64, EXCERPT_BYTES = 40 };

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_name_start(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static char peek(const lq_lexer *l, size_t ahead) {
    if (l->at + ahead >= l->text.len) return '\0';
    return l->text.ptr[l->at + ahead];
}

static void take_literal(lq_lexer *l, size_t len, lq_value value) {
    l->token = (lq_token){.kind = LQ_T_LITERAL, .value = value};
    l->token.text = (hone_str){l->text.ptr + l->at, len};
    l->at += len;
}

static hone_err lex_string(lq_lexer *l) {
    hone_str rest = {l->text.ptr + l->at + 1, l->text.len - l->at - 1};
    const char *end = memchr(rest.ptr, l->text.ptr[l->at], rest.len);
    if (!end) return hone_lq_err(l->run, "a string has no end");
    hone_str inner = {rest.ptr, (size_t)(end - rest.ptr)};
    take_literal(l, inner.len + 2, hone_lq_text(inner));
    return HONE_OK;
}

static hone_err lex_number(lq_lexer *l) {
    char text[NUMBER_SIZE] = {0};
    size_t len = peek(l, 0) == '-', digits = 0;
    bool is_real = false;
    for (; is_digit(peek(l, len)); len++) digits++;
    if (peek(l, len) == '.' && is_digit(peek(l, len + 1))) {
        is_real = true;
        for (len++; is_digit(peek(l, len)); len++) digits++;
    }
    if (digits > DIGITS_MAX) return hone_lq_err(l->run, "a number has over %d digits", DIGITS_MAX);
    memcpy(text, l->text.ptr + l->at, len);
    if (is_real) {
        lq_value real = {.kind = LQ_REAL, .as.real = strtod(text, NULL)};
        take_literal(l, len, real);
        return HONE_OK;
    }
    int64_t n = 0;
    for (size_t i = text[0] == '-'; i < len; i++) n = 10 * n + (text[i] - '0');
    take_literal(l, len, hone_lq_int(text[0] == '-' ? -n : n));
    return HONE_OK;
}

static void lex_name(lq_lexer *l) {
    size_t len = 1;
    while (is_name_start(peek(l, len)) || is_digit(peek(l, len)) || peek(l, len) == '-') len++;
    if (peek(l, len) == '?') len++;
    l->token = (lq_token){.kind = LQ_T_NAME, .text = {l->text.ptr + l->at, len}};
    l->at += len;
}

static bool lex_operator(lq_lexer *l) {
    static const struct {
        const char *text;
        lq_op op;
    } ops[] = {{"==", LQ_EQ}, {"!=", LQ_NE}, {"<>", LQ_NE}, {"<=", LQ_LE},
               {">=", LQ_GE}, {"<", LQ_LT},  {">", LQ_GT}};
    hone_str rest = {l->text.ptr + l->at, l->text.len - l->at};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
        hone_str text = hone_str_of(ops[i].text);
        if (!hone_str_has_prefix(rest, text)) continue;
        l->token = (lq_token){.kind = LQ_T_OP, .op = ops[i].op, .text = {rest.ptr, text.len}};
        l->at += text.len;
        return true;
    }
    return false;
}

hone_err hone_lq_next(lq_lexer *l) {
    while (is_space(peek(l, 0))) l->at++;
    char c = peek(l, 0);
    if (l->at >= l->text.len) {
        l->token = (lq_token){.kind = LQ_T_END};
        return HONE_OK;
    }
    if (c == '\'' || c == '"') return lex_string(l);
    if (is_digit(c) || (c == '-' && is_digit(peek(l, 1)))) return lex_number(l);
    if (is_name_start(c)) {
        lex_name(l);
        return HONE_OK;
    }
    if (c == '.' && peek(l, 1) == '.') {
        l->token = (lq_token){.kind = LQ_T_DOTS, .text = {l->text.ptr + l->at, 2}};
        l->at += 2;
        return HONE_OK;
    }
    if (lex_operator(l)) return HONE_OK;
    if (!strchr(".[]()|:,=", c) || c == '\0')
        return hone_lq_err(l->run, "no expression has '%.*s'",
                           HONE_ARG(((hone_str){l->text.ptr + l->at, 1})));
    l->token = (lq_token){.kind = LQ_T_CHAR, .c = c, .text = {l->text.ptr + l->at, 1}};
    l->at++;
    return HONE_OK;
}

hone_err hone_lq_lex(lq_run *run, hone_str text, lq_lexer *out) {
    *out = (lq_lexer){.run = run, .text = text};
    return hone_lq_next(out);
}

bool hone_lq_is_char(const lq_lexer *l, char c) {
    return l->token.kind == LQ_T_CHAR && l->token.c == c;
}

bool hone_lq_is_word(const lq_lexer *l, const char *word) {
    return l->token.kind == LQ_T_NAME && hone_str_equal(l->token.text, hone_str_of(word));
}

hone_err hone_lq_unexpected(const lq_lexer *l, const char *wanted) {
    hone_str found = l->token.text;
    if (l->token.kind == LQ_T_END)
        return hone_lq_err(l->run, "expected %s, but the tag ends", wanted);
    if (found.len > EXCERPT_BYTES) found.len = EXCERPT_BYTES;
    return hone_lq_err(l->run, "expected %s, not '%.*s'", wanted, HONE_ARG(found));
}

hone_err hone_lq_expect_char(lq_lexer *l, char c) {
    char wanted[] = {'\'', c, '\'', '\0'};
    if (!hone_lq_is_char(l, c)) return hone_lq_unexpected(l, wanted);
    return hone_lq_next(l);
}

hone_err hone_lq_expect_name(lq_lexer *l, hone_str *out) {
    if (l->token.kind != LQ_T_NAME) return hone_lq_unexpected(l, "a name");
    *out = l->token.text;
    return hone_lq_next(l);
}

hone_err hone_lq_expect_end(const lq_lexer *l) {
    return l->token.kind == LQ_T_END ? HONE_OK : hone_lq_unexpected(l, "the end of the tag");
}
