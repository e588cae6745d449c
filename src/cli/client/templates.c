/* templates.c: see templates.h. */
#include "cli/client/templates.h"

#include "cli/client/templates_impl.h"

#include <stdio.h>
#include <string.h>

hone_err hone_template_find(const char *name, hone_str *out) {
    char known[256] = "";
    size_t len = 0;
    for (const hone_template *t = hone_templates; t->name; t++) {
        if (strcmp(t->name, name) == 0) {
            *out = t->content;
            return HONE_OK;
        }
        int n = snprintf(known + len, sizeof known - len, " builtin:%s", t->name);
        if (n > 0 && (size_t)n < sizeof known - len) len += (size_t)n;
    }
    return hone_err_new(HONE_E_NOT_FOUND, "no template 'builtin:%s': there is%s", name, known);
}
