/* s3_list.c: listings of buckets and of keys, and many deletions at once.
 *
 *     keys in order:  a/1  a/2  b  c/1          delimiter "/", prefix ""
 *     answer:         a/ (a common prefix)  b  c/ (another)
 *
 * After a common prefix the listing goes on behind all keys that begin with it: keys are UTF-8, so
 * prefix + "\xFF" is behind them. A continuation token is the place to go on behind, in hex. */
#include "api/s3_impl.h"

#include "api/xml.h"
#include "base/clock.h"

#include <stdio.h>

enum {
    KEYS_MAX = 1000,
    BATCH = 100,
    BATCH_LIMIT_BYTES = 8 << 20,
    ANSWER_LIMIT_BYTES = 16 << 20,
    PLACE_MAX_BYTES = HONE_KEY_MAX + 1,
};

/* Where a listing goes on: behind these bytes. */
typedef struct place {
    char bytes[PLACE_MAX_BYTES];
    size_t len;
} place;

typedef struct listing {
    s3_call *s;
    hone_str prefix, delimiter;
    bool is_encoded; /* encoding-type=url */
    place start, at;
    int64_t limit, count;
    bool is_truncated;
    hone_arena *arena; /* of one batch */
    hone_buf contents, prefixes;
    place last; /* the last key or common prefix that was given */
} listing;

/* ---- parameters ---- */

static hone_err to_place(s3_call *s, hone_str text, place *out) {
    if (text.len > PLACE_MAX_BYTES)
        return s3_fault(s, 400, "InvalidArgument", "a key has at most %d bytes", HONE_KEY_MAX);
    if (text.len > 0) memcpy(out->bytes, text.ptr, text.len);
    out->len = text.len;
    return HONE_OK;
}

static hone_str place_str(const place *p) { return (hone_str){p->bytes, p->len}; }

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static hone_err parse_token(s3_call *s, hone_str token, place *out) {
    bool ok = token.len % 2 == 0 && token.len / 2 <= PLACE_MAX_BYTES;
    for (size_t i = 0; ok && i < token.len; i += 2) {
        int high = hex_digit(token.ptr[i]), low = hex_digit(token.ptr[i + 1]);
        ok = high >= 0 && low >= 0;
        if (ok) out->bytes[i / 2] = (char)(high * 16 + low);
    }
    if (!ok)
        return s3_fault(s, 400, "InvalidArgument", "the continuation token is none that hone gave");
    out->len = token.len / 2;
    return HONE_OK;
}

static void push_token(hone_buf *out, const place *p) {
    for (size_t i = 0; i < p->len; i++) hone_buf_printf(out, "%02x", (unsigned char)p->bytes[i]);
}

static hone_err parse_limit(s3_call *s, int64_t *out) {
    hone_str text = s3_query(s, "max-keys");
    *out = KEYS_MAX;
    if (text.len == 0) return HONE_OK;
    int64_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || text.len > 10)
            return s3_fault(s, 400, "InvalidArgument", "max-keys is no number");
        n = n * 10 + (text.ptr[i] - '0');
    }
    *out = n < KEYS_MAX ? n : KEYS_MAX;
    return HONE_OK;
}

static hone_err parse_listing(s3_call *s, listing *l) {
    hone_str encoding = s3_query(s, "encoding-type");
    l->s = s;
    l->prefix = s3_query(s, "prefix");
    l->delimiter = s3_query(s, "delimiter");
    l->is_encoded = hone_str_equal(encoding, HONE_S("url"));
    if (encoding.len > 0 && !l->is_encoded)
        return s3_fault(s, 400, "InvalidArgument", "encoding-type is url or absent");
    if (l->prefix.len > HONE_KEY_MAX)
        return s3_fault(s, 400, "InvalidArgument", "a key has at most %d bytes", HONE_KEY_MAX);
    return parse_limit(s, &l->limit);
}

/* ---- writing ---- */

static bool is_unreserved(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~' || c == '/';
}

/* A key, as the client asked for it: keys may hold what XML cannot. */
static void push_key(const listing *l, hone_buf *out, const char *name, hone_str key) {
    if (!l->is_encoded) {
        hone_xml_push_element(out, name, key);
        return;
    }
    hone_buf_printf(out, "<%s>", name);
    for (size_t i = 0; i < key.len; i++) {
        if (is_unreserved(key.ptr[i]))
            hone_buf_push_char(out, key.ptr[i]);
        else
            hone_buf_printf(out, "%%%02X", (unsigned char)key.ptr[i]);
    }
    hone_buf_printf(out, "</%s>", name);
}

