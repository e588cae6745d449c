/* Any bytes as a credentials file: refused with an error, or values without spaces. */
#include "cli/client/credentials.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *value) {
    if (value && (*value == '\0' || strpbrk(value, " \t\r\n"))) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    hone_arena *arena = NULL;
    hone_credentials found;
    if (hone_failed(hone_arena_create(1 << 20, &arena))) return 0;
    hone_str bytes = {(const char *)data, size};
    if (!hone_failed(hone_credentials_parse(arena, bytes, "input", &found))) {
        check(found.key_id);
        check(found.secret);
        check(found.endpoint_url);
    }
    hone_arena_destroy(arena);
    return 0;
}
