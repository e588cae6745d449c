/* wordpiece.c: hone_tokenizer_encode, from text to tokens. Start reading here.
 *
 *     text -added.c-> pieces between special tokens -normalize.c-> code points -words.c-> tokens
 *          -> truncated -> put between [CLS] and [SEP]
 *
 * ASCII takes a short way past the normalizer, a byte a letter. Only for a tokenizer that
 * looks for added tokens in the normalized text is that text kept as a whole. Loading is in
 * load_json.c, load_vocab.c and build.c. */
#include "base/utf8.h"
#include "text/tokenizer_impl.h"
#include "text/unicode_impl.h"
#include "text/words_impl.h"

#include <assert.h>

/* The normalized text so far, where it must be searched as a whole. */
typedef struct kept {
    char *bytes;
    hone_span *spans; /* of each byte */
    size_t len;
    size_t cap;
} kept;

typedef struct encoder {
    const hone_tokenizer *tokenizer;
    hone_arena *arena;
    hone_normalizer normalizer;
    hone_words words;
    kept kept;
    uint32_t index; /* code points of the text that lie behind */
} encoder;

static void emit_to_words(void *ctx, int32_t c, hone_span span) {
    encoder *e = ctx;
    hone_words_put(&e->words, c, span);
}

static bool grow_kept(encoder *e) {
    enum { CAP_MIN = 1024 };
    size_t cap = e->kept.cap ? e->kept.cap * 2 : CAP_MIN;
    kept bigger = {hone_arena_alloc(e->arena, cap, 1),
                   hone_arena_alloc(e->arena, cap, sizeof(hone_span)), e->kept.len, cap};
    if (!bigger.bytes || !bigger.spans) return false;
    if (e->kept.len > 0) {
        memcpy(bigger.bytes, e->kept.bytes, e->kept.len);
        memcpy(bigger.spans, e->kept.spans, e->kept.len * sizeof(hone_span));
    }
    e->kept = bigger;
    return true;
}

static void emit_to_kept(void *ctx, int32_t c, hone_span span) {
    encoder *e = ctx;
    if (e->kept.cap - e->kept.len < HONE_UTF8_MAX && !grow_kept(e)) {
        e->normalizer.failed = true;
        return;
    }
    size_t bytes = hone_utf8_put(c, e->kept.bytes + e->kept.len);
    for (size_t i = 0; i < bytes; i++) e->kept.spans[e->kept.len + i] = span;
    e->kept.len += bytes;
}

/* What was kept goes on to the words, but for the tokens found in it. */
static void put_kept(encoder *e) {
    const kept *k = &e->kept;
    hone_str text = {k->bytes, k->len};
    hone_added_scan scan = {&e->tokenizer->added_normalized, text, 0};
    hone_added_hit hit;
    for (size_t at = 0, bytes = 0; at < k->len;) {
        bool found = hone_added_next(&scan, &hit);
        for (size_t end = found ? hit.begin : k->len; at < end; at += bytes) {
            int32_t c = hone_utf8_next(text, at, &bytes);
            hone_words_put(&e->words, c, k->spans[at]);
        }
        hone_words_end(&e->words);
        if (!found) break;
        hone_span span = {k->spans[hit.begin].begin, k->spans[hit.end - 1].end};
        hone_words_put_token(&e->words, hit.token->id, span);
        at = hit.end;
    }
    e->kept.len = 0;
}

/* A piece of the text that has no added token as it stands. */
static void encode_piece(encoder *e, hone_str text) {
    bool keep = e->tokenizer->added_normalized.count > 0;
    for (size_t at = 0, bytes = 0; at < text.len && !e->words.is_full; at += bytes) {
        if (!keep && e->normalizer.marks_count == 0) {
            hone_words_put_ascii(&e->words, text, &at, &e->index);
            if (at == text.len) break;
        }
        int32_t c = hone_utf8_next(text, at, &bytes);
        hone_normalizer_push(&e->normalizer, c, e->index++);
    }
    hone_normalizer_flush(&e->normalizer);
    if (keep) put_kept(e);
    hone_words_end(&e->words);
}

static size_t count_code_points(hone_str s) {
    size_t count = 0;
    for (size_t i = 0; i < s.len; i++) count += ((unsigned char)s.ptr[i] & 0xC0) != 0x80;
    return count;
}

/* The tokens of one text: all, or the first limit and a few more. */
static hone_err encode_text(const hone_tokenizer *t, hone_arena *arena, hone_str text, size_t limit,
                            hone_words *out) {
    encoder e = {.tokenizer = t, .arena = arena};
    e.normalizer = (hone_normalizer){.options = t->normalizer, .arena = arena, .ctx = &e};
    e.normalizer.emit = t->added_normalized.count > 0 ? emit_to_kept : emit_to_words;
    hone_words_init(&e.words, t, arena, text.len, limit);

    hone_added_scan scan = {&t->added, text, 0};
    hone_added_hit hit;
    for (size_t at = 0; at < text.len && !e.words.is_full;) {
        bool found = hone_added_next(&scan, &hit);
        size_t end = found ? hit.begin : text.len;
        encode_piece(&e, (hone_str){text.ptr + at, end - at});
        if (!found) break;
        hone_span span = {e.index, e.index};
        span.end += (uint32_t)count_code_points((hone_str){text.ptr + end, hit.end - end});
        hone_words_put_token(&e.words, hit.token->id, span);
        e.index = span.end;
        at = hit.end;
    }
    if (e.normalizer.failed || e.words.failed)
        return hone_err_new(HONE_E_NOMEM, "no memory for the tokens of a text of %zu bytes",
                            text.len);
    *out = e.words;
    return HONE_OK;
}

