/* liquid.c: walks the nodes of a template; see liquid.h. */
#include "review/liquid.h"

#include "base/utf8.h"
#include "review/liquid_impl.h"

#include <assert.h>
#include <stdio.h>

enum { MESSAGE_SIZE = 256 };

hone_err hone_lq_err(const lq_run *run, const char *fmt, ...) {
    char text[MESSAGE_SIZE];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return hone_err_new(HONE_E_INVALID, "line %zu: %s", run->line, text);
}

/* out: the address of a pointer, of whatever type. */
hone_err hone_lq_alloc(lq_run *run, size_t count, size_t size, void *out) {
    void *made = NULL;
    if (count > LQ_MEMORY_MAX / size || run->memory + count * size > LQ_MEMORY_MAX)
        return hone_lq_err(run, "the template takes more than %d MiB of memory",
                           LQ_MEMORY_MAX >> 20);
    made = hone_arena_alloc(run->arena, count > 0 ? count : 1, size);
    if (!made) return hone_err_new(HONE_E_NOMEM, "no memory for a template");
    run->memory += (count * size + LQ_ROUND - 1) / LQ_ROUND * LQ_ROUND;
    memcpy(out, &made, sizeof made);
    return HONE_OK;
}

hone_err hone_lq_work(lq_run *run, size_t bytes) {
    run->work += 1 + bytes / LQ_WORK_BYTES;
    if (run->work > LQ_WORK_MAX)
        return hone_lq_err(run, "the template does not come to an end: over %d steps", LQ_WORK_MAX);
    return HONE_OK;
}

static hone_err buffer_err(const lq_run *run, const hone_buf *buf) {
    if (buf->failed == HONE_E_FULL)
        return hone_lq_err(run, "the page is larger than %zu bytes", buf->limit_bytes);
    return hone_buf_err(buf);
}

hone_err hone_lq_take(lq_run *run, hone_buf *buf, lq_value *out) {
    char *copy = NULL;
    hone_err err = buffer_err(run, buf);
    size_t len = buf->len;
    if (!hone_failed(err)) err = hone_lq_work(run, len);
    if (!hone_failed(err)) err = hone_lq_alloc(run, len, 1, &copy);
    if (!hone_failed(err)) {
        if (len > 0) memcpy(copy, buf->ptr, len);
        *out = hone_lq_text((hone_str){copy, len});
    }
    hone_buf_done(buf);
    return err;
}

static hone_err walk(lq_run *run, const lq_node *node);

static hone_err put_out(lq_run *run, const lq_piped *piped) {
    lq_value value = {0};
    hone_str text;
    HONE_TRY(hone_lq_eval_piped(run, piped, &value));
    HONE_TRY(hone_lq_to_text(run, &value, &text));
    if (value.is_html)
        hone_buf_push(run->out, text);
    else
        hone_lq_push_escaped(run->out, text, false);
    return buffer_err(run, run->out);
}

static hone_err set_variable(lq_run *run, hone_str name, const lq_value *value) {
    lq_variable *v = run->variables;
    while (v && !hone_str_equal(v->name, name)) v = v->next;
    if (!v) {
        if (run->variable_count >= LQ_VARIABLES_MAX)
            return hone_lq_err(run, "over %d variables", LQ_VARIABLES_MAX);
        HONE_TRY(hone_lq_alloc(run, 1, sizeof *v, &v));
        assert(v); /* the analyzer does not see through the memcpy of alloc */
        *v = (lq_variable){.name = name, .next = run->variables};
        run->variables = v;
        run->variable_count++;
    }
    v->value = *value;
    if (value->kind == LQ_LOOP) v->value = (lq_value){0}; /* it ends before its variable does */
    return HONE_OK;
}

static hone_err capture(lq_run *run, const lq_node *node) {
    hone_buf *outer = run->out, inner;
    lq_value value = {0};
    hone_buf_init(&inner, HONE_LIQUID_OUTPUT_MAX);
    run->out = &inner;
    hone_err err = walk(run, node->as.capture.body);
    run->out = outer;
    if (hone_failed(err)) {
        hone_buf_done(&inner);
        return err;
    }
    HONE_TRY(hone_lq_take(run, &inner, &value));
    value.is_html = true;
    return set_variable(run, node->as.capture.name, &value);
}

/* How many items limit or offset says; fallback when it is absent or no number. */
static hone_err loop_bound(lq_run *run, const lq_expr *expr, size_t fallback, size_t *out) {
    lq_value value = {0};
    double number = 0;
    *out = fallback;
    if (!expr) return HONE_OK;
    HONE_TRY(hone_lq_eval(run, expr, &value));
    if (value.kind == LQ_NIL) return HONE_OK;
    if (!hone_lq_number(&value, &number)) return hone_lq_err(run, "limit or offset is no number");
    *out = number <= 0 ? 0 : number < 1e15 ? (size_t)number : SIZE_MAX;
    return HONE_OK;
}

