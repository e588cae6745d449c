/* rows_impl.h: what registry.c and models.c do alike with rows and containers. */
#ifndef HONE_REGISTRY_ROWS_IMPL_H
#define HONE_REGISTRY_ROWS_IMPL_H

#include "registry/registry.h"

enum { HONE_FIELDS_BYTES_MAX = 1 << 20 };

/* Text of a column in the arena, "" for NULL; NULL at the arena's limit. */
const char *hone_registry_text(const hone_rows *rows, int column, hone_arena *arena);

/* In the header for the analyzer's sake: it must see that this is no success. */
static inline hone_err hone_registry_no_memory(void) {
    return hone_err_new(HONE_E_NOMEM, "no memory for rows of the registry");
}

/* value as JSON text in the arena, "{}" for NULL. FULL above HONE_FIELDS_BYTES_MAX. */
HONE_NODISCARD hone_err hone_registry_dump(hone_arena *arena, const json_t *value, const char *what,
                                           const char **out);

/* The s3:// address of a container's model.tar.gz, borrowed from it: ModelDataUrl, or
 * ModelDataSource.S3DataSource. INVALID says what is missing; where names the container. */
HONE_NODISCARD hone_err hone_container_uri(const json_t *container, const char *where,
                                           hone_str *out);

#endif
