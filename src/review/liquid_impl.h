/* liquid_impl.h: what the files of the Liquid renderer share.
 *
 *     text --liquid_parse.c--> nodes --liquid.c--> page
 *              |                  |
 *          liquid_expr.c: paths, literals, conditions    liquid_filters.c    liquid_value.c
 *
 * Everything lies in one arena that is dropped after the page; lq_run counts what is done and
 * what it takes. Values borrow from the template, the input and that arena.
 */
#ifndef HONE_REVIEW_LIQUID_IMPL_H
#define HONE_REVIEW_LIQUID_IMPL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>

enum {
    LQ_DEPTH_MAX = 64,         /* blocks within blocks */
    LQ_WORK_MAX = 4000000,     /* nodes, filters and pieces of LQ_WORK_BYTES */
    LQ_WORK_BYTES = 64,        /* text that costs as much as a node */
    LQ_MEMORY_MAX = 32 << 20,  /* bytes of nodes and values */
    LQ_ARENA_BYTES = 96 << 20, /* LQ_MEMORY_MAX always fits */
    LQ_ROUND = 64,             /* what the arena rounds up to */
    LQ_VARIABLES_MAX = 500,    /* that one template assigns */
    LQ_INDEX_DEPTH_MAX = 16,   /* a[b[c]] */
    LQ_CONDITIONS_MAX = 64,    /* joined by and, or */
    LQ_ARGUMENTS_MAX = 2,      /* of a filter */
};

typedef enum lq_kind {
    LQ_NIL,
    LQ_BOOL,
    LQ_INT,
    LQ_REAL,
    LQ_TEXT,
    LQ_JSON,  /* an array or object of the input */
    LQ_LIST,  /* values, as split makes them */
    LQ_RANGE, /* (1..3) */
    LQ_LOOP,  /* forloop */
    LQ_EMPTY, /* the word empty, equal to what has no content; blank (truth), also to nil, false */
} lq_kind;

typedef struct lq_value lq_value;
typedef struct lq_loop lq_loop;

struct lq_value {
    lq_kind kind;
    bool is_html; /* text that needs no escaping any more */
    union {
        bool truth;
        int64_t integer;
        double real;
        hone_str text;
        const json_t *json;
        struct {
            const lq_value *items;
            size_t count;
        } list;
        struct {
            int64_t from, to;
        } range;
        const lq_loop *loop;
    } as;
};

/* A for that runs. */
struct lq_loop {
    hone_str name; /* of its variable */
    lq_value item;
    size_t index, count;
    const lq_loop *outer;
};

/* --- the parsed template ------------------------------------------------------------ */

typedef struct lq_expr lq_expr;

typedef struct lq_step { /* .key or [index] */
    hone_str key;
    const lq_expr *index; /* NULL for .key */
    const struct lq_step *next;
} lq_step;

struct lq_expr {
    enum { LQ_LITERAL, LQ_PATH, LQ_SPAN } kind;
    lq_value literal;
    hone_str name; /* of a path's root */
    const lq_step *steps;
    const lq_expr *from, *to; /* of a span */
};

typedef struct lq_run lq_run;
typedef hone_err lq_filter_fn(lq_run *run, const lq_value *args, size_t count, lq_value *value);

typedef struct lq_filter_def {
    const char *name;
    lq_filter_fn *apply;
    size_t min, max; /* arguments */
} lq_filter_def;

typedef struct lq_filter {
    const lq_filter_def *def;
    const lq_expr *args[LQ_ARGUMENTS_MAX];
    size_t count;
    const struct lq_filter *next;
} lq_filter;

typedef struct lq_piped { /* expression | filter | filter */
    const lq_expr *head;
    const lq_filter *filters;
} lq_piped;

typedef enum lq_op { LQ_IS, LQ_EQ, LQ_NE, LQ_LT, LQ_GT, LQ_LE, LQ_GE, LQ_CONTAINS } lq_op;

typedef struct lq_cond {
    const lq_expr *left, *right; /* right NULL for LQ_IS */
    lq_op op;
    bool is_or; /* how the next one is joined */
    const struct lq_cond *next;
} lq_cond;

typedef enum lq_node_kind {
    LQ_NODE_TEXT,
    LQ_NODE_OUTPUT,
    LQ_NODE_IF, /* also unless and case: branches */
    LQ_NODE_FOR,
    LQ_NODE_ASSIGN,
    LQ_NODE_CAPTURE,
    LQ_NODE_BREAK,
    LQ_NODE_CONTINUE,
} lq_node_kind;

typedef struct lq_node lq_node;

typedef struct lq_branch {
    const lq_cond *cond; /* NULL = else */
    bool negated;        /* unless */
    const lq_node *body;
    const struct lq_branch *next;
} lq_branch;

struct lq_node {
    lq_node_kind kind;
    size_t line;
    const lq_node *next;
    union {
        hone_str text;
        lq_piped output;
        const lq_branch *branches;
        struct {
            hone_str name;
            lq_piped value;
        } assign;
        struct {
            hone_str name;
            const lq_node *body;
        } capture;
        struct {
            hone_str name;
            const lq_expr *over, *limit, *offset; /* limit, offset may be NULL */
            bool reversed;
            const lq_node *body, *otherwise;
        } loop;
    } as;
};

