/* stream.c: an endless answer: server-sent events.
 *
 *     push --> [ pending ] --reader, an HTTP thread--> client
 *
 * The reader suspends the connection while there is nothing to send, and push resumes it, both
 * under the stream's lock: so no wake-up is lost. A client that has gone is noticed by the next
 * write, which is why whoever pushes sends something now and then. */
#include "http/server_impl.h"

#include <stdlib.h>

enum { BLOCK_BYTES = 16 * 1024 };

static void release(hone_stream *s) {
    pthread_mutex_lock(&s->lock);
    bool is_last = --s->owners == 0;
    pthread_mutex_unlock(&s->lock);
    if (!is_last) return;

    hone_server *server = s->server;
    pthread_mutex_lock(&server->lock);
    if (s->prev)
        s->prev->next = s->next;
    else
        server->streams = s->next;
    if (s->next) s->next->prev = s->prev;
    bool is_last_of_all = --server->owners == 0;
    pthread_mutex_unlock(&server->lock);
    hone_buf_done(&s->pending);
    pthread_mutex_destroy(&s->lock);
    free(s);
    if (is_last_of_all) hone_server_release(server);
}

static ssize_t read_pending(void *arg, uint64_t at, char *out, size_t size) {
    (void)at;
    hone_stream *s = arg;
    ssize_t taken = 0;
    pthread_mutex_lock(&s->lock);
    if (s->pending.len > 0) {
        size_t n = s->pending.len < size ? s->pending.len : size;
        memcpy(out, s->pending.ptr, n);
        memmove(s->pending.ptr, s->pending.ptr + n, s->pending.len - n);
        s->pending.len -= n;
        taken = (ssize_t)n;
    } else if (s->is_closed) {
        taken = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        s->is_suspended = true;
        MHD_suspend_connection(s->connection);
    }
    pthread_mutex_unlock(&s->lock);
    return taken;
}

/* The answer has ended: the client has gone, or all was sent after close. */
static void leave(void *arg) {
    hone_stream *s = arg;
    pthread_mutex_lock(&s->lock);
    s->has_left = true;
    pthread_mutex_unlock(&s->lock);
    release(s);
}

/* The lock is held. */
static void wake(hone_stream *s) {
    if (!s->is_suspended || s->has_left) return;
    s->is_suspended = false;
    MHD_resume_connection(s->connection);
}

static bool link_stream(hone_server *server, hone_stream *s) {
    pthread_mutex_lock(&server->lock);
    bool is_welcome = !server->is_stopping;
    if (is_welcome) {
        s->next = server->streams;
        if (s->next) s->next->prev = s;
        server->streams = s;
        server->owners++;
    }
    pthread_mutex_unlock(&server->lock);
    return is_welcome;
}

hone_err hone_exchange_stream(hone_exchange *exchange, hone_stream **out) {
    hone_stream *s = calloc(1, sizeof *s);
    if (!s) return hone_err_new(HONE_E_NOMEM, "no memory for a stream of events");
    s->server = exchange->server;
    s->connection = exchange->connection;
    s->owners = 1;
    pthread_mutex_init(&s->lock, NULL);
    hone_buf_init(&s->pending, HONE_STREAM_BEHIND_MAX);
    if (!link_stream(s->server, s)) {
        pthread_mutex_destroy(&s->lock);
        free(s);
        return hone_err_new(HONE_E_CLOSED, "the server is stopping");
    }
    struct MHD_Response *answer = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES,
                                                                    read_pending, s, leave);
    if (!answer) {
        release(s);
        return hone_err_new(HONE_E_NOMEM, "no memory for a stream of events");
    }
    s->owners = 2; /* nobody else has seen it yet */
    (void)MHD_add_response_header(answer, "Content-Type", "text/event-stream");
    (void)MHD_add_response_header(answer, "Cache-Control", "no-store");
    (void)MHD_add_response_header(answer, "X-Accel-Buffering", "no"); /* nginx: pass on at once */
    *out = s;
    hone_exchange_answer(exchange, 200, answer);
    return HONE_OK;
}

hone_err hone_stream_push(hone_stream *s, hone_str bytes) {
    hone_err err = HONE_OK;
    pthread_mutex_lock(&s->lock);
    if (s->has_left || s->is_closed) {
        err = hone_err_new(HONE_E_CLOSED, "the client has gone");
    } else {
        hone_buf_push(&s->pending, bytes);
        if (hone_failed(hone_buf_err(&s->pending)))
            err = hone_err_new(HONE_E_CLOSED, "the client is more than %d bytes behind",
                               HONE_STREAM_BEHIND_MAX);
        wake(s);
    }
    pthread_mutex_unlock(&s->lock);
    return err;
}

/* Also of a stream that somebody still pushes to: pushes say CLOSED from now on. */
void hone_stream_shut(hone_stream *s) {
    pthread_mutex_lock(&s->lock);
    s->is_closed = true;
    wake(s);
    pthread_mutex_unlock(&s->lock);
}

void hone_stream_close(hone_stream *s) {
    if (!s) return;
    hone_stream_shut(s);
    release(s);
}
