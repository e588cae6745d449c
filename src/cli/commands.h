/* commands.h: the subcommands of hone; main.c has their table. Each takes its own argv
 * (argv[0] is its name) and returns an error to show, or HONE_OK. */
#ifndef HONE_CLI_COMMANDS_H
#define HONE_CLI_COMMANDS_H

#include "base/err.h"

HONE_NODISCARD hone_err hone_cmd_bench(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_embed(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_eval(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_job(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_merge(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_predict(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_tokenize(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_serve(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_train(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_version(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_pull(int argc, char **argv);
/* Clients of a running server: cli/client/. */
HONE_NODISCARD hone_err hone_cmd_ask(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_deploy(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_endpoints(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_flows(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_import(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_loops(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_models(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_review(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_run(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_runs(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_teams(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_undeploy(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_users(int argc, char **argv);

#endif
