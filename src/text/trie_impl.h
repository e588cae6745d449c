/* trie_impl.h: strings to numbers, and the longest string that a text begins with.
 *
 *     root -'h'-> 1 -'e'-> 2 (value of "he") -'n'-> 3 (value of "hen")
 *
 * Every edge (node, byte) -> child is one slot of an open hash table: building is linear in
 * the strings, whatever they are, and a step costs one multiplication and mostly one load.
 *
 * Ownership: a trie owns its memory; hone_trie_done frees it. A zeroed trie is an empty one.
 * Threads: read-only after the last add.
 */
#ifndef HONE_TEXT_TRIE_IMPL_H
#define HONE_TEXT_TRIE_IMPL_H

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

enum {
    HONE_TRIE_ROOT = 0,
    HONE_TRIE_NODES_MAX = 1 << 24, /* so that an edge fits 32 bits */
};
#define HONE_TRIE_NONE UINT32_MAX

typedef struct hone_trie_slot {
    uint32_t edge;  /* node << 8 | byte */
    uint32_t child; /* node << 1 | whether a string ends there; 0: the slot is free */
} hone_trie_slot;

typedef struct hone_trie {
    hone_trie_slot *slots; /* a power of two, at most three quarters of them taken */
    int32_t *values;       /* of each node; -1: no string ends there */
    unsigned shift;        /* 32 - log2 of the number of slots */
    uint32_t nodes;        /* the root counted */
    uint32_t nodes_max;    /* that slots and values have room for */
} hone_trie;

/* value >= 0. CORRUPT when the string is there already, FULL, NOMEM. string.len > 0. */
HONE_NODISCARD hone_err hone_trie_add(hone_trie *trie, hone_str string, int32_t value);
void hone_trie_done(hone_trie *trie);

static inline size_t hone_trie_hash(const hone_trie *trie, uint32_t edge) {
    return (edge * UINT32_C(0x9E3779B1)) >> trie->shift; /* Fibonacci hashing, Knuth 6.4 */
}

/* The slot of edge, or the free one where it belongs. */
static inline hone_trie_slot *hone_trie_find(const hone_trie *trie, uint32_t edge) {
    size_t mask = (SIZE_MAX >> 32 >> trie->shift), at = hone_trie_hash(trie, edge);
    while (trie->slots[at].child != 0 && trie->slots[at].edge != edge) at = (at + 1) & mask;
    return &trie->slots[at];
}

/* The node that string leads to from node; HONE_TRIE_NONE. */
static inline uint32_t hone_trie_walk(const hone_trie *trie, uint32_t node, hone_str string) {
    if (!trie->slots || node == HONE_TRIE_NONE) return HONE_TRIE_NONE;
    for (size_t i = 0; i < string.len; i++) {
        uint32_t child = hone_trie_find(trie, node << 8 | (unsigned char)string.ptr[i])->child;
        if (child == 0) return HONE_TRIE_NONE;
        node = child >> 1;
    }
    return node;
}

/* How many bytes of text the longest string takes that continues from node, at least one;
 * 0 and *value = -1 when there is none. */
static inline size_t hone_trie_longest(const hone_trie *trie, uint32_t node, hone_str text,
                                       int32_t *value) {
    size_t longest = 0;
    uint32_t end = 0;
    *value = -1;
    if (!trie->slots || node == HONE_TRIE_NONE) return 0;
    for (size_t i = 0; i < text.len; i++) {
        uint32_t child = hone_trie_find(trie, node << 8 | (unsigned char)text.ptr[i])->child;
        if (child == 0) break;
        node = child >> 1;
        if ((child & 1) == 0) continue;
        longest = i + 1;
        end = node;
    }
    if (longest > 0) *value = trie->values[end];
    return longest;
}

#endif
