/* data_options.h: the flags that say how to read a data file, and the reading: the same for
 * `hone train`, `hone eval` and `hone import`. */
#ifndef HONE_CLI_DATA_OPTIONS_H
#define HONE_CLI_DATA_OPTIONS_H

#include "cli/options.h"
#include "data/import.h"

/* Rows for a table of hone_option; import is a hone_import_options. */
/* clang-format off */
#define HONE_DATA_OPTIONS(import)                                                                  \
    {"text-column", "NAME", "column or key of the text, default text; with numbers from 0 the "    \
     "file has no header", HONE_OPT_STR, &(import).text_column, false},                            \
    {"label-column", "NAME", "column or key of the label, default label", HONE_OPT_STR,            \
     &(import).label_column, false},                                                               \
    {"delimiter", "CHAR", "between columns, or tab; default: , in .csv, tab in .tsv (tab: quotes " \
     "are literal)", HONE_OPT_STR, &(import).delimiter, false},                                    \
    {"encoding", "NAME", "utf-8, cp1252 or latin-1; default: utf-8, else cp1252", HONE_OPT_STR,    \
     &(import).encoding, false}
/* clang-format on */

/* Read path; says on stderr when the file is not UTF-8 and what it was taken for. */
HONE_NODISCARD hone_err hone_data_open(hone_arena *arena, const char *path,
                                       const hone_import_options *import, hone_dataset *out);

#endif
