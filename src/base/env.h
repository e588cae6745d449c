/* env.h: the environment, read in one place so that every variable hone heeds can be found.
 */
#ifndef HONE_BASE_ENV_H
#define HONE_BASE_ENV_H

/* The variable's value, or NULL when it is unset or empty. Borrowed from the environment,
 * which hone never changes. */
const char *hone_env(const char *name);

#endif
