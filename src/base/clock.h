/* clock.h: time that only moves forward, and the time of day.
 */
#ifndef HONE_BASE_CLOCK_H
#define HONE_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t hone_clock_ns(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail with this clock */
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Milliseconds since 1970, UTC. */
int64_t hone_now_ms(void);

/* For tests: from now on it is ms, until the next call; 0 = the real time again. */
void hone_now_fix_ms(int64_t ms);

enum { HONE_TIME_SIZE = 32 }; /* bytes that a formatted time takes at most */

/* "2026-11-24T06:02:59.123Z" */
void hone_time_format(int64_t ms, char out[HONE_TIME_SIZE]);

/* "2026/11/24/06/02/59", as A2I files its output. */
void hone_time_format_path(int64_t ms, char out[HONE_TIME_SIZE]);

#endif
