/* versions.h: which version of a model group a person means.
 *
 *     "sentiment"      the newest, or the newest with a status
 *     "sentiment:3"    that one
 */
#ifndef HONE_CLI_CLIENT_VERSIONS_H
#define HONE_CLI_CLIENT_VERSIONS_H

#include "cli/client/remote.h"

/* The summary (ListModelPackages) of the version that word names; without a number the newest
 * whose status is `status`, NULL = any. NOT_FOUND says what there is and what to do. */
HONE_NODISCARD hone_err hone_versions_find(hone_remote *remote, const char *word,
                                           const char *status, json_t **out);

/* All versions of a group, the newest first. */
HONE_NODISCARD hone_err hone_versions_list(hone_remote *remote, const char *group,
                                           const char *status, json_t **out);

#endif
