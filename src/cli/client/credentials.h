/* credentials.h: which server, and who is asking: from flags, the environment or a file.
 *
 *     key:       --data DIR | $HONE_CREDENTIALS (a file) | $AWS_ACCESS_KEY_ID and
 *                $AWS_SECRET_ACCESS_KEY | the default data folder    -- the first that is given
 *     endpoint:  --endpoint-url | the file, when --data or $HONE_CREDENTIALS names it |
 *                $AWS_ENDPOINT_URL | the default folder's file | http://127.0.0.1:8080
 *
 * The file is DIR/credentials as `hone serve` writes it: AWS ini form, section [default].
 */
#ifndef HONE_CLI_CLIENT_CREDENTIALS_H
#define HONE_CLI_CLIENT_CREDENTIALS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

/* Strings live in the arena; NULL = not said. */
typedef struct hone_credentials {
    const char *key_id;
    const char *secret;
    const char *endpoint_url; /* without '/' at its end */
} hone_credentials;

/* The [default] section of a file's bytes. CORRUPT names the line. */
HONE_NODISCARD hone_err hone_credentials_parse(hone_arena *arena, hone_str bytes, const char *where,
                                               hone_credentials *out);

/* By the order above; data and endpoint_url are the flags, NULL when absent. All members are set
 * on success. NOT_FOUND says what to give. */
HONE_NODISCARD hone_err hone_credentials_find(hone_arena *arena, const char *data,
                                              const char *endpoint_url, hone_credentials *out);

#endif
