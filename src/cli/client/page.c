/* page.c: see page.h. It looks for one element and does not try to be a browser. */
#include "cli/client/page.h"

#include <stdint.h>
#include <string.h>

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory for a page"); }

/* The rest of s from the first `what` on; ptr NULL when there is none. */
static hone_str find(hone_str s, const char *what) {
    const char *at = s.len ? memmem(s.ptr, s.len, what, strlen(what)) : NULL;
    return at ? (hone_str){at, s.len - (size_t)(at - s.ptr)} : (hone_str){NULL, 0};
}

static hone_str skip(hone_str s, size_t count) {
    return count < s.len ? (hone_str){s.ptr + count, s.len - count} : (hone_str){s.ptr, 0};
}

/* ---- entities ---- */

static char *put_utf8(char *to, uint32_t c) {
    if (c == 0 || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000)) c = 0xFFFD;
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xC0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *to++ = (char)(0xE0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3F));
        *to++ = (char)(0x80 | (c & 0x3F));
    } else {
        *to++ = (char)(0xF0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3F));
        *to++ = (char)(0x80 | (c >> 6 & 0x3F));
        *to++ = (char)(0x80 | (c & 0x3F));
    }
    return to;
}

/* "&#39;" or "&#x27;" at s: its bytes, 0 when it is none. A code never gets longer by decoding. */
static size_t number_entity(hone_str s, uint32_t *out) {
    size_t at = 2;
    uint32_t base = 10, n = 0;
    if (s.len > 2 && (s.ptr[2] == 'x' || s.ptr[2] == 'X')) base = 16, at = 3;
    size_t first = at;
    for (; at < s.len && at < first + 7; at++) {
        uint32_t c = (unsigned char)s.ptr[at];
        uint32_t digit = 99;
        if (c >= '0' && c <= '9')
            digit = c - '0';
        else if (base == 16 && (c | 32) >= 'a' && (c | 32) <= 'f')
            digit = (c | 32u) - 'a' + 10;
        if (digit == 99) break;
        n = n * base + digit;
    }
    if (at == first || at >= s.len || s.ptr[at] != ';') return 0;
    *out = n;
    return at + 1;
}

/* One character of s, decoded, to *to; how many bytes of s it took. */
static size_t decode_one(hone_str s, char **to) {
    static const struct {
        const char *name;
        char c;
    } known[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
    uint32_t code = 0;
    if (s.ptr[0] == '&') {
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
            size_t len = strlen(known[i].name);
            if (s.len < len || memcmp(s.ptr, known[i].name, len) != 0) continue;
            *(*to)++ = known[i].c;
            return len;
        }
        size_t taken = s.len > 2 && s.ptr[1] == '#' ? number_entity(s, &code) : 0;
        if (taken > 0) {
            *to = put_utf8(*to, code);
            return taken;
        }
    }
    *(*to)++ = s.ptr[0];
    return 1;
}

/* s without tags, decoded, white space and control characters as single spaces. NULL: no memory. */
static const char *plain_text(hone_arena *arena, hone_str s) {
    char *out = hone_arena_alloc(arena, s.len + 4, 1); /* "&#0;" becomes 3 bytes: never longer */
    if (!out) return NULL;
    char *to = out, *from = out;
    for (bool in_tag = false; s.len > 0;) {
        if (s.ptr[0] == '<') in_tag = true;
        size_t taken = in_tag ? 1 : decode_one(s, &to);
        if (in_tag && s.ptr[0] == '>') in_tag = false;
        s = skip(s, taken);
    }
    *to = '\0';
    for (to = out; *from; from++) {
        bool is_space = (unsigned char)*from <= ' ' || *from == 127;
        if (!is_space)
            *to++ = *from;
        else if (to > out && to[-1] != ' ')
            *to++ = ' ';
    }
    if (to > out && to[-1] == ' ') to--;
    *to = '\0';
    return out;
}

/* ---- the element ---- */

/* s stands at '<': the tag up to its '>', quotes heeded; empty when it never ends. */
static hone_str tag_at(hone_str s) {
    char quote = '\0';
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (quote) {
            if (c == quote) quote = '\0';
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '>') {
            return (hone_str){s.ptr, i + 1};
        }
    }
    return (hone_str){NULL, 0};
}

/* The quoted value of an attribute, as it is written; ptr NULL when it is absent. */
static hone_str attribute(hone_str tag, const char *name) {
    size_t len = strlen(name);
    for (size_t i = 1; i + len + 2 < tag.len; i++) {
        bool begins = strchr(" \t\r\n\"'", tag.ptr[i - 1]) != NULL;
        if (!begins || memcmp(tag.ptr + i, name, len) != 0 || tag.ptr[i + len] != '=') continue;
        char quote = tag.ptr[i + len + 1];
        hone_str value = skip(tag, i + len + 2);
        const char *end = quote == '"' || quote == '\'' ? memchr(value.ptr, quote, value.len)
                                                        : NULL;
        if (end) return (hone_str){value.ptr, (size_t)(end - value.ptr)};
    }
    return (hone_str){NULL, 0};
}

/* "['Yes', \"No\"]": the strings of an array as JavaScript writes it. */
static hone_err read_choices(hone_arena *arena, hone_str list, hone_page_question *out) {
    const char *text = plain_text(arena, list);
    if (!text) return no_memory();
    out->count = 0;
    for (const char *c = text; *c; c++) {
        if (*c != '\'' && *c != '"') continue;
        const char quote = *c++;
        char *word = hone_arena_alloc(arena, strlen(c) + 1, 1);
        if (!word) return no_memory();
        char *to = word;
        for (; *c && *c != quote; c++) {
            if (*c == '\\' && c[1]) c++;
            *to++ = *c;
        }
        if (!*c || out->count == HONE_PAGE_CHOICES_MAX || to == word)
            return hone_err_new(HONE_E_INVALID, "the page's list of choices cannot be read");
        out->choices[out->count++] = word;
    }
    if (out->count > 0) return HONE_OK;
    return hone_err_new(HONE_E_INVALID, "the page's question has no choices");
}

hone_err hone_page_parse(hone_arena *arena, hone_str html, hone_page_question *out) {
    hone_page_question page = {.header = ""};
    hone_str rest = find(html, "<crowd-classifier");
    hone_str tag = tag_at(rest);
    if (!tag.ptr)
        return hone_err_new(HONE_E_INVALID, "the page has no crowd-classifier: it needs a browser");
    page.is_multi = find(tag, "<crowd-classifier-multi-select").ptr == tag.ptr;
    hone_str name = attribute(tag, "name"), header = attribute(tag, "header");
    hone_str target = find(rest, "<classification-target");
    hone_str target_tag = tag_at(target);
    hone_str end = find(target, "</classification-target");
    if (name.len == 0 || !target_tag.ptr || !end.ptr || end.ptr < target_tag.ptr + target_tag.len)
        return hone_err_new(HONE_E_INVALID,
                            "the page's question has no name or no classification-target");
    HONE_TRY(read_choices(arena, attribute(tag, "categories"), &page));
    const char *text = target_tag.ptr + target_tag.len;
    page.name = plain_text(arena, name);
    page.text = plain_text(arena, (hone_str){text, (size_t)(end.ptr - text)});
    if (header.ptr) page.header = plain_text(arena, header);
    if (!page.name || !page.text || !page.header) return no_memory();
    *out = page;
    return HONE_OK;
}
