/* build.c: how a tokenizer comes together, whichever file it is read from, and how it goes.
 * Every id that a file gives is checked here. */
#include "base/utf8.h"
#include "text/tokenizer_impl.h"
#include "text/unicode_impl.h"

#include <assert.h>
#include <stdlib.h>

enum { ARENA_MIN_BYTES = 1 << 20, MAX_WORD_CHARS = 1 << 20 };

hone_err hone_tokenizer_create(size_t added_max, hone_tokenizer **out) {
    const size_t per_token = 8 * (HONE_ADDED_BYTES_MAX + sizeof(hone_added_token));
    hone_tokenizer *t = calloc(1, sizeof *t);
    hone_err err = t ? HONE_OK : hone_err_new(HONE_E_NOMEM, "no memory for a tokenizer");
    if (!hone_failed(err))
        err = hone_arena_create(ARENA_MIN_BYTES + added_max * per_token, &t->arena);
    if (!hone_failed(err)) {
        t->taken = calloc(HONE_VOCAB_MAX / 8, 1);
        t->added.tokens = hone_arena_alloc(t->arena, added_max, sizeof(hone_added_token));
        t->added_normalized.tokens = hone_arena_alloc(t->arena, added_max,
                                                      sizeof(hone_added_token));
        if (!t->taken || !t->added.tokens || !t->added_normalized.tokens)
            err = hone_err_new(HONE_E_NOMEM, "no memory for %zu added tokens", added_max);
    }
    if (hone_failed(err)) {
        hone_tokenizer_destroy(t);
        return err;
    }
    *out = t;
    return HONE_OK;
}

void hone_tokenizer_destroy(hone_tokenizer *t) {
    if (!t) return;
    hone_trie_done(&t->pieces);
    hone_trie_done(&t->added.trie);
    hone_trie_done(&t->added_normalized.trie);
    hone_arena_destroy(t->arena);
    free(t->taken);
    free(t);
}

static hone_err take_id(hone_tokenizer *t, hone_str token, int64_t id) {
    if (id < 0 || id >= HONE_VOCAB_MAX)
        return hone_err_new(HONE_E_CORRUPT, "'%.*s' has id %lld, expected 0 to %d", HONE_ARG(token),
                            (long long)id, HONE_VOCAB_MAX - 1);
    uint8_t bit = (uint8_t)(1u << (id & 7));
    if (t->taken[id >> 3] & bit)
        return hone_err_new(HONE_E_CORRUPT, "'%.*s' has id %lld, as another token has",
                            HONE_ARG(token), (long long)id);
    t->taken[id >> 3] |= bit;
    if (t->vocab <= (size_t)id) t->vocab = (size_t)id + 1;
    t->entries++;
    return HONE_OK;
}

hone_err hone_tokenizer_add_piece(hone_tokenizer *t, hone_str piece, int64_t id) {
    HONE_TRY(take_id(t, piece, id));
    if (piece.len == 0) return HONE_OK;
    return hone_trie_add(&t->pieces, piece, (int32_t)id);
}

int32_t hone_tokenizer_find(const hone_tokenizer *t, hone_str piece) {
    uint32_t node = hone_trie_walk(&t->pieces, HONE_TRIE_ROOT, piece);
    return node == HONE_TRIE_NONE || piece.len == 0 ? -1 : t->pieces.values[node];
}

typedef struct spelling {
    char bytes[HONE_ADDED_BYTES_MAX + 1]; /* one more, so that too long shows */
    size_t len;
} spelling;

static void emit_to_spelling(void *ctx, int32_t c, hone_span span) {
    spelling *s = ctx;
    (void)span;
    char bytes[HONE_UTF8_MAX];
    size_t count = hone_utf8_put(c, bytes);
    for (size_t i = 0; i < count && s->len < sizeof s->bytes; i++) s->bytes[s->len++] = bytes[i];
}

/* content as it will look in the normalized text. */
static hone_err normalize(const hone_tokenizer *t, hone_str content, spelling *out) {
    hone_normalizer n = {.options = t->normalizer, .arena = t->arena};
    n.emit = emit_to_spelling;
    n.ctx = out;
    uint32_t index = 0;
    for (size_t at = 0, bytes = 0; at < content.len; at += bytes)
        hone_normalizer_push(&n, hone_utf8_next(content, at, &bytes), index++);
    hone_normalizer_flush(&n);
    return n.failed ? hone_err_new(HONE_E_NOMEM, "no memory") : HONE_OK;
}

