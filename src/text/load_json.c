/* load_json.c: a tokenizer from tokenizer.json: one function for each part of the file.
 *
 * Padding and truncation that the file bakes in are ignored: they belong to whoever saved
 * it. So is the decoder. */
#include "base/json.h"
#include "text/tokenizer_impl.h"

/* Parts of a template, and special tokens per part, that a file may have. */
enum { TEMPLATE_MAX = 64 };

static const json_t *get(const json_t *object, const char *key) {
    return json_object_get(object, key);
}

static bool is_absent(const json_t *value) { return !value || json_is_null(value); }

/* The part's "type", which must be this one. INVALID: the file is fine, hone lacks the kind. */
static hone_err expect_type(const json_t *part, const char *what, const char *type) {
    hone_str found = hone_json_str(get(part, "type"));
    if (hone_str_equal(found, hone_str_of(type))) return HONE_OK;
    if (found.len == 0) found = HONE_S("none");
    return hone_err_new(HONE_E_INVALID, "the %s is '%.*s'; hone has %s", what, HONE_ARG(found),
                        type);
}

/* Files before 2021 do not name the model's type; it shows in the fields. */
static hone_err check_model_type(const json_t *model) {
    if (!json_is_object(model)) return hone_err_new(HONE_E_CORRUPT, "it has no model");
    if (!is_absent(get(model, "type"))) return expect_type(model, "model", "WordPiece");
    const char *found = get(model, "merges")                       ? "BPE"
                        : json_is_array(get(model, "vocab"))       ? "Unigram"
                        : !get(model, "continuing_subword_prefix") ? "WordLevel"
                                                                   : NULL;
    if (!found) return HONE_OK;
    return hone_err_new(HONE_E_INVALID,
                        "the model has no type and looks like %s; hone has WordPiece", found);
}

static hone_err load_pieces(hone_tokenizer *t, const json_t *model) {
    json_t *vocab = json_object_get(model, "vocab");
    if (!json_is_object(vocab)) return hone_err_new(HONE_E_CORRUPT, "the model has no vocab");
    for (void *i = json_object_iter(vocab); i; i = json_object_iter_next(vocab, i)) {
        hone_str piece = {json_object_iter_key(i), json_object_iter_key_len(i)};
        const json_t *id = json_object_iter_value(i);
        if (!json_is_integer(id))
            return hone_err_new(HONE_E_CORRUPT, "the id of '%.*s' is no integer", HONE_ARG(piece));
        HONE_TRY(hone_tokenizer_add_piece(t, piece, json_integer_value(id)));
    }
    return HONE_OK;
}

static hone_err load_normalizer(hone_tokenizer *t, const json_t *root) {
    const json_t *n = get(root, "normalizer");
    if (is_absent(n)) return HONE_OK; /* the text is taken as it is */
    HONE_TRY(expect_type(n, "normalizer", "BertNormalizer"));
    hone_normalizer_options *o = &t->normalizer;
    HONE_TRY(hone_json_bool(n, "normalizer", "clean_text", true, &o->clean_text));
    HONE_TRY(
        hone_json_bool(n, "normalizer", "handle_chinese_chars", true, &o->handle_chinese_chars));
    HONE_TRY(hone_json_bool(n, "normalizer", "lowercase", true, &o->lowercase));
    return hone_json_bool(n, "normalizer", "strip_accents", o->lowercase, &o->strip_accents);
}

hone_err hone_tokenizer_parse_added(const json_t *entry, hone_added_token *token,
                                    bool *normalized) {
    const char *where = "an added token";
    bool special = false;
    if (!json_is_string(get(entry, "content")))
        return hone_err_new(HONE_E_CORRUPT, "an added token has no content");
    *token = (hone_added_token){.content = hone_json_str(get(entry, "content"))};
    HONE_TRY(hone_json_bool(entry, where, "special", false, &special));
    HONE_TRY(hone_json_bool(entry, where, "normalized", !special, normalized));
    HONE_TRY(hone_json_bool(entry, where, "single_word", false, &token->single_word));
    HONE_TRY(hone_json_bool(entry, where, "lstrip", false, &token->lstrip));
    return hone_json_bool(entry, where, "rstrip", false, &token->rstrip);
}

static hone_err load_added(hone_tokenizer *t, const json_t *list) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        hone_added_token token;
        bool normalized = false;
        int64_t id = 0;
        HONE_TRY(hone_tokenizer_parse_added(entry, &token, &normalized));
        HONE_TRY(hone_json_int(entry, "added_tokens", "id", 0, HONE_VOCAB_MAX - 1, -1, &id));
        HONE_TRY(hone_tokenizer_add_token(t, token, id, normalized));
    }
    return HONE_OK;
}

/* The ids that a special token of a template stands for. */
static const json_t *special_ids(const json_t *post, const json_t *special) {
    hone_str name = hone_json_str(get(special, "id"));
    return get(json_object_getn(get(post, "special_tokens"), name.ptr, name.len), "ids");
}

