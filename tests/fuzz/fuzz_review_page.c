/* Any bytes as a review page: refused with an error, or a question with choices of plain text. */
#include "cli/client/page.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text) {
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    hone_arena *arena = NULL;
    hone_page_question question;
    if (hone_failed(hone_arena_create(8 << 20, &arena))) return 0;
    if (!hone_failed(hone_page_parse(arena, (hone_str){(const char *)data, size}, &question))) {
        if (question.count == 0 || question.count > HONE_PAGE_CHOICES_MAX) abort();
        check(question.name);
        check(question.header);
        check(question.text);
        for (size_t i = 0; i < question.count; i++) check(question.choices[i]);
    }
    hone_arena_destroy(arena);
    return 0;
}
