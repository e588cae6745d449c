/* load_vocab.c: a tokenizer from vocab.txt, a piece a line, with tokenizer_config.json; and
 * hone_tokenizer_load, which looks what a folder has.
 *
 * This is what `transformers` makes of such a folder. A special token that the vocabulary
 * lacks is left out, where `transformers` would give it an id that the model has no row for. */
#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "text/tokenizer_impl.h"

enum { FILE_BYTES_MAX = 64 << 20, ADDED_MAX = 4096, MAX_WORD_CHARS = 100 };

static hone_err load_lines(hone_tokenizer *t, hone_str text) {
    size_t bad = hone_utf8_check(text);
    if (bad < text.len) return hone_err_new(HONE_E_CORRUPT, "byte %zu is no UTF-8", bad);
    int64_t id = 0;
    for (size_t at = 0; at < text.len; id++) {
        const char *begin = text.ptr + at;
        const char *lf = memchr(begin, '\n', text.len - at);
        hone_str line = {begin, lf ? (size_t)(lf - begin) : text.len - at};
        at += line.len + 1;
        while (line.len > 0 && memchr(" \t\r\v\f", line.ptr[line.len - 1], 5)) line.len--;
        hone_err err = hone_tokenizer_add_piece(t, line, id);
        if (hone_failed(err)) return hone_err_wrap(err, "line %lld", (long long)id + 1);
    }
    return HONE_OK;
}

/* A special token's text: "[CLS]", or {"content": "[CLS]", ...}. */
static hone_str special_text(const json_t *config, const char *key, hone_str fallback) {
    const json_t *value = json_object_get(config, key);
    if (json_is_object(value)) value = json_object_get(value, "content");
    return json_is_string(value) ? hone_json_str(value) : fallback;
}

/* added_tokens_decoder: {"103": {"content": "[MASK]", "lstrip": false, ...}, ...} */
static hone_err load_decoder(hone_tokenizer *t, json_t *decoder) {
    for (void *i = json_object_iter(decoder); i; i = json_object_iter_next(decoder, i)) {
        hone_added_token token;
        bool normalized = false;
        HONE_TRY(hone_tokenizer_parse_added(json_object_iter_value(i), &token, &normalized));
        int32_t id = hone_tokenizer_find(t, token.content);
        if (id >= 0) HONE_TRY(hone_tokenizer_add_token(t, token, id, normalized));
    }
    return HONE_OK;
}

static bool is_added(const hone_added_set *set, int32_t id) {
    for (size_t i = 0; i < set->count; i++)
        if (set->tokens[i].id == id) return true;
    return false;
}

typedef struct special {
    const char *key;
    hone_str fallback;
} special;

static hone_err load_special_tokens(hone_tokenizer *t, const json_t *config) {
    const special specials[] = {{"unk_token", HONE_S("[UNK]")},
                                {"sep_token", HONE_S("[SEP]")},
                                {"pad_token", HONE_S("[PAD]")},
                                {"cls_token", HONE_S("[CLS]")},
                                {"mask_token", HONE_S("[MASK]")}};
    HONE_TRY(load_decoder(t, json_object_get(config, "added_tokens_decoder")));
    for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++) {
        hone_str text = special_text(config, specials[i].key, specials[i].fallback);
        hone_added_token token = {.content = text};
        int32_t id = hone_tokenizer_find(t, token.content);
        if (id < 0 || is_added(&t->added, id) || is_added(&t->added_normalized, id)) continue;
        HONE_TRY(hone_tokenizer_add_token(t, token, id, false));
    }
    return HONE_OK;
}

/* Another tokenizer's class with a vocab.txt (Japanese words, say) is none of hone's. */
static hone_err check_class(const json_t *config) {
    static const char *const known[] = {
        "BertTokenizer",       "DistilBertTokenizer", "ElectraTokenizer",   "MobileBertTokenizer",
        "ConvBertTokenizer",   "LayoutLMTokenizer",   "RetriBertTokenizer", "SqueezeBertTokenizer",
        "PreTrainedTokenizer", "TokenizersBackend"};
    hone_str name = hone_json_str(json_object_get(config, "tokenizer_class")), plain = name;
    if (hone_str_has_suffix(plain, HONE_S("Fast"))) plain.len -= 4;
    if (name.len == 0) return HONE_OK;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (hone_str_equal(plain, hone_str_of(known[i]))) return HONE_OK;
    return hone_err_new(HONE_E_INVALID, "tokenizer_class is '%.*s'; hone has BertTokenizer",
                        HONE_ARG(name));
}

