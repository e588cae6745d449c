/* liquid.h: a page from a template and the input of a human loop.
 *
 *     "<p>{{ task.input.text }}</p>" + {"text": "a < b"}  ->  "<p>a &lt; b</p>"
 *
 * Liquid as Amazon A2I has it. Whatever is put out is escaped for HTML, unless its last filter
 * was skip_autoescape; text that escape or capture made is not escaped twice. Arrays and objects
 * come out as JSON, a path that leads nowhere as nothing.
 *
 *     output   {{ task.input.list[0]["a key"].size | filter: argument }}     {{- and -}} trim
 *     tags     if elsif else unless case when for (limit: offset: reversed, else, break,
 *              continue, forloop.*) assign capture comment raw
 *     filters  escape escape_once skip_autoescape to_json default upcase downcase capitalize size
 *              first last join split replace remove append prepend strip lstrip rstrip truncate
 *              newline_to_br plus minus times divided_by modulo round
 *
 * What is not known is an error, with its line: a template is checked when it is created, not
 * when a reviewer sits before it.
 *
 * Bounds: work, memory, nesting and output are limited, so an endless or exploding template is an
 * error too, within about a second. Threads: any.
 */
#ifndef HONE_REVIEW_LIQUID_H
#define HONE_REVIEW_LIQUID_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <jansson.h>

enum { HONE_LIQUID_OUTPUT_MAX = 16 << 20 }; /* bytes of a page; a good limit for out */

/* Is this a template? INVALID: `line 3: unknown tag 'fro'`. NOMEM. */
HONE_NODISCARD hone_err hone_liquid_check(hone_str text);

/* Append to out the page for task.input = input. INVALID as above, and for a limit. On failure
 * out holds the page up to the error. */
HONE_NODISCARD hone_err hone_liquid_render(hone_str text, json_t *input, hone_buf *out);

#endif
