/* child.h: one child process of the server, and what a child does first.
 *
 * Server's side: start, signal, wait through a descriptor (pidfd).
 * Child's side: hone_child_enter, before anything else.
 */
#ifndef HONE_JOBS_CHILD_H
#define HONE_JOBS_CHILD_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

typedef struct hone_child {
    pid_t pid;
    int pidfd; /* readable once it has ended; -1 = no child */
} hone_child;

/* Run `program job FOLDER` with output to FOLDER/log.txt (appended), nothing on stdin, niced, in
 * a process group of its own, killed when this process dies. IO, NOMEM. */
HONE_NODISCARD hone_err hone_child_start(const char *program, const char *folder, hone_child *out);
/* Send signal to the child and what it started. Nothing once it has ended. */
void hone_child_signal(const hone_child *child, int signal);
/* How it ended, in words: "exit status 1", "killed by signal 9 (Killed)". Waits for the end. Closes pidfd.
 * *is_crash: a signal ended it. *status: its exit status, -1 after a crash. */
void hone_child_wait(hone_child *child, char *words, size_t size, bool *is_crash, int *status);

/* In the child: lock FOLDER/lock for the life of the process. CONFLICT when another process works there. */
HONE_NODISCARD hone_err hone_child_enter(const char *folder);

#endif
