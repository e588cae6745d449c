/* words.c: see words_impl.h. Nothing is allocated per word or token: the word has one buffer,
 * and the arrays of tokens double. */
#include "text/words_impl.h"

#include "text/unicode_impl.h"

#include <string.h>

enum { TOKENS_MIN = 32, BYTES_PER_TOKEN = 4 };

void hone_words_init(hone_words *w, const hone_tokenizer *tokenizer, hone_arena *arena,
                     size_t text_bytes, size_t limit) {
    *w = (hone_words){.tokenizer = tokenizer, .arena = arena, .limit = limit};
    size_t chars_max = text_bytes * HONE_UNICODE_MAPPED_MAX * HONE_UNICODE_MAPPED_MAX;
    if (chars_max > tokenizer->max_word_chars) chars_max = tokenizer->max_word_chars;
    w->cap_bytes = (chars_max + 1) * HONE_UTF8_MAX;
    w->bytes = hone_arena_alloc(arena, w->cap_bytes, 1);
    w->text_bytes = text_bytes;
    w->is_full = limit == 0;
    w->failed = w->bytes == NULL;
    if (w->failed) w->is_full = true;
}

static void fail(hone_words *w) {
    w->failed = true;
    w->is_full = true;
}

/* Room for so many more tokens. */
static bool reserve(hone_words *w, size_t more) {
    if (more <= w->cap - w->count) return true;
    size_t cap = w->cap ? w->cap * 2 : w->text_bytes / BYTES_PER_TOKEN + TOKENS_MIN;
    if (cap - w->count < more) cap = w->count + more;
    int32_t *ids = hone_arena_alloc(w->arena, cap, sizeof *ids);
    hone_span *offsets = hone_arena_alloc(w->arena, cap, sizeof *offsets);
    if (!ids || !offsets) {
        fail(w);
        return false;
    }
    if (w->count > 0) {
        memcpy(ids, w->ids, w->count * sizeof *ids);
        memcpy(offsets, w->offsets, w->count * sizeof *offsets);
    }
    w->ids = ids;
    w->offsets = offsets;
    w->cap = cap;
    return true;
}

static void push(hone_words *w, int32_t id, hone_span span) {
    w->ids[w->count] = id;
    w->offsets[w->count++] = span;
}

void hone_words_put_token(hone_words *w, int32_t id, hone_span span) {
    if (w->is_full || !reserve(w, 1)) return;
    push(w, id, span);
    w->is_full = w->count >= w->limit;
}

/* Cut the word into pieces; false, with nothing added, when it cannot be. */
static bool cut_word(hone_words *w) {
    const hone_tokenizer *t = w->tokenizer;
    size_t first = w->count;
    uint32_t node = HONE_TRIE_ROOT;
    for (size_t at = 0, len = 0; at < w->len; at += len) {
        int32_t id = -1;
        len = hone_trie_longest(&t->pieces, node, (hone_str){w->bytes + at, w->len - at}, &id);
        if (len == 0) {
            w->count = first;
            return false;
        }
        hone_span span = w->plain
                             ? (hone_span){w->begin + (uint32_t)at, w->begin + (uint32_t)(at + len)}
                             : (hone_span){w->spans[at].begin, w->spans[at + len - 1].end};
        push(w, id, span);
        node = t->continuing;
    }
    return true;
}

void hone_words_end(hone_words *w) {
    if (w->chars == 0) return;
    if (!w->is_full && reserve(w, w->len)) { /* a piece has at least one byte */
        if (w->chars > w->tokenizer->max_word_chars || !cut_word(w))
            push(w, w->tokenizer->unk, (hone_span){w->begin, w->end});
        w->is_full = w->count >= w->limit;
    }
    w->chars = 0;
    w->len = 0;
}

/* The word's bytes get spans of their own: from now on it is not plain. */
static bool spell_out(hone_words *w) {
    if (!w->spans) w->spans = hone_arena_alloc(w->arena, w->cap_bytes, sizeof *w->spans);
    if (!w->spans) {
        fail(w);
        return false;
    }
    for (uint32_t i = 0; i < w->len; i++) w->spans[i] = (hone_span){w->begin + i, w->begin + i + 1};
    w->plain = false;
    return true;
}

static void append(hone_words *w, int32_t c, hone_span span) {
    if (w->chars > w->tokenizer->max_word_chars) { /* too long as it is */
        w->end = span.end;
        return;
    }
    if (w->chars == 0) {
        w->begin = span.begin;
        w->plain = true;
    }
    bool next = span.begin == w->begin + w->chars && span.end == span.begin + 1;
    if (w->plain && (c >= 0x80 || !next) && !spell_out(w)) return;
    size_t bytes = hone_utf8_put(c, w->bytes + w->len);
    for (size_t i = 0; !w->plain && i < bytes; i++) w->spans[w->len + i] = span;
    w->len += bytes;
    w->chars++;
    w->end = span.end;
}

void hone_words_put(hone_words *w, int32_t c, hone_span span) {
    uint32_t kind = hone_unicode_kind(c);
    if (w->is_full) return;
    if (kind & HONE_UNICODE_SPACE) {
        hone_words_end(w);
    } else if (kind & HONE_UNICODE_PUNCT) {
        hone_words_end(w);
        append(w, c, span);
        hone_words_end(w);
    } else {
        append(w, c, span);
    }
}

/* The letters that text begins with, as many as there is room for. */
static size_t append_letters(hone_words *w, hone_str text, uint32_t index) {
    const uint8_t *letter = w->tokenizer->letter;
    size_t room = w->tokenizer->max_word_chars + 1 - w->chars, n = 0;
    if (w->chars == 0) {
        w->begin = index;
        w->plain = true;
    } else if (w->plain && w->begin + w->chars != index && !spell_out(w)) {
        return 0;
    }
    char *to = w->bytes + w->len;
    if (text.len < room) room = text.len;
    for (uint8_t c; n < room && (c = letter[(unsigned char)text.ptr[n]]) != 0; n++) to[n] = (char)c;
    for (uint32_t i = 0; !w->plain && i < n; i++)
        w->spans[w->len + i] = (hone_span){index + i, index + i + 1};
    w->len += n;
    w->chars += n;
    if (n > 0) w->end = index + (uint32_t)n;
    return n;
}

void hone_words_put_ascii(hone_words *w, hone_str text, size_t *at, uint32_t *index) {
    const hone_tokenizer *t = w->tokenizer;
    while (*at < text.len && !w->is_full) {
        size_t n = 1;
        hone_span span = {*index, *index + 1};
        unsigned char byte = (unsigned char)text.ptr[*at];
        switch (t->ascii[byte]) {
        case HONE_ASCII_LETTER:
            n = append_letters(w, (hone_str){text.ptr + *at, text.len - *at}, *index);
            if (n == 0) { /* no room: append counts it and goes on */
                append(w, t->letter[byte], span);
                n = 1;
            }
            break;
        case HONE_ASCII_SPACE:
            hone_words_end(w);
            break;
        case HONE_ASCII_PUNCT:
            hone_words_end(w);
            append(w, byte, span);
            hone_words_end(w);
            break;
        case HONE_ASCII_OTHER:
            return;
        }
        *at += n;
        *index += (uint32_t)n;
    }
}
