/* liquid_expr.c: expressions, filters behind them, and conditions.
 *
 *     piped     expr ('|' name (':' expr (',' expr)*)?)*
 *     cond      expr (op expr)? (('and' | 'or') cond)?      grouped from the right, as Liquid does
 *     expr      literal | path | '(' expr '..' expr ')'
 *     path      name ('.' name | '[' expr ']')*
 */
#include "review/liquid_impl.h"

#include <string.h>

/* ---- parsing ---- */

static hone_err parse_literal_word(const lq_lexer *l, lq_value *out, bool *is_literal) {
    static const struct {
        const char *word;
        lq_value value;
    } words[] = {{"true", {.kind = LQ_BOOL, .as.truth = true}},
                 {"false", {.kind = LQ_BOOL}},
                 {"nil", {0}},
                 {"null", {0}},
                 {"empty", {.kind = LQ_EMPTY}},
                 {"blank", {.kind = LQ_EMPTY, .as.truth = true}}};
    *is_literal = false;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!hone_lq_is_word(l, words[i].word)) continue;
        *out = words[i].value;
        *is_literal = true;
    }
    return HONE_OK;
}

static hone_err parse_step(lq_lexer *l, lq_step *step) {
    if (hone_lq_is_char(l, '.')) {
        HONE_TRY(hone_lq_next(l));
        return hone_lq_expect_name(l, &step->key);
    }
    if (l->run->index_depth >= LQ_INDEX_DEPTH_MAX)
        return hone_lq_err(l->run, "indexes lie over %d deep", LQ_INDEX_DEPTH_MAX);
    l->run->index_depth++;
    hone_err err = hone_lq_next(l);
    if (!hone_failed(err)) err = hone_lq_parse_expr(l, &step->index);
    if (!hone_failed(err)) err = hone_lq_expect_char(l, ']');
    l->run->index_depth--;
    return err;
}

static hone_err parse_path(lq_lexer *l, lq_expr *expr) {
    const lq_step **end = &expr->steps;
    expr->kind = LQ_PATH;
    expr->name = l->token.text;
    HONE_TRY(hone_lq_next(l));
    while (hone_lq_is_char(l, '.') || hone_lq_is_char(l, '[')) {
        lq_step *step = NULL;
        HONE_TRY(hone_lq_alloc(l->run, 1, sizeof *step, &step));
        HONE_TRY(parse_step(l, step));
        *end = step;
        end = &step->next;
    }
    return HONE_OK;
}

static hone_err parse_span(lq_lexer *l, lq_expr *expr) {
    expr->kind = LQ_SPAN;
    if (l->run->index_depth >= LQ_INDEX_DEPTH_MAX)
        return hone_lq_err(l->run, "ranges lie over %d deep", LQ_INDEX_DEPTH_MAX);
    l->run->index_depth++;
    hone_err err = hone_lq_next(l);
    if (!hone_failed(err)) err = hone_lq_parse_expr(l, &expr->from);
    if (!hone_failed(err) && l->token.kind != LQ_T_DOTS) err = hone_lq_unexpected(l, "'..'");
    if (!hone_failed(err)) err = hone_lq_next(l);
    if (!hone_failed(err)) err = hone_lq_parse_expr(l, &expr->to);
    if (!hone_failed(err)) err = hone_lq_expect_char(l, ')');
    l->run->index_depth--;
    return err;
}

hone_err hone_lq_parse_expr(lq_lexer *l, const lq_expr **out) {
    lq_expr *expr = NULL;
    bool is_literal = l->token.kind == LQ_T_LITERAL;
    HONE_TRY(hone_lq_alloc(l->run, 1, sizeof *expr, &expr));
    if (is_literal) expr->literal = l->token.value;
    if (l->token.kind == LQ_T_NAME) {
        HONE_TRY(parse_literal_word(l, &expr->literal, &is_literal));
        if (!is_literal) HONE_TRY(parse_path(l, expr));
    } else if (hone_lq_is_char(l, '(')) {
        HONE_TRY(parse_span(l, expr));
    } else if (!is_literal) {
        return hone_lq_unexpected(l, "a value");
    }
    if (is_literal) HONE_TRY(hone_lq_next(l));
    *out = expr;
    return HONE_OK;
}