/* --- a run -------------------------------------------------------------------------- */

typedef struct lq_variable {
    hone_str name;
    lq_value value;
    struct lq_variable *next;
} lq_variable;

typedef enum lq_jump { LQ_GO_ON, LQ_BREAK, LQ_CONTINUE } lq_jump;

struct lq_run {
    hone_arena *arena;
    size_t memory;      /* bytes taken so far */
    size_t work;        /* done so far */
    size_t line;        /* for messages */
    size_t depth;       /* of blocks */
    size_t index_depth; /* of an expression within an expression */

    const json_t *root; /* {"task": {"input": ...}} */
    lq_variable *variables;
    size_t variable_count;
    const lq_loop *loop; /* the innermost */
    lq_jump jump;
    hone_buf *out;
};

/* `line N: ...` */
hone_err hone_lq_err(const lq_run *run, const char *fmt, ...) HONE_PRINTF(2, 3);

/* count * size zeroed bytes of the arena. */
HONE_NODISCARD hone_err hone_lq_alloc(lq_run *run, size_t count, size_t size, void *out);
/* Count a piece of work that touches so many bytes. */
HONE_NODISCARD hone_err hone_lq_work(lq_run *run, size_t bytes);
/* A buffer's bytes copied into the arena as text; ends the buffer, also on failure. */
HONE_NODISCARD hone_err hone_lq_take(lq_run *run, hone_buf *buf, lq_value *out);

/* liquid_parse.c */
HONE_NODISCARD hone_err hone_lq_parse(lq_run *run, hone_str text, const lq_node **out);

/* liquid_lex.c: the words of a tag. */
typedef enum lq_token_kind {
    LQ_T_END,
    LQ_T_NAME,
    LQ_T_LITERAL, /* number or string, in value */
    LQ_T_OP,      /* == != <> < > <= >=, in op */
    LQ_T_DOTS,    /* .. */
    LQ_T_CHAR,    /* . [ ] ( ) | : , =, in c */
} lq_token_kind;

typedef struct lq_token {
    lq_token_kind kind;
    hone_str text;
    lq_value value;
    lq_op op;
    char c;
} lq_token;

typedef struct lq_lexer {
    lq_run *run;
    hone_str text;
    size_t at;
    lq_token token; /* the one to look at */
} lq_lexer;

HONE_NODISCARD hone_err hone_lq_lex(lq_run *run, hone_str text, lq_lexer *out);
HONE_NODISCARD hone_err hone_lq_next(lq_lexer *lexer);
bool hone_lq_is_char(const lq_lexer *lexer, char c);
bool hone_lq_is_word(const lq_lexer *lexer, const char *word);
/* Take what must stand here. */
HONE_NODISCARD hone_err hone_lq_expect_char(lq_lexer *lexer, char c);
HONE_NODISCARD hone_err hone_lq_expect_name(lq_lexer *lexer, hone_str *out);
HONE_NODISCARD hone_err hone_lq_expect_end(const lq_lexer *lexer);
hone_err hone_lq_unexpected(const lq_lexer *lexer, const char *wanted);

/* liquid_expr.c */
HONE_NODISCARD hone_err hone_lq_parse_expr(lq_lexer *lexer, const lq_expr **out);
HONE_NODISCARD hone_err hone_lq_parse_piped(lq_lexer *lexer, lq_piped *out);
HONE_NODISCARD hone_err hone_lq_parse_cond(lq_lexer *lexer, const lq_cond **out);
HONE_NODISCARD hone_err hone_lq_eval(lq_run *run, const lq_expr *expr, lq_value *out);
HONE_NODISCARD hone_err hone_lq_eval_piped(lq_run *run, const lq_piped *piped, lq_value *out);
HONE_NODISCARD hone_err hone_lq_test(lq_run *run, const lq_cond *cond, bool *out);

/* liquid_filters.c: the filter, or NULL. */
const lq_filter_def *hone_lq_filter_find(hone_str name);

/* liquid_value.c */
lq_value hone_lq_text(hone_str text);
lq_value hone_lq_int(int64_t integer);
lq_value hone_lq_of_json(const json_t *json);            /* NULL gives nil */
bool hone_lq_is_blank(const lq_value *value);            /* nil, false, no content */
bool hone_lq_number(const lq_value *value, double *out); /* also text that is a number */
size_t hone_lq_count(const lq_value *value);             /* of items, characters; else 0 */
lq_value hone_lq_item(const lq_value *value, size_t index);
bool hone_lq_is_sequence(const lq_value *value); /* array, list or range */
/* Items that a for walks over: also the pairs of an object. */
HONE_NODISCARD hone_err hone_lq_sequence(lq_run *run, const lq_value *value, lq_value *out);
/* value as text, as it is put out; costs work. */
HONE_NODISCARD hone_err hone_lq_to_text(lq_run *run, const lq_value *value, hone_str *out);
void hone_lq_push_json(hone_buf *out, const lq_value *value);
HONE_NODISCARD hone_err hone_lq_compare(lq_run *run, lq_op op, const lq_value *a, const lq_value *b,
                                        bool *out);

/* s for HTML. once: leaves entities that are there. */
void hone_lq_push_escaped(hone_buf *out, hone_str s, bool once);

#endif
