/* sequences.h: token ids of many texts, one behind the other, and packs cut from them.
 *
 *     ids file, or a tokenizer  -->  [ seq 0 | seq 1 | ... ]  -->  hone_pack of sequences [a, b)
 *
 * Ownership: owns its memory; packs borrow it.
 */
#ifndef HONE_CLI_SEQUENCES_H
#define HONE_CLI_SEQUENCES_H

#include "base/err.h"
#include "nn/pack.h"

#include <stddef.h>
#include <stdint.h>

typedef struct hone_sequences {
    size_t count;   /* sequences */
    size_t tokens;  /* in all */
    int32_t *ids;   /* [tokens] */
    int32_t *types; /* [tokens] */
    size_t *ends;   /* [count] */
    size_t tokens_cap, count_cap;
    int32_t *starts; /* of the pack cut last */
    size_t starts_cap;
} hone_sequences;

void hone_sequences_done(hone_sequences *s);

/* Forget the sequences, keep the memory. */
void hone_sequences_clear(hone_sequences *s);

/* Append one sequence; types NULL = all 0. NOMEM. */
HONE_NODISCARD hone_err hone_sequences_push(hone_sequences *s, const int32_t *ids,
                                            const int32_t *types, size_t count);

/* Take the last one off again; there is one. */
void hone_sequences_pop(hone_sequences *s);

/* Read a file of one list of ids a line: "[101, 2023, 102]" or "101 2023 102". CORRUPT names
 * the line. */
HONE_NODISCARD hone_err hone_sequences_load(const char *path, hone_sequences *s);

/* The sequences [begin, end) as a batch, borrowed until the next call. NOMEM. */
HONE_NODISCARD hone_err hone_sequences_pack(hone_sequences *s, size_t begin, size_t end,
                                            hone_pack *out);

#endif
