/* review.c: `hone review`: a reviewer's queue in the terminal.
 *
 *     next task -> page -> question, choices 1 2 3 ... -> answer -> next task
 *
 * The same calls as the portal's, as whoever the API key belongs to. While a person thinks, the lease
 * is made longer. A page that is more than one list of choices needs a browser, and says so. */
#include "base/clock.h"
#include "cli/client/page.h"
#include "cli/client/verbs.h"
#include "cli/commands.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PAGE_BYTES_MAX = 17 << 20,
    ARENA_BYTES_MAX = 64 << 20,
    PATH_BYTES_MAX = 1024,
    LINE_BYTES_MAX = 256,
    HEARTBEAT_MS = 20000, /* of a lease of 60 s */
};

typedef struct sitting {
    hone_remote *remote;
    const char *flow;
    size_t answered;
} sitting;

/* Call POST /hone/tasks/ID/VERB with the lease and, for an answer, what was answered. */
static hone_err task_call(const sitting *s, const json_t *taken, const char *verb, json_t *more) {
    char path[PATH_BYTES_MAX];
    const json_t *id = json_object_get(json_object_get(taken, "task"), "id");
    json_t *body = more ? more : json_object();
    if (!body || json_object_set(body, "lease", json_object_get(taken, "lease")) != 0) {
        json_decref(body);
        return hone_err_new(HONE_E_NOMEM, "no memory for a task");
    }
    if (json_is_string(id))
        (void)snprintf(path, sizeof path, "/hone/tasks/%.200s/%s", json_string_value(id), verb);
    else
        (void)snprintf(path, sizeof path, "/hone/tasks/%lld/%s", (long long)json_integer_value(id),
                       verb);
    return hone_remote_rest(s->remote, "POST", path, body, NULL);
}

static hone_err load_page(const sitting *s, hone_arena *arena, const json_t *taken,
                          hone_page_question *out) {
    hone_buf html;
    hone_buf_init(&html, PAGE_BYTES_MAX);
    hone_err err = hone_remote_fetch(s->remote, hone_field(taken, "frame"), &html);
    if (!hone_failed(err)) err = hone_page_parse(arena, hone_buf_str(&html), out);
    hone_buf_done(&html);
    return err;
}

/* A line that the person typed; false at the end of the input. Makes the lease longer meanwhile. */
static bool read_line(const sitting *s, const json_t *taken, char line[LINE_BYTES_MAX]) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    fputs("> ", stderr);
    while (poll(&input, 1, HEARTBEAT_MS) == 0) {
        hone_err err = task_call(s, taken, "heartbeat", NULL);
        if (hone_failed(err)) fprintf(stderr, "\n%s\n> ", err.msg);
    }
    return fgets(line, LINE_BYTES_MAX, stdin) != NULL;
}

/* "2" or, where several may be chosen, "1 3": the answer. NULL when it is none of the choices. */
static json_t *read_answer(const hone_page_question *q, const char *line, double seconds) {
    json_t *labels = json_array();
    char *end = NULL;
    for (const char *at = line; labels; at = end) {
        unsigned long n = strtoul(at, &end, 10);
        if (end == at) break;
        if (n < 1 || n > q->count ||
            json_array_append_new(labels, json_string(q->choices[n - 1])) != 0) {
            json_decref(labels);
            return NULL;
        }
    }
    size_t count = json_array_size(labels);
    bool is_whole = end && strspn(end, " \t\r\n,") == strlen(end);
    json_t *answer = NULL;
    if (is_whole && q->is_multi && count > 0)
        answer = json_pack("{s:{s:{s:O}}, s:f}", "answer", q->name, "labels", labels, "seconds",
                           seconds);
    else if (is_whole && !q->is_multi && count == 1)
        answer = json_pack("{s:{s:{s:O}}, s:f}", "answer", q->name, "label",
                           json_array_get(labels, 0), "seconds", seconds);
    json_decref(labels);
    return answer;
}

static void show(const hone_page_question *q) {
    printf("\n%s\n\n  %s\n\n", q->header, q->text);
    for (size_t i = 0; i < q->count; i++) printf("  %zu  %s\n", i + 1, q->choices[i]);
    printf("  r  give it back    d  decline for good    q  stop\n");
    (void)fflush(stdout); /* main looks at the end */
}

/* One task that is leased; *stop = the person has had enough. */
static hone_err handle(sitting *s, hone_arena *arena, const json_t *taken, bool *stop) {
    char line[LINE_BYTES_MAX];
    hone_page_question question;
    hone_err err = load_page(s, arena, taken, &question);
    if (hone_failed(err)) {
        hone_err released = task_call(s, taken, "release", NULL);
        (void)released; /* its lease runs out by itself, too */
        return err;
    }
    int64_t began_ns = hone_clock_ns();
    show(&question);
    for (;;) {
        *stop = !read_line(s, taken, line) || line[0] == 'q';
        if (*stop || line[0] == 'r') return task_call(s, taken, "release", NULL);
        if (line[0] == 'd') return task_call(s, taken, "decline", NULL);
        json_t *answer = read_answer(&question, line, (double)(hone_clock_ns() - began_ns) / 1e9);
        if (answer) {
            HONE_TRY(task_call(s, taken, "answer", answer));
            s->answered++;
            return HONE_OK;
        }
        fprintf(stderr, "a number from 1 to %zu%s, or r, d, q\n", question.count,
                question.is_multi ? ", or several" : "");
    }
}

static hone_err next(const sitting *s, json_t **taken) {
    json_t *body = s->flow ? json_pack("{s:s}", "flow", s->flow) : json_object();
    return hone_remote_rest(s->remote, "POST", "/hone/tasks/next", body, taken);
}

static hone_err review(hone_verb_call *call) {
    sitting s = {0};
    bool stop = false, is_empty = false;
    const hone_option options[] = {
        {"flow", "NAME", "tasks of this flow only", HONE_OPT_STR, &s.flow, false}, {0}};
    HONE_TRY(hone_verb_begin(call, options));
    if (!call->remote) return HONE_OK;
    s.remote = call->remote;
    (void)setvbuf(stdin, NULL, _IONBF, 0); /* poll must see every line that is there */
    hone_err err = HONE_OK;
    while (!stop && !is_empty && !hone_failed(err)) {
        json_t *taken = NULL;
        hone_arena *arena = NULL;
        err = next(&s, &taken);
        is_empty = !json_is_object(json_object_get(taken, "task"));
        if (!hone_failed(err) && !is_empty) err = hone_arena_create(ARENA_BYTES_MAX, &arena);
        if (!hone_failed(err) && !is_empty) err = handle(&s, arena, taken, &stop);
        if (hone_failed(err)) err = hone_err_new(err.code, "%s", err.msg); /* outlives the task */
        hone_arena_destroy(arena);
        json_decref(taken);
    }
    if (!hone_failed(err) && call->json)
        return hone_remote_print(json_pack("{s:I}", "answered", (json_int_t)s.answered));
    if (!hone_failed(err))
        printf("%zu answered%s\n", s.answered, is_empty ? "; nothing is left to answer" : "");
    return err;
}

hone_err hone_cmd_review(int argc, char **argv) {
    static const hone_verb verb = {"review",
                                   review,
                                   "[--flow NAME]",
                                   "Answer what the models are unsure of, here in the terminal: as "
                                   "the portal does in a browser.",
                                   0,
                                   0};
    return hone_verb_run(&verb, argc, argv);
}
