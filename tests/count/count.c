/* count.c: the work whose instructions tests/count/run.py counts, one subject per run.
 *
 *     count SUBJECT FOLDER [times]      FOLDER: the inputs that run.py has laid out
 *     count                             which subjects there are, behind the compiler's name
 *
 * A subject reads its inputs, and works on them in counted(): callgrind collects only while that
 * function runs. Nothing here depends on the clock, the address of anything, or chance. The
 * exception is http, whose threads hand a request to each other: run.py takes the difference of
 * two runs, with few and with many requests. */
#include "api/aws_chunked.h"
#include "api/xml.h"
#include "base/file.h"
#include "base/json.h"
#include "data/import.h"
#include "http/server.h"
#include "http/sigv4.h"
#include "model/config.h"
#include "model/safetensors.h"
#include "pipeline/definition.h"
#include "review/liquid.h"
#include "text/tokenizer.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ARENA_BYTES = 256 << 20, INPUT_BYTES_MAX = 16 << 20, HEADERS_MAX = 16, TEXTS_MAX = 4096 };

typedef hone_err work_fn(void *with);

typedef struct bench {
    hone_arena *arena;   /* of what the subject prepares */
    hone_arena *scratch; /* of what it works with */
    const char *dir;
    const char *times; /* of http */
} bench;

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "out of memory"); }

/* What callgrind counts: it collects while this function is running (--toggle-collect). */
__attribute__((noinline)) static hone_err counted(work_fn *work, void *with) {
    hone_err err = work(with);
    __asm__ volatile("" ::: "memory"); /* no tail call: the function ends when the work has */
    return err;
}

static hone_err input(bench *b, const char *name, hone_str *out) {
    const char *path = hone_path_join(b->arena, b->dir, name);
    if (!path) return no_memory();
    return hone_file_load(b->arena, path, INPUT_BYTES_MAX, out);
}

/* ---- text ---- */

typedef struct texts {
    hone_arena *scratch;
    hone_tokenizer *tokenizer;
    size_t count;
    hone_str texts[TEXTS_MAX];
} texts;

static hone_err encode_all(void *with) {
    const texts *t = with;
    for (size_t i = 0; i < t->count; i++) {
        hone_tokens tokens;
        hone_arena_reset(t->scratch);
        HONE_TRY(hone_tokenizer_encode(t->tokenizer, t->scratch, t->texts[i], (hone_str){NULL, 0},
                                       (hone_encode_options){.max_length = 256}, &tokens));
    }
    return HONE_OK;
}

static hone_err encode_file(bench *b, const char *name) {
    hone_dataset set;
    hone_import_options options = {0};
    const char *path = hone_path_join(b->arena, b->dir, name);
    const char *dir = hone_path_join(b->arena, b->dir, "tokenizer");
    texts *t = hone_arena_alloc(b->arena, 1, sizeof *t);
    if (!path || !dir || !t) return no_memory();
    HONE_TRY(hone_import_file(b->arena, path, &options, &set));
    t->scratch = b->scratch;
    for (size_t i = 0; i < set.count && i < TEXTS_MAX; i++)
        t->texts[t->count++] = set.records[i].text;
    HONE_TRY(hone_tokenizer_load(dir, &t->tokenizer));
    hone_err err = counted(encode_all, t);
    hone_tokenizer_destroy(t->tokenizer);
    return err;
}

static hone_err tokenizer_sentences(bench *b) { return encode_file(b, "sentences.jsonl"); }
static hone_err tokenizer_unicode(bench *b) { return encode_file(b, "unicode.jsonl"); }

static hone_err load_tokenizer(void *with) {
    hone_tokenizer *tokenizer;
    HONE_TRY(hone_tokenizer_load(with, &tokenizer));
    hone_tokenizer_destroy(tokenizer);
    return HONE_OK;
}

static hone_err tokenizer_json(bench *b) {
    char *dir = hone_path_join(b->arena, b->dir, "tokenizer");
    return dir ? counted(load_tokenizer, dir) : no_memory();
}

/* ---- files of models and data ---- */

typedef struct document {
    hone_arena *scratch;
    hone_str bytes;
    const char *name;
} document;

/* work on FOLDER/name */
static hone_err read_document(bench *b, const char *name, work_fn *work) {
    document d = {.scratch = b->scratch, .name = name};
    HONE_TRY(input(b, name, &d.bytes));
    return counted(work, &d);
}

static hone_err parse_config(void *with) {
    const document *d = with;
    hone_config config;
    HONE_TRY(hone_config_parse(d->bytes, d->name, &config));
    hone_config_done(&config);
    return HONE_OK;
}

static hone_err parse_safetensors(void *with) {
    const document *d = with;
    hone_safetensors *file;
    HONE_TRY(hone_safetensors_parse(d->bytes, d->name, &file));
    hone_safetensors_close(file);
    return HONE_OK;
}

