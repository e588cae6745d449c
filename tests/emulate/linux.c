/* linux.c: the system calls that a test program and its loader make, of one process that reads
 * files and writes text. What is not here is refused and said. */
#include "files.h"
#include "layout.h"
#include "machine.h"
#include "memory.h"
#include "program.h"
#include "threads.h"

#include <asm/prctl.h>
#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>

enum { FD_FIRST = 3, FD_COUNT = 64, BILLION = 1000000000 };

/* Open files; file 0 is no file of the program's. */
static struct {
    int index;
    uint64_t offset;
} opened[FD_COUNT];

static bool is_text(uint64_t fd) { return fd == 1 || fd == 2; }

static bool is_open(uint64_t fd) { return fd >= FD_FIRST && fd < FD_COUNT && opened[fd].index; }

static int64_t open_file(const uint64_t *a) {
    const char *path = (const char *)a[1];
    if ((a[2] & O_ACCMODE) != O_RDONLY) return -EROFS;
    int index = files_find(path);
    if (index == NO_FILE) return -ENOENT;
    if (index == A_FOLDER) return -EACCES; /* none is listed */
    for (int fd = FD_FIRST; fd < FD_COUNT; fd++)
        if (!opened[fd].index) {
            opened[fd].index = index;
            opened[fd].offset = 0;
            return fd;
        }
    return -EMFILE;
}

static int64_t read_at(uint64_t fd, void *to, uint64_t size, uint64_t offset) {
    if (!is_open(fd)) return fd == 0 ? 0 : -EBADF;
    file f = files_get(opened[fd].index);
    if (offset >= f.size) return 0;
    if (size > f.size - offset) size = f.size - offset;
    memcpy(to, f.data + offset, size);
    return (int64_t)size;
}

static int64_t read_next(const uint64_t *a) {
    int64_t got = read_at(a[0], (void *)a[1], a[2], a[0] < FD_COUNT ? opened[a[0]].offset : 0);
    if (got > 0) opened[a[0]].offset += (uint64_t)got;
    return got;
}

static int64_t seek(const uint64_t *a) {
    if (!is_open(a[0])) return is_text(a[0]) ? -ESPIPE : -EBADF;
    uint64_t from = a[2] == 0   ? 0
                    : a[2] == 1 ? opened[a[0]].offset
                                : files_get(opened[a[0]].index).size;
    return (int64_t)(opened[a[0]].offset = from + a[1]);
}

static int64_t write_texts(const uint64_t *a) {
    const struct iovec *parts = (const struct iovec *)a[1];
    int64_t sum = 0;
    if (!is_text(a[0])) return -EBADF;
    for (uint64_t i = 0; i < a[2]; i++) {
        machine_write(parts[i].iov_base, parts[i].iov_len);
        sum += (int64_t)parts[i].iov_len;
    }
    return sum;
}

static int64_t stat_of(int index, mode_t kind, struct stat *to) {
    memset(to, 0, sizeof *to);
    to->st_mode = kind | 0555;
    to->st_dev = 1;
    to->st_ino = (ino_t)index;
    to->st_nlink = 1;
    to->st_blksize = PAGE;
    to->st_size = index ? (off_t)files_get(index).size : 0;
    return 0;
}

/* Of an open file, or, with a path, of that. */
static int64_t stat_call(uint64_t fd, const char *path, void *to) {
    if (path && *path) {
        int index = files_find(path);
        if (index == NO_FILE) return -ENOENT;
        return stat_of(index, index == A_FOLDER ? S_IFDIR : S_IFREG, to);
    }
    if (is_open(fd)) return stat_of(opened[fd].index, S_IFREG, to);
    return fd < FD_FIRST ? stat_of(0, S_IFIFO, to) : -EBADF;
}

static int64_t map(const uint64_t *a) {
    uint64_t at = a[0], size = page_up(a[1]);
    bool is_file = !(a[3] & MAP_ANONYMOUS);
    if (is_file && !is_open(a[4])) return -EBADF;
    if (a[3] & MAP_FIXED) {
        if (!memory_is_mapped(at, size)) return -ENOMEM;
        memset((void *)at, 0, size);
    } else {
        at = memory_map(size);
        if (!at) return -ENOMEM;
    }
    if (is_file) {
        int64_t got = read_at(a[4], (void *)at, size, a[5]);
        if (got < 0) return got;
    }
    return (int64_t)at;
}

static int64_t thread_pointer(const uint64_t *a) {
    if (a[0] != ARCH_SET_FS) return -EINVAL;
    threads_set_fs(a[1]);
    return 0;
}

/* One tick is taken for a nanosecond: nothing here looks at how long anything takes. */
static int64_t tell_time(const uint64_t *a) {
    struct timespec *to = (struct timespec *)a[1];
    to->tv_sec = (time_t)(machine_ticks() / BILLION);
    to->tv_nsec = (long)(machine_ticks() % BILLION);
    return 0;
}

static int64_t tell_name(const uint64_t *a) {
    struct utsname *to = (struct utsname *)a[0];
    memset(to, 0, sizeof *to);
    memcpy(to->sysname, "Linux", 6);
    memcpy(to->release, "6.1.0", 6);
    memcpy(to->machine, "x86_64", 7);
    return 0;
}

static int64_t tell_processors(const uint64_t *a) {
    if (a[1] < sizeof(uint64_t)) return -EINVAL;
    *(uint64_t *)a[2] = 1;
    return sizeof(uint64_t);
}

