/* checkpoint.c: see checkpoint.h. */
#include "cli/checkpoint.h"

#include "base/buf.h"
#include "base/file.h"
#include "cli/digest.h"
#include "model/config.h"
#include "model/model.h"

#include <sys/stat.h>

enum { CONFIG_LIMIT_BYTES = 32 << 20, TOKENIZER_LIMIT_BYTES = 64 << 20, SUMS_LIMIT_BYTES = 4096 };

/* BERT-large has 1.3 GB; 16 GB is beyond every encoder of this kind. */
static const int64_t WEIGHTS_LIMIT_BYTES = INT64_C(16) << 30;

const hone_checkpoint_file hone_checkpoint_files[HONE_CHECKPOINT_FILES] = {
    {HONE_CONFIG_NAME, CONFIG_LIMIT_BYTES, true},
    {"tokenizer_config.json", CONFIG_LIMIT_BYTES, false},
    {"special_tokens_map.json", CONFIG_LIMIT_BYTES, false},
    {"vocab.txt", TOKENIZER_LIMIT_BYTES, false},
    {"tokenizer.json", TOKENIZER_LIMIT_BYTES, false},
    {HONE_WEIGHTS_NAME, WEIGHTS_LIMIT_BYTES, true},
};

const hone_checkpoint_file *hone_checkpoint_file_find(hone_str name) {
    for (size_t i = 0; i < HONE_CHECKPOINT_FILES; i++)
        if (hone_str_equal(name, hone_str_of(hone_checkpoint_files[i].name)))
            return &hone_checkpoint_files[i];
    return NULL;
}

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory for a path"); }

/* ---- checks ---- */

/* A regular file with something in it. */
static hone_err has_file(hone_arena *arena, const char *dir, const char *name, bool *out) {
    const char *path = hone_path_join(arena, dir, name);
    struct stat st;
    if (!path) return no_memory();
    *out = stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
    return HONE_OK;
}

hone_err hone_checkpoint_check_config(hone_arena *arena, const char *dir, const char *what) {
    const char *path = hone_path_join(arena, dir, HONE_CONFIG_NAME);
    if (!path) return no_memory();
    hone_map map;
    hone_err err = hone_map_open(path, &map);
    if (err.code == HONE_E_NOT_FOUND)
        return hone_err_new(HONE_E_NOT_FOUND, "%s has no " HONE_CONFIG_NAME, what);
    if (hone_failed(err)) return err;
    hone_config config;
    err = hone_config_parse(map.bytes, HONE_CONFIG_NAME, &config);
    if (hone_failed(err))
        err = hone_err_wrap(err, "%s", what);
    else
        hone_config_done(&config);
    hone_map_close(&map);
    return err;
}

hone_err hone_checkpoint_check_tokenizer(hone_arena *arena, const char *dir, const char *what) {
    bool has_json = false, has_vocab = false;
    HONE_TRY(has_file(arena, dir, "tokenizer.json", &has_json));
    HONE_TRY(has_file(arena, dir, "vocab.txt", &has_vocab));
    if (has_json || has_vocab) return HONE_OK;
    return hone_err_new(HONE_E_NOT_FOUND,
                        "%s has neither tokenizer.json nor vocab.txt: hone needs one of them",
                        what);
}

hone_err hone_checkpoint_check(hone_arena *arena, const char *dir, const char *what) {
    bool has_weights = false, is_split = false, has_pickle = false;
    HONE_TRY(hone_checkpoint_check_config(arena, dir, what));
    HONE_TRY(hone_checkpoint_check_tokenizer(arena, dir, what));
    HONE_TRY(has_file(arena, dir, HONE_WEIGHTS_NAME, &has_weights));
    HONE_TRY(has_file(arena, dir, HONE_WEIGHTS_NAME ".index.json", &is_split));
    HONE_TRY(has_file(arena, dir, "pytorch_model.bin", &has_pickle));
    if (has_weights) return HONE_OK;
    return hone_err_new(HONE_E_NOT_FOUND, "%s has no " HONE_WEIGHTS_NAME "%s", what,
                        is_split     ? ": its weights are split over several files, hone reads one"
                        : has_pickle ? ", only pytorch_model.bin: save it as safetensors first"
                                     : "");
}

