/* mail.c: see mail.h. One connection a mail: a few invitations a day need no more.
 *
 * With a password the connection must be encrypted and the server's certificate good. Without one,
 * encryption is taken when it is offered, whatever the certificate says: as between mail servers,
 * where asking for more would only mean none. */
#include "http/mail.h"

#include "base/clock.h"
#include "base/id.h"

#include <curl/curl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_TIMEOUT_MS = 10000, TIMEOUT_MS = 15000, HEADER_SIZE = 1024 };

static bool is_printable(const char *text) {
    for (; *text; text++)
        if (*text < ' ' || *text > '~') return false;
    return true;
}

/* An address goes into a command of the protocol: nothing in it may end the command. */
static hone_err check_address(const char *address) {
    if (is_printable(address) && strchr(address, '@') && !strpbrk(address, " <>,;")) return HONE_OK;
    return hone_err_new(HONE_E_INVALID, "'%s' is no mail address", address);
}

static hone_err no_memory(void) { return hone_err_new(HONE_E_NOMEM, "no memory for a mail"); }

static bool append(struct curl_slist **list, const char *line) {
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (longer) *list = longer;
    return longer != NULL;
}

static bool append_header(struct curl_slist **list, const char *name, const char *value) {
    char line[HEADER_SIZE];
    int len = snprintf(line, sizeof line, "%s: %s", name, value);
    return len > 0 && (size_t)len < sizeof line && append(list, line);
}

static bool append_headers(struct curl_slist **list, const hone_mail_server *server, const char *to,
                           const char *subject) {
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    char date[64], id[HONE_ID_SIZE], message_id[HEADER_SIZE];
    time_t now = (time_t)(hone_now_ms() / 1000);
    struct tm t;
    (void)gmtime_r(&now, &t);
    (void)snprintf(date, sizeof date, "%s, %02d %s %d %02d:%02d:%02d +0000", days[t.tm_wday],
                   t.tm_mday, months[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
    hone_id_make(id);
    (void)snprintf(message_id, sizeof message_id, "<%s%s>", id, strchr(server->from, '@'));
    return append_header(list, "Date", date) && append_header(list, "From", server->from) &&
           append_header(list, "To", to) && append_header(list, "Subject", subject) &&
           append_header(list, "Message-ID", message_id) &&
           append_header(list, "Auto-Submitted", "auto-generated");
}

static bool set_text(CURL *curl, curl_mime *mime, const char *text) {
    curl_mimepart *part = curl_mime_addpart(mime);
    return part && curl_mime_data(part, text, CURL_ZERO_TERMINATED) == CURLE_OK &&
           curl_mime_type(part, "text/plain; charset=utf-8") == CURLE_OK &&
           curl_mime_encoder(part, "quoted-printable") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_MIMEPOST, mime) == CURLE_OK;
}

static bool set_server(CURL *curl, const hone_mail_server *server) {
    bool has_secret = server->user && server->password;
    long tls = has_secret ? CURLUSESSL_ALL : CURLUSESSL_TRY;
    bool checks = has_secret || strncmp(server->url, "smtps:", 6) == 0;
    if (has_secret && (curl_easy_setopt(curl, CURLOPT_USERNAME, server->user) != CURLE_OK ||
                       curl_easy_setopt(curl, CURLOPT_PASSWORD, server->password) != CURLE_OK))
        return false;
    return curl_easy_setopt(curl, CURLOPT_URL, server->url) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_USE_SSL, tls) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, (long)checks) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, checks ? 2L : 0L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_MAIL_FROM, server->from) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS) ==
               CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)TIMEOUT_MS) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
}

static hone_err perform(CURL *curl, const char *url) {
    char said[CURL_ERROR_SIZE] = "";
    if (curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, said) != CURLE_OK) return no_memory();
    CURLcode code = curl_easy_perform(curl);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL); /* said ends here */
    if (code == CURLE_OK) return HONE_OK;
    hone_code kind = HONE_E_IO;
    if (code == CURLE_OUT_OF_MEMORY) kind = HONE_E_NOMEM;
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL) kind = HONE_E_INVALID;
    return hone_err_new(kind, "mail through '%s': %s", url,
                        said[0] ? said : curl_easy_strerror(code));
}

static hone_err send_with(CURL *curl, const hone_mail_server *server, const char *to,
                          const char *subject, const char *text) {
    struct curl_slist *headers = NULL, *recipients = NULL;
    curl_mime *mime = curl_mime_init(curl);
    bool is_ready = mime && append_headers(&headers, server, to, subject) &&
                    append(&recipients, to) && set_server(curl, server) &&
                    set_text(curl, mime, text) &&
                    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
                    curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, recipients) == CURLE_OK;
    hone_err err = is_ready ? perform(curl, server->url) : no_memory();
    curl_mime_free(mime);
    curl_slist_free_all(recipients);
    curl_slist_free_all(headers);
    return err;
}

hone_err hone_mail_send(const hone_mail_server *server, const char *to, const char *subject,
                        const char *text) {
    if (!server->url || !server->from)
        return hone_err_new(HONE_E_INVALID, "no mail server is configured");
    HONE_TRY(check_address(server->from));
    HONE_TRY(check_address(to));
    if (!is_printable(subject))
        return hone_err_new(HONE_E_INVALID, "a mail's subject is one line of ASCII");
    CURL *curl = curl_easy_init();
    if (!curl) return no_memory();
    hone_err err = send_with(curl, server, to, subject, text);
    curl_easy_cleanup(curl);
    return err;
}
