/* job.c: `hone job FOLDER`: the child process in which the server has a job done. Nobody types it,
 * so --help of hone does not list it. */
#include "base/arena.h"
#include "cli/cache.h"
#include "cli/checkpoint.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/pull.h"
#include "jobs/child.h"
#include "pipeline/native_job.h"

#include <stdlib.h>
#include <string.h>

/* A folder that a pipeline names must lie in the cache, where `hone pull` puts models: a document
 * shall not reach for whatever else this machine has. */
static hone_err find_folder(hone_arena *arena, const char *name, const char **dir) {
    const char *root = NULL;
    HONE_TRY(hone_cache_root(arena, NULL, &root));
    char *place = realpath(name, NULL), *cache = realpath(root, NULL);
    size_t len = cache ? strlen(cache) : 0;
    bool inside = place && cache && strncmp(place, cache, len) == 0 && place[len] == '/';
    *dir = inside ? hone_arena_strdup(arena, hone_str_of(place)) : NULL;
    free(place);
    free(cache);
    if (!inside)
        return hone_err_new(HONE_E_INVALID, "model '%s' is no folder of the cache '%s'", name,
                            root);
    if (!*dir) return hone_err_new(HONE_E_NOMEM, "no memory for a path");
    return hone_checkpoint_check(arena, *dir, name);
}

static hone_err find_model(void *ctx, hone_arena *arena, const char *name, const char **dir) {
    (void)ctx;
    return name[0] == '/' ? find_folder(arena, name, dir) : hone_pull_model(arena, name, dir);
}

hone_err hone_cmd_job(int argc, char **argv) {
    static const hone_usage usage = {
        "job", "FOLDER", "Do the job of a folder that hone serve has made: for its use."};
    static const hone_option options[] = {{0}};
    const char *folder = NULL;
    size_t count = 0;
    bool help_shown = false;
    HONE_TRY(hone_options_parse(&usage, options, argc, argv, &folder, 1, &count, &help_shown));
    if (help_shown) return HONE_OK;
    if (count == 0) return hone_err_new(HONE_E_INVALID, "which folder? see hone job --help");
    HONE_TRY(hone_child_enter(folder));
    return hone_native_job(folder, find_model, NULL);
}
