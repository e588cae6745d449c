/* settings.h: how `hone serve` is to run: flags over a JSON file over defaults.
 *
 *     {"listen": "127.0.0.1:8080", "public_url": "https://hone.example", "hosts": ["hone.example"],
 *      "tls": {"cert": "cert.pem", "key": "key.pem"}, "allow_plain_http": false,
 *      "tls_proxy": false,
 *      "smtp": {"url": "smtp://mail:25", "from": "hone@example", "user": "u", "password_file": "p"},
 *      "region": "us-east-1", "account": "000000000000", "jobs": 1, "threads": 2,
 *      "dtype": "f32", "max_queue_ms": 10000, "batch_delay_us": 1000}
 *
 * An unknown key is an error: a misspelt one must not pass for a default.
 */
#ifndef HONE_CLI_SETTINGS_H
#define HONE_CLI_SETTINGS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/realm.h"
#include "http/mail.h"
#include "nn/dtype.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Strings live in the arena. */
typedef struct hone_settings {
    const char *data; /* folder */
    const char *address;
    uint16_t port;
    const char *public_url; /* NULL = made of the address and port */
    const char **hosts;     /* [host_count]: further names in Host headers */
    size_t host_count;
    const char *tls_cert, *tls_key; /* NULL = plain HTTP */
    bool allow_plain_http;          /* beyond loopback */
    bool tls_proxy; /* clients reach us through a proxy that does TLS, and only so */
    hone_mail_server mail;
    hone_realm realm;
    size_t jobs;           /* children that run at once */
    size_t threads;        /* of the inference engine; 0 = all processors */
    hone_dtype dtype;      /* in which endpoints multiply */
    size_t max_queue_ms;   /* that a prediction may wait for its turn */
    size_t batch_delay_us; /* that a batch may wait for its requests; 0 = none */
} hone_settings;

#define HONE_SETTINGS_UNSET SIZE_MAX

/* The flags of `hone serve` that say the same as the file; NULL and 0 = not given, of
 * batch_delay_us HONE_SETTINGS_UNSET. */
typedef struct hone_settings_flags {
    const char *data, *listen, *config, *dtype;
    bool allow_plain_http, tls_proxy;
    size_t threads, jobs, max_queue_ms, batch_delay_us;
} hone_settings_flags;

/* INVALID names the key or flag; NOT_FOUND for no such file; INVALID for listening beyond
 * loopback without TLS, tls_proxy or allow_plain_http. */
HONE_NODISCARD hone_err hone_settings_load(hone_arena *arena, const hone_settings_flags *flags,
                                           hone_settings *out);

bool hone_settings_is_loopback(const char *address);

#endif
