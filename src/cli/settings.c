/* settings.c: the settings of `hone serve`, read and checked. */
#include "cli/settings.h"

#include "base/env.h"
#include "base/file.h"
#include "base/json.h"
#include "serve/batcher.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FILE_BYTES_MAX = 1 << 20,
    PORT_DEFAULT = 8080,
    HOSTS_MAX = 64,
    JOBS_MAX = 64,
    QUEUE_MS_MAX = 600000,
    DELAY_US_MAX = 1000000,
};

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory for settings"); }

bool hone_settings_is_loopback(const char *address) {
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

/* "ADDR:PORT", "[ADDR6]:PORT", or either half alone, into the settings. */
static hone_err parse_listen(hone_arena *arena, hone_str text, hone_settings *s) {
    const char *colon = text.len ? memrchr(text.ptr, ':', text.len) : NULL;
    bool bracketed = text.len > 0 && text.ptr[0] == '[';
    if (bracketed && text.ptr[text.len - 1] == ']') colon = NULL;
    hone_str address = {text.ptr, colon ? (size_t)(colon - text.ptr) : text.len};
    if (bracketed && address.len >= 2) address = (hone_str){address.ptr + 1, address.len - 2};
    if (colon) {
        char *end = NULL;
        unsigned long port = strtoul(colon + 1, &end, 10);
        bool is_number = colon[1] >= '0' && colon[1] <= '9' && end == text.ptr + text.len;
        if (!is_number || port > UINT16_MAX)
            return hone_err_new(HONE_E_INVALID, "listen '%.*s': no port from 0 to 65535",
                                HONE_ARG(text));
        s->port = (uint16_t)port;
    }
    if (address.len > 0) s->address = hone_arena_strdup(arena, address);
    if (!s->address) return no_memory();
    unsigned char binary[16];
    if (inet_pton(AF_INET, s->address, binary) != 1 && inet_pton(AF_INET6, s->address, binary) != 1)
        return hone_err_new(HONE_E_INVALID, "listen '%.*s': '%s' is no IP address", HONE_ARG(text),
                            s->address);
    return HONE_OK;
}

/* --- the file ----------------------------------------------------------------------- */

/* object[key] as a terminated string in the arena; absent leaves *out as it is. */
static hone_err take_str(hone_arena *arena, const json_t *object, const char *where,
                         const char *key, const char **out) {
    const json_t *value = json_object_get(object, key);
    if (!value) return HONE_OK;
    hone_str s = hone_json_str(value);
    if (!json_is_string(value) || s.len == 0 || memchr(s.ptr, '\0', s.len))
        return hone_err_new(HONE_E_INVALID, "'%s': %s is no text", where, key);
    *out = hone_arena_strdup(arena, s);
    return *out ? HONE_OK : no_memory();
}

static hone_err refuse_unknown(const json_t *object, const char *where, const char *const *known) {
    const char *key;
    json_t *value;
    json_object_foreach(hone_json_loose(object), key, value) {
        size_t i = 0;
        while (known[i] && strcmp(known[i], key) != 0) i++;
        if (!known[i]) return hone_err_new(HONE_E_INVALID, "'%s': unknown key '%s'", where, key);
    }
    return HONE_OK;
}

static hone_err find_object(const json_t *in, const char *where, const char *key,
                            const char *const *known, const json_t **out) {
    *out = json_object_get(in, key);
    if (!*out) return HONE_OK;
    if (!json_is_object(*out))
        return hone_err_new(HONE_E_INVALID, "'%s': %s is no object", where, key);
    return refuse_unknown(*out, where, known);
}

/* The password lies in a file of its own, so that the settings may be shown around. */
static hone_err take_password(hone_arena *arena, const char *path, const char **out) {
    enum { PASSWORD_BYTES_MAX = 4096 };
    hone_str bytes;
    HONE_TRY(hone_file_load(arena, path, PASSWORD_BYTES_MAX, &bytes));
    while (bytes.len > 0 && (bytes.ptr[bytes.len - 1] == '\n' || bytes.ptr[bytes.len - 1] == '\r'))
        bytes.len--;
    *out = hone_arena_strdup(arena, bytes);
    return *out ? HONE_OK : no_memory();
}

static hone_err take_mail(hone_arena *arena, const json_t *in, const char *where,
                          hone_mail_server *out) {
    static const char *const known[] = {"url", "from", "user", "password_file", NULL};
    const json_t *smtp = NULL;
    const char *password_file = NULL;
    HONE_TRY(find_object(in, where, "smtp", known, &smtp));
    if (!smtp) return HONE_OK;
    HONE_TRY(take_str(arena, smtp, where, "url", &out->url));
    HONE_TRY(take_str(arena, smtp, where, "from", &out->from));
    HONE_TRY(take_str(arena, smtp, where, "user", &out->user));
    HONE_TRY(take_str(arena, smtp, where, "password_file", &password_file));
    if (!out->url || !out->from)
        return hone_err_new(HONE_E_INVALID, "'%s': smtp needs url and from", where);
    return password_file ? take_password(arena, password_file, &out->password) : HONE_OK;
}

static hone_err take_tls(hone_arena *arena, const json_t *in, const char *where,
                         hone_settings *out) {
    static const char *const known[] = {"cert", "key", NULL};
    const json_t *tls = NULL;
    HONE_TRY(find_object(in, where, "tls", known, &tls));
    if (!tls) return HONE_OK;
    HONE_TRY(take_str(arena, tls, where, "cert", &out->tls_cert));
    HONE_TRY(take_str(arena, tls, where, "key", &out->tls_key));
    if (!out->tls_cert || !out->tls_key)
        return hone_err_new(HONE_E_INVALID, "'%s': tls needs cert and key", where);
    return HONE_OK;
}

static hone_err take_hosts(hone_arena *arena, const json_t *in, const char *where,
                           hone_settings *out) {
    const json_t *hosts = json_object_get(in, "hosts");
    if (!hosts) return HONE_OK;
    size_t count = json_array_size(hosts);
    if (!json_is_array(hosts) || count > HOSTS_MAX)
        return hone_err_new(HONE_E_INVALID, "'%s': hosts is no list of at most %d names", where,
                            HOSTS_MAX);
    out->hosts = hone_arena_alloc(arena, count + 1, sizeof *out->hosts);
    if (!out->hosts) return no_memory();
    for (size_t i = 0; i < count; i++) {
        const json_t *host = json_array_get(hosts, i);
        if (!json_is_string(host))
            return hone_err_new(HONE_E_INVALID, "'%s': hosts[%zu] is no text", where, i);
        out->hosts[i] = hone_arena_strdup(arena, hone_json_str(host));
        if (!out->hosts[i]) return no_memory();
    }
    out->host_count = count;
    return HONE_OK;
}

static hone_err take_all(hone_arena *arena, const json_t *in, const char *where,
                         hone_settings *out) {
    static const char *const known[] = {
        "listen",           "public_url", "hosts",   "tls",   "smtp",         "region",
        "account",          "jobs",       "threads", "dtype", "max_queue_ms", "batch_delay_us",
        "allow_plain_http", "tls_proxy",  NULL};
    const char *listen = NULL, *dtype = NULL;
    int64_t jobs = 0, threads = 0, queue_ms = 0, delay_us = 0;
    HONE_TRY(refuse_unknown(in, where, known));
    HONE_TRY(take_str(arena, in, where, "listen", &listen));
    if (listen) HONE_TRY(parse_listen(arena, hone_str_of(listen), out));
    HONE_TRY(take_str(arena, in, where, "dtype", &dtype));
    if (dtype) HONE_TRY(hone_dtype_parse(dtype, &out->dtype));
    HONE_TRY(take_str(arena, in, where, "public_url", &out->public_url));
    HONE_TRY(take_str(arena, in, where, "region", &out->realm.region));
    HONE_TRY(take_str(arena, in, where, "account", &out->realm.account));
    HONE_TRY(hone_json_int(in, where, "jobs", 1, JOBS_MAX, (int64_t)out->jobs, &jobs));
    HONE_TRY(hone_json_int(in, where, "threads", 0, 1024, (int64_t)out->threads, &threads));
    HONE_TRY(hone_json_int(in, where, "max_queue_ms", 1, QUEUE_MS_MAX, (int64_t)out->max_queue_ms,
                           &queue_ms));
    HONE_TRY(hone_json_int(in, where, "batch_delay_us", 0, DELAY_US_MAX,
                           (int64_t)out->batch_delay_us, &delay_us));
    HONE_TRY(hone_json_bool(in, where, "allow_plain_http", false, &out->allow_plain_http));
    HONE_TRY(hone_json_bool(in, where, "tls_proxy", false, &out->tls_proxy));
    out->jobs = (size_t)jobs;
    out->threads = (size_t)threads;
    out->max_queue_ms = (size_t)queue_ms;
    out->batch_delay_us = (size_t)delay_us;
    HONE_TRY(take_hosts(arena, in, where, out));
    HONE_TRY(take_tls(arena, in, where, out));
    return take_mail(arena, in, where, &out->mail);
}

static hone_err take_file(hone_arena *arena, const char *path, hone_settings *out) {
    json_t *in = NULL;
    HONE_TRY(hone_json_load(path, FILE_BYTES_MAX, &in));
    hone_err err = take_all(arena, in, path, out);
    json_decref(in);
    return err;
}

/* --- the whole ---------------------------------------------------------------------- */

static hone_err check(const hone_settings *s) {
    hone_realm r = s->realm;
    if (strspn(r.account, "0123456789") != 12 || strlen(r.account) != 12)
        return hone_err_new(HONE_E_INVALID, "account '%s' is not 12 digits", r.account);
    if (!hone_name_is_valid(hone_str_of(r.region), 63, true))
        return hone_err_new(HONE_E_INVALID, "region '%s': lower-case letters, digits and '-'",
                            r.region);
    if (s->tls_cert && s->tls_proxy)
        return hone_err_new(HONE_E_INVALID, "tls and tls_proxy: one of them does TLS, not both");
    if (!hone_settings_is_loopback(s->address) && !s->tls_cert && !s->tls_proxy &&
        !s->allow_plain_http)
        return hone_err_new(HONE_E_INVALID,
                            "listening on %s would send passwords in the clear: set tls in the "
                            "settings, or give --tls-proxy behind a proxy that does TLS",
                            s->address);
    return HONE_OK;
}

hone_err hone_settings_load(hone_arena *arena, const hone_settings_flags *flags,
                            hone_settings *out) {
    hone_settings s = {
        .address = "127.0.0.1",
        .port = PORT_DEFAULT,
        .realm = {"us-east-1", "000000000000"},
        .jobs = 1,
        .max_queue_ms = HONE_BATCHER_PATIENCE_MS,
        .batch_delay_us = HONE_BATCHER_DELAY_US,
    };
    HONE_TRY(hone_env_data(arena, flags->data, &s.data));
    if (flags->config) HONE_TRY(take_file(arena, flags->config, &s));
    if (flags->dtype) HONE_TRY(hone_dtype_parse(flags->dtype, &s.dtype));
    if (flags->listen) HONE_TRY(parse_listen(arena, hone_str_of(flags->listen), &s));
    if (flags->allow_plain_http) s.allow_plain_http = true;
    if (flags->tls_proxy) s.tls_proxy = true;
    if (flags->threads > 0) s.threads = flags->threads;
    if (flags->jobs > 0) s.jobs = flags->jobs < JOBS_MAX ? flags->jobs : JOBS_MAX;
    if (flags->max_queue_ms > 0)
        s.max_queue_ms = flags->max_queue_ms < QUEUE_MS_MAX ? flags->max_queue_ms : QUEUE_MS_MAX;
    if (flags->batch_delay_us != HONE_SETTINGS_UNSET)
        s.batch_delay_us = flags->batch_delay_us < DELAY_US_MAX ? flags->batch_delay_us
                                                                : DELAY_US_MAX;
    HONE_TRY(check(&s));
    *out = s;
    return HONE_OK;
}