static hone_err import(void *with) {
    const document *d = with;
    hone_dataset set;
    hone_import_options options = {0};
    return hone_import_bytes(d->scratch, d->bytes, d->name, &options, &set);
}

static hone_err parse_pipeline(void *with) {
    const document *d = with;
    hone_definition definition;
    return hone_definition_parse(d->scratch, d->bytes, &definition);
}

static hone_err config_json(bench *b) { return read_document(b, "config.json", parse_config); }
static hone_err safetensors(bench *b) {
    return read_document(b, "model.safetensors", parse_safetensors);
}
static hone_err csv(bench *b) { return read_document(b, "sentences.csv", import); }
static hone_err jsonl(bench *b) { return read_document(b, "sentences.jsonl", import); }
static hone_err pipeline(bench *b) { return read_document(b, "pipeline.json", parse_pipeline); }

/* ---- what requests are made of ---- */

static hone_err read_chunks(void *with) {
    const document *d = with;
    hone_str rest = d->bytes, data, name, value;
    do {
        HONE_TRY(hone_aws_chunk_next(&rest, &data));
    } while (data.len > 0);
    do {
        HONE_TRY(hone_aws_trailer_next(&rest, &name, &value));
    } while (name.len > 0);
    return HONE_OK;
}

static hone_err see_element(void *ctx, const char *path, hone_str text) {
    size_t *bytes = ctx;
    *bytes += strlen(path) + text.len;
    return HONE_OK;
}

static hone_err read_xml(void *with) {
    const document *d = with;
    size_t bytes = 0;
    return hone_xml_read(d->bytes, see_element, &bytes);
}

static hone_err aws_chunked(bench *b) { return read_document(b, "chunked", read_chunks); }
static hone_err xml(bench *b) { return read_document(b, "delete.xml", read_xml); }

typedef struct signed_requests {
    size_t count;
    int64_t now_ms;
    hone_str secret;
    struct {
        hone_request request;
        hone_header headers[HEADERS_MAX];
        hone_str authorization;
    } all[HEADERS_MAX];
} signed_requests;

static hone_str member(const json_t *object, const char *key) {
    return hone_json_str(json_object_get(object, key));
}

static hone_err check_signatures(void *with) {
    const signed_requests *s = with;
    for (size_t i = 0; i < s->count; i++) {
        hone_sigv4 sig;
        HONE_TRY(hone_sigv4_parse(s->all[i].authorization, &sig));
        HONE_TRY(hone_sigv4_check(&s->all[i].request, &sig, s->secret, s->now_ms));
    }
    return HONE_OK;
}

static void take_request(bench *b, const json_t *from, signed_requests *to) {
    hone_request *request = &to->all[to->count].request;
    hone_header *headers = to->all[to->count].headers;
    *request = (hone_request){.method = member(from, "method"),
                              .path = member(from, "path"),
                              .query = member(from, "query"),
                              .body = member(from, "body"),
                              .headers = headers,
                              .is_tls = true, /* one has an unsigned body */
                              .arena = b->scratch};
    to->all[to->count++].authorization = member(from, "authorization");
    size_t i;
    const json_t *pair;
    json_array_foreach(json_object_get(from, "headers"), i, pair) {
        headers[i] = (hone_header){hone_json_str(json_array_get(pair, 0)),
                                   hone_json_str(json_array_get(pair, 1))};
        request->header_count = i + 1;
    }
}

static hone_err sigv4(bench *b) {
    hone_str bytes;
    json_t *golden;
    signed_requests *s = hone_arena_alloc(b->arena, 1, sizeof *s);
    if (!s) return no_memory();
    HONE_TRY(input(b, "sigv4.json", &bytes));
    HONE_TRY(hone_json_parse(bytes, "sigv4.json", &golden));
    s->now_ms = json_integer_value(json_object_get(golden, "now_ms"));
    s->secret = member(golden, "secret");
    size_t i;
    const json_t *from;
    json_array_foreach(json_object_get(golden, "cases"), i, from) take_request(b, from, s);
    hone_err err = counted(check_signatures, s);
    json_decref(golden);
    return err;
}

typedef struct page {
    hone_str text;
    json_t *input;
    hone_buf out;
} page;

static hone_err render(void *with) {
    page *p = with;
    HONE_TRY(hone_liquid_check(p->text));
    return hone_liquid_render(p->text, p->input, &p->out);
}

static hone_err liquid(bench *b) {
    hone_str bytes;
    page p;
    HONE_TRY(input(b, "page.liquid", &p.text));
    HONE_TRY(input(b, "page.json", &bytes));
    HONE_TRY(hone_json_parse(bytes, "page.json", &p.input));
    hone_buf_init(&p.out, HONE_LIQUID_OUTPUT_MAX);
    hone_err err = counted(render, &p);
    hone_buf_done(&p.out);
    json_decref(p.input);
    return err;
}

