/* teams.h: work teams: the names that reviewers belong to (account.h says who does).
 *
 * Strings of what is found live in the arena it was asked with.
 */
#ifndef HONE_REVIEW_TEAMS_H
#define HONE_REVIEW_TEAMS_H

#include "review/review.h"

#include <jansson.h>

typedef struct hone_team {
    const char *name, *arn, *description;
    const char *fields; /* JSON: MemberDefinitions and what else the wire gave, as it came */
    int64_t created_ms, modified_ms;
} hone_team;

/* CONFLICT when it exists. fields: an object, kept as it is. */
HONE_NODISCARD hone_err hone_team_add(hone_tx *tx, hone_arena *arena, hone_realm realm,
                                      const char *actor, hone_str name, hone_str description,
                                      const json_t *fields, hone_team *out);
/* By name or ARN. NOT_FOUND. */
HONE_NODISCARD hone_err hone_team_find(hone_tx *tx, hone_arena *arena, hone_str name,
                                       hone_team *out);
HONE_NODISCARD hone_err hone_team_list(hone_tx *tx, hone_arena *arena,
                                       const hone_review_listing *listing, hone_team **out,
                                       size_t *count, bool *more);
/* description empty and fields NULL leave what is there; members of fields replace those kept. */
HONE_NODISCARD hone_err hone_team_update(hone_tx *tx, hone_arena *arena, const char *actor,
                                         hone_str name, hone_str description, json_t *fields,
                                         hone_team *out);
/* CONFLICT while a flow definition names it. */
HONE_NODISCARD hone_err hone_team_remove(hone_tx *tx, hone_arena *arena, const char *actor,
                                         hone_str name);

#endif
