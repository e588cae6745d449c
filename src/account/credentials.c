/* credentials.c: the settings of DIR/credentials that change from start to start. It is an ini
 * file that people may have edited, so lines are replaced one by one. */
#include "account/account_impl.h"
#include "base/buf.h"
#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>

enum { FILE_MAX_BYTES = 64 << 10, REWRITTEN_MAX_BYTES = 2 * FILE_MAX_BYTES };

/* The next line of text with its newline; empty at the end. */
static hone_str next_line(hone_str *text) {
    const char *end = text->len ? memchr(text->ptr, '\n', text->len) : NULL;
    size_t len = end ? (size_t)(end - text->ptr) + 1 : text->len;
    hone_str line = {text->ptr, len};
    *text = (hone_str){text->ptr + len, text->len - len};
    return line;
}

/* Is line "name = ..."? */
static bool is_setting(hone_str line, const char *name) {
    size_t len = strlen(name);
    if (line.len < len || memcmp(line.ptr, name, len) != 0) return false;
    while (len < line.len && (line.ptr[len] == ' ' || line.ptr[len] == '\t')) len++;
    return len < line.len && line.ptr[len] == '=';
}

/* Copy the file with `name = value` as the only such line of [default]: in its old place, or right
 * below the head of the section. */
static void set_line(hone_buf *out, hone_str text, const char *name, const char *value) {
    bool is_default = false;
    for (hone_str line; (line = next_line(&text)).len > 0;) {
        bool is_head = line.ptr[0] == '[';
        if (is_head) is_default = hone_str_has_prefix(line, HONE_S("[default]"));
        if (is_default && is_setting(line, name)) continue;
        hone_buf_push(out, line);
        if (line.ptr[line.len - 1] != '\n') hone_buf_push_char(out, '\n');
        if (is_head && is_default) hone_buf_printf(out, "%s = %s\n", name, value);
    }
}

static hone_err rewrite(const char *path, hone_str old, const char *endpoint_url,
                        const char *region) {
    hone_buf once, twice;
    hone_buf_init(&once, REWRITTEN_MAX_BYTES);
    hone_buf_init(&twice, REWRITTEN_MAX_BYTES);
    set_line(&once, old, "region", region);
    set_line(&twice, hone_buf_str(&once), "endpoint_url", endpoint_url);
    hone_err err = hone_buf_err(&once);
    if (!hone_failed(err)) err = hone_buf_err(&twice);
    if (!hone_failed(err) && !hone_str_equal(hone_buf_str(&twice), old))
        err = hone_private_save(path, hone_buf_str(&twice));
    hone_buf_done(&once);
    hone_buf_done(&twice);
    return err;
}

hone_err hone_accounts_note_endpoint(const char *dir, const char *endpoint_url,
                                     const char *region) {
    char *path = NULL;
    hone_map map;
    if (asprintf(&path, "%s/credentials", dir) < 0) return hone_account_no_memory();
    hone_err err = hone_map_open(path, &map);
    if (!hone_failed(err)) {
        if (map.bytes.len > FILE_MAX_BYTES)
            err = hone_err_new(HONE_E_CORRUPT, "'%s' is too large", path);
        else
            err = rewrite(path, map.bytes, endpoint_url, region);
        hone_map_close(&map);
    } else if (err.code == HONE_E_NOT_FOUND) {
        err = HONE_OK; /* its owner has taken it away, as they should */
    }
    free(path);
    return err;
}
