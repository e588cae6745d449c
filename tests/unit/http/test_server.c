/* test_server.c: the HTTP server over real sockets on loopback.
 *
 * The client is written out byte by byte, because most of what is held here is what no client
 * library would send. The handler is one function that does what the path says. */
#include "check.h"

#include "base/buf.h"
#include "http/server.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/socket.h>

enum { LIMIT_BYTES = 3 << 20, REPLY_MAX = 8 << 20, WAIT_MS = 20000 };

/* ---- the server under test ---- */

typedef struct world {
    hone_server *server;
    char dir[64];
    sem_t entered, go;    /* of /wait */
    hone_exchange *later; /* of /later, guarded by entered */
    hone_stream *stream;  /* of /stream, guarded by entered */
} world;

static void reply(hone_exchange *exchange, int status, hone_str body) {
    hone_response response = {.status = status, .content_type = "text/plain", .body = body};
    hone_exchange_reply(exchange, &response);
}

static hone_str format(hone_arena *arena, const char *fmt, ...) HONE_PRINTF(2, 3);
static hone_str format(hone_arena *arena, const char *fmt, ...) {
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return hone_str_of(hone_arena_strdup(arena, hone_str_of(text)));
}

static void handle_echo(const hone_request *r, hone_exchange *exchange) {
    hone_str name = {"-", 1};
    (void)hone_request_query(r, "name", &name);
    reply(exchange, 200,
          format(r->arena, "%.*s %.*s?%.*s name=%.*s x=%.*s body=%zu sum=%u file=%d from=%s",
                 HONE_ARG(r->method), HONE_ARG(r->path), HONE_ARG(r->query), HONE_ARG(name),
                 HONE_ARG(hone_request_header(r, "x-test")), r->body.len,
                 r->body.len > 0 ? (unsigned char)r->body.ptr[r->body.len - 1] : 0,
                 r->body_path ? access(r->body_path, R_OK) == 0 : 0, r->remote));
}

static void handle_file(world *w, const hone_request *r, hone_exchange *exchange) {
    char path[128];
    (void)snprintf(path, sizeof path, "%s/file", w->dir);
    bool is_head = hone_str_equal(r->method, HONE_S("HEAD"));
    hone_header header = {HONE_S("X-Answer"), HONE_S("yes")};
    hone_response response = {.status = 206,
                              .headers = &header,
                              .header_count = 1,
                              .has_file = true,
                              .fd = -1,
                              .offset = 2,
                              .size_bytes = 5};
    if (!is_head) response.fd = open(path, O_RDONLY | O_CLOEXEC);
    hone_exchange_reply(exchange, &response);
}

static void handle(void *ctx, hone_exchange *exchange) {
    world *w = ctx;
    const hone_request *r = hone_exchange_request(exchange);
    if (hone_str_equal(r->path, HONE_S("/file"))) {
        handle_file(w, r, exchange);
    } else if (hone_str_equal(r->path, HONE_S("/wait"))) {
        sem_post(&w->entered);
        sem_wait(&w->go);
        reply(exchange, 200, HONE_S("waited"));
    } else if (hone_str_equal(r->path, HONE_S("/later"))) {
        w->later = exchange;
        sem_post(&w->entered);
    } else if (hone_str_equal(r->path, HONE_S("/stream"))) {
        CHECK_OK(hone_exchange_stream(exchange, &w->stream));
        sem_post(&w->entered);
    } else if (hone_str_equal(r->path, HONE_S("/bad-header"))) {
        hone_header header = {HONE_S("X-Answer"), HONE_S("a\r\nb")};
        hone_response response = {.status = 200, .headers = &header, .header_count = 1};
        hone_exchange_reply(exchange, &response);
    } else {
        handle_echo(r, exchange);
    }
}

static hone_body_rule rule(void *ctx, const hone_request *head) {
    (void)ctx;
    return (hone_body_rule){hone_str_equal(head->path, HONE_S("/small")) ? 10 : LIMIT_BYTES};
}

static hone_server_options options_of(world *w) {
    static const char *const hosts[] = {"hone.example"};
    return (hone_server_options){.address = "127.0.0.1",
                                 .hosts = hosts,
                                 .host_count = 1,
                                 .spool_dir = w->dir,
                                 .workers = 2,
                                 .queue = 8,
                                 .ctx = w,
                                 .handle = handle,
                                 .rule = rule};
}

