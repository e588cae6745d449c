/* tags.h: key=value notes on anything that has an ARN.
 */
#ifndef HONE_STORE_TAGS_H
#define HONE_STORE_TAGS_H

#include "store/db.h"

#include <jansson.h>

/* Migrates the tags' table. */
HONE_NODISCARD hone_err hone_tags_open(hone_db *db);

/* tags: the wire's [{"Key": k, "Value": v}, ...]; NULL = none. A key that is there gets the new
 * value. INVALID above 50 tags, a key of 128 or a value of 256 characters. */
HONE_NODISCARD hone_err hone_tags_add(hone_tx *tx, const char *arn, const json_t *tags);
/* All tags in the wire's form, sorted by key; caller decrefs. */
HONE_NODISCARD hone_err hone_tags_list(hone_tx *tx, const char *arn, json_t **out);
HONE_NODISCARD hone_err hone_tags_remove(hone_tx *tx, const char *arn, const json_t *keys);
/* One value in the arena; NOT_FOUND. */
HONE_NODISCARD hone_err hone_tags_find(hone_tx *tx, hone_arena *arena, const char *arn,
                                       const char *key, hone_str *out);
/* When the thing itself goes. */
HONE_NODISCARD hone_err hone_tags_drop(hone_tx *tx, const char *arn);

#endif
