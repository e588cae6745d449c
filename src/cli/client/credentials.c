/* credentials.c: see credentials.h. */
#include "cli/client/credentials.h"

#include "base/env.h"
#include "base/file.h"

#include <stdio.h>
#include <string.h>

enum { FILE_LIMIT_BYTES = 64 << 10 };

static const char default_url[] = "http://127.0.0.1:8080";

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory for credentials"); }

static hone_str trim(hone_str s) {
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) s.ptr++, s.len--;
    while (s.len > 0 && strchr(" \t\r", s.ptr[s.len - 1])) s.len--;
    return s;
}

/* The text up to the line's end, which is taken off rest. */
static hone_str next_line(hone_str *rest) {
    const char *end = memchr(rest->ptr, '\n', rest->len);
    size_t len = end ? (size_t)(end - rest->ptr) : rest->len;
    hone_str line = {rest->ptr, len};
    size_t step = end ? len + 1 : len;
    *rest = (hone_str){rest->ptr + step, rest->len - step};
    return trim(line);
}

static bool is_printable(hone_str s) {
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] <= ' ' || (unsigned char)s.ptr[i] >= 127) return false;
    return s.len > 0;
}

static hone_err set(hone_arena *arena, hone_str key, hone_str value, const char *where,
                    size_t number, hone_credentials *out) {
    const struct {
        hone_str key;
        const char **to;
    } known[] = {{HONE_S("aws_access_key_id"), &out->key_id},
                 {HONE_S("aws_secret_access_key"), &out->secret},
                 {HONE_S("endpoint_url"), &out->endpoint_url}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!hone_str_equal(key, known[i].key)) continue;
        if (!is_printable(value))
            return hone_err_new(HONE_E_CORRUPT, "%s, line %zu: '%.*s' has no plain value", where,
                                number, HONE_ARG(key));
        *known[i].to = hone_arena_strdup(arena, value);
        return *known[i].to ? HONE_OK : no_memory();
    }
    return HONE_OK; /* the portal's login, a region: not needed here */
}

hone_err hone_credentials_parse(hone_arena *arena, hone_str bytes, const char *where,
                                hone_credentials *out) {
    hone_credentials found = {0};
    bool is_default = false;
    size_t number = 0;
    while (bytes.len > 0) {
        hone_str line = next_line(&bytes);
        number++;
        if (line.len == 0 || line.ptr[0] == '#' || line.ptr[0] == ';') continue;
        if (line.ptr[0] == '[') {
            is_default = hone_str_equal(line, HONE_S("[default]"));
            continue;
        }
        const char *equals = memchr(line.ptr, '=', line.len);
        if (!equals)
            return hone_err_new(HONE_E_CORRUPT, "%s, line %zu: expected NAME = VALUE", where,
                                number);
        size_t key_len = (size_t)(equals - line.ptr);
        hone_str key = trim((hone_str){line.ptr, key_len});
        hone_str value = trim((hone_str){equals + 1, line.len - key_len - 1});
        if (is_default) HONE_TRY(set(arena, key, value, where, number, &found));
    }
    *out = found;
    return HONE_OK;
}

static hone_err load(hone_arena *arena, const char *path, hone_credentials *out) {
    hone_str bytes;
    HONE_TRY(hone_file_load(arena, path, FILE_LIMIT_BYTES, &bytes));
    HONE_TRY(hone_credentials_parse(arena, bytes, path, out));
    if (!out->key_id || !out->secret)
        return hone_err_new(HONE_E_CORRUPT,
                            "%s: no aws_access_key_id and aws_secret_access_key in [default]",
                            path);
    return HONE_OK;
}

static hone_err without_slash(hone_arena *arena, hone_credentials *c) {
    size_t len = strlen(c->endpoint_url);
    while (len > 0 && c->endpoint_url[len - 1] == '/') len--;
    c->endpoint_url = hone_arena_strdup(arena, (hone_str){c->endpoint_url, len});
    return c->endpoint_url ? HONE_OK : no_memory();
}

/* A file that was named: its errors count, and its endpoint comes before the environment's. */
static hone_err find_named(hone_arena *arena, const char *data, const char *named,
                           hone_credentials *out) {
    const char *path = data ? hone_path_join(arena, data, "credentials") : named;
    if (!path) return no_memory();
    hone_err err = load(arena, path, out);
    if (err.code == HONE_E_NOT_FOUND && data)
        return hone_err_new(HONE_E_NOT_FOUND,
                            "no credentials in '%s': hone serve --data %s makes them when it "
                            "starts",
                            data, data);
    HONE_TRY(err);
    if (!out->endpoint_url) out->endpoint_url = hone_env("AWS_ENDPOINT_URL");
    return HONE_OK;
}

static hone_err find_default(hone_arena *arena, hone_credentials *out) {
    const char *data = NULL;
    hone_err err = hone_env_data(arena, NULL, &data);
    if (err.code == HONE_E_NOMEM) return err;
    const char *path = data ? hone_path_join(arena, data, "credentials") : NULL;
    if (data && !path) return no_memory();
    if (!path || !hone_file_exists(path))
        return hone_err_new(HONE_E_NOT_FOUND,
                            "no credentials: give --data DIR (the folder of hone serve), or set "
                            "HONE_CREDENTIALS or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
    HONE_TRY(load(arena, path, out));
    const char *url = hone_env("AWS_ENDPOINT_URL");
    if (url) out->endpoint_url = url;
    return HONE_OK;
}

hone_err hone_credentials_find(hone_arena *arena, const char *data, const char *endpoint_url,
                               hone_credentials *out) {
    hone_credentials found = {0};
    const char *named = hone_env("HONE_CREDENTIALS");
    const char *key_id = hone_env("AWS_ACCESS_KEY_ID");
    const char *secret = hone_env("AWS_SECRET_ACCESS_KEY");
    if (data || named) {
        HONE_TRY(find_named(arena, data, named, &found));
    } else if (key_id && secret) {
        found = (hone_credentials){key_id, secret, hone_env("AWS_ENDPOINT_URL")};
    } else {
        HONE_TRY(find_default(arena, &found));
    }
    if (endpoint_url) found.endpoint_url = endpoint_url;
    if (!found.endpoint_url) found.endpoint_url = default_url;
    HONE_TRY(without_slash(arena, &found));
    *out = found;
    return HONE_OK;
}
