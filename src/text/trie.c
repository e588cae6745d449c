/* trie.c: see trie_impl.h. The table doubles when three quarters of it are taken. */
#include "text/trie_impl.h"

#include <assert.h>
#include <stdlib.h>

enum { SLOTS_MIN_LOG2 = 10 };

static hone_err grow(hone_trie *trie) {
    unsigned log2 = trie->slots ? 32 - trie->shift + 1 : SLOTS_MIN_LOG2;
    size_t slots = (size_t)1 << log2;
    if (trie->nodes_max >= HONE_TRIE_NODES_MAX)
        return hone_err_new(HONE_E_FULL, "the strings have more than %d prefixes",
                            HONE_TRIE_NODES_MAX);
    hone_trie bigger = {.shift = 32 - log2};
    bigger.slots = calloc(slots, sizeof *bigger.slots);
    int32_t *values = realloc(trie->values, slots / 4 * 3 * sizeof *values);
    if (values) trie->values = values;
    if (!bigger.slots || !values) {
        free(bigger.slots);
        return hone_err_new(HONE_E_NOMEM, "no memory for %zu prefixes", slots / 4 * 3);
    }
    for (size_t i = 0; trie->slots && i < slots / 2; i++)
        if (trie->slots[i].child != 0)
            *hone_trie_find(&bigger, trie->slots[i].edge) = trie->slots[i];
    if (!trie->slots) {
        trie->nodes = 1;
        values[HONE_TRIE_ROOT] = -1;
    }
    free(trie->slots);
    trie->slots = bigger.slots;
    trie->shift = bigger.shift;
    trie->nodes_max = (uint32_t)(slots / 4 * 3);
    return HONE_OK;
}

hone_err hone_trie_add(hone_trie *trie, hone_str string, int32_t value) {
    assert(string.len > 0);
    assert(value >= 0);
    uint32_t node = HONE_TRIE_ROOT;
    hone_trie_slot *slot = NULL;
    for (size_t i = 0; i < string.len; i++) {
        if (!trie->slots || trie->nodes == trie->nodes_max) HONE_TRY(grow(trie));
        uint32_t edge = node << 8 | (unsigned char)string.ptr[i];
        slot = hone_trie_find(trie, edge);
        if (slot->child == 0) {
            *slot = (hone_trie_slot){edge, trie->nodes << 1};
            trie->values[trie->nodes++] = -1;
        }
        node = slot->child >> 1;
    }
    if (slot->child & 1)
        return hone_err_new(HONE_E_CORRUPT, "'%.*s' is there twice", HONE_ARG(string));
    slot->child |= 1;
    trie->values[node] = value;
    return HONE_OK;
}

void hone_trie_done(hone_trie *trie) {
    free(trie->slots);
    free(trie->values);
    *trie = (hone_trie){0};
}
