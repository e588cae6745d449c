/* json_text.h: JSON as compact text, with numbers as short as they can be.
 *
 * jansson writes 0.61 as 0.60999999999999999; a reviewer and a diff should see 0.61. Whoever
 * parses either gets the same number.
 */
#ifndef HONE_REVIEW_JSON_TEXT_H
#define HONE_REVIEW_JSON_TEXT_H

#include "base/buf.h"
#include "base/str.h"

#include <jansson.h>

typedef enum hone_json_style {
    HONE_JSON_PLAIN,
    HONE_JSON_IN_HTML, /* '<' as \u003c: no string can end a script element */
} hone_json_style;

/* Append value. Nesting is bounded by jansson's parser. */
void hone_json_text_push(hone_buf *out, const json_t *value, hone_json_style style);

/* Append s, which is UTF-8, as a JSON string. */
void hone_json_text_push_str(hone_buf *out, hone_str s, hone_json_style style);

/* Append the shortest text that reads back as real, which is finite; with ".0" or an exponent. */
void hone_json_text_push_real(hone_buf *out, double real);

#endif
