/* verbs.c: see verbs.h. */
#include "cli/client/verbs.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

hone_err hone_verb_begin(hone_verb_call *call, const hone_option *own) {
    hone_remote_args args = {0};
    const hone_option shared[] = {HONE_REMOTE_OPTIONS(args), {0}};
    hone_option options[HONE_VERB_OPTIONS_MAX] = {0};
    size_t count = 0;
    assert(call->verb->words_max <= HONE_VERB_WORDS_MAX);
    for (const hone_option *o = own; o && o->name; o++) options[count++] = *o;
    for (const hone_option *o = shared; o->name; o++) options[count++] = *o;
    assert(count < HONE_VERB_OPTIONS_MAX); /* one is left to end them */
    hone_usage usage = {call->title, call->verb->usage, call->verb->about};
    bool help_shown = false;
    HONE_TRY(hone_options_parse(&usage, options, call->argc, call->argv, call->words,
                                call->verb->words_max, &call->word_count, &help_shown));
    if (help_shown) return HONE_OK;
    if (call->word_count < call->verb->words_min)
        return hone_err_new(HONE_E_INVALID, "expected: hone %s %s", call->title, call->verb->usage);
    call->json = args.json;
    return hone_remote_open(&args, &call->remote);
}

static hone_err run(const hone_verb *verb, const char *title, int argc, char **argv) {
    hone_verb_call call = {.verb = verb, .title = title, .argc = argc, .argv = argv};
    hone_err err = verb->run(&call);
    hone_remote_close(call.remote);
    return err;
}

hone_err hone_verb_run(const hone_verb *verb, int argc, char **argv) {
    return run(verb, verb->name, argc, argv);
}

static void print_help(const char *command, const char *about, const hone_verb *verbs) {
    printf("usage: hone %s [VERB] ...\n\n%s\n\n", command, about);
    for (const hone_verb *v = verbs; v->name; v++) {
        char line[80];
        (void)snprintf(line, sizeof line, "%s %s", v->name, v->usage);
        printf("  %-34s %s\n", line, v->about);
    }
    printf("\nWithout a verb: %s. hone %s VERB --help shows the verb's flags.\n", verbs->name,
           command);
}

hone_err hone_verbs_run(const char *command, const char *about, const hone_verb *verbs, int argc,
                        char **argv) {
    const char *word = argc > 1 ? argv[1] : NULL;
    if (word && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
        print_help(command, about, verbs);
        return HONE_OK;
    }
    const hone_verb *verb = verbs;
    bool is_named = word && strncmp(word, "--", 2) != 0;
    while (is_named && verb->name && strcmp(verb->name, word) != 0) verb++;
    if (!verb->name)
        return hone_err_new(HONE_E_INVALID, "unknown verb '%s': see hone %s --help", word, command);
    char title[64];
    (void)snprintf(title, sizeof title, "%s %s", command, verb->name);
    return is_named ? run(verb, title, argc - 1, argv + 1) : run(verb, title, argc, argv);
}
