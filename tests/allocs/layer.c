/* layer.c: who allocates. Loaded into a program (LD_PRELOAD), it counts calls of malloc and its like by
 * the library that made them, and writes the counts since the last time at SIGUSR2:
 *
 *     HONE_ALLOCS=/path/file LD_PRELOAD=build/tests/allocs/liballocs_layer.so hone serve ...
 *     kill -USR2 PID; cat /path/file     # "12 /usr/lib/.../libmicrohttpd.so.12", a line a library
 *
 * strdup and strndup count for who called them. The file appears whole. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define CALLER __builtin_return_address(0)

/* glibc's own, under names that nobody takes over. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *ptr, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

enum { PLACES = 8192, LIBRARIES = 64 };

/* Addresses that called, by hash; more than there is room for are not seen in any program here. */
static struct place {
    _Atomic(void *) address;
    atomic_ulong count;
} places[PLACES];

static void note(void *address) {
    size_t at = ((size_t)address >> 2) % PLACES;
    for (size_t tries = 0; tries < PLACES; tries++, at = (at + 1) % PLACES) {
        void *there = NULL;
        if (atomic_compare_exchange_strong(&places[at].address, &there, address) ||
            there == address) {
            atomic_fetch_add(&places[at].count, 1);
            return;
        }
    }
}

EXPORT void *malloc(size_t size) {
    note(CALLER);
    return __libc_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size) {
    note(CALLER);
    return __libc_calloc(count, size);
}

EXPORT void *realloc(void *ptr, size_t size) {
    note(CALLER);
    return __libc_realloc(ptr, size);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size) {
    note(CALLER);
    return __libc_memalign(alignment, size);
}

EXPORT int posix_memalign(void **out, size_t alignment, size_t size) {
    note(CALLER);
    void *ptr = __libc_memalign(alignment, size);
    if (!ptr) return ENOMEM;
    *out = ptr;
    return 0;
}

static char *copy(const char *text, size_t len) {
    char *out = __libc_malloc(len + 1);
    if (!out) return NULL;
    memcpy(out, text, len);
    out[len] = '\0';
    return out;
}

EXPORT char *strdup(const char *text) {
    note(CALLER);
    return copy(text, strlen(text));
}

EXPORT char *strndup(const char *text, size_t most) {
    note(CALLER);
    return copy(text, strnlen(text, most));
}

/* In a signal handler: nothing here allocates, and dladdr is only asked about loaded code. */
static void write_counts(int signal) {
    (void)signal;
    struct {
        const char *name;
        unsigned long count;
    } libraries[LIBRARIES];
    size_t used = 0;
    for (size_t i = 0; i < PLACES; i++) {
        unsigned long count = atomic_exchange(&places[i].count, 0);
        Dl_info info;
        if (count == 0) continue;
        const char *name = dladdr(places[i].address, &info) ? info.dli_fname : "?";
        size_t at = 0;
        while (at < used && strcmp(libraries[at].name, name) != 0) at++;
        if (at == used && used < LIBRARIES) {
            libraries[used].name = name;
            libraries[used++].count = 0;
        }
        if (at < used) libraries[at].count += count;
    }
    char path[4096], partial[4096 + 8], line[4096 + 32];
    (void)snprintf(path, sizeof path, "%s", getenv("HONE_ALLOCS"));
    (void)snprintf(partial, sizeof partial, "%s.new", path);
    int fd = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) abort(); /* a count that is missing would make the test a lie */
    for (size_t i = 0; i < used; i++) {
        int len = snprintf(line, sizeof line, "%lu %s\n", libraries[i].count, libraries[i].name);
        if (write(fd, line, (size_t)len) != len) abort();
    }
    (void)close(fd);
    if (rename(partial, path) != 0) abort();
}

__attribute__((constructor)) static void begin(void) {
    if (!getenv("HONE_ALLOCS")) return;
    struct sigaction action = {.sa_handler = write_counts, .sa_flags = SA_RESTART};
    (void)sigaction(SIGUSR2, &action, NULL);
}
