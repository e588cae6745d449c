/* files.c: see files.h. */
#include "files.h"

#include "layout.h"
#include "machine.h"

#include <stdbool.h>

enum { SECTOR = 512 };

typedef struct archive {
    uint64_t sectors, count;
    struct {
        uint64_t name, data, size;
    } files[];
} archive;

static const archive *all(void) { return (const archive *)FILES; }

static const char *at(uint64_t position) { return (const char *)FILES + position; }

void files_load(void) {
    const uint32_t first = KERNEL_SECTORS + 1;
    machine_read_sectors(first, 1, (void *)FILES);
    machine_read_sectors(first, (uint32_t)all()->sectors, (void *)FILES);
}

void *files_end(void) { return (char *)FILES + all()->sectors * SECTOR; }

/* Without //, /. and /.. parts and without / at the end; false when it is too long. */
static bool normalise(const char *path, char *to, size_t room) {
    size_t length = 0;
    while (*path) {
        while (*path == '/') path++;
        size_t part = 0;
        while (path[part] && path[part] != '/') part++;
        if (part == 2 && memcmp(path, "..", 2) == 0) {
            while (length > 0 && to[--length] != '/') {}
        } else if (part > 0 && !(part == 1 && *path == '.')) {
            if (length + part + 2 > room) return false;
            to[length++] = '/';
            memcpy(to + length, path, part);
            length += part;
        }
        path += part;
    }
    to[length] = 0;
    return true;
}

int files_find(const char *path) {
    enum { PATH_ROOM = 1024 };
    char wanted[PATH_ROOM];
    if (!normalise(path, wanted, sizeof wanted)) return NO_FILE;
    size_t length = strlen(wanted);
    int found = NO_FILE;
    for (uint64_t i = 1; i < all()->count; i++) {
        const char *name = at(all()->files[i].name);
        if (strlen(name) < length || memcmp(name, wanted, length) != 0) continue;
        if (name[length] == 0) return (int)i;
        if (name[length] == '/') found = A_FOLDER;
    }
    return found;
}

file files_get(int index) { return (file){at(all()->files[index].data), all()->files[index].size}; }
