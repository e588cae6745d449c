/* stats.h: how an endpoint is doing: how many calls, how many errors, how long they took.
 *
 *     add (any thread, two atomic additions) --> snapshot --> the row | percentiles for people
 *
 * Latencies are counted in buckets that grow by 2^(1/16), 4.4 %: a percentile is wrong by at
 * most half of that, and a bucket is one number, so that histograms of two runs add up.
 *
 * Threads: any. A snapshot taken while calls end may have one part of a call and not the other.
 */
#ifndef HONE_SERVE_STATS_H
#define HONE_SERVE_STATS_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    HONE_STATS_STEPS = 16,                      /* buckets per doubling */
    HONE_STATS_BUCKETS = 26 * HONE_STATS_STEPS, /* from 2 us to 67 s, and what is beyond */
    HONE_STATS_BYTES = 8 * HONE_STATS_BUCKETS,  /* of the histogram in its row */
};

typedef struct hone_stats {
    _Atomic uint64_t texts, tokens;
    _Atomic uint64_t refused;  /* 4xx: the caller's fault */
    _Atomic uint64_t failed;   /* 5xx: ours, a full queue included */
    _Atomic uint64_t answered; /* sum of buckets */
    _Atomic uint64_t buckets[HONE_STATS_BUCKETS];
} hone_stats;

typedef struct hone_stats_view {
    uint64_t invocations; /* answered + refused + failed */
    uint64_t answered, refused, failed, texts, tokens;
    uint64_t buckets[HONE_STATS_BUCKETS];
} hone_stats_view;

void hone_stats_answered(hone_stats *stats, int64_t latency_ns, uint64_t texts, uint64_t tokens);
/* A call answered with this HTTP status, 400 or more. */
void hone_stats_error(hone_stats *stats, int status);

void hone_stats_read(const hone_stats *stats, hone_stats_view *out);
/* Go on from what was kept. */
void hone_stats_write(hone_stats *stats, const hone_stats_view *view);

/* The latency in ms that share (0.5, 0.99) of the answered calls did not exceed; 0 when there
 * are none. */
double hone_stats_percentile_ms(const hone_stats_view *view, double share);

/* The buckets as little-endian bytes, and back; false for bytes of another size. */
void hone_stats_pack(const hone_stats_view *view, unsigned char out[HONE_STATS_BYTES]);
bool hone_stats_unpack(hone_str bytes, hone_stats_view *view);

#endif
