/* check.h: cmocka, and the few helpers that every unit test uses.
 *
 * A test that cannot run here says why with CHECK_SKIP("reason"); the runner prints and
 * counts it. Reasons that count as an excuse: data of ../shared is absent, root or tmpfs
 * rights are missing, an optional tool is "not installed". Any other is a failure. */
#ifndef HONE_TESTS_CHECK_H
#define HONE_TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Lines appear at once and in order, also those before a crash. */
__attribute__((constructor)) static void check_line_buffering(void) {
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
}

/* Leave the test, telling why it cannot run here: a printf format and its arguments. */
#define CHECK_SKIP(...)      \
    do {                     \
        printf("# skip: ");  \
        printf(__VA_ARGS__); \
        printf("\n");        \
        skip();              \
    } while (0)

/* The call must succeed; its message is shown when it does not. */
#define CHECK_OK(expr)                                                          \
    do {                                                                        \
        hone_err check_err_ = (expr);                                           \
        if (hone_failed(check_err_)) fail_msg("%s: %s", #expr, check_err_.msg); \
    } while (0)

/* The call must fail with this code, and its message must contain this text. */
#define CHECK_FAILS(expr, want_code, want_text)                                                   \
    do {                                                                                          \
        hone_err check_err_ = (expr);                                                             \
        if (!hone_failed(check_err_)) fail_msg("%s: expected a failure", #expr);                  \
        if (check_err_.code != (want_code) || !strstr(check_err_.msg, want_text))                 \
            fail_msg("%s: code %d '%s', expected code %d with '%s'", #expr, (int)check_err_.code, \
                     check_err_.msg, (int)(want_code), want_text);                                \
    } while (0)

/* A path inside tests/golden/ of the source tree. */
#define GOLDEN(path) HONE_SOURCE_DIR "/tests/golden/" path

/* A path inside ../shared (or $HONE_SHARED); skips the test where it is absent. One at a
 * time: the next call overwrites it. */
static inline const char *check_shared(const char *path) {
    static char full[4096];
    const char *shared = getenv("HONE_SHARED");
    if (!shared || !*shared) shared = HONE_SOURCE_DIR "/../shared";
    (void)snprintf(full, sizeof full, "%s/%s", shared, path);
    if (access(full, R_OK) != 0) CHECK_SKIP("../shared/%s is absent", path);
    return full;
}

/* A folder of its own for a test that writes; cleaned by check_rmtree. */
static inline char *check_tmpdir(void) {
    static char path[64];
    (void)snprintf(path, sizeof path, "/tmp/hone-test-XXXXXX");
    if (!mkdtemp(path)) fail_msg("mkdtemp failed");
    return path;
}

static inline void check_rmtree(const char *path) {
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", path);
    if (system(command) != 0) fail_msg("cannot remove %s", path);
}

#endif