static void push_owner(const s3_call *s, hone_buf *out) {
    hone_buf_printf(out, "<Owner><ID>%s</ID><DisplayName>hone</DisplayName></Owner>",
                    s->call->app->realm.account);
}

static void push_object(listing *l, const hone_object *object, bool has_owner) {
    char modified[HONE_TIME_SIZE];
    hone_time_format(object->modified_ms, modified);
    hone_buf_printf(&l->contents, "<Contents>");
    push_key(l, &l->contents, "Key", object->key);
    hone_buf_printf(&l->contents,
                    "<LastModified>%s</LastModified><ETag>&quot;%s&quot;</ETag><Size>%lld</Size>"
                    "<StorageClass>STANDARD</StorageClass>",
                    modified, object->etag, (long long)object->size_bytes);
    if (has_owner) push_owner(l->s, &l->contents);
    hone_buf_printf(&l->contents, "</Contents>");
}

/* ---- walking ---- */

/* The common prefix that key belongs to; ptr NULL: none. */
static hone_str common_prefix(const listing *l, hone_str key) {
    hone_str rest = {key.ptr + l->prefix.len, key.len - l->prefix.len};
    if (l->delimiter.len == 0 || rest.len == 0) return (hone_str){NULL, 0};
    const char *end = memmem(rest.ptr, rest.len, l->delimiter.ptr, l->delimiter.len);
    if (!end) return (hone_str){NULL, 0};
    return (hone_str){key.ptr, (size_t)(end - key.ptr) + l->delimiter.len};
}

/* One key. *skips: the batch has keys that the common prefix stands for, ask anew. */
static hone_err give(listing *l, const hone_object *object, bool has_owner, bool *skips) {
    hone_str common = common_prefix(l, object->key);
    hone_str item = common.ptr ? common : object->key;
    bool was_given = common.ptr && hone_str_compare(common, place_str(&l->start)) <= 0;
    if (!was_given && l->count == l->limit) {
        l->is_truncated = true;
        return HONE_OK;
    }
    HONE_TRY(to_place(l->s, item, &l->at));
    if (!was_given) {
        HONE_TRY(to_place(l->s, item, &l->last));
        l->count++;
    }
    if (!common.ptr) {
        push_object(l, object, has_owner);
        return HONE_OK;
    }
    *skips = true;
    l->at.bytes[l->at.len++] = '\xFF';
    if (was_given) return HONE_OK;
    hone_buf_printf(&l->prefixes, "<CommonPrefixes>");
    push_key(l, &l->prefixes, "Prefix", common);
    hone_buf_printf(&l->prefixes, "</CommonPrefixes>");
    return HONE_OK;
}

static hone_err walk(listing *l, hone_tx *tx, bool has_owner) {
    const s3_call *s = l->s;
    l->at = l->start;
    for (bool more = l->limit > 0; more;) {
        hone_object *objects = NULL;
        size_t count = 0;
        hone_arena_reset(l->arena);
        HONE_TRY(hone_objects_list(s->call->app->objects, tx, l->arena, s->bucket, l->prefix,
                                   place_str(&l->at), BATCH, &objects, &count));
        bool skips = false;
        for (size_t i = 0; i < count && !skips && !l->is_truncated; i++)
            HONE_TRY(give(l, &objects[i], has_owner, &skips));
        more = !l->is_truncated && (skips || count == BATCH);
    }
    return HONE_OK;
}

static hone_err run_listing(listing *l, bool has_owner) {
    hone_tx *tx = NULL;
    hone_buf_init(&l->contents, ANSWER_LIMIT_BYTES);
    hone_buf_init(&l->prefixes, ANSWER_LIMIT_BYTES);
    HONE_TRY(hone_arena_create(BATCH_LIMIT_BYTES, &l->arena));
    hone_err err = hone_tx_begin(l->s->call->app->db, HONE_TX_READ, &tx);
    if (!hone_failed(err)) err = s3_need_bucket(l->s, tx);
    if (!hone_failed(err)) err = walk(l, tx, has_owner);
    hone_tx_abort(tx);
    return err;
}

static void listing_done(listing *l) {
    hone_arena_destroy(l->arena);
    hone_buf_done(&l->contents);
    hone_buf_done(&l->prefixes);
}

