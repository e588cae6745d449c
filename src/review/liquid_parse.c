/* liquid_parse.c: a template into nodes.
 *
 *     text {{ output }} text {% tag %} ... {% endtag %}
 *
 * A block is parsed up to the first tag that is not its own (endif, else, when ...), which is left
 * in parser.stop for whoever opened the block. */
#include "review/liquid_impl.h"

#include <string.h>

typedef struct piece {
    enum { PIECE_END, PIECE_TEXT, PIECE_OUTPUT, PIECE_TAG } kind;
    hone_str text; /* of a tag or output: what lies inside */
    hone_str name; /* of a tag; text is then what follows it */
} piece;

typedef struct parser {
    lq_run *run;
    hone_str text;
    size_t at;
    size_t counted; /* lines are counted up to here */
    bool trims;     /* the last tag ended in -}} */
    piece stop;     /* the tag that ended a block */
} parser;

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static hone_str trim(hone_str s, bool left, bool right) {
    while (left && s.len > 0 && is_space(s.ptr[0])) s = (hone_str){s.ptr + 1, s.len - 1};
    while (right && s.len > 0 && is_space(s.ptr[s.len - 1])) s.len--;
    return s;
}

static hone_str rest_of(const parser *p) {
    return (hone_str){p->text.ptr + p->at, p->text.len - p->at};
}

/* Where {{ or {% starts in s; its length when there is none. */
static size_t find_open(hone_str s) {
    for (size_t i = 0; i + 1 < s.len; i++)
        if (s.ptr[i] == '{' && (s.ptr[i + 1] == '{' || s.ptr[i + 1] == '%')) return i;
    return s.len;
}

static void count_lines(parser *p) {
    for (; p->counted < p->at; p->counted++)
        if (p->text.ptr[p->counted] == '\n') p->run->line++;
}

static void next_text(parser *p, piece *out) {
    hone_str rest = rest_of(p);
    size_t len = find_open(rest);
    bool trims_right = len + 2 < rest.len && rest.ptr[len + 2] == '-';
    *out = (piece){.kind = PIECE_TEXT,
                   .text = trim((hone_str){rest.ptr, len}, p->trims, trims_right)};
    p->trims = false;
    p->at += len;
}

static hone_err next_piece(parser *p, piece *out) {
    count_lines(p);
    hone_str rest = rest_of(p);
    size_t open = find_open(rest);
    if (rest.len == 0) {
        *out = (piece){.kind = PIECE_END};
        return HONE_OK;
    }
    if (open > 0) {
        next_text(p, out);
        return HONE_OK;
    }
    bool is_tag = rest.ptr[1] == '%';
    const char *close = memmem(rest.ptr + 2, rest.len - 2, is_tag ? "%}" : "}}", 2);
    if (!close)
        return hone_lq_err(p->run, "%s is not closed", is_tag ? "a tag '{%'" : "an output '{{'");
    hone_str inner = {rest.ptr + 2, (size_t)(close - rest.ptr) - 2};
    p->at += inner.len + 4;
    if (inner.len > 0 && inner.ptr[0] == '-') inner = (hone_str){inner.ptr + 1, inner.len - 1};
    p->trims = inner.len > 0 && inner.ptr[inner.len - 1] == '-';
    if (p->trims) inner.len--;
    inner = trim(inner, true, true);
    *out = (piece){.kind = is_tag ? PIECE_TAG : PIECE_OUTPUT, .text = inner};
    if (!is_tag) return HONE_OK;
    while (out->name.len < inner.len && !is_space(inner.ptr[out->name.len])) out->name.len++;
    out->name.ptr = inner.ptr;
    out->text = trim((hone_str){inner.ptr + out->name.len, inner.len - out->name.len}, true, false);
    return HONE_OK;
}

static bool is_named(const piece *tag, const char *name) {
    return tag->kind == PIECE_TAG && hone_str_equal(tag->name, hone_str_of(name));
}

