/* exchange.c: one request, from its first byte to the end of its answer. server_impl.h has the
 * states.
 *
 * libmicrohttpd calls hone_exchange_begin with the target, then hone_exchange_step with the head,
 * with each piece of the body, at its end, and once more when a suspended connection was resumed;
 * and at last hone_exchange_end. A refusal is decided with the head, and sent at once where the
 * client waits for it (Expect: 100-continue, which libmicrohttpd answers) or sends no body. */
#include "http/server_impl.h"

#include "base/id.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

enum {
    ARENA_LIMIT_BYTES = 64 << 20,
    DEFAULT_BODY_LIMIT_BYTES = 1 << 20,
    PATH_SIZE = 4096,
    /* How long a body may pause. Shorter than between requests: libmicrohttpd does not notice a
     * client that goes in the middle of a body when its last bytes and its farewell come at once. */
    BODY_PAUSE_S = 20,
};

static const char REFUSED_STOPPING[] = "the server is stopping\n";
static const char REFUSED_BUSY[] = "too many requests are waiting, try again\n";

/* ---- begin and end ---- */

static void link_exchange(hone_server *server, hone_exchange *e) {
    pthread_mutex_lock(&server->lock);
    e->next = server->exchanges;
    if (e->next) e->next->prev = e;
    server->exchanges = e;
    server->owners++;
    pthread_mutex_unlock(&server->lock);
}

static void free_exchange(hone_exchange *e) {
    if (!e) return;
    hone_arena_destroy(e->arena);
    hone_buf_done(&e->memory);
    free(e);
}

static hone_exchange *take_spare(hone_server *server) {
    pthread_mutex_lock(&server->lock);
    hone_exchange *e = server->spares;
    if (e) {
        server->spares = e->next;
        server->spare_count--;
    }
    pthread_mutex_unlock(&server->lock);
    return e;
}

/* An empty exchange; NULL when there is no memory. */
static hone_exchange *make_exchange(hone_server *server) {
    hone_exchange *e = take_spare(server);
    if (e) return e;
    e = calloc(1, sizeof *e);
    if (!e) return NULL;
    hone_buf_init(&e->memory, HONE_BODY_IN_MEMORY_MAX);
    if (!hone_failed(hone_arena_create(ARENA_LIMIT_BYTES, &e->arena))) return e;
    free_exchange(e);
    return NULL;
}

/* What the next exchange may have of this one: empty memory, and nothing else. */
static void empty_exchange(hone_exchange *e) {
    hone_arena *arena = e->arena;
    hone_buf memory = e->memory;
    hone_arena_reset(arena);
    memory.len = 0;
    memory.failed = HONE_E_NONE;
    *e = (hone_exchange){.arena = arena, .memory = memory};
}

static void keep_or_free(hone_server *server, hone_exchange *e) {
    empty_exchange(e);
    bool is_small = hone_arena_held(e->arena) <= HONE_SPARE_ARENA_MAX;
    pthread_mutex_lock(&server->lock);
    bool is_kept = is_small && server->spare_count < HONE_SPARES_MAX;
    if (is_kept) {
        e->next = server->spares;
        server->spares = e;
        server->spare_count++;
    }
    pthread_mutex_unlock(&server->lock);
    if (!is_kept) free_exchange(e);
}

void hone_exchange_free_spares(hone_server *server) {
    while (server->spares) {
        hone_exchange *e = server->spares;
        server->spares = e->next;
        free_exchange(e);
    }
}

void *hone_exchange_begin(void *arg, const char *target, struct MHD_Connection *connection) {
    hone_server *server = arg;
    hone_exchange *e = make_exchange(server);
    if (!e) return NULL;
    e->server = server;
    e->connection = connection;
    e->spool_fd = -1;
    e->owners = 1;
    e->next = NULL;
    e->request.arena = e->arena;
    size_t len = strlen(target);
    if (len <= HONE_TARGET_MAX)
        e->target = (hone_str){hone_arena_strdup(e->arena, (hone_str){target, len}), len};
    link_exchange(server, e);
    return e;
}

static void drop_body(hone_exchange *e) {
    hone_map_close(&e->map);
    e->map = (hone_map){0};
    e->memory.len = 0;
    if (e->memory.cap > HONE_SPARE_BODY_MAX) {
        hone_buf_done(&e->memory);
        hone_buf_init(&e->memory, HONE_BODY_IN_MEMORY_MAX);
    }
    if (e->spool_fd >= 0) (void)close(e->spool_fd); /* never fsynced: nothing to lose */
    e->spool_fd = -1;
    if (e->spool_path) (void)unlink(e->spool_path); /* not there when the handler moved it */
    e->spool_path = NULL;
}