static int64_t give_random(const uint64_t *a) {
    static uint64_t state = 0x9E3779B97F4A7C15;
    for (uint64_t i = 0; i < a[1]; i++) {
        state = state * 6364136223846793005 + 1442695040888963407;
        ((char *)a[0])[i] = (char)(state >> 56);
    }
    return (int64_t)a[1];
}

static int64_t write_text(const uint64_t *a) {
    const struct iovec one = {(void *)a[1], a[2]};
    return write_texts((const uint64_t[]){a[0], (uint64_t)&one, 1});
}

static int64_t read_there(const uint64_t *a) { return read_at(a[0], (void *)a[1], a[2], a[3]); }

static int64_t close_file(const uint64_t *a) {
    if (is_open(a[0])) opened[a[0]].index = 0;
    return 0;
}

static int64_t stat_open(const uint64_t *a) { return stat_call(a[0], NULL, (void *)a[1]); }

static int64_t stat_path(const uint64_t *a) {
    return stat_call(a[0], (const char *)a[1], (void *)a[2]);
}

static int64_t is_there(const uint64_t *a) {
    return files_find((const char *)a[0]) == NO_FILE ? -ENOENT : 0;
}

static int64_t move_heap(const uint64_t *a) { return (int64_t)memory_brk(a[0]); }

static int64_t unmap(const uint64_t *a) {
    memory_unmap(a[0], a[1]);
    return 0;
}

static int64_t clone(const uint64_t *a) { return threads_clone((const struct clone_args *)a[0]); }

static int64_t tell_thread(const uint64_t *a) {
    (void)a;
    return threads_number();
}

static int64_t tell_process(const uint64_t *a) {
    (void)a;
    return 1;
}

static int64_t clear_on_exit(const uint64_t *a) {
    threads_set_clear_on_exit((uint32_t *)a[0]);
    return threads_number();
}

static int64_t yield(const uint64_t *a) {
    (void)a;
    threads_yield();
    return 0;
}

static int64_t end_thread(const uint64_t *a) {
    (void)a;
    threads_exit();
    return 0;
}

static int64_t end(const uint64_t *a) { machine_end(a[0]); }

static int64_t end_by_signal(const uint64_t *a) { machine_end(128 + a[2]); }

/* Who is woken goes on at once: so threads take turns. */
static int64_t futex(const uint64_t *a) {
    uint32_t *at = (uint32_t *)a[0];
    switch (a[1] & FUTEX_CMD_MASK) {
    case FUTEX_WAIT:
    case FUTEX_WAIT_BITSET:
        return threads_wait(at, (uint32_t)a[2], a[3] != 0);
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET: {
        int64_t woken = threads_wake(at, a[2]);
        if (woken > 0) threads_yield();
        return woken;
    }
    default:
        return -ENOSYS;
    }
}

static int64_t done(const uint64_t *a) {
    (void)a;
    return 0;
}

static int64_t no_such_file(const uint64_t *a) {
    (void)a;
    return -ENOENT;
}

static int64_t no_terminal(const uint64_t *a) {
    (void)a;
    return -ENOTTY;
}

static int64_t no_memory(const uint64_t *a) {
    (void)a;
    return -ENOMEM;
}

static int64_t no_such_call(const uint64_t *a) {
    (void)a;
    return -ENOSYS;
}

static int64_t (*const CALLS[])(const uint64_t *a) = {
    [__NR_read] = read_next,
    [__NR_pread64] = read_there,
    [__NR_write] = write_text,
    [__NR_writev] = write_texts,
    [__NR_openat] = open_file,
    [__NR_close] = close_file,
    [__NR_lseek] = seek,
    [__NR_fstat] = stat_open,
    [__NR_newfstatat] = stat_path,
    [__NR_access] = is_there,
    [__NR_readlink] = no_such_file,
    [__NR_ioctl] = no_terminal,
    [__NR_brk] = move_heap,
    [__NR_mmap] = map,
    [__NR_munmap] = unmap,
    [__NR_mremap] = no_memory, /* the allocator copies */
    [__NR_mprotect] = done,
    [__NR_madvise] = done,
    [__NR_rt_sigaction] = done,
    [__NR_rt_sigprocmask] = done,
    [__NR_set_robust_list] = done,
    [__NR_rseq] = no_such_call,
    [__NR_prlimit64] = no_such_call,
    [__NR_clone3] = clone,
    [__NR_futex] = futex,
    [__NR_sched_yield] = yield,
    [__NR_exit] = end_thread,
    [__NR_exit_group] = end,
    [__NR_tgkill] = end_by_signal,
    [__NR_getpid] = tell_process,
    [__NR_gettid] = tell_thread,
    [__NR_set_tid_address] = clear_on_exit,
    [__NR_arch_prctl] = thread_pointer,
    [__NR_clock_gettime] = tell_time,
    [__NR_gettimeofday] = no_such_call,
    [__NR_uname] = tell_name,
    [__NR_sched_getaffinity] = tell_processors,
    [__NR_getrandom] = give_random,
};

frame *system_call(frame *caller);

frame *system_call(frame *caller) {
    uint64_t number = caller->result;
    if (number < sizeof CALLS / sizeof CALLS[0] && CALLS[number]) {
        caller->result = (uint64_t)CALLS[number](caller->arguments);
        return threads_running();
    }
    machine_say("# system call ");
    machine_say_number(number);
    machine_say(" is not served\n");
    caller->result = (uint64_t)-ENOSYS;
    return caller;
}

_Noreturn void kernel(void);

_Noreturn void kernel(void) {
    machine_init();
    files_load();
    memory_init(files_end());
    program_run();
}
