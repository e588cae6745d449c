/* id.c: the system's random source, as bytes and as names. */
#include "base/id.h"

#include <stdlib.h>
#include <sys/random.h>

void hone_random_bytes(void *out, size_t size) {
    char *at = out;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0) continue; /* EINTR is the only error with these arguments */
        at += got;
        size -= (size_t)got;
    }
}

void hone_id_make(char out[HONE_ID_SIZE]) {
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[(HONE_ID_SIZE - 1) / 2];
    hone_random_bytes(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[HONE_ID_SIZE - 1] = '\0';
}