static void push_head(const listing *l, hone_buf *xml) {
    s3_xml_begin(xml, "ListBucketResult");
    hone_xml_push_element(xml, "Name", l->s->bucket);
    push_key(l, xml, "Prefix", l->prefix);
    if (l->delimiter.len > 0) push_key(l, xml, "Delimiter", l->delimiter);
    if (l->is_encoded) hone_buf_printf(xml, "<EncodingType>url</EncodingType>");
    hone_buf_printf(xml, "<MaxKeys>%lld</MaxKeys><IsTruncated>%s</IsTruncated>",
                    (long long)l->limit, l->is_truncated ? "true" : "false");
}

static hone_err reply_listing(listing *l, hone_buf *xml) {
    HONE_TRY(hone_buf_err(&l->contents));
    HONE_TRY(hone_buf_err(&l->prefixes));
    hone_buf_push(xml, hone_buf_str(&l->contents));
    hone_buf_push(xml, hone_buf_str(&l->prefixes));
    hone_buf_printf(xml, "</ListBucketResult>\n");
    return s3_reply_xml(l->s, NULL, xml);
}

static hone_err list_v1(s3_call *s, listing *l, hone_buf *xml) {
    hone_str marker = s3_query(s, "marker");
    HONE_TRY(parse_listing(s, l));
    HONE_TRY(to_place(s, marker, &l->start));
    HONE_TRY(run_listing(l, true));
    push_head(l, xml);
    push_key(l, xml, "Marker", marker);
    /* Without a delimiter the last key says it. */
    if (l->is_truncated && l->delimiter.len > 0)
        push_key(l, xml, "NextMarker", place_str(&l->last));
    return reply_listing(l, xml);
}

static hone_err list_v2(s3_call *s, listing *l, hone_buf *xml) {
    hone_str token = s3_query(s, "continuation-token"), after = s3_query(s, "start-after");
    bool has_owner = hone_str_equal(s3_query(s, "fetch-owner"), HONE_S("true"));
    if (!hone_str_equal(s3_query(s, "list-type"), HONE_S("2")))
        return s3_fault(s, 400, "InvalidArgument", "list-type is 2 or absent");
    HONE_TRY(parse_listing(s, l));
    HONE_TRY(token.len > 0 ? parse_token(s, token, &l->start) : to_place(s, after, &l->start));
    HONE_TRY(run_listing(l, has_owner));
    push_head(l, xml);
    hone_buf_printf(xml, "<KeyCount>%lld</KeyCount>", (long long)l->count);
    if (token.len > 0) hone_xml_push_element(xml, "ContinuationToken", token);
    if (after.len > 0) push_key(l, xml, "StartAfter", after);
    if (l->is_truncated) {
        hone_buf_printf(xml, "<NextContinuationToken>");
        push_token(xml, &l->last);
        hone_buf_printf(xml, "</NextContinuationToken>");
    }
    return reply_listing(l, xml);
}

static hone_err list_with(s3_call *s, hone_err (*list)(s3_call *, listing *, hone_buf *)) {
    listing l = {0};
    hone_buf xml;
    hone_buf_init(&xml, (size_t)2 * ANSWER_LIMIT_BYTES);
    hone_err err = list(s, &l, &xml);
    hone_buf_done(&xml);
    listing_done(&l);
    return err;
}

hone_err s3_list_v1(s3_call *s) { return list_with(s, list_v1); }

hone_err s3_list_v2(s3_call *s) { return list_with(s, list_v2); }

/* ---- buckets ---- */

static void push_bucket(const s3_call *s, hone_buf *xml, const hone_bucket *bucket) {
    char created[HONE_TIME_SIZE];
    hone_time_format(bucket->created_ms, created);
    hone_buf_printf(xml, "<Bucket>");
    hone_xml_push_element(xml, "Name", bucket->name);
    hone_buf_printf(xml, "<CreationDate>%s</CreationDate><BucketRegion>%s</BucketRegion></Bucket>",
                    created, s->call->app->realm.region);
}

