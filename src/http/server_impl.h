/* server_impl.h: what the files of the server know of one another.
 *
 *     server.c    listen, threads, the queue of workers, stop
 *     exchange.c  one request from its first byte to the end of its answer
 *     stream.c    the endless answers
 *     request.c   reading a head: headers, query, percent-encoding
 *
 * States of an exchange; server->lock guards the change from one to the next:
 *
 *     RECEIVING --body whole: suspend, push--> AT_WORK --reply: resume--> ANSWERED --> freed
 *         |                                       `--stop(), grace over--> ABANDONED --> freed
 *         `--refused, client gone--> freed
 *
 *     RECEIVING  an HTTP thread has it
 *     AT_WORK    its handler has it; the connection is suspended, so no HTTP thread looks at it
 *     ANSWERED   an HTTP thread has it again; `answer` is what it sends
 *     ABANDONED  both have it: the HTTP thread sends 503, the handler may still read the request
 */
#ifndef HONE_HTTP_SERVER_IMPL_H
#define HONE_HTTP_SERVER_IMPL_H

#include "base/buf.h"
#include "base/file.h"
#include "base/jobq.h"
#include "http/server.h"

#include <microhttpd.h>
#include <pthread.h>

enum {
    HONE_TARGET_MAX = 8 * 1024,
    HONE_HEADERS_MAX = 32 * 1024,
    HONE_HEADER_COUNT_MAX = 100,
    HONE_BODY_IN_MEMORY_MAX = 1 << 20,
    HONE_IDLE_TIMEOUT_S = 120, /* between two requests on a connection */
    HONE_STREAM_BEHIND_MAX = 256 * 1024,
    /* Exchanges that have ended wait for the next requests with their memory, if that is little. */
    HONE_SPARES_MAX = 64,
    HONE_SPARE_ARENA_MAX = 64 * 1024,
    HONE_SPARE_BODY_MAX = 4 * 1024,
    /* A body that is refused is read and dropped up to here before the refusal is sent: a client
     * that is still writing when the connection is closed may never see the answer. */
    HONE_DRAIN_MAX = 16 << 20,
};

typedef enum exchange_state { RECEIVING, AT_WORK, ANSWERED, ABANDONED } exchange_state;

struct hone_exchange {
    hone_server *server;
    struct MHD_Connection *connection;
    hone_arena *arena;
    hone_request request;
    hone_str target; /* in the arena; ptr NULL: it was too long */
    char remote[64];

    /* The body, while it comes. */
    bool has_head;
    int refusal; /* status of an answer that is already decided; 0 = none */
    const char *refusal_text;
    int64_t limit_bytes, body_bytes;
    hone_buf memory;
    int spool_fd; /* -1 = none */
    char *spool_path;
    hone_map map;

    /* Guarded by server->lock: */
    exchange_state state;
    int owners;                  /* 1 for the HTTP side, 1 for the handler */
    struct MHD_Response *answer; /* in ANSWERED */
    int status;
    hone_exchange *next, *prev; /* of server->exchanges */
};

struct hone_stream {
    hone_server *server;
    struct MHD_Connection *connection;
    pthread_mutex_t lock;
    /* Guarded by lock: */
    hone_buf pending;
    bool is_suspended; /* the connection waits for bytes */
    bool is_closed;    /* no more bytes will come */
    bool has_left;     /* the client has gone */
    int owners;        /* 1 for the HTTP side, 1 for whoever pushes */
    /* Guarded by server->lock: */
    hone_stream *next, *prev; /* of server->streams */
};

struct hone_server {
    hone_server_options options;
    hone_arena *arena; /* copies of what the options point to */
    struct MHD_Daemon *daemon;
    int listener; /* -1 once it is closed */
    uint16_t port;
    hone_jobq *queue;
    pthread_t *workers;
    size_t worker_count;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* an exchange was freed */
    /* Guarded by lock: */
    hone_exchange *exchanges;
    hone_exchange *spares; /* a list by next */
    size_t spare_count;
    hone_stream *streams;
    size_t at_work; /* exchanges that a handler or its answer is busy with */
    bool is_stopping;
    int owners; /* 1, and 1 for each exchange and stream */
};

/* The daemon takes bytes that it only reads as void *. */
static inline void *hone_without_const(const void *bytes) {
    void *same = NULL;
    memcpy(&same, &bytes, sizeof same);
    return same;
}

/* --- server.c --- */
void hone_server_release(hone_server *server);

/* --- exchange.c: the callbacks of the daemon --- */
void *hone_exchange_begin(void *server, const char *target, struct MHD_Connection *connection);
enum MHD_Result hone_exchange_step(void *server, struct MHD_Connection *connection,
                                   const char *path, const char *method, const char *version,
                                   const char *bytes, size_t *size, void **slot);
void hone_exchange_end(void *server, struct MHD_Connection *connection, void **slot,
                       enum MHD_RequestTerminationCode why);
/* Free the spares: nobody else has the server any more. */
void hone_exchange_free_spares(hone_server *server);
/* Answer 503 instead of the handler. server->lock is held. */
void hone_exchange_abandon(hone_exchange *exchange);
/* Hand the connection an answer. Takes it over; also when the exchange was abandoned. */
void hone_exchange_answer(hone_exchange *exchange, int status, struct MHD_Response *answer);

/* --- stream.c --- */
/* End it, from stop(). */
void hone_stream_shut(hone_stream *stream);

/* --- request.c --- */
/* Does the Host header's value name this server? local: the address the client reached. */
bool hone_host_is_ours(const hone_server_options *options, hone_str host, const char *local);

#endif
