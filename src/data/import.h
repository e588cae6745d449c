/* import.h: jsonl, csv and tsv files read as data sets.
 *
 *     name.jsonl .json .ndjson    a JSON object a line
 *     name.csv                    comma, RFC 4180 quotes
 *     name.tsv                    tab, quotes are literal
 *     any other                   options.delimiter must be given; tab: quotes are literal
 *
 * each also with .gz behind it. Columns are named by the header, or given as numbers from 0:
 * then the file has no header and its first row is data. A JSON label may be a string, a
 * number or a boolean; it is kept as JSON writes it.
 *
 * Text is kept byte for byte (but for its line end); a blank text and an empty label are
 * refused, naming the line: neither can be learnt from, and both mean a broken file.
 */
#ifndef HONE_DATA_IMPORT_H
#define HONE_DATA_IMPORT_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "data/dataset.h"

typedef struct hone_import_options {
    const char *text_column;  /* NULL = "text" */
    const char *label_column; /* NULL = "label" */
    const char *encoding;     /* hone_encoding_parse; NULL = recognise */
    const char *delimiter;    /* one ASCII character, or "tab"; NULL = as the name says */
    const char *delimiter_at; /* where a user gives it, for messages; NULL = nowhere */
} hone_import_options;

/* Read the file at path. INVALID for options that do not fit the
 * file (no such column: the message lists those there are), CORRUPT for a file that breaks its
 * format, FULL above a limit, NOMEM at the arena's. */
HONE_NODISCARD hone_err hone_import_file(hone_arena *arena, const char *path,
                                         const hone_import_options *options, hone_dataset *out);

/* The same from bytes that outlive the data set; name tells the format. */
HONE_NODISCARD hone_err hone_import_bytes(hone_arena *arena, hone_str bytes, const char *name,
                                          const hone_import_options *options, hone_dataset *out);

#endif