/* CORRUPT for bytes that are no UTF-8; most texts are mostly ASCII, taken 8 bytes at once. */
static hone_err check_text(hone_str text) {
    const uint64_t high_bits = UINT64_C(0x8080808080808080);
    if (text.len >= UINT32_MAX)
        return hone_err_new(HONE_E_INVALID, "text of %zu bytes is too long", text.len);
    for (size_t at = 0, bytes = 0; at < text.len; at += bytes) {
        uint64_t word = high_bits;
        bytes = sizeof word;
        if (text.len - at >= sizeof word) memcpy(&word, text.ptr + at, sizeof word);
        if ((word & high_bits) == 0) continue;
        if (hone_utf8_next(text, at, &bytes) == HONE_UTF8_BAD)
            return hone_err_new(HONE_E_CORRUPT, "byte %zu of the text (0x%02x) is no UTF-8", at,
                                (unsigned char)text.ptr[at]);
    }
    return HONE_OK;
}

/* longest_first, as `tokenizers` computes it: the longer text loses tokens until both are
 * the same, then both lose; an odd token goes to the longer one. */
static void truncate_pair(size_t max, size_t *first, size_t *second) {
    if (*first + *second <= max) return;
    bool swapped = *first > *second;
    size_t shorter = swapped ? *second : *first;
    size_t longer = shorter;
    if (shorter <= max && max - shorter > shorter) longer = max - shorter;
    if (shorter + longer > max) {
        shorter = max / 2;
        longer = shorter + max % 2;
    }
    *first = swapped ? longer : shorter;
    *second = swapped ? shorter : longer;
}

/* Put the texts and the special tokens together. */
static hone_err apply_template(const hone_template *template, hone_arena *arena,
                               const hone_words texts[2], bool with_offsets, hone_tokens *out) {
    size_t count = 0;
    for (size_t i = 0; i < template->count; i++) {
        int32_t id = template->pieces[i].id;
        count += id == HONE_PIECE_FIRST    ? texts[0].count
                 : id == HONE_PIECE_SECOND ? texts[1].count
                                           : 1;
    }
    int32_t *ids = hone_arena_alloc(arena, count, sizeof *ids);
    int32_t *types = hone_arena_alloc(arena, count, sizeof *types);
    hone_span *offsets = with_offsets ? hone_arena_alloc(arena, count, sizeof *offsets) : NULL;
    if (!ids || !types || (with_offsets && !offsets))
        return hone_err_new(HONE_E_NOMEM, "no memory for %zu tokens", count);

    size_t at = 0;
    for (size_t i = 0; i < template->count; i++) {
        hone_piece piece = template->pieces[i];
        size_t before = at;
        if (piece.id >= 0) {
            ids[at++] = piece.id;
        } else {
            const hone_words *text = &texts[piece.id == HONE_PIECE_SECOND];
            if (text->count > 0) memcpy(ids + at, text->ids, text->count * sizeof *ids);
            if (text->count > 0 && with_offsets)
                memcpy(offsets + at, text->offsets, text->count * sizeof *offsets);
            at += text->count;
        }
        for (size_t j = before; j < at; j++) types[j] = piece.type;
    }
    *out = (hone_tokens){count, ids, types, offsets};
    return HONE_OK;
}

size_t hone_tokenizer_vocab(const hone_tokenizer *tokenizer) { return tokenizer->vocab; }

hone_err hone_tokenizer_encode(const hone_tokenizer *tokenizer, hone_arena *arena, hone_str text,
                               hone_str second, hone_encode_options options, hone_tokens *out) {
    assert(tokenizer != NULL);
    bool is_pair = second.ptr != NULL;
    const hone_template *template = is_pair ? &tokenizer->pair : &tokenizer->single;
    if (options.max_length != 0 && options.max_length < template->specials)
        return hone_err_new(HONE_E_INVALID, "max_length %zu has no room for the %zu special tokens",
                            options.max_length, template->specials);
    HONE_TRY(check_text(text));
    if (is_pair) HONE_TRY(check_text(second));

    /* One text is read only until it is long enough; of a pair all must be counted, to know
     * which is the longer one. */
    size_t max = options.max_length ? options.max_length - template->specials : SIZE_MAX;
    size_t limit = is_pair ? SIZE_MAX : max;
    hone_words texts[2] = {{0}};
    HONE_TRY(encode_text(tokenizer, arena, text, limit, &texts[0]));
    if (is_pair) HONE_TRY(encode_text(tokenizer, arena, second, limit, &texts[1]));
    if (is_pair)
        truncate_pair(max, &texts[0].count, &texts[1].count);
    else if (texts[0].count > max)
        texts[0].count = max;
    return apply_template(template, arena, texts, options.offsets, out);
}
