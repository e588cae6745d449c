/* xml.h: the little XML that S3, STS and IAM need.
 *
 * Reading gives, at the end of every element, its path and its text: "Delete/Object/Key", "a.txt".
 * Documents are small and flat; what is deeper, longer or has a DTD is refused. */
#ifndef HONE_API_XML_H
#define HONE_API_XML_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

/* path: names from the root on, without prefixes, '/' between them. Borrowed for the call. */
typedef hone_err hone_xml_fn(void *ctx, const char *path, hone_str text);

/* Call fn for each element as it ends. CORRUPT, or the error of fn. */
HONE_NODISCARD hone_err hone_xml_read(hone_str bytes, hone_xml_fn *fn, void *ctx);

/* Append text escaped; what XML 1.0 cannot hold becomes '?'. */
void hone_xml_push(hone_buf *out, hone_str text);
/* <name>text</name> */
void hone_xml_push_element(hone_buf *out, const char *name, hone_str text);

#endif
