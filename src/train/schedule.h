/* schedule.h: the learning rate of every step: linear warm-up, then linear decay to 0.
 *
 *     lr |    /\
 *        |   /   \            the first step has 0 when there is a warm-up
 *        |  /      \
 *        |_/_________\__ step
 *          warmup     total
 *
 * The same figures as transformers.get_linear_schedule_with_warmup.
 */
#ifndef HONE_TRAIN_SCHEDULE_H
#define HONE_TRAIN_SCHEDULE_H

#include <stddef.h>

/* Steps of warm-up: `warmup` itself from 1 upwards, below it a share of total, rounded up. */
static inline size_t hone_schedule_warmup(double warmup, size_t total) {
    if (warmup >= 1) return (size_t)warmup;
    double share = warmup * (double)total;
    size_t whole = (size_t)share;
    return whole + ((double)whole < share);
}

/* What to multiply the peak rate by at step, from 0. */
static inline double hone_schedule_factor(size_t step, size_t warmup, size_t total) {
    if (step < warmup) return (double)step / (double)warmup;
    if (step >= total) return 0;
    return (double)(total - step) / (double)(total > warmup ? total - warmup : 1);
}

#endif