/* ---- the server, with one client that waits for each answer ---- */

static hone_body_rule any_body(void *ctx, const hone_request *head) {
    (void)ctx;
    (void)head;
    return (hone_body_rule){1 << 20};
}

static void answer(void *ctx, hone_exchange *exchange) {
    (void)ctx;
    const hone_request *request = hone_exchange_request(exchange);
    hone_header header = {HONE_S("X-Answer"), hone_request_header(request, "x-test")};
    hone_str name = {NULL, 0};
    (void)hone_request_query(request, "name", &name);
    hone_response response = {.status = 200,
                              .content_type = "text/plain",
                              .headers = &header,
                              .header_count = 1,
                              .body = name};
    hone_exchange_reply(exchange, &response);
}

static hone_err ask(int fd, hone_str request) {
    char said[1024];
    size_t have = 0;
    if (write(fd, request.ptr, request.len) != (ssize_t)request.len)
        return hone_err_new(HONE_E_IO, "the request was not sent");
    while (have < 8 || memcmp(said + have - 8, "a letter", 8) != 0) {
        ssize_t got = read(fd, said + have, sizeof said - have);
        if (got <= 0) return hone_err_new(HONE_E_IO, "no answer");
        have += (size_t)got;
    }
    return HONE_OK;
}

static hone_err ask_often(const hone_server *server, const char *times) {
    char text[1024], body[512];
    memset(body, 'b', sizeof body);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(hone_server_port(server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int len = snprintf(text, sizeof text,
                       "POST /endpoints/an-endpoint/invocations?name=a%%20letter HTTP/1.1\r\n"
                       "Host: 127.0.0.1\r\nContent-Type: application/json\r\nX-Test: one\r\n"
                       "Accept: */*\r\nUser-Agent: count\r\nContent-Length: %zu\r\n\r\n%.*s",
                       sizeof body, (int)sizeof body, body);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return hone_err_new(HONE_E_IO, "no socket");
    hone_err err = HONE_OK;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        err = hone_err_new(HONE_E_IO, "no connection");
    for (long left = strtol(times, NULL, 10); left > 0 && !hone_failed(err); left--)
        err = ask(fd, (hone_str){text, (size_t)len});
    (void)close(fd);
    return err;
}

static hone_err http(bench *b) {
    hone_server *server;
    hone_server_options options = {.address = "127.0.0.1",
                                   .spool_dir = b->dir,
                                   .workers = 1,
                                   .handle = answer,
                                   .rule = any_body};
    HONE_TRY(hone_server_start(&options, &server));
    hone_err err = ask_often(server, b->times);
    hone_server_stop(server, 1000);
    return err;
}

/* ---- which is asked for ---- */

#define TEXT_OF(number)  #number
#define VALUE_OF(number) TEXT_OF(number)
#ifdef __clang__
#define COMPILER "clang " VALUE_OF(__clang_major__)
#else
#define COMPILER "gcc " VALUE_OF(__GNUC__)
#endif

typedef struct subject {
    const char *name;
    hone_err (*run)(bench *b);
} subject;

static const subject SUBJECTS[] = {
    {"tokenizer", tokenizer_sentences},
    {"tokenizer-unicode", tokenizer_unicode},
    {"tokenizer.json", tokenizer_json},
    {"config.json", config_json},
    {"safetensors", safetensors},
    {"csv", csv},
    {"jsonl", jsonl},
    {"pipeline", pipeline},
    {"liquid", liquid},
    {"aws-chunked", aws_chunked},
    {"xml", xml},
    {"sigv4", sigv4},
    {"http", http},
};
enum { SUBJECT_COUNT = sizeof SUBJECTS / sizeof SUBJECTS[0] };

int main(int argc, char **argv) {
    json_object_seed(1); /* else jansson takes one from the clock */
    if (argc == 1) puts(COMPILER);
    for (size_t i = 0; i < SUBJECT_COUNT && argc == 1; i++) puts(SUBJECTS[i].name);
    for (size_t i = 0; i < SUBJECT_COUNT && argc > 2; i++) {
        bench b = {.dir = argv[2], .times = argc > 3 ? argv[3] : "1"};
        if (strcmp(argv[1], SUBJECTS[i].name) != 0) continue;
        hone_err err = hone_arena_create(ARENA_BYTES, &b.arena);
        if (!hone_failed(err)) err = hone_arena_create(ARENA_BYTES, &b.scratch);
        if (!hone_failed(err)) err = SUBJECTS[i].run(&b);
        if (hone_failed(err)) (void)fprintf(stderr, "%s: %s\n", argv[1], err.msg);
        hone_arena_destroy(b.scratch);
        hone_arena_destroy(b.arena);
        return hone_failed(err) ? 1 : 0;
    }
    return argc == 1 ? 0 : 2;
}
