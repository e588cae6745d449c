/* json.h: the project's way of using jansson: bounded, with errors that name the key.
 *
 * `where` in every getter names the document for the message: "config.json".
 */
#ifndef HONE_BASE_JSON_H
#define HONE_BASE_JSON_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Parse bytes as one JSON object. CORRUPT names where, line and column. The caller
 * owns *out and drops it with json_decref. Strings may hold NUL; use hone_json_str. */
HONE_NODISCARD hone_err hone_json_parse(hone_str bytes, const char *where, json_t **out);

/* The same, with all its memory in the arena: *out is never dropped, and must not be changed. */
HONE_NODISCARD hone_err hone_json_parse_in(hone_arena *arena, hone_str bytes, const char *where,
                                           const json_t **out);

/* The same of a file of at most limit_bytes. */
HONE_NODISCARD hone_err hone_json_load(const char *path, size_t limit_bytes, json_t **out);

/* The string's bytes, borrowed from the value; empty when it is no string. */
hone_str hone_json_str(const json_t *string);

/* value for jansson's iterators and for json_copy, which want it without const and only read. */
static inline json_t *hone_json_loose(const json_t *value) {
    union {
        const json_t *fixed;
        json_t *loose;
    } either = {value};
    return either.loose;
}

/* object[key] as an integer in [min, max]; absent or null -> fallback. CORRUPT otherwise. */
HONE_NODISCARD hone_err hone_json_int(const json_t *object, const char *where, const char *key,
                                      int64_t min, int64_t max, int64_t fallback, int64_t *out);

/* object[key] as a finite number in [min, max]; absent or null -> fallback. CORRUPT otherwise. */
HONE_NODISCARD hone_err hone_json_number(const json_t *object, const char *where, const char *key,
                                         double min, double max, double fallback, double *out);

/* object[key] as a boolean; absent or null -> fallback. CORRUPT otherwise. */
HONE_NODISCARD hone_err hone_json_bool(const json_t *object, const char *where, const char *key,
                                       bool fallback, bool *out);

/* Append s as a JSON string, quotes included. Bytes that are no UTF-8 become U+FFFD. */
void hone_json_push_str(hone_buf *out, hone_str s);

/* Save value to path in one step, indented by 2 as the Hugging Face libraries do. */
HONE_NODISCARD hone_err hone_json_save(const char *path, const json_t *value);

#endif
