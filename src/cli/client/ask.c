/* ask.c: `hone ask`: predict, and ask a human when the model is unsure.
 *
 *     text --InvokeEndpoint--> label, score --decide/decision.h--> answer
 *                                                  `--StartHumanLoop--> loop
 *
 * Threshold and audit share are tags of the flow (hone:threshold, hone:audit). The person is shown
 * the text alone; what the model thought travels beside it and is not part of the page. */
#include "base/id.h"
#include "base/lines.h"
#include "cli/client/verbs.h"
#include "cli/commands.h"
#include "decide/decision.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCH = 32, /* texts of a file that go in one request */
    LINE_BYTES_MAX = 1 << 20,
    PATH_BYTES_MAX = 1024,
};

/* What a command asks with. Strings live in the remote's arena. */
typedef struct asker {
    const hone_verb_call *call;
    const char *endpoint;
    const char *flow_arn; /* NULL = nobody is asked */
    hone_policy policy;
    size_t predicted, asked;
} asker;

/* ---- the flow ---- */

static hone_err read_policy(asker *a) {
    json_t *tags = NULL, *tag = NULL;
    size_t i = 0;
    hone_err err = hone_remote_list(a->call->remote, "ListTags",
                                    json_pack("{s:s}", "ResourceArn", a->flow_arn), "Tags", 0,
                                    &tags);
    if (hone_failed(err)) return err;
    json_array_foreach(tags, i, tag) {
        if (!hone_failed(err))
            err = hone_policy_set(&a->policy, hone_str_of(hone_field(tag, "Key")),
                                  hone_str_of(hone_field(tag, "Value")));
    }
    json_decref(tags);
    return err;
}

/* The flow that was named, or the only one there is. */
static hone_err find_flow(asker *a, const char *name) {
    json_t *flows = NULL, *item = NULL, *found = NULL;
    size_t i = 0;
    HONE_TRY(hone_remote_list(a->call->remote, "ListFlowDefinitions", json_object(),
                              "FlowDefinitionSummaries", 0, &flows));
    json_array_foreach(flows, i, item) {
        if (!name || strcmp(hone_field(item, "FlowDefinitionName"), name) == 0) found = item;
    }
    hone_err err = HONE_OK;
    if (!name && json_array_size(flows) > 1)
        err = hone_err_new(HONE_E_INVALID,
                           "there are %zu flows: --flow NAME says which (hone flows)",
                           json_array_size(flows));
    else if (!found && name)
        err = hone_err_new(HONE_E_NOT_FOUND, "no flow '%s': hone flows shows those there are",
                           name);
    else if (!found)
        err = hone_err_new(HONE_E_NOT_FOUND,
                           "no flow to ask people with: hone flows create makes one, --predict "
                           "asks nobody");
    if (!hone_failed(err)) {
        hone_arena *arena = hone_remote_arena(a->call->remote);
        const char *kept = hone_arena_strdup(arena,
                                             hone_str_of(hone_field(found, "FlowDefinitionName")));
        a->flow_arn = hone_arena_strdup(arena, hone_str_of(hone_field(found, "FlowDefinitionArn")));
        if (!kept || !a->flow_arn)
            err = hone_err_new(HONE_E_NOMEM, "no memory for a name");
        else
            a->policy = hone_policy_default(hone_str_of(kept));
    }
    json_decref(flows);
    return err;
}

/* ---- one text ---- */

static hone_err start_loop(const asker *a, hone_str text, const hone_decision *d,
                           char name[HONE_ID_SIZE]) {
    hone_id_make(name);
    json_t *content = json_pack("{s:s%, s:{s:s, s:s%, s:f, s:f, s:s}}", "taskObject", text.ptr,
                                text.len, "hone", "endpoint", a->endpoint, "label", d->label.ptr,
                                d->label.len, "score", d->confidence, "threshold",
                                a->policy.threshold, "reason", hone_reason_format(d->reason));
    char *input = content ? json_dumps(content, JSON_COMPACT) : NULL;
    json_decref(content);
    if (!input) return hone_err_new(HONE_E_INVALID, "the text is no valid UTF-8");
    hone_err err = hone_remote_rest(a->call->remote, "POST", "/human-loops",
                                    json_pack("{s:s, s:s, s:{s:s}}", "HumanLoopName", name,
                                              "FlowDefinitionArn", a->flow_arn, "HumanLoopInput",
                                              "InputContent", input),
                                    NULL);
    free(input);
    return err;
}

