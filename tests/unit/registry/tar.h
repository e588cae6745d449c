/* tar.h: archives as a test wants them, hostile ones too. */
#ifndef HONE_TESTS_TAR_H
#define HONE_TESTS_TAR_H

#include "check.h"

#include <archive.h>
#include <archive_entry.h>

/* What one entry is; size_bytes is what its header says, 0 = as long as its text. */
typedef struct tar_item {
    const char *path;
    const char *text;     /* NULL = none */
    const char *symlink;  /* NULL = no link */
    const char *hardlink; /* NULL = no link */
    unsigned type;        /* 0 = AE_IFREG */
} tar_item;

static inline void tar_write(const char *path, const tar_item *items, size_t count) {
    struct archive *tar = archive_write_new();
    assert_non_null(tar);
    assert_int_equal(archive_write_set_format_pax_restricted(tar), ARCHIVE_OK);
    assert_int_equal(archive_write_add_filter_gzip(tar), ARCHIVE_OK);
    assert_int_equal(archive_write_open_filename(tar, path), ARCHIVE_OK);
    for (size_t i = 0; i < count; i++) {
        const tar_item *item = &items[i];
        size_t len = item->text ? strlen(item->text) : 0;
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, item->path);
        archive_entry_set_filetype(entry, item->type ? item->type : AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        archive_entry_set_size(entry, (la_int64_t)len);
        if (item->symlink) archive_entry_set_filetype(entry, AE_IFLNK);
        if (item->symlink) archive_entry_set_symlink(entry, item->symlink);
        if (item->hardlink) archive_entry_set_hardlink(entry, item->hardlink);
        assert_int_equal(archive_write_header(tar, entry), ARCHIVE_OK);
        if (len > 0) assert_int_equal(archive_write_data(tar, item->text, len), len);
        archive_entry_free(entry);
    }
    assert_int_equal(archive_write_close(tar), ARCHIVE_OK);
    (void)archive_write_free(tar);
}

#endif
