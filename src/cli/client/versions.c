/* versions.c: see versions.h. */
#include "cli/client/versions.h"

#include "base/arena.h"

#include <string.h>

hone_err hone_versions_list(hone_remote *remote, const char *group, const char *status,
                            json_t **out) {
    json_t *in = json_pack("{s:s, s:s, s:s, s:s*}", "ModelPackageGroupName", group, "SortBy",
                           "CreationTime", "SortOrder", "Descending", "ModelApprovalStatus",
                           status);
    return hone_remote_list(remote, "ListModelPackages", in, "ModelPackageSummaryList", 0, out);
}

/* "group:3" -> its group, in the arena, and "3"; *number = NULL without a colon. */
static hone_err split(hone_remote *remote, const char *word, const char **group,
                      const char **number) {
    const char *colon = strrchr(word, ':');
    size_t len = colon ? (size_t)(colon - word) : strlen(word);
    *group = hone_arena_strdup(hone_remote_arena(remote), (hone_str){word, len});
    *number = colon ? colon + 1 : NULL;
    if (!*group) return hone_err_new(HONE_E_NOMEM, "no memory for a name");
    if (colon && (*colon == '\0' || strspn(*number, "0123456789") != strlen(*number) ||
                  strlen(*number) == 0 || strlen(*number) > 9))
        return hone_err_new(HONE_E_INVALID, "'%s': expected GROUP:VERSION, as in %s:3", word,
                            *group);
    return HONE_OK;
}

static int64_t to_number(const char *digits) {
    int64_t n = 0;
    for (const char *c = digits; *c; c++) n = n * 10 + (*c - '0');
    return n;
}

static hone_err missing(const char *group, const char *number, const char *status,
                        const json_t *all) {
    if (number)
        return hone_err_new(HONE_E_NOT_FOUND,
                            "group '%s' has no version %s: hone models list %s shows what it has",
                            group, number, group);
    if (json_array_size(all) == 0)
        return hone_err_new(HONE_E_NOT_FOUND, "group '%s' has no version yet", group);
    return hone_err_new(HONE_E_NOT_FOUND,
                        "group '%s' has no version that is %s: hone models approve %s approves "
                        "the newest",
                        group, status, group);
}

hone_err hone_versions_find(hone_remote *remote, const char *word, const char *status,
                            json_t **out) {
    const char *group = NULL, *number = NULL;
    json_t *all = NULL, *found = NULL, *item = NULL;
    size_t i = 0;
    HONE_TRY(split(remote, word, &group, &number));
    HONE_TRY(hone_versions_list(remote, group, NULL, &all));
    json_array_foreach(all, i, item) {
        bool fits = number
                        ? json_integer_value(json_object_get(item, "ModelPackageVersion")) ==
                              to_number(number)
                        : !status || strcmp(hone_field(item, "ModelApprovalStatus"), status) == 0;
        if (fits && !found) found = json_incref(item);
    }
    hone_err err = found ? HONE_OK : missing(group, number, status, all);
    json_decref(all);
    if (found) *out = found;
    return err;
}
