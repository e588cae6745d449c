/* options.h: the flags of a subcommand, as a table.
 *
 *     static const hone_option options[] = {
 *         {"model", "DIR", "the model folder", HONE_OPT_STR, &args.model, true}, ...
 *         {0}};
 *
 * A flag is --name VALUE or --name=VALUE, or --name alone for HONE_OPT_FLAG. --help prints
 * the table. The first words that are no flags are the positional arguments.
 */
#ifndef HONE_CLI_OPTIONS_H
#define HONE_CLI_OPTIONS_H

#include "base/err.h"
#include "nn/dtype.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum hone_option_kind {
    HONE_OPT_STR,   /* const char * */
    HONE_OPT_SIZE,  /* size_t: a whole number >= 0 */
    HONE_OPT_U64,   /* uint64_t */
    HONE_OPT_FLOAT, /* double, finite */
    HONE_OPT_FLAG,  /* bool */
    HONE_OPT_DTYPE, /* hone_dtype */
} hone_option_kind;

typedef struct hone_option {
    const char *name;
    const char *value_name; /* for --help; NULL for a flag */
    const char *help;       /* NULL: an old name, which --help leaves out */
    hone_option_kind kind;
    void *out; /* its default stays when the flag is absent */
    bool required;
} hone_option;

/* One subcommand, for --help. usage: what follows `hone NAME`. */
typedef struct hone_usage {
    const char *name;
    const char *usage;
    const char *about;
} hone_usage;

/* --dtype of whatever runs a model; the default is f32. */
#define HONE_DTYPE_OPTION(dtype)                                                                 \
    {                                                                                            \
        "dtype", "T", "multiply in f32 (default), bf16, int8 or auto", HONE_OPT_DTYPE, &(dtype), \
            false                                                                                \
    }

/* Parse argv[1..]. Up to positional_max words go to positional, *positional_count says how
 * many. INVALID names the flag. *help_shown = true after --help: the caller then returns. */
HONE_NODISCARD hone_err hone_options_parse(const hone_usage *usage, const hone_option *options,
                                           int argc, char **argv, const char **positional,
                                           size_t positional_max, size_t *positional_count,
                                           bool *help_shown);

#endif