static void unlink_exchange(hone_server *server, const hone_exchange *e) {
    if (e->prev)
        e->prev->next = e->next;
    else
        server->exchanges = e->next;
    if (e->next) e->next->prev = e->prev;
}

/* One owner less; the last one frees. The exchange is one of the server's owners until all of it
 * has been dealt with. */
static void release(hone_exchange *e) {
    hone_server *server = e->server;
    pthread_mutex_lock(&server->lock);
    bool is_last = --e->owners == 0;
    if (is_last) {
        unlink_exchange(server, e);
        if (e->state == ANSWERED || e->state == ABANDONED) {
            server->at_work--;
            pthread_cond_broadcast(&server->changed);
        }
    }
    pthread_mutex_unlock(&server->lock);
    if (!is_last) return;
    if (e->answer) MHD_destroy_response(e->answer); /* the client had gone before it was sent */
    drop_body(e);
    keep_or_free(server, e);
    pthread_mutex_lock(&server->lock);
    bool is_last_of_all = --server->owners == 0;
    pthread_mutex_unlock(&server->lock);
    if (is_last_of_all) hone_server_release(server);
}

void hone_exchange_end(void *server, struct MHD_Connection *connection, void **slot,
                       enum MHD_RequestTerminationCode why) {
    (void)server;
    (void)connection;
    (void)why;
    hone_exchange *e = *slot;
    *slot = NULL;
    if (e) release(e);
}

/* ---- the head ---- */

static void refuse(hone_exchange *e, int status, const char *text) {
    if (e->refusal) return;
    e->refusal = status;
    e->refusal_text = text;
    drop_body(e);
}

typedef struct head_reader {
    hone_exchange *exchange;
    hone_header *headers;
    size_t count, bytes;
    bool is_too_large;
} head_reader;

static enum MHD_Result read_header(void *arg, enum MHD_ValueKind kind, const char *key,
                                   size_t key_size, const char *value, size_t value_size) {
    (void)kind;
    head_reader *r = arg;
    r->bytes += key_size + value_size + sizeof ": \r\n" - 1;
    char *name = NULL, *copy = NULL;
    if (!value) value_size = 0;
    if (r->count < HONE_HEADER_COUNT_MAX && r->bytes <= HONE_HEADERS_MAX) {
        name = hone_arena_strdup(r->exchange->arena, (hone_str){key, key_size});
        while (value_size > 0 && strchr(" \t", value[value_size - 1])) value_size--;
        copy = hone_arena_strdup(r->exchange->arena, (hone_str){value, value_size});
    }
    if (!name || !copy) {
        r->is_too_large = true;
        return MHD_NO;
    }
    for (char *c = name; *c; c++)
        if (*c >= 'A' && *c <= 'Z') *c = (char)(*c - 'A' + 'a');
    r->headers[r->count++] = (hone_header){{name, key_size}, {copy, value_size}};
    return MHD_YES;
}

static size_t count_headers(const hone_request *request, const char *name) {
    size_t count = 0;
    for (size_t i = 0; i < request->header_count; i++)
        count += hone_str_equal(request->headers[i].name, hone_str_of(name));
    return count;
}

/* The client's address, and the one that it reached: a Host header may name that. */
static void read_addresses(hone_exchange *e, char local[INET6_ADDRSTRLEN]) {
    struct sockaddr_storage here = {0};
    socklen_t size = sizeof here;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        e->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *there = info ? info->client_addr : NULL;
    if (there && there->sa_family == AF_INET)
        (void)inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)there)->sin_addr,
                        e->remote, sizeof e->remote);
    else if (there && there->sa_family == AF_INET6)
        (void)inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)there)->sin6_addr,
                        e->remote, sizeof e->remote);
    e->request.remote = e->remote;

    local[0] = '\0';
    info = MHD_get_connection_info(e->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!info || getsockname(info->connect_fd, (struct sockaddr *)&here, &size) != 0) return;
    if (here.ss_family == AF_INET)
        (void)inet_ntop(AF_INET, &((const struct sockaddr_in *)&here)->sin_addr, local,
                        INET6_ADDRSTRLEN);
    else if (here.ss_family == AF_INET6)
        (void)inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)&here)->sin6_addr, local,
                        INET6_ADDRSTRLEN);
}

