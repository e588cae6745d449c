/* fault.h: make the n-th allocation or disk write of a test fail, for every n.
 *
 * A program that lists the dependency `fault` in its room's meson.build has the calls of
 * fault_calls (tests/meson.build) replaced, in its own objects and in hone's libraries, not
 * inside shared libraries. They behave as ever until fault_arm.
 *
 *     static hone_err load(void *ctx) { ... }          must clean up after itself
 *     fault_sweep(load, &ctx);                         fails, and fails, ..., and succeeds
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
 * fault; that one must succeed and every other must return NOMEM or IO. Returns how many
 * failed. */
size_t fault_sweep(fault_case *run, void *ctx);

#endif
