/* aws_chunked.h: the framing that SDKs put around a body whose checksum comes last.
 *
 *     400;ext=x\r\n <1024 bytes> \r\n ... 0\r\n x-amz-checksum-crc32:AAAAAA==\r\n \r\n
 *
 * It lies within HTTP's own chunks, which the server has taken away already. Signatures of single
 * chunks are not known here: the SDKs sign bodies that way no more. */
#ifndef HONE_API_AWS_CHUNKED_H
#define HONE_API_AWS_CHUNKED_H

#include "base/err.h"
#include "base/str.h"

/* Take the next chunk off rest. *data is empty at the end; rest then begins with the trailer.
 * CORRUPT. */
HONE_NODISCARD hone_err hone_aws_chunk_next(hone_str *rest, hone_str *data);

/* Take the next line of the trailer off rest. *name is empty at the end, where nothing may
 * follow. CORRUPT. */
HONE_NODISCARD hone_err hone_aws_trailer_next(hone_str *rest, hone_str *name, hone_str *value);

#endif