static void split_target(hone_exchange *e) {
    const char *question = memchr(e->target.ptr, '?', e->target.len);
    size_t path = question ? (size_t)(question - e->target.ptr) : e->target.len;
    e->request.path = (hone_str){e->target.ptr, path};
    e->request.query = (hone_str){"", 0};
    if (question) e->request.query = (hone_str){question + 1, e->target.len - path - 1};
}

/* Two framings, or two lengths, are how requests are smuggled past a proxy. */
static void check_framing(hone_exchange *e) {
    const hone_request *r = &e->request;
    hone_str encoding = hone_request_header(r, "transfer-encoding");
    size_t lengths = count_headers(r, "content-length");
    size_t encodings = count_headers(r, "transfer-encoding");
    if (lengths + encodings > 1)
        refuse(e, 400, "more than one of Content-Length and Transfer-Encoding\n");
    else if (encodings == 1 && !(encoding.len == 7 && strncasecmp(encoding.ptr, "chunked", 7) == 0))
        refuse(e, 501, "the only Transfer-Encoding is chunked\n");
}

/* What Content-Length says; -1: the body comes in chunks. */
static int64_t announced_bytes(const hone_request *r) {
    if (count_headers(r, "transfer-encoding") > 0) return -1;
    hone_str text = hone_request_header(r, "content-length");
    int64_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || n > INT64_MAX / 10 - 1) return INT64_MAX;
        n = n * 10 + (text.ptr[i] - '0');
    }
    return n;
}

static void check_head(hone_exchange *e, const char *local) {
    const hone_server *server = e->server;
    const hone_request *r = &e->request;
    if (hone_str_equal(r->method, HONE_S("CONNECT")) || hone_str_equal(r->method, HONE_S("TRACE")))
        refuse(e, 405, "CONNECT and TRACE are not for this server\n");
    if (e->target.ptr[0] != '/') refuse(e, 400, "the request's target is no path\n");
    check_framing(e);
    if (count_headers(r, "host") != 1)
        refuse(e, 400, "a request has one Host header\n");
    else if (!hone_host_is_ours(&server->options, hone_request_header(r, "host"), local))
        refuse(e, 421, "the Host header names another server\n");
    if (e->refusal) return;

    e->limit_bytes = DEFAULT_BODY_LIMIT_BYTES;
    if (server->options.rule)
        e->limit_bytes = server->options.rule(server->options.ctx, r).limit_bytes;
    if (announced_bytes(r) > e->limit_bytes) refuse(e, 413, "the request's body is too large\n");
}

static void read_head(hone_exchange *e, const char *method) {
    char local[INET6_ADDRSTRLEN];
    hone_request *r = &e->request;
    e->has_head = true;
    r->is_tls = e->server->options.tls_cert || e->server->options.is_behind_tls;
    hone_str verb = hone_str_of(method);
    r->method = (hone_str){hone_arena_strdup(e->arena, verb), verb.len};
    head_reader reader = {.exchange = e};
    reader.headers = hone_arena_alloc(e->arena, HONE_HEADER_COUNT_MAX, sizeof(hone_header));
    if (!e->target.ptr || !r->method.ptr || !reader.headers) {
        refuse(e, 414, "the request's target is too long\n");
        return;
    }
    split_target(e);
    read_addresses(e, local);
    (void)MHD_get_connection_values_n(e->connection, MHD_HEADER_KIND, read_header, &reader);
    r->headers = reader.headers;
    r->header_count = reader.count;
    if (reader.is_too_large)
        refuse(e, 431, "the request's headers are too large\n");
    else
        check_head(e, local);
}

/* ---- the body ---- */

