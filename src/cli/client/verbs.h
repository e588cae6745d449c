/* verbs.h: commands of two words, `hone models approve`: one table per command.
 *
 *     static const hone_verb verbs[] = {
 *         {"list", list, "[GROUP]", "versions, the newest first", 0, 1}, ...
 *         {0}};
 *
 *     static hone_err list(hone_verb_call *call) {
 *         const char *status = NULL;
 *         const hone_option options[] = {{"status", ..., &status, false}, {0}};
 *         HONE_TRY(hone_verb_begin(call, options));
 *         if (!call->remote) return HONE_OK;   --help was shown
 *         ...
 *
 * The first verb of a table is what the command does without one.
 */
#ifndef HONE_CLI_CLIENT_VERBS_H
#define HONE_CLI_CLIENT_VERBS_H

#include "base/err.h"
#include "cli/client/remote.h"
#include "cli/options.h"

enum { HONE_VERB_WORDS_MAX = 64, HONE_VERB_OPTIONS_MAX = 16 };

typedef struct hone_verb hone_verb;

/* One call of a verb. */
typedef struct hone_verb_call {
    const hone_verb *verb;
    const char *title; /* "models approve" */
    int argc;
    char **argv; /* argv[0] is the verb */

    /* From begin on: */
    hone_remote *remote; /* open; NULL when --help was shown. Closed after the verb has run */
    bool json;
    const char *words[HONE_VERB_WORDS_MAX];
    size_t word_count;
} hone_verb_call;

struct hone_verb {
    const char *name;
    hone_err (*run)(hone_verb_call *call);
    const char *usage; /* what follows the verb */
    const char *about;
    size_t words_min, words_max;
};

/* Parse the verb's own options and those of every client command, open the server. */
HONE_NODISCARD hone_err hone_verb_begin(hone_verb_call *call, const hone_option *options);

/* Run the verb that argv[1] names. */
HONE_NODISCARD hone_err hone_verbs_run(const char *command, const char *about,
                                       const hone_verb *verbs, int argc, char **argv);

/* A command of one word. */
HONE_NODISCARD hone_err hone_verb_run(const hone_verb *verb, int argc, char **argv);

#endif
