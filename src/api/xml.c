/* xml.c: see xml.h. The parser is expat. */
#include "api/xml.h"

#include "base/utf8.h"

#include <expat.h>
#include <stdio.h>

enum { DEPTH_MAX = 8, PATH_SIZE = 256, TEXT_LIMIT_BYTES = 8192, DOCUMENT_LIMIT_BYTES = 4 << 20 };

typedef struct reader {
    XML_Parser parser;
    hone_xml_fn *fn;
    void *ctx;
    char path[PATH_SIZE];
    size_t path_len;
    size_t parents[DEPTH_MAX]; /* lengths of the path above each element */
    size_t depth;
    hone_buf text; /* of the innermost element */
    hone_err err;
} reader;

static void stop(reader *r, hone_err err) {
    if (!hone_failed(r->err)) r->err = err;
    (void)XML_StopParser(r->parser, XML_FALSE); /* fails when it has stopped already */
}

static void start_element(void *arg, const char *name, const char **attributes) {
    (void)attributes;
    reader *r = arg;
    if (hone_failed(r->err)) return;
    const char *colon = strrchr(name, ':');
    const char *local = colon ? colon + 1 : name;
    size_t len = strlen(local);
    if (r->depth == DEPTH_MAX || r->path_len + len + 2 > PATH_SIZE) {
        stop(r, hone_err_new(HONE_E_CORRUPT, "the XML is nested too deeply"));
        return;
    }
    r->parents[r->depth++] = r->path_len;
    if (r->path_len > 0) r->path[r->path_len++] = '/';
    memcpy(r->path + r->path_len, local, len + 1);
    r->path_len += len;
    r->text.len = 0;
}

static void end_element(void *arg, const char *name) {
    (void)name;
    reader *r = arg;
    if (hone_failed(r->err)) return; /* expat still ends <this/> when its start stopped it */
    hone_str text = {r->text.len > 0 ? r->text.ptr : "", r->text.len};
    hone_err err = r->fn(r->ctx, r->path, text);
    if (hone_failed(err)) stop(r, err);
    r->path_len = r->parents[--r->depth];
    r->path[r->path_len] = '\0';
    r->text.len = 0;
}

static void add_text(void *arg, const char *bytes, int size) {
    reader *r = arg;
    hone_buf_push(&r->text, (hone_str){bytes, (size_t)size});
    if (hone_failed(hone_buf_err(&r->text)))
        stop(r, hone_err_new(HONE_E_CORRUPT, "an element of the XML is too long"));
}

/* Without a DTD there are no entities to expand, inside or outside. */
static void refuse_doctype(void *arg, const char *name, const char *system, const char *public,
                           int has_internal_subset) {
    (void)name;
    (void)system;
    (void)public;
    (void)has_internal_subset;
    stop(arg, hone_err_new(HONE_E_CORRUPT, "the XML has a document type"));
}

hone_err hone_xml_read(hone_str bytes, hone_xml_fn *fn, void *ctx) {
    if (bytes.len > DOCUMENT_LIMIT_BYTES)
        return hone_err_new(HONE_E_CORRUPT, "the XML has more than %d bytes", DOCUMENT_LIMIT_BYTES);
    reader r = {.fn = fn, .ctx = ctx};
    r.parser = XML_ParserCreate(NULL);
    if (!r.parser) return hone_err_new(HONE_E_NOMEM, "no memory for XML");
    hone_buf_init(&r.text, TEXT_LIMIT_BYTES);
    XML_SetUserData(r.parser, &r);
    XML_SetElementHandler(r.parser, start_element, end_element);
    XML_SetCharacterDataHandler(r.parser, add_text);
    XML_SetStartDoctypeDeclHandler(r.parser, refuse_doctype);
    enum XML_Status status = XML_Parse(r.parser, bytes.ptr ? bytes.ptr : "", (int)bytes.len,
                                       XML_TRUE);
    if (status != XML_STATUS_OK && !hone_failed(r.err))
        r.err = hone_err_new(HONE_E_CORRUPT, "the XML breaks off or is malformed: %s",
                             XML_ErrorString(XML_GetErrorCode(r.parser)));
    XML_ParserFree(r.parser);
    hone_buf_done(&r.text);
    return r.err;
}

/* Control characters other than tab and line ends have no place in XML 1.0, in any spelling; '\r'
 * is kept by its number, as parsers read it as '\n' otherwise. */
void hone_xml_push(hone_buf *out, hone_str text) {
    size_t bytes = 0;
    for (size_t at = 0; at < text.len; at += bytes) {
        int32_t c = hone_utf8_next(text, at, &bytes);
        if (c == '&')
            hone_buf_push(out, HONE_S("&amp;"));
        else if (c == '<')
            hone_buf_push(out, HONE_S("&lt;"));
        else if (c == '>')
            hone_buf_push(out, HONE_S("&gt;"));
        else if (c == '"')
            hone_buf_push(out, HONE_S("&quot;"));
        else if (c == '\r')
            hone_buf_push(out, HONE_S("&#13;"));
        else if (c == HONE_UTF8_BAD || (c < 0x20 && c != '\t' && c != '\n') || c == 0xFFFE ||
                 c == 0xFFFF)
            hone_buf_push_char(out, '?');
        else
            hone_buf_push(out, (hone_str){text.ptr + at, bytes});
    }
}

void hone_xml_push_element(hone_buf *out, const char *name, hone_str text) {
    hone_buf_printf(out, "<%s>", name);
    hone_xml_push(out, text);
    hone_buf_printf(out, "</%s>", name);
}
