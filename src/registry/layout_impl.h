/* layout_impl.h: the files that make up a model folder. */
#ifndef HONE_REGISTRY_LAYOUT_IMPL_H
#define HONE_REGISTRY_LAYOUT_IMPL_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hone_layout_file {
    const char *name;
    int64_t limit_bytes; /* more is refused: no model of this kind has it */
    bool is_required;
} hone_layout_file;

/* In the order in which they are packed: what tells most about a mistake first. */
enum { HONE_LAYOUT_FILES = 6 };
extern const hone_layout_file hone_layout_files[HONE_LAYOUT_FILES];

/* The entry of that name; NULL when it is none of ours. */
const hone_layout_file *hone_layout_find(hone_str name);

#endif