static hone_err parse_filter(lq_lexer *l, lq_filter *filter) {
    hone_str name;
    HONE_TRY(hone_lq_expect_name(l, &name));
    filter->def = hone_lq_filter_find(name);
    if (!filter->def) return hone_lq_err(l->run, "unknown filter '%.*s'", HONE_ARG(name));
    bool more = hone_lq_is_char(l, ':');
    while (more && filter->count < LQ_ARGUMENTS_MAX) {
        HONE_TRY(hone_lq_next(l));
        HONE_TRY(hone_lq_parse_expr(l, &filter->args[filter->count++]));
        more = hone_lq_is_char(l, ',');
    }
    if (more || filter->count < filter->def->min || filter->count > filter->def->max)
        return hone_lq_err(l->run, "filter '%s' takes %zu to %zu arguments", filter->def->name,
                           filter->def->min, filter->def->max);
    return HONE_OK;
}

hone_err hone_lq_parse_piped(lq_lexer *l, lq_piped *out) {
    const lq_filter **end = &out->filters;
    HONE_TRY(hone_lq_parse_expr(l, &out->head));
    while (hone_lq_is_char(l, '|')) {
        lq_filter *filter = NULL;
        HONE_TRY(hone_lq_next(l));
        HONE_TRY(hone_lq_alloc(l->run, 1, sizeof *filter, &filter));
        HONE_TRY(parse_filter(l, filter));
        *end = filter;
        end = &filter->next;
    }
    return hone_lq_expect_end(l);
}

hone_err hone_lq_parse_cond(lq_lexer *l, const lq_cond **out) {
    const lq_cond **end = out;
    for (int i = 0; i < LQ_CONDITIONS_MAX; i++) {
        lq_cond *cond = NULL;
        HONE_TRY(hone_lq_alloc(l->run, 1, sizeof *cond, &cond));
        HONE_TRY(hone_lq_parse_expr(l, &cond->left));
        bool has_op = l->token.kind == LQ_T_OP || hone_lq_is_word(l, "contains");
        if (has_op) {
            cond->op = l->token.kind == LQ_T_OP ? l->token.op : LQ_CONTAINS;
            HONE_TRY(hone_lq_next(l));
            HONE_TRY(hone_lq_parse_expr(l, &cond->right));
        }
        *end = cond;
        end = &cond->next;
        cond->is_or = hone_lq_is_word(l, "or");
        if (!cond->is_or && !hone_lq_is_word(l, "and")) return hone_lq_expect_end(l);
        HONE_TRY(hone_lq_next(l));
    }
    return hone_lq_err(l->run, "over %d conditions in one tag", LQ_CONDITIONS_MAX);
}

/* ---- evaluation ---- */

static lq_value loop_member(const lq_loop *loop, hone_str key) {
    const struct {
        const char *name;
        lq_value value;
    } members[] = {
        {"index", hone_lq_int((int64_t)loop->index + 1)},
        {"index0", hone_lq_int((int64_t)loop->index)},
        {"rindex", hone_lq_int((int64_t)(loop->count - loop->index))},
        {"rindex0", hone_lq_int((int64_t)(loop->count - loop->index) - 1)},
        {"first", {.kind = LQ_BOOL, .as.truth = loop->index == 0}},
        {"last", {.kind = LQ_BOOL, .as.truth = loop->index + 1 == loop->count}},
        {"length", hone_lq_int((int64_t)loop->count)},
        {"parentloop", {.kind = loop->outer ? LQ_LOOP : LQ_NIL, .as.loop = loop->outer}},
    };
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (hone_str_equal(key, hone_str_of(members[i].name))) return members[i].value;
    return (lq_value){0};
}

/* value.size, .first, .last where the value has no member of that name. */
static hone_err implied_member(lq_run *run, const lq_value *value, hone_str key, lq_value *out) {
    bool is_sequence = hone_lq_is_sequence(value);
    *out = (lq_value){0};
    if (hone_str_equal(key, HONE_S("size"))) {
        if (value->kind == LQ_TEXT) HONE_TRY(hone_lq_work(run, value->as.text.len));
        if (is_sequence || value->kind == LQ_TEXT || value->kind == LQ_JSON)
            *out = hone_lq_int((int64_t)hone_lq_count(value));
    } else if (is_sequence && hone_str_equal(key, HONE_S("first"))) {
        *out = hone_lq_item(value, 0);
    } else if (is_sequence && hone_str_equal(key, HONE_S("last"))) {
        *out = hone_lq_item(value, hone_lq_count(value) - 1);
    }
    return HONE_OK;
}

