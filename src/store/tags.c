/* tags.c: see tags.h. The limits and the forbidden "aws:" prefix are the wire's. */
#include "store/tags.h"

#include "base/json.h"
#include "base/utf8.h"

#include <strings.h>

enum { TAGS_MAX = 50, KEY_CHARS_MAX = 128, VALUE_CHARS_MAX = 256 };

static const char *const steps[] = {
    "CREATE TABLE tag ("
    "  arn TEXT NOT NULL,"
    "  key TEXT NOT NULL,"
    "  value TEXT NOT NULL,"
    "  PRIMARY KEY (arn, key)"
    ") STRICT, WITHOUT ROWID;",
};

hone_err hone_tags_open(hone_db *db) {
    return hone_db_migrate(db, "tags", steps, sizeof steps / sizeof steps[0]);
}

static size_t count_chars(hone_str s) {
    size_t count = 0, bytes = 0;
    for (size_t at = 0; at < s.len; at += bytes, count++) (void)hone_utf8_next(s, at, &bytes);
    return count;
}

static hone_err check_tag(const json_t *tag, hone_str *key, hone_str *value) {
    const json_t *k = json_object_get(tag, "Key"), *v = json_object_get(tag, "Value");
    if (!json_is_string(k) || !json_is_string(v))
        return hone_err_new(HONE_E_INVALID, "a tag is {\"Key\": text, \"Value\": text}");
    *key = hone_json_str(k);
    *value = hone_json_str(v);
    size_t key_chars = count_chars(*key);
    if (key_chars < 1 || key_chars > KEY_CHARS_MAX)
        return hone_err_new(HONE_E_INVALID, "a tag's key has 1 to %d characters, this one has %zu",
                            KEY_CHARS_MAX, key_chars);
    if (count_chars(*value) > VALUE_CHARS_MAX)
        return hone_err_new(HONE_E_INVALID, "the value of tag '%.*s' has more than %d characters",
                            HONE_ARG(*key), VALUE_CHARS_MAX);
    if (key->len >= 4 && strncasecmp(key->ptr, "aws:", 4) == 0)
        return hone_err_new(HONE_E_INVALID, "tag '%.*s': keys with 'aws:' are reserved",
                            HONE_ARG(*key));
    return HONE_OK;
}

hone_err hone_tags_add(hone_tx *tx, const char *arn, const json_t *tags) {
    if (!tags || json_is_null(tags)) return HONE_OK;
    if (!json_is_array(tags)) return hone_err_new(HONE_E_INVALID, "'Tags' is no list");
    size_t given = json_array_size(tags);
    for (size_t i = 0; i < given && given <= TAGS_MAX; i++) {
        hone_str key, value;
        HONE_TRY(check_tag(json_array_get(tags, i), &key, &value));
        HONE_TRY(hone_tx_exec(tx, "INSERT OR REPLACE INTO tag (arn, key, value) VALUES (?, ?, ?)",
                              "zss", arn, key, value));
    }
    int64_t count = 0;
    HONE_TRY(hone_tx_int(tx, &count, "SELECT count(*) FROM tag WHERE arn = ?", "z", arn));
    if (count > TAGS_MAX || given > TAGS_MAX)
        return hone_err_new(HONE_E_INVALID, "'%s' would have more than %d tags", arn, TAGS_MAX);
    return HONE_OK;
}

static json_t *make_tag(const hone_rows *rows) {
    hone_str key = hone_rows_str(rows, 0), value = hone_rows_str(rows, 1);
    return json_pack("{s:s%, s:s%}", "Key", key.ptr, key.len, "Value", value.ptr, value.len);
}

hone_err hone_tags_list(hone_tx *tx, const char *arn, json_t **out) {
    hone_rows rows;
    bool more = false;
    hone_err err;
    json_t *tags = json_array();
    if (!tags) return hone_err_new(HONE_E_NOMEM, "no memory for tags");
    err = hone_rows_open(tx, &rows, "SELECT key, value FROM tag WHERE arn = ? ORDER BY key", "z",
                         arn);
    while (!hone_failed(err) && !hone_failed(err = hone_rows_next(&rows, &more)) && more)
        if (json_array_append_new(tags, make_tag(&rows)) != 0)
            err = hone_err_new(HONE_E_NOMEM, "no memory for tags");
    hone_rows_close(&rows);
    if (hone_failed(err))
        json_decref(tags);
    else
        *out = tags;
    return err;
}

hone_err hone_tags_remove(hone_tx *tx, const char *arn, const json_t *keys) {
    if (!json_is_array(keys)) return hone_err_new(HONE_E_INVALID, "'TagKeys' is no list");
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const json_t *key = json_array_get(keys, i);
        if (!json_is_string(key)) return hone_err_new(HONE_E_INVALID, "a tag's key is text");
        HONE_TRY(hone_tx_exec(tx, "DELETE FROM tag WHERE arn = ? AND key = ?", "zs", arn,
                              hone_json_str(key)));
    }
    return HONE_OK;
}

hone_err hone_tags_find(hone_tx *tx, hone_arena *arena, const char *arn, const char *key,
                        hone_str *out) {
    hone_err err = hone_tx_str(tx, arena, out, "SELECT value FROM tag WHERE arn = ? AND key = ?",
                               "zz", arn, key);
    if (err.code == HONE_E_NOT_FOUND)
        return hone_err_new(HONE_E_NOT_FOUND, "'%s' has no tag '%s'", arn, key);
    return err;
}

hone_err hone_tags_drop(hone_tx *tx, const char *arn) {
    return hone_tx_exec(tx, "DELETE FROM tag WHERE arn = ?", "z", arn);
}
