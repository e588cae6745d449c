/* rows.c: see rows_impl.h. */
#include "registry/rows_impl.h"

#include "store/objects.h"

#include <stdlib.h>
#include <string.h>

const char *hone_registry_text(const hone_rows *rows, int column, hone_arena *arena) {
    hone_str text = hone_rows_str(rows, column);
    return hone_arena_strdup(arena, text.ptr ? text : (hone_str){"", 0});
}

hone_err hone_registry_dump(hone_arena *arena, const json_t *value, const char *what,
                            const char **out) {
    char *text = value ? json_dumps(value, JSON_COMPACT) : strdup("{}");
    if (!text) return hone_registry_no_memory();
    size_t len = strlen(text);
    hone_err err = HONE_OK;
    if (len > HONE_FIELDS_BYTES_MAX)
        err = hone_err_new(HONE_E_INVALID, "the %s take %zu bytes of JSON, at most %d are kept",
                           what, len, HONE_FIELDS_BYTES_MAX);
    else if (!(*out = hone_arena_strdup(arena, (hone_str){text, len})))
        err = hone_registry_no_memory();
    free(text);
    return err;
}

/* The address in container, of either form. */
static const json_t *find_uri(const json_t *container) {
    const json_t *url = json_object_get(container, "ModelDataUrl");
    if (json_is_string(url)) return url;
    const json_t *source = json_object_get(container, "ModelDataSource");
    return json_object_get(json_object_get(source, "S3DataSource"), "S3Uri");
}

hone_err hone_container_uri(const json_t *container, const char *where, hone_str *out) {
    const json_t *url = find_uri(container);
    if (!json_is_string(url)) return hone_err_new(HONE_E_INVALID, "%s has no ModelDataUrl", where);
    hone_str uri = {json_string_value(url), json_string_length(url)}, bucket, key;
    if (uri.len > HONE_KEY_MAX || memchr(uri.ptr, '\0', uri.len))
        return hone_err_new(HONE_E_INVALID, "ModelDataUrl of %s is longer than %d bytes", where,
                            HONE_KEY_MAX);
    hone_err err = hone_s3_uri_parse(uri, &bucket, &key);
    if (hone_failed(err)) return hone_err_wrap(err, "ModelDataUrl of %s", where);
    if (!hone_str_has_suffix(key, HONE_S(".tar.gz")))
        return hone_err_new(HONE_E_INVALID, "ModelDataUrl of %s is no model.tar.gz: '%.*s'", where,
                            HONE_ARG(uri));
    *out = uri;
    return HONE_OK;
}
