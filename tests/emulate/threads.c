/* threads.c: see threads.h. The kernel itself uses no vector registers: a thread's are saved where
 * another goes on. */
#include "threads.h"

#include "machine.h"

#include <errno.h>
#include <linux/sched.h>
#include <stdbool.h>
#include <stddef.h>

enum { THREADS_MAX = 64, VECTORS_BYTES = 4096, FLAGS = 2 };

typedef struct thread {
    uint8_t vectors[VECTORS_BYTES] __attribute__((aligned(64))); /* as XSAVE has them */
    frame registers;
    uint64_t fs;
    enum { NONE, READY, WAITING } state;
    const uint32_t *waits_on;
    bool has_timeout;
    uint32_t *clear_on_exit;
} thread;

static thread threads[THREADS_MAX];
static size_t now;

_Noreturn void resume(const frame *registers);

static void save_vectors(thread *t) {
    __asm__ volatile("xsave64 %0" : "=m"(t->vectors) : "a"(-1), "d"(-1) : "memory");
}

static void load_vectors(const thread *t) {
    __asm__ volatile("xrstor64 %0" : : "m"(t->vectors), "a"(-1), "d"(-1) : "memory");
}

static void switch_to(size_t next) {
    if (next == now) return;
    if (threads[now].state != NONE) save_vectors(threads + now);
    now = next;
    load_vectors(threads + now);
    machine_set_fs(threads[now].fs);
}

/* The next that can run, itself the last; one that waits for a time only when none else can. */
static void run_another(void) {
    for (size_t i = 1; i <= THREADS_MAX; i++) {
        size_t next = (now + i) % THREADS_MAX;
        if (threads[next].state == READY) {
            switch_to(next);
            return;
        }
    }
    for (size_t i = 1; i <= THREADS_MAX; i++) {
        thread *next = threads + (now + i) % THREADS_MAX;
        if (next->state == WAITING && next->has_timeout) {
            next->state = READY;
            next->registers.result = (uint64_t)-ETIMEDOUT;
            switch_to((size_t)(next - threads));
            return;
        }
    }
    machine_say("\nevery thread waits for another");
    machine_end(255);
}

_Noreturn void threads_begin(uint64_t at, uint64_t stack) {
    threads[0].state = READY;
    threads[0].registers = (frame){.stack = stack, .flags = FLAGS, .next = at};
    resume(&threads[0].registers);
}

frame *threads_running(void) { return &threads[now].registers; }

int64_t threads_clone(const struct clone_args *args) {
    if (!(args->flags & CLONE_THREAD)) return -ENOSYS;
    size_t index = 0;
    while (index < THREADS_MAX && threads[index].state != NONE) index++;
    if (index == THREADS_MAX) return -EAGAIN;
    thread *t = threads + index;
    save_vectors(t);
    t->registers = threads[now].registers;
    t->registers.stack = args->stack + args->stack_size;
    t->registers.result = 0;
    t->fs = args->flags & CLONE_SETTLS ? args->tls : threads[now].fs;
    t->clear_on_exit = NULL;
    t->state = READY;
    if (args->flags & CLONE_CHILD_CLEARTID) t->clear_on_exit = (uint32_t *)args->child_tid;
    if (args->flags & CLONE_CHILD_SETTID) *(uint32_t *)args->child_tid = (uint32_t)index + 1;
    if (args->flags & CLONE_PARENT_SETTID) *(uint32_t *)args->parent_tid = (uint32_t)index + 1;
    return (int64_t)index + 1;
}

int64_t threads_number(void) { return (int64_t)now + 1; }

void threads_set_fs(uint64_t base) {
    threads[now].fs = base;
    machine_set_fs(base);
}

void threads_set_clear_on_exit(uint32_t *at) { threads[now].clear_on_exit = at; }

void threads_yield(void) { run_another(); }

void threads_exit(void) {
    uint32_t *at = threads[now].clear_on_exit;
    threads[now].state = NONE;
    if (at) {
        *at = 0;
        (void)threads_wake(at, 1);
    }
    run_another();
}

int64_t threads_wait(uint32_t *at, uint32_t value, bool has_timeout) {
    if (*at != value) return -EAGAIN;
    thread *t = threads + now;
    t->state = WAITING;
    t->waits_on = at;
    t->has_timeout = has_timeout;
    t->registers.result = 0;
    run_another();
    return (int64_t)t->registers.result; /* its time was up at once where it is the only one */
}

int64_t threads_wake(uint32_t *at, uint64_t most) {
    int64_t woken = 0;
    for (size_t i = 0; i < THREADS_MAX && (uint64_t)woken < most; i++)
        if (threads[i].state == WAITING && threads[i].waits_on == at) {
            threads[i].state = READY;
            woken++;
        }
    return woken;
}
