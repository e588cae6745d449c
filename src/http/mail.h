/* mail.h: one plain-text mail through an SMTP server (libcurl).
 */
#ifndef HONE_HTTP_MAIL_H
#define HONE_HTTP_MAIL_H

#include "base/err.h"

typedef struct hone_mail_server {
    const char *url;             /* "smtp://host:25", "smtps://host:465"; NULL = no mail */
    const char *user, *password; /* NULL = none */
    const char *from;            /* address */
} hone_mail_server;

/* Send; blocks for at most 15 s. INVALID for an address or subject that is not printable ASCII;
 * IO. A user and password are only sent over TLS. */
HONE_NODISCARD hone_err hone_mail_send(const hone_mail_server *server, const char *to,
                                       const char *subject, const char *text);

#endif
