/* env.h: the environment, read in one place so that every variable hone heeds can be found.
 */
#ifndef HONE_BASE_ENV_H
#define HONE_BASE_ENV_H

#include "base/arena.h"
#include "base/err.h"

/* The variable's value, or NULL when it is unset or empty. Borrowed from the environment,
 * which hone never changes. */
const char *hone_env(const char *name);

/* The folder for the server's data, in the arena: flag, else $HONE_DATA, $XDG_DATA_HOME/hone or
 * ~/.local/share/hone. INVALID when nothing says so. */
HONE_NODISCARD hone_err hone_env_data(hone_arena *arena, const char *flag, const char **out);

#endif