/* The bytes up to {% end %}, which is taken too: what lies between is no Liquid. */
static hone_err take_verbatim(parser *p, const char *end, hone_str *out) {
    size_t from = p->at, line = p->run->line;
    while (p->at < p->text.len) {
        p->at += find_open(rest_of(p));
        size_t start = p->at;
        hone_str rest = rest_of(p);
        if (rest.len < 2) break;
        const char *close = rest.ptr[1] == '%' ? memmem(rest.ptr, rest.len, "%}", 2) : NULL;
        hone_str inner = {rest.ptr + 2, close ? (size_t)(close - rest.ptr) - 2 : 0};
        bool trims = inner.len > 0 && inner.ptr[inner.len - 1] == '-';
        if (trims) inner.len--;
        if (inner.len > 0 && inner.ptr[0] == '-') inner = (hone_str){inner.ptr + 1, inner.len - 1};
        p->at += 2;
        if (!close || !hone_str_equal(trim(inner, true, true), hone_str_of(end))) continue;
        p->at = (size_t)(close - p->text.ptr) + 2;
        p->trims = trims;
        *out = (hone_str){p->text.ptr + from, start - from};
        return HONE_OK;
    }
    p->run->line = line;
    return hone_lq_err(p->run, "'%s' is missing", end);
}

static hone_err parse_block(parser *p, const lq_node **out);

/* A block that one of a and b ends (b may be NULL); which one lies in p->stop. */
static hone_err parse_body(parser *p, const char *opener, size_t line, const lq_node **out) {
    if (p->run->depth >= LQ_DEPTH_MAX)
        return hone_lq_err(p->run, "blocks lie over %d deep", LQ_DEPTH_MAX);
    p->run->depth++;
    hone_err err = parse_block(p, out);
    p->run->depth--;
    if (hone_failed(err) || p->stop.kind == PIECE_TAG) return err;
    p->run->line = line;
    return hone_lq_err(p->run, "'%s' has no 'end%s'", opener, opener);
}

static hone_err unexpected_tag(const parser *p, const piece *tag) {
    return hone_lq_err(p->run, "'%.*s' stands where it does not belong", HONE_ARG(tag->name));
}

/* if and unless: the first condition stands in the tag, the others in elsif. */
static hone_err parse_if(parser *p, const piece *tag, bool negated, lq_node *node) {
    const lq_branch **end = &node->as.branches;
    const char *opener = negated ? "unless" : "if", *closer = negated ? "endunless" : "endif";
    piece head = *tag;
    node->kind = LQ_NODE_IF;
    for (bool has_else = false;; head = p->stop) {
        lq_branch *branch = NULL;
        lq_lexer lexer;
        if (is_named(&head, closer)) return HONE_OK;
        if (has_else ||
            (!is_named(&head, "else") && !is_named(&head, "elsif") && !is_named(&head, opener)))
            return unexpected_tag(p, &head);
        HONE_TRY(hone_lq_alloc(p->run, 1, sizeof *branch, &branch));
        has_else = is_named(&head, "else");
        branch->negated = is_named(&head, "unless");
        HONE_TRY(hone_lq_lex(p->run, head.text, &lexer));
        if (!has_else) HONE_TRY(hone_lq_parse_cond(&lexer, &branch->cond));
        HONE_TRY(hone_lq_expect_end(&lexer));
        HONE_TRY(parse_body(p, opener, node->line, &branch->body));
        *end = branch;
        end = &branch->next;
    }
}

/* when a, b or c: subject == a or subject == b or subject == c */
static hone_err parse_when(parser *p, hone_str text, const lq_expr *subject, lq_branch *branch) {
    const lq_cond **end = &branch->cond;
    lq_lexer lexer;
    HONE_TRY(hone_lq_lex(p->run, text, &lexer));
    for (;;) {
        lq_cond *cond = NULL;
        HONE_TRY(hone_lq_alloc(p->run, 1, sizeof *cond, &cond));
        *cond = (lq_cond){.left = subject, .op = LQ_EQ, .is_or = true};
        HONE_TRY(hone_lq_parse_expr(&lexer, &cond->right));
        *end = cond;
        end = &cond->next;
        if (!hone_lq_is_char(&lexer, ',') && !hone_lq_is_word(&lexer, "or"))
            return hone_lq_expect_end(&lexer);
        HONE_TRY(hone_lq_next(&lexer));
    }
}

