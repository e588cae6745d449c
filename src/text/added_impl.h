/* added_impl.h: tokens that are looked for in the text before it is split into words, such
 * as the special tokens: "[MASK]" written in a text is the token [MASK].
 *
 * As in `tokenizers`: the leftmost, then the longest; single_word wants no letter beside it,
 * lstrip and rstrip take the white space beside it in.
 */
#ifndef HONE_TEXT_ADDED_IMPL_H
#define HONE_TEXT_ADDED_IMPL_H

#include "base/err.h"
#include "base/str.h"
#include "text/trie_impl.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hone_added_token {
    hone_str content; /* what is looked for: borrowed */
    int32_t id;
    bool single_word;
    bool lstrip;
    bool rstrip;
} hone_added_token;

typedef struct hone_added_set {
    hone_trie trie; /* to indexes of tokens */
    hone_added_token *tokens;
    size_t count;
    bool begins[256]; /* whether a token begins with this byte */
    int only;         /* the byte that all of them begin with; -1 when they differ */
} hone_added_set;

/* Long enough for any name, and short enough that a search stays linear in the text. */
enum { HONE_ADDED_BYTES_MAX = 512 };

/* Add a token; the caller has made room in tokens. CORRUPT when it is there already, or is
 * empty or too long. */
HONE_NODISCARD hone_err hone_added_add(hone_added_set *set, hone_added_token token);

/* A search: {set, text} to begin with. text is UTF-8. */
typedef struct hone_added_scan {
    const hone_added_set *set;
    hone_str text;
    size_t at; /* everything before it has been searched */
} hone_added_scan;

typedef struct hone_added_hit {
    const hone_added_token *token;
    size_t begin; /* in bytes, what was stripped included */
    size_t end;
} hone_added_hit;

/* The next token in the text; false at its end. Hits do not overlap: `tokenizers` would also
 * find a token that begins inside the white space which the one before has stripped, and
 * take those bytes twice. */
bool hone_added_next(hone_added_scan *scan, hone_added_hit *hit);

#endif