static hone_err member(lq_run *run, const lq_value *value, hone_str key, lq_value *out) {
    const json_t *found = NULL;
    if (value->kind == LQ_LOOP) {
        *out = loop_member(value->as.loop, key);
        return HONE_OK;
    }
    if (value->kind == LQ_JSON && json_is_object(value->as.json))
        found = json_object_getn(value->as.json, key.ptr, key.len);
    if (!found) return implied_member(run, value, key, out);
    *out = hone_lq_of_json(found);
    return HONE_OK;
}

static hone_err indexed(lq_run *run, const lq_value *value, const lq_value *index, lq_value *out) {
    if (index->kind == LQ_TEXT) return member(run, value, index->as.text, out);
    *out = (lq_value){0};
    if (index->kind != LQ_INT || !hone_lq_is_sequence(value)) return HONE_OK;
    int64_t i = index->as.integer, count = (int64_t)hone_lq_count(value);
    if (i < 0) i += count; /* from the end */
    if (i >= 0 && i < count) *out = hone_lq_item(value, (size_t)i);
    return HONE_OK;
}

static lq_value root_value(const lq_run *run, hone_str name) {
    for (const lq_loop *loop = run->loop; loop; loop = loop->outer)
        if (hone_str_equal(loop->name, name)) return loop->item;
    if (run->loop && hone_str_equal(name, HONE_S("forloop")))
        return (lq_value){.kind = LQ_LOOP, .as.loop = run->loop};
    for (const lq_variable *v = run->variables; v; v = v->next)
        if (hone_str_equal(v->name, name)) return v->value;
    return hone_lq_of_json(json_object_getn(run->root, name.ptr, name.len));
}

static hone_err eval_bound(lq_run *run, const lq_expr *expr, int64_t *out) {
    lq_value value = {0};
    double number = 0;
    HONE_TRY(hone_lq_eval(run, expr, &value));
    if (!hone_lq_number(&value, &number) || number < -1e15 || number > 1e15) number = 0;
    *out = (int64_t)number;
    return HONE_OK;
}

hone_err hone_lq_eval(lq_run *run, const lq_expr *expr, lq_value *out) {
    lq_value value = expr->literal;
    HONE_TRY(hone_lq_work(run, 1));
    if (expr->kind == LQ_SPAN) {
        value = (lq_value){.kind = LQ_RANGE};
        HONE_TRY(eval_bound(run, expr->from, &value.as.range.from));
        HONE_TRY(eval_bound(run, expr->to, &value.as.range.to));
    } else if (expr->kind == LQ_PATH) {
        value = root_value(run, expr->name);
        HONE_TRY(hone_lq_work(run, run->variable_count * sizeof(lq_variable)));
    }
    for (const lq_step *step = expr->steps; step; step = step->next) {
        lq_value index = hone_lq_text(step->key), next = {0};
        HONE_TRY(hone_lq_work(run, 1));
        if (step->index) HONE_TRY(hone_lq_eval(run, step->index, &index));
        HONE_TRY(indexed(run, &value, &index, &next));
        value = next;
    }
    *out = value;
    return HONE_OK;
}

hone_err hone_lq_eval_piped(lq_run *run, const lq_piped *piped, lq_value *out) {
    lq_value value = {0};
    HONE_TRY(hone_lq_eval(run, piped->head, &value));
    for (const lq_filter *f = piped->filters; f; f = f->next) {
        lq_value args[LQ_ARGUMENTS_MAX] = {0};
        HONE_TRY(hone_lq_work(run, 1));
        for (size_t i = 0; i < f->count; i++) HONE_TRY(hone_lq_eval(run, f->args[i], &args[i]));
        HONE_TRY(f->def->apply(run, args, f->count, &value));
    }
    *out = value;
    return HONE_OK;
}

/* a and b or c is a and (b or c): the rest decides only where this one leaves it open. */
hone_err hone_lq_test(lq_run *run, const lq_cond *cond, bool *out) {
    for (;; cond = cond->next) {
        lq_value left = {0}, right = {0};
        HONE_TRY(hone_lq_eval(run, cond->left, &left));
        if (cond->right) HONE_TRY(hone_lq_eval(run, cond->right, &right));
        HONE_TRY(hone_lq_compare(run, cond->op, &left, &right, out));
        if (!cond->next || *out == cond->is_or) return HONE_OK;
    }
}
