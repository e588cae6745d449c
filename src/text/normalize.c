/* normalize.c: see normalize_impl.h; what each code point does is in unicode_impl.h.
 *
 * Spans follow `tokenizers`, which after a sort no longer knows where a mark came from: the
 * n-th mark that its own code point begins with takes the span of the n-th such code point
 * of the run, and any other mark that of the mark before it. Most marks are dropped right
 * after, so a run is sorted only when it has to be. */
#include "text/normalize_impl.h"

#include "text/unicode_impl.h"

#include <string.h>

enum { MARKS_CAP_MIN = 32, CLASSES = 256 };

static void emit(hone_normalizer *n, int32_t c, uint32_t kind, hone_span span) {
    if (n->options.strip_accents && (kind & HONE_UNICODE_MARK)) return;
    if (!n->options.lowercase || !(kind & HONE_UNICODE_LOWERS)) {
        n->emit(n->ctx, c, span);
        return;
    }
    int32_t lower[HONE_UNICODE_MAPPED_MAX];
    size_t count = hone_unicode_lower(c, lower);
    for (size_t i = 0; i < count; i++) n->emit(n->ctx, lower[i], span);
}

/* The run by class, marks of one class in their order; spans as the head of the file says. */
static hone_mark *sort_marks(hone_normalizer *n) {
    hone_mark *sorted = hone_arena_alloc(n->arena, n->marks_count, sizeof *sorted);
    hone_span *spans = hone_arena_alloc(n->arena, n->marks_count, sizeof *spans);
    if (!sorted || !spans) return NULL;

    size_t next[CLASSES + 1] = {0}, firsts = 0;
    for (size_t i = 0; i < n->marks_count; i++) {
        next[hone_unicode_class(n->marks[i].kind) + 1]++;
        if (n->marks[i].first) spans[firsts++] = n->marks[i].span;
    }
    for (size_t i = 0; i < CLASSES; i++) next[i + 1] += next[i];
    for (size_t i = 0; i < n->marks_count; i++)
        sorted[next[hone_unicode_class(n->marks[i].kind)]++] = n->marks[i];

    hone_span before = n->last;
    for (size_t i = 0, at = 0; i < n->marks_count; i++) {
        if (sorted[i].first) before = spans[at++];
        sorted[i].span = before;
    }
    return sorted;
}

void hone_normalizer_flush(hone_normalizer *n) {
    if (n->marks_count == 0 || n->failed) return;
    hone_mark *marks = n->marks_sorted ? n->marks : sort_marks(n);
    if (!marks) {
        n->failed = true;
        return;
    }
    for (size_t i = 0; i < n->marks_count; i++) emit(n, marks[i].c, marks[i].kind, marks[i].span);
    n->last = marks[n->marks_count - 1].span;
    n->marks_count = 0;
}

static void add_mark(hone_normalizer *n, hone_mark mark) {
    if (n->marks_count == n->marks_cap) {
        size_t cap = n->marks_cap ? n->marks_cap * 2 : MARKS_CAP_MIN;
        hone_mark *bigger = hone_arena_alloc(n->arena, cap, sizeof *bigger);
        if (!bigger) {
            n->failed = true;
            return;
        }
        if (n->marks_count > 0) memcpy(bigger, n->marks, n->marks_count * sizeof *bigger);
        n->marks = bigger;
        n->marks_cap = cap;
    }
    if (n->marks_count == 0)
        n->marks_sorted = true;
    else if (hone_unicode_class(n->marks[n->marks_count - 1].kind) > hone_unicode_class(mark.kind))
        n->marks_sorted = false;
    n->marks[n->marks_count++] = mark;
}

/* One code point of a decomposition: a mark waits, anything else ends the run before it. */
static void put_decomposed(hone_normalizer *n, int32_t c, hone_span span, bool first) {
    uint32_t kind = hone_unicode_kind(c);
    if (hone_unicode_class(kind) > 0) {
        add_mark(n, (hone_mark){c, kind, span, first});
        return;
    }
    hone_normalizer_flush(n);
    n->last = span;
    emit(n, c, kind, span);
}

static void decompose(hone_normalizer *n, int32_t c, uint32_t kind, hone_span span) {
    if (!(kind & HONE_UNICODE_DECOMPOSES)) {
        put_decomposed(n, c, span, true);
        return;
    }
    int32_t parts[HONE_UNICODE_MAPPED_MAX];
    size_t count = hone_unicode_decompose(c, parts);
    for (size_t i = 0; i < count; i++) put_decomposed(n, parts[i], span, i == 0);
}

void hone_normalizer_push(hone_normalizer *n, int32_t c, uint32_t index) {
    hone_span span = {index, index + 1};
    uint32_t kind = hone_unicode_kind(c);
    if (n->failed) return;
    if (n->options.clean_text && (kind & HONE_UNICODE_DROP)) return;
    if (n->options.clean_text && (kind & HONE_UNICODE_BLANK)) {
        c = ' ';
        kind = hone_unicode_kind(c);
    }
    bool spaced = n->options.handle_chinese_chars && (kind & HONE_UNICODE_CJK);
    if (spaced) put_decomposed(n, ' ', span, true);
    if (n->options.strip_accents)
        decompose(n, c, kind, span);
    else
        emit(n, c, kind, span);
    if (spaced) put_decomposed(n, ' ', span, true);
}
