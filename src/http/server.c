/* server.c: listens, runs the threads, stops. See server.h; server_impl.h has the states.
 *
 *     HTTP threads (libmicrohttpd, epoll)          workers
 *     head, body -> suspend -> hone_jobq_push ---> pop -> handler -> reply
 *     answer     <- resume  <-------------------------------------------'
 *
 * The lock guards the lists and the state of every exchange; nothing is done under it that takes
 * longer than waking a thread. Order of locks: server->lock, then libmicrohttpd's own. */
#include "http/server_impl.h"

#include "base/id.h"

#include <arpa/inet.h>
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    DEFAULT_WORKERS = 16,
    DEFAULT_QUEUE = 1024,
    DEFAULT_CONNECTIONS = 1024,
    HTTP_THREADS_MAX = 4,
    BACKLOG = 1024,
    ARENA_LIMIT_BYTES = 4 << 20,
    /* Of one connection: the head, the tables made of it, and an answer's head. */
    CONNECTION_BYTES = 96 * 1024,
    PEM_LIMIT_BYTES = 1 << 20,
};

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory for a server"); }

/* ---- start ---- */

static hone_err copy_options(hone_server *server, const hone_server_options *options) {
    hone_server_options *own = &server->options;
    *own = *options;
    if (own->workers == 0) own->workers = DEFAULT_WORKERS;
    if (own->queue == 0) own->queue = DEFAULT_QUEUE;
    if (own->connections == 0) own->connections = DEFAULT_CONNECTIONS;
    own->address = hone_arena_strdup(server->arena, hone_str_of(options->address));
    own->spool_dir = hone_arena_strdup(server->arena, hone_str_of(options->spool_dir));
    const char **hosts = hone_arena_alloc(server->arena, own->host_count + 1, sizeof *hosts);
    if (!own->address || !own->spool_dir || !hosts) return no_memory();
    for (size_t i = 0; i < own->host_count; i++) {
        hosts[i] = hone_arena_strdup(server->arena, hone_str_of(options->hosts[i]));
        if (!hosts[i]) return no_memory();
    }
    own->hosts = hosts;
    return HONE_OK;
}

/* Bodies that a killed process left: files named by an id, with or without an ending. */
static void sweep_spool(const char *path) {
    DIR *folder = opendir(path);
    if (!folder) return; /* the first large body says so */
    for (const struct dirent *e; (e = readdir(folder));) {
        size_t hex = strspn(e->d_name, "0123456789abcdef");
        if (hex == HONE_ID_SIZE - 1 && (e->d_name[hex] == '\0' || e->d_name[hex] == '.'))
            (void)unlinkat(dirfd(folder), e->d_name, 0); /* the next start tries again */
    }
    (void)closedir(folder);
}

static hone_err bind_and_listen(hone_server *server, const struct addrinfo *info) {
    const hone_server_options *o = &server->options;
    int on = 1;
    server->listener = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                              IPPROTO_TCP);
    if (server->listener < 0) return hone_err_new(HONE_E_IO, "socket: %s", strerror(errno));
    (void)setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(server->listener, info->ai_addr, info->ai_addrlen) != 0 ||
        listen(server->listener, BACKLOG) != 0)
        return hone_err_new(errno == EADDRINUSE ? HONE_E_CONFLICT : HONE_E_IO,
                            "cannot listen on %s port %u: %s", o->address, o->port,
                            errno == EADDRINUSE ? "another program does" : strerror(errno));

    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } bound = {0};
    socklen_t size = sizeof bound;
    if (getsockname(server->listener, &bound.any, &size) != 0)
        return hone_err_new(HONE_E_IO, "getsockname: %s", strerror(errno));
    bool is_v6 = info->ai_family == AF_INET6;
    server->port = ntohs(is_v6 ? bound.v6.sin6_port : bound.v4.sin_port);
    return HONE_OK;
}

static hone_err open_listener(hone_server *server) {
    char port[8];
    (void)snprintf(port, sizeof port, "%u", server->options.port);
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE};
    struct addrinfo *info = NULL;
    if (getaddrinfo(server->options.address, port, &hints, &info) != 0)
        return hone_err_new(HONE_E_INVALID, "'%s' is no IP address", server->options.address);
    hone_err err = bind_and_listen(server, info);
    freeaddrinfo(info);
    return err;
}

static void *work(void *arg) {
    hone_server *server = arg;
    hone_job job;
    while (!hone_failed(hone_jobq_pop(server->queue, &job))) job.run(job.arg);
    return NULL;
}

static hone_err start_workers(hone_server *server) {
    HONE_TRY(hone_jobq_create(server->options.queue, &server->queue));
    server->workers = hone_arena_alloc(server->arena, server->options.workers,
                                       sizeof *server->workers);
    if (!server->workers) return no_memory();
    for (; server->worker_count < server->options.workers; server->worker_count++)
        if (pthread_create(&server->workers[server->worker_count], NULL, work, server) != 0)
            return hone_err_new(HONE_E_NOMEM, "cannot start a thread");
    return HONE_OK;
}

/* The path stays as it was sent; whoever knows the protocol decodes it. */
static size_t keep_escapes(void *server, struct MHD_Connection *connection, char *text) {
    (void)server;
    (void)connection;
    return strlen(text);
}