static hone_err load_template(hone_tokenizer *t, const json_t *post, const char *key, bool is_pair,
                              hone_template *out) {
    const json_t *parts = get(post, key);
    size_t count = json_array_size(parts);
    if (!json_is_array(parts) || count == 0 || count > TEMPLATE_MAX)
        return hone_err_new(HONE_E_CORRUPT, "template '%s' is no list of 1 to %d parts", key,
                            TEMPLATE_MAX);
    HONE_TRY(hone_tokenizer_add_template(t, count * TEMPLATE_MAX, out));
    out->count = 0;
    for (size_t i = 0; i < count; i++) {
        const json_t *part = json_array_get(parts, i);
        const json_t *text = get(part, "Sequence"), *special = get(part, "SpecialToken");
        int64_t type = 0;
        HONE_TRY(hone_json_int(text ? text : special, key, "type_id", 0, UINT8_MAX, 0, &type));
        if (text) {
            bool second = hone_str_equal(hone_json_str(get(text, "id")), HONE_S("B"));
            if (second && !is_pair)
                return hone_err_new(HONE_E_CORRUPT, "template '%s' wants a second text", key);
            out->pieces[out->count++] = (hone_piece){second ? HONE_PIECE_SECOND : HONE_PIECE_FIRST,
                                                     (int32_t)type};
            continue;
        }
        const json_t *ids = special_ids(post, special);
        if (!json_is_array(ids) || json_array_size(ids) > TEMPLATE_MAX)
            return hone_err_new(HONE_E_CORRUPT, "template '%s': part %zu has no ids", key, i);
        for (size_t j = 0; j < json_array_size(ids); j++) {
            const json_t *id = json_array_get(ids, j);
            if (!json_is_integer(id) || json_integer_value(id) < 0 ||
                json_integer_value(id) >= HONE_VOCAB_MAX)
                return hone_err_new(HONE_E_CORRUPT,
                                    "template '%s': part %zu: an id is out of range", key, i);
            out->pieces[out->count++] = (hone_piece){(int32_t)json_integer_value(id),
                                                     (int32_t)type};
        }
    }
    return HONE_OK;
}

/* Without a post-processor the texts follow each other, with nothing between. */
static hone_err use_bare_templates(hone_tokenizer *t) {
    HONE_TRY(hone_tokenizer_add_template(t, 1, &t->single));
    HONE_TRY(hone_tokenizer_add_template(t, 2, &t->pair));
    t->single.pieces[0] = t->pair.pieces[0] = (hone_piece){HONE_PIECE_FIRST, 0};
    t->pair.pieces[1] = (hone_piece){HONE_PIECE_SECOND, 1};
    return HONE_OK;
}

static hone_err load_post_processor(hone_tokenizer *t, const json_t *root) {
    const json_t *post = get(root, "post_processor");
    if (is_absent(post)) return use_bare_templates(t);
    if (hone_str_equal(hone_json_str(get(post, "type")), HONE_S("BertProcessing"))) {
        const json_t *cls = json_array_get(get(post, "cls"), 1);
        const json_t *sep = json_array_get(get(post, "sep"), 1);
        return hone_tokenizer_use_bert_templates(
            t, json_is_integer(cls) ? json_integer_value(cls) : -1,
            json_is_integer(sep) ? json_integer_value(sep) : -1);
    }
    HONE_TRY(expect_type(post, "post_processor", "TemplateProcessing"));
    HONE_TRY(load_template(t, post, "single", false, &t->single));
    return load_template(t, post, "pair", true, &t->pair);
}

static hone_err load(hone_tokenizer *t, const json_t *root) {
    const json_t *model = get(root, "model");
    int64_t max_chars = 0;
    HONE_TRY(
        hone_json_int(model, "model", "max_input_chars_per_word", 0, INT32_MAX, 100, &max_chars));
    HONE_TRY(expect_type(get(root, "pre_tokenizer"), "pre_tokenizer", "BertPreTokenizer"));
    HONE_TRY(load_normalizer(t, root));
    HONE_TRY(load_pieces(t, model));
    HONE_TRY(load_added(t, get(root, "added_tokens")));
    HONE_TRY(load_post_processor(t, root));

    const json_t *unk = get(model, "unk_token"), *prefix = get(model, "continuing_subword_prefix");
    hone_wordpiece_options options = {
        .unk_token = json_is_string(unk) ? hone_json_str(unk) : HONE_S("[UNK]"),
        .continuing_prefix = json_is_string(prefix) ? hone_json_str(prefix) : HONE_S("##"),
        .max_word_chars = (size_t)max_chars,
    };
    return hone_tokenizer_finish(t, options);
}

hone_err hone_tokenizer_parse(hone_str json, const char *where, hone_tokenizer **out) {
    json_t *root = NULL;
    hone_tokenizer *t = NULL;
    HONE_TRY(hone_json_parse(json, where, &root));
    hone_err err = check_model_type(get(root, "model")); /* first: it says what the file is */
    if (!hone_failed(err))
        err = hone_tokenizer_create(json_array_size(get(root, "added_tokens")), &t);
    if (!hone_failed(err)) err = load(t, root);
    json_decref(root);
    if (hone_failed(err)) {
        hone_tokenizer_destroy(t);
        return hone_err_wrap(err, "%s", where);
    }
    *out = t;
    return HONE_OK;
}
