/* request.c: reading a request's head: headers by name, query parameters, percent-encoding, Host. */
#include "http/server_impl.h"

#include <strings.h>

hone_str hone_request_header(const hone_request *request, const char *name) {
    hone_str want = hone_str_of(name);
    for (size_t i = 0; i < request->header_count; i++)
        if (hone_str_equal(request->headers[i].name, want)) return request->headers[i].value;
    return (hone_str){"", 0};
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static hone_str decode(hone_arena *arena, hone_str s, bool plus_is_space) {
    char *out = hone_arena_alloc(arena, s.len + 1, 1);
    if (!out) return (hone_str){NULL, 0};
    size_t len = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '%') {
            int high = i + 2 < s.len ? hex_digit(s.ptr[i + 1]) : -1;
            int low = i + 2 < s.len ? hex_digit(s.ptr[i + 2]) : -1;
            if (high < 0 || low < 0) return (hone_str){NULL, 0};
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        out[len++] = c;
    }
    return (hone_str){out, len};
}

hone_str hone_percent_decode(hone_arena *arena, hone_str s) { return decode(arena, s, false); }

bool hone_query_find(hone_arena *arena, hone_str query, const char *name, hone_str *out) {
    hone_str want = hone_str_of(name);
    for (size_t at = 0; at < query.len;) {
        const char *start = query.ptr + at;
        const char *end = memchr(start, '&', query.len - at);
        size_t len = end ? (size_t)(end - start) : query.len - at;
        const char *equals = memchr(start, '=', len);
        size_t name_len = equals ? (size_t)(equals - start) : len;
        hone_str got = decode(arena, (hone_str){start, name_len}, true);
        if (got.ptr && hone_str_equal(got, want)) {
            size_t skip = equals ? name_len + 1 : len;
            hone_str value = decode(arena, (hone_str){start + skip, len - skip}, true);
            if (!value.ptr) return false;
            *out = value;
            return true;
        }
        at += len + 1;
    }
    return false;
}

bool hone_request_query(const hone_request *request, const char *name, hone_str *out) {
    return hone_query_find(request->arena, request->query, name, out);
}

/* "name", "name:port", "1.2.3.4:port", "[::1]:port" without the port. */
static hone_str without_port(hone_str host) {
    if (host.len > 0 && host.ptr[0] == '[') {
        const char *end = memchr(host.ptr, ']', host.len);
        return end ? (hone_str){host.ptr + 1, (size_t)(end - host.ptr) - 1} : host;
    }
    const char *colon = host.len > 0 ? memchr(host.ptr, ':', host.len) : NULL;
    return colon ? (hone_str){host.ptr, (size_t)(colon - host.ptr)} : host;
}

static bool is_name(hone_str host, const char *name) {
    return strlen(name) == host.len && strncasecmp(host.ptr, name, host.len) == 0;
}

/* Names are compared whole: a page of another site that had its own name point here (DNS
 * rebinding) is refused by this. */
bool hone_host_is_ours(const hone_server_options *options, hone_str host, const char *local) {
    static const char *const loopback[] = {"localhost", "127.0.0.1", "::1"};
    hone_str name = without_port(host);
    if (name.len == 0) return false;
    for (size_t i = 0; i < sizeof loopback / sizeof loopback[0]; i++)
        if (is_name(name, loopback[i])) return true;
    if (is_name(name, options->address) || is_name(name, local)) return true;
    for (size_t i = 0; i < options->host_count; i++)
        if (is_name(name, options->hosts[i])) return true;
    return false;
}
