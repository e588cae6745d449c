/* templates_impl.h: the table that tools/embed_templates.py writes. */
#ifndef HONE_CLI_CLIENT_TEMPLATES_IMPL_H
#define HONE_CLI_CLIENT_TEMPLATES_IMPL_H

#include "base/str.h"

typedef struct hone_template {
    const char *name; /* NULL ends the table */
    hone_str content;
} hone_template;

extern const hone_template hone_templates[];

#endif
