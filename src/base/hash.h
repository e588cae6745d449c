/* hash.h: a checksum of many bytes, against accidents and not against people: whoever can choose
 * the bytes can choose the sum.
 */
#ifndef HONE_BASE_HASH_H
#define HONE_BASE_HASH_H

#include "base/str.h"

#include <stdint.h>

/* Sums of sums, and of what comes in parts: pass the sum so far as the seed of the next. */
uint64_t hone_hash(uint64_t seed, hone_str bytes);

#endif