static hone_err load_config(hone_tokenizer *t, const json_t *config) {
    const char *where = "tokenizer_config.json";
    hone_normalizer_options *o = &t->normalizer;
    HONE_TRY(check_class(config));
    o->clean_text = true;
    HONE_TRY(hone_json_bool(config, where, "do_lower_case", true, &o->lowercase));
    HONE_TRY(hone_json_bool(config, where, "strip_accents", o->lowercase, &o->strip_accents));
    return hone_json_bool(config, where, "tokenize_chinese_chars", true, &o->handle_chinese_chars);
}

static hone_err load(hone_tokenizer *t, hone_str vocab, const json_t *config) {
    HONE_TRY(load_config(t, config));
    hone_err err = load_lines(t, vocab);
    if (hone_failed(err)) return hone_err_wrap(err, "vocab.txt");
    HONE_TRY(load_special_tokens(t, config));

    hone_str cls = special_text(config, "cls_token", HONE_S("[CLS]"));
    hone_str sep = special_text(config, "sep_token", HONE_S("[SEP]"));
    int32_t cls_id = hone_tokenizer_find(t, cls), sep_id = hone_tokenizer_find(t, sep);
    if (cls_id < 0 || sep_id < 0)
        return hone_err_new(HONE_E_CORRUPT, "vocab.txt has no '%.*s'",
                            HONE_ARG(cls_id < 0 ? cls : sep));
    HONE_TRY(hone_tokenizer_use_bert_templates(t, cls_id, sep_id));
    hone_wordpiece_options options = {
        .unk_token = special_text(config, "unk_token", HONE_S("[UNK]")),
        .continuing_prefix = HONE_S("##"),
        .max_word_chars = MAX_WORD_CHARS,
    };
    return hone_tokenizer_finish(t, options);
}

hone_err hone_tokenizer_parse_vocab(hone_str vocab, hone_str config, const char *dir,
                                    hone_tokenizer **out) {
    json_t *root = NULL;
    hone_tokenizer *t = NULL;
    hone_err err = HONE_OK;
    if (config.len > 0) err = hone_json_parse(config, "tokenizer_config.json", &root);
    if (!hone_failed(err)) err = hone_tokenizer_create(ADDED_MAX, &t);
    if (!hone_failed(err)) err = load(t, vocab, root);
    if (root) json_decref(root);
    if (hone_failed(err)) {
        hone_tokenizer_destroy(t);
        return hone_err_wrap(err, "'%s'", dir);
    }
    *out = t;
    return HONE_OK;
}

static hone_err load_from(hone_arena *arena, const char *dir, hone_tokenizer **out) {
    const char *json = hone_path_join(arena, dir, "tokenizer.json");
    const char *vocab = hone_path_join(arena, dir, "vocab.txt");
    const char *config = hone_path_join(arena, dir, "tokenizer_config.json");
    if (!json || !vocab || !config) return hone_err_new(HONE_E_INVALID, "the path is too long");
    hone_str bytes = {0}, config_bytes = {0};
    if (hone_file_exists(json)) {
        HONE_TRY(hone_file_load(arena, json, FILE_BYTES_MAX, &bytes));
        return hone_tokenizer_parse(bytes, json, out);
    }
    if (!hone_file_exists(vocab))
        return hone_err_new(HONE_E_NOT_FOUND, "'%s' has neither tokenizer.json nor vocab.txt", dir);
    HONE_TRY(hone_file_load(arena, vocab, FILE_BYTES_MAX, &bytes));
    if (hone_file_exists(config))
        HONE_TRY(hone_file_load(arena, config, FILE_BYTES_MAX, &config_bytes));
    return hone_tokenizer_parse_vocab(bytes, config_bytes, dir, out);
}

hone_err hone_tokenizer_load(const char *dir, hone_tokenizer **out) {
    hone_arena *arena = NULL;
    HONE_TRY(hone_arena_create(2 * (size_t)FILE_BYTES_MAX + (1 << 20), &arena));
    hone_err err = load_from(arena, dir, out);
    hone_arena_destroy(arena);
    return err;
}
