/* folder.c: see folder.h. */
#include "train/folder.h"

#include "base/file.h"

static const char *const tokenizer_files[] = {
    "tokenizer.json",          "vocab.txt",         "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json",
};
enum { TOKENIZER_FILES = sizeof tokenizer_files / sizeof tokenizer_files[0] };

static const size_t tokenizer_bytes_max = (size_t)256 << 20;

hone_err hone_folder_check(const char *path) {
    hone_newdir dir;
    HONE_TRY(hone_newdir_begin(path, &dir));
    hone_newdir_abort(&dir);
    return HONE_OK;
}

hone_err hone_folder_copy_tokenizer(hone_arena *arena, const char *base, const char *to) {
    for (size_t i = 0; i < TOKENIZER_FILES; i++) {
        char *source = hone_path_join(arena, base, tokenizer_files[i]);
        char *copy = hone_path_join(arena, to, tokenizer_files[i]);
        hone_str bytes;
        if (!source || !copy) return hone_err_new(HONE_E_NOMEM, "no memory for a path");
        if (!hone_file_exists(source)) continue;
        HONE_TRY(hone_file_load(arena, source, tokenizer_bytes_max, &bytes));
        HONE_TRY(hone_file_save(copy, bytes));
    }
    return HONE_OK;
}

hone_err hone_folder_save(const char *path, const char *base, const hone_config *config,
                          const hone_params *params, const float *values) {
    hone_newdir dir;
    HONE_TRY(hone_newdir_begin(path, &dir));
    hone_arena *arena = NULL;
    hone_err err = hone_arena_create(4 * tokenizer_bytes_max, &arena);
    if (!hone_failed(err)) err = hone_folder_copy_tokenizer(arena, base, dir.path);
    if (!hone_failed(err)) err = hone_config_save(config, dir.path);
    if (!hone_failed(err)) err = hone_params_save(params, values, dir.path);
    hone_arena_destroy(arena);
    if (!hone_failed(err)) return hone_newdir_commit(&dir);
    hone_newdir_abort(&dir);
    return hone_err_wrap(err, "save '%s'", path);
}
