/* undo.c: after kill -9, take back what was never synced, newest first. layer.c made the notes.
 *
 *     undo /path/data        prints how many changes it took back; 1 when it could not
 *
 * A note of bytes counts as synced when a sync of its inode follows, a note of a name when a sync of
 * its folder follows. Taking back the same change twice is harmless, so a killed undo may run again
 * until it has deleted the notes. */
#include "undo_log.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static char notes[UNDO_PATH_MAX / 2];

static void die(const char *what) {
    (void)fprintf(stderr, "undo: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void in_notes(const char *name, char out[UNDO_PATH_MAX]) {
    (void)snprintf(out, UNDO_PATH_MAX, "%s/%s", notes, name);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where) {
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

/* A file, or a folder with all that is in it: what is in a lost folder is lost. */
static void remove_all(const char *path) {
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* a name that is not there: done */
}

static void undo_bytes(const undo_note *n, const char *bytes) {
    char name[64], path[UNDO_PATH_MAX];
    (void)snprintf(name, sizeof name, "ino-%llu", (unsigned long long)n->inode);
    in_notes(name, path);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) die(path);
    if (n->bytes_size > 0 && pwrite(fd, bytes, n->bytes_size, n->offset) != n->bytes_size)
        die(path);
    if (ftruncate(fd, n->old_size) != 0) die(path);
    (void)close(fd); /* who reads it after us sees it, synced or not */
}

static void put_back(const char *gone, const char *path) {
    char from[UNDO_PATH_MAX];
    struct stat st;
    in_notes(gone, from);
    if (lstat(from, &st) != 0) return; /* an earlier, killed undo did this one */
    if (S_ISDIR(st.st_mode) ? mkdir(path, 0700) != 0 && errno != EEXIST
                            : link(from, path) != 0 && errno != EEXIST)
        if (errno != ENOENT) die(path); /* its folder is lost, too */
}

static void undo_move(const char *from, const char *to, const char *gone) {
    struct stat st;
    bool is_done = lstat(from, &st) != 0; /* killed before it: nothing to take back */
    if (is_done && rename(to, from) != 0 && errno != ENOENT) die(to);
    if (is_done && gone[0]) put_back(gone, to);
}

static void undo_one(const undo_note *n) {
    char path[UNDO_PATH_MAX], other[UNDO_PATH_MAX], gone[64];
    const char *at = (const char *)(n + 1);
    (void)snprintf(path, sizeof path, "%.*s", (int)n->path_size, at);
    (void)snprintf(other, sizeof other, "%.*s", (int)n->other_size, at + n->path_size);
    (void)snprintf(gone, sizeof gone, "%.*s", (int)n->gone_size, at + n->path_size + n->other_size);
    switch ((undo_kind)n->kind) {
    case UNDO_BYTES:
        undo_bytes(n, at + n->path_size + n->other_size + n->gone_size);
        break;
    case UNDO_MADE:
        remove_all(path);
        break;
    case UNDO_MOVED:
        undo_move(path, other, gone);
        break;
    case UNDO_REMOVED:
        put_back(gone, path);
        break;
    case UNDO_SYNCED:
        break;
    }
}

/* The notes of the log, whole ones only. Unaligned: each is copied. */
typedef struct entry {
    undo_note *note; /* a copy, with what follows it */
} entry;

static size_t read_log(const char *bytes, size_t size, entry **out) {
    entry *entries = NULL;
    size_t count = 0, room = 0;
    for (size_t at = 0; at + sizeof(undo_note) <= size;) {
        undo_note head;
        memcpy(&head, bytes + at, sizeof head);
        size_t whole = sizeof head + head.path_size + head.other_size + head.gone_size +
                       head.bytes_size;
        if (head.magic != UNDO_MAGIC) die("the log is damaged");
        if (at + whole > size) break; /* the process was killed while it wrote this one */
        if (count == room) {
            room = room ? 2 * room : 1024;
            entries = realloc(entries, room * sizeof *entries);
        }
        if (!entries || !(entries[count].note = malloc(whole))) die("memory");
        memcpy(entries[count++].note, bytes + at, whole);
        at += whole;
    }
    *out = entries;
    return count;
}

/* The inodes of the syncs that follow the present note: open addressing, 0 = a free place. */
typedef struct inodes {
    uint64_t *slots;
    size_t size;
} inodes;

static bool inodes_has(const inodes *set, uint64_t inode, bool adds) {
    size_t at = (size_t)(inode * 0x9E3779B97F4A7C15u) % set->size;
    while (set->slots[at] && set->slots[at] != inode) at = (at + 1) % set->size;
    bool found = set->slots[at] == inode;
    if (adds) set->slots[at] = inode;
    return found;
}

static size_t undo_all(const entry *entries, size_t count) {
    inodes synced = {calloc(2 * count + 1, sizeof(uint64_t)), 2 * count + 1};
    size_t undone = 0;
    if (!synced.slots) die("memory");
    for (size_t i = count; i-- > 0;) {
        const undo_note *n = entries[i].note;
        if (n->kind == UNDO_SYNCED) {
            (void)inodes_has(&synced, n->inode, true);
            continue;
        }
        if (inodes_has(&synced, n->kind == UNDO_BYTES ? n->inode : n->parent, false)) continue;
        undo_one(n);
        undone++;
    }
    free(synced.slots);
    return undone;
}

int main(int argc, char **argv) {
    char path[UNDO_PATH_MAX], root[PATH_MAX];
    if (argc != 2 || !realpath(argv[1], root)) {
        (void)fprintf(stderr, "usage: undo FOLDER\n");
        return 1;
    }
    (void)snprintf(notes, sizeof notes, "%.*s.crash", (int)(sizeof notes - 16), root);
    in_notes("log", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) die(path);
    size_t size = (size_t)st.st_size, undone = 0;
    if (size > 0) {
        const char *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        entry *entries = NULL;
        if (bytes == MAP_FAILED) die(path);
        size_t count = read_log(bytes, size, &entries);
        undone = undo_all(entries, count);
        for (size_t i = 0; i < count; i++) free(entries[i].note);
        free(entries);
    }
    (void)close(fd);
    remove_all(notes);
    printf("%zu\n", undone);
    return 0;
}
