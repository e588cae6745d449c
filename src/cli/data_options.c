/* data_options.c: see data_options.h. */
#include "cli/data_options.h"

#include <stdio.h>

hone_err hone_data_open(hone_arena *arena, const char *path, const hone_import_options *import,
                        hone_dataset *out) {
    hone_import_options options = *import;
    options.delimiter_at = "--delimiter";
    HONE_TRY(hone_import_file(arena, path, &options, out));
    if (out->recognised)
        fprintf(stderr, "'%s' is no UTF-8: read as %s (--encoding says otherwise)\n", path,
                out->recognised);
    return HONE_OK;
}
