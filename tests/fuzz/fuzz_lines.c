/* Any bytes as a file of lines, plain or gzip: refused with an error, or lines without line ends
 * that together are what a plain file holds. */
#include "base/lines.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LIMIT_BYTES = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The line stands at *at of the file, and its end behind it. */
static void check_plain(hone_str file, size_t *at, hone_str line) {
    if (line.len > file.len - *at || memcmp(file.ptr + *at, line.ptr, line.len) != 0) abort();
    *at += line.len;
    if (*at < file.len && file.ptr[*at] == '\r') ++*at;
    if (*at < file.len && file.ptr[(*at)++] != '\n') abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64];
    hone_lines *lines = NULL;
    hone_str file = {(const char *)data, size}, line = {NULL, 0};
    bool is_gzip = size >= 2 && data[0] == 0x1F && data[1] == 0x8B, more = true;
    size_t at = 0, count = 0;
    int fd = memfd_create("lines", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (hone_failed(hone_lines_open(path, LIMIT_BYTES, &lines))) abort();
    while (more && !hone_failed(hone_lines_next(lines, &line, &more)) && more) {
        if (line.len > LIMIT_BYTES || memchr(line.ptr, '\n', line.len)) abort();
        if (++count != hone_lines_number(lines)) abort();
        if (!is_gzip) check_plain(file, &at, line);
        if (at % 2 == 0) (void)hone_lines_ready(lines);
    }
    if (!more && !is_gzip && at != size) abort();
    hone_lines_close(lines);
    (void)close(fd);
    return 0;
}
