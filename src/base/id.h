/* id.h: names that nobody can guess and no two things share.
 */
#ifndef HONE_BASE_ID_H
#define HONE_BASE_ID_H

#include <stddef.h>

enum { HONE_ID_SIZE = 25 }; /* 24 hex digits and the terminator: 96 random bits */

/* 24 lower-case hex digits from the system's random source. */
void hone_id_make(char out[HONE_ID_SIZE]);

/* size bytes from the system's random source, which cannot run dry. */
void hone_random_bytes(void *out, size_t size);

#endif
