/* files.c: see files.h. */
#include "files.h"

#include "layout.h"
#include "machine.h"

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

int files_find(const char *path) {
    size_t size = strlen(path) + 1;
    for (uint64_t i = 1; i < all()->count; i++)
        if (memcmp(at(all()->files[i].name), path, size) == 0) return (int)i;
    return NO_FILE;
}

file files_get(int index) { return (file){at(all()->files[index].data), all()->files[index].size}; }
