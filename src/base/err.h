/* err.h: the one error type of the project.
 *
 * A hone_err is a value of two words: a code to branch on and a sentence to
 * show. It comes back in registers and is never allocated, so returning one is
 * as cheap as returning an int, also when memory has run out.
 *
 * Lifetime: msg lives in a ring of 8 slots private to the thread. It stays
 * valid until the thread makes 8 more errors; to keep it longer, or to give it
 * to another thread, copy it into an arena.
 */
#ifndef HONE_BASE_ERR_H
#define HONE_BASE_ERR_H

#include <stdbool.h>

/* Code, what the caller can do about it. */
#define HONE_CODES(X)                                           \
    X(NONE, "nothing: it worked")                               \
    X(INVALID, "fix the argument; the same call fails again")   \
    X(CORRUPT, "fix the file or message; it breaks its format") \
    X(NOT_FOUND, "look elsewhere; there is no such thing")      \
    X(CONFLICT, "re-read and retry; someone changed it first")  \
    X(FULL, "retry later; a limit is reached")                  \
    X(CLOSED, "stop; the other side has shut down")             \
    X(NOMEM, "free memory or shrink the request")               \
    X(IO, "check the disk or network; msg carries strerror")

typedef enum hone_code {
#define X(name, advice) HONE_E_##name,
    HONE_CODES(X)
#undef X
} hone_code;

typedef struct hone_err {
    hone_code code;
    const char *msg; /* NULL only when code is HONE_E_NONE */
} hone_err;

#define HONE_OK                ((hone_err){HONE_E_NONE, 0})
#define HONE_NODISCARD         __attribute__((warn_unused_result))
#define HONE_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

static inline bool hone_failed(hone_err e) { return e.code != HONE_E_NONE; }

/* A new error: code, and a sentence without capital or full stop. Control characters, which
 * quoted names may hold, become '?': a message is one line. */
hone_err hone_err_new(hone_code code, const char *fmt, ...) HONE_PRINTF(2, 3);

/* The same error seen from one step further out: "<what>: <e.msg>". */
hone_err hone_err_wrap(hone_err e, const char *fmt, ...) HONE_PRINTF(2, 3);

#ifdef __clang_analyzer__
/* The analyzer does not look into err.c: tell it that the code of a new error is the one that
 * was asked for, or it follows paths on which an error is none. */
static inline hone_err hone_err_with(hone_code code, hone_err e) {
    e.code = code;
    return e;
}
#define hone_err_new(code, ...) hone_err_with(code, (hone_err_new)(code, __VA_ARGS__))
#define hone_err_wrap(e, ...)   hone_err_with((e).code, (hone_err_wrap)(e, __VA_ARGS__))
#endif

/* Return from the enclosing function if expr failed. The only macro in the
 * project that returns; not for functions that must clean up first. */
#define HONE_TRY(expr)                              \
    do {                                            \
        hone_err try_err_ = (expr);                 \
        if (hone_failed(try_err_)) return try_err_; \
    } while (0)

#endif
