/* Any bytes as a loop's output.json: read by the default rules, and by others. Whatever comes
 * of it has a fate, a reason where it is left out, and a text and a label where it is not. */
#include "data/reviews.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_by(hone_str bytes, const hone_review_rules *rules) {
    hone_arena *arena = NULL;
    hone_review review;
    if (hone_failed(hone_arena_create(1 << 26, &arena))) return;
    if (!hone_failed(hone_review_read(arena, bytes, "input", rules, &review))) {
        if (review.fate >= HONE_REVIEW_FATES) abort();
        if ((review.fate == HONE_REVIEW_MERGED) != (review.reason[0] == '\0')) abort();
        if (review.fate == HONE_REVIEW_MERGED && (review.key.len == 0 || review.label.len == 0))
            abort();
    }
    hone_arena_destroy(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const names[] = {"negative", "positive"};
    static const char *const pointers[] = {"/a~1b/0", "/x/y/z", NULL};
    hone_str bytes = {(const char *)data, size};
    read_by(bytes, &(hone_review_rules){.known = {2, names}});
    read_by(bytes, &(hone_review_rules){.text = "/inputContent", .labels = pointers});
    return 0;
}
