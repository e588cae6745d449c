/* page_file.h: the files of the pages, which the build puts into the program.
 *
 *     ui/ --vite--> ui/dist/ --tools/embed_ui.py--> page_files.c: the table
 *
 * Threads: any; the table is constant.
 */
#ifndef HONE_API_PAGE_FILE_H
#define HONE_API_PAGE_FILE_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct hone_page_file {
    const char *path; /* "/ui/assets/index-0a1b2c3d.js" */
    const char *content_type;
    const char *etag;  /* weak and quoted: plain and gzip share it */
    bool is_immutable; /* its name holds the hash of its content */
    hone_str plain;
    hone_str gzip; /* empty where it saves too little */
} hone_page_file;

extern const hone_page_file hone_page_files[]; /* sorted by path, bytewise */
extern const size_t hone_page_file_count;

/* The file that a request's path asks for, NULL when there is none. The portal's own addresses
 * (/, /login, /portal/..., /invite/TOKEN) are one page, which looks at its address itself. */
const hone_page_file *hone_page_file_find(hone_str path);

/* Does the value of Accept-Encoding take gzip? */
bool hone_page_file_takes_gzip(hone_str accept_encoding);

/* Does the value of If-None-Match name this file? */
bool hone_page_file_matches(const hone_page_file *file, hone_str if_none_match);

#endif
