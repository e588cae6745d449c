/* folder.c: a job's folder made, read at its end, and cleared. */
#include "jobs/folder.h"

#include "base/file.h"
#include "base/json.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, TAIL_BYTES = 4096, OPEN_FOLDERS = 16 };

static bool join(char out[PATH_SIZE], const char *dir, const char *name) {
    int len = snprintf(out, PATH_SIZE, "%s/%s", dir, name);
    return len > 0 && len < PATH_SIZE;
}

hone_err hone_job_folder_make(const char *folder, const json_t *spec) {
    char path[PATH_SIZE];
    if (!join(path, folder, "progress.jsonl"))
        return hone_err_new(HONE_E_INVALID, "the path '%s' is too long", folder);
    HONE_TRY(hone_folder_make(folder, 0700));
    (void)join(path, folder, "in");
    HONE_TRY(hone_folder_make(path, 0700));
    (void)join(path, folder, "out");
    HONE_TRY(hone_folder_make(path, 0700));
    (void)join(path, folder, "job.json");
    HONE_TRY(hone_json_save(path, spec)); /* syncs the folder, and in/ and out/ with it */
    return hone_folder_sync_above(folder);
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place) {
    (void)info;
    (void)kind;
    (void)place;
    (void)remove(path); /* what stays is swept at the next start */
    return 0;
}

static void remove_tree(const char *path) {
    (void)nftw(path, remove_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
}

static int trim_entry(const char *path, const struct stat *info, int kind, struct FTW *place) {
    static const char *const kept[] = {"job.json", "result.json", "log.txt", "progress.jsonl"};
    if (place->level == 0) return 0;
    for (size_t i = 0; place->level == 1 && i < sizeof kept / sizeof kept[0]; i++)
        if (strcmp(path + place->base, kept[i]) == 0) return 0;
    return remove_entry(path, info, kind, place);
}

void hone_job_folder_trim(const char *folder) {
    (void)nftw(folder, trim_entry, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
}

void hone_job_folder_remove(const char *folder) { remove_tree(folder); }

bool hone_job_folder_has_result(const char *folder) {
    char path[PATH_SIZE];
    return join(path, folder, "result.json") && hone_file_exists(path);
}

/* The last bytes of a file; empty when there is no such file. */
static size_t read_tail(const char *folder, const char *name, char out[TAIL_BYTES]) {
    char path[PATH_SIZE];
    if (!join(path, folder, name)) return 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    off_t size = lseek(fd, 0, SEEK_END);
    off_t from = size > TAIL_BYTES ? size - TAIL_BYTES : 0;
    ssize_t got = pread(fd, out, TAIL_BYTES, from);
    (void)close(fd); /* read-only, nothing to lose */
    return got > 0 ? (size_t)got : 0;
}

/* The last line of tail[0 .. len) that is not blank; with whole, only one that has its end. */
static hone_str last_line(const char *tail, size_t len, bool whole) {
    if (whole)
        while (len > 0 && tail[len - 1] != '\n') len--;
    while (len > 0 && (tail[len - 1] == '\n' || tail[len - 1] == '\r' || tail[len - 1] == ' '))
        len--;
    size_t begin = len;
    while (begin > 0 && tail[begin - 1] != '\n' && tail[begin - 1] != '\r') begin--;
    return (hone_str){tail + begin, len - begin};
}

void hone_job_folder_last_words(const char *folder, char *out, size_t size) {
    static const hone_str prefix = {"hone job: ", 10};
    char tail[TAIL_BYTES];
    hone_str line = last_line(tail, read_tail(folder, "log.txt", tail), false);
    if (hone_str_has_prefix(line, prefix))
        line = (hone_str){line.ptr + prefix.len, line.len - prefix.len};
    (void)snprintf(out, size, "%.*s", HONE_ARG(line));
}

hone_err hone_job_folder_last_line(hone_arena *arena, const char *folder, const char *name,
                                   hone_str *out) {
    char tail[TAIL_BYTES];
    hone_str line = last_line(tail, read_tail(folder, name, tail), true);
    out->ptr = hone_arena_strdup(arena, line);
    out->len = line.len;
    return out->ptr ? HONE_OK : hone_err_new(HONE_E_NOMEM, "no memory for a line of a job");
}
