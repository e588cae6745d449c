/* page.h: what a rendered review page asks, for a terminal.
 *
 *     <crowd-classifier name="category" categories="['Yes', 'No']" header="Is it?">
 *       <classification-target>the text</classification-target>      --> hone_page_question
 *
 * Only the two classifiers are understood: one question with a list of choices. Any other page
 * needs a browser. Tags within the text are dropped, entities decoded, control characters
 * become spaces.
 */
#ifndef HONE_CLI_CLIENT_PAGE_H
#define HONE_CLI_CLIENT_PAGE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

enum { HONE_PAGE_CHOICES_MAX = 50 };

/* Strings live in the arena, terminated. */
typedef struct hone_page_question {
    const char *name;   /* of the element: the answer's key */
    const char *header; /* "" when there is none */
    const char *text;
    bool is_multi; /* {"labels": [...]} instead of {"label": ...} */
    size_t count;
    const char *choices[HONE_PAGE_CHOICES_MAX];
} hone_page_question;

/* INVALID for a page that a terminal cannot show, saying what is missing. */
HONE_NODISCARD hone_err hone_page_parse(hone_arena *arena, hone_str html, hone_page_question *out);

#endif
