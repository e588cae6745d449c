/* options.c: see options.h. */
#include "cli/options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_help(const hone_usage *usage, const hone_option *options) {
    printf("usage: hone %s %s\n\n%s\n\n", usage->name, usage->usage, usage->about);
    for (const hone_option *o = options; o->name; o++) {
        if (!o->help) continue;
        char flag[64];
        (void)snprintf(flag, sizeof flag, "--%s%s%s", o->name, o->value_name ? " " : "",
                       o->value_name ? o->value_name : "");
        printf("  %-26s %s%s\n", flag, o->help, o->required ? " (required)" : "");
    }
}

/* The option that word names, with *value behind its '='; NULL when there is none. */
static const hone_option *find(const hone_option *options, const char *word, const char **value) {
    const char *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : strlen(word);
    for (const hone_option *o = options; o->name; o++) {
        if (strlen(o->name) != len || strncmp(o->name, word, len) != 0) continue;
        *value = equals ? equals + 1 : NULL;
        return o;
    }
    return NULL;
}

static hone_err set_whole(const hone_option *o, const char *value, uint64_t max, uint64_t *out) {
    char *end = NULL;
    errno = 0;
    unsigned long long n = strtoull(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0 || n > max)
        return hone_err_new(HONE_E_INVALID, "--%s '%s': expected a whole number", o->name, value);
    *out = n;
    return HONE_OK;
}

static hone_err set(const hone_option *o, const char *value) {
    uint64_t n = 0;
    char *end = NULL;
    switch (o->kind) {
    case HONE_OPT_STR:
        *(const char **)o->out = value;
        return HONE_OK;
    case HONE_OPT_SIZE:
        HONE_TRY(set_whole(o, value, SIZE_MAX / 4, &n));
        *(size_t *)o->out = (size_t)n;
        return HONE_OK;
    case HONE_OPT_U64:
        HONE_TRY(set_whole(o, value, UINT64_MAX, &n));
        *(uint64_t *)o->out = n;
        return HONE_OK;
    case HONE_OPT_FLOAT: {
        double x = strtod(value, &end);
        if (end == value || *end != '\0' || !isfinite(x))
            return hone_err_new(HONE_E_INVALID, "--%s '%s': expected a number", o->name, value);
        *(double *)o->out = x;
        return HONE_OK;
    }
    case HONE_OPT_DTYPE:
        return hone_dtype_parse(value, o->out);
    case HONE_OPT_FLAG:
        *(bool *)o->out = true;
        return HONE_OK;
    }
    return HONE_OK;
}

hone_err hone_options_parse(const hone_usage *usage, const hone_option *options, int argc,
                            char **argv, const char **positional, size_t positional_max,
                            size_t *positional_count, bool *help_shown) {
    bool seen[64] = {false};
    *positional_count = 0;
    *help_shown = false;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            print_help(usage, options);
            *help_shown = true;
            return HONE_OK;
        }
        if (strncmp(word, "--", 2) != 0) {
            if (*positional_count == positional_max)
                return hone_err_new(HONE_E_INVALID, "unexpected '%s': see hone %s --help", word,
                                    usage->name);
            positional[(*positional_count)++] = word;
            continue;
        }
        const char *value = NULL;
        const hone_option *o = find(options, word + 2, &value);
        if (!o)
            return hone_err_new(HONE_E_INVALID, "unknown flag '%s': see hone %s --help", word,
                                usage->name);
        if (o->kind == HONE_OPT_FLAG && value)
            return hone_err_new(HONE_E_INVALID, "--%s takes no value", o->name);
        if (o->kind != HONE_OPT_FLAG && !value) {
            if (i + 1 == argc)
                return hone_err_new(HONE_E_INVALID, "--%s needs %s", o->name, o->value_name);
            value = argv[++i];
        }
        HONE_TRY(set(o, value));
        seen[o - options] = true;
    }
    for (const hone_option *o = options; o->name; o++)
        if (o->required && !seen[o - options])
            return hone_err_new(HONE_E_INVALID, "--%s %s is missing: see hone %s --help", o->name,
                                o->value_name, usage->name);
    return HONE_OK;
}
