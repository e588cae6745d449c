/* sigv4.h: is this request signed by who it says? AWS Signature Version 4, header form.
 *
 *     Authorization: AWS4-HMAC-SHA256 Credential=KEY/20261124/REGION/SERVICE/aws4_request,
 *                    SignedHeaders=host;x-amz-date, Signature=<hex>
 *
 * The path is encoded once more for every service but s3, as the specification says. The
 * signature is compared in constant time; a date more than 15 minutes off is refused. Signed must
 * be host, x-amz-date, and every x-amz-* header and content-type that was sent.
 *
 * The body is signed by its SHA-256, which is always compared with the body that came. Only over
 * TLS, which guards the body itself, x-amz-content-sha256 may say UNSIGNED-PAYLOAD or
 * STREAMING-UNSIGNED-PAYLOAD-TRAILER instead: SDKs do that for S3. */
#ifndef HONE_HTTP_SIGV4_H
#define HONE_HTTP_SIGV4_H

#include "base/err.h"
#include "http/server.h"

#include <stdint.h>

typedef struct hone_sigv4 {
    hone_str key_id, date, region, service; /* from the credential scope */
    hone_str signed_headers, signature;
} hone_sigv4;

/* Read the header's parts, borrowed from value. INVALID for another form. */
HONE_NODISCARD hone_err hone_sigv4_parse(hone_str value, hone_sigv4 *out);

/* Check the signature, with the body's hash where the request states one (x-amz-content-sha256)
 * and the real hash where it states none. The three failures the wire tells apart:
 * INVALID = signature or hash does not match; CLOSED = the date is off; CORRUPT = malformed. */
HONE_NODISCARD hone_err hone_sigv4_check(const hone_request *request, const hone_sigv4 *sig,
                                         hone_str secret, int64_t now_ms);

#endif
