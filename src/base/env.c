/* env.c: see env.h. */
#include "base/env.h"

#include "base/file.h"
#include "base/str.h"

#include <stdlib.h>

const char *hone_env(const char *name) {
    const char *value = getenv(name);
    return value && value[0] != '\0' ? value : 0;
}

hone_err hone_env_data(hone_arena *arena, const char *flag, const char **out) {
    const char *said = flag ? flag : hone_env("HONE_DATA");
    const char *share = hone_env("XDG_DATA_HOME"), *home = hone_env("HOME");
    if (said)
        *out = hone_arena_strdup(arena, hone_str_of(said));
    else if (share)
        *out = hone_path_join(arena, share, "hone");
    else if (home)
        *out = hone_path_join(arena, home, ".local/share/hone");
    else
        return hone_err_new(HONE_E_INVALID, "no folder for the data: give --data DIR");
    return *out ? HONE_OK : hone_err_new(HONE_E_NOMEM, "no memory for a path");
}
