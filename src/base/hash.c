/* hash.c: see hash.h. Eight lanes of 64 bits take a word each in turn: a rotation and a
 * multiplication by an odd number, each of which can be undone, so that one changed word always
 * changes its lane. The lanes do not wait for each other. */
#include "base/hash.h"

#include <string.h>

enum { LANES = 8, BLOCK = LANES * sizeof(uint64_t) };

static const uint64_t odd = UINT64_C(0x9E3779B97F4A7C15); /* 2^64 / golden ratio */

static uint64_t mix(uint64_t lane, uint64_t word) {
    lane ^= word;
    return (lane << 29 | lane >> 35) * odd;
}

static void take_block(uint64_t lanes[LANES], const char *bytes) {
    uint64_t words[LANES];
    memcpy(words, bytes, sizeof words);
    for (size_t i = 0; i < LANES; i++) lanes[i] = mix(lanes[i], words[i]);
}

uint64_t hone_hash(uint64_t seed, hone_str bytes) {
    uint64_t lanes[LANES];
    char rest[BLOCK] = {0};
    size_t whole = bytes.len / BLOCK * BLOCK;
    for (size_t i = 0; i < LANES; i++) lanes[i] = seed + (i + 1) * odd;
    for (size_t at = 0; at < whole; at += BLOCK) take_block(lanes, bytes.ptr + at);
    if (whole < bytes.len) memcpy(rest, bytes.ptr + whole, bytes.len - whole);
    take_block(lanes, rest);
    uint64_t sum = mix(seed, bytes.len);
    for (size_t i = 0; i < LANES; i++) sum = mix(sum, lanes[i]);
    return mix(sum ^ sum >> 32, odd);
}
