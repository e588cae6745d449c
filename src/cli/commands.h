/* commands.h: the subcommands of hone; main.c has their table. Each takes its own argv
 * (argv[0] is its name) and returns an error to show, or HONE_OK. */
#ifndef HONE_CLI_COMMANDS_H
#define HONE_CLI_COMMANDS_H

#include "base/err.h"

HONE_NODISCARD hone_err hone_cmd_bench(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_embed(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_eval(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_predict(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_tokenize(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_train(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_version(int argc, char **argv);
HONE_NODISCARD hone_err hone_cmd_pull(int argc, char **argv);

#endif