hone_err hone_tokenizer_add_token(hone_tokenizer *t, hone_added_token token, int64_t id,
                                  bool normalized) {
    hone_str content = token.content;
    if (content.len == 0) return HONE_OK; /* `tokenizers` passes over it too */
    token.id = hone_tokenizer_find(t, content);
    if (token.id >= 0 && token.id != id)
        return hone_err_new(HONE_E_CORRUPT,
                            "added token '%.*s' has id %lld, but the vocabulary has it as %d",
                            HONE_ARG(content), (long long)id, token.id);
    if (token.id < 0 && (uint64_t)id != t->entries)
        return hone_err_new(HONE_E_CORRUPT,
                            "added token '%.*s' has id %lld, expected the next one free, %zu",
                            HONE_ARG(content), (long long)id, t->entries);
    if (token.id < 0) HONE_TRY(take_id(t, content, id));
    token.id = (int32_t)id;

    spelling spelt = {{0}, 0};
    hone_err err = HONE_OK;
    if (content.len > HONE_ADDED_BYTES_MAX)
        err = hone_err_new(HONE_E_CORRUPT, "it has %zu bytes, expected at most %d", content.len,
                           HONE_ADDED_BYTES_MAX);
    else if (normalized)
        err = normalize(t, content, &spelt);
    if (!hone_failed(err)) {
        hone_str found = normalized ? (hone_str){spelt.bytes, spelt.len} : content;
        token.content = (hone_str){hone_arena_strdup(t->arena, found), found.len};
        if (!token.content.ptr)
            err = hone_err_new(HONE_E_NOMEM, "no memory");
        else
            err = hone_added_add(normalized ? &t->added_normalized : &t->added, token);
    }
    if (hone_failed(err)) return hone_err_wrap(err, "added token '%.*s'", HONE_ARG(content));
    return HONE_OK;
}

hone_err hone_tokenizer_add_template(hone_tokenizer *t, size_t count, hone_template *out) {
    hone_piece *pieces = hone_arena_alloc(t->arena, count, sizeof *pieces);
    if (!pieces) return hone_err_new(HONE_E_NOMEM, "no memory for a template of %zu", count);
    *out = (hone_template){pieces, count, 0};
    return HONE_OK;
}

hone_err hone_tokenizer_use_bert_templates(hone_tokenizer *t, int64_t cls, int64_t sep) {
    if (cls < 0 || cls >= HONE_VOCAB_MAX || sep < 0 || sep >= HONE_VOCAB_MAX)
        return hone_err_new(HONE_E_CORRUPT, "the ids of [CLS] and [SEP] are %lld and %lld",
                            (long long)cls, (long long)sep);
    HONE_TRY(hone_tokenizer_add_template(t, 3, &t->single));
    HONE_TRY(hone_tokenizer_add_template(t, 5, &t->pair));
    const hone_piece pieces[5] = {{(int32_t)cls, 0},
                                  {HONE_PIECE_FIRST, 0},
                                  {(int32_t)sep, 0},
                                  {HONE_PIECE_SECOND, 1},
                                  {(int32_t)sep, 1}};
    memcpy(t->single.pieces, pieces, 3 * sizeof pieces[0]);
    memcpy(t->pair.pieces, pieces, sizeof pieces);
    return HONE_OK;
}

/* Count the special tokens of a template, and hold their ids to the vocabulary. */
static hone_err check_template(const hone_tokenizer *t, hone_template *template) {
    template->specials = 0;
    for (size_t i = 0; i < template->count; i++) {
        int32_t id = template->pieces[i].id;
        if (id < 0) continue;
        template->specials++;
        if ((size_t)id >= t->vocab)
            return hone_err_new(HONE_E_CORRUPT,
                                "the post-processor adds id %d, but the vocabulary ends at %zu", id,
                                t->vocab);
    }
    return HONE_OK;
}

/* The short way for ASCII: what each byte does in a text that has nothing else. */
static void set_ascii(hone_tokenizer *t) {
    for (int32_t c = 0; c < 0x80; c++) {
        uint32_t kind = hone_unicode_kind(c);
        bool dropped = t->normalizer.clean_text && (kind & HONE_UNICODE_DROP);
        int32_t lower[HONE_UNICODE_MAPPED_MAX] = {c};
        if (t->normalizer.lowercase && (kind & HONE_UNICODE_LOWERS))
            (void)hone_unicode_lower(c, lower); /* one code point, as c is ASCII */
        if (c == 0 || dropped) continue;        /* BLANK ones are SPACE too */
        t->ascii[c] = kind & HONE_UNICODE_SPACE   ? HONE_ASCII_SPACE
                      : kind & HONE_UNICODE_PUNCT ? HONE_ASCII_PUNCT
                                                  : HONE_ASCII_LETTER;
        if (t->ascii[c] == HONE_ASCII_LETTER) t->letter[c] = (uint8_t)lower[0];
    }
}

hone_err hone_tokenizer_finish(hone_tokenizer *t, hone_wordpiece_options options) {
    if (options.max_word_chars > MAX_WORD_CHARS)
        return hone_err_new(HONE_E_INVALID, "max_input_chars_per_word is %zu, expected at most %d",
                            options.max_word_chars, MAX_WORD_CHARS);
    t->unk = hone_tokenizer_find(t, options.unk_token);
    if (t->unk < 0)
        return hone_err_new(HONE_E_CORRUPT, "the vocabulary has no unk_token '%.*s'",
                            HONE_ARG(options.unk_token));
    HONE_TRY(check_template(t, &t->single));
    HONE_TRY(check_template(t, &t->pair));
    t->continuing = hone_trie_walk(&t->pieces, HONE_TRIE_ROOT, options.continuing_prefix);
    t->max_word_chars = options.max_word_chars;
    set_ascii(t);
    free(t->taken);
    t->taken = NULL;
    return HONE_OK;
}
