/* pack.h: a packed batch: the tokens of all sequences one behind the other, and where each
 * begins. No pad token exists anywhere in nn/.
 *
 *     ids     [101 7592 102 | 101 2023 2003 102 | ...]      starts  [0 3 7 ... tokens]
 */
#ifndef HONE_NN_PACK_H
#define HONE_NN_PACK_H

#include <stddef.h>
#include <stdint.h>

typedef struct hone_pack {
    size_t tokens;
    size_t sequences;
    const int32_t *ids;    /* [tokens] */
    const int32_t *types;  /* [tokens]; NULL = all 0 */
    const int32_t *starts; /* [sequences + 1]; starts[i] < starts[i + 1] */
} hone_pack;

#endif