static int set_up(void **state) {
    world *w = calloc(1, sizeof *w);
    (void)snprintf(w->dir, sizeof w->dir, "%s", check_tmpdir());
    sem_init(&w->entered, 0, 0);
    sem_init(&w->go, 0, 0);
    hone_server_options options = options_of(w);
    CHECK_OK(hone_server_start(&options, &w->server));
    *state = w;
    return 0;
}

static int tear_down(void **state) {
    world *w = *state;
    hone_server_stop(w->server, 5000);
    check_rmtree(w->dir);
    sem_destroy(&w->entered);
    sem_destroy(&w->go);
    free(w);
    return 0;
}

static void restart(world *w, size_t workers, size_t queue) {
    hone_server_stop(w->server, 5000);
    hone_server_options options = options_of(w);
    options.workers = workers;
    options.queue = queue;
    CHECK_OK(hone_server_start(&options, &w->server));
}

/* ---- the client ---- */

static char got[REPLY_MAX + 1]; /* what the server said, terminated */

static int dial(const world *w) {
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(hone_server_port(w->server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) fail_msg("cannot connect");
    return fd;
}

static void send_bytes(int fd, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);
        if (n <= 0) return; /* the server has closed: what it said is still to be read */
        bytes += n;
        size -= (size_t)n;
    }
}

static void say(int fd, const char *text) { send_bytes(fd, text, strlen(text)); }

/* Read until want has come, or to the end of the connection with NULL. */
static void hear(int fd, const char *want) {
    size_t len = 0;
    got[0] = '\0';
    while (len < REPLY_MAX && (!want || !strstr(got, want))) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, WAIT_MS) != 1) fail_msg("nothing more after '%.300s'", got);
        ssize_t n = recv(fd, got + len, REPLY_MAX - len, 0);
        if (n <= 0) break;
        len += (size_t)n;
        got[len] = '\0';
    }
    if (want && !strstr(got, want)) fail_msg("expected '%s', heard '%.300s'", want, got);
}

/* One request on a connection of its own; the answer must have status and text. */
static void ask(const world *w, const char *request, const char *status, const char *text) {
    int fd = dial(w);
    say(fd, request);
    hear(fd, NULL);
    close(fd);
    char line[64];
    (void)snprintf(line, sizeof line, "HTTP/1.1 %s ", status);
    if (strncmp(got, line, strlen(line)) != 0 || !strstr(got, text))
        fail_msg("'%.60s': expected %s with '%s', heard '%.300s'", request, status, text, got);
}

#define HOST "Host: localhost\r\n"

/* ---- requests ---- */

static void test_request__arrives_whole(void **state) {
    ask(*state,
        "GET /a%20b/c?name=x%2By+z&n HTTP/1.1\r\n" HOST "X-TEST:  v \r\nConnection: close\r\n\r\n",
        "200", "GET /a%20b/c?name=x%2By+z&n name=x+y z x=v body=0 sum=0 file=0 from=127.0.0.1");
    ask(*state, "POST /p HTTP/1.1\r\n" HOST "Content-Length: 3\r\nConnection: close\r\n\r\nabc",
        "200", "POST /p? name=- x= body=3 sum=99 file=0");
    ask(*state,
        "PUT /p HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        "2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n",
        "200", "PUT /p? name=- x= body=5 sum=101 file=0");
}

static void test_request__follows_another_on_one_connection(void **state) {
    int fd = dial(*state);
    for (int i = 0; i < 3; i++) {
        say(fd, "POST /again HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx");
        hear(fd, "body=1 sum=120");
    }
    say(fd, "GET /one HTTP/1.1\r\n" HOST "\r\nGET /two HTTP/1.1\r\n" HOST "\r\n"); /* pipelined */
    hear(fd, "/two?");
    assert_non_null(strstr(got, "/one?"));
    close(fd);
}

static bool has_files(const char *path) {
    bool has = false;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (const struct dirent *e = readdir(dir); e; e = readdir(dir)) has |= e->d_name[0] != '.';
    closedir(dir);
    return has;
}

