/* stats.c: see stats.h. Bucket b holds latencies in [2 us * 2^(b/16), 2 us * 2^((b+1)/16)). */
#include "serve/stats.h"

#include <math.h>
#include <stdatomic.h>

static const double first_ns = 2000.0;

static void add(_Atomic uint64_t *counter, uint64_t n) {
    (void)atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static size_t bucket_of(int64_t latency_ns) {
    double at = log2((double)latency_ns / first_ns) * HONE_STATS_STEPS;
    if (!(at > 0.0)) return 0; /* also for a clock that stood still */
    return at < HONE_STATS_BUCKETS - 1 ? (size_t)at : HONE_STATS_BUCKETS - 1;
}

void hone_stats_answered(hone_stats *stats, int64_t latency_ns, uint64_t texts, uint64_t tokens) {
    add(&stats->answered, 1);
    add(&stats->texts, texts);
    add(&stats->tokens, tokens);
    add(&stats->buckets[bucket_of(latency_ns)], 1);
}

void hone_stats_error(hone_stats *stats, int status) {
    add(status < 500 ? &stats->refused : &stats->failed, 1);
}

void hone_stats_read(const hone_stats *stats, hone_stats_view *out) {
    out->answered = get(&stats->answered);
    out->refused = get(&stats->refused);
    out->failed = get(&stats->failed);
    out->texts = get(&stats->texts);
    out->tokens = get(&stats->tokens);
    out->invocations = out->answered + out->refused + out->failed;
    for (size_t i = 0; i < HONE_STATS_BUCKETS; i++) out->buckets[i] = get(&stats->buckets[i]);
}

void hone_stats_write(hone_stats *stats, const hone_stats_view *view) {
    atomic_store(&stats->answered, view->answered);
    atomic_store(&stats->refused, view->refused);
    atomic_store(&stats->failed, view->failed);
    atomic_store(&stats->texts, view->texts);
    atomic_store(&stats->tokens, view->tokens);
    for (size_t i = 0; i < HONE_STATS_BUCKETS; i++)
        atomic_store(&stats->buckets[i], view->buckets[i]);
}

double hone_stats_percentile_ms(const hone_stats_view *view, double share) {
    uint64_t total = 0, seen = 0;
    for (size_t i = 0; i < HONE_STATS_BUCKETS; i++) total += view->buckets[i];
    if (total == 0) return 0.0;
    uint64_t rank = (uint64_t)ceil(share * (double)total);
    if (rank == 0) rank = 1;
    size_t i = 0;
    while (i < HONE_STATS_BUCKETS - 1 && (seen += view->buckets[i]) < rank) i++;
    /* the middle of the bucket, on the scale on which buckets are equal */
    return first_ns * exp2(((double)i + 0.5) / HONE_STATS_STEPS) / 1e6;
}

void hone_stats_pack(const hone_stats_view *view, unsigned char out[HONE_STATS_BYTES]) {
    for (size_t i = 0; i < HONE_STATS_BUCKETS; i++)
        for (size_t b = 0; b < 8; b++) out[8 * i + b] = (unsigned char)(view->buckets[i] >> 8 * b);
}

bool hone_stats_unpack(hone_str bytes, hone_stats_view *view) {
    if (bytes.len != HONE_STATS_BYTES) return false;
    for (size_t i = 0; i < HONE_STATS_BUCKETS; i++) {
        view->buckets[i] = 0;
        for (size_t b = 0; b < 8; b++)
            view->buckets[i] |= (uint64_t)(unsigned char)bytes.ptr[8 * i + b] << 8 * b;
    }
    return true;
}
