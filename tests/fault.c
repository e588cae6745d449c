/* fault.c: see fault.h. The linker turns `malloc` into __wrap_malloc and __real_malloc into
 * malloc (ld --wrap). */
#include "fault.h"

#include "check.h"

#include <errno.h>
#include <stdatomic.h>

static _Atomic size_t calls_left; /* until the fault; 0 = disarmed, or it has happened */
static atomic_bool hit;

void fault_arm(size_t n) {
    atomic_store(&hit, false);
    atomic_store(&calls_left, n);
}

bool fault_disarm(void) {
    atomic_store(&calls_left, 0);
    return atomic_load(&hit);
}

size_t fault_sweep(fault_case *run, void *ctx) {
    for (size_t n = 1;; n++) {
        fault_arm(n);
        hone_err err = run(ctx);
        if (!fault_disarm()) {
            CHECK_OK(err);
            return n - 1;
        }
        if (err.code != HONE_E_NOMEM && err.code != HONE_E_IO && err.code != HONE_E_FULL)
            fail_msg("call %zu failed, yet the result is code %d '%s'", n, (int)err.code,
                     err.msg ? err.msg : "");
    }
}

size_t fault_sweep_db(fault_case *run, fault_check *check, void *ctx) {
    enum { EACH_MAX = 128, DENSITY = 32 };
    for (size_t n = 1;; n += n < EACH_MAX ? 1 : n / DENSITY) {
        fault_arm(n);
        hone_err err = run(ctx);
        bool is_hit = fault_disarm();
        if (!is_hit) CHECK_OK(err);
        if (hone_failed(err) && err.code != HONE_E_NOMEM && err.code != HONE_E_IO &&
            err.code != HONE_E_FULL)
            fail_msg("call %zu failed, and the result is code %d '%s'", n, (int)err.code, err.msg);
        check(ctx, err);
        if (!is_hit) return n - 1;
    }
}

bool fault_hits(int code) {
    size_t left = atomic_load(&calls_left);
    while (left > 0 && !atomic_compare_exchange_weak(&calls_left, &left, left - 1)) {}
    if (left != 1) return false;
    atomic_store(&hit, true);
    errno = code;
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
ssize_t __real_write(int fd, const void *bytes, size_t size);
int __real_fsync(int fd);
int __real_rename(const char *from, const char *to);

void *__wrap_malloc(size_t size) { return fault_hits(ENOMEM) ? NULL : __real_malloc(size); }

void *__wrap_calloc(size_t count, size_t size) {
    return fault_hits(ENOMEM) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *ptr, size_t size) {
    return fault_hits(ENOMEM) ? NULL : __real_realloc(ptr, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return fault_hits(ENOMEM) ? NULL : __real_aligned_alloc(alignment, size);
}

char *__wrap_strdup(const char *s) { return fault_hits(ENOMEM) ? NULL : __real_strdup(s); }

char *__wrap_strndup(const char *s, size_t n) {
    return fault_hits(ENOMEM) ? NULL : __real_strndup(s, n);
}

int __wrap_asprintf(char **out, const char *fmt, ...) HONE_PRINTF(2, 3);

int __wrap_asprintf(char **out, const char *fmt, ...) {
    if (fault_hits(ENOMEM)) return -1;
    va_list ap;
    va_start(ap, fmt);
    int n = vasprintf(out, fmt, ap);
    va_end(ap);
    return n;
}

ssize_t __wrap_write(int fd, const void *bytes, size_t size) {
    return fault_hits(ENOSPC) ? -1 : __real_write(fd, bytes, size);
}

int __wrap_fsync(int fd) { return fault_hits(ENOSPC) ? -1 : __real_fsync(fd); }

int __wrap_rename(const char *from, const char *to) {
    return fault_hits(ENOSPC) ? -1 : __real_rename(from, to);
}
