#include "api/page_file.h"

#include <stdlib.h>
#include <strings.h>

static bool is_page(hone_str path) {
    static const hone_str exact[] = {{"/", 1}, {"/login", 6}, {"/portal", 7}};
    for (size_t i = 0; i < sizeof(exact) / sizeof(*exact); i++) {
        if (hone_str_equal(path, exact[i])) return true;
    }
    return hone_str_has_prefix(path, HONE_S("/portal/")) ||
           hone_str_has_prefix(path, HONE_S("/invite/"));
}

static int compare_path(const void *key, const void *file) {
    const hone_str *path = key;
    return hone_str_compare(*path, hone_str_of(((const hone_page_file *)file)->path));
}

const hone_page_file *hone_page_file_find(hone_str path) {
    if (is_page(path)) path = HONE_S("/ui/index.html");
    return bsearch(&path, hone_page_files, hone_page_file_count, sizeof(*hone_page_files),
                   compare_path);
}

static hone_str trimmed(hone_str s) {
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) s = (hone_str){s.ptr + 1, s.len - 1};
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t')) s.len--;
    return s;
}

/* The next element of a list, up to the separator; false at the end. */
static bool next_element(hone_str *list, char separator, hone_str *out) {
    if (list->ptr == NULL) return false;
    const char *end = memchr(list->ptr, separator, list->len);
    size_t len = end ? (size_t)(end - list->ptr) : list->len;
    *out = trimmed((hone_str){list->ptr, len});
    *list = end ? (hone_str){end + 1, list->len - len - 1} : (hone_str){NULL, 0};
    return true;
}

/* "q=0", "q=0.0" ...: not wanted. */
static bool is_refused(hone_str parameter) {
    if (!hone_str_has_prefix(parameter, HONE_S("q="))) return false;
    for (size_t i = 2; i < parameter.len; i++) {
        if (parameter.ptr[i] != '0' && parameter.ptr[i] != '.') return false;
    }
    return true;
}

bool hone_page_file_takes_gzip(hone_str accept_encoding) {
    hone_str element, name, parameter;
    while (next_element(&accept_encoding, ',', &element)) {
        hone_str parts = element;
        if (!next_element(&parts, ';', &name)) continue;
        if (name.len != 4 || strncasecmp(name.ptr, "gzip", 4) != 0) continue;
        return !(next_element(&parts, ';', &parameter) && is_refused(parameter));
    }
    return false;
}

bool hone_page_file_matches(const hone_page_file *file, hone_str if_none_match) {
    hone_str etag = hone_str_of(file->etag + 2), element; /* without W/: the comparison is weak */
    while (next_element(&if_none_match, ',', &element)) {
        if (hone_str_equal(element, HONE_S("*"))) return true;
        if (hone_str_has_prefix(element, HONE_S("W/"))) {
            element = (hone_str){element.ptr + 2, element.len - 2};
        }
        if (hone_str_equal(element, etag)) return true;
    }
    return false;
}