static unsigned http_threads(void) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 2 ? 2 : cores > HTTP_THREADS_MAX ? HTTP_THREADS_MAX : (unsigned)cores;
}

static hone_err start_daemon(hone_server *server) {
    const hone_server_options *o = &server->options;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
    struct MHD_OptionItem tls[] = {{MHD_OPTION_END, 0, NULL},
                                   {MHD_OPTION_END, 0, NULL},
                                   {MHD_OPTION_END, 0, NULL},
                                   {MHD_OPTION_END, 0, NULL}};
    if (o->tls_cert) {
        hone_str cert, key; /* a NUL stands behind both */
        HONE_TRY(hone_file_load(server->arena, o->tls_cert, PEM_LIMIT_BYTES, &cert));
        HONE_TRY(hone_file_load(server->arena, o->tls_key, PEM_LIMIT_BYTES, &key));
        flags |= MHD_USE_TLS;
        tls[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0,
                                         hone_without_const(cert.ptr)};
        tls[1] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, hone_without_const(key.ptr)};
        tls[2] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0,
                                         hone_without_const("NORMAL:-VERS-TLS1.0:-VERS-TLS1.1")};
    }
    server->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, hone_exchange_step, server, MHD_OPTION_LISTEN_SOCKET,
        server->listener, MHD_OPTION_THREAD_POOL_SIZE, http_threads(), MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)o->connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HONE_IDLE_TIMEOUT_S, MHD_OPTION_STRICT_FOR_CLIENT,
        1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, server,
        MHD_OPTION_URI_LOG_CALLBACK, hone_exchange_begin, server, MHD_OPTION_NOTIFY_COMPLETED,
        hone_exchange_end, server, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    if (server->daemon) return HONE_OK;
    if (o->tls_cert)
        return hone_err_new(HONE_E_INVALID, "cannot use '%s' with the key '%s' for TLS",
                            o->tls_cert, o->tls_key);
    return hone_err_new(HONE_E_IO, "cannot start the HTTP threads");
}

hone_err hone_server_start(const hone_server_options *options, hone_server **out) {
    assert(options->address && options->spool_dir);
    assert(options->handle);
    assert(!options->tls_cert == !options->tls_key);
    hone_server *server = calloc(1, sizeof *server);
    if (!server) return no_memory();
    server->listener = -1;
    server->owners = 1;
    pthread_mutex_init(&server->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&server->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);

    hone_err err = hone_arena_create(ARENA_LIMIT_BYTES, &server->arena);
    if (!hone_failed(err)) err = copy_options(server, options);
    if (!hone_failed(err)) err = open_listener(server);
    if (!hone_failed(err)) err = start_workers(server);
    if (!hone_failed(err)) sweep_spool(server->options.spool_dir);
    if (!hone_failed(err)) err = start_daemon(server);
    if (hone_failed(err)) {
        hone_server_stop(server, 0);
        return err;
    }
    *out = server;
    return HONE_OK;
}

uint16_t hone_server_port(const hone_server *server) { return server->port; }

/* ---- stop ---- */

/* Wait, under the lock, until nothing is at work or the time has come. */
static void wait_idle(hone_server *server, int64_t grace_ms) {
    struct timespec end;
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += grace_ms / 1000;
    end.tv_nsec += grace_ms % 1000 * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_nsec -= 1000000000;
        end.tv_sec++;
    }
    while (server->at_work > 0)
        if (pthread_cond_timedwait(&server->changed, &server->lock, &end) == ETIMEDOUT) return;
}

static void stop_exchanges(hone_server *server, int64_t grace_ms) {
    pthread_mutex_lock(&server->lock);
    server->is_stopping = true;
    for (hone_stream *s = server->streams; s; s = s->next) hone_stream_shut(s);
    wait_idle(server, grace_ms);
    for (hone_exchange *e = server->exchanges; e; e = e->next)
        if (e->state == AT_WORK) hone_exchange_abandon(e);
    pthread_mutex_unlock(&server->lock);
}

/* The threads first, so that nobody is left who could touch what is freed after them. */
void hone_server_stop(hone_server *server, int64_t grace_ms) {
    if (!server) return;
    if (server->daemon) {
        (void)MHD_quiesce_daemon(server->daemon); /* gives the listener back */
        (void)close(server->listener);
        server->listener = -1;
        stop_exchanges(server, grace_ms);
        MHD_stop_daemon(server->daemon);
    }
    if (server->listener >= 0) (void)close(server->listener);
    if (server->queue) hone_jobq_close(server->queue);
    for (size_t i = 0; i < server->worker_count; i++) (void)pthread_join(server->workers[i], NULL);
    hone_jobq_destroy(server->queue);
    server->queue = NULL;

    pthread_mutex_lock(&server->lock);
    bool is_last = --server->owners == 0;
    pthread_mutex_unlock(&server->lock);
    if (is_last) hone_server_release(server);
}

/* Free what the last owner leaves: an answer that came after the grace may have been that one. */
void hone_server_release(hone_server *server) {
    hone_exchange_free_spares(server);
    hone_arena_destroy(server->arena);
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    free(server);
}