static bool write_all(int fd, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t n = write(fd, bytes, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

/* What is in memory goes on in a file. Written without fsync: its pages are in memory until the
 * kernel wants them elsewhere, so an HTTP thread does not wait for the disk here. */
static bool start_spooling(hone_exchange *e) {
    char path[PATH_SIZE], id[HONE_ID_SIZE];
    hone_id_make(id);
    int n = snprintf(path, sizeof path, "%s/%s", e->server->options.spool_dir, id);
    if (n < 0 || (size_t)n >= sizeof path) return false;
    e->spool_path = hone_arena_strdup(e->arena, hone_str_of(path));
    if (!e->spool_path) return false;
    e->spool_fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return e->spool_fd >= 0 && write_all(e->spool_fd, e->memory.ptr, e->memory.len);
}

static bool keep_bytes(hone_exchange *e, const char *bytes, size_t size) {
    errno = 0;
    if (e->spool_fd < 0 && e->memory.len + size <= HONE_BODY_IN_MEMORY_MAX) {
        hone_buf_push(&e->memory, (hone_str){bytes, size});
        return !hone_failed(hone_buf_err(&e->memory));
    }
    if (e->spool_fd < 0 && !start_spooling(e)) return false;
    return write_all(e->spool_fd, bytes, size);
}

static enum MHD_Result take_body(hone_exchange *e, const char *bytes, size_t *size) {
    e->body_bytes += (int64_t)*size;
    if (!e->refusal && e->body_bytes > e->limit_bytes)
        refuse(e, 413, "the request's body is too large\n");
    if (!e->refusal && !keep_bytes(e, bytes, *size)) {
        if (errno == ENOSPC || errno == EDQUOT)
            refuse(e, 507, "no space is left for the request's body\n");
        else
            refuse(e, 500, "the request's body could not be kept\n");
    }
    if (e->refusal && e->body_bytes > e->limit_bytes + HONE_DRAIN_MAX) return MHD_NO;
    *size = 0;
    return MHD_YES;
}

/* ---- answering ---- */

static struct MHD_Response *plain_answer(const char *text) {
    struct MHD_Response *answer = MHD_create_response_from_buffer(
        strlen(text), hone_without_const(text), MHD_RESPMEM_PERSISTENT);
    if (!answer) return NULL;
    (void)MHD_add_response_header(answer, "Content-Type", "text/plain; charset=utf-8");
    return answer;
}

static enum MHD_Result send_refusal(hone_exchange *e) {
    struct MHD_Response *answer = plain_answer(e->refusal_text);
    if (!answer) return MHD_NO;
    if (e->refusal == 503) (void)MHD_add_response_header(answer, "Retry-After", "1");
    if (e->refusal == 405)
        (void)MHD_add_response_header(answer, "Allow", "GET, HEAD, POST, PUT, DELETE");
    (void)MHD_add_response_header(answer, "Connection", "close");
    enum MHD_Result result = MHD_queue_response(e->connection, (unsigned)e->refusal, answer);
    MHD_destroy_response(answer);
    return result;
}

static enum MHD_Result send_answer(hone_exchange *e) {
    pthread_mutex_lock(&e->server->lock);
    struct MHD_Response *answer = e->answer;
    e->answer = NULL;
    pthread_mutex_unlock(&e->server->lock);
    if (!answer) return MHD_NO;
    enum MHD_Result result = MHD_queue_response(e->connection, (unsigned)e->status, answer);
    MHD_destroy_response(answer);
    return result;
}

static void set_pause(hone_exchange *e, unsigned seconds) {
    /* Fails for an unknown option alone. */
    (void)MHD_set_connection_option(e->connection, MHD_CONNECTION_OPTION_TIMEOUT, seconds);
}

static void work_exchange(void *exchange); /* the job of a worker */

/* The body is whole: to the workers. The connection sleeps before a worker can wake it. */
static enum MHD_Result hand_over(hone_exchange *e) {
    hone_server *server = e->server;
    set_pause(e, HONE_IDLE_TIMEOUT_S);
    pthread_mutex_lock(&server->lock);
    bool is_stopping = server->is_stopping;
    if (!is_stopping) {
        e->state = AT_WORK;
        e->owners++;
        server->at_work++;
        MHD_suspend_connection(e->connection);
    }
    pthread_mutex_unlock(&server->lock);
    if (is_stopping) {
        refuse(e, 503, REFUSED_STOPPING);
        return send_refusal(e);
    }
    hone_err err = hone_jobq_push(server->queue, (hone_job){work_exchange, e});
    if (!hone_failed(err)) return MHD_YES;
    struct MHD_Response *answer = plain_answer(REFUSED_BUSY);
    if (answer) (void)MHD_add_response_header(answer, "Retry-After", "1");
    hone_exchange_answer(e, 503, answer);
    return MHD_YES;
}

enum MHD_Result hone_exchange_step(void *arg, struct MHD_Connection *connection, const char *path,
                                   const char *method, const char *version, const char *bytes,
                                   size_t *size, void **slot) {
    (void)arg;
    (void)connection;
    (void)path;
    (void)version;
    hone_exchange *e = *slot;
    if (!e) return MHD_NO; /* there was no memory for it */
    if (!e->has_head) {
        read_head(e, method);
        if (announced_bytes(&e->request) != 0) set_pause(e, BODY_PAUSE_S);
        if (!e->refusal) return MHD_YES;
        bool client_waits = hone_request_header(&e->request, "expect").len > 0;
        int64_t announced = announced_bytes(&e->request);
        bool can_drain = e->refusal == 413 && announced > 0 &&
                         announced <= e->limit_bytes + HONE_DRAIN_MAX;
        if (client_waits || !can_drain) return send_refusal(e);
        return MHD_YES;
    }
    if (*size > 0) return take_body(e, bytes, size);
    if (e->refusal) return send_refusal(e);
    pthread_mutex_lock(&e->server->lock);
    exchange_state state = e->state;
    pthread_mutex_unlock(&e->server->lock);
    if (state == ANSWERED || state == ABANDONED) return send_answer(e);
    if (state == AT_WORK) return MHD_YES;
    return hand_over(e);
}

void hone_exchange_answer(hone_exchange *e, int status, struct MHD_Response *answer) {
    hone_server *server = e->server;
    pthread_mutex_lock(&server->lock);
    if (e->state == AT_WORK) {
        e->answer = answer;
        e->status = status;
        e->state = ANSWERED;
        answer = NULL;
        MHD_resume_connection(e->connection);
    }
    pthread_mutex_unlock(&server->lock);
    if (answer) MHD_destroy_response(answer);
    release(e);
}

void hone_exchange_abandon(hone_exchange *e) {
    e->answer = plain_answer(REFUSED_STOPPING); /* without memory the connection is closed */
    e->status = 503;
    e->state = ABANDONED;
    MHD_resume_connection(e->connection);
}

/* ---- what a handler calls ---- */

static void work_exchange(void *arg) {
    hone_exchange *e = arg;
    hone_server *server = e->server;
    pthread_mutex_lock(&server->lock);
    bool is_wanted = e->state == AT_WORK;
    pthread_mutex_unlock(&server->lock);
    hone_err err = HONE_OK;
    e->request.body = hone_buf_str(&e->memory);
    if (e->spool_path) {
        err = hone_map_open(e->spool_path, &e->map);
        e->request.body = e->map.bytes;
        e->request.body_path = e->spool_path;
    }
    if (is_wanted && !hone_failed(err)) {
        server->options.handle(server->options.ctx, e);
        return;
    }
    hone_exchange_answer(e, 500, plain_answer("the request's body could not be read\n"));
}

const hone_request *hone_exchange_request(const hone_exchange *exchange) {
    return &exchange->request;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): the daemon's type of callback */
static ssize_t read_nothing(void *arg, uint64_t at, char *out, size_t size) {
    (void)arg;
    (void)at;
    (void)out;
    (void)size;
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *make_body(const hone_response *r) {
    if (!r->has_file || (r->fd >= 0 && r->size_bytes == 0)) {
        if (r->has_file) (void)close(r->fd); /* read-only, nothing to lose */
        return MHD_create_response_from_buffer(
            r->has_file ? 0 : r->body.len, hone_without_const(r->body.ptr), MHD_RESPMEM_PERSISTENT);
    }
    if (r->fd < 0)
        return MHD_create_response_from_callback((uint64_t)r->size_bytes, 1, read_nothing, NULL,
                                                 NULL);
    struct MHD_Response *answer = MHD_create_response_from_fd_at_offset64(
        (uint64_t)r->size_bytes, r->fd, (uint64_t)r->offset);
    if (!answer) (void)close(r->fd); /* read-only, nothing to lose */
    return answer;
}

/* False for a value that no header may have; the peer sees 500 then, not half an answer. */
static bool add_headers(hone_arena *arena, struct MHD_Response *answer, const hone_response *r) {
    if (r->content_type &&
        MHD_add_response_header(answer, "Content-Type", r->content_type) != MHD_YES)
        return false;
    for (size_t i = 0; i < r->header_count; i++) {
        const char *name = hone_arena_strdup(arena, r->headers[i].name);
        const char *value = hone_arena_strdup(arena, r->headers[i].value);
        if (!name || !value) return false;
        if (MHD_add_response_header(answer, name, value) != MHD_YES) return false;
    }
    return true;
}

void hone_exchange_reply(hone_exchange *exchange, const hone_response *response) {
    int status = response->status;
    struct MHD_Response *answer = make_body(response);
    if (answer && !add_headers(exchange->arena, answer, response)) {
        MHD_destroy_response(answer);
        answer = plain_answer("the answer could not be made\n");
        status = 500;
    }
    hone_exchange_answer(exchange, status, answer);
}
