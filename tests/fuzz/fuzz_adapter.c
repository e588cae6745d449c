/* Any bytes as adapter_model.safetensors, for the golden model as its base: refused with an error
 * that leaves nothing behind, or merged into a folder that holds a model. */
#include "model/config.h"
#include "train/adapter.h"

#include "base/file.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char base[] = HONE_SOURCE_DIR "/tests/golden/model/bert";
static const char config[] = "{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":4}";

static char dir[64], weights[128], out[128];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Delete a flat folder; how many files there were. */
static size_t clear(const char *path) {
    size_t count = 0;
    DIR *folder = opendir(path);
    if (!folder) return 0;
    for (const struct dirent *e; (e = readdir(folder));)
        if (e->d_name[0] != '.' && unlinkat(dirfd(folder), e->d_name, 0) == 0) count++;
    (void)closedir(folder);
    (void)rmdir(path);
    return count;
}

static void clean_up(void) { (void)clear(dir); }

static void put(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) abort();
}

static void set_up(void) {
    char path[128];
    (void)snprintf(dir, sizeof dir, "/tmp/hone-fuzz-XXXXXX");
    if (!mkdtemp(dir)) abort();
    (void)snprintf(path, sizeof path, "%s/adapter_config.json", dir);
    (void)snprintf(weights, sizeof weights, "%s/adapter_model.safetensors", dir);
    (void)snprintf(out, sizeof out, "%s/out", dir);
    put(path, config, sizeof config - 1);
    if (atexit(clean_up) != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!dir[0]) set_up();
    put(weights, data, size);
    bool failed = hone_failed(hone_adapter_merge(base, dir, out));
    hone_config merged;
    if (failed == hone_file_exists(out)) abort();
    if (failed) return 0;
    if (hone_failed(hone_config_load(out, &merged))) abort();
    hone_config_done(&merged);
    if (clear(out) < 2) abort();
    return 0;
}