/* The text on one line and not too long, for a list. */
static void print_text(hone_str text) {
    enum { SHOWN_BYTES = 60 };
    size_t len = text.len < SHOWN_BYTES ? text.len : SHOWN_BYTES;
    while (len > 0 && len < text.len && ((unsigned char)text.ptr[len] & 0xC0) == 0x80) len--;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        putchar(c < ' ' || c == 127 ? '?' : c);
    }
    puts(len < text.len ? "..." : "");
}

static hone_err tell_json(const asker *a, hone_str text, const hone_decision *d, const char *loop) {
    const char *reason = loop ? hone_reason_format(d->reason) : NULL;
    json_t *line = json_pack("{s:s%, s:s%, s:f, s:b, s:s*, s:s*}", "text", text.ptr, text.len,
                             "label", d->label.ptr, d->label.len, "score", d->confidence, "asked",
                             loop != NULL, "reason", reason, "loop", loop);
    int failed = line ? 0 : -1;
    if (line && a->flow_arn)
        failed |= json_object_set_new(line, "threshold", json_real(a->policy.threshold));
    if (!failed) failed |= json_dumpf(line, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(line);
    putchar('\n');
    return failed ? hone_err_new(HONE_E_IO, "write to standard output failed") : HONE_OK;
}

static void tell(const asker *a, hone_str text, const hone_decision *d, const char *loop) {
    const char *sign = d->confidence < a->policy.threshold ? "<" : ">=";
    printf("%-10.*s %.3f", HONE_ARG(d->label), d->confidence);
    if (a->flow_arn) printf(" %s %.3f", sign, a->policy.threshold);
    if (loop)
        printf("  %s, asking in loop %s", d->reason == HONE_REASON_AUDIT ? "for audit" : "unsure",
               loop);
    printf("  ");
    print_text(text);
}

static hone_err handle(asker *a, hone_str text, const json_t *answer) {
    char name[HONE_ID_SIZE];
    const json_t *score = json_object_get(answer, "score");
    hone_str label = hone_str_of(hone_field(answer, "label"));
    if (label.len == 0 || !json_is_number(score))
        return hone_err_new(HONE_E_CORRUPT, "endpoint '%s' answered without label and score",
                            a->endpoint);
    hone_decision d = hone_decision_of(&a->policy, label, json_number_value(score), text);
    const char *loop = NULL;
    a->predicted++;
    if (a->flow_arn && d.action == HONE_ASK) {
        HONE_TRY(start_loop(a, text, &d, name));
        loop = name;
        a->asked++;
    }
    if (a->call->json) return tell_json(a, text, &d, loop);
    tell(a, text, &d, loop);
    return HONE_OK;
}

/* ---- many texts ---- */

/* [{"label", "score"}, ...], one for each text. */
static hone_err predict(const asker *a, const json_t *texts, json_t **out) {
    char path[PATH_BYTES_MAX];
    const char *name = hone_remote_escape(a->call->remote, a->endpoint, false);
    if (!name || strlen(name) > 256)
        return hone_err_new(HONE_E_INVALID, "'%s' is no name of an endpoint", a->endpoint);
    (void)snprintf(path, sizeof path, "/endpoints/%s/invocations", name);
    hone_err err = hone_remote_rest(a->call->remote, "POST", path,
                                    json_pack("{s:O}", "inputs", texts), out);
    if (err.code == HONE_E_NOT_FOUND)
        return hone_err_new(HONE_E_NOT_FOUND,
                            "no endpoint '%s': hone endpoints shows those there are", a->endpoint);
    HONE_TRY(err);
    if (json_array_size(*out) == json_array_size(texts)) return HONE_OK;
    json_decref(*out);
    return hone_err_new(HONE_E_CORRUPT, "endpoint '%s' gave another number of answers",
                        a->endpoint);
}

/* Predict and decide the texts gathered so far, which are dropped. */
static hone_err flush(asker *a, json_t *texts) {
    json_t *answers = NULL, *answer = NULL;
    size_t i = 0;
    if (json_array_size(texts) == 0) return HONE_OK;
    hone_err err = predict(a, texts, &answers);
    if (hone_failed(err)) return err;
    json_array_foreach(answers, i, answer) {
        const json_t *text = json_array_get(texts, i);
        hone_str s = {json_string_value(text), json_string_length(text)};
        if (!hone_failed(err)) err = handle(a, s, answer);
    }
    json_decref(answers);
    (void)json_array_clear(texts); /* an array */
    return err;
}

static hone_err gather(json_t *texts, hone_str line) {
    if (json_array_append_new(texts, json_stringn(line.ptr, line.len)) == 0) return HONE_OK;
    return hone_err_new(HONE_E_INVALID, "a text is no valid UTF-8");
}

static hone_err ask_file(asker *a, json_t *texts, const char *path) {
    hone_lines *lines = NULL;
    hone_str line;
    bool more = false;
    HONE_TRY(hone_lines_open(path, LINE_BYTES_MAX, &lines));
    hone_err err = hone_lines_next(lines, &line, &more);
    while (!hone_failed(err) && more) {
        if (line.len > 0) err = gather(texts, line);
        if (hone_failed(err))
            err = hone_err_wrap(err, "%s, line %zu", path, hone_lines_number(lines));
        if (!hone_failed(err) && json_array_size(texts) == BATCH) err = flush(a, texts);
        if (!hone_failed(err)) err = hone_lines_next(lines, &line, &more);
    }
    hone_lines_close(lines);
    return hone_failed(err) ? err : flush(a, texts);
}

/* ---- the command ---- */

static hone_err ask_all(asker *a, const char *text, const char *file) {
    json_t *texts = json_array();
    if (!texts) return hone_err_new(HONE_E_NOMEM, "no memory for texts");
    hone_err err;
    if (file) {
        err = ask_file(a, texts, file);
        fprintf(stderr, "%zu predicted, %zu asked\n", a->predicted, a->asked);
    } else {
        err = gather(texts, hone_str_of(text));
        if (!hone_failed(err)) err = flush(a, texts);
    }
    json_decref(texts);
    return err;
}

static hone_err ask(hone_verb_call *call) {
    const char *file = NULL, *flow = NULL;
    bool predict_only = false;
    const hone_option options[] = {
        {"flow", "NAME", "whom to ask and when (the only flow there is)", HONE_OPT_STR, &flow,
         false},
        {"file", "FILE", "many texts, one a line; - is standard input", HONE_OPT_STR, &file, false},
        {"predict", NULL, "ask nobody, whatever the confidence", HONE_OPT_FLAG, &predict_only,
         false},
        {0}};
    HONE_TRY(hone_verb_begin(call, options));
    if (!call->remote) return HONE_OK;
    if ((call->word_count == 2) == (file != NULL))
        return hone_err_new(HONE_E_INVALID, "give either a TEXT or --file FILE");
    asker a = {.call = call, .endpoint = call->words[0], .policy = hone_policy_default(HONE_S(""))};
    if (!predict_only) {
        HONE_TRY(find_flow(&a, flow));
        HONE_TRY(read_policy(&a));
    }
    return ask_all(&a, call->words[1], file);
}

hone_err hone_cmd_ask(int argc, char **argv) {
    static const hone_verb verb = {
        "ask",
        ask,
        "ENDPOINT TEXT | ENDPOINT --file FILE",
        "Predict, and ask people where the model is less sure than the flow's threshold.",
        1,
        2};
    return hone_verb_run(&verb, argc, argv);
}
