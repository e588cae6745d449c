/* log.c: a line is made whole, then written with one call. */
#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { LINE_SIZE = 1024 };

void hone_log(const char *fmt, ...) {
    char line[LINE_SIZE], words[LINE_SIZE - HONE_TIME_SIZE - 2], now[HONE_TIME_SIZE];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(words, sizeof words, fmt, args);
    va_end(args);
    for (char *c = words; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F) *c = '?';
    hone_time_format(hone_now_ms(), now);
    int len = snprintf(line, sizeof line, "%s %s\n", now, words);
    (void)!write(STDERR_FILENO, line, (size_t)len); /* nobody to tell when stderr is gone */
}
