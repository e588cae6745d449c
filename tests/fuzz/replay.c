/* replay.c: the main of a fuzzer without a fuzzing engine: every file (or folder of files)
 * named on the command line goes through LLVMFuzzerTestOneInput once. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return 1;
    }
    (void)fseek(file, 0, SEEK_END);
    long size = ftell(file);
    (void)fseek(file, 0, SEEK_SET);
    uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
    size_t got = data && size > 0 ? fread(data, 1, (size_t)size, file) : 0;
    (void)fclose(file);
    if (data) (void)LLVMFuzzerTestOneInput(data, got);
    free(data);
    return data ? 0 : 1;
}

static int replay_dir(const char *path) {
    DIR *dir = opendir(path);
    if (!dir) return replay_file(path);
    int failed = 0, count = 0;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        char name[4096];
        if (entry->d_name[0] == '.') continue;
        (void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        failed |= replay_file(name);
        count++;
    }
    (void)closedir(dir);
    printf("replayed %d files of %s\n", count, path);
    return failed || count == 0;
}

int main(int argc, char **argv) {
    int failed = argc < 2;
    for (int i = 1; i < argc; i++) failed |= replay_dir(argv[i]);
    return failed;
}
