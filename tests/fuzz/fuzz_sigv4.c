/* fuzz_sigv4.c: a request's head: its signature, its query, its percent-encoding.
 *
 *     METHOD target\n  name: value\n ... \n  body       the Authorization header is one of them
 *
 * A signature is never right here, as the secret is none that a corpus was signed with. */
#include "http/server.h"
#include "http/sigv4.h"

#include <stdlib.h>

enum { HEADERS_MAX = 100 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The part of *rest before the first c, which is taken off it. */
static hone_str cut(hone_str *rest, char c) {
    const char *end = rest->len > 0 ? memchr(rest->ptr, c, rest->len) : NULL;
    size_t len = end ? (size_t)(end - rest->ptr) : rest->len;
    hone_str part = {rest->ptr, len};
    *rest = (hone_str){rest->ptr + len + (end != NULL), rest->len - len - (end != NULL)};
    return part;
}

static void check(hone_arena *arena, hone_str input) {
    hone_header headers[HEADERS_MAX];
    hone_request request = {.headers = headers, .arena = arena, .is_tls = input.len % 2 == 0};
    hone_str target = cut(&input, '\n');
    request.method = cut(&target, ' ');
    request.path = cut(&target, '?');
    request.query = target;
    while (input.len > 0 && request.header_count < HEADERS_MAX) {
        hone_str line = cut(&input, '\n');
        if (line.len == 0) break;
        hone_str name = cut(&line, ':');
        headers[request.header_count++] = (hone_header){name, line};
    }
    request.body = input;

    hone_sigv4 sig;
    hone_str value = {NULL, 0};
    if (hone_request_query(&request, "prefix", &value) && !value.ptr) abort();
    hone_str plain = hone_percent_decode(arena, request.path);
    if (plain.ptr && plain.len > request.path.len) abort();
    hone_err err = hone_sigv4_parse(hone_request_header(&request, "authorization"), &sig);
    if (hone_failed(err)) return;
    if (sig.signature.len != 64 || sig.date.len != 8) abort();
    err = hone_sigv4_check(&request, &sig, HONE_S("no such secret"), INT64_C(1795500179000));
    if (!hone_failed(err)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    hone_arena *arena = NULL;
    if (hone_failed(hone_arena_create((size_t)16 << 20, &arena))) abort();
    check(arena, (hone_str){(const char *)data, size});
    hone_arena_destroy(arena);
    return 0;
}