hone_err hone_checkpoint_check_sha256(hone_arena *arena, const char *dir, const char *sha256) {
    const char *path = hone_path_join(arena, dir, HONE_WEIGHTS_NAME);
    if (!path) return no_memory();
    hone_map map;
    HONE_TRY(hone_map_open(path, &map));
    hone_err err = hone_digest_check(map.bytes, hone_str_of(sha256), HONE_WEIGHTS_NAME);
    hone_map_close(&map);
    return err;
}

/* ---- sums ---- */

/* "HEX  NAME" of every file that is there. */
static hone_err push_sums(hone_arena *arena, const char *dir, hone_buf *out) {
    for (size_t i = 0; i < HONE_CHECKPOINT_FILES; i++) {
        const char *path = hone_path_join(arena, dir, hone_checkpoint_files[i].name);
        if (!path) return no_memory();
        char hex[HONE_DIGEST_SIZE];
        hone_map map;
        hone_err err = hone_map_open(path, &map);
        if (err.code == HONE_E_NOT_FOUND) continue;
        HONE_TRY(err);
        err = hone_digest_sha256(map.bytes, hex);
        hone_map_close(&map);
        HONE_TRY(err);
        hone_buf_printf(out, "%s  %s\n", hex, hone_checkpoint_files[i].name);
    }
    return hone_buf_err(out);
}

hone_err hone_checkpoint_save_sums(hone_arena *arena, const char *dir) {
    hone_buf sums;
    hone_buf_init(&sums, SUMS_LIMIT_BYTES);
    const char *path = hone_path_join(arena, dir, HONE_SUMS_NAME);
    hone_err err = path ? push_sums(arena, dir, &sums) : no_memory();
    if (!hone_failed(err)) err = hone_file_save(path, hone_buf_str(&sums));
    hone_buf_done(&sums);
    return err;
}

hone_err hone_checkpoint_check_sums(hone_arena *arena, const char *dir) {
    hone_str said = {NULL, 0};
    const char *path = hone_path_join(arena, dir, HONE_SUMS_NAME);
    if (!path) return no_memory();
    hone_err err = hone_file_load(arena, path, SUMS_LIMIT_BYTES, &said);
    if (err.code == HONE_E_NOT_FOUND) return HONE_OK;
    HONE_TRY(err);
    hone_buf sums;
    hone_buf_init(&sums, SUMS_LIMIT_BYTES);
    err = push_sums(arena, dir, &sums);
    if (!hone_failed(err) && !hone_str_equal(hone_buf_str(&sums), said))
        err = hone_err_new(HONE_E_CORRUPT, "'%s' does not fit the files beside it", path);
    hone_buf_done(&sums);
    return err;
}

/* ---- copying ---- */

static hone_err copy_into(hone_arena *arena, const char *from, const char *to) {
    for (size_t i = 0; i < HONE_CHECKPOINT_FILES; i++) {
        const hone_checkpoint_file *file = &hone_checkpoint_files[i];
        const char *source = hone_path_join(arena, from, file->name);
        const char *target = hone_path_join(arena, to, file->name);
        if (!source || !target) return no_memory();
        hone_err err = hone_file_copy(source, target, 0644);
        if (err.code == HONE_E_NOT_FOUND && !file->is_required) continue;
        if (hone_failed(err)) return err;
    }
    return HONE_OK;
}

hone_err hone_checkpoint_copy(hone_arena *arena, const char *from, const char *to) {
    struct stat a, b;
    if (stat(from, &a) == 0 && stat(to, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        return HONE_OK; /* it is there */
    hone_newdir dir;
    HONE_TRY(hone_newdir_begin(to, &dir));
    hone_err err = copy_into(arena, from, dir.path);
    if (hone_failed(err)) {
        hone_newdir_abort(&dir);
        return err;
    }
    return hone_newdir_commit(&dir);
}
