/* Any bytes as a model.tar.gz: refused with an error that leaves nothing behind, or a folder that
 * holds files of a model's names and nothing else. */
#include "registry/artifact.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_expected(const char *name) {
    static const char *const names[] = {
        "config.json", "tokenizer_config.json", "special_tokens_map.json",
        "vocab.txt",   "tokenizer.json",        "model.safetensors"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

/* Delete what path holds and path itself; how many files there were. */
static size_t clear(const char *path) {
    size_t count = 0;
    DIR *dir = opendir(path);
    if (!dir) return 0;
    for (const struct dirent *e; (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (!is_expected(e->d_name)) abort();
        (void)unlinkat(dirfd(dir), e->d_name, 0);
        count++;
    }
    (void)closedir(dir);
    (void)rmdir(path);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char archive[64], parent[] = "/tmp/hone-fuzz-XXXXXX", out[64];
    int fd = memfd_create("archive", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || !mkdtemp(parent)) abort();
    (void)snprintf(archive, sizeof archive, "/proc/self/fd/%d", fd);
    (void)snprintf(out, sizeof out, "%s/out", parent);
    bool failed = hone_failed(hone_artifact_unpack(archive, out));
    size_t count = clear(out);
    if (failed ? count > 0 : count < 2) abort();
    if (rmdir(parent) != 0) abort(); /* something was left beside it */
    (void)close(fd);
    return 0;
}