static hone_err parse_case(parser *p, const piece *tag, lq_node *node) {
    const lq_branch **end = &node->as.branches;
    const lq_expr *subject = NULL;
    const lq_node *before = NULL; /* what stands before the first when is never put out */
    lq_lexer lexer;
    node->kind = LQ_NODE_IF;
    HONE_TRY(hone_lq_lex(p->run, tag->text, &lexer));
    HONE_TRY(hone_lq_parse_expr(&lexer, &subject));
    HONE_TRY(hone_lq_expect_end(&lexer));
    HONE_TRY(parse_body(p, "case", node->line, &before));
    for (bool has_else = false; !is_named(&p->stop, "endcase");) {
        lq_branch *branch = NULL;
        if (has_else || (!is_named(&p->stop, "when") && !is_named(&p->stop, "else")))
            return unexpected_tag(p, &p->stop);
        has_else = is_named(&p->stop, "else");
        HONE_TRY(hone_lq_alloc(p->run, 1, sizeof *branch, &branch));
        if (!has_else) HONE_TRY(parse_when(p, p->stop.text, subject, branch));
        HONE_TRY(parse_body(p, "case", node->line, &branch->body));
        *end = branch;
        end = &branch->next;
    }
    return HONE_OK;
}

static hone_err parse_for_options(lq_lexer *lexer, lq_node *node) {
    while (lexer->token.kind == LQ_T_NAME) {
        if (hone_lq_is_word(lexer, "reversed")) {
            node->as.loop.reversed = true;
            HONE_TRY(hone_lq_next(lexer));
        } else {
            bool is_limit = hone_lq_is_word(lexer, "limit");
            if (!is_limit && !hone_lq_is_word(lexer, "offset"))
                return hone_lq_unexpected(lexer, "limit, offset or reversed");
            HONE_TRY(hone_lq_next(lexer));
            HONE_TRY(hone_lq_expect_char(lexer, ':'));
            HONE_TRY(
                hone_lq_parse_expr(lexer, is_limit ? &node->as.loop.limit : &node->as.loop.offset));
        }
        if (hone_lq_is_char(lexer, ',')) HONE_TRY(hone_lq_next(lexer));
    }
    return hone_lq_expect_end(lexer);
}

static hone_err parse_for(parser *p, const piece *tag, lq_node *node) {
    lq_lexer lexer;
    node->kind = LQ_NODE_FOR;
    HONE_TRY(hone_lq_lex(p->run, tag->text, &lexer));
    HONE_TRY(hone_lq_expect_name(&lexer, &node->as.loop.name));
    if (!hone_lq_is_word(&lexer, "in")) return hone_lq_unexpected(&lexer, "'in'");
    HONE_TRY(hone_lq_next(&lexer));
    HONE_TRY(hone_lq_parse_expr(&lexer, &node->as.loop.over));
    HONE_TRY(parse_for_options(&lexer, node));
    HONE_TRY(parse_body(p, "for", node->line, &node->as.loop.body));
    if (is_named(&p->stop, "else"))
        HONE_TRY(parse_body(p, "for", node->line, &node->as.loop.otherwise));
    return is_named(&p->stop, "endfor") ? HONE_OK : unexpected_tag(p, &p->stop);
}

static hone_err parse_assign(parser *p, const piece *tag, lq_node *node) {
    lq_lexer lexer;
    node->kind = LQ_NODE_ASSIGN;
    HONE_TRY(hone_lq_lex(p->run, tag->text, &lexer));
    HONE_TRY(hone_lq_expect_name(&lexer, &node->as.assign.name));
    HONE_TRY(hone_lq_expect_char(&lexer, '='));
    return hone_lq_parse_piped(&lexer, &node->as.assign.value);
}

