/* realm.h: the region and account that this installation plays, and names made of them.
 *
 *     arn:aws:sagemaker:<region>:<account>:<kind>/<name>
 */
#ifndef HONE_BASE_REALM_H
#define HONE_BASE_REALM_H

#include "base/arena.h"
#include "base/str.h"

#include <stdbool.h>

typedef struct hone_realm {
    const char *region;  /* "us-east-1" unless configured */
    const char *account; /* 12 digits */
} hone_realm;

/* "arn:aws:sagemaker:REGION:ACCOUNT:" and the rest, in the arena; NULL at its limit. */
char *hone_arn_format(hone_arena *arena, hone_realm realm, const char *fmt, ...) HONE_PRINTF(3, 4);

/* What follows "KIND/" in an ARN of any region and account; with `names` also a bare name,
 * which is given back as it is. False for anything else. *out borrows from text. */
bool hone_arn_name(hone_str text, const char *kind, bool names, hone_str *out);

/* Is name made as the service wants it: letters, digits and inner hyphens, at most max bytes?
 * lower: no capital letters. */
bool hone_name_is_valid(hone_str name, size_t max, bool lower);

#endif
