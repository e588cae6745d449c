/* threads.h: the program's threads, one at a time: the next runs where one waits, wakes another,
 * yields or ends. The order is always the same. */
#ifndef THREADS_H
#define THREADS_H

#include <stdbool.h>
#include <stdint.h>

struct clone_args; /* of Linux */

/* Registers at a system call, in the order of entry.S. */
typedef struct frame {
    uint64_t stack, result; /* which begins as the call's number */
    uint64_t arguments[6];
    uint64_t flags, next, saved[6];
} frame;

_Noreturn void threads_begin(uint64_t at, uint64_t stack);

/* The frame of the thread that is to go on. */
frame *threads_running(void);

int64_t threads_clone(const struct clone_args *args);
int64_t threads_number(void); /* of the running one, from 1 */
void threads_set_fs(uint64_t base);
void threads_set_clear_on_exit(uint32_t *at);

void threads_yield(void);
void threads_exit(void);

/* The running one, until somebody wakes `at`; at once where it does not hold value. */
int64_t threads_wait(uint32_t *at, uint32_t value, bool has_timeout);
int64_t threads_wake(uint32_t *at, uint64_t most);

#endif
