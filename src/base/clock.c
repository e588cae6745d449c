/* clock.c: the time of day, which a test may hold still. */
#include "base/clock.h"

#include <stdatomic.h>
#include <stdio.h>

static _Atomic int64_t fixed_ms; /* 0 = real time */

int64_t hone_now_ms(void) {
    int64_t fixed = atomic_load(&fixed_ms);
    if (fixed != 0) return fixed;
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t); /* cannot fail with this clock */
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void hone_now_fix_ms(int64_t ms) { atomic_store(&fixed_ms, ms); }

static void format(int64_t ms, const char *pattern, char out[HONE_TIME_SIZE]) {
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm = {0};
    (void)gmtime_r(&seconds, &tm);
    if (strftime(out, HONE_TIME_SIZE, pattern, &tm) == 0) out[0] = '\0';
}

void hone_time_format(int64_t ms, char out[HONE_TIME_SIZE]) {
    char seconds[HONE_TIME_SIZE];
    format(ms, "%Y-%m-%dT%H:%M:%S", seconds);
    (void)snprintf(out, HONE_TIME_SIZE, "%.20s.%03dZ", seconds, (int)(ms % 1000));
}

void hone_time_format_path(int64_t ms, char out[HONE_TIME_SIZE]) {
    format(ms, "%Y/%m/%d/%H/%M/%S", out);
}
