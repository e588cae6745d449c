/* packed.h: packed weights kept in a file, so that the next start maps them instead of packing.
 *
 *     DIR/<16 hex>.packed = [ head, 4096 bytes: magic, sizes, sums, key | weights ]
 *
 * The key is a text that says all that the bytes depend on: which file they were packed from, by
 * which program, for which machine. Its checksum is the name, the text itself is in the head.
 *
 * What is there is trusted as far as it is checked: a file of this user's that nobody else may
 * write, of the right size, with the right key, and whose sums are right over every byte: that
 * costs a fraction of packing, and the pages that it reads are those that a first prediction wants.
 * So a file that was cut, damaged or exchanged is as good as none. Any may be deleted at any
 * time, also while it is mapped.
 *
 * Files appear whole, under a new inode, and never change, but for their time: that is when they
 * were last used. Those longest unused go when the folder grows above HONE_PACKED_FOLDER_BYTES.
 */
#ifndef HONE_MODEL_PACKED_H
#define HONE_MODEL_PACKED_H

#include "base/err.h"
#include "base/file.h"
#include "base/pool.h"
#include "base/str.h"

#include <stdint.h>

enum {
    HONE_PACKED_HEAD_BYTES = 4096,
    HONE_PACKED_KEY_MAX = 2048, /* bytes */
};
#define HONE_PACKED_FOLDER_BYTES ((int64_t)2 << 30) /* of all files together */

/* The weights within a file's bytes and their sum, which is not compared yet. NOT_FOUND for
 * another key, CORRUPT. */
HONE_NODISCARD hone_err hone_packed_parse(hone_str file, hone_str key, hone_str *weights,
                                          uint64_t *sum);

/* Map the weights of key, size_bytes of them; unmapped by hone_map_close(map). NOT_FOUND, IO,
 * CORRUPT, INVALID for a file that others may write. */
HONE_NODISCARD hone_err hone_packed_open(const char *dir, hone_str key, size_t size_bytes,
                                         hone_pool *pool, hone_map *map, hone_str *weights);

/* Keep weights under key; dir is made. FULL when the disk has not room for four times as much,
 * or the limit none; IO. */
HONE_NODISCARD hone_err hone_packed_save(const char *dir, hone_str key, hone_str weights);

#endif