static void test_body__above_a_mebibyte_is_a_file(void **state) {
    world *w = *state;
    enum { SIZE = (2 << 20) + 17, REQUESTS_MAX = 10000 };
    char *body = malloc(SIZE);
    memset(body, 'x', SIZE);
    body[SIZE - 1] = 'z';
    int fd = dial(w);
    char head[128];
    (void)snprintf(head, sizeof head, "PUT /big HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n",
                   SIZE);
    say(fd, head);
    send_bytes(fd, body, SIZE);
    hear(fd, "from=");
    free(body);
    assert_non_null(strstr(got, "body=2097169 sum=122 file=1"));
    /* its worker may still hold it when it has been answered, but not for long */
    for (int i = 0; i < REQUESTS_MAX && has_files(w->dir); i++) {
        say(fd, "GET /after HTTP/1.1\r\n" HOST "\r\n");
        hear(fd, "/after");
    }
    assert_false(has_files(w->dir));
    close(fd);
}

static void test_body__is_asked_for_when_the_client_waits(void **state) {
    int fd = dial(*state);
    say(fd, "PUT /p HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    hear(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    say(fd, "ok");
    hear(fd, "body=2 sum=107");
    close(fd);
    fd = dial(*state); /* and not when it would be refused */
    say(fd, "PUT /small HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 11\r\n\r\n");
    hear(fd, "too large");
    assert_int_equal(strncmp(got, "HTTP/1.1 413 ", 13), 0);
    close(fd);
}

static void test_body__above_the_limit_is_refused(void **state) {
    ask(*state,
        "POST /small HTTP/1.1\r\n" HOST "Content-Length: 10\r\nConnection: close\r\n\r\n0123456789",
        "200", "body=10");
    ask(*state, "POST /small HTTP/1.1\r\n" HOST "Content-Length: 11\r\n\r\n0123456789a", "413",
        "the request's body is too large");
    ask(*state, "POST /small HTTP/1.1\r\n" HOST "Content-Length: 99999999999\r\n\r\nabc", "413",
        "");
    ask(*state,
        "POST /small HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
        "8\r\n01234567\r\n8\r\n01234567\r\n0\r\n\r\n",
        "413", "the request's body is too large");
    /* A client that writes all before it reads hears why as well. */
    enum { SIZE = 2 << 20 };
    char *body = calloc(1, SIZE);
    int fd = dial(*state);
    say(fd, "POST /small HTTP/1.1\r\n" HOST "Content-Length: 2097152\r\n\r\n");
    send_bytes(fd, body, SIZE);
    hear(fd, "too large");
    close(fd);
    free(body);
}

static void test_head__that_breaks_the_rules_is_refused(void **state) {
    static const struct {
        const char *request, *status;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\n" HOST HOST "\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "421"},
        {"GET / HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", "421"},
        {"GET / HTTP/1.1\r\nHost: \r\n\r\n", "421"},
        {"GET / HTTP/1.1\r\nHost: [::2]:80\r\n\r\n", "421"},
        {"GET / HTTP/1.1\r\nHost: [\r\n\r\n", "421"},
        {"GET http://localhost/ HTTP/1.1\r\n" HOST "\r\n", "400"},
        {"GET * HTTP/1.1\r\n" HOST "\r\n", "400"},
        {"CONNECT localhost:80 HTTP/1.1\r\n" HOST "\r\n", "405"},
        {"TRACE / HTTP/1.1\r\n" HOST "\r\n", "405"},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
         "0\r\n\r\n",
         "400"},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "400"},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "400"},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: -3\r\n\r\n", "400"},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: x\r\n\r\n", "400"},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n", "501"},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "400"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ask(*state, cases[i].request, cases[i].status, "");
    ask(*state, "GET /still HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", "200", "/still");
}

static void test_head__has_limits(void **state) {
    hone_buf request;
    hone_buf_init(&request, 1 << 20);
    hone_buf_printf(&request, "GET /%09000d HTTP/1.1\r\n" HOST "\r\n", 0);
    hone_buf_push_char(&request, '\0');
    ask(*state, request.ptr, "414", "");
    request.len = 0;
    hone_buf_printf(&request, "GET / HTTP/1.1\r\n" HOST);
    for (int i = 0; i < 101; i++) hone_buf_printf(&request, "X-%d: 1\r\n", i);
    hone_buf_printf(&request, "\r\n");
    hone_buf_push_char(&request, '\0');
    ask(*state, request.ptr, "431", "");
    request.len = 0;
    hone_buf_printf(&request, "GET / HTTP/1.1\r\n" HOST "X: %040000d\r\n\r\n", 0);
    hone_buf_push_char(&request, '\0');
    ask(*state, request.ptr, "431", "");
    CHECK_OK(hone_buf_err(&request));
    hone_buf_done(&request);
}