static hone_err parse_capture(parser *p, const piece *tag, lq_node *node) {
    lq_lexer lexer;
    node->kind = LQ_NODE_CAPTURE;
    HONE_TRY(hone_lq_lex(p->run, tag->text, &lexer));
    HONE_TRY(hone_lq_expect_name(&lexer, &node->as.capture.name));
    HONE_TRY(hone_lq_expect_end(&lexer));
    HONE_TRY(parse_body(p, "capture", node->line, &node->as.capture.body));
    return is_named(&p->stop, "endcapture") ? HONE_OK : unexpected_tag(p, &p->stop);
}

/* Is this a tag that ends or divides a block, for whoever opened it? */
static bool is_stop(const piece *tag) {
    static const char *const stops[] = {"endif",      "endunless", "endcase", "endfor",
                                        "endcapture", "elsif",     "else",    "when"};
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++)
        if (is_named(tag, stops[i])) return true;
    return false;
}

static hone_err parse_tag(parser *p, const piece *tag, lq_node *node) {
    hone_str ignored;
    if (is_named(tag, "if")) return parse_if(p, tag, false, node);
    if (is_named(tag, "unless")) return parse_if(p, tag, true, node);
    if (is_named(tag, "case")) return parse_case(p, tag, node);
    if (is_named(tag, "for")) return parse_for(p, tag, node);
    if (is_named(tag, "assign")) return parse_assign(p, tag, node);
    if (is_named(tag, "capture")) return parse_capture(p, tag, node);
    if (is_named(tag, "raw")) return take_verbatim(p, "endraw", &node->as.text);
    if (is_named(tag, "comment")) return take_verbatim(p, "endcomment", &ignored);
    if (tag->name.len > 0 && tag->name.ptr[0] == '#') return HONE_OK;
    if (is_named(tag, "break"))
        node->kind = LQ_NODE_BREAK;
    else if (is_named(tag, "continue"))
        node->kind = LQ_NODE_CONTINUE;
    else
        return hone_lq_err(p->run, "unknown tag '%.*s'", HONE_ARG(tag->name));
    return tag->text.len == 0
               ? HONE_OK
               : hone_lq_err(p->run, "'%.*s' takes nothing more", HONE_ARG(tag->name));
}

static hone_err parse_output(parser *p, const piece *output, lq_node *node) {
    lq_lexer lexer;
    node->kind = LQ_NODE_OUTPUT;
    if (output->text.len == 0) { /* {{ }} puts out nothing */
        node->kind = LQ_NODE_TEXT;
        return HONE_OK;
    }
    HONE_TRY(hone_lq_lex(p->run, output->text, &lexer));
    return hone_lq_parse_piped(&lexer, &node->as.output);
}

static hone_err parse_block(parser *p, const lq_node **out) {
    const lq_node **end = out;
    *out = NULL;
    for (;;) {
        piece next = {0};
        lq_node *node = NULL;
        HONE_TRY(next_piece(p, &next));
        if (next.kind == PIECE_END || is_stop(&next)) {
            p->stop = next;
            return HONE_OK;
        }
        HONE_TRY(hone_lq_alloc(p->run, 1, sizeof *node, &node));
        node->line = p->run->line;
        if (next.kind == PIECE_TEXT)
            node->as.text = next.text;
        else
            HONE_TRY(next.kind == PIECE_TAG ? parse_tag(p, &next, node)
                                            : parse_output(p, &next, node));
        *end = node;
        end = &node->next;
    }
}

hone_err hone_lq_parse(lq_run *run, hone_str text, const lq_node **out) {
    parser p = {.run = run, .text = text};
    run->line = 1;
    HONE_TRY(parse_block(&p, out));
    return p.stop.kind == PIECE_END ? HONE_OK : unexpected_tag(&p, &p.stop);
}
