/* undo_log.h: what the layer (layer.c) notes of each change and undo.c takes back.
 *
 *     DIR.crash/log         the notes, appended
 *     DIR.crash/ino-N       a second name of every file that has unsynced bytes, by inode
 *     DIR.crash/gone-P-N    what was deleted or replaced, in case that comes back
 */
#ifndef HONE_TESTS_CRASH_UNDO_LOG_H
#define HONE_TESTS_CRASH_UNDO_LOG_H

#include <stdint.h>

enum { UNDO_MAGIC = 0x6f6e6475, UNDO_PATH_MAX = 4096 };

typedef enum undo_kind {
    UNDO_BYTES = 1, /* inode: at offset stood bytes; the file had old_size */
    UNDO_MADE,      /* path appeared in the folder `parent` */
    UNDO_MOVED,     /* path became other, which was `gone` (empty: was not there) */
    UNDO_REMOVED,   /* path went; `gone` is what it was */
    UNDO_SYNCED,    /* inode: its bytes are on the disk; of a folder: its names are */
} undo_kind;

/* Followed by path, other, gone (no terminators) and bytes. */
typedef struct undo_note {
    uint32_t magic, kind;
    uint64_t inode, parent;
    int64_t offset, old_size;
    uint32_t path_size, other_size, gone_size, bytes_size;
} undo_note;

#endif
