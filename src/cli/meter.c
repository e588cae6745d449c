/* meter.c: see meter.h. */
#include "cli/meter.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const int64_t TTY_EVERY_NS = INT64_C(100) * 1000000;  /* smooth to the eye */
static const int64_t LOG_EVERY_NS = 5 * INT64_C(1000000000); /* few lines for a log */
static const double MB = 1e6;

enum { BAR_WIDTH = 20 };

void hone_meter_begin(hone_meter *meter, const char *name, int64_t start_bytes,
                      int64_t total_bytes) {
    int64_t now_ns = hone_clock_ns();
    *meter = (hone_meter){.name = name,
                          .start_bytes = start_bytes,
                          .total_bytes = total_bytes,
                          .began_ns = now_ns,
                          .shown_ns = now_ns,
                          .is_tty = isatty(STDERR_FILENO) == 1};
}

static void print_bar(int64_t done_bytes, int64_t total_bytes) {
    char bar[BAR_WIDTH + 1];
    int64_t filled = done_bytes >= total_bytes ? BAR_WIDTH : BAR_WIDTH * done_bytes / total_bytes;
    memset(bar, ' ', BAR_WIDTH);
    memset(bar, '=', (size_t)filled);
    if (filled < BAR_WIDTH) bar[filled] = '>';
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "  [%s]", bar);
}

static void print_time_left(double seconds) {
    if (seconds < 100.0 * 3600.0)
        fprintf(stderr, "  %d:%02d left", (int)seconds / 60, (int)seconds % 60);
}

void hone_meter_step(hone_meter *meter, int64_t done_bytes) {
    int64_t now_ns = hone_clock_ns();
    if (now_ns - meter->shown_ns < (meter->is_tty ? TTY_EVERY_NS : LOG_EVERY_NS)) return;
    meter->shown_ns = now_ns;
    double seconds = (double)(now_ns - meter->began_ns) / 1e9;
    double rate = (double)(done_bytes - meter->start_bytes) / seconds;
    fprintf(stderr, "%s%s", meter->is_tty ? "\r" : "", meter->name);
    if (meter->total_bytes > 0) {
        if (meter->is_tty) print_bar(done_bytes, meter->total_bytes);
        fprintf(stderr, "  %d %%  %.1f of %.1f MB",
                (int)(100.0 * (double)done_bytes / (double)meter->total_bytes),
                (double)done_bytes / MB, (double)meter->total_bytes / MB);
    } else {
        fprintf(stderr, "  %.1f MB", (double)done_bytes / MB);
    }
    fprintf(stderr, "  %.1f MB/s", rate / MB);
    if (meter->total_bytes >= done_bytes && rate > 0.0)
        print_time_left((double)(meter->total_bytes - done_bytes) / rate);
    fputs(meter->is_tty ? "\033[K" : "\n", stderr); /* rubs out the rest of a longer line */
}

void hone_meter_end(hone_meter *meter, int64_t done_bytes) {
    double seconds = (double)(hone_clock_ns() - meter->began_ns) / 1e9;
    fprintf(stderr, "%s%s  %.1f MB in %.1f s%s\n", meter->is_tty ? "\r" : "", meter->name,
            (double)(done_bytes - meter->start_bytes) / MB, seconds, meter->is_tty ? "\033[K" : "");
}

void hone_meter_abort(hone_meter *meter) {
    if (meter->is_tty) fputc('\n', stderr);
}
