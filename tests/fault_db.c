/* fault_db.c: the faults of fault.h inside SQLite. Its allocator is replaced by one in this
 * program, whose calls the linker wraps; the system calls that it writes with are defined here,
 * and a program's own symbols go before those of the C library also for shared libraries. */
#include "fault.h"

#include <errno.h>
#include <malloc.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SEEN_BY_LIBRARIES __attribute__((visibility("default")))

static void *mem_malloc(int size) { return malloc((size_t)size); }
static void mem_free(void *ptr) { free(ptr); }
static void *mem_realloc(void *ptr, int size) { return realloc(ptr, (size_t)size); }
static int mem_size(void *ptr) { return (int)malloc_usable_size(ptr); }
static int mem_roundup(int size) { return (size + 7) & ~7; }
static int mem_init(void *arg) {
    (void)arg;
    return SQLITE_OK;
}
static void mem_shutdown(void *arg) { (void)arg; }

/* Before SQLite starts, which it does with the first database. */
__attribute__((constructor)) static void replace_allocator(void) {
    static const sqlite3_mem_methods methods = {mem_malloc,  mem_free, mem_realloc,  mem_size,
                                                mem_roundup, mem_init, mem_shutdown, NULL};
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK) abort();
}

SEEN_BY_LIBRARIES ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
    return fault_hits(ENOSPC) ? -1 : syscall(SYS_pwrite64, fd, bytes, size, at);
}

SEEN_BY_LIBRARIES int ftruncate64(int fd, off64_t size) {
    return fault_hits(ENOSPC) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

SEEN_BY_LIBRARIES int fdatasync(int fd) {
    return fault_hits(EIO) ? -1 : (int)syscall(SYS_fdatasync, fd);
}
