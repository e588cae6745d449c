/* meter.h: how far a transfer has come, on stderr.
 *
 * On a terminal one line that redraws itself; elsewhere a plain line now and then, so that
 * a log stays readable:
 *
 *     model.safetensors  [=========>          ]  47 %  126.0 of 267.9 MB  23.4 MB/s  0:06 left
 */
#ifndef HONE_CLI_METER_H
#define HONE_CLI_METER_H

#include <stdbool.h>
#include <stdint.h>

typedef struct hone_meter {
    const char *name;    /* borrowed until the end */
    int64_t start_bytes; /* there before this transfer */
    int64_t total_bytes; /* -1: unknown */
    int64_t began_ns;
    int64_t shown_ns;
    bool is_tty;
} hone_meter;

void hone_meter_begin(hone_meter *meter, const char *name, int64_t start_bytes,
                      int64_t total_bytes);
void hone_meter_step(hone_meter *meter, int64_t done_bytes);

/* The last line: the size and the time it took. */
void hone_meter_end(hone_meter *meter, int64_t done_bytes);

/* Leave the terminal on a fresh line for an error message. */
void hone_meter_abort(hone_meter *meter);

#endif
