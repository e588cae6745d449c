/* child.c: a child process from fork to its end.
 *
 * Between fork and exec only calls that a signal handler might make are allowed, for other threads
 * of the server may hold any lock at that moment: everything that allocates is done before.
 *
 * The child asks the kernel to kill it when the thread that made it ends. That thread is the
 * jobs' own, which lives as long as the server does. */
#include "jobs/child.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NICENESS = 10, LOCK_TRIES = 500, LOCK_PAUSE_NS = 20000000, EXEC_FAILED = 127 };

static void enter_program(const char *program, char *const *argv, int log_fd, pid_t parent) {
    sigset_t none;
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(EXEC_FAILED); /* it died before prctl could say so */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL); /* the server takes its signals with sigwait */
    int null_fd = open("/dev/null", O_RDONLY);
    if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || dup2(log_fd, STDOUT_FILENO) < 0 ||
        dup2(log_fd, STDERR_FILENO) < 0)
        _exit(EXEC_FAILED);
    (void)close_range(STDERR_FILENO + 1, ~0U, 0);
    if (nice(NICENESS) == -1) errno = 0; /* it runs all the same */
    (void)execv(program, argv);
    _exit(EXEC_FAILED);
}

static hone_err open_log(const char *folder, int *out) {
    char *path = NULL;
    if (asprintf(&path, "%s/log.txt", folder) < 0)
        return hone_err_new(HONE_E_NOMEM, "no memory for a child process");
    *out = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    hone_err err = *out >= 0 ? HONE_OK : hone_file_err("open", path);
    free(path);
    return err;
}

hone_err hone_child_start(const char *program, const char *folder, hone_child *out) {
    char job[] = "job";
    char *name = strdup(program), *place = strdup(folder);
    char *argv[] = {name, job, place, NULL};
    int log_fd = -1;
    hone_err err = HONE_OK;
    if (!name || !place)
        err = hone_err_new(HONE_E_NOMEM, "no memory for a child process");
    else
        err = open_log(folder, &log_fd);
    if (!hone_failed(err)) {
        pid_t parent = getpid(), pid = fork();
        if (pid == 0) enter_program(program, argv, log_fd, parent);
        int pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
        if (pidfd < 0)
            err = hone_err_new(HONE_E_IO, "start a child process: %s", strerror(errno));
        else
            *out = (hone_child){pid, pidfd};
        if (pid > 0 && pidfd < 0) { /* a child that nobody could wait for */
            (void)kill(pid, SIGKILL);
            (void)waitpid(pid, NULL, 0);
        }
    }
    if (log_fd >= 0) (void)close(log_fd); /* the child has its own copy */
    free(name);
    free(place);
    return err;
}

void hone_child_signal(const hone_child *child, int signal) {
    if (child->pidfd < 0) return;
    /* The group exists from the child's setpgid on; before that, the process alone. */
    if (kill(-child->pid, signal) != 0) (void)kill(child->pid, signal);
}

void hone_child_wait(hone_child *child, char *words, size_t size, bool *is_crash, int *status) {
    siginfo_t info = {0};
    /* Leave it a zombie for now: its number still names its group, and what is left of that goes
     * with it. */
    while (waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {}
    (void)kill(-child->pid, SIGKILL);
    while (waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED) != 0 && errno == EINTR) {}
    (void)close(child->pidfd);
    child->pidfd = -1;
    *is_crash = info.si_code != CLD_EXITED;
    *status = *is_crash ? -1 : info.si_status;
    if (*is_crash)
        (void)snprintf(words, size, "killed by signal %d (%s)", info.si_status,
                       strsignal(info.si_status));
    else
        (void)snprintf(words, size, "exit status %d", info.si_status);
}

hone_err hone_child_enter(const char *folder) {
    char *path = NULL;
    if (asprintf(&path, "%s/lock", folder) < 0)
        return hone_err_new(HONE_E_NOMEM, "no memory for a job");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    hone_err err = HONE_OK;
    if (fd < 0) {
        err = hone_file_err("open", path);
    } else {
        /* The child of a server that was killed may still be on its way out. */
        bool locked = false;
        for (int i = 0; i < LOCK_TRIES && !locked; i++) {
            locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
            if (!locked) (void)nanosleep(&(struct timespec){.tv_nsec = LOCK_PAUSE_NS}, NULL);
        }
        if (!locked) {
            (void)close(fd);
            err = hone_err_new(HONE_E_CONFLICT, "another process works in '%s'", folder);
        }
    } /* locked: the descriptor stays open, and the lock with it, until the process ends */
    free(path);
    return err;
}
