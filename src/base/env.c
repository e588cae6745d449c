/* env.c: see env.h. */
#include "base/env.h"

#include <stdlib.h>

const char *hone_env(const char *name) {
    const char *value = getenv(name);
    return value && value[0] != '\0' ? value : 0;
}
