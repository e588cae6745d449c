/* fault.h: make the n-th allocation or disk write of a test fail, for every n.
 *
 * A program that lists the dependency `fault` in its room's meson.build has the calls of
 * fault_calls (tests/meson.build) replaced, in its own objects and in hone's libraries, not
 * inside shared libraries. They behave as ever until fault_arm.
 *
 *     static hone_err load(void *ctx) { ... }          must clean up after itself
 *     fault_sweep(load, &ctx);                         fails, and fails, ..., and succeeds
 *
 * With `fault_db` also what SQLite allocates and writes is counted, which is inside a shared
 * library otherwise. It may do its own thing about a failure (a cache that stays small, a
 * checkpoint that is left to the next one), so a run that met a fault may succeed there:
 * fault_sweep_db.
 *
 * Leaks on the way are found by the address sanitizer when the program ends.
 */
#ifndef HONE_TESTS_FAULT_H
#define HONE_TESTS_FAULT_H

#include "base/err.h"

#include <stddef.h>

/* The n-th call from now on fails, n >= 1: NULL and ENOMEM, or -1 and ENOSPC. */
void fault_arm(size_t n);

/* No call fails any more; did one fail since fault_arm? */
bool fault_disarm(void);

typedef hone_err fault_case(void *ctx);

/* Run with the first call failing, then with the second, and so on until a run meets no
 * fault; that one must succeed and every other must return NOMEM, IO or FULL (a full disk).
 * Returns how many failed. */
size_t fault_sweep(fault_case *run, void *ctx);

/* The same for code that uses SQLite: a run that met a fault may succeed, and as SQLite allocates
 * thousands of times, the first 128 calls fail one by one and then one of each 3 % more.
 * check(ctx, err) looks at what is there after each run, with no fault armed. */
typedef void fault_check(void *ctx, hone_err err);
size_t fault_sweep_db(fault_case *run, fault_check *check, void *ctx);

/* Is this the call that fails? Then errno is code. For stand-ins of further calls. */
bool fault_hits(int code);

#endif
