/* hub.h: fetches a model from the Hugging Face hub, or from what speaks like it.
 *
 *     GET ENDPOINT/MODEL/resolve/REVISION/FILE
 *
 *     X-Repo-Commit                 the commit that REVISION is: the other files come from it
 *     X-Linked-Etag, else ETag      64 hex digits: the file's SHA-256; 40: its git blob name
 *     X-Linked-Size                 the size of a file that a redirect leads to
 *     X-Error-Code                  what is not there: RepoNotFound, RevisionNotFound, ...
 *
 * ENDPOINT is $HF_ENDPOINT or https://huggingface.co. A token, from $HF_TOKEN or the file
 * ~/.cache/huggingface/token, is sent there and nowhere else.
 */
#ifndef HONE_CLI_HUB_H
#define HONE_CLI_HUB_H

#include "base/arena.h"
#include "base/err.h"

#include <stdint.h>

typedef struct hone_hub_model {
    const char *name;     /* "org/name" or "name", checked */
    const char *revision; /* a branch, tag or commit, checked */
    const char *sha256;   /* the weights must have it; NULL: what the hub says */
    int64_t connect_timeout_ms;
} hone_hub_model;

/* INVALID unless name is one or two parts of letters, digits, '-', '_' and '.', as the hub
 * has them. What passes is safe in a URL and, split at '/', as the name of a folder. */
HONE_NODISCARD hone_err hone_hub_check_name(const char *name);

/* INVALID unless revision is of letters, digits, '-', '_', '.' and '/', without "..". */
HONE_NODISCARD hone_err hone_hub_check_revision(const char *revision);

/* revision as one part of a path: '/' becomes "%2F". NULL at the arena's limit. */
const char *hone_hub_escape_revision(hone_arena *arena, const char *revision);

/* Bring the model's files into dir, which may hold what an earlier call left: the weights
 * are gone on with where they broke off, unless the hub's file has changed. Each file has its
 * name only when it is whole and its digest is right. Progress on stderr.
 *
 * Errors: NOT_FOUND for a model, revision or required file that is not there; INVALID for
 * what hone cannot run, or when a token is needed; CORRUPT for a wrong digest, with the
 * bytes deleted; IO for network and disk. */
HONE_NODISCARD hone_err hone_hub_fetch(hone_arena *arena, const hone_hub_model *model,
                                       const char *dir);

#endif
