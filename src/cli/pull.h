/* pull.h: base models by the names that `hone pull` takes. */
#ifndef HONE_CLI_PULL_H
#define HONE_CLI_PULL_H

#include "base/arena.h"
#include "base/err.h"

/* The folder of the hub's model called name, in the arena: the one in the cache, else fetched.
 * Progress on stderr. */
HONE_NODISCARD hone_err hone_pull_model(hone_arena *arena, const char *name, const char **dir);

#endif