hone_err s3_list_buckets(s3_call *s) {
    hone_tx *tx = NULL;
    hone_bucket *buckets = NULL;
    size_t count = 0;
    hone_str prefix = s3_query(s, "prefix");
    HONE_TRY(hone_tx_begin(s->call->app->db, HONE_TX_READ, &tx));
    hone_err err = hone_objects_buckets(tx, s->call->arena, &buckets, &count);
    hone_tx_abort(tx);
    HONE_TRY(err);
    hone_buf xml;
    hone_buf_init(&xml, ANSWER_LIMIT_BYTES);
    s3_xml_begin(&xml, "ListAllMyBucketsResult");
    push_owner(s, &xml);
    hone_buf_printf(&xml, "<Buckets>");
    for (size_t i = 0; i < count; i++)
        if (hone_str_has_prefix(buckets[i].name, prefix)) push_bucket(s, &xml, &buckets[i]);
    hone_buf_printf(&xml, "</Buckets></ListAllMyBucketsResult>\n");
    err = s3_reply_xml(s, NULL, &xml);
    hone_buf_done(&xml);
    return err;
}

/* ---- many deletions ---- */

typedef struct deletions {
    s3_call *s;
    hone_str keys[KEYS_MAX];
    size_t count;
    hone_str key; /* of the <Object> that is being read */
    bool is_quiet;
} deletions;

static hone_err copy_text(s3_call *s, hone_str text, hone_str *out) {
    const char *copy = hone_arena_strdup(s->call->arena, text);
    if (!copy) return hone_err_new(HONE_E_NOMEM, "no memory for a key");
    *out = (hone_str){copy, text.len};
    return HONE_OK;
}

static hone_err read_deletion(void *ctx, const char *path, hone_str text) {
    deletions *d = ctx;
    if (strcmp(path, "Delete/Quiet") == 0) {
        d->is_quiet = hone_str_equal(text, HONE_S("true"));
    } else if (strcmp(path, "Delete/Object/Key") == 0) {
        return copy_text(d->s, text, &d->key);
    } else if (strcmp(path, "Delete/Object/VersionId") == 0) {
        if (!hone_str_equal(text, HONE_S("null")))
            return s3_fault(d->s, 501, "NotImplemented", "hone keeps no versions of objects");
    } else if (strcmp(path, "Delete/Object") == 0) {
        if (d->key.len == 0 || d->key.len > HONE_KEY_MAX || d->count == KEYS_MAX)
            return s3_fault(d->s, 400, "MalformedXML", "expected 1 to %d objects with a key",
                            KEYS_MAX);
        d->keys[d->count++] = d->key;
        d->key = (hone_str){NULL, 0};
    }
    return HONE_OK;
}

static hone_err delete_all(s3_call *s, hone_tx *tx, const deletions *d) {
    HONE_TRY(s3_need_bucket(s, tx));
    for (size_t i = 0; i < d->count; i++) {
        HONE_TRY(hone_objects_delete(s->call->app->objects, tx, s->bucket, d->keys[i]));
        if (hone_tx_changes(tx) > 0)
            HONE_TRY(s3_journal(s, tx, "object.deleted", d->keys[i], NULL));
    }
    return HONE_OK;
}

static hone_err reply_deleted(s3_call *s, const deletions *d) {
    hone_buf xml;
    hone_buf_init(&xml, ANSWER_LIMIT_BYTES);
    s3_xml_begin(&xml, "DeleteResult");
    for (size_t i = 0; i < d->count && !d->is_quiet; i++) {
        hone_buf_printf(&xml, "<Deleted>");
        hone_xml_push_element(&xml, "Key", d->keys[i]);
        hone_buf_printf(&xml, "</Deleted>");
    }
    hone_buf_printf(&xml, "</DeleteResult>\n");
    hone_err err = s3_reply_xml(s, NULL, &xml);
    hone_buf_done(&xml);
    return err;
}

/* All of them or none: one transaction. */
hone_err s3_delete_objects(s3_call *s) {
    s3_body body;
    deletions *d = hone_arena_alloc(s->call->arena, 1, sizeof *d);
    if (!d) return hone_err_new(HONE_E_NOMEM, "no memory for a list of keys");
    d->s = s;
    HONE_TRY(s3_body_read(s, &body));
    if (body.path) return s3_fault(s, 400, "MalformedXML", "the list of keys is too long");
    hone_err err = hone_xml_read(body.bytes, read_deletion, d);
    if (err.code == HONE_E_CORRUPT) return s3_fault(s, 400, "MalformedXML", "%s", err.msg);
    HONE_TRY(err);
    if (d->count == 0) return s3_fault(s, 400, "MalformedXML", "the list of keys is empty");
    hone_tx *tx = NULL;
    HONE_TRY(hone_tx_begin(s->call->app->db, HONE_TX_WRITE, &tx));
    err = delete_all(s, tx, d);
    HONE_TRY(hone_tx_finish(tx, err));
    return reply_deleted(s, d);
}
