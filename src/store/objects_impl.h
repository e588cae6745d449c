/* objects_impl.h: what the files of the object store share. */
#ifndef HONE_STORE_OBJECTS_IMPL_H
#define HONE_STORE_OBJECTS_IMPL_H

#include "store/objects.h"

struct hone_objects {
    char *dir; /* DIR/objects */
    hone_db *db;
};

enum { HONE_OBJECT_FOLDERS = 256 }; /* 00 to ff, the first two digits of an id */

/* "DIR/objects/ab/abcd..."; the caller frees. NULL without memory. */
char *hone_objects_path(const hone_objects *objects, const char *id);

/* Make the folders; delete the files that no row names. */
HONE_NODISCARD hone_err hone_objects_make_folders(const hone_objects *objects);
HONE_NODISCARD hone_err hone_objects_sweep(hone_objects *objects);

#endif
