/* files.h: the files that a program may read, as run.py has packed them behind the kernel.
 *
 *     u64 sectors, count | count x { u64 name, data, size } | names, 0-terminated | data
 *
 * Positions are from the beginning; data begins at a page. File 0 has no name: it holds the
 * program's arguments, each 0-terminated, an empty one, and its environment likewise. */
#ifndef FILES_H
#define FILES_H

#include <stddef.h>

typedef struct file {
    const char *data;
    size_t size;
} file;

enum { NO_FILE = -1, A_FOLDER = 0 }; /* a file is above 0 */

void files_load(void);
void *files_end(void);
int files_find(const char *path); /* from the root; it may have .. and too many / */
file files_get(int index);

#endif
