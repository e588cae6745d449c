/* templates.h: the review pages that come with hone, by name: "sentiment".
 *
 * They are files of templates/, put into the binary when it is built.
 */
#ifndef HONE_CLI_CLIENT_TEMPLATES_H
#define HONE_CLI_CLIENT_TEMPLATES_H

#include "base/err.h"
#include "base/str.h"

/* The page's text, static. NOT_FOUND lists those there are. */
HONE_NODISCARD hone_err hone_template_find(const char *name, hone_str *out);

#endif
