/* realm.c: ARNs made and read. */
#include "base/realm.h"

#include <stdarg.h>
#include <stdio.h>

enum { ARN_SIZE = 2048 };

char *hone_arn_format(hone_arena *arena, hone_realm realm, const char *fmt, ...) {
    char arn[ARN_SIZE];
    int head = snprintf(arn, sizeof arn, "arn:aws:sagemaker:%s:%s:", realm.region, realm.account);
    if (head < 0 || (size_t)head >= sizeof arn) return NULL;
    va_list args;
    va_start(args, fmt);
    int rest = vsnprintf(arn + head, sizeof arn - (size_t)head, fmt, args);
    va_end(args);
    if (rest < 0 || (size_t)rest >= sizeof arn - (size_t)head) return NULL;
    return hone_arena_strdup(arena, hone_str_of(arn));
}

/* Drop text up to and with the next ':'; false when there is none. */
static bool skip_field(hone_str *text) {
    const char *colon = text->len ? memchr(text->ptr, ':', text->len) : NULL;
    if (!colon) return false;
    text->len -= (size_t)(colon + 1 - text->ptr);
    text->ptr = colon + 1;
    return true;
}

bool hone_arn_name(hone_str text, const char *kind, bool names, hone_str *out) {
    hone_str rest = text, prefix = hone_str_of(kind);
    if (!hone_str_has_prefix(text, HONE_S("arn:"))) {
        if (names) *out = text;
        return names && text.len > 0;
    }
    for (int i = 0; i < 5; i++) /* arn, partition, service, region, account */
        if (!skip_field(&rest)) return false;
    if (!hone_str_has_prefix(rest, prefix) || rest.len < prefix.len + 2) return false;
    if (rest.ptr[prefix.len] != '/') return false;
    *out = (hone_str){rest.ptr + prefix.len + 1, rest.len - prefix.len - 1};
    return true;
}

static bool is_word(char c, bool lower) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (!lower && c >= 'A' && c <= 'Z');
}

bool hone_name_is_valid(hone_str name, size_t max, bool lower) {
    if (name.len == 0 || name.len > max) return false;
    for (size_t i = 0; i < name.len; i++)
        if (!is_word(name.ptr[i], lower) && name.ptr[i] != '-') return false;
    return name.ptr[0] != '-' && name.ptr[name.len - 1] != '-';
}