static void test_host__may_be_any_name_of_the_server(void **state) {
    static const char *const names[] = {"localhost", "LOCALHOST:1",  "127.0.0.1:8080",
                                        "[::1]:80",  "hone.example", "Hone.Example:443"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char request[128];
        (void)snprintf(request, sizeof request,
                       "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", names[i]);
        ask(*state, request, "200", "GET /");
    }
}

/* ---- answers ---- */

static void test_answer__may_be_a_part_of_a_file(void **state) {
    world *w = *state;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/file", w->dir);
    FILE *f = fopen(path, "w");
    fputs("0123456789", f);
    fclose(f);
    ask(w, "GET /file HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", "206", "\r\n\r\n23456");
    assert_non_null(strstr(got, "X-Answer: yes"));
    ask(w, "HEAD /file HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", "206", "Content-Length: 5");
    assert_string_equal(strstr(got, "\r\n\r\n"), "\r\n\r\n");
}

static void test_answer__with_a_broken_header_is_no_answer(void **state) {
    ask(*state, "GET /bad-header HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", "500",
        "could not be made");
}

static void test_answer__may_come_from_another_thread(void **state) {
    world *w = *state;
    int fd = dial(w);
    say(fd, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    sem_wait(&w->entered);
    ask(w, "GET /other HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", "200", "/other");
    reply(w->later, 200, HONE_S("at last"));
    hear(fd, "at last");
    close(fd);
}

static void test_client__that_goes_while_its_request_is_at_work_harms_nobody(void **state) {
    world *w = *state;
    int fd = dial(w);
    say(fd, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    sem_wait(&w->entered);
    close(fd);
    reply(w->later, 200, HONE_S("to nobody"));
    ask(w, "GET /other HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", "200", "/other");
}

static void test_queue__that_is_full_is_said_at_once(void **state) {
    world *w = *state;
    restart(w, 1, 1);
    int first = dial(w), second = dial(w);
    say(first, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    sem_wait(&w->entered); /* the worker is busy */
    say(second, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    bool was_refused = false; /* the second one may still be on its way to the queue */
    for (int i = 0; i < 1000 && !was_refused; i++) {
        int fd = dial(w);
        say(fd, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 50) == 1) {
            hear(fd, "\r\n\r\n");
            was_refused = strstr(got, "503") && strstr(got, "Retry-After: 1");
        }
        close(fd);
    }
    assert_true(was_refused);
    for (int i = 0; i < 1100; i++) sem_post(&w->go);
    hear(first, "waited");
    close(first);
    close(second);
}

/* ---- streams ---- */

static int open_stream(world *w) {
    int fd = dial(w);
    say(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    sem_wait(&w->entered);
    return fd;
}

static void test_stream__delivers_what_is_pushed(void **state) {
    world *w = *state;
    int fd = open_stream(w);
    for (int i = 0; i < 20; i++) {
        char event[32];
        (void)snprintf(event, sizeof event, "data: %d\n\n", i);
        CHECK_OK(hone_stream_push(w->stream, hone_str_of(event)));
        hear(fd, event);
        if (i == 0) assert_non_null(strstr(got, "text/event-stream"));
    }
    hone_stream_close(w->stream);
    hear(fd, "0\r\n\r\n"); /* the last chunk */
    close(fd);
}

static void test_stream__says_when_the_client_has_gone(void **state) {
    world *w = *state;
    close(open_stream(w));
    hone_err err = HONE_OK;
    for (int64_t i = 0; i < 1000000 && !hone_failed(err); i++) {
        err = hone_stream_push(w->stream, HONE_S(":\n\n"));
        if (i % 100 == 0) sched_yield();
    }
    assert_int_equal(err.code, HONE_E_CLOSED);
    hone_stream_close(w->stream);
}

static void test_stream__gives_up_on_a_client_that_does_not_read(void **state) {
    world *w = *state;
    int fd = open_stream(w);
    static char block[64 * 1024];
    memset(block, 'x', sizeof block);
    hone_err err = HONE_OK;
    for (int i = 0; i < 100000 && !hone_failed(err); i++)
        err = hone_stream_push(w->stream, (hone_str){block, sizeof block});
    assert_int_equal(err.code, HONE_E_CLOSED);
    assert_non_null(strstr(err.msg, "behind"));
    hone_stream_close(w->stream);
    close(fd);
}

/* ---- start and stop ---- */

static void test_start__names_an_address_that_is_taken(void **state) {
    world *w = *state;
    hone_server_options options = options_of(w);
    options.port = hone_server_port(w->server);
    hone_server *second = NULL;
    CHECK_FAILS(hone_server_start(&options, &second), HONE_E_CONFLICT, "another program");
    options.address = "nowhere";
    CHECK_FAILS(hone_server_start(&options, &second), HONE_E_INVALID, "'nowhere'");
    options.address = "127.0.0.1";
    options.port = 0;
    options.tls_cert = options.tls_key = "/nonexistent.pem";
    CHECK_FAILS(hone_server_start(&options, &second), HONE_E_NOT_FOUND, "/nonexistent.pem");
}

static void *release_soon(void *arg) {
    world *w = arg;
    sem_wait(&w->entered);
    sem_post(&w->go);
    return NULL;
}

static void test_stop__waits_for_what_is_at_work(void **state) {
    world *w = *state;
    int fd = dial(w);
    say(fd, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
    sem_wait(&w->entered);
    sem_post(&w->entered);
    pthread_t thread;
    pthread_create(&thread, NULL, release_soon, w);
    hone_server_stop(w->server, WAIT_MS);
    w->server = NULL;
    pthread_join(thread, NULL);
    hear(fd, NULL);
    assert_non_null(strstr(got, "waited"));
    close(fd);
}

static void test_stop__answers_what_nobody_answers(void **state) {
    world *w = *state;
    int fd = dial(w);
    say(fd, "GET /later HTTP/1.1\r\n" HOST "\r\n");
    sem_wait(&w->entered);
    int stream = open_stream(w);
    hone_server_stop(w->server, 1);
    w->server = NULL;
    close(stream);
    close(fd);
    CHECK_FAILS(hone_stream_push(w->stream, HONE_S("x")), HONE_E_CLOSED, "gone");
    hone_stream_close(w->stream);
    reply(w->later, 200, HONE_S("too late")); /* the last one frees the server */
}

static void test_stop__of_an_idle_server_with_open_connections(void **state) {
    world *w = *state;
    int idle = dial(w), half = dial(w);
    say(half, "POST /x HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\nabc");
    hone_server_stop(w->server, WAIT_MS);
    w->server = NULL;
    close(idle);
    close(half);
    hone_server_stop(NULL, 0);
}

int main(void) {
    (void)signal(SIGPIPE, SIG_IGN);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_request__arrives_whole),
        TEST(test_request__follows_another_on_one_connection),
        TEST(test_body__above_a_mebibyte_is_a_file),
        TEST(test_body__is_asked_for_when_the_client_waits),
        TEST(test_body__above_the_limit_is_refused),
        TEST(test_head__that_breaks_the_rules_is_refused),
        TEST(test_head__has_limits),
        TEST(test_host__may_be_any_name_of_the_server),
        TEST(test_answer__may_be_a_part_of_a_file),
        TEST(test_answer__with_a_broken_header_is_no_answer),
        TEST(test_answer__may_come_from_another_thread),
        TEST(test_client__that_goes_while_its_request_is_at_work_harms_nobody),
        TEST(test_queue__that_is_full_is_said_at_once),
        TEST(test_stream__delivers_what_is_pushed),
        TEST(test_stream__says_when_the_client_has_gone),
        TEST(test_stream__gives_up_on_a_client_that_does_not_read),
        TEST(test_start__names_an_address_that_is_taken),
        TEST(test_stop__waits_for_what_is_at_work),
        TEST(test_stop__answers_what_nobody_answers),
        TEST(test_stop__of_an_idle_server_with_open_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