static hone_err run_loop(lq_run *run, const lq_node *node) {
    lq_value value = {0}, items = {0};
    size_t offset = 0, limit = 0;
    HONE_TRY(hone_lq_eval(run, node->as.loop.over, &value));
    HONE_TRY(hone_lq_sequence(run, &value, &items));
    HONE_TRY(loop_bound(run, node->as.loop.offset, 0, &offset));
    HONE_TRY(loop_bound(run, node->as.loop.limit, SIZE_MAX, &limit));
    size_t all = hone_lq_count(&items);
    size_t count = offset < all ? all - offset : 0;
    if (count > limit) count = limit;
    if (count == 0) return walk(run, node->as.loop.otherwise);
    lq_loop loop = {.name = node->as.loop.name, .count = count, .outer = run->loop};
    hone_err err = HONE_OK;
    run->loop = &loop;
    for (; loop.index < count && !hone_failed(err) && run->jump != LQ_BREAK; loop.index++) {
        size_t index = node->as.loop.reversed ? count - 1 - loop.index : loop.index;
        loop.item = hone_lq_item(&items, offset + index);
        run->jump = LQ_GO_ON;
        run->line = node->line;
        err = hone_lq_work(run, 1);
        if (!hone_failed(err)) err = walk(run, node->as.loop.body);
    }
    run->loop = loop.outer;
    run->jump = LQ_GO_ON;
    return err;
}

static hone_err run_branches(lq_run *run, const lq_branch *branch) {
    for (; branch; branch = branch->next) {
        bool holds = true;
        if (branch->cond) HONE_TRY(hone_lq_test(run, branch->cond, &holds));
        if (holds != branch->negated) return walk(run, branch->body);
    }
    return HONE_OK;
}

static hone_err visit(lq_run *run, const lq_node *node) {
    lq_value value = {0};
    run->line = node->line;
    HONE_TRY(hone_lq_work(run, 1));
    switch (node->kind) {
    case LQ_NODE_TEXT:
        HONE_TRY(hone_lq_work(run, node->as.text.len));
        hone_buf_push(run->out, node->as.text);
        return buffer_err(run, run->out);
    case LQ_NODE_OUTPUT:
        return put_out(run, &node->as.output);
    case LQ_NODE_IF:
        return run_branches(run, node->as.branches);
    case LQ_NODE_FOR:
        return run_loop(run, node);
    case LQ_NODE_CAPTURE:
        return capture(run, node);
    case LQ_NODE_ASSIGN:
        HONE_TRY(hone_lq_eval_piped(run, &node->as.assign.value, &value));
        return set_variable(run, node->as.assign.name, &value);
    case LQ_NODE_BREAK:
        run->jump = LQ_BREAK;
        break;
    case LQ_NODE_CONTINUE:
        run->jump = LQ_CONTINUE;
        break;
    }
    return HONE_OK;
}

/* Nodes in a row, until a break or continue leaves them. */
static hone_err walk(lq_run *run, const lq_node *node) {
    for (; node && run->jump == LQ_GO_ON; node = node->next) HONE_TRY(visit(run, node));
    return HONE_OK;
}

static hone_err begin(hone_str text, lq_run *run, const lq_node **nodes) {
    *run = (lq_run){.line = 1};
    if (!text.ptr) text = HONE_S("");
    if (hone_utf8_check(text) != text.len || memchr(text.ptr, '\0', text.len))
        return hone_err_new(HONE_E_INVALID, "a template is UTF-8 without NUL, and this is not");
    HONE_TRY(hone_arena_create(LQ_ARENA_BYTES, &run->arena));
    return hone_lq_parse(run, text, nodes);
}

hone_err hone_liquid_check(hone_str text) {
    lq_run run;
    const lq_node *nodes = NULL;
    hone_err err = begin(text, &run, &nodes);
    hone_arena_destroy(run.arena);
    return err;
}

hone_err hone_liquid_render(hone_str text, json_t *input, hone_buf *out) {
    lq_run run;
    const lq_node *nodes = NULL;
    json_t *root = json_pack("{s:{s:O}}", "task", "input", input);
    hone_err err = root ? begin(text, &run, &nodes)
                        : hone_err_new(HONE_E_NOMEM, "no memory for a template");
    if (root && !hone_failed(err)) {
        run.root = root;
        run.out = out;
        err = walk(&run, nodes);
    }
    if (root) hone_arena_destroy(run.arena);
    json_decref(root);
    return err;
}
